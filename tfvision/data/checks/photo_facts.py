"""What a check knows of a single photo: whether it can be read, its size and format, its checksums and its perceptual hash.

What was seen is noted line by line (`read_facts`), so that a check that was stopped goes on where it was, and a second one
looks only at files that are new or changed.
"""

import concurrent.futures
import hashlib
import itertools
import os
import sys
import typing
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tfvision.data.appended_csv import AppendedCsv, read_appended
from tfvision.data.checks.near_duplicates import perceptual_hash
from tfvision.data.decoding import check_photo, decode_photo, opened_header, read_encoded
from tfvision.data.manifest import Record
from tfvision.data.shards.slices import photo_bytes, photo_file
from tfvision.errors import DataError

UNREADABLE, TRUNCATED = "unreadable", "truncated"
CACHE_NAME = "photos-seen.csv"
_COLUMNS = ("image", "bytes", "modified", "fault", "reason", "format", "width", "height", "sha256", "pixels_sha256", "hash", "spread")
_FAULTS = ("", UNREADABLE, TRUNCATED)
_DIGESTS, _CODE, _LARGEST_SIDE = {0, 32}, 16, 2**31  # bytes, digits and pixels that a line can have
_SPREAD_SIDE = 64
_PHOTOS_AT_ONCE = 64


class PhotoFacts(typing.NamedTuple):
    """What one photo is.

    Attributes:
      bytes: size of its file.
      fault: "", UNREADABLE (no image, or none that may be read) or TRUNCATED (a good header, damaged pixels).
      reason: of the fault.
      format: "JPEG", "PNG", ...; "" where unreadable.
      width, height: pixels, as stored or upright; 0 where unreadable.
      sha256: of the file.
      pixels_sha256: of the decoded, upright pixels and their shape; b"" where there are none.
      hash: the perceptual hash.
      spread: how far its colours are from a single one: the largest standard deviation of a channel, 0 to 128, at 64 x 64.
    """

    bytes: int
    fault: str = ""
    reason: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    sha256: bytes = b""
    pixels_sha256: bytes = b""
    hash: int = 0
    spread: float = 0.0


def photo_facts(path: Path | str, name: str) -> PhotoFacts:
    """Reads and decodes the photo at `path`; `name` stands for it in the reason of a fault."""
    try:
        encoded = read_encoded(path)
    except DataError as error:
        return PhotoFacts(0, UNREADABLE, str(error))
    facts = PhotoFacts(len(encoded), sha256=hashlib.sha256(encoded).digest())
    try:
        with opened_header(encoded, name) as image:
            width, height = image.size
            facts = facts._replace(format="JPEG" if image.format == "MPO" else image.format, width=width, height=height)
    except DataError as error:
        return facts._replace(fault=UNREADABLE, reason=str(error))
    try:
        pixels = decode_photo(check_photo(encoded, name), name=name)
    except DataError as error:
        return facts._replace(fault=TRUNCATED, reason=str(error))
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(repr(pixels.shape).encode() + memoryview(pixels).cast("B")).digest()
    return facts._replace(width=width, height=height, pixels_sha256=digest, hash=perceptual_hash(pixels), spread=_spread(pixels))


def read_facts(records: Sequence[Record], cache: Path | str, progress: Callable[[int, int], None] | None = None) -> list[PhotoFacts]:
    """The facts of all photos, in order; photos known from an earlier check are not read again.

    Args:
      records: manifest.Record.
      cache: path of the CSV that keeps them.
      progress: called as progress(done, total).

    Returns:
      A list of PhotoFacts.

    Raises:
      DataError: another check writes to the same file, or what it holds is another table.
      StorageError: the disk is full.
    """
    with AppendedCsv(cache, _COLUMNS) as book:
        known = _known(cache, records)
        facts = [known.get(row) for row in range(len(records))]
        known.clear()
        todo = iter([row for row, fact in enumerate(facts) if fact is None])
        done = sum(fact is not None for fact in facts)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
            while rows := list(itertools.islice(todo, _PHOTOS_AT_ONCE)):
                if progress:
                    progress(done, len(records))
                seen = list(threads.map(lambda row: (_modified(records[row]), photo_facts(records[row].path, records[row].name)), rows))
                for row, (_, fact) in zip(rows, seen, strict=True):
                    facts[row] = fact
                book.append(*(_row(records[row].name, modified, fact) for row, (modified, fact) in zip(rows, seen, strict=True)))
                done += len(rows)
        if progress:
            progress(done, len(records))
    return facts


def _known(cache: Path | str, records: Sequence[Record]) -> dict[int, PhotoFacts]:
    """{row of a record: PhotoFacts} of files that are as they were."""
    rows: dict[str, list[int]] = {}
    for row, record in enumerate(records):
        rows.setdefault(record.name, []).append(row)
    known = {}
    for cells in read_appended(cache, _COLUMNS):
        for row in rows.get(cells[0], ()):
            known[row] = cells
    return {row: fact for row, cells in known.items() if (fact := _fact(cells, records[row]))}


def _fact(cells, record):
    """The facts of a line, or None where it speaks of another state of the file, or is damaged."""
    _, size, modified, fault, reason, kind, width, height, sha256, pixels, code, spread = cells
    try:
        if (int(size), int(modified)) != (photo_bytes(record.path), _modified(record)):
            return None
        digests = bytes.fromhex(sha256), bytes.fromhex(pixels)
        is_sound = fault in _FAULTS and {len(digest) for digest in digests} <= _DIGESTS and len(code) <= _CODE and 0 <= float(spread) <= 255
        if not is_sound or not all(0 <= int(side) < _LARGEST_SIDE for side in (width, height)):
            return None
        return PhotoFacts(int(size), sys.intern(fault), reason, sys.intern(kind), int(width), int(height), *digests, int(code, 16), float(spread))
    except (OSError, ValueError):
        return None


def _row(name, modified, fact):
    return (name, fact.bytes, modified, *fact[1:6], fact.sha256.hex(), fact.pixels_sha256.hex(), f"{fact.hash:016x}", f"{fact.spread:.2f}")


def _modified(record):
    try:
        return Path(photo_file(record.path)).stat().st_mtime_ns
    except OSError:
        return 0


def _spread(pixels):
    import PIL.Image

    small = PIL.Image.fromarray(pixels).resize((_SPREAD_SIDE, _SPREAD_SIDE), PIL.Image.Resampling.BOX)
    return float(np.asarray(small, np.float32).std(axis=(0, 1)).max())
