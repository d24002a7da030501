"""Prepared data: a folder of TFRecord shards, with a manifest that says where each photo lies, and an index with checksums.

- shard-00000-of-00008.tfrecord, ...: TFRecords of tf.train.Example, the image last in each.
- manifest.csv: a line a photo, with the columns of its source and PREPARED_COLUMNS.
- labels.json: the taxonomy. index.json: format, settings, ranks, totals, shards, broken photos, checksums of all files.

Nothing of what the files say is believed before it is checked: the folder may have come from anywhere.
"""

import dataclasses
import typing
from pathlib import Path

from tfvision.data.shards.slices import SHARD_NAME
from tfvision.errors import DataError
from tfvision.files import checksum_of, parse_json, sha256_of, write_json

FORMAT, VERSION = "tfvision prepared data", 1
INDEX, MANIFEST, LABELS, UNFINISHED = "index.json", "manifest.csv", "labels.json", "preparing.json"
PREPARED_COLUMNS = ("shard", "offset", "bytes", "crc32", "record_crc32", "source_bytes")
REMEDY = "restore the file, or prepare the photos again"
_HEAD_BYTES = 4096
_LARGEST_INDEX_BYTES = 1 << 30
_LARGEST_NUMBER = 1 << 53


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

    settings: dict[str, typing.Any]
    ranks: tuple[str, ...]
    photos: int
    shards: dict[str, Shard]
    broken: tuple[dict[str, str], ...]
    sha256: dict[str, str]

    @classmethod
    def open(cls, folder: Path | str) -> "PreparedIndex":
        """Reads index.json, which must be as it was written. Raises DataError."""
        path = Path(folder) / INDEX
        if (Path(folder) / UNFINISHED).exists() and not path.exists():
            raise DataError(f"{folder} is unfinished: go on with `tfvision data prepare ... {folder} --resume`")
        try:
            if path.stat().st_size > _LARGEST_INDEX_BYTES:
                raise ValueError("it is too large")
            stored = parse_json(path.read_bytes())
            if stored.pop("checksum") != checksum_of(stored):
                raise ValueError("it is not as it was written")
            if (stored["format"], stored["version"]) != (FORMAT, VERSION):
                raise ValueError(f"its format is {stored['format']!r}, version {stored['version']!r}")
            return _checked_index(stored)
        except FileNotFoundError:
            raise DataError(f"{path} does not exist, so {folder} cannot be read as prepared data: {REMEDY}") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = str(error) if isinstance(error, (OSError, ValueError)) else "parts of it are missing"
            raise DataError(f"{path} is damaged ({reason}): {REMEDY}") from None

    def save(self, folder: Path | str) -> None:
        """Writes index.json, atomically."""
        shards = [dataclasses.asdict(shard) for shard in self.shards.values()]
        stored = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self), "shards": shards}
        write_json(Path(folder) / INDEX, {**stored, "checksum": checksum_of(stored)})

    def check_file(self, folder: Path | str, name: str) -> None:
        """Compares manifest.csv or labels.json with its checksum. Raises DataError."""
        path = Path(folder) / name
        try:
            is_right = sha256_of(path) == self.sha256[name]
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror}): {REMEDY}") from None
        if not is_right:
            raise DataError(f"{path} is damaged or was changed since it was written: {REMEDY}; keep lists of your own under another name beside it")


def is_prepared(folder: Path | str) -> bool:
    """Whether a folder holds prepared data: whole, damaged or unfinished."""
    folder = Path(folder)
    has_columns = ",".join(PREPARED_COLUMNS).encode() in _head(folder / MANIFEST)
    return has_columns or f'"{FORMAT}"'.encode() in _head(folder / INDEX) or (folder / UNFINISHED).is_file()


def index_of(path: Path | str) -> PreparedIndex | None:
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


def _head(path):
    try:
        with open(path, "rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""


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
