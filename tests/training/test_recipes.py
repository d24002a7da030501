import dataclasses
import json

import pytest

from tfvision.errors import RecipeError
from tfvision.trained.species_run import SpeciesRecipe
from tfvision.training.recipes import Recipe, changes_of, from_json, with_settings


def test_settings_are_parsed_by_the_kind_of_their_field():
    recipe = with_settings(
        SpeciesRecipe(),
        {"batch_size": "8", "stages": "[[2, 0.1], [1.5, 0.01]]", "views": "whole", "flip": "False", "dropout": "0", "network": "small"},
    )
    assert recipe.batch_size == 8
    assert recipe.stages == ((2, 0.1), (1.5, 0.01))
    assert recipe.views == ("whole",)
    assert recipe.flip is False
    assert recipe.dropout == 0.0 and isinstance(recipe.dropout, float)
    assert recipe.network == "small"


def test_settings_may_be_plain_values():
    recipe = with_settings(SpeciesRecipe(), {"batch_size": 8, "flip": False, "stages": [[2, 0.1]], "views": ("whole",), "network": "small"})
    assert (recipe.batch_size, recipe.flip, recipe.stages, recipe.views) == (8, False, ((2, 0.1),), ("whole",))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batchsize": "8"}, "did you mean batch_size"),
        ({"nonsense": "8"}, "known are area, aspect"),
        ({"batch_size": "many"}, "expected something like batch_size=16"),
        ({"batch_size": "8.5"}, "not of the right kind"),
        ({"batch_size": "0"}, "at least 1"),
        ({"precision": "int8"}, "precision must be one of auto, float32, bfloat16, float16, got 'int8'"),
        ({"dropout": "1.5"}, "between 0 and 1"),
        ({"stages": "[]"}, "stages must be"),
        ({"start_rank": "genus"}, "needs coarse_stages"),
        ({"backbone_rate": "0.1"}, "needs optimizer=sgd"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_way_out(settings, message):
    with pytest.raises(RecipeError, match=message.replace("[", r"\[")):
        with_settings(SpeciesRecipe(), settings)


def test_a_recipe_survives_json():
    recipe = with_settings(SpeciesRecipe(), {"stages": "[[1, 0.5]]", "frozen": "stem"})
    assert from_json(json.loads(json.dumps(dataclasses.asdict(recipe))), SpeciesRecipe) == recipe


def test_a_recipe_of_a_newer_version_is_refused():
    with pytest.raises(RecipeError, match="unknown settings 'colour_of_the_moon'"):
        from_json({"colour_of_the_moon": 1}, SpeciesRecipe)


def test_what_set_changed_is_told_beside_the_name():
    recipes = {"small": lambda: Recipe(name="small")}
    assert changes_of(recipes["small"](), recipes) == "small"
    changed = with_settings(recipes["small"](), {"batch_size": "8", "stages": "[[2, 0.5]]", "schedule": "cosine"})
    assert changes_of(changed, recipes) == "small, with batch_size=8, stages=[[2, 0.5]], schedule=cosine"
    assert changes_of(Recipe(), recipes) == "one of its own"


_OTHER_KINDS = (
    *("dropout=NaN", "stages=[[1, Infinity]]", "stages=[[1]]", "stages=[1, 2]", 'stages=[["a", 1]]', "area=[0, NaN]"),
    *("batch_size=true", "views=[1]", "epsilon=true", "seed=-1"),
)


@pytest.mark.parametrize("setting", _OTHER_KINDS)
def test_a_setting_of_another_kind_is_refused_wherever_it_stands(setting):
    key, _, text = setting.partition("=")
    with pytest.raises(RecipeError, match=key):
        with_settings(SpeciesRecipe(), {key: text})
    stored = json.loads(json.dumps(dataclasses.asdict(SpeciesRecipe())))
    with pytest.raises(RecipeError, match=key):
        from_json({**stored, key: json.loads(text)}, SpeciesRecipe)


@pytest.mark.parametrize("stored", [[], "small", None])
def test_a_stored_recipe_that_is_none(stored):
    with pytest.raises(RecipeError, match="the stored recipe was changed"):
        from_json(stored, SpeciesRecipe)
