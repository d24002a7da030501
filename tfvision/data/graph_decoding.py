"""Decoding inside a graph, for SavedModels: what `decoding.py` does, in TensorFlow's operations alone.

JPEG, PNG, GIF and BMP, and WebP where the serving TensorFlow decodes it. Headers are read first, so that an
image of too many pixels or scans is refused before they are allocated, and EXIF orientation is applied. An image that
cannot be decoded fails its whole batch, as TensorFlow's operations do: servers isolate it.

A picture is held once, as it is decoded, in 3 bytes a pixel or 4: it is turned, laid on white and resized in stripes. Of large
pictures a model decodes one at a time, whatever comes together.
"""

import functools
import typing
from collections.abc import Callable, Sequence

import tensorflow as tf

from tfvision.data import jpeg_scans
from tfvision.data.boxes import FRACTION_ROUNDING, LEAST_SHOWN
from tfvision.data.decoding import JPEG_RATIOS, MAX_PIXELS
from tfvision.data.graph_headers import HEAD_BYTES, count_scans, first_gif_frame, first_position, is_jpeg_encoded, is_one_of, orientation_in, size_in_header
from tfvision.data.views import as_pixels, central_region, cut_views, decoding_ratio, region_in_pixels, view_regions, whole_region

_LARGE_PIXELS = 16_000_000  # held at once; pictures of fewer are decoded beside each other
_STRIPE_PIXELS = 2**20


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
    return _viewing(tuple(views), image_size, is_uncropped)(encoded, box)


def image_of_encoded(encoded: tf.Tensor, max_pixels: int = MAX_PIXELS) -> tf.Tensor:
    """One encoded image, string scalar -> uint8 [height, width, 3], upright, as `decoding.decode_photo` gives it.

    Args:
      max_pixels: an image of more is refused before it is decoded.
    """
    photo = _open(encoded, max_pixels)
    picture = _Picture(_decode(photo, 1), photo.orientation)
    return picture.part([0, 0], picture.shape)


def views_of_pixels(image: tf.Tensor, views: Sequence[str], image_size: int, is_uncropped: bool = False) -> tf.Tensor:
    """One upright image, uint8 [height, width, 3] -> its views, uint8 [views, image_size, image_size, 3]."""
    size = tf.shape(image)[:2]
    regions = view_regions(central_region(size, 1.0) if is_uncropped else central_region(size), tf.zeros([4]), views)
    return as_pixels(cut_views(image, size, regions, image_size))


@functools.cache
def _viewing(views, image_size, is_uncropped):
    """`views_of_encoded` as a function that all signatures of a model share."""

    @tf.function(input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([4], tf.float32)], autograph=False)
    def view(encoded, box):
        photo = _open(encoded)
        box = _box_in(photo.size, box)
        regions = view_regions(whole_region(photo.size, box) if is_uncropped else central_region(photo.size), box, views)
        ratio = decoding_ratio(regions, image_size)

        @tf.function(autograph=False)
        def cut():
            picture = _Picture(_decode(photo, ratio), photo.orientation)

            def view_of(region):
                return picture.resized(*region_in_pixels(region, photo.size, picture.shape), image_size)

            return as_pixels(tf.map_fn(view_of, regions, fn_output_signature=tf.float32, parallel_iterations=1))

        held_pixels = tf.where(photo.is_jpeg & ~photo.is_buffered, photo.pixels // tf.cast(ratio, tf.int64) ** 2, photo.pixels)
        return tf.cond(held_pixels > _LARGE_PIXELS, lambda: _one_at_a_time(cut), cut)

    return view


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns an image [height, width, channels] as the EXIF orientation (int32 scalar, 1 to 8) asks."""
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    image = tf.cond(is_one_of(orientation, *_UPSIDE_DOWN), lambda: tf.reverse(image, [0]), lambda: image)
    return tf.cond(is_one_of(orientation, *_MIRRORED), lambda: tf.reverse(image, [1]), lambda: image)


_UPSIDE_DOWN, _MIRRORED = (3, 4, 7, 8), (2, 3, 6, 7)  # orientations, once 5 to 8 are transposed


class _Picture:
    """A decoded image, uint8 [height, width, 3] or [height, width, 4], which is turned and laid on white part by part.

    Attributes:
      shape: int32 [2], height and width of the upright image.
    """

    def __init__(self, stored, orientation):
        self._stored, self._orientation = stored, orientation
        self.shape = _turned(tf.shape(stored)[:2], orientation)

    def part(self, corner, size):
        """uint8 [height, width, 3] of the upright image."""
        is_reversed = tf.reduce_any(tf.constant((_UPSIDE_DOWN, _MIRRORED)) == self._orientation, 1)
        corner = tf.where(is_reversed, self.shape - corner - size, corner)
        corner, size = _turned(corner, self._orientation), _turned(size, self._orientation)
        part = upright(tf.slice(self._stored, tf.concat([corner, [0]], 0), tf.concat([size, [-1]], 0)), self._orientation)
        return tf.ensure_shape(tf.cond(tf.shape(part)[2] == 4, lambda: _on_white(part), lambda: part), [None, None, 3])

    def resized(self, low, high, image_size):
        """float32 [image_size, image_size, 3], what tf.image.resize makes of a region, to the bit: it goes over the columns first."""
        height, width = tf.unstack(high - low)
        across, down = tf.unstack(image_size / tf.cast(tf.stack([width, height]), tf.float32))
        columns = tf.maximum(1, _STRIPE_PIXELS // height)

        def add_stripe(left, stripes):
            count = tf.minimum(columns, width - left)
            stripe = self.part([low[0], low[1] + left], tf.stack([height, count]))
            return left + count, tf.concat([stripes, _scaled(stripe, [image_size, count], [down, 1.0])], 1)

        shapes = (tf.TensorShape([]), tf.TensorShape([image_size, None, 3]))
        start = (0, tf.zeros([image_size, 0, 3]))
        _, stripes = tf.while_loop(lambda left, _: left < width, add_stripe, start, shapes, parallel_iterations=1)
        return tf.ensure_shape(_scaled(stripes, [image_size, image_size], [1.0, across]), [image_size, image_size, 3])


def _scaled(image, size, scale):
    """As tf.image.resize with antialias=True, of which both scales would follow from the size."""
    return tf.raw_ops.ScaleAndTranslate(images=image[None], size=tf.stack(size), scale=tf.stack(scale), translation=[0.0, 0.0], kernel_type="triangle")[0]


def _one_at_a_time(make: Callable[[], tf.Tensor]) -> tf.Tensor:
    """What `make` returns, while no other run of the model makes such."""
    lock = tf.raw_ops.MutexLock(mutex=tf.raw_ops.MutexV2(shared_name="tfvision_large_picture"))
    with tf.control_dependencies([lock]):
        made = make()
    with tf.control_dependencies([made]):
        release = tf.raw_ops.ConsumeMutexLock(mutex_lock=lock)
    with tf.control_dependencies([release] if release is not None else []):  # None where it ran eagerly
        return tf.identity(made)


class _Encoded(typing.NamedTuple):
    """An encoded image whose header was read.

    Attributes:
      encoded: string.
      head: string, its first bytes.
      is_jpeg: bool.
      size: int32 [2], height and width, upright.
      pixels: int64.
      orientation: int32.
      is_buffered: bool, as of jpeg_scans.Scans, of a large JPEG.
      corner: int32 [2], where a GIF's frame begins.
    """

    encoded: tf.Tensor
    head: tf.Tensor
    is_jpeg: tf.Tensor
    size: tf.Tensor
    pixels: tf.Tensor
    orientation: tf.Tensor
    is_buffered: tf.Tensor
    corner: tf.Tensor


def _open(encoded, max_pixels=MAX_PIXELS):
    return _opening(max_pixels)(encoded)


@functools.cache
def _opening(max_pixels):
    """Reads the header; a function that is traced once for all models."""
    return tf.function(lambda encoded: _read_header(encoded, max_pixels), input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


def _read_header(encoded, max_pixels):
    is_jpeg, is_gif = is_jpeg_encoded(encoded), tf.strings.substr(encoded, 0, 4) == b"GIF8"
    head = tf.strings.substr(encoded, 0, HEAD_BYTES)
    stored_size = tf.cond(is_jpeg, lambda: tf.io.extract_jpeg_shape(encoded)[:2], lambda: size_in_header(head))
    encoded, corner, frame = tf.cond(is_gif, lambda: tuple(first_gif_frame(encoded)), lambda: (encoded, tf.zeros([2], tf.int32), tf.zeros([2], tf.int32)))
    stored_size = tf.maximum(stored_size, corner + frame)
    pixels = tf.reduce_prod(tf.cast(stored_size, tf.int64))
    checks = [
        tf.debugging.Assert(tf.reduce_min(stored_size) > 0, ["no image that can be decoded: expected a JPEG, PNG, GIF, BMP or WebP"]),
        tf.debugging.Assert(pixels <= max_pixels, ["the image has too many pixels, scale it down:", stored_size]),
    ]
    with tf.control_dependencies(checks):
        encoded = tf.identity(encoded)  # nothing is decoded before
    encoded, is_buffered = tf.cond(is_jpeg, lambda: _with_few_scans(encoded, pixels), lambda: (encoded, tf.constant(False)))
    orientation = orientation_in(head, is_jpeg)
    return _Encoded(encoded, head, is_jpeg, _turned(stored_size, orientation), pixels, orientation, is_buffered, corner)


def _with_few_scans(encoded, pixels):
    """(the JPEG, whether it is buffered), by the rule of `jpeg_scans.why_refused`; small ones that look harmless count as not buffered."""
    most = jpeg_scans.MAX_SCANNED_PIXELS // tf.maximum(pixels, jpeg_scans.LEAST_PIXELS)
    most = tf.cast(most, tf.int32)
    data = tf.io.decode_raw(encoded, tf.uint8)
    at_most = tf.shape(tf.where((data[:-1] == 0xFF) & (data[1:] == jpeg_scans.SCAN)))[0]
    is_plain = (at_most <= most) & (pixels <= _LARGE_PIXELS)
    count, is_buffered = tf.cond(is_plain, lambda: (at_most, tf.constant(False)), lambda: count_scans(encoded, most))
    is_small = ~is_buffered | (pixels <= jpeg_scans.MAX_BUFFERED_PIXELS)
    checks = [
        tf.debugging.Assert(is_small, [f"the image is {jpeg_scans.TOO_LARGE_BUFFER}"]),
        tf.debugging.Assert(count <= most, [f"the image is {jpeg_scans.TOO_MANY_SCANS}"]),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(encoded), tf.identity(is_buffered)


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


def _decode(photo, ratio):
    """uint8 [height, width, 3], or 4 where parts may be transparent; as it is stored."""
    return tf.cond(photo.is_jpeg, lambda: _decode_jpeg(photo.encoded, ratio), lambda: _decode_other(photo))


def _decode_jpeg(encoded, ratio):
    def at(fraction):
        return lambda: tf.io.decode_jpeg(encoded, channels=3, ratio=fraction, dct_method="INTEGER_ACCURATE")

    index = tf.argmax(tf.constant(JPEG_RATIOS) == ratio, output_type=tf.int32)
    return tf.switch_case(index, [at(fraction) for fraction in JPEG_RATIOS])


def _decode_other(photo):
    """As `_decode`; the first frame of an animation, on its screen."""
    is_png = tf.strings.substr(photo.head, 0, 4) == b"\x89PNG"
    colour_type = tf.strings.substr(tf.strings.join([photo.head, b"\0" * 32]), 25, 1)
    transparent, pixels = first_position(photo.head, b"tRNS"), first_position(photo.head, b"IDAT")
    is_transparent = (colour_type == b"\4") | (colour_type == b"\6") | ((transparent >= 0) & ((transparent < pixels) | (pixels < 0)))
    image = tf.cond(
        is_png & is_transparent,
        lambda: tf.io.decode_png(photo.encoded, channels=4),
        lambda: tf.io.decode_image(photo.encoded, channels=3, expand_animations=False),
    )
    image = tf.ensure_shape(image, [None, None, None])
    margins = _turned(photo.size, photo.orientation) - tf.shape(image)[:2]
    around = tf.stack([photo.corner, margins - photo.corner])
    return tf.cond(
        tf.reduce_all(margins == 0),
        lambda: image,
        lambda: tf.pad(image, tf.pad(tf.transpose(around), [[0, 1], [0, 0]]), constant_values=tf.constant(255, tf.uint8)),
    )


def _on_white(image):
    colour, alpha = tf.cast(image[..., :3], tf.uint16), tf.cast(image[..., 3:], tf.uint16)
    return tf.cast((colour * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)  # 65,152 at most


def _turned(pair, orientation):
    return tf.where(orientation >= 5, tf.reverse(pair, [0]), pair)
