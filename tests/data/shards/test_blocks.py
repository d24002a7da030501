import zlib

import numpy as np
import pytest

from tfvision.data.pipeline import TrainingOrder
from tfvision.data.shards import blocks as blocks_module
from tfvision.data.shards.blocks import blocks_of, with_photos
from tfvision.data.shards.slices import Slice, shard_name

SHARDS, PHOTOS = 3, 200
BLOCK_BYTES, WINDOW_BYTES = 1000, 8000


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """[(path, bytes)] of photos of 50 to 150 bytes that end in zeros, 30 bytes apart in three shards, in no order."""
    folder, generator, photos = tmp_path_factory.mktemp("shards"), np.random.default_rng(0), []
    for number in range(SHARDS):
        shard, content = folder / shard_name(number, SHARDS), b""
        for photo in range(PHOTOS):
            encoded = generator.bytes(int(generator.integers(50, 150))) + b"\0\0"
            content += b"-" * 30
            photos.append((Slice(str(shard), len(content), len(encoded), zlib.crc32(encoded)).path(f"{number}-{photo}.jpg"), encoded))
            content += encoded
        shard.write_bytes(content)
    return [photos[row] for row in generator.permutation(len(photos))]


@pytest.fixture
def blocks(photos):
    return blocks_of([path for path, _ in photos], BLOCK_BYTES, WINDOW_BYTES)


def order_of(blocks, seed=0):
    return TrainingOrder(np.zeros(SHARDS * PHOTOS, int), seed, blocks=blocks)


def joined(chunks):
    chunks = list(chunks)
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def test_a_block_is_what_lies_together_in_a_shard(photos, blocks):
    assert blocks.block.max() + 1 == len(np.unique(blocks.block))
    bytes_a_block = blocks.size.sum() / (blocks.block.max() + 1)
    assert WINDOW_BYTES - bytes_a_block < blocks.window * bytes_a_block <= WINDOW_BYTES
    for block in range(blocks.block.max() + 1):
        rows = np.flatnonzero(blocks.block == block)
        assert len({photos[row][0].split(".tfrecord")[0] for row in rows}) == 1
        assert np.ptp(blocks.offset[rows]) < BLOCK_BYTES


def test_files_of_their_own_and_what_fits_into_the_window_have_no_blocks(photos):
    paths = [path for path, _ in photos]
    assert blocks_of([*paths[1:], "photos/1.jpg"], BLOCK_BYTES, WINDOW_BYTES) is None
    assert blocks_of(["photos/1.jpg", *paths[1:]], BLOCK_BYTES, WINDOW_BYTES) is None
    assert blocks_of(paths, BLOCK_BYTES, sum(len(encoded) for _, encoded in photos)) is None
    assert blocks_of([], BLOCK_BYTES, WINDOW_BYTES) is None


def test_every_photo_comes_once_an_epoch_in_an_order_of_the_seed_and_the_epoch(blocks):
    epochs = joined(order_of(blocks).positions(0, 3 * SHARDS * PHOTOS))["index"].reshape(3, -1)
    assert (np.sort(epochs) == np.arange(SHARDS * PHOTOS)).all()
    assert (epochs[0] != epochs[1]).any() and (epochs[1] != epochs[2]).any()
    assert (joined(order_of(blocks).positions(0, 600))["index"] == epochs[0]).all()
    assert (joined(order_of(blocks, seed=1).positions(0, 600))["index"] != epochs[0]).any()


def test_an_order_by_blocks_goes_on_anywhere(blocks):
    whole = joined(order_of(blocks).positions(0, 1500))
    for start, stop in ((0, 1), (599, 601), (250, 1300)):
        part = joined(order_of(blocks).positions(start, stop))
        assert part["index"].tolist() == whole["index"][start:stop].tolist()
        assert part["position"].tolist() == list(range(start, stop))


def test_few_blocks_are_open_at_any_place_and_their_photos_are_mixed_from_the_start(blocks):
    seen = blocks.block[blocks.shuffled(np.random.default_rng(3))]
    spans = [np.flatnonzero(seen == block)[[0, -1]] for block in np.unique(seen)]
    open_at = [sum(first <= place <= last for first, last in spans) for place in range(len(seen))]
    assert max(open_at) <= blocks.window + 1 < len(spans) / 4
    for place in range(0, len(seen) - 16, 16):
        assert len(np.unique(seen[place : place + 16])) >= blocks.window / 2


@pytest.mark.parametrize("start", [0, 321])
def test_photos_are_read_by_blocks_as_they_were_written(photos, blocks, start, monkeypatch):
    reads, read_bytes = [], blocks_module.read_bytes
    monkeypatch.setattr(blocks_module, "read_bytes", lambda *where: reads.append(where) or read_bytes(*where))
    found = joined(with_photos(order_of(blocks).positions(start, 1200), blocks))
    assert found["position"].tolist() == list(range(start, 1200))
    assert [photos[row][1] for row in found["index"]] == found["encoded"].tolist()
    count = int(blocks.block.max()) + 1
    assert len(reads) <= 2 * count < 1200 / 4


def test_what_is_held_is_bounded(blocks, monkeypatch):
    begun, ended, most = set(), set(), 0
    read = blocks_module._read
    monkeypatch.setattr(blocks_module, "_read", lambda rows, blocks: begun.update(rows) or read(rows, blocks))
    for chunk in with_photos(order_of(blocks).positions(0, 600), blocks):
        ended.update(chunk["index"].tolist())
        most = max(most, sum(int(blocks.size[row]) for row in begun - ended))
    assert most <= (blocks.window + 5) * (BLOCK_BYTES + 152)


def test_what_lies_far_apart_is_sought_rather_than_read_over(photos, blocks, monkeypatch):
    reads, read_bytes = [], blocks_module.read_bytes
    monkeypatch.setattr(blocks_module, "read_bytes", lambda *where: reads.append(where[2]) or read_bytes(*where))
    monkeypatch.setattr(blocks_module, "_GAP_BYTES", 200)
    rows = np.flatnonzero(blocks.block == 0)
    rows = rows[np.argsort(blocks.offset[rows])][[0, 1, 5]]
    chunk = {"position": np.arange(3), "index": rows}
    assert joined(with_photos([chunk], blocks))["encoded"].tolist() == [photos[row][1] for row in rows]
    assert reads == [blocks.size[rows[0]] + 30 + blocks.size[rows[1]], blocks.size[rows[2]]]


def test_a_shard_that_is_gone_or_cut_leaves_its_photos_to_be_read_one_by_one(photos, tmp_path):
    moved = [(path.replace(path.split("/shard-")[0], str(tmp_path)), encoded) for path, encoded in photos]
    blocks = blocks_of([path for path, _ in moved], BLOCK_BYTES, WINDOW_BYTES)
    cut = tmp_path / shard_name(1, SHARDS)
    cut.write_bytes(open(photos[0][0].split("/shard-")[0] + "/" + cut.name, "rb").read()[:10_000])
    found = joined(with_photos(order_of(blocks).positions(0, 600), blocks))
    for row, encoded in zip(found["index"], found["encoded"], strict=True):
        is_there = blocks.shards[blocks.shard[row]] == str(cut) and blocks.offset[row] + blocks.size[row] <= 10_000
        assert (encoded == moved[row][1]) == is_there
