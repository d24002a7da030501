"""Grad-CAM: where in an image a layer holds what a score rests on, as a map and laid over the image (figure 7).

Source: Selvaraju et al., "Grad-CAM: Visual explanations from deep networks via gradient-based localization", Eqs. 1 and 2.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfvision.errors import RecipeError

_OPACITY = 0.5
_SHADES = ((0.0, (0, 0, 143)), (0.25, (0, 80, 255)), (0.5, (60, 255, 150)), (0.75, (255, 200, 0)), (1.0, (190, 0, 0)))


def grad_cam(model: Callable[[tf.Tensor], tuple[tf.Tensor, Any]], score: Callable[[Any], tf.Tensor], images: np.ndarray | tf.Tensor) -> np.ndarray:
    """Where a layer's responses raise a score.

    Args:
      model: keras.Model or function: images -> (responses [batch, height, width, channels], whatever the score is of), the
        second being computed from the first.
      score: function of that second output -> float [batch].
      images: float32 [batch, height, width, 3], as the model takes them.

    Returns:
      float32 [batch, height, width] in [0, 1]: ReLU of the sum over channels of responses weighted by the mean gradient
      (Eqs. 1 and 2), divided by its maximum; all 0 where nothing speaks for the score.

    Raises:
      RecipeError: the layer has no positions, or the score does not rest on it.
    """
    return grad_cam_tensor(model, score, images).numpy()


def grad_cam_tensor(model: Callable[[tf.Tensor], tuple[tf.Tensor, Any]], score: Callable[[Any], tf.Tensor], images: np.ndarray | tf.Tensor) -> tf.Tensor:
    """As `grad_cam`, a tensor: for graphs."""
    images = tf.convert_to_tensor(images)
    with tf.GradientTape() as tape:
        tape.watch(images)  # else a frozen network would leave no trace
        responses, outputs = model(images)
        total = tf.reduce_sum(score(outputs))
    if len(responses.shape) != 4:
        raise RecipeError(f"Grad-CAM needs a layer with positions, got one of shape {tuple(responses.shape)}: choose an earlier one")
    gradients = tape.gradient(total, responses)
    if gradients is None:
        raise RecipeError("Grad-CAM needs a layer that the score is computed from: choose an earlier one")
    return in_shares(weighted_sum(responses, gradients))


def weighted_sum(responses: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """Eqs. 1 and 2 before their ReLU: responses and gradients [batch, height, width, channels] -> [batch, height, width]."""
    return tf.reduce_sum(tf.reduce_mean(gradients, (1, 2), keepdims=True) * responses, axis=3)


def in_shares(maps: tf.Tensor) -> tf.Tensor:
    """What of each map [batch, height, width] is above 0, in shares of its maximum; a map of nothing stays one."""
    maps = tf.nn.relu(maps)
    return tf.math.divide_no_nan(maps, tf.reduce_max(maps, (1, 2), keepdims=True))


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """The image with its map laid over it, blue (0) over green to red (1): uint8 [height, width, 3].

    Args:
      image: uint8 RGB [height, width, 3].
      heat: float [h, w] in [0, 1], of any size.
    """
    return np.round((1 - _OPACITY) * image + _OPACITY * shades(enlarged(heat, image.shape[:2]))).astype(np.uint8)


def enlarged(heat: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A map in [0, 1] at another size, smooth: float32 of this shape."""
    return tf.image.resize(np.asarray(heat, np.float32)[..., None], shape, "bicubic").numpy()[..., 0].clip(0, 1)


def shades(heat: np.ndarray) -> np.ndarray:
    """The colours of a map in [0, 1], blue over green to red: float [height, width, 3] in [0, 255]."""
    stops, colours = [stop for stop, _ in _SHADES], [colour for _, colour in _SHADES]
    return np.stack([np.interp(heat, stops, channel) for channel in np.array(colours).T], axis=-1)
