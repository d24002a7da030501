"""The paper's random changes to a training image: region, flip and colour.

Random numbers are stateless: a seed, int32 [2], decides every one of them.
"""

import dataclasses
import itertools
import math

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes; the defaults are the paper's and its original system's (READINGS, section 1).

    Attributes:
      area: smallest and largest share of the image's area that a random region covers.
      aspect: smallest and largest ratio of a region's width to its height.
      brightness: largest change, of a range of 1.
      contrast, saturation: largest relative change, so that factors run from 1 - x to 1 + x.
      hue: largest shift, of a full circle of 1.
      flip: whether images are mirrored, one in two.
    """

    area: tuple[float, float] = (0.05, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    brightness: float = 32 / 255
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.2
    flip: bool = True


def random_region(size, seed, augmentation):
    """A random region of an image: float32 [4], top, left, height, width in pixels.

    Args:
      size: int32 [2], height and width of the image in pixels.
      seed: int32 [2].
    """
    height, width = tf.unstack(tf.cast(size, tf.float32))
    draws = tf.random.stateless_uniform([4], seed)
    area = height * width * _between(draws[0], *augmentation.area)
    log_aspect = _between(draws[1], *(math.log(bound) for bound in augmentation.aspect))
    aspect = tf.exp(log_aspect)
    # A region that would stick out is cut at the edge rather than drawn again: one draw, one region.
    region_width = tf.minimum(tf.sqrt(area * aspect), width)
    region_height = tf.minimum(tf.sqrt(area / aspect), height)
    top, left = draws[2] * (height - region_height), draws[3] * (width - region_width)
    return tf.stack([top, left, region_height, region_width])


def distort(images, seed, augmentation):
    """Flips and recolours all views of one photo alike.

    Args:
      images: float32 [views, height, width, 3] in [0, 1].
      seed: int32 [2].

    Returns:
      float32, same shape, clipped to [0, 1].
    """
    draws = tf.random.stateless_uniform([6], seed)
    if augmentation.flip:
        images = tf.cond(draws[0] < 0.5, lambda: tf.reverse(images, axis=[2]), lambda: images)
    changes = [
        (augmentation.brightness, lambda x: x + augmentation.brightness * (2 * draws[1] - 1)),
        (augmentation.contrast, lambda x: tf.image.adjust_contrast(x, 1 + augmentation.contrast * (2 * draws[2] - 1))),
        (augmentation.saturation, lambda x: tf.image.adjust_saturation(x, 1 + augmentation.saturation * (2 * draws[3] - 1))),
        (augmentation.hue, lambda x: tf.image.adjust_hue(x, augmentation.hue * (2 * draws[4] - 1))),
    ]
    changes = [change for strength, change in changes if strength]
    if changes:
        orders = list(itertools.permutations(changes))
        branches = [lambda order=order: _apply(order, images) for order in orders]
        images = tf.switch_case(tf.cast(draws[5] * len(orders), tf.int32), branches)
    return tf.clip_by_value(images, 0.0, 1.0)


def _apply(changes, images):
    for change in changes:
        images = change(images)
    return images


def _between(draw, low, high):
    return low + draw * (high - low)
