import pytest

from tfvision.apps.species.recipes import RECIPES
from tfvision.errors import RecipeError
from tfvision.models.catalogue import NETWORKS
from tfvision.training.recipes import get_recipe

PAPER = ["paper-baseline", "paper-multiview", "paper-hierarchical"]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_fits_together_and_bears_its_name(name):
    recipe = RECIPES[name]()
    recipe.check()
    assert recipe.name == name
    assert recipe.network in NETWORKS
    assert RECIPES[name].__doc__


@pytest.mark.parametrize("name", PAPER)
def test_the_paper_recipes_share_its_default_parameters(name):
    """Paper, sections 4 and 5; READINGS, section 1."""
    recipe = RECIPES[name]()
    assert (recipe.network, recipe.weights, recipe.image_size) == ("inception_resnet_v2", "imagenet", 0)
    assert (recipe.optimizer, recipe.epsilon, recipe.weight_decay, recipe.dropout) == ("adam", 1.0, 4e-5, 0.2)
    assert (recipe.batch_norm_momentum, recipe.batch_norm_epsilon) == (0.9997, 1e-3)
    assert (recipe.has_auxiliary_head, recipe.auxiliary_weight) == (True, 0.4)
    assert (recipe.area, recipe.aspect, recipe.flip) == ((0.05, 1.0), (3 / 4, 4 / 3), True)
    assert (recipe.brightness, recipe.contrast, recipe.saturation, recipe.hue) == (32 / 255, 0.5, 0.5, 0.2)
    assert (recipe.min_images, recipe.validation_fraction, recipe.mixing) == (5, 0.2, 0.5)
    assert (recipe.schedule, recipe.is_crop_branch_pretrained, recipe.frozen) == ("staged", False, ())
    assert (recipe.label_smoothing, recipe.class_balance, recipe.gradient_clip_norm, recipe.warmup_steps) == (0, 0, 0, 0)


def test_the_papers_schedules():
    baseline, multiview, hierarchical = (RECIPES[name]() for name in PAPER)
    assert (baseline.batch_size, baseline.views) == (32, ("whole",))
    assert baseline.stages == ((3, 0.01), (2, 0.001), (1, 0.0001))
    assert (multiview.batch_size, multiview.views) == (16, ("whole", "crop"))
    assert multiview.stages == ((2, 0.1), (1.5, 0.01), (0.5, 0.001), (0.5, 0.0001))
    assert (hierarchical.batch_size, hierarchical.views) == (16, ("whole", "crop"))
    assert (hierarchical.start_rank, hierarchical.coarse_stages) == ("genus", ((1.5, 0.1),))
    assert hierarchical.stages == ((1, 0.1), (1, 0.01), (0.5, 0.001), (0.5, 0.0001))


def test_an_unknown_recipe_lists_the_known_ones():
    with pytest.raises(RecipeError, match="small, paper-baseline, .*, got 'large'"):
        get_recipe(RECIPES, "large")
