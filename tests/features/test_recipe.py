import dataclasses
import json

import pytest

from tfvision.errors import RecipeError
from tfvision.features.recipe import FeatureRecipe
from tfvision.training.recipes import from_json, with_settings


def test_it_comes_back_from_json():
    recipe = FeatureRecipe("resnet18", layers=("conv4", "gap"), scales=(1.0, 0.7), is_flipped=True)
    assert from_json(json.loads(json.dumps(dataclasses.asdict(recipe))), FeatureRecipe) == recipe


def test_settings_are_given_as_text():
    recipe = with_settings(FeatureRecipe(), {"scales": "[1.0, 0.5]", "layers": "conv4,conv5", "is_flipped": "true", "gem_power": "4"})
    assert (recipe.scales, recipe.layers, recipe.is_flipped, recipe.gem_power) == ((1.0, 0.5), ("conv4", "conv5"), True, 4.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pooling": "mean"}, "pooling must be one of avg, max, gem, regions, got 'mean'"),
        ({"resize": "crop"}, "resize must be one of squash, aspect, got 'crop'"),
        ({"model": ""}, "model must name a network"),
        ({"gem_power": 0.0}, "gem_power must be above 0, got 0"),
        ({"image_size": -1}, "image_size must be a number of pixels"),
        ({"scales": ()}, "scales must be factors of the image size"),
        ({"scales": (1.0, 5.0)}, "above 0 and at most 4"),
        ({"layers": ("gap", "gap")}, "layers must differ, got gap, gap"),
    ],
)
def test_mistakes_are_named(settings, message):
    with pytest.raises(RecipeError, match=message):
        FeatureRecipe(**settings).check()
