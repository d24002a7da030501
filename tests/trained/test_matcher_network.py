import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvision.data.views import as_pixels
from tfvision.errors import RunError
from tfvision.features.extractor import open_extractor
from tfvision.features.recipe import FeatureRecipe
from tfvision.models.catalogue import get_network
from tfvision.trained.matcher_network import build_embedder, embed, load_embedder
from tfvision.trained.matcher_run import MatcherRecipe, MatcherRun

RECIPE = MatcherRecipe(network="small", image_size=32, weights="none", batch_size=8)
PHOTOS = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """A function: recipe -> (its model, the folder of a finished run with the model's weights)."""

    def make(recipe):
        keras.utils.set_random_seed(0)
        model = build_embedder(recipe, recipe.size_px).model
        run = MatcherRun.start(tmp_path_factory.mktemp("runs") / "run", 0, recipe, {"source": "none"})
        model.save_weights(run.weights_path)
        return model, run.folder

    return make


@pytest.mark.slow
def test_vectors_have_length_1_unless_the_recipe_says_otherwise():
    for is_normalised in (True, False):
        model = build_embedder(dataclasses.replace(RECIPE, is_normalised=is_normalised), 32).model
        lengths = np.linalg.norm(embed(model, PHOTOS, dataclasses.replace(RECIPE, is_normalised=is_normalised)), axis=1)
        assert np.allclose(lengths, 1, atol=1e-5) == is_normalised


def test_a_projection_is_the_only_new_layer():
    embedder = build_embedder(dataclasses.replace(RECIPE, embedding=16), 32)
    assert embedder.model.output["embedding"].shape == (None, 16)
    assert [layer.name for layer in embedder.new_layers] == ["projection"]
    assert build_embedder(RECIPE, 32).new_layers == ()


def test_the_loss_may_be_on_another_layer_than_the_vector():
    recipe = MatcherRecipe(network="siamese", weights="none", tap="ip2", loss_tap="feat", is_normalised=False, loss="contrastive")
    outputs = build_embedder(recipe, 56).model(tf.image.resize(PHOTOS, (56, 56)))
    assert {name: tuple(values.shape) for name, values in outputs.items()} == {"embedding": (3, 10), "trained": (3, 2)}


@pytest.mark.slow
def test_a_vector_is_the_mean_over_quarter_turns():
    model = build_embedder(RECIPE, 32).model
    recipe = dataclasses.replace(RECIPE, rotations=4)
    turned = np.mean([model(np.rot90(PHOTOS, turn, (1, 2)).astype(np.float32))["embedding"] for turn in range(4)], axis=0)
    expected = turned / np.linalg.norm(turned, axis=1, keepdims=True)
    np.testing.assert_allclose(embed(model, PHOTOS, recipe), expected, atol=1e-5)
    np.testing.assert_allclose(embed(model, np.rot90(PHOTOS, 1, (1, 2)), recipe), expected, atol=1e-5)  # which way it is held does not count


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["none", "file"])
def test_pretrained_layers_and_statistics_can_be_kept(tmp_path, weights):
    get_network("small").build(32).save_weights(tmp_path / "small.weights.h5")
    recipe = dataclasses.replace(RECIPE, frozen="stage1", is_batch_norm_frozen=True)
    model = build_embedder(recipe, 32, "none" if weights == "none" else str(tmp_path / "small.weights.h5")).model
    learnt = {variable.path if hasattr(variable, "path") else variable.name for variable in model.trainable_variables}
    if weights == "none":  # of random weights nothing is worth keeping
        assert any("stem1" in name for name in learnt) and any("gamma" in name for name in learnt)
    else:
        assert learnt and all(("stage2" in name or "stage3" in name) and "kernel" in name for name in learnt)


@pytest.mark.slow
def test_a_run_is_opened_as_features(run_of):
    recipe = dataclasses.replace(RECIPE, rotations=2, embedding=8)
    model, folder = run_of(recipe)
    extractor = open_extractor(FeatureRecipe(model=str(folder)))
    assert (extractor.dimension, extractor.image_size) == (8, 32)
    np.testing.assert_allclose(extractor.features(PHOTOS), embed(model, PHOTOS, recipe), atol=1e-5)
    larger = np.repeat(np.repeat(PHOTOS, 2, 1), 3, 2)
    resized = as_pixels(tf.image.resize(larger, (32, 32), antialias=True))
    np.testing.assert_allclose(extractor.features(larger), embed(model, resized, recipe), atol=1e-4)
    other = run_of(dataclasses.replace(recipe, rotations=1))[1]
    assert open_extractor(FeatureRecipe(model=str(other))).identity != extractor.identity


@pytest.mark.slow
def test_the_papers_vectors_keep_their_lengths_where_asked(run_of):
    recipe = MatcherRecipe(network="siamese_triplet", weights="none", tap="ip2", is_normalised=False, loss="triplet", batch_size=12)
    model, folder = run_of(recipe)
    extractor = open_extractor(FeatureRecipe(model=str(folder), is_normalised=False))
    photos = np.random.default_rng(0).integers(0, 256, (2, 56, 56, 3)).astype(np.uint8)
    np.testing.assert_allclose(extractor.features(photos), model(photos.astype(np.float32))["embedding"], rtol=1e-3, atol=1e-4)


def test_what_is_no_finished_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="recipe.json does not exist"):
        load_embedder(tmp_path)
    run = MatcherRun.start(tmp_path / "run", 0, RECIPE, {"source": "none"})
    with pytest.raises(RunError, match="is not finished: go on with `tfvision train tattoo-matcher --run"):
        open_extractor(FeatureRecipe(model=str(run.folder)))
