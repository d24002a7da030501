import numpy as np
import pytest
import tensorflow as tf

from tfvision.data.manifest import Record
from tfvision.data.shards.examples import serialize

RECORD = Record("here", "photos/ä.jpg", ("Reds", "Rosa"), "walk 1", "train", (1.0, 2.0, 30.0, 40.5))


@pytest.mark.parametrize("size", [0, 1, 100, 127, 128, 16383, 16384, 3_000_000])  # each number of bytes that a length takes
def test_tensorflow_reads_what_was_written_and_the_image_comes_last(size):
    image = np.random.default_rng(0).bytes(size)
    example = serialize(image, 480, 640, RECORD, ("order", "genus"), 5)
    assert example.endswith(image)
    features = tf.train.Example.FromString(example).features.feature
    assert features["image/encoded"].bytes_list.value[0] == image
    assert {name: value.bytes_list.value[0].decode() for name, value in features.items() if value.bytes_list.value and name != "image/encoded"} == {
        "image/format": "jpeg",
        "image/name": "photos/ä.jpg",
        "label/order": "Reds",
        "label/genus": "Rosa",
        "group": "walk 1",
        "split": "train",
    }
    assert {name: list(value.int64_list.value) for name, value in features.items() if value.int64_list.value} == {
        "image/height": [480],
        "image/width": [640],
        "label": [5],
    }
    assert list(features["box"].float_list.value) == [1.0, 2.0, 30.0, 40.5]
    wanted = {"image/encoded": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}
    parsed = tf.io.parse_single_example(example, wanted)  # by a parser of its own, not that of protocol buffers
    assert (parsed["image/encoded"].numpy(), parsed["label"].numpy()) == (image, 5)


def test_a_photo_without_a_box_has_an_empty_one():
    record = Record("here", "a.jpg", ("Reds",), "a.jpg")
    assert not tf.train.Example.FromString(serialize(b"x", 1, 1, record, ("order",), -1)).features.feature["box"].float_list.value
