"""What is known of a picture's file: its size, and when and by what it was taken."""

import contextlib
import os
from typing import Any, NamedTuple

from tfvision.data.cards.capture import read_capture
from tfvision.data.decoding import photo_size
from tfvision.data.shards.slices import photo_bytes
from tfvision.errors import DataError


class FileSize(NamedTuple):
    """Attributes:
    width, height: pixels, upright.
    bytes: of the file, or of its part of a shard.
    """

    width: int
    height: int
    bytes: int


def file_size(path: str) -> FileSize | None:
    """The size of a file, of which the header is read; None where it cannot be."""
    with contextlib.suppress(OSError, DataError):
        return FileSize(*photo_size(path), photo_bytes(path))
    return None


def file_facts(path: str) -> dict[str, Any]:
    """{"file", "width", "height" (upright, pixels), "bytes", "taken", "camera"}, without what is not known."""
    found: dict[str, Any] = {"file": os.path.basename(path)}
    with contextlib.suppress(OSError, DataError):
        found["bytes"] = photo_bytes(path)
        found["width"], found["height"] = photo_size(path)
    capture = read_capture(path)
    if capture.time:
        found["taken"] = capture.time.strftime("%Y-%m-%d %H:%M:%S") + _zone(capture.zone_minutes)
    camera = " ".join(dict.fromkeys([*capture.make.split(), *capture.model.split()]))  # "Canon", "Canon EOS 90D"
    return {**found, "camera": camera} if camera else found


def _zone(minutes):
    if minutes is None:
        return ""
    hours, rest = divmod(abs(minutes), 60)
    return f" {'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"
