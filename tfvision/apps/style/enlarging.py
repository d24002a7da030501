"""A painted picture carried up to a larger photo: its colours enlarged, the photo's finer detail turned into them.

Around each pixel of the small picture its colours are an affine function of the photo's, fitted by least squares (He, Sun
and Tang, "Guided image filtering", eq. 19, with colours as the guide). What the photo has at the large size and not at the small one is put
through that function: an edge of the photo is as sharp there, in the colours of the paint.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

_RADIUS_PX = 2  # of the window in which a function is fitted, in pixels of the small picture
_NOISE_LEVELS = 45.0  # grey levels: what a photo varies by less within a window counts little; from 10 on the detail of the photo covers the strokes
_STRIP_PX = 256  # rows of the large picture at a time


def carry_up(painted: np.ndarray, photo: np.ndarray, radius_px: int = _RADIUS_PX, noise_levels: float = _NOISE_LEVELS) -> np.ndarray:
    """Enlarges a painted picture to the size of its photo.

    Args:
      painted: float32 [h, w, 3] on 0-255.
      photo: float32 [height, width, 3] on 0-255, of the same shape and larger.
      radius_px: of the window in which colours are an affine function, in pixels of `painted`.
      noise_levels: square root of eq. 19's epsilon: what a photo varies by less is not carried.

    Returns:
      float32 [height, width, 3], not clipped.
    """
    height, width = photo.shape[:2]
    small = resize(photo, painted.shape[:2])
    maps = affine_maps(small, painted, radius_px, noise_levels).reshape(*painted.shape[:2], 9)
    large, detail = resize(painted, (height, width)), photo - resize(small, (height, width))
    for top in range(0, height, _STRIP_PX):
        rows = slice(top, min(top + _STRIP_PX, height))
        of_rows = _stretched(maps, _places(painted.shape[0], height)[rows], 0)
        of_pixels = _stretched(of_rows, _places(painted.shape[1], width), 1).reshape(-1, width, 3, 3)
        large[rows] += np.einsum("hwi,hwij->hwj", detail[rows], of_pixels)
    return large


def resize(image: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """[height, width, channels] -> float32 [*shape, channels], bicubic, antialiased."""
    if tuple(image.shape[:2]) == tuple(shape):
        return np.asarray(image, np.float32)
    return tf.image.resize(image, shape, "bicubic", antialias=True).numpy()


def affine_maps(photo: np.ndarray, painted: np.ndarray, radius_px: int = _RADIUS_PX, noise_levels: float = _NOISE_LEVELS) -> np.ndarray:
    """The linear part of the affine function from a photo's colours to a painted picture's, around each pixel.

    Args:
      photo, painted: float32 [height, width, 3].
      radius_px, noise_levels: as `carry_up`.

    Returns:
      float32 [height, width, 3, 3]: the second last axis is the photo's colours, the last the picture's.
    """
    photo, painted = photo - 127.5, painted - 127.5  # float32 keeps more of the variance of smaller numbers
    mean, painted_mean = _window_mean(photo, radius_px), _window_mean(painted, radius_px)
    variance = _products(photo, photo, radius_px) - mean[..., :, None] * mean[..., None, :]
    covariance = _products(photo, painted, radius_px) - mean[..., :, None] * painted_mean[..., None, :]
    maps = np.linalg.solve(variance + np.float32(noise_levels**2) * np.eye(3, dtype=np.float32), covariance)
    return _window_mean(maps.reshape(*photo.shape[:2], 9), radius_px).reshape(maps.shape)


def _products(one, other, radius_px):
    """The window's mean of each colour of one by each of the other: float32 [height, width, 3, 3]."""
    products = one[..., :, None] * other[..., None, :]
    return _window_mean(products.reshape(*one.shape[:2], 9), radius_px).reshape(products.shape)


def _window_mean(values, radius_px):
    padded = np.pad(values, ((radius_px, radius_px), (radius_px, radius_px), (0, 0)), mode="edge")
    return tf.nn.avg_pool2d(padded[None], 2 * radius_px + 1, 1, "VALID")[0].numpy()


def _places(length, longer):
    """Where the centres of the pixels of a longer side lie among those of a shorter one: float32 [longer], kept within."""
    return np.clip((np.arange(longer, dtype=np.float32) + 0.5) * (length / longer) - 0.5, 0, length - 1)


def _stretched(values, places, axis):
    """Values [height, width, ...] between their rows (axis 0) or columns (1), linearly."""
    before = np.floor(places).astype(int)
    after = np.minimum(before + 1, values.shape[axis] - 1)
    share = np.reshape(places - before, (-1, 1, 1) if axis == 0 else (1, -1, 1))
    return (1 - share) * np.take(values, before, axis) + share * np.take(values, after, axis)
