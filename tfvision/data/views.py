"""Views: the regions of one photo that a network sees side by side.

"whole" is the region itself; every other view is the centre of the region, magnified, cut from the
full-resolution photo before resizing so that it keeps the high frequencies. A user's box replaces it.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfvision.data.decoding import JPEG_RATIOS

VIEWS = {"whole": 1.0, "crop": 0.5, "detail": 0.25}  # name -> share of each side
CENTRAL_FRACTION = 0.875  # of each side, at evaluation


def central_region(size: tf.Tensor, fraction: float = CENTRAL_FRACTION) -> tf.Tensor:
    """The centre of an image: float32 [4], top, left, height, width in pixels; size: int32 [2]."""
    height, width = tf.unstack(tf.cast(size, tf.float32))
    return _centre(tf.stack([0.0, 0.0, height, width]), fraction)


def view_regions(region: tf.Tensor, box: tf.Tensor, views: Sequence[str]) -> tf.Tensor:
    """The region of each view: float32 [views, 4].

    Args:
      region: float32 [4], top, left, height, width.
      box: float32 [4], left, top, width, height as users give it; no box where its width is 0.
      views: names from VIEWS.
    """
    boxed = tf.stack([box[1], box[0], box[3], box[2]])
    regions = []
    for view in views:
        centre = _centre(region, VIEWS[view])
        regions.append(centre if view == "whole" else tf.where(box[2] > 0, boxed, centre))
    return tf.stack(regions)


def whole_region(size: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """All of an image, or the user's box where there is one: float32 [4], top, left, height, width.

    Args:
      size: int32 [2].
      box: as `view_regions`.
    """
    return tf.where(box[2] > 0, tf.stack([box[1], box[0], box[3], box[2]]), central_region(size, 1.0))


def target_size(size: tf.Tensor, image_size: int, is_aspect_kept: bool = False, least: int = 1) -> tf.Tensor:
    """Height and width, int32 [2], to which an image or region is resized.

    Args:
      size: int32 or float32 [2].
      image_size: pixels of both sides, or of the longer one where the aspect is kept.
      is_aspect_kept: whether it is.
      least: pixels that the shorter side gets at least, even so.
    """
    if not is_aspect_kept:
        return tf.constant([image_size, image_size])
    size = tf.cast(size, tf.float32)
    fitted = tf.cast(tf.round(size * image_size / tf.reduce_max(size)), tf.int32)
    return tf.maximum(fitted, least)


def decoding_ratio(regions: tf.Tensor, image_size: int | tf.Tensor) -> tf.Tensor:
    """The coarsest JPEG ratio at which every region still has image_size pixels a side (or [height, width]): int32 scalar."""
    smallest = tf.reduce_min(regions[:, 2:] / tf.cast(image_size, tf.float32))
    return tf.reduce_max([tf.where(smallest >= ratio, ratio, 1) for ratio in JPEG_RATIOS])


def window_of(shape: tuple[int, int], size: np.ndarray, regions: np.ndarray) -> tuple[int, int, int, int]:
    """The part of a photo's pixels that holds all regions: top, left, height, width, with a pixel more on each side.

    Args:
      shape: height and width of the pixels.
      size: of the photo at full scale, to which the regions refer.
      regions: float32 numpy array [views, 4].
    """
    scale = np.float32(shape) / np.float32(size)
    low = np.floor(regions[:, :2].min(axis=0) * scale) - 1
    high = np.ceil((regions[:, :2] + regions[:, 2:]).max(axis=0) * scale) + 1
    low = np.clip(low, 0, np.subtract(shape, 1)).astype(np.int32)
    return *low.tolist(), *(np.clip(high, low + 1, shape).astype(np.int32) - low).tolist()


def cut_views(image: tf.Tensor, size: tf.Tensor, regions: tf.Tensor, image_size: int | tf.Tensor, frame: tf.Tensor | None = None) -> tf.Tensor:
    """Cuts and resizes each region: float32 [views, height, width, 3] in [0, 255].

    Args:
      image: uint8 [height, width, 3], perhaps decoded at a reduced scale.
      size: int32 [2], height and width of the photo at full scale, to which the regions refer.
      regions: float32 [views, 4].
      image_size: pixels of both sides, or int32 [2], height and width.
      frame: int32 [4], where the image is only a part that holds all regions: its top and left in, and height and width of,
        all the pixels.
    """
    image_size = (image_size, image_size) if isinstance(image_size, int) else image_size
    origin, shape = (tf.zeros([2], tf.int32), tf.shape(image)[:2]) if frame is None else (frame[:2], frame[2:])
    cut = []
    for region in tf.unstack(regions):
        low, high = (corner - origin for corner in region_in_pixels(region, size, shape))
        part = image[low[0] : high[0], low[1] : high[1]]
        cut.append(tf.image.resize(part, image_size, antialias=True))
    return tf.stack(cut)


def region_in_pixels(region: tf.Tensor, size: tf.Tensor, shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A region of a photo of this size in its pixels, of this shape where they are at a reduced scale: (top, left), (bottom, right), int32 [2]."""
    scale = tf.cast(shape, tf.float32) / tf.cast(size, tf.float32)
    low = tf.clip_by_value(tf.cast(tf.round(region[:2] * scale), tf.int32), 0, shape - 1)
    high = tf.cast(tf.round((region[:2] + region[2:]) * scale), tf.int32)
    return low, tf.clip_by_value(high, low + 1, shape)


def as_pixels(images: tf.Tensor) -> tf.Tensor:
    """float32 in [0, 255] -> uint8, rounded."""
    return tf.cast(tf.round(images), tf.uint8)


def _centre(region, fraction):
    top, left, height, width = tf.unstack(region)
    margin = (1 - fraction) / 2
    return tf.stack([top + margin * height, left + margin * width, fraction * height, fraction * width])
