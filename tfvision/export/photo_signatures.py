"""What exports of photos have in common: signatures, decoding in the graph, and the same photos as files for the reference.

`image_bytes` is the one input of every signature that needs no more, so that a REST client may send `{"b64": ...}` alone.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfvision.data.graph_decoding import views_of_encoded, views_of_pixels
from tfvision.data.manifest import Manifest, Record
from tfvision.export.exportable import Signature
from tfvision.export.samples import sample_boxes, sample_images, sample_pixels

IMAGES = tf.TensorSpec([None], tf.string, name="image_bytes")
BOXES = tf.TensorSpec([None, 4], tf.float32, name="box")
PIXELS = tf.TensorSpec([None, None, None, 3], tf.uint8, name="pixels")
PREPROCESSING = {
    "decoding": "JPEG, PNG, GIF and BMP in the graph (WebP from TensorFlow 2.16 on); EXIF orientation applied in the graph",
    "colour": "RGB, uint8; transparent parts of a PNG on white",
    "scaling": "inside the network",
}

Outputs = dict[str, tf.Tensor]


def of_encoded(answer: Callable[[tf.Tensor], Outputs], description: str, **options: Any) -> Signature:
    """The signature image_bytes -> answer(string [batch]).

    Args:
      options: further attributes of Signature.
    """

    @tf.function(input_signature=[IMAGES])
    def signature(image_bytes):
        return answer(image_bytes)

    return Signature(signature, {IMAGES.name: sample_images()}, description=description, **options)


def of_boxes(answer: Callable[[tf.Tensor, tf.Tensor], Outputs], description: str, **options: Any) -> Signature:
    """The signature image_bytes, box -> answer(string [batch], float32 [batch, 4]); else as `of_encoded`."""

    @tf.function(input_signature=[IMAGES, BOXES])
    def signature(image_bytes, box):
        return answer(image_bytes, box)

    return Signature(signature, {IMAGES.name: sample_images(), BOXES.name: sample_boxes()}, description=description, **options)


def of_pixels(answer: Callable[[tf.Tensor], Outputs], description: str, **options: Any) -> Signature:
    """The signature pixels -> answer(uint8 [batch, height, width, 3]); else as `of_encoded`."""

    @tf.function(input_signature=[PIXELS])
    def signature(pixels):
        return answer(pixels)

    return Signature(signature, {PIXELS.name: sample_pixels()}, description=description, **options)


class PhotoViews:
    """Photos -> the views that a network takes, in a graph that is traced once, whichever signatures call it."""

    def __init__(self, views: Sequence[str], size_px: int, is_uncropped: bool = False):
        """Args: names from `data.views.VIEWS`; pixels a side of each; whether photos are seen whole, as of ViewSettings."""
        self._views, self._size, self._is_uncropped = tuple(views), size_px, is_uncropped
        self._of_encoded = tf.function(self._cut_encoded, input_signature=[IMAGES, BOXES])
        self._of_pixels = tf.function(self._cut_pixels, input_signature=[PIXELS])

    def of_encoded(self, image_bytes: tf.Tensor, boxes: tf.Tensor | None = None) -> Outputs:
        """Encoded photos -> {view: uint8 [batch, size, size, 3]}.

        Args:
          image_bytes: string [batch].
          boxes: float32 [batch, 4], left, top, width and height in pixels of the upright photo, no box where the width is 0;
            None = no boxes.
        """
        return self._of_encoded(image_bytes, tf.zeros([tf.size(image_bytes), 4]) if boxes is None else boxes)

    def of_pixels(self, pixels: tf.Tensor) -> Outputs:
        """Upright photos of one size, uint8 [batch, height, width, 3] -> as `of_encoded`."""
        return self._of_pixels(pixels)

    def _cut_encoded(self, image_bytes, boxes):
        def cut(photo):
            return views_of_encoded(*photo, self._views, self._size, self._is_uncropped)

        return self._by_name(tf.map_fn(cut, (image_bytes, boxes), fn_output_signature=self._stacked))

    def _cut_pixels(self, pixels):
        def cut(image):
            return views_of_pixels(image, self._views, self._size, self._is_uncropped)

        return self._by_name(tf.map_fn(cut, pixels, fn_output_signature=self._stacked))

    @property
    def _stacked(self):
        return tf.TensorSpec([len(self._views), self._size, self._size, 3], tf.uint8)

    def _by_name(self, stacked):
        return {view: stacked[:, number] for number, view in enumerate(self._views)}


def encoded_photos(inputs: dict[str, np.ndarray]) -> list[bytes]:
    """The photos among a signature's inputs as files hold them; pixels become PNGs."""
    if IMAGES.name in inputs:
        return list(inputs[IMAGES.name])
    return [tf.io.encode_png(pixels).numpy() for pixels in inputs[PIXELS.name]]


@contextlib.contextmanager
def photo_files(photos: Sequence[bytes], boxes: np.ndarray | None = None) -> Iterator[Manifest]:
    """A Manifest of encoded photos, which are files until the block ends.

    Args:
      boxes: [photos, 4]; None = no boxes.
    """
    boxes = np.zeros((len(photos), 4)) if boxes is None else boxes
    with tempfile.TemporaryDirectory() as folder:
        records = []
        for number, (encoded, box) in enumerate(zip(photos, boxes, strict=True)):
            path = Path(folder, str(number))
            path.write_bytes(encoded)
            left, top, width, height = map(int, box)
            records.append(Record(str(path), path.name, ("",), path.name, box=(left, top, width, height)))
        yield Manifest(("photo",), tuple(records))
