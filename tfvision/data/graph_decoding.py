"""Decoding inside a graph, for SavedModels: what `decoding.py` does, in TensorFlow's operations alone.

JPEG, PNG, GIF and BMP, and WebP where the serving TensorFlow decodes it. Headers are read first, so that an
image of too many pixels is refused before they are allocated, and EXIF orientation is applied. An image that
cannot be decoded fails its whole batch, as TensorFlow's operations do: servers isolate it.
"""

import typing
from collections.abc import Sequence

import tensorflow as tf

from tfvision.data.boxes import FRACTION_ROUNDING, LEAST_SHOWN
from tfvision.data.decoding import JPEG_RATIOS, MAX_PIXELS
from tfvision.data.views import as_pixels, central_region, cut_views, decoding_ratio, view_regions, whole_region

_HEAD_BYTES = 65536  # where an orientation is looked for: EXIF stands first in a file, in one segment of 64 KiB
_ORIENTATION_TAG = 0x0112
_MOST_TAGS = 64


def views_of_encoded(encoded: tf.Tensor, box: tf.Tensor, views: Sequence[str], image_size: int, is_uncropped: bool = False) -> tf.Tensor:
    """One encoded image -> its views, as `pipeline.evaluation_batches` cuts them.

    Args:
      encoded: string scalar.
      box: float32 [4], left, top, width, height in pixels of the upright image, or fractions of its sides; no box where its
        width is 0. One that does not lie in the image fails.
      views: names from VIEWS.
      image_size: pixels a side.
      is_uncropped: as of ViewSettings.

    Returns:
      uint8 [views, image_size, image_size, 3].
    """
    photo = _open(encoded)
    box = _box_in(photo.size, box)
    regions = view_regions(whole_region(photo.size, box) if is_uncropped else central_region(photo.size), box, views)
    image = _decode_upright(photo, decoding_ratio(regions, image_size))
    return as_pixels(cut_views(image, photo.size, regions, image_size))


def image_of_encoded(encoded: tf.Tensor, max_pixels: int = MAX_PIXELS) -> tf.Tensor:
    """One encoded image, string scalar -> uint8 [height, width, 3], upright, as `decoding.decode_photo` gives it.

    Args:
      max_pixels: an image of more is refused before it is decoded.
    """
    return _decode_upright(_open(encoded, max_pixels), 1)


def views_of_pixels(image: tf.Tensor, views: Sequence[str], image_size: int, is_uncropped: bool = False) -> tf.Tensor:
    """One upright image, uint8 [height, width, 3] -> its views, uint8 [views, image_size, image_size, 3]."""
    size = tf.shape(image)[:2]
    regions = view_regions(central_region(size, 1.0) if is_uncropped else central_region(size), tf.zeros([4]), views)
    return as_pixels(cut_views(image, size, regions, image_size))


def is_jpeg_encoded(encoded: tf.Tensor) -> tf.Tensor:
    """Whether an encoded image is a JPEG: bool scalar."""
    return tf.strings.substr(encoded, 0, 2) == b"\xff\xd8"


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns an image [height, width, 3] as the EXIF orientation (int32 scalar, 1 to 8) asks."""
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    image = tf.cond(_is_one_of(orientation, 3, 4, 7, 8), lambda: tf.reverse(image, [0]), lambda: image)
    return tf.cond(_is_one_of(orientation, 2, 3, 6, 7), lambda: tf.reverse(image, [1]), lambda: image)


def orientation_in(head: tf.Tensor, is_jpeg: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of a JPEG or PNG, int32 scalar, 1 where there is none.

    Args:
      head: uint8 [n], the file's first bytes.
      is_jpeg: bool scalar.
    """
    start = tf.where(is_jpeg, _first_position(head, b"Exif\0\0") + 6, _first_position(head, b"eXIf") + 4)
    return tf.cond(start > 0, lambda: _orientation_at(head, start), lambda: 1)


class _Encoded(typing.NamedTuple):
    """An encoded image whose header was read: string, its first bytes, bool, int32 [2] (upright), int32."""

    encoded: tf.Tensor
    head: tf.Tensor
    is_jpeg: tf.Tensor
    size: tf.Tensor
    orientation: tf.Tensor


def _open(encoded, max_pixels=MAX_PIXELS):
    is_jpeg = is_jpeg_encoded(encoded)
    head = tf.io.decode_raw(tf.strings.substr(encoded, 0, _HEAD_BYTES), tf.uint8)
    stored_size = tf.cond(is_jpeg, lambda: tf.io.extract_jpeg_shape(encoded)[:2], lambda: _size_in_header(encoded, head))
    pixels = tf.reduce_prod(tf.cast(stored_size, tf.int64))
    is_small = tf.debugging.Assert(pixels <= max_pixels, ["the image has too many pixels, scale it down:", stored_size])
    with tf.control_dependencies([is_small]):
        encoded = tf.identity(encoded)  # nothing is decoded before
    orientation = orientation_in(head, is_jpeg)
    return _Encoded(encoded, head, is_jpeg, tf.where(orientation >= 5, tf.reverse(stored_size, [0]), stored_size), orientation)


def _box_in(size, box):
    """The box in pixels of an image of this size, by the rules of `boxes.box_in_photo` but for other readings of its numbers."""
    sides = tf.cast(tf.reverse(size, [0]), tf.float32)  # width and height
    is_fraction = tf.reduce_all((box >= -FRACTION_ROUNDING) & (box <= 1 + FRACTION_ROUNDING))
    pixels = tf.where(is_fraction, box * tf.tile(sides, [2]), box)
    low, lengths = pixels[:2], pixels[2:]
    shown = tf.reduce_prod(tf.maximum(tf.minimum(low + lengths, sides) - tf.maximum(low, 0.0), 0.0) / tf.maximum(lengths, 1.0))
    is_inside = (box[2] <= 0) | ((tf.reduce_min(lengths) >= 1) & (shown >= LEAST_SHOWN))
    with tf.control_dependencies(
        [tf.debugging.Assert(is_inside, ["the box does not lie in the image; left, top, width, height:", box, "height, width:", size])]
    ):
        return tf.identity(pixels)


def _decode_upright(photo, ratio):
    image = tf.cond(photo.is_jpeg, lambda: _decode_jpeg(photo.encoded, ratio), lambda: _decode_other(photo.encoded, photo.head))
    return upright(image, photo.orientation)


def _first_position(head, word):
    """Where `word` first stands in `head`, int32 scalar; far below 0 where it does not."""
    padded = tf.concat([head, tf.zeros([len(word)], tf.uint8)], 0)
    count = tf.size(head)
    is_here = tf.ones([count], tf.bool)
    for offset, byte in enumerate(word):
        is_here &= padded[offset : offset + count] == byte
    positions = tf.concat([tf.where(is_here)[:, 0], [-100]], 0)
    return tf.cast(positions[0], tf.int32)


def _orientation_at(head, start):
    """The orientation in the TIFF structure that begins at `start`; 1 where it is broken or has none."""
    read = _Reader(head, start)
    directory = read.number(4, 4)
    entries = directory + 2 + 12 * tf.range(tf.minimum(read.number(directory, 2), _MOST_TAGS))
    is_orientation = read.number(entries, 2) == _ORIENTATION_TAG
    values = tf.boolean_mask(read.number(entries + 8, 2), is_orientation)
    value = tf.concat([values, [1]], 0)[0]
    return tf.where((value >= 1) & (value <= 8), value, 1)


class _Reader:
    """Reads unsigned numbers of a TIFF structure in its own byte order; 0 beyond the end."""

    def __init__(self, head, start):
        self._bytes, self._start = tf.cast(head, tf.int32), start
        self._is_little = self._byte(tf.constant(0)) == ord("I")

    def number(self, position, length):
        """The number of `length` bytes at `position` (int32, any shape)."""
        position = tf.convert_to_tensor(position)
        values = [self._byte(position + offset) for offset in range(length)]
        big = sum(value * 256 ** (length - 1 - offset) for offset, value in enumerate(values))
        little = sum(value * 256**offset for offset, value in enumerate(values))
        return tf.where(self._is_little, little, big)

    def _byte(self, position):
        position, count = self._start + position, tf.size(self._bytes)
        inside = (position >= 0) & (position < count)
        return tf.where(inside, tf.gather(self._bytes, tf.clip_by_value(position, 0, count - 1)), 0)


def _size_in_header(encoded, head):
    """Height and width, int32 [2], of a PNG, GIF, BMP or WebP; [1, 1] where the format hides them."""
    padded = tf.cast(tf.concat([head[:32], tf.zeros([32], tf.uint8)], 0), tf.int32)

    def big(position):  # 4 bytes
        return sum(padded[position + offset] * 256 ** (3 - offset) for offset in range(4))

    def little(position):  # 2 bytes: no GIF is larger, and a BMP's upper ones are added below
        return padded[position + 1] * 256 + padded[position]

    is_format = {name: tf.strings.substr(encoded, 0, len(name)) == name for name in (b"\x89PNG", b"GIF8", b"BM")}
    sizes = {
        b"\x89PNG": tf.stack([big(20), big(16)]),
        b"GIF8": tf.stack([little(8), little(6)]),
        b"BM": tf.abs(tf.stack([little(22) + little(24) * 65536, little(18) + little(20) * 65536])),
    }
    size = tf.stack([0, 0])
    for name, is_this in is_format.items():
        size = tf.where(is_this, sizes[name], size)
    is_known = tf.reduce_any(tf.stack(list(is_format.values())))
    return tf.cond(is_known, lambda: size, lambda: tf.shape(_decode_other(encoded, head))[:2])


def _decode_jpeg(encoded, ratio):
    def at(fraction):
        return lambda: tf.io.decode_jpeg(encoded, channels=3, ratio=fraction, dct_method="INTEGER_ACCURATE")

    index = tf.argmax(tf.constant(JPEG_RATIOS) == ratio, output_type=tf.int32)
    return tf.switch_case(index, [at(fraction) for fraction in JPEG_RATIOS])


def _decode_other(encoded, head):
    """uint8 [height, width, 3]; the first frame of an animation; transparent parts of a PNG on white."""
    padded = tf.concat([head, tf.zeros([32], tf.uint8)], 0)
    is_png = tf.strings.substr(encoded, 0, 4) == b"\x89PNG"
    # A palette without transparency comes back with a meaningless fourth channel.
    is_opaque = (padded[25] == 3) & (_first_position(head, b"tRNS") < 0)
    return tf.cond(
        is_png & ~is_opaque,
        lambda: _on_white(tf.io.decode_png(encoded, channels=4)),
        lambda: tf.ensure_shape(tf.io.decode_image(encoded, channels=3, expand_animations=False), [None, None, 3]),
    )


def _on_white(image):
    colour, alpha = tf.cast(image[..., :3], tf.int32), tf.cast(image[..., 3:], tf.int32)
    return tf.cast((colour * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)


def _is_one_of(value, *choices):
    return tf.reduce_any(tf.constant(choices) == value)
