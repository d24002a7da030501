"""What a picture's file is: its size in pixels and in bytes."""

import contextlib
from typing import NamedTuple

from tfvision.data.decoding import photo_size
from tfvision.data.shards.slices import photo_bytes
from tfvision.errors import DataError


class FileFacts(NamedTuple):
    """Attributes:
    width, height: pixels, upright.
    bytes: of the file, or of its part of a shard.
    """

    width: int
    height: int
    bytes: int


def file_facts(path: str) -> FileFacts | None:
    """The facts of a file, of which the header is read; None where it cannot be."""
    with contextlib.suppress(OSError, DataError):
        return FileFacts(*photo_size(path), photo_bytes(path))
    return None
