"""What makes a zip archive hostile or broken, seen in its table of contents, before any member is read."""

import os
import re
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Sequence
from pathlib import Path

from tfvision.errors import DataError

MAX_MEMBERS = 200_000  # GBIF writes one small file for each data set that took part
MAX_DIRECTORY_BYTES = 64 * 2**20  # of a zip's table of contents, which is read whole
MAX_TOTAL_BYTES = 2 * 2**40  # uncompressed; all that GBIF has comes to a little more than one terabyte
MAX_RATIO = 200  # GBIF's sparse tables reach 20 to 40
RATIO_FREE_BYTES = 16 * 2**20  # small members may be as repetitive as they like
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # flag bits: traditional, strong, masked directory
END_RECORD, _END_RECORD_64, _LOCATOR_64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"


def check_members(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuses names, kinds and flags of members that no sound archive has. Raises DataError."""
    seen = {}
    for member in members:
        name = member.orig_filename
        _check_member_name(path, name)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind == stat.S_IFLNK:
            raise _refused(path, f"the member {name!r} is a link")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refused(path, f"the member {name!r} is a device or a pipe")
        if member.flag_bits & _ENCRYPTED:
            raise DataError(f"{path}: the member {name!r} is encrypted: unpack it with its password, then name the folder")
        if member.compress_type not in _METHODS:
            raise DataError(f"{path}: the member {name!r} is compressed in a way that is not read here: unpack it, then name the folder")
        key = unicodedata.normalize("NFC", plain_name(name)).casefold()
        if key in seen and not (member.is_dir() and seen[key].is_dir()):
            raise _refused(path, f"two members have one name, {seen[key].orig_filename!r} and {name!r}")
        seen[key] = member


def _check_member_name(path, name):
    parts = name.replace("\\", "/").split("/")
    if not name or any(ord(letter) < 32 for letter in name):
        raise _refused(path, f"a member's name has control characters, {name!r}")
    if parts[0] == "" or re.match(r"[A-Za-z]:", name):
        raise _refused(path, f"the member {name!r} has an absolute path")
    if ".." in parts:
        raise _refused(path, f"the member {name!r} leads outside the archive")


def plain_name(name: str) -> str:
    """A member's name with `/` between folders."""
    return name.replace("\\", "/").rstrip("/")


def check_bomb(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuses what would swell beyond the caps. Raises DataError."""
    if len(members) > MAX_MEMBERS:
        raise bomb(path, f"it has {len(members)} members, more than {MAX_MEMBERS}")
    total = sum(member.file_size for member in members)
    if total > MAX_TOTAL_BYTES:
        raise bomb(path, f"it would decode to {total / 2**40:.1f} TiB, more than {MAX_TOTAL_BYTES / 2**40:.0f}")
    for member in members:
        if member.file_size > max(RATIO_FREE_BYTES, MAX_RATIO * member.compress_size):
            raise bomb(path, f"{member.filename!r} decodes to more than {MAX_RATIO} times its size")
    if sum(member.compress_size for member in members) > os.path.getsize(path):
        raise bomb(path, "its members overlap")


def check_directory_size(path: Path) -> None:
    """Measures the table of contents before zipfile reads it whole. Raises DataError."""
    with open(path, "rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - 65_557 - 20))
        tail = file.read()
        position = tail.rfind(END_RECORD)
        if position < 0 or len(tail) < position + 22:
            raise DataError(f"{path} is truncated or damaged (its table of contents is missing): download it again")
        (size,) = struct.unpack_from("<L", tail, position + 12)
        if size == 0xFFFFFFFF and tail[position - 20 : position - 16] == _LOCATOR_64:
            file.seek(min(length, struct.unpack_from("<Q", tail, position - 12)[0]))
            record = file.read(56)
            if len(record) < 56 or record[:4] != _END_RECORD_64:
                raise DataError(f"{path} is truncated or damaged (its table of contents is missing): download it again")
            (size,) = struct.unpack_from("<Q", record, 40)
    if size > MAX_DIRECTORY_BYTES:
        raise bomb(path, f"its table of contents has {size >> 20} MiB, more than {MAX_DIRECTORY_BYTES >> 20}")


def _refused(path, reason):
    return DataError(f"{path} is refused: {reason}. No sound archive has that: download it again from its source")


def bomb(path: Path | str, reason: str) -> DataError:
    """The error for a bomb."""
    return DataError(f"{path} is refused: {reason}. If you trust it, unpack it yourself, then name the folder")
