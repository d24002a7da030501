import asyncio
import io
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from benchmarks import hostile_pictures
from tfvision.serving import images
from tfvision.serving.errors import ServingError


def _of(*encoded, name="image_bytes"):
    return {name: np.array(encoded, object)}


def _example(encoded):
    value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded]))
    return tf.train.Example(features=tf.train.Features(feature={"image/encoded": value})).SerializeToString()


SLOW = {
    "PNG": hostile_pictures.png(5000, 4000, 0, 1),
    "GIF": hostile_pictures.gif(5000, 4000),
    "GIF whose header says less": hostile_pictures.gif(5000, 4000, screen=(10, 10)),
    "scans": hostile_pictures.jpeg_of_scans(1200, 1200, 500),
}
FAST = {
    "PNG": hostile_pictures.png(50, 40),
    "scans": hostile_pictures.jpeg_of_scans(120, 120, 500),
    "nothing": b"",
    "no image": b"no image",
    "cut JPEG": b"\xff\xd8",
}


@pytest.mark.parametrize("name", SLOW)
def test_what_takes_long_is_known_by_its_header(name):
    assert images.has_slow_image(_of(hostile_pictures.png(5, 4), SLOW[name]))
    assert images.has_slow_image(_of(_example(SLOW[name]), name="inputs"))


@pytest.mark.parametrize("name", FAST)
def test_what_is_quick_or_no_image_is_not_slow(name):
    assert not images.has_slow_image(_of(FAST[name]))
    assert not images.has_slow_image(_of(_example(FAST[name]), FAST[name], name="inputs"))


def test_inputs_that_hold_no_images_are_not_slow():
    assert not images.has_slow_image({"x": np.zeros((2, 2)), "image_bytes": np.zeros((2, 2)), "inputs": np.zeros(3)})


def test_too_many_scans_are_refused_for_models_that_would_decode_them():
    with pytest.raises(ServingError, match="image_bytes, row 1 is a JPEG of too many scans for its size"):
        images.check_images(_of(SLOW["PNG"], hostile_pictures.jpeg_of_scans(2200, 2200, 600)))


@pytest.mark.parametrize(
    "header",
    [b"\xff\xd8" + b"\xff" * 2**24, b"P6\n#" + b"x" * 2**24, b"\x89PNG\r\n\x1a\n" + hostile_pictures.png(1, 1)[8:33] + b"\0\0\0\0tEXt\x93\xb5\xc7\x91" * 2**20],
    ids=["JPEG", "PPM", "PNG"],
)
def test_a_header_without_end_is_given_up_soon(header):
    started = time.process_time()
    with pytest.raises(ServingError):
        images.check_images(_of(header))
    assert time.process_time() - started < 2  # read to its end it takes 5 to 20 s


def test_a_graph_that_would_decode_all_frames_gets_the_first():
    animation = hostile_pictures.by_pillow("GIF", "L", 50, 40, frames=5)
    inputs = _of(animation, FAST["PNG"])
    cut = asyncio.run(images.as_decodable(inputs))["image_bytes"]
    with Image.open(io.BytesIO(cut[0])) as image:
        assert image.n_frames == 1 and image.convert("L").getpixel((0, 0)) == 100
    assert cut[1] == FAST["PNG"] and inputs["image_bytes"][0] == animation
