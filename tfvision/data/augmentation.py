"""Random changes to a training image: region, shape, flip, colour, blur, and what hides part of it.

Random numbers are stateless: a seed, int32 [2], decides every one of them.
"""

import dataclasses
import functools
import itertools
import math

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes; the defaults are those of species identification (READINGS, section 1), and 0 = none.

    Attributes:
      area: smallest and largest share of the image's area that a random region covers.
      aspect: smallest and largest ratio of a region's width to its height.
      is_aspect_relative: whether that is a factor on the image's own ratio, so that 1 keeps it.
      brightness: largest change, of a range of 1.
      contrast, saturation: largest relative change, so that factors run from 1 - x to 1 + x.
      hue: largest shift, of a full circle of 1.
      flip: whether images are mirrored, one in two.
      vertical_flip: whether they are turned upside down so too.
      rotation: largest turn either way, in degrees.
      shear: largest shift of one side against the opposite one, of its length.
      perspective: largest relative change of scale from the centre to an edge.
      tint: largest relative change of each colour by itself, as light of another colour makes it.
      grey: share of images that lose their colours.
      blur: largest deviation of a Gaussian, of the image's side.
      occlusion: largest share of the image's area that a rectangle of one colour hides.
      augment_on: "pipeline", or "device": then the pipeline cuts regions only, and all other changes are made within the training step, where
        the network is.
    """

    area: tuple[float, float] = (0.05, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    is_aspect_relative: bool = False
    brightness: float = 32 / 255
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.2
    flip: bool = True
    vertical_flip: bool = False
    rotation: float = 0.0
    shear: float = 0.0
    perspective: float = 0.0
    tint: float = 0.0
    grey: float = 0.0
    blur: float = 0.0
    occlusion: float = 0.0
    augment_on: str = "pipeline"


def random_region(size: tf.Tensor, seed: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """A random region of an image: float32 [4], top, left, height, width in pixels.

    Args:
      size: int32 [2], height and width of the image in pixels.
      seed: int32 [2].
    """
    height, width = tf.unstack(tf.cast(size, tf.float32))
    draws = tf.random.stateless_uniform([4], seed)
    area = height * width * _between(draws[0], *augmentation.area)
    log_aspect = _between(draws[1], *(math.log(bound) for bound in augmentation.aspect))
    aspect = tf.exp(log_aspect) * (width / height if augmentation.is_aspect_relative else 1.0)
    # A region that would stick out is cut at the edge rather than drawn again: one draw, one region.
    region_width = tf.minimum(tf.sqrt(area * aspect), width)
    region_height = tf.minimum(tf.sqrt(area / aspect), height)
    top, left = draws[2] * (height - region_height), draws[3] * (width - region_width)
    return tf.stack([top, left, region_height, region_width])


def distort(images: tf.Tensor, seed: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Bends, flips, recolours, blurs and hides all views of one photo alike.

    Args:
      images: float32 [views, height, width, 3] in [0, 1].
      seed: int32 [2].

    Returns:
      float32, same shape, clipped to [0, 1].
    """
    # Each kind of change has its own random numbers, so that one more of them leaves the others as they were.
    seeds = [tf.random.experimental.stateless_fold_in(seed, kind) for kind in range(1, 6)]
    if augmentation.rotation or augmentation.shear or augmentation.perspective:
        images = _bend(images, seeds[0], augmentation)
    images = _recolour(images, seed, augmentation)
    if augmentation.vertical_flip:
        images = tf.cond(tf.random.stateless_uniform([], seeds[1]) < 0.5, lambda: tf.reverse(images, axis=[1]), lambda: images)
    if augmentation.tint or augmentation.grey:
        images = _change_light(images, seeds[2], augmentation)
    if augmentation.blur:
        images = _blur(images, seeds[3], augmentation.blur)
    if augmentation.occlusion:
        images = _hide(images, seeds[4], augmentation)
    return tf.clip_by_value(images, 0.0, 1.0)


def distort_photos(images: tf.Tensor, seeds: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """As `distort`, for each photo of a batch by a seed of its own.

    Args:
      images: float32 [batch, views, height, width, 3] in [0, 1].
      seeds: int32 [batch, 2].
    """

    def one(photo: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        return distort(*photo, augmentation)

    return tf.map_fn(one, (images, seeds), fn_output_signature=tf.TensorSpec(images.shape[1:], tf.float32))


def _recolour(images, seed, augmentation):
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
        orders = list(itertools.permutations(range(len(changes))))
        order = tf.constant(orders)[tf.cast(draws[5] * len(orders), tf.int32)]

        def changed(images, which):
            return tf.switch_case(which, [functools.partial(change, images) for change in changes])

        images = tf.foldl(changed, order, images)  # a loop: written out, each change would be traced at each place
    return images


def _bend(images, seed, augmentation):
    """Turns, shears and tilts; what comes from beyond the edge is black in one half, the photo's reflection in the other."""
    draws = tf.random.stateless_uniform([6], seed)
    angle = math.pi / 180 * augmentation.rotation * (2 * draws[0] - 1)
    # Photos were squeezed into squares: they turn as if they still had the sides of some photo.
    aspect = tf.exp(_between(draws[1], *(math.log(bound) for bound in augmentation.aspect)))
    cosine, sine = tf.cos(angle), tf.sin(angle)
    slant = augmentation.shear * (2 * draws[2] - 1)
    tilt = augmentation.perspective * (2 * draws[3:5] - 1)
    turn = tf.reshape(tf.stack([cosine, -sine / aspect, 0.0, sine * aspect, cosine, 0.0, 0.0, 0.0, 1.0]), [3, 3])
    shear = tf.reshape(tf.stack([1.0, slant, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]), [3, 3])
    lens = tf.reshape(tf.stack([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, tilt[0], tilt[1], 1.0]), [3, 3])
    return tf.cond(draws[5] < 0.5, lambda: _project(images, turn @ shear @ lens, "CONSTANT"), lambda: _project(images, turn @ shear @ lens, "REFLECT"))


def _project(images, matrix, fill_mode):
    """Each pixel of the result is looked up where the matrix sends it; both images reach from -1 to 1 (x to the right, y down)."""
    height, width = tf.unstack(tf.cast(tf.shape(images)[1:3], tf.float32))
    half_x, half_y = (width - 1) / 2, (height - 1) / 2
    to_unit = tf.reshape(tf.stack([1 / half_x, 0.0, -1.0, 0.0, 1 / half_y, -1.0, 0.0, 0.0, 1.0]), [3, 3])
    to_pixels = tf.reshape(tf.stack([half_x, 0.0, half_x, 0.0, half_y, half_y, 0.0, 0.0, 1.0]), [3, 3])
    whole = tf.reshape(to_pixels @ matrix @ to_unit, [9])
    projected = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=(whole / whole[8])[None, :8],
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode=fill_mode,
    )
    return tf.ensure_shape(projected, images.shape)


def _change_light(images, seed, augmentation):
    draws = tf.random.stateless_uniform([4], seed)
    images *= 1 + augmentation.tint * (2 * draws[:3] - 1)
    return tf.cond(draws[3] < augmentation.grey, lambda: tf.repeat(tf.image.rgb_to_grayscale(images), 3, axis=-1), lambda: images)


def _blur(images, seed, largest):
    """Half of the images stay sharp."""
    draw = tf.random.stateless_uniform([], seed)
    return tf.cond(draw < 0.5, lambda: images, lambda: _blurred(images, (2 * draw - 1) * largest))


def _blurred(images, deviation):
    side = tf.cast(tf.reduce_max(tf.shape(images)[1:3]), tf.float32)
    deviation = tf.maximum(deviation * side, 1e-3)
    reach = tf.cast(tf.math.ceil(2 * deviation), tf.int32)
    weights = tf.exp(-tf.square(tf.cast(tf.range(-reach, reach + 1), tf.float32) / deviation) / 2)
    kernel = tf.tile((weights / tf.reduce_sum(weights))[:, None, None, None], [1, 1, 3, 1])
    padded = tf.pad(images, [[0, 0], [reach, reach], [reach, reach], [0, 0]], "SYMMETRIC")
    blurred = tf.nn.depthwise_conv2d(padded, kernel, [1, 1, 1, 1], "VALID")
    blurred = tf.nn.depthwise_conv2d(blurred, tf.transpose(kernel, [1, 0, 2, 3]), [1, 1, 1, 1], "VALID")
    return tf.ensure_shape(blurred, images.shape)


def _hide(images, seed, augmentation):
    """Half of the images stay whole."""
    draws = tf.random.stateless_uniform([8], seed)
    shape = tf.cast(tf.shape(images)[1:3], tf.float32)
    aspect = tf.exp(_between(draws[1], math.log(1 / 3), math.log(3)))
    share = tf.sqrt(augmentation.occlusion * tf.maximum(2 * draws[0] - 1, 0.0))
    sides = tf.minimum(share * tf.stack([1 / tf.sqrt(aspect), tf.sqrt(aspect)]), 1.0) * shape
    low = draws[2:4] * (shape - sides)
    inside = [(tf.range(shape[axis]) >= low[axis]) & (tf.range(shape[axis]) < low[axis] + sides[axis]) for axis in (0, 1)]
    return tf.where((inside[0][:, None] & inside[1][None])[None, :, :, None], draws[4:7], images)


def _between(draw, low, high):
    return low + draw * (high - low)
