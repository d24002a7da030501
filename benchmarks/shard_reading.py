"""Prepared photos read by blocks and one by one, from storage whose every seek takes time; and how well the blocks' order mixes classes.

    python benchmarks/shard_reading.py [--photos 2400] [--seek-ms 5] [--megabytes 200] [--no-training]

Photos are textures of 1056 x 792 px at quality 90, as `tfvision data prepare` leaves them, behind each other in shards of 512. Every read takes
so long for the seek and so long for its bytes: on a disk one after another, on a network many at once. What is asked is the training's own:
four reads at once where photos are read one by one (`_PHOTOS_AT_ONCE` of the pipeline on two cores), `with_photos` by blocks.
"""

import concurrent.futures
import contextlib
import io
import os
import tempfile
import threading
import time
import zlib
from pathlib import Path

import click
import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
_A_SHARD = 512
_DRAWN = 32  # textures; each photo is one of them
_BATCH = 32
_PAPER_PHOTOS, _PAPER_CLASSES, _PAPER_BYTES = 1_200_000, 1000, 150_000


@click.command()
@click.option("--photos", default=2400, show_default=True)
@click.option("--seek-ms", default=5.0, show_default=True)
@click.option("--megabytes", default=200.0, show_default=True, help="A second, of the storage.")
@click.option("--training/--no-training", default=True, show_default=True, help="Whether the whole pipeline is measured as well.")
def main(photos, seek_ms, megabytes, training):
    """Print photos a second, and how many classes lie in a batch."""
    from tfvision.data.shards.blocks import blocks_of

    with tempfile.TemporaryDirectory() as folder:
        paths = _write(Path(folder), photos)
        blocks = blocks_of(paths)
        if blocks is None:
            raise click.UsageError("so few photos fit into the window and are shuffled freely: give more --photos")
        ways = {"reading alone": _read_alone, **({"the training pipeline, 224 px": _train} if training else {})}
        size_kb, count = sum(blocks.size) / photos / 1000, blocks.block.max() + 1
        print(f"{photos} photos, {size_kb:.0f} KB each, {count} blocks, window of {blocks.window}; {os.cpu_count()} cores; photos a second:")
        print(f"{f'a seek of {seek_ms:g} ms, {megabytes:g} MB/s':<40} {'one by one':>12} {'by blocks':>12} {'ratio':>7}  reads")
        for name, way in ways.items():
            for storage, is_parallel in (("disk", False), ("network", True)):
                rates, reads = zip(*(_rate(way, paths, blocks, by, seek_ms, megabytes, is_parallel) for by in (None, blocks)), strict=True)
                print(f"{name + ', ' + storage:<40} {rates[0]:12.0f} {rates[1]:12.0f} {rates[1] / rates[0]:7.1f}  {reads[0]}, {reads[1]}", flush=True)
    _show_mixing()


def _write(folder, count):
    """Paths of photos in shards."""
    import PIL.Image

    from tfvision.data.shards.slices import Slice, shard_name

    drawn, paths = [], []
    for number in range(_DRAWN):
        random, pixels = np.random.default_rng(number), np.full((792, 1056, 3), 128, np.float32)
        for cells, strength in ((8, 40), (32, 25), (128, 15), (512, 10)):
            waves = [PIL.Image.fromarray(random.normal(0, strength, (cells * 3 // 4, cells)).astype(np.float32)) for _ in range(3)]
            pixels += np.stack([np.asarray(wave.resize((1056, 792), PIL.Image.Resampling.BICUBIC)) for wave in waves], axis=-1)
        file = io.BytesIO()
        PIL.Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
        drawn.append(file.getvalue())
    for number in range(-(-count // _A_SHARD)):
        shard, content = folder / shard_name(number, count), io.BytesIO()
        for photo in range(number * _A_SHARD, min((number + 1) * _A_SHARD, count)):
            encoded = drawn[photo % _DRAWN]
            paths.append(Slice(str(shard), content.tell(), len(encoded), zlib.crc32(encoded)).path(f"{photo}.jpg"))
            content.write(encoded)
        shard.write_bytes(content.getvalue())
    return paths


def _rate(way, paths, blocks, by, seek_ms, megabytes, is_parallel):
    """(photos a second, reads) of an epoch."""
    with _slow_storage(seek_ms / 1000, megabytes * 1e6, is_parallel) as reads:
        started = time.perf_counter()
        way(paths, blocks if by else None)
        return len(paths) / (time.perf_counter() - started), len(reads)


@contextlib.contextmanager
def _slow_storage(seek_seconds, bytes_per_second, is_parallel):
    """Every read of a shard takes its time; the list of them."""
    from tfvision.data.shards import blocks, slices

    reads, read_bytes, arm = [], slices.read_bytes, contextlib.nullcontext() if is_parallel else threading.Lock()

    def slow(shard, offset, count):
        reads.append((shard, offset, count))
        with arm:
            time.sleep(seek_seconds + count / bytes_per_second)
            return read_bytes(shard, offset, count)

    slices.read_bytes = blocks.read_bytes = slow
    try:
        yield reads
    finally:
        slices.read_bytes = blocks.read_bytes = read_bytes


def _order(paths, blocks):
    from tfvision.data.pipeline import TrainingOrder

    return TrainingOrder(np.zeros(len(paths), int), 0, blocks=blocks)


def _read_alone(paths, blocks):
    from tfvision.data.decoding import read_encoded
    from tfvision.data.shards.blocks import with_photos

    chunks = _order(paths, blocks).positions(0, len(paths))
    if blocks:
        return sum(len(encoded) for chunk in with_photos(chunks, blocks) for encoded in chunk["encoded"])
    with concurrent.futures.ThreadPoolExecutor(2 * os.cpu_count()) as threads:
        return sum(len(encoded) for chunk in chunks for encoded in threads.map(lambda row: read_encoded(paths[row]), chunk["index"].tolist()))


def _train(paths, blocks):
    from tfvision.data.augmentation import Augmentation
    from tfvision.data.manifest import Manifest, Record
    from tfvision.data.pipeline import BrokenPhotos, ViewSettings, training_batches

    manifest = Manifest(("species",), tuple(Record(path, path, ("a",), path) for path in paths))
    settings, order, labels = ViewSettings(("whole",), 224, Augmentation()), _order(paths, blocks), np.zeros(len(paths), np.int32)
    for _ in training_batches(manifest, labels, settings, lambda: order.positions(0, len(paths)), 0, _BATCH, BrokenPhotos(), blocks=blocks):
        pass


def _show_mixing():
    """1.2 million photos of 1000 classes: in shards as `prepare` fills them, at random, and in shards of a class after another."""
    from tfvision.data.pipeline import TrainingOrder
    from tfvision.data.shards.blocks import BLOCK_BYTES, WINDOW_BYTES, PhotoBlocks

    places = np.arange(_PAPER_PHOTOS)
    shard, offset = places // _A_SHARD, places % _A_SHARD * _PAPER_BYTES
    _, block = np.unique(shard * 1000 + offset // BLOCK_BYTES, return_inverse=True)
    blocks = PhotoBlocks((), shard, offset, np.full(len(places), _PAPER_BYTES), block, WINDOW_BYTES // BLOCK_BYTES)
    sorted_labels = places * _PAPER_CLASSES // _PAPER_PHOTOS
    labels = np.random.default_rng(1).permutation(sorted_labels)
    print(f"\n{_PAPER_PHOTOS:,} photos of {_PAPER_CLASSES} classes, {block.max() + 1} blocks")
    print(f"{'':<42} {'classes in 32':>14} {'in 1024':>8}  pairs of a batch that meet again in the next epoch's")
    rows = {
        "a full shuffle": (labels, None),
        "by blocks, shards as prepare fills them": (labels, blocks),
        "by blocks, a class after another": (sorted_labels, blocks),
    }
    for name, (of, by) in rows.items():
        order = TrainingOrder(of, 0, blocks=by)
        seen = np.concatenate([chunk["index"] for chunk in order.positions(0, 2 * len(of))]).reshape(2, -1)
        print(f"{name:<42} {_classes(of[seen[0]], 32):14.2f} {_classes(of[seen[0]], 1024):8.1f}  {_meet_again(seen):.1e}")


def _classes(labels, size):
    batches = np.sort(labels[: len(labels) // size * size].reshape(-1, size), axis=1)
    return 1 + (np.diff(batches, axis=1) != 0).sum(1).mean()


def _meet_again(seen):
    """The share of pairs within a batch of one epoch that are in one batch of the next as well."""
    batch = np.empty(seen.shape, np.int64)
    for epoch in (0, 1):
        batch[epoch, seen[epoch]] = np.arange(seen.shape[1]) // _BATCH
    together = np.unique(batch[0] * seen.shape[1] + batch[1], return_counts=True)[1]
    return (together * (together - 1) / 2).sum() / (seen.shape[1] * (_BATCH - 1) / 2)


if __name__ == "__main__":
    main()
