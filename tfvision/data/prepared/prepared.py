"""Prepared data: a folder of TFRecord shards, with a manifest that says where each photo lies, and an index with checksums.

- shard-00000-of-00008.tfrecord, ...: TFRecords of tf.train.Example, the image last in each.
- manifest.csv: a line a photo, with the columns of its source and PREPARED_COLUMNS.
- labels.json: the taxonomy. index.json: format, settings, ranks, totals, shards, broken photos, checksums of all files.

Nothing of what the files say is believed before it is checked: the folder may have come from anywhere.
"""

import csv
import dataclasses
import hashlib
import json
import os
import typing
import zlib
from pathlib import Path

from tfvision.data.prepared.shards import SHARD_NAME, Slice
from tfvision.errors import DataError
from tfvision.runs import write_json

FORMAT, VERSION = "tfvision prepared data", 1
INDEX, MANIFEST, LABELS, UNFINISHED = "index.json", "manifest.csv", "labels.json", "preparing.json"
PREPARED_COLUMNS = ("shard", "offset", "bytes", "crc32", "record_crc32", "source_bytes")
HEADER_BYTES, FOOTER_BYTES = 12, 4  # of a TFRecord: length and its checksum before the data, their checksum behind
_HEAD_BYTES = 4096
_LARGEST_INDEX_BYTES = 1 << 30
_LARGEST_NUMBER = 1 << 53
_CHUNK_BYTES = 1 << 20
_NAMED = 3


@dataclasses.dataclass(frozen=True)
class Shard:
    """What the index says of a shard: how many records and bytes it has, and its SHA-256."""

    name: str
    records: int
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class PreparedIndex:
    """The content of index.json.

    Attributes:
      settings: how the photos were prepared.
      ranks: of the labels, coarsest first.
      photos: how many there are.
      shards: Shard by name.
      broken: {"image", "reason"} of each photo of the source that could not be read.
      sha256: of manifest.csv and labels.json, by name.
    """

    settings: dict
    ranks: tuple[str, ...]
    photos: int
    shards: dict
    broken: tuple
    sha256: dict

    @classmethod
    def open(cls, folder):
        """Reads index.json, which must be as it was written. Raises DataError."""
        path = Path(folder) / INDEX
        if (Path(folder) / UNFINISHED).exists() and not path.exists():
            raise DataError(f"{folder} is unfinished: go on with `tfvision data prepare ... {folder} --resume`")
        try:
            if path.stat().st_size > _LARGEST_INDEX_BYTES:
                raise ValueError("it is too large")
            stored = json.loads(path.read_bytes())
            if stored.pop("checksum") != _checksum(stored):
                raise ValueError("it is not as it was written")
            if (stored["format"], stored["version"]) != (FORMAT, VERSION):
                raise ValueError(f"its format is {stored['format']!r}, version {stored['version']!r}")
            return _checked_index(stored)
        except FileNotFoundError:
            raise DataError(f"{path} does not exist, so {folder} cannot be read as prepared data: {_REMEDY}") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = str(error) if isinstance(error, (OSError, ValueError)) else "parts of it are missing"
            raise DataError(f"{path} is damaged ({reason}): {_REMEDY}") from None

    def save(self, folder):
        """Writes index.json, atomically."""
        shards = [dataclasses.asdict(shard) for shard in self.shards.values()]
        stored = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self), "shards": shards}
        write_json(Path(folder) / INDEX, {**stored, "checksum": _checksum(stored)})

    def check_file(self, folder, name):
        """Compares manifest.csv or labels.json with its checksum. Raises DataError."""
        path = Path(folder) / name
        try:
            is_right = _sha256(path) == self.sha256[name]
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror}): {_REMEDY}") from None
        if not is_right:
            raise DataError(f"{path} is damaged or was changed since it was written: {_REMEDY}; keep lists of your own under another name beside it")


_REMEDY = "restore the file, or prepare the photos again"


class PreparedRow(typing.NamedTuple):
    """Where the photo of a line of manifest.csv lies, the CRC-32 of its whole record, and the bytes that its source file had."""

    image: str
    place: Slice
    record_crc32: int
    source_bytes: int

    @property
    def end(self):
        """Where its record ends in the shard."""
        return self.place.offset + self.place.bytes + FOOTER_BYTES


class DamagedShard(typing.NamedTuple):
    """A shard that is not as it was written: why, and its lost records as (place in the shard, image)."""

    name: str
    reason: str
    lost: tuple


@dataclasses.dataclass(frozen=True)
class Verification:
    """What `verify_prepared` found.

    Attributes:
      photos: how many there should be.
      damaged: a DamagedShard for each that is not as it was written.
      extra: names of shards that the index does not know; no record is lost by them.
    """

    photos: int
    damaged: tuple[DamagedShard, ...]
    extra: tuple[str, ...]

    @property
    def lost(self):
        """{shard: number of records lost}, of damaged shards."""
        return {shard.name: len(shard.lost) for shard in self.damaged}

    @property
    def is_sound(self):
        """Whether every byte is as it was written, and nothing was added."""
        return not self.damaged and not self.extra


def is_prepared(folder):
    """Whether a folder holds prepared data: whole, damaged or unfinished."""
    folder = Path(folder)
    has_columns = ",".join(PREPARED_COLUMNS).encode() in _head(folder / MANIFEST)
    return has_columns or f'"{FORMAT}"'.encode() in _head(folder / INDEX) or (folder / UNFINISHED).is_file()


def index_of(path):
    """The PreparedIndex beside a CSV; None where that is of no prepared data.

    Raises:
      DataError: index or manifest.csv is damaged, or the data unfinished.
    """
    path = Path(path)
    if not is_prepared(path.parent):
        return None
    index = PreparedIndex.open(path.parent)
    if path.name == MANIFEST:
        index.check_file(path.parent, MANIFEST)
    return index


def read_rows(path, index, rows):
    """Checks lines of a manifest of prepared data against its index and its shards.

    Args:
      path: of the CSV; index and shards lie beside it. It may name some of the photos only, unless it is manifest.csv.
      index: of `index_of`.
      rows: (number of the line, {column: text}) of each line.

    Returns:
      A list of PreparedRow.

    Raises:
      DataError: a line speaks of bytes that are not in the shard, or shards are missing or cut short; their lost records are
        counted.
    """
    folder, parsed = Path(path).parent, _parse(path, index, rows)
    damaged = [damage for shard in index.shards.values() if (damage := _damage_by_size(folder, shard, parsed))]
    if damaged:
        told = "; ".join(
            f"{shard.name} {shard.reason}, {len(shard.lost)} of its {index.shards[shard.name].records} records are lost" for shard in damaged[:_NAMED]
        )
        more = f"; so are {len(damaged) - _NAMED} more shards" if len(damaged) > _NAMED else ""
        lost = sum(len(shard.lost) for shard in damaged)
        raise DataError(f"{folder}: {told}{more} ({lost} of {index.photos} photos): restore the shards, or prepare the photos again")
    return parsed


def verify_prepared(folder, on_bytes=None):
    """Compares every byte of prepared data with its checksums.

    Args:
      folder: of the prepared data.
      on_bytes: called with a number of bytes whenever so many more of the shards are done.

    Returns:
      Verification, with the exact count of lost records by shard.

    Raises:
      DataError: it is no prepared data, or index.json, manifest.csv or labels.json is damaged, so that nothing can be compared.
    """
    folder = Path(folder)
    index = PreparedIndex.open(folder)
    for name in (MANIFEST, LABELS):
        index.check_file(folder, name)
    with open(folder / MANIFEST, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = _parse(folder / MANIFEST, index, ((reader.line_num, row) for row in reader))
    rows_of = {name: [] for name in index.shards}
    for row in rows:
        rows_of[os.path.basename(row.place.shard)].append(row)
    names = {shard.sha256: shard.name for shard in index.shards.values()}
    damaged = []
    for shard in index.shards.values():
        damage = _damage(folder, shard, sorted(rows_of[shard.name], key=lambda row: row.place.offset), names)
        damaged += [damage] if damage else []
        if on_bytes:
            on_bytes(shard.bytes)
    extra = sorted(path.name for path in folder.glob("*.tfrecord") if path.name not in index.shards)
    return Verification(len(rows), tuple(damaged), tuple(extra))


def _head(path):
    try:
        with open(path, "rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""


def _parse(path, index, rows):
    parsed = [_parsed(path, line, row, index) for line, row in rows]
    if Path(path).name == MANIFEST and len(parsed) != index.photos:
        raise DataError(f"{path} lists {len(parsed)} photos, the index {index.photos}: {_REMEDY}")
    return parsed


def _parsed(path, line, row, index):
    texts = [(row.get(column) or "").strip() for column in PREPARED_COLUMNS]
    shard = index.shards.get(texts[0])
    if shard is None:
        raise DataError(f"{path}, line {line}: {texts[0][:80]!r} is none of the shards that {INDEX} names")
    try:
        offset, size, source_bytes = (_natural(text) for text in (*texts[1:3], texts[5]))
        crc32, record_crc32 = (_crc32(text) for text in texts[3:5])
    except ValueError as error:
        raise DataError(f"{path}, line {line}: {error}") from None
    if offset < HEADER_BYTES or not size or offset + size + FOOTER_BYTES > shard.bytes:
        raise DataError(f"{path}, line {line}: bytes {offset} to {offset + size} are not within {shard.name}, which has {shard.bytes}")
    place = Slice(os.path.join(os.path.dirname(path), shard.name), offset, size, crc32)
    return PreparedRow((row.get("image") or "").strip(), place, record_crc32, source_bytes)


def _natural(text):
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise ValueError(f"{text[:40]!r} is no number of bytes")
    return int(text)


def _crc32(text):
    if len(text) != 8 or set(text) - set("0123456789abcdef"):
        raise ValueError(f"{text[:40]!r} is no CRC-32 of 8 hex digits")
    return int(text, 16)


def _checked_index(stored):
    shards = {}
    for shard in stored["shards"]:
        shard = Shard(**shard)
        if not (isinstance(shard.name, str) and SHARD_NAME.fullmatch(shard.name)) or shard.name in shards:
            raise ValueError(f"{str(shard.name)[:80]!r} is no name of a shard, or given twice")
        _check_numbers(shard.records, shard.bytes)
        shards[shard.name] = shard
    ranks = stored["ranks"]
    if not ranks or not isinstance(ranks, list) or not all(isinstance(rank, str) for rank in ranks):
        raise ValueError("its ranks are no names")
    _check_numbers(stored["photos"])
    if sum(shard.records for shard in shards.values()) != stored["photos"]:
        raise ValueError("its totals do not agree with its shards")
    if not isinstance(stored["settings"], dict) or not {MANIFEST, LABELS} <= set(stored["sha256"]):
        raise ValueError("parts of it are missing")
    return PreparedIndex(stored["settings"], tuple(ranks), stored["photos"], shards, tuple(stored["broken"]), dict(stored["sha256"]))


def _check_numbers(*numbers):
    for number in numbers:
        if type(number) is not int or not 0 <= number < _LARGEST_NUMBER:
            raise ValueError(f"{str(number)[:40]} is no number of records or bytes")


def _damage_by_size(folder, shard, rows):
    """A DamagedShard where a shard is missing or of another size than it was written with."""
    path = folder / shard.name
    size = path.stat().st_size if path.is_file() else None
    if size == shard.bytes:
        return None
    own = sorted((row for row in rows if os.path.basename(row.place.shard) == shard.name), key=lambda row: row.place.offset)
    lost = tuple((place, row.image) for place, row in enumerate(own) if size is None or row.end > size)
    return DamagedShard(shard.name, _reason_of_size(shard, size), lost)


def _reason_of_size(shard, size):
    if size is None:
        return "is missing"
    return f"is cut short ({size} of {shard.bytes} bytes)" if size < shard.bytes else f"is too long ({size} bytes for {shard.bytes})"


def _damage(folder, shard, rows, names):
    """As `_damage_by_size`, with every byte compared; rows in the order of their offsets."""
    path = folder / shard.name
    if not path.is_file():
        return _damage_by_size(folder, shard, rows)
    try:
        sha256, size = _sha256(path), path.stat().st_size
        if sha256 == shard.sha256:
            return None
        lost = _lost_records(path, rows)
    except OSError as error:
        return DamagedShard(shard.name, f"cannot be read ({error.strerror})", tuple((place, row.image) for place, row in enumerate(rows)))
    reason = "has other bytes than were written" if size == shard.bytes else _reason_of_size(shard, size)
    return DamagedShard(shard.name, f"has the content of {names[sha256]}" if sha256 in names else reason, lost)


def _lost_records(path, rows):
    """Which records are not as they were written: each begins where the one before it ends."""
    lost, start = [], 0
    with open(path, "rb") as file:
        for place, row in enumerate(rows):
            file.seek(start)
            if _crc32_of(file, row.end - start) != row.record_crc32:
                lost.append((place, row.image))
            start = row.end
    return tuple(lost)


def _crc32_of(file, count):
    """Of the next `count` bytes; None where there are fewer."""
    crc32 = 0
    while count > 0:
        chunk = file.read(min(count, _CHUNK_BYTES))
        if not chunk:
            return None
        crc32, count = zlib.crc32(chunk, crc32), count - len(chunk)
    return crc32


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checksum(stored):
    return hashlib.sha256(json.dumps(stored, sort_keys=True).encode()).hexdigest()
