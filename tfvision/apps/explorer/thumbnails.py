"""Thumbnails in packed sheets, made once: 256 in a file, each a WebP or a JPEG, whichever is smaller.

A sheet is `count` uint32, then `count + 1` uint32 offsets from the end of these, then the encoded thumbnails, all
little-endian; one of no bytes is of a picture that cannot be read. `sheets.json` lists the ids in the order of the sheets.
"""

import concurrent.futures
import io
import os
import sys
import threading
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from tfvision.data.decoding import thumbnail_jpeg
from tfvision.data.shards.slices import photo_file
from tfvision.errors import FileError
from tfvision.files import checksum_of, read_json, write_bytes, write_json

THUMBNAIL_PX = 160
SHEET = 256  # thumbnails
_INDEX = "sheets.json"
_REMEDY = "thumbnails are made again"
_SHEETS_BETWEEN_LISTS = 8
_WORKERS = 2


class Thumbnails:
    """The thumbnails of a collection: read from sheets, or made when asked for; `fill` makes the rest.

    Args:
      folder: where the sheets lie.
      ids: of all pictures, in their order.
      path_of: a function, position -> path.
      is_readable: a function, position -> whether the picture was read once: then an empty thumbnail is of a time when its disk was away.
    """

    def __init__(
        self, folder: str | Path, ids: Sequence[str], path_of: Callable[[int], str], is_readable: Callable[[int], bool] = lambda position: False
    ) -> None:
        self._folder, self._ids, self._path_of, self._is_readable = Path(folder), ids, path_of, is_readable
        self._lock = threading.Lock()
        self._packed, self._crc32 = _listed(self._folder)
        if self._packed == list(ids):
            self._packed = list(ids)  # a million texts are held once
        # Of a million most lie in the order of the pictures: no map is kept of these.
        self._slots = {id: slot for slot, id in enumerate(self._packed) if id is not None and not (slot < len(ids) and ids[slot] == id)}
        self._sheets: dict[int, np.ndarray | None] = {}
        self._fresh: dict[str, bytes] = {}
        # Two pools: who waits for a thumbnail does not stand in line behind all the others.
        self._makers, self._fillers = (concurrent.futures.ThreadPoolExecutor(_WORKERS, "thumbnails") for _ in range(2))

    def __len__(self) -> int:
        """How many are there."""
        if self._packed == self._ids:
            return len(self._ids)
        return sum(self._slot(position) is not None or id in self._fresh for position, id in enumerate(self._ids))

    def get(self, position: int) -> bytes:
        """The encoded thumbnail of a picture, made now if need be; b"" where it cannot be read."""
        found = self._ready(position)
        return self._make(position) if found is None else found

    def get_many(self, positions: Sequence[int], seconds: float) -> list[bytes | None]:
        """Encoded thumbnails; None for each that could not be made within so many seconds."""
        found = {position: self._ready(position) for position in positions}
        futures = {position: self._makers.submit(self.get, position) for position, encoded in found.items() if encoded is None}
        concurrent.futures.wait(futures.values(), seconds)
        for position, future in futures.items():
            found[position] = future.result() if future.done() and not future.cancelled() else None
            future.cancel()
        return [found[position] for position in positions]

    def forget(self, ids: Iterable[str]) -> None:
        """Pictures that changed are made anew."""
        with self._lock:
            gone = set(ids)
            if gone:
                self._packed = [None if id in gone else id for id in self._packed]
            for id in gone:
                self._slots.pop(id, None)
                self._fresh.pop(id, None)

    def fill(self, advance: Callable[[int], object] = lambda count: None, is_stopped: Callable[[], bool] = lambda: False) -> None:
        """Makes all that are missing and packs them. Raises StorageError."""
        for number in range(len(self._crc32)):
            self._sheet(number)  # what is damaged is missing
        missing = [position for position in range(len(self._ids)) if self._slot(position) is None]
        for number, start in enumerate(range(0, len(missing), SHEET), 1):
            if is_stopped():
                break
            made, ids = {}, [self._ids[position] for position in missing[start : start + SHEET]]
            for id, thumbnail in zip(ids, self._fillers.map(self.get, missing[start : start + SHEET]), strict=True):
                if thumbnail or id in self._fresh:
                    made[id] = thumbnail
                advance(1)
                if is_stopped():
                    break  # the sheet is short
            if made:
                self._pack(list(made), list(made.values()), is_listed=number % _SHEETS_BETWEEN_LISTS == 0)
        self._list()

    def _slot(self, position):
        """Where a picture's thumbnail lies in the sheets, or None."""
        id = self._ids[position]
        return position if position < len(self._packed) and self._packed[position] == id else self._slots.get(id)

    def _ready(self, position):
        id = self._ids[position]
        if id in self._fresh:
            return self._fresh[id]
        slot = self._slot(position)
        if slot is None or (sheet := self._sheet(slot // SHEET)) is None:
            return None
        return thumbnail_of(sheet, slot % SHEET) or (None if self._is_readable(position) else b"")

    def _make(self, position):
        path = self._path_of(position)
        jpeg = thumbnail_jpeg(path, THUMBNAIL_PX)
        encoded = smaller_encoding(jpeg) if jpeg else b""
        if jpeg or os.path.exists(photo_file(path)):  # what is away, as with an unplugged disk, is tried again
            self._fresh[self._ids[position]] = encoded
        return encoded

    def _pack(self, ids, thumbnails, is_listed):
        with self._lock:
            padding = -len(self._packed) % SHEET  # what a short last sheet of an earlier time leaves
            number = (len(self._packed) + padding) // SHEET
            crc32 = write_sheet(sheet_path(self._folder, number), thumbnails)
            self._crc32[number:] = [crc32]
            first = number * SHEET
            self._packed += [None] * padding + ids
            self._slots.update(zip(ids, range(first, first + len(ids)), strict=True))
            for id in ids:
                self._fresh.pop(id, None)
        if is_listed:
            self._list()

    def _list(self):
        with self._lock:
            listed = {"thumbnail_px": THUMBNAIL_PX, "ids": self._packed, "crc32": self._crc32}
            write_json(self._folder / _INDEX, {**listed, "checksum": checksum_of(listed)})

    def _sheet(self, number):
        """A sheet, uint8 [bytes]; None where it is missing or damaged: its thumbnails are made again."""
        if number not in self._sheets:
            path = sheet_path(self._folder, number)
            ids = [id for id in self._packed[number * SHEET : (number + 1) * SHEET] if id is not None]
            sheet = _sound_sheet(path, self._crc32[number], len(ids))
            if sheet is None and ids:
                print(f"{path} is missing or damaged: its {_REMEDY}", file=sys.stderr)
                self.forget(ids)
            self._sheets[number] = sheet
        return self._sheets[number]


def sheet_path(folder: str | Path, number: int) -> Path:
    """Where a sheet lies."""
    return Path(folder) / f"sheet-{number:05d}.bin"


def write_sheet(path: Path, thumbnails: Sequence[bytes]) -> int:
    """Writes encoded thumbnails as a sheet, atomically; returns its CRC-32. Raises StorageError."""
    offsets = np.cumsum([0, *map(len, thumbnails)])
    content = np.array([len(thumbnails), *offsets], "<u4").tobytes() + b"".join(thumbnails)
    write_bytes(path, content)
    return zlib.crc32(content)


def thumbnail_of(sheet: np.ndarray, position: int) -> bytes:
    """The encoded thumbnail at a position of a sheet, which is uint8 [bytes]."""
    count = int(sheet[:4].view("<u4")[0])
    start, end = sheet[4 + 4 * position : 12 + 4 * position].view("<u4").tolist()
    body = 8 + 4 * count
    return sheet[body + start : body + end].tobytes()


def smaller_encoding(jpeg: bytes) -> bytes:
    """A JPEG as it is, or as a WebP where that is smaller."""
    import PIL.Image

    buffer = io.BytesIO()
    with PIL.Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
        image.save(buffer, "WEBP", quality=80, method=2)
    return min(jpeg, buffer.getvalue(), key=len)


def _listed(folder):
    """(ids in the order of the sheets, CRC-32 of each sheet), None where nothing is known; lists of what is there to be read."""
    path = folder / _INDEX
    if not os.path.lexists(path):
        return [], []
    try:
        stored = read_json(path, {"ids": tuple[str | None, ...], "crc32": tuple[int | None, ...] | None}, _REMEDY)
        checksum = stored.pop("checksum", None)
        if checksum not in (None, checksum_of(stored)):
            raise FileError(f"{path} is not as it was written; {_REMEDY}")
    except FileError as error:
        print(error, file=sys.stderr)
        return [], []
    there = {path.name for path in folder.glob("sheet-*.bin")}
    ids = list(stored["ids"])
    for number, start in enumerate(range(0, len(ids), SHEET)):
        if sheet_path(folder, number).name not in there:
            ids[start : start + SHEET] = [None] * len(ids[start : start + SHEET])
    return ids, [*(stored.get("crc32") or ()), *[None] * -(-len(ids) // SHEET)][: -(-len(ids) // SHEET)]  # tfvision 0.2 wrote none


def _sound_sheet(path, crc32, least):
    """A sheet of so many thumbnails at least, memory-mapped; None where it is none, or not the one of a CRC-32."""
    try:
        sheet = np.memmap(path, np.uint8, "r")
    except (OSError, ValueError):  # missing, a folder, empty
        return None
    if crc32 is not None and crc32 != zlib.crc32(path.read_bytes()):  # not by the map: all its pages would stay in memory
        return None
    count = int(sheet[:4].view("<u4")[0]) if len(sheet) >= 4 else SHEET + 1
    body = 8 + 4 * count
    if not least <= count <= SHEET or len(sheet) < body:
        return None
    offsets = sheet[4:body].view("<u4").astype(np.int64)
    return sheet if offsets[0] == 0 and (np.diff(offsets) >= 0).all() and body + offsets[-1] == len(sheet) else None
