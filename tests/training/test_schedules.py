import dataclasses
import types

import pytest

from tfvision.trained.species_run import SpeciesRecipe
from tfvision.training.schedules import learning_rate_at, stages_in_epochs, steps_in


def test_fractional_epochs_become_whole_steps():
    # 1000 photos in batches of 16 are 62.5 steps an epoch.
    assert steps_in(((2, 0.1), (1.5, 0.01), (0.5, 0.001)), 1000, 16) == [125, round(3.5 * 62.5), 250]


@pytest.mark.parametrize("photos", [7, 1879, 123_457])
def test_stages_in_steps_are_so_many_steps_whatever_the_photos(photos):
    recipe = types.SimpleNamespace(stages=((3500, 0.1), (1, 0.01), (499, 0.001)), stage_unit="steps", batch_size=64)
    assert steps_in(stages_in_epochs(recipe, photos), photos, 64) == [3500, 3501, 4000]
    recipe.stage_unit = "epochs"
    assert stages_in_epochs(recipe, photos) == recipe.stages


def test_staged_rates_change_where_a_stage_ends():
    stages, ends = ((1, 0.1), (1, 0.01)), [10, 20]
    rates = [learning_rate_at(step, stages, ends, "staged") for step in (0, 9, 10, 19, 25)]
    assert rates == [0.1, 0.1, 0.01, 0.01, 0.01]


def test_cosine_falls_from_the_rate_to_nothing():
    stages, ends = ((4, 0.2),), [100]
    assert learning_rate_at(0, stages, ends, "cosine") == pytest.approx(0.2)
    assert learning_rate_at(50, stages, ends, "cosine") == pytest.approx(0.1)
    assert learning_rate_at(100, stages, ends, "cosine") == pytest.approx(0.0)


def test_warm_up_rises_linearly():
    rates = [learning_rate_at(step, ((1, 0.5),), [100], "staged", warmup_steps=5) for step in range(6)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.5])


def test_hierarchical_transfer_passes_every_rank_from_the_start_down():
    ranks = ("order", "family", "genus", "species")
    recipe = dataclasses.replace(SpeciesRecipe(), start_rank="family", coarse_stages=((1.5, 0.1),), stages=((1, 0.01),))
    coarse = ((1.5, 0.1),)
    assert list(recipe.stages_by_rank(ranks).items()) == [("family", coarse), ("genus", coarse), ("species", ((1, 0.01),))]
    assert dataclasses.replace(recipe, start_rank="").stages_by_rank(ranks) == {"species": ((1, 0.01),)}
