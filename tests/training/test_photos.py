import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfvision.data.manifest import Manifest, Record, read_source
from tfvision.data.pipeline import BrokenPhotos
from tfvision.errors import DataError
from tfvision.training.photos import UnlabelledPhotos, images_of, labels_line, unreadable_classes
from tfvision.training.recipes import Recipe


@dataclasses.dataclass(frozen=True)
class _Recipe(Recipe):
    image_size: int = 16
    batch_size: int = 4
    validation_fraction: float = 0.25


def _context(replicas=1):
    return tf.distribute.InputContext(1, 0, replicas)


def test_photos_are_parted_and_nothing_is_lost(colour_photos):
    photos = UnlabelledPhotos(colour_photos, _Recipe())
    names = [{record.name for record in part.records} for part in (photos.training, photos.validation)]
    assert (len(names[0]), len(names[1])) == (36, 12) and not names[0] & names[1]


def test_labels_are_told_with_examples_and_what_is_no_label(tmp_path):
    (tmp_path / "1.png").touch()
    rows = [f"1.png,{family},{family}{number},me,g" for family in "ab" for number in range(2)]
    (tmp_path / "manifest.csv").write_text("\n".join(["image,family,species,observer,group", *rows]))
    assert labels_line(read_source(tmp_path)) == "labels: family (2: a, b) > species (4: a0, a1, b0, ...); columns that are none: observer"


@pytest.mark.slow
def test_training_batches_are_the_same_again_and_go_on_anywhere(colour_photos):
    photos = UnlabelledPhotos(colour_photos, _Recipe())
    whole = np.concatenate([images_of(batch) for batch in photos.batches(0, 12, _context())])
    assert whole.shape == (12, 16, 16, 3) and whole.dtype == np.uint8
    np.testing.assert_array_equal(np.concatenate([images_of(batch) for batch in photos.batches(4, 12, _context())]), whole[4:])
    assert [len(images_of(batch)) for batch in photos.batches(0, 4, _context(replicas=2))] == [2, 2]


def test_unseen_photos_come_unchanged_and_in_order(colour_photos):
    photos = UnlabelledPhotos(colour_photos, _Recipe())
    first, second = (np.concatenate([images_of(batch) for batch in photos.unseen_batches(24, 5, count)]) for count in (None, 7))
    assert first.shape == (12, 24, 24, 3)
    np.testing.assert_array_equal(second, first[:7])


def test_too_few_photos_are_one_line(tmp_path, colour_photos):
    with pytest.raises(DataError, match="holds no photos"):
        UnlabelledPhotos(tmp_path, _Recipe())
    (tmp_path / "a.png").write_bytes(next(colour_photos.glob("*.png")).read_bytes())
    with pytest.raises(DataError, match="holds 1 photo: at least two are needed, one of them unseen"):
        UnlabelledPhotos(tmp_path, _Recipe())


def test_classes_of_which_no_photo_can_be_read_are_found(tmp_path):
    pixels = tf.io.encode_png(np.zeros((8, 8, 3), np.uint8)).numpy()
    photos = {"a1": pixels[:40], "a2": pixels, "b1": b"", "b2": pixels[:-30], "c1": pixels, "c2": b""}
    for name, encoded in photos.items():
        (tmp_path / name).write_bytes(encoded)
    manifest, broken = Manifest(("species",), tuple(Record(str(tmp_path / name), name, (name[0],), name) for name in photos)), BrokenPhotos()
    assert unreadable_classes(manifest, [name[0] for name in photos], broken) == {"b"}
    assert sorted(path[-2:] for path in broken) == ["a1", "b1", "b2"]  # c1 can be read, so c2 was not looked at
