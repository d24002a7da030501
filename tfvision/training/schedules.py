"""Learning rates: epochs, which may be fractions, become numbers of steps."""

import math
import typing
from collections.abc import Sequence

from tfvision.training.recipes import Stages


class CountedStages(typing.Protocol):
    """A recipe whose stages are counted in epochs or in steps, as its `stage_unit` says."""

    @property
    def stages(self) -> Stages: ...
    @property
    def stage_unit(self) -> str: ...
    @property
    def batch_size(self) -> int: ...


def stages_in_epochs(recipe: CountedStages, photos: int) -> Stages:
    """A recipe's stages as a Task takes them: of steps, so many epochs as make them."""
    if recipe.stage_unit == "epochs":
        return recipe.stages
    return tuple((steps * recipe.batch_size / photos, rate) for steps, rate in recipe.stages)


def steps_in(stages: Stages, photos: int, batch_size: int) -> list[int]:
    """The step at which each stage ends: epochs are counted over photos, rounded to whole steps."""
    epochs, ends = 0.0, []
    for stage_epochs, _ in stages:
        epochs += stage_epochs
        ends.append(max(1, round(epochs * photos / batch_size)))
    return ends


def learning_rate_at(step: int, stages: Stages, ends: Sequence[int], schedule: str, warmup_steps: int = 0) -> float:
    """The learning rate of a step, counted from 0 within the phase.

    Args:
      ends: what `steps_in` returned.
      schedule: "staged" or "cosine".
    """
    if schedule == "cosine":
        rate = max(rate for _, rate in stages) * (1 + math.cos(math.pi * step / ends[-1])) / 2
    else:
        rate = next((rate for (_, rate), end in zip(stages, ends, strict=True) if step < end), stages[-1][1])
    return rate * min(1.0, (step + 1) / warmup_steps) if warmup_steps else rate
