import dataclasses
import itertools
import pathlib

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from tfvision.data import pipeline
from tfvision.data.augmentation import Augmentation, distort
from tfvision.data.manifest import Manifest, Record, read_source
from tfvision.data.pipeline import BrokenPhotos, TrainingOrder, ViewSettings, distorted, evaluation_batches, training_batches
from tfvision.data.shards.blocks import blocks_of
from tfvision.data.shards.slices import slice_of
from tfvision.data.splits import split_validation

COUNT = 7
SETTINGS = ViewSettings(("whole", "crop"), 16, Augmentation(contrast=0.0, saturation=0.0))  # two orders compile fast, 24 do not


def smooth_image(number, width=48, height=40):
    row, column = np.mgrid[:height, :width] / 48
    return np.stack([200 * column + 7 * number, 200 * row, 90 * (row + column) + number], axis=-1).clip(0, 255).astype(np.uint8)


def manifest_of(paths, boxes=None):
    boxes = boxes or [(0.0,) * 4] * len(paths)
    return Manifest(("species",), tuple(Record(str(p), p.name, ("a",), p.name, box=b) for p, b in zip(paths, boxes, strict=True)))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"{number}.{'jpg' if number % 2 else 'png'}" for number in range(COUNT)]
    for number, path in enumerate(paths):
        PIL.Image.fromarray(smooth_image(number)).save(path)
    return manifest_of(paths)


LABELS = np.arange(COUNT) * 10


def path_of(manifest, number):
    return pathlib.Path(manifest.records[number].path)


def batches_of(manifest, positions, seed=5, batch_size=4, settings=SETTINGS, broken=None, **options):
    order = TrainingOrder(np.arange(len(manifest)) % 2, seed)
    labels = np.arange(len(manifest)) * 10
    broken = BrokenPhotos() if broken is None else broken
    dataset = training_batches(manifest, labels, settings, lambda: order.positions(*positions), seed, batch_size, broken, **options)
    return list(dataset.as_numpy_iterator())


def joined(batches):
    """One batch of all batches."""
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)


def part_of(batch, start, stop):
    return tf.nest.map_structure(lambda values: values[start:stop], batch)


@pytest.fixture(scope="module")
def trained_on(manifest):
    """One batch of all that the positions 0 to 30 give, four epochs and a bit: what many tests compare with."""
    return joined(batches_of(manifest, (0, 30)))


def assert_equal(one, other):
    tf.nest.map_structure(np.testing.assert_array_equal, one, other)


# Shapes and order


def test_training_batches_have_the_promised_shapes_and_types(manifest):
    first, second = batches_of(manifest, (0, 6))
    assert first["views"].keys() == {"whole", "crop"}
    for batch, size in ((first, 4), (second, 2)):
        for view in batch["views"].values():
            assert (view.shape, view.dtype) == ((size, 16, 16, 3), np.uint8)
        assert (batch["label"].shape, batch["label"].dtype) == ((size,), np.int32)
        assert (batch["weight"].tolist(), batch["weight"].dtype) == ([1.0] * size, np.float32)
        assert (batch["label"] == LABELS[batch["index"]]).all()


def test_the_dataset_knows_its_shapes_before_it_runs(manifest):
    order = TrainingOrder(np.zeros(COUNT, int), 0)
    dataset = training_batches(manifest, LABELS, SETTINGS, lambda: order.positions(0, 7), 0, 4, BrokenPhotos())
    assert dataset.element_spec["views"]["crop"] == tf.TensorSpec([None, 16, 16, 3], tf.uint8)
    assert dataset.element_spec["weight"] == tf.TensorSpec([None], tf.float32)


def test_evaluation_batches_yield_each_photo_once_in_order(manifest):
    batches = list(evaluation_batches(manifest, LABELS, SETTINGS, 3, BrokenPhotos()).as_numpy_iterator())
    assert [batch["index"].tolist() for batch in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    assert joined(batches)["label"].tolist() == LABELS.tolist()
    assert joined(batches)["views"]["whole"].dtype == np.uint8


def test_evaluation_shows_the_central_part_of_each_photo_undistorted(manifest):
    views = joined(list(evaluation_batches(manifest, LABELS, SETTINGS, 3, BrokenPhotos()).as_numpy_iterator()))["views"]
    for number in range(COUNT):
        image = PIL.Image.fromarray(smooth_image(number))
        # 48 x 40: 0.875 leaves 42 x 35 from 3, 2.5; half of that 21 x 17.5 from 13.5, 11.25. Pillow's edges are whole pixels.
        whole = image.crop((3, 2, 45, 38)).resize((16, 16), PIL.Image.Resampling.BILINEAR)
        crop = image.crop((14, 11, 34, 29)).resize((16, 16), PIL.Image.Resampling.BILINEAR)
        tolerance = 6 if number % 2 else 2  # JPEG, PNG
        assert np.abs(views["whole"][number].astype(int) - np.asarray(whole)).max() <= tolerance
        assert np.abs(views["crop"][number].astype(int) - np.asarray(crop)).max() <= tolerance


def test_crop_view_follows_the_users_box(manifest):
    boxed = manifest_of([path_of(manifest, 0)] * 2, [(0.0,) * 4, (8.0, 4.0, 16.0, 16.0)])
    (batch,) = evaluation_batches(boxed, [0, 0], SETTINGS, 2, BrokenPhotos()).as_numpy_iterator()
    assert (batch["views"]["crop"][1] == smooth_image(0)[4:20, 8:24]).all()
    assert (batch["views"]["whole"][0] == batch["views"]["whole"][1]).all()


def test_a_reduced_scale_jpeg_gives_nearly_the_view_of_the_full_one(tmp_path, monkeypatch):
    image = PIL.Image.fromarray(smooth_image(0)).resize((512, 512), PIL.Image.Resampling.BICUBIC)
    image.save(tmp_path / "1.jpg", quality=95)
    image.save(tmp_path / "1.png")
    ratios, decode_photo = [], pipeline.decode_photo

    def watched(photo, ratio, *others):
        ratios.append(ratio)
        return decode_photo(photo, ratio, *others)

    monkeypatch.setattr(pipeline, "decode_photo", watched)
    settings = ViewSettings(("whole",), 56)  # 0.875 * 512 / 56 = 8
    (batch,) = evaluation_batches(manifest_of([tmp_path / "1.jpg", tmp_path / "1.png"]), [0, 0], settings, 2, BrokenPhotos())
    assert ratios == [8, 8]
    reduced, full = batch["views"]["whole"].numpy().astype(int)
    assert np.abs(reduced - full).mean() < 1.5


# Steps


@pytest.mark.slow
def test_each_step_gives_eagerly_what_it_gives_inside_a_pipeline(manifest):
    steps = [
        lambda example: pipeline._read(example, BrokenPhotos()),
        lambda example: {**example, **pipeline._choose_regions(example, 5, SETTINGS)},
        lambda example: pipeline._decode(example, BrokenPhotos()),
        lambda example: {"views": pipeline._cut(example, SETTINGS)},
    ]
    example = {
        "path": tf.constant(manifest.records[1].path),
        "label": tf.constant(10),
        "box": tf.zeros(4),
        "position": tf.constant(3, tf.int64),
        "index": tf.constant(1, tf.int64),
    }
    for step in steps:
        (inside,) = tf.data.Dataset.from_tensors(example).map(step)
        example = step(example)
        assert inside.keys() == example.keys()
        for (name, one), (_, other) in zip(sorted(flat(example).items()), sorted(flat(inside).items()), strict=True):
            if one.dtype == tf.string:
                assert one == other, name
            else:  # the compiled colours may round a level differently
                np.testing.assert_allclose(one.numpy().astype(float), other, atol=1 if name.startswith("views") else 1e-4)
    assert example["views"]["whole"].shape == (16, 16, 3)


def flat(example, prefix=""):
    parts = {}
    for name, value in example.items():
        parts.update(flat(value, f"{prefix}{name}/") if isinstance(value, dict) else {prefix + name: value})
    return parts


# Reproducible, resumable, shared out


@pytest.mark.slow
def test_the_seed_decides_every_batch(manifest, trained_on):
    assert_equal(joined(batches_of(manifest, (0, 14), seed=5)), part_of(trained_on, 0, 14))
    assert (joined(batches_of(manifest, (0, 14), seed=6))["index"] != trained_on["index"][:14]).any()


def test_a_photo_is_changed_anew_each_epoch(trained_on):
    one, other = part_of(trained_on, 0, COUNT), part_of(trained_on, COUNT, 2 * COUNT)
    for number in range(COUNT):
        assert (one["views"]["whole"][one["index"] == number] != other["views"]["whole"][other["index"] == number]).any()


@pytest.mark.parametrize("start", [4, 8, 3 * COUNT])
def test_starting_at_a_position_equals_skipping_to_it(manifest, trained_on, start):
    assert_equal(joined(batches_of(manifest, (start, start + 9))), part_of(trained_on, start, start + 9))


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "replicas"), [(2, 1), (2, 2), (3, 1)])
def test_the_workers_shares_partition_each_global_batch_in_order(manifest, trained_on, workers, replicas):
    size = 2 * replicas * workers  # of a global batch
    shares = [batches_of(manifest, (0, 24), batch_size=2, share=(worker, workers, replicas)) for worker in range(workers)]
    assert {len(share) for share in shares} == {24 // size * replicas}
    for number in range(24 // size):
        parts = [share[number * replicas : (number + 1) * replicas] for share in shares]
        assert_equal(joined(list(itertools.chain(*parts))), part_of(trained_on, number * size, (number + 1) * size))


def indices(order, start, stop):
    chunks = list(order.positions(start, stop))
    assert np.concatenate([chunk["position"] for chunk in chunks]).tolist() == list(range(start, stop))
    return np.concatenate([chunk["index"] for chunk in chunks])


def test_each_epoch_is_another_permutation():
    seen = indices(TrainingOrder(np.zeros(50, int), 0), 0, 150).reshape(3, 50)
    assert (np.sort(seen) == np.arange(50)).all()
    assert len({tuple(epoch) for epoch in seen}) == 3
    assert (seen[0] != indices(TrainingOrder(np.zeros(50, int), 1), 0, 50)).any()


def test_positions_come_in_chunks_that_cover_any_range(monkeypatch):
    order = TrainingOrder(np.zeros(50, int), 0)
    whole = indices(order, 0, 200)
    monkeypatch.setattr(pipeline, "_ORDER_CHUNK", 7)
    for start, stop in ((0, 1), (49, 51), (50, 100), (13, 187), (60, 60)):
        if start < stop:
            assert indices(order, start, stop).tolist() == whole[start:stop].tolist()
        else:
            assert not list(order.positions(start, stop))


@pytest.mark.parametrize(("class_balance", "share"), [(0.0, 0.1), (0.5, 1 / (1 + 9**0.5)), (1.0, 0.5)])
def test_class_balance_draws_classes_in_proportion_to_a_power_of_their_size(class_balance, share):
    labels = np.repeat([0, 1], [900, 100])
    order = TrainingOrder(labels, 0, class_balance)
    drawn = indices(order, 0, 10_000)
    assert abs(labels[drawn].mean() - share) < 0.02
    assert len(np.unique(drawn[labels[drawn] == 1])) == 100  # each photo of the small class
    assert indices(order, 2500, 2600).tolist() == drawn[2500:2600].tolist()


# Broken photos


@pytest.fixture
def manifest_with_broken(manifest, tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    jpeg = path_of(manifest, 1).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(jpeg[: len(jpeg) // 2])  # its header is whole
    paths = [path_of(manifest, number) for number in range(COUNT)]
    paths[2], paths[3], paths[5] = tmp_path / "text.jpg", tmp_path / "cut.jpg", tmp_path / "gone.jpg"
    return manifest_of(paths)


IS_BROKEN = np.isin(np.arange(COUNT), (2, 3, 5))


def assert_others_are_in_place(batch, good, broken, folder):
    is_broken = IS_BROKEN[batch["index"]]
    assert (batch["weight"] == ~is_broken).all()
    assert (batch["index"] == good["index"]).all()
    for name, view in batch["views"].items():
        assert (view[~is_broken] == good["views"][name][~is_broken]).all()
    assert broken.keys() == {str(folder / name) for name in ("text.jpg", "cut.jpg", "gone.jpg")}
    assert all(reason.startswith(path) for path, reason in broken.items())


def test_broken_photos_keep_their_place_without_weight_and_are_named_at_evaluation(manifest, manifest_with_broken, tmp_path):
    broken = BrokenPhotos()
    good = joined(list(evaluation_batches(manifest, LABELS, SETTINGS, 3, BrokenPhotos()).as_numpy_iterator()))
    batch = joined(list(evaluation_batches(manifest_with_broken, LABELS, SETTINGS, 3, broken).as_numpy_iterator()))
    assert_others_are_in_place(batch, good, broken, tmp_path)


def test_broken_photos_keep_their_place_without_weight_and_are_named_in_training(trained_on, manifest_with_broken, tmp_path):
    broken = BrokenPhotos()
    batch = joined(batches_of(manifest_with_broken, (0, 2 * COUNT), broken=broken))
    assert_others_are_in_place(batch, part_of(trained_on, 0, 2 * COUNT), broken, tmp_path)


def test_a_manifest_of_broken_photos_alone_ends_without_an_error(tmp_path):
    broken = BrokenPhotos()
    (batch,) = evaluation_batches(manifest_of([tmp_path / "a.jpg", tmp_path / "b.jpg"]), [0, 1], SETTINGS, 2, broken)
    assert batch["weight"].numpy().tolist() == [0, 0]
    assert len(broken) == 2


# Changes on the device


@pytest.fixture(scope="module")
def left_to_the_device(manifest):
    """As `trained_on`, before its changes."""
    on_device = dataclasses.replace(SETTINGS, augmentation=dataclasses.replace(SETTINGS.augmentation, augment_on="device"))
    return joined(batches_of(manifest, (0, 30), settings=on_device))


@pytest.mark.slow
def test_what_is_left_to_the_device_has_the_pipelines_random_numbers(trained_on, left_to_the_device):
    changed = distorted(left_to_the_device, SETTINGS.augmentation)
    assert left_to_the_device.keys() - trained_on.keys() == {"seed"}
    for name, view in trained_on["views"].items():
        before, after = left_to_the_device["views"][name], changed["views"][name].numpy()
        one_by_one = [
            distort(photo[None] / np.float32(255), seed, SETTINGS.augmentation)[0] for photo, seed in zip(before, left_to_the_device["seed"], strict=True)
        ]
        np.testing.assert_allclose(after, 255 * np.stack(one_by_one), atol=0.501)
        # The pipeline does not round before its changes.
        difference = np.abs(after.astype(int) - view)
        assert difference.max() <= 3 and difference.mean() < 0.6 < 10 < np.abs(before.astype(int) - view).mean()


@pytest.mark.slow
def test_flips_alone_are_the_same_on_the_device(manifest):
    flips = Augmentation(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0, vertical_flip=True)
    here, there = (
        joined(batches_of(manifest, (3, 27), settings=ViewSettings(("whole", "crop"), 16, dataclasses.replace(flips, augment_on=on))))
        for on in ("pipeline", "device")
    )
    assert_equal(here, {name: value for name, value in tf.nest.map_structure(np.asarray, distorted(there, flips)).items() if name != "seed"})
    assert (there["views"]["whole"] != here["views"]["whole"]).any()


def test_evaluation_leaves_nothing_to_the_device(manifest):
    on_device = dataclasses.replace(SETTINGS, augmentation=Augmentation(augment_on="device"))
    one, other = (joined(list(evaluation_batches(manifest, LABELS, each, 7, BrokenPhotos()).as_numpy_iterator())) for each in (SETTINGS, on_device))
    assert_equal(one, other)


# Prepared data


@pytest.mark.slow
def test_prepared_data_gives_the_batches_of_its_source_also_when_resumed(colour_jpegs, prepared_colours):
    source, prepared = read_source(colour_jpegs), read_source(prepared_colours)
    whole = batches_of(source, (0, 96), batch_size=8)
    assert_equal(batches_of(prepared, (0, 96), batch_size=8), whole)
    assert_equal(batches_of(prepared, (40, 96), batch_size=8), whole[5:])
    labels = np.zeros(48, int)
    one, other = (joined(list(evaluation_batches(each, labels, SETTINGS, 8, BrokenPhotos()).as_numpy_iterator())) for each in (source, prepared))
    assert_equal(one, other)
    assert (split_validation(source, 0.2, 3) == split_validation(prepared, 0.2, 3)).all()


@pytest.mark.slow
def test_photos_that_are_read_by_blocks_give_the_batches_that_they_give_one_by_one(prepared_colours):
    prepared = read_source(prepared_colours)
    blocks = blocks_of(prepared.paths, block_bytes=3000, window_bytes=9000)
    order, labels = TrainingOrder(np.zeros(48, int), 3, blocks=blocks), np.arange(48)
    plain = dataclasses.replace(SETTINGS, augmentation=Augmentation(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0))

    def batches(by, start=0, **options):
        return list(
            training_batches(prepared, labels, plain, lambda: order.positions(start, 96), 3, 8, BrokenPhotos(), blocks=by, **options).as_numpy_iterator()
        )

    whole = batches(blocks)
    assert_equal(whole, batches(None))
    assert_equal(batches(blocks, 40), whole[5:])
    assert_equal(batches(blocks, share=(1, 2, 1)), whole[1::2])
    assert (np.sort(joined(whole)["index"].reshape(2, 48)) == np.arange(48)).all()


def test_what_is_broken_in_a_block_is_told_as_it_is_for_a_photo(copy_frozen):
    prepared = read_source(copy_frozen("prepared"))
    blocks = blocks_of(prepared.paths, block_bytes=3000, window_bytes=9000)
    damaged, gone = slice_of(prepared.paths[7]), slice_of(prepared.paths[0]).shard
    with open(damaged.shard, "r+b") as file:
        file.seek(damaged.offset + damaged.bytes // 2)
        file.write(b"damaged")
    if gone != damaged.shard:
        pathlib.Path(gone).unlink()
    told = []
    for by in (None, blocks):
        told.append(BrokenPhotos())
        order = TrainingOrder(np.zeros(48, int), 3, blocks=blocks)
        joined(list(training_batches(prepared, np.zeros(48, int), SETTINGS, lambda order=order: order.positions(0, 48), 3, 8, told[-1], blocks=by)))
    assert told[0] == told[1]
    assert "its bytes in the shard are not those that were written" in told[1][prepared.paths[7]]
