"""Phases and learning rates: epochs, which may be fractions, become numbers of steps."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Phase:
    """Training at one rank of the taxonomy.

    Attributes:
      rank: whose classes are told apart.
      stages: (epochs, learning rate), in order.
    """

    rank: str
    stages: tuple[tuple[float, float], ...]


def phases_of(recipe, ranks):
    """The phases of a recipe: from its start rank down to the finest, or the finest alone."""
    phases = []
    if recipe.start_rank:
        phases = [Phase(rank, recipe.coarse_stages) for rank in ranks[ranks.index(recipe.start_rank) : -1]]
    return [*phases, Phase(ranks[-1], recipe.stages)]


def stages_in_epochs(recipe, photos):
    """A recipe's stages as a Task takes them: where its `stage_unit` is "steps", so many epochs as make these steps."""
    if recipe.stage_unit == "epochs":
        return recipe.stages
    return tuple((steps * recipe.batch_size / photos, rate) for steps, rate in recipe.stages)


def steps_in(stages, photos, batch_size):
    """The step at which each stage ends: epochs are counted over photos, rounded to whole steps."""
    epochs, ends = 0.0, []
    for stage_epochs, _ in stages:
        epochs += stage_epochs
        ends.append(max(1, round(epochs * photos / batch_size)))
    return ends


def learning_rate_at(step, stages, ends, schedule, warmup_steps=0):
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
