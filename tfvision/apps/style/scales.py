"""What a stylization asks for, at every scale from coarse to fine."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfvision.apps.style.objective import Objective, Targets
from tfvision.apps.style.presets import START_NOISE, Preset
from tfvision.data.resizing import fitted_size
from tfvision.models.vgg19 import SMALLEST_SIZE

_NOISE_LEVELS = 60.0  # standard deviation of white noise around mid-grey
_SMALLEST_SCALE = 64  # pixels


class Scales:
    """A photo, paintings and masks at each scale.

    Args:
      photo, paintings, masks, initial, previous: as `stylize`; masks float32 [paintings, height, width] or None.
      preset: Preset.
      weights: float, one a painting, summing to 1.
    """

    def __init__(
        self,
        photo: np.ndarray | None,
        paintings: Sequence[np.ndarray],
        preset: Preset,
        weights: np.ndarray,
        masks: np.ndarray | None,
        initial: np.ndarray | None,
        previous: Sequence[np.ndarray],
    ):
        self._photo, self._paintings, self._preset, self._weights = photo, paintings, preset, weights
        self._masks, self._initial, self._previous = masks, initial, previous
        self._template = photo if photo is not None else paintings[0]
        scales = [(share * preset.size, count) for share, count in preset.scales]
        self._scales = [(size, count) for size, count in scales if size >= _SMALLEST_SCALE] + [(preset.size, preset.iterations)]
        self.iterations = [count for _, count in self._scales]

    def shape(self, scale: int) -> tuple[int, int]:
        """(height, width) of the picture at a scale."""
        return fitted_size(*self._template.shape[:2], self._scales[scale][0])

    def targets(self, objective: Objective, scale: int) -> Targets:
        """Targets of the objective at a scale."""
        shape = self.shape(scale)
        size = max(SMALLEST_SIZE, self._scales[scale][0] * self._preset.painting_scale)
        paintings = [resize(painting, fitted_size(*painting.shape[:2], size)) for painting in self._paintings]
        masks = None if self._masks is None else np.stack([resize(mask[..., None], shape)[..., 0] for mask in self._masks])
        previous = tuple(resize(frame, shape) for frame in self._previous)
        return objective.targets(resize(self._template, shape), paintings, self._weights, masks, previous)

    def start(self, scale: int, coarser: np.ndarray | None = None) -> np.ndarray:
        """The image that a scale starts from, float32 [height, width, 3].

        Args:
          coarser: the image that the scale before ended with.
        """
        shape = self.shape(scale)
        if coarser is not None:
            return self._enlarged(coarser, shape)
        if self._initial is not None:
            return resize(self._initial, shape)
        if self._preset.start == START_NOISE or self._photo is None:
            return np.random.default_rng(self._preset.seed).normal(127.5, _NOISE_LEVELS, (*shape, 3)).astype(np.float32)
        return resize(self._photo, shape)

    def _enlarged(self, image, shape):
        larger = resize(image, shape)
        if self._photo is None or not self._preset.content_layer:
            return larger
        # With the detail of the photo that the coarser scale could not show.
        return larger + resize(self._photo, shape) - resize(resize(self._photo, image.shape[:2]), shape)

    def fingerprint(self) -> str:
        """SHA-256 of all that decides the picture, beside the network."""
        digest = hashlib.sha256(json.dumps(dataclasses.asdict(self._preset), sort_keys=True).encode())
        for array in (self._photo, *self._paintings, self._weights, self._masks, self._initial, *self._previous):
            digest.update(b"-" if array is None else str(np.shape(array)).encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def resize(image: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """[height, width, channels] -> float32 [*shape, channels], bicubic, antialiased."""
    if tuple(image.shape[:2]) == tuple(shape):
        return np.asarray(image, np.float32)
    return tf.image.resize(image, shape, "bicubic", antialias=True).numpy()
