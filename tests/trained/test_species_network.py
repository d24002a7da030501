import dataclasses

import keras
import numpy as np
import pytest

from tfvision.apps.species.recipes import RECIPES
from tfvision.models.multi_view import add_heads
from tfvision.trained.species_network import build_species_trunk, image_size_of, make_predictor


@pytest.fixture
def recipe():
    return dataclasses.replace(RECIPES["specimens"](), image_size=32)


def _photos(count=3):
    random = np.random.default_rng(0)
    return {view: random.integers(0, 256, (count, 32, 32, 3)).astype(np.uint8) for view in ("whole", "crop")}


def test_batch_normalisation_frozen_parts_and_size_follow_the_recipe(recipe):
    recipe = dataclasses.replace(recipe, batch_norm_momentum=0.77, batch_norm_epsilon=0.01, frozen=("stem",))
    trunk, loaded = build_species_trunk(recipe)
    layers = [layer for model in trunk.layers if hasattr(model, "layers") for layer in model.layers]
    normalised = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(normalised) > 5
    assert all((layer.momentum, layer.epsilon) == (0.77, 0.01) for layer in normalised)
    assert not trunk.get_layer("stem").trainable_weights
    assert trunk.get_layer("whole_branch").trainable_weights
    assert loaded == "random weights"
    assert (image_size_of(recipe), image_size_of(RECIPES["paper-baseline"]())) == (32, 299)


@pytest.mark.slow
def test_mirrored_prediction_is_the_mean_over_photo_and_mirror_image(recipe):
    model = add_heads(build_species_trunk(recipe)[0], 4)
    photos = _photos()
    mirrored = {name: images[:, :, ::-1] for name, images in photos.items()}
    plain = make_predictor(model)
    expected = (plain(photos).numpy() + plain(mirrored).numpy()) / 2
    assert np.abs(plain(photos).numpy() - expected).max() > 1e-4
    np.testing.assert_allclose(make_predictor(model, is_mirrored=True)(photos), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_keeps_float32_variables_and_logits(recipe, precision):
    trunk, _ = build_species_trunk(recipe, precision)
    model = add_heads(trunk, 4)
    assert {variable.dtype if isinstance(variable.dtype, str) else variable.dtype.name for variable in model.trainable_variables} == {"float32"}
    logits = model(_photos(), training=False)["species"]
    assert logits.dtype.name == "float32" and np.isfinite(logits).all()
    assert keras.mixed_precision.global_policy().name == "float32"
