"""A photo in the manner of paintings: from coarse to fine, each scale a descent of the objective."""

import dataclasses
import functools
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvision.apps.style.memory import check_memory
from tfvision.apps.style.objective import Objective
from tfvision.apps.style.optimisation import LEG_ITERATIONS, OPTIMIZERS, Descent, check_losses
from tfvision.apps.style.presets import Preset
from tfvision.apps.style.regions import painting_shares, region_shares
from tfvision.apps.style.scales import Scales
from tfvision.apps.style.tile_steps import SAVED_EVERY, TileSteps, window_preset
from tfvision.data.resizing import fitted_size
from tfvision.errors import DataError, RecipeError, RunError
from tfvision.files import sha256_of
from tfvision.models.perceptual import find_weights, load_perceptual
from tfvision.models.vgg19 import SMALLEST_SIZE
from tfvision.training.checkpoints import read_facts, restore_checkpoint, save_checkpoint

_STATE = {  # facts of a state
    **dict.fromkeys(("iterations", "evaluations"), tuple[int, ...]),
    "made_of": str,
    "scale": int,
    "losses": [float],
    "is_finished": bool,
    "seconds": float,
}


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a stylization stands, after an iteration.

    Attributes:
      scale, scales: number of this scale, from 1, and how many there are.
      iteration, iterations: done, and at most to be done, over all scales; where a picture is carried up, a tile counts as one.
      evaluations: of the objective, over all scales.
      content_loss, style_loss: eq. 1 (averaged where the preset says so) and eq. 5, not weighted.
      total_loss: what is minimised.
      picture: a function that returns the picture now, uint8 [height, width, 3].
      work_done, work: what is done and what is to be done in all, in one unit that stands for time.
    """

    scale: int
    scales: int
    iteration: int
    iterations: int
    evaluations: int
    content_loss: float
    style_loss: float
    total_loss: float
    picture: Callable[[], np.ndarray]
    work_done: float = 0.0
    work: float = 1.0


@dataclasses.dataclass(frozen=True)
class Stylization:
    """A finished picture, uint8 [height, width, 3], and how it came about; losses are the picture's own.

    Of a picture that was carried up they are those of its tiles as each was left, before the values were rounded.
    """

    picture: np.ndarray
    iterations: int
    evaluations: int
    content_loss: float
    style_loss: float
    total_loss: float
    seconds: float
    network: str

    @property
    def facts(self) -> dict:
        """What a record tells of it."""
        return {name: getattr(self, name) for name in ("iterations", "evaluations", "content_loss", "style_loss", "seconds")}


def stylize(
    photo: np.ndarray | None,
    paintings: Sequence[np.ndarray],
    preset: Preset,
    *,
    weights: Sequence[float] | None = None,
    masks: Sequence[np.ndarray] | None = None,
    initial: np.ndarray | None = None,
    previous: Sequence[np.ndarray] = (),
    on_iteration: Callable[[Progress], object] | None = None,
    state_path: str | Path | None = None,
) -> Stylization:
    """Renders a photo in the manner of paintings.

    Args:
      photo: uint8 [height, width, 3]; None = no content, a texture in the first painting's shape.
      paintings: list of uint8 [height, width, 3]; may be empty where the preset has no style layers.
      preset: Preset.
      weights: one a painting, how they mix; None = alike.
      masks: float or uint8 [height, width] of the photo's size, one a painting: where it rules; None = they mix everywhere.
      initial: uint8 picture to start from, instead of the preset's start.
      previous: (picture, photo) of the last frame, uint8; () for the first.
      on_iteration: called with a Progress after each iteration.
      state_path: a file that keeps the state every 50 iterations. Where it exists, the same call goes on from it to the
        picture that it would have made; it is removed at the end.

    Returns:
      Stylization; the picture's longer side is preset.size.

    Raises:
      DataError: a picture too small or too narrow, or too large for this machine's memory.
      RecipeError, WeightsError: a preset or weights that cannot be, or a loss that is not finite.
      RunError: the state belongs to another call.
    """
    started = time.monotonic()
    preset.check()
    _check_pictures(photo, paintings, preset)
    objective, network = _open_objective(dataclasses.replace(preset, **_UNSEEN))
    template = photo if photo is not None else paintings[0]
    check_memory(preset, objective.channels, *fitted_size(*template.shape[:2], preset.size))
    scales = Scales(photo, paintings, preset, painting_shares(weights, len(paintings)), _region_shares(masks, photo, paintings), initial, previous)
    descents = _Descents(scales, objective, preset, on_iteration, state_path and Path(state_path))
    picture = as_picture(descents.run())
    content, style, total = descents.losses(picture)
    return Stylization(
        picture,
        sum(descents.iterations),
        sum(descents.evaluations),
        content,
        style,
        total,
        descents.seconds_before + time.monotonic() - started,
        network,
    )


def as_picture(image: np.ndarray) -> np.ndarray:
    """float [height, width, 3] on 0-255 -> uint8."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


# What the objective does not look at: presets that differ in nothing else share its graphs, whose making takes seconds.
_UNSEEN: dict = {
    "name": "",
    "size": 0,
    "painting_scale": 0.0,
    "start": "",
    "optimizer": "",
    "learning_rate": 0.0,
    "scales": (),
    "iterations": 0,
    "tolerance": 0.0,
    "carried_above": 0,
    "carried_iterations": (0, 0),
    "seed": 0,
}


@functools.lru_cache(maxsize=2)
def _open_objective(preset):
    """(Objective, name of its network); kept, because a folder of photos asks for the same again and again."""
    taps = tuple(layer for layer in (preset.content_layer, *preset.style_layers) if layer)
    model, name, sentence = load_perceptual(preset.network, taps, preset.pooling, preset.is_normalised, preset.edge)
    if sentence:
        print(sentence, file=sys.stderr)
    is_half = preset.precision == "bfloat16"
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": is_half})
    return Objective(model, preset), name


class _Descents:
    """The descents of all scales, one after the other, and what is shown and saved on the way."""

    def __init__(self, scales, objective, preset, on_iteration, state_path):
        self._scales, self._objective, self._preset = scales, objective, preset
        self._on_iteration, self._state_path = on_iteration, state_path
        # A state is the picture alone, so that it would go on with any network.
        self._made_of = f"{scales.fingerprint()} {sha256_of(find_weights(preset.network)[0])}" if state_path else ""
        self._started = time.monotonic()
        self.iterations, self.evaluations = [0] * len(scales.iterations), [0] * len(scales.iterations)
        self.seconds_before = 0.0  # of the calls before this one

    def run(self):
        """The image at the end, float32 [height, width, 3]."""
        descent, first, optimizer = self._restored()
        for scale in range(first, len(self._scales.iterations)):
            if descent is None or scale > first:
                descent = Descent(self._scales.start(scale, descent and descent.image))
                optimizer = self._optimizer(scale, descent.image)
            self._descend(scale, descent, optimizer)
        if self._state_path:
            self._state_path.unlink(missing_ok=True)
        self._last = optimizer
        return descent.image

    def losses(self, picture):
        """(content, style, total) at the full size. Raises RecipeError where one is not finite."""
        if isinstance(self._last, TileSteps):
            content, style = self._last.losses()
            return content, style, self._preset.content_weight * content + self._preset.style_weight * style
        final = self._objective.evaluate(picture.astype(np.float32), self._targets)
        check_losses(final)
        return final.content, final.style, final.total

    def _descend(self, scale, descent, optimizer):
        def shown():
            self._count(scale, descent)
            if self._on_iteration:
                self._on_iteration(self._progress(scale, descent))

        planned, is_carried = self._scales.iterations[scale], self._scales.scales[scale].is_carried
        if not is_carried:
            self._targets = self._scales.targets(self._objective, scale)
        length = SAVED_EVERY if is_carried else LEG_ITERATIONS
        while descent.iteration < planned and not descent.is_finished:
            leg = min(length - descent.iteration % length, planned - descent.iteration)
            if is_carried:
                optimizer.run_leg(descent, leg, shown)
            else:
                optimizer.run_leg(lambda image: self._objective.evaluate(image, self._targets), descent, leg, shown)
            self._count(scale, descent)
            self._save(scale, descent, optimizer)

    def _count(self, scale, descent):
        self.iterations[scale], self.evaluations[scale] = descent.iteration, descent.evaluations

    def _progress(self, scale, descent):
        planned = self._scales.iterations
        return Progress(
            scale + 1,
            len(planned),
            sum(planned[:scale]) + descent.iteration,
            sum(planned),
            sum(self.evaluations),
            descent.last.content,
            descent.last.style,
            descent.last.total,
            lambda: as_picture(descent.image),
            *self._scales.work(scale, descent.iteration),
        )

    def _optimizer(self, scale, image=None):
        """What takes a scale's steps; without an image its variables are about to be restored."""
        if self._scales.scales[scale].is_carried:
            objective, _ = _open_objective(dataclasses.replace(window_preset(self._preset), **_UNSEEN))
            return TileSteps(objective, self._preset, self._scales, scale, image)
        return OPTIMIZERS[self._preset.optimizer](self._preset, (*self._scales.shape(scale), 3))

    def _save(self, scale, descent, optimizer):
        if not self._state_path:
            return
        facts = {
            "made_of": self._made_of,
            "scale": scale,
            "iterations": self.iterations,
            "evaluations": self.evaluations,
            "losses": descent.losses,
            "is_finished": descent.is_finished,
            "seconds": self.seconds_before + time.monotonic() - self._started,
        }
        save_checkpoint(self._state_path, [descent.image, *optimizer.variables], facts)

    def _restored(self):
        """(Descent, number of its scale, its optimiser) of the state, or (None, 0, None) where there is none."""
        facts = read_facts(self._state_path, _STATE) if self._state_path else None
        if facts is None:
            return None, 0, None
        if facts["made_of"] != self._made_of:
            raise RunError(f"{self._state_path} belongs to other pictures or settings: remove it, or call as it was called then")
        scale, counts = facts["scale"], (facts["iterations"], facts["evaluations"])
        if not 0 <= scale < len(self._scales.iterations) or any(len(count) != len(self._scales.iterations) for count in counts):
            raise RunError(f"{self._state_path} is damaged (its scales cannot be): remove it and begin anew")
        image, optimizer = tf.Variable(np.zeros((*self._scales.shape(scale), 3), np.float32)), self._optimizer(scale)
        restore_checkpoint(self._state_path, [image, *optimizer.variables])
        self.iterations, self.evaluations, self.seconds_before = *counts, facts["seconds"]
        descent = Descent(image.numpy(), self.iterations[scale], self.evaluations[scale], facts["losses"], is_finished=facts["is_finished"])
        return descent, scale, optimizer


def _check_pictures(photo, paintings, preset):
    if photo is None and not paintings:
        raise RecipeError("a photo or a painting is needed")
    if preset.style_layers and not paintings:
        raise RecipeError("a painting is needed: only a preset without style_layers can do without")
    for what, picture in [("photo", photo), *(("painting", painting) for painting in paintings)]:
        if picture is not None:
            _check_picture(what, picture, preset)


def _check_picture(what, picture, preset):
    height, width = picture.shape[:2]
    if min(height, width) < SMALLEST_SIZE:
        raise DataError(f"the {what} is {width} x {height} pixels: at least {SMALLEST_SIZE} on each side are needed")
    scale = preset.painting_scale if what == "painting" else 1
    smallest = min(fitted_size(height, width, preset.size * scale))
    if smallest < SMALLEST_SIZE:
        raise DataError(
            f"the {what} is {width} x {height} pixels, too narrow: at size {preset.size} its shorter side would have {smallest} pixels, "
            f"{SMALLEST_SIZE} are needed; cut a part out of it, or raise --size"
        )


def _region_shares(masks, photo, paintings):
    """float32 [paintings, height, width] that sum to 1 at each pixel, or None."""
    if masks is None:
        return None
    if any(photo is None or mask.shape[:2] != photo.shape[:2] for mask in masks):
        raise DataError("a mask must have the photo's size, height x width")
    return region_shares(masks, *photo.shape[:2], len(paintings))
