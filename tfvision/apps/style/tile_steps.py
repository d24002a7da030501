"""Few steps at a size of which no descent of the whole is to be had: window by window, in one sweep.

Eq. 5 looks at the whole picture's Gram matrices. A window by itself is asked for its own and what the whole picture
lacks yet, so that a calm sky stays calm and all windows together have the painting's statistics.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfvision.apps.style.objective import Objective, Targets
from tfvision.apps.style.optimisation import Descent, Lbfgs
from tfvision.apps.style.presets import Preset
from tfvision.apps.style.scales import Scales
from tfvision.apps.style.tiles import WINDOW_PX, cut_windows
from tfvision.losses.style import style_loss

SAVED_EVERY = 10  # windows
_ASKED = 1.2  # of what is lacking: few steps do not reach what they are asked for
_LEAST_REST = 0.4  # share of the picture to come, as which less counts: were the last windows asked for all that is lacking, they would look unlike the others
_STYLE_GAIN = 4.0  # of style_weight: the content is there already, carried up from the photo
_FIRST_STEP_LEVELS = 1.0  # grey levels by which a first step changes pixels; L-BFGS itself begins with a thousandth, and searches
_LEAST_SHARE = 1e-6  # of a mask at a pixel: a region that is nowhere divides by no zero
_SAMPLES = 16  # windows from which the picture's Gram matrices are estimated before the sweep


def window_preset(preset: Preset) -> Preset:
    """The preset of the objective of single windows, which it computes in one piece, and of whole paintings, which it cuts."""
    return dataclasses.replace(preset, style_weight=_STYLE_GAIN * preset.style_weight, tile=min(WINDOW_PX, preset.tile or WINDOW_PX) + 64)


class TileSteps:
    """A sweep over the windows of one scale, in an order drawn by the preset's seed.

    Args:
      objective: Objective of `window_preset`.
      preset: Preset.
      scales, scale: Scales, and the number of the one that is swept.
      image: float32 [height, width, 3] from which the sweep starts; None = `variables` are about to be restored.

    Attributes:
      variables: what beside the image is the sweep's state.
    """

    def __init__(self, objective: Objective, preset: Preset, scales: Scales, scale: int, image: np.ndarray | None):
        self._objective, self._preset = objective, dataclasses.replace(preset, tolerance=0.0)
        self._steps = scales.scales[scale].steps
        self._photo, self._masks, self._previous = scales.photo(scale), scales.masks(scale), scales.previous(scale)
        windows = cut_windows(*self._photo.shape[:2], preset.tile)
        self._windows = [windows[number] for number in np.random.default_rng(preset.seed).permutation(len(windows))]
        self._shares = [self._share(window) for window in self._windows]
        aim = scales.style_targets(objective, scale)
        self._aim = {layer: [gram[0].numpy() for gram in grams] for layer, grams in aim.items()}
        start = self._aim if image is None else self._estimated(image)
        self._now = {layer: [tf.Variable(gram) for gram in grams] for layer, grams in start.items()}
        self._content = tf.Variable(0.0)
        self.variables = (*tf.nest.flatten(self._now), self._content)

    def run_leg(self, descent: Descent, windows: int, on_window: Callable[[], None]) -> None:
        """Goes on with `descent`, whose iterations are windows, by so many."""
        for number in range(descent.iteration, min(descent.iteration + windows, len(self._windows))):
            self._step(descent, number)
            on_window()

    def losses(self) -> tuple[float, float]:
        """(content, style) of the picture, of all windows as each was left, not weighted."""
        style = 0.0
        for layer, grams in self._now.items():
            for now, aim, share in zip(grams, self._aim[layer], self._region_shares(), strict=True):
                style += share * float(style_loss(now[None], aim[None])[0]) / len(self._now)
        return float(self._content), self._preset.response_mean**4 * style

    def _step(self, descent, number):
        window = rows, columns = self._windows[number]
        place = slice(rows.start, rows.stop), slice(columns.start, columns.stop)
        targets, start = self._targets(place), descent.image[place].copy()
        own = self._objective.grams(start, targets)
        lacking = self._lacking(number)
        asked = {layer: tuple(gram + more[None] for gram, more in zip(own[layer], lacking[layer], strict=True)) for layer in own}
        changed, evaluation, evaluations = self._descended(start, targets._replace(style=asked), window)
        descent.image[place] = changed
        for layer, grams in self._now.items():
            for now, before, after, share in zip(grams, own[layer], evaluation.grams[layer], self._shares[number], strict=True):
                now.assign_add(share * (after - before)[0])
        self._content.assign_add(_area(window) * evaluation.content)
        descent.iteration += 1
        descent.evaluations += evaluations
        content, style = float(self._content) / sum(_area(one) for one in self._windows[: number + 1]), self.losses()[1]
        descent.last = evaluation._replace(content=content, style=style)

    def _lacking(self, number):
        """What a window is asked for beside its own: layer -> for each region float32 [channels, channels]."""
        rest = max(_LEAST_REST, float(np.mean(self._shares[number:], axis=1).sum()))
        return {layer: [_ASKED / rest * (aim - now) for aim, now in zip(aims, self._now[layer], strict=True)] for layer, aims in self._aim.items()}

    def _descended(self, start, targets, window):
        """(the window's image after its steps, kept within 0-255, the last Evaluation, how many there were)."""
        rows, columns = window
        unit = _FIRST_STEP_LEVELS * math.sqrt(start.size)
        scale = (unit * rows.rule()[:, None] * columns.rule()[None])[..., None].astype(np.float32)

        def evaluate(values):
            image = start + scale * values
            kept = np.clip(image, 0, 255)  # what a file can hold is what is judged
            evaluation = self._objective.evaluate(kept, targets)
            return evaluation._replace(gradient=np.where(image == kept, scale * evaluation.gradient, 0))

        descent = Descent(np.zeros_like(start))
        if not self._steps:
            return start, evaluate(descent.image), 1
        Lbfgs(self._preset, start.shape).run_leg(evaluate, descent, self._steps, lambda: None)
        last = descent.last or evaluate(descent.image)
        return np.clip(start + scale * descent.image, 0, 255), last, descent.evaluations

    def _targets(self, place) -> Targets:
        masks = None if self._masks is None else self._masks[(slice(None), *place)]
        return self._objective.targets(self._photo[place], (), masks=masks, previous=[frame[place] for frame in self._previous])

    def _estimated(self, image):
        """The picture's Gram matrices, {layer: one a region}, from some of its windows."""
        # A region may lie in few windows: with masks all are looked at.
        chosen = range(0, len(self._windows), 1 if self._masks is not None else math.ceil(len(self._windows) / _SAMPLES))
        total = np.sum([self._shares[number] for number in chosen], axis=0)
        found: dict = {}
        for number in chosen:
            rows, columns = self._windows[number]
            place = slice(rows.start, rows.stop), slice(columns.start, columns.stop)
            for layer, grams in self._objective.grams(image[place], self._targets(place)).items():
                parts = [gram[0].numpy() * float(own / whole) for gram, own, whole in zip(grams, self._shares[number], total, strict=True)]
                found[layer] = [a + b for a, b in zip(found[layer], parts, strict=True)] if layer in found else parts
        return found

    def _share(self, window):
        """What share of each region a window covers, with what it has in common with its neighbours: list of float."""
        rows, columns = window
        if self._masks is None:
            return [(rows.stop - rows.start) * (columns.stop - columns.start) / (rows.length * columns.length)]
        place = slice(rows.start, rows.stop), slice(columns.start, columns.stop)
        return [float(np.maximum(mask[place], _LEAST_SHARE).sum() / np.maximum(mask, _LEAST_SHARE).sum()) for mask in self._masks]

    def _region_shares(self):
        """What share of the picture each region is: list of float."""
        return [1.0] if self._masks is None else [float(mask.sum() / self._masks.sum()) for mask in self._masks]


def _area(window):
    """The share of the picture that a window rules."""
    rows, columns = window
    return float(rows.rule().sum() * columns.rule().sum()) / (rows.length * columns.length)
