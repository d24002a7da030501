"""Blocks of prepared data: photos that lie together in a shard are read at once, and mixed with those of many other blocks.

To seek each photo by itself costs a disk or a network 5 ms or more; a block is one seek for some dozens. The order of a training is
therefore a shuffle of blocks whose photos are scattered among those of the `window` blocks around: as random as a shuffle buffer of that
size, but decided by the seed alone, so that it can go on anywhere.
"""

import collections
import concurrent.futures
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from tfvision.data.shards.slices import read_bytes, slice_of

BLOCK_BYTES = 4 * 2**20  # of a shard: 20 to 40 ms of a disk or a network, so that the seek is the lesser part
WINDOW_BYTES = 256 * 2**20
_GAP_BYTES = 2**19  # that are read over rather than sought: photos of another split, or of another worker
_THREADS = 4
_PHOTOS_AT_ONCE = 16


@dataclasses.dataclass(frozen=True)
class PhotoBlocks:
    """Where photos lie in shards, and in which blocks.

    Attributes:
      shards: paths of the files.
      shard: int [photos], the number of each one's file.
      offset, size: int64 [photos], where its bytes begin, and how many they are.
      block: int [photos], the number of its block; every block has photos.
      window: over how many blocks the photos of one are scattered.
    """

    shards: tuple[str, ...]
    shard: np.ndarray
    offset: np.ndarray
    size: np.ndarray
    block: np.ndarray
    window: int

    def shuffled(self, generator: np.random.Generator) -> np.ndarray:
        """All photos in random order, int [photos], in which each lies at most window / 2 blocks from the place of its block.

        Blocks are put in random order first. At any place at most `window` + 1 of them are begun and not ended, and at least half as many.
        """
        count = int(self.block.max()) + 1
        places = generator.permutation(count)[self.block] + 0.5
        low, high = np.maximum(places - self.window / 2, 0), np.minimum(places + self.window / 2, count)
        return np.argsort(low + (high - low) * generator.random(len(places)), kind="stable")


def blocks_of(paths: Sequence[Path | str], block_bytes: int = BLOCK_BYTES, window_bytes: int = WINDOW_BYTES) -> PhotoBlocks | None:
    """The blocks of photos; None where some are files of their own, or all fit into the window: then they may be shuffled freely."""
    if not paths or slice_of(paths[-1]) is None:
        return None
    slices = [slice_of(path) for path in paths]
    if not all(slices):
        return None
    shards = tuple(sorted({one.shard for one in slices}))
    numbers = {name: number for number, name in enumerate(shards)}
    shard = np.array([numbers[one.shard] for one in slices])
    offset, size = np.array([one.offset for one in slices], np.int64), np.array([one.bytes for one in slices], np.int64)
    if size.sum() <= window_bytes:
        return None
    cells = offset // block_bytes
    _, block = np.unique(shard * (cells.max() + 1) + cells, return_inverse=True)
    # Blocks are smaller where only some of their photos are wanted, and larger where one photo is.
    window = window_bytes * (int(block.max()) + 1) // int(size.sum())
    return PhotoBlocks(shards, shard, offset, size, block, max(1, window))


def with_photos(chunks: Iterable[dict[str, np.ndarray]], blocks: PhotoBlocks) -> Iterator[dict[str, np.ndarray]]:
    """Reads the photos of an order by `PhotoBlocks.shuffled`, block by block, some ahead of the photo that is asked for.

    Args:
      chunks: {"position", "index"}, arrays in which no photo comes twice. A block is read once for each chunk that has photos of it.

    Yields:
      The same in smaller chunks, with "encoded": bytes, b"" where they could not be read: to read the photo by itself tells why.
    """
    for_blocks, for_photos = itertools.tee(enumerate(chunks))
    to_read = ((number, block, rows) for number, chunk in for_blocks for block, rows in _by_block(chunk["index"], blocks))
    held: dict[tuple[int, int], concurrent.futures.Future[dict[int, bytes]]] = {}
    threads = concurrent.futures.ThreadPoolExecutor(_THREADS)

    def take(key: tuple[int, int], row: int) -> bytes:
        while key not in held or len(held) <= blocks.window + _THREADS:
            if (ahead := next(to_read, None)) is None:
                break
            held[ahead[:2]] = threads.submit(_read, ahead[2], blocks)
        photos = held[key].result()
        encoded = photos.pop(row)
        if not photos:
            del held[key]
        return encoded

    try:
        for number, chunk in for_photos:
            for begin in range(0, len(chunk["index"]), _PHOTOS_AT_ONCE):
                part = {name: values[begin : begin + _PHOTOS_AT_ONCE] for name, values in chunk.items()}
                keys = ((number, block) for block in blocks.block[part["index"]].tolist())
                encoded = [take(key, row) for key, row in zip(keys, part["index"].tolist(), strict=True)]
                yield {**part, "encoded": np.array(encoded, object)}  # as bytes NumPy would drop zeros at their ends
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _by_block(rows: np.ndarray, blocks: PhotoBlocks) -> list[tuple[int, list[int]]]:
    """(block, its photos among `rows`), by the first of them."""
    found: dict[int, list[int]] = collections.defaultdict(list)
    for row, block in zip(rows.tolist(), blocks.block[rows].tolist(), strict=True):
        found[block].append(row)
    return list(found.items())


def _read(rows: list[int], blocks: PhotoBlocks) -> dict[int, bytes]:
    """The bytes of some photos of a block: one read, or several where much lies between them that is not wanted."""
    rows = sorted(rows, key=blocks.offset.__getitem__)
    starts, ends = blocks.offset[rows], blocks.offset[rows] + blocks.size[rows]
    photos = {}
    for stretch in np.split(np.arange(len(rows)), np.flatnonzero(starts[1:] - ends[:-1] > _GAP_BYTES) + 1):
        start = int(starts[stretch[0]])
        try:
            content = read_bytes(blocks.shards[blocks.shard[rows[0]]], start, int(ends[stretch[-1]]) - start)
        except OSError:
            content = b""
        photos.update((rows[one], content[starts[one] - start : ends[one] - start]) for one in stretch)
    return photos
