"""Photos in the shards of prepared data: a path for each, and the reading of its bytes.

A shard is a TFRecord file. A photo in it has a path like one in a folder: SHARD/OFFSET-BYTES-CRC32/NAME, so that whatever
goes by paths (galleries, reports, Beam's workers) needs to know nothing of shards.
"""

import os
import re
import typing
import zlib
from pathlib import Path

from tfvision.errors import DataError

HEADER_BYTES, FOOTER_BYTES = 12, 4  # of a TFRecord: length and its checksum before the data, their checksum behind
SHARD_NAME = re.compile(r"shard-\d{5}-of-\d{5}\.tfrecord")
_PHOTO_PATH = re.compile(r"((?:.*/)?shard-\d{5}-of-\d{5}\.tfrecord)/(\d{1,15})-(\d{1,10})-([0-9a-f]{8})/[^/]+", re.DOTALL)


class Slice(typing.NamedTuple):
    """Where the encoded bytes of a photo lie.

    Attributes:
      shard: path of the file.
      offset, bytes: of the image within it.
      crc32: of these bytes.
    """

    shard: str
    offset: int
    bytes: int
    crc32: int

    def path(self, name: str) -> str:
        """The path of the photo called `name` that lies here."""
        return f"{self.shard}/{self.offset}-{self.bytes}-{self.crc32:08x}/{os.path.basename(name)}"


def shard_name(number: int, count: int) -> str:
    """The name of a shard, counted from 0."""
    return f"shard-{number:05}-of-{count:05}.tfrecord"


def slice_of(path: Path | str) -> Slice | None:
    """The Slice that a photo's path speaks of, or None where it is that of a file."""
    found = _PHOTO_PATH.fullmatch(os.fspath(path))
    return Slice(found[1], int(found[2]), int(found[3]), int(found[4], 16)) if found else None


def photo_file(path: Path | str) -> Path | str:
    """The file that a photo is read from: its own, or its shard."""
    location = slice_of(path)
    return location.shard if location else path


def photo_bytes(path: Path | str) -> int:
    """How many bytes a photo's encoded image has. Raises OSError where there is no such file."""
    location = slice_of(path)
    return location.bytes if location else os.path.getsize(path)


def read_slice(path: Path | str, location: Slice) -> bytes:
    """The bytes of the photo at `path`, whose Slice is `location`.

    Raises:
      DataError: they are not those that were written; the message names photo and shard.
      OSError: the shard cannot be read.
    """
    return checked_slice(path, location, read_bytes(location.shard, location.offset, location.bytes))


def read_bytes(shard: str, offset: int, count: int) -> bytes:
    """So many bytes of a shard, fewer where it ends before. Raises OSError."""
    with open(shard, "rb") as file:
        file.seek(offset)
        return file.read(count)


def checked_slice(path: Path | str, location: Slice, encoded: bytes) -> bytes:
    """`encoded`, which was read from `location`. Raises DataError, as `read_slice`."""
    if len(encoded) != location.bytes or zlib.crc32(encoded) != location.crc32:
        raise DataError(f"{path} is damaged: its bytes in the shard are not those that were written; restore {location.shard}, or prepare the photos again")
    return encoded
