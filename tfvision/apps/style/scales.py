"""What a stylization asks for, at every scale from coarse to fine."""

import dataclasses
import hashlib
import json
import math
import typing
from collections.abc import Sequence

import numpy as np

from tfvision.apps.style.enlarging import carry_up, resize
from tfvision.apps.style.objective import Grams, Objective, Targets
from tfvision.apps.style.presets import START_NOISE, Preset
from tfvision.apps.style.tiles import cut_picture, cut_windows
from tfvision.data.resizing import fitted_size
from tfvision.models.vgg19 import SMALLEST_SIZE

_NOISE_LEVELS = 60.0  # standard deviation of white noise around mid-grey
_SMALLEST_SCALE = 64  # pixels
# What an evaluation costs, as the seconds of loss and gradient at one pixel of a whole picture: measured with vgg19_slim.
_RESPONSES_COST = 0.55  # of responses alone, a pixel
_EVALUATION_COST = 6000.0  # of what does not grow with the picture
_LINE_SEARCH = 1.3  # evaluations an iteration of a tile, whose descent is short
_PREPARATION_COST = 1.5  # of targets and enlarging, a pixel


class Scale(typing.NamedTuple):
    """A size of the picture on its way.

    Attributes:
      size: longer side, in pixels.
      steps: iterations: of the whole picture, or where `is_carried` of each tile.
      is_carried: whether the picture is carried up to it and steps go tile by tile, not a descent of the whole.
    """

    size: float
    steps: int
    is_carried: bool = False


def scales_of(preset: Preset) -> list[Scale]:
    """The scales of a preset, coarse to fine."""
    size = min(preset.size, preset.carried_above or preset.size)
    hops = math.ceil(math.log2(preset.size / size))
    coarser = [Scale(share * size, count) for share, count in preset.scales]
    # What is carried up has steps to come.
    descents = [scale for scale in coarser if scale.size >= _SMALLEST_SCALE] + [Scale(size, math.ceil(preset.iterations / 2) if hops else preset.iterations)]
    on_the_way, at_last = preset.carried_iterations
    sizes = [preset.size ** (hop / hops) * size ** (1 - hop / hops) for hop in range(1, hops)]
    carried = [Scale(larger, on_the_way, is_carried=True) for larger in sizes]
    return [*descents, *carried, *([Scale(preset.size, at_last, is_carried=True)] if hops else [])]


def seen_size(height: int, width: int, longer: float) -> tuple[int, int]:
    """`fitted_size` of a picture, but for a shorter side that every layer still answers."""
    return fitted_size(height, width, max(longer, math.ceil(SMALLEST_SIZE * max(height, width) / min(height, width))))


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
        # Of a long, narrow picture coarse scales would have no response of the deepest layer.
        *coarser, last = scales_of(preset)
        self.scales = [*(scale for scale in coarser if min(fitted_size(*self._template.shape[:2], scale.size)) >= SMALLEST_SIZE), last]
        self.iterations = [self._windows(number) if scale.is_carried else scale.steps for number, scale in enumerate(self.scales)]
        self._costs = [self._cost(number) for number in range(len(self.scales))]

    def shape(self, scale: int) -> tuple[int, int]:
        """(height, width) of the picture at a scale."""
        return fitted_size(*self._template.shape[:2], self.scales[scale].size)

    def targets(self, objective: Objective, scale: int) -> Targets:
        """Targets of the objective at a scale."""
        return objective.targets(self.photo(scale), self.paintings(scale), self._weights, self.masks(scale), self.previous(scale))

    def style_targets(self, objective: Objective, scale: int) -> Grams:
        """`Targets.style` at a scale."""
        return objective.style_targets(self.paintings(scale), self._weights, self._masks is not None)

    def photo(self, scale: int) -> np.ndarray:
        """The photo at a scale, float32 [height, width, 3]."""
        return resize(self._template, self.shape(scale))

    def paintings(self, scale: int) -> list[np.ndarray]:
        """The paintings at a scale, in proportion to the picture: float32 [h, w, 3] each."""
        size = self.scales[scale].size * self._preset.painting_scale
        return [resize(painting, seen_size(*painting.shape[:2], size)) for painting in self._paintings]

    def masks(self, scale: int) -> np.ndarray | None:
        """float32 [paintings, height, width] at a scale, or None."""
        return None if self._masks is None else np.stack([resize(mask[..., None], self.shape(scale))[..., 0] for mask in self._masks])

    def previous(self, scale: int) -> tuple[np.ndarray, ...]:
        """(picture, photo) of the last frame at a scale, or ()."""
        return tuple(resize(frame, self.shape(scale)) for frame in self._previous)

    def start(self, scale: int, coarser: np.ndarray | None = None) -> np.ndarray:
        """The image that a scale starts from, float32 [height, width, 3].

        Args:
          coarser: the image that the scale before ended with.
        """
        shape = self.shape(scale)
        if coarser is not None:
            return self._enlarged(coarser, scale)
        if self._initial is not None:
            return resize(self._initial, shape)
        if self._preset.start == START_NOISE or self._photo is None:
            return np.random.default_rng(self._preset.seed).normal(127.5, _NOISE_LEVELS, (*shape, 3)).astype(np.float32)
        return resize(self._photo, shape)

    def _enlarged(self, image, scale):
        shape, has_detail = self.shape(scale), self._photo is not None and self._preset.content_layer
        if not has_detail:
            return resize(image, shape)
        if self.scales[scale].is_carried:
            return carry_up(image, self.photo(scale))
        # With the detail of the photo that the coarser scale could not show.
        return resize(image, shape) + resize(self._photo, shape) - resize(resize(self._photo, image.shape[:2]), shape)

    def _windows(self, scale):
        return len(cut_windows(*self.shape(scale), self._preset.tile))

    def _cost(self, scale):
        """What an iteration costs, where that of a whole picture is its pixels."""
        if self.scales[scale].is_carried:
            windows = cut_windows(*self.shape(scale), self._preset.tile)
            pixels = _pixels(windows) / len(windows)
            return (_LINE_SEARCH * self.scales[scale].steps + 2 * _RESPONSES_COST) * pixels + _EVALUATION_COST
        tiles = cut_picture(*self.shape(scale), self._preset.tile)
        return _pixels(tiles) * (1 if len(tiles) == 1 else 1 + _RESPONSES_COST) + _EVALUATION_COST

    def work(self, scale: int, iteration: int) -> tuple[float, float]:
        """(done, in all), in the unit of evaluations' pixels, after an iteration of a scale; what an earlier scale was spared counts as done."""
        works = [math.prod(self.shape(number)) * _PREPARATION_COST + count * self._costs[number] for number, count in enumerate(self.iterations)]
        left = sum(works[scale + 1 :]) + (self.iterations[scale] - iteration) * self._costs[scale]
        return sum(works) - left, sum(works)

    def fingerprint(self) -> str:
        """SHA-256 of all that decides the picture, beside the network."""
        digest = hashlib.sha256(json.dumps(dataclasses.asdict(self._preset), sort_keys=True).encode())
        for array in (self._photo, *self._paintings, self._weights, self._masks, self._initial, *self._previous):
            digest.update(b"-" if array is None else str(np.shape(array)).encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def _pixels(tiles):
    """Of all of them, those counted twice that two have in common."""
    return sum((rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in tiles)
