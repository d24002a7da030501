"""What is left of prepared data: every photo's slice of a shard checked against the index, and every byte against its checksum."""

import dataclasses
import os
import typing
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from tfvision.data.csv_table import CsvTable
from tfvision.data.shards.prepared_index import INDEX, LABELS, MANIFEST, PREPARED_COLUMNS, REMEDY, PreparedIndex, Shard
from tfvision.data.shards.slices import FOOTER_BYTES, HEADER_BYTES, Slice
from tfvision.errors import DataError
from tfvision.files import sha256_of

_CHUNK_BYTES = 1 << 20
_NAMED = 3


class PreparedRow(typing.NamedTuple):
    """Where the photo of a line of manifest.csv lies, the CRC-32 of its whole record, and the bytes that its source file had."""

    image: str
    slice: Slice
    record_crc32: int
    source_bytes: int

    @property
    def end(self) -> int:
        """Where its record ends in the shard."""
        return self.slice.offset + self.slice.bytes + FOOTER_BYTES


class DamagedShard(typing.NamedTuple):
    """A shard that is not as it was written: why, and its lost records as (number in the shard, image)."""

    name: str
    reason: str
    lost: tuple[tuple[int, str], ...]


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
    def lost(self) -> dict[str, int]:
        """{shard: number of records lost}, of damaged shards."""
        return {shard.name: len(shard.lost) for shard in self.damaged}

    @property
    def is_sound(self) -> bool:
        """Whether every byte is as it was written, and nothing was added."""
        return not self.damaged and not self.extra


def locate_photos(table: CsvTable, index: PreparedIndex) -> list[PreparedRow]:
    """Where the photos of a manifest lie in the shards of prepared data, checked against the index and the shards' sizes.

    Args:
      table: the manifest; index and shards lie beside it. It may name some of the photos only, unless it is manifest.csv.
      index: of `index_of`.

    Returns:
      A PreparedRow for each row.

    Raises:
      DataError: a line speaks of bytes that are not in the shard, or shards are missing or cut short; their lost records are
        counted.
    """
    folder, parsed = table.path.parent, _parse(table, index)
    damaged = [damage for shard in index.shards.values() if (damage := _damage_by_size(folder, shard, parsed))]
    if damaged:
        told = "; ".join(
            f"{shard.name} {shard.reason}, {len(shard.lost)} of its {index.shards[shard.name].records} records are lost" for shard in damaged[:_NAMED]
        )
        more = f"; so are {len(damaged) - _NAMED} more shards" if len(damaged) > _NAMED else ""
        lost = sum(len(shard.lost) for shard in damaged)
        raise DataError(f"{folder}: {told}{more} ({lost} of {index.photos} photos): restore the shards, or prepare the photos again")
    return parsed


def verify_prepared(folder: Path | str, on_bytes: Callable[[int], None] | None = None) -> Verification:
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
    rows = _parse(CsvTable.read(folder / MANIFEST), index)
    rows_of: dict[str, list[PreparedRow]] = {name: [] for name in index.shards}
    for row in rows:
        rows_of[os.path.basename(row.slice.shard)].append(row)
    names = {shard.sha256: shard.name for shard in index.shards.values()}
    damaged = []
    for shard in index.shards.values():
        damage = _damage(folder, shard, sorted(rows_of[shard.name], key=lambda row: row.slice.offset), names)
        damaged += [damage] if damage else []
        if on_bytes:
            on_bytes(shard.bytes)
    extra = sorted(path.name for path in folder.glob("*.tfrecord") if path.name not in index.shards)
    return Verification(len(rows), tuple(damaged), tuple(extra))


def _parse(table: CsvTable, index: PreparedIndex) -> list[PreparedRow]:
    rows = zip(table.lines, *(table.texts(name) for name in ("image", *PREPARED_COLUMNS)), strict=True)
    parsed = [_parsed(table.path, index, line, *(text.strip() for text in texts)) for line, *texts in rows]
    if table.path.name == MANIFEST and len(parsed) != index.photos:
        raise DataError(f"{table.path} lists {len(parsed)} photos, the index {index.photos}: {REMEDY}")
    return parsed


def _parsed(
    path: Path, index: PreparedIndex, line: int, image: str, shard: str, offset: str, size: str, crc32: str, record_crc32: str, source_bytes: str
) -> PreparedRow:
    known = index.shards.get(shard)
    if known is None:
        raise DataError(f"{path}, line {line}: {shard[:80]!r} is none of the shards that {INDEX} names")
    try:
        start, length, source_length = _natural(offset), _natural(size), _natural(source_bytes)
        checksum, record_checksum = _crc32(crc32), _crc32(record_crc32)
    except ValueError as error:
        raise DataError(f"{path}, line {line}: {error}") from None
    if start < HEADER_BYTES or not length or start + length + FOOTER_BYTES > known.bytes:
        raise DataError(f"{path}, line {line}: bytes {start} to {start + length} are not within {known.name}, which has {known.bytes}")
    return PreparedRow(image, Slice(os.path.join(os.path.dirname(path), known.name), start, length, checksum), record_checksum, source_length)


def _natural(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise ValueError(f"{text[:40]!r} is no number of bytes")
    return int(text)


def _crc32(text: str) -> int:
    if len(text) != 8 or set(text) - set("0123456789abcdef"):
        raise ValueError(f"{text[:40]!r} is no CRC-32 of 8 hex digits")
    return int(text, 16)


def _damage_by_size(folder: Path, shard: Shard, rows: Sequence[PreparedRow]) -> DamagedShard | None:
    """A DamagedShard where a shard is missing or of another size than it was written with."""
    path = folder / shard.name
    size = path.stat().st_size if path.is_file() else None
    if size == shard.bytes:
        return None
    own = sorted((row for row in rows if os.path.basename(row.slice.shard) == shard.name), key=lambda row: row.slice.offset)
    lost = tuple((number, row.image) for number, row in enumerate(own) if size is None or row.end > size)
    return DamagedShard(shard.name, _reason_of_size(shard, size), lost)


def _reason_of_size(shard: Shard, size: int | None) -> str:
    if size is None:
        return "is missing"
    return f"is cut short ({size} of {shard.bytes} bytes)" if size < shard.bytes else f"is too long ({size} bytes for {shard.bytes})"


def _damage(folder: Path, shard: Shard, rows: Sequence[PreparedRow], names: dict[str, str]) -> DamagedShard | None:
    """As `_damage_by_size`, with every byte compared; rows in the order of their offsets."""
    path = folder / shard.name
    if not path.is_file():
        return _damage_by_size(folder, shard, rows)
    try:
        sha256, size = sha256_of(path), path.stat().st_size
        if sha256 == shard.sha256:
            return None
        lost = _lost_records(path, rows)
    except OSError as error:
        return DamagedShard(shard.name, f"cannot be read ({error.strerror})", tuple((number, row.image) for number, row in enumerate(rows)))
    reason = "has other bytes than were written" if size == shard.bytes else _reason_of_size(shard, size)
    return DamagedShard(shard.name, f"has the content of {names[sha256]}" if sha256 in names else reason, lost)


def _lost_records(path: Path, rows: Sequence[PreparedRow]) -> tuple[tuple[int, str], ...]:
    """Which records are not as they were written: each begins where the one before it ends."""
    lost, start = [], 0
    with open(path, "rb") as file:
        for number, row in enumerate(rows):
            file.seek(start)
            if _crc32_of(file, row.end - start) != row.record_crc32:
                lost.append((number, row.image))
            start = row.end
    return tuple(lost)


def _crc32_of(file: typing.BinaryIO, count: int) -> int | None:
    """Of the next `count` bytes; None where there are fewer."""
    crc32 = 0
    while count > 0:
        chunk = file.read(min(count, _CHUNK_BYTES))
        if not chunk:
            return None
        crc32, count = zlib.crc32(chunk, crc32), count - len(chunk)
    return crc32
