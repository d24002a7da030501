import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvision.errors import RecipeError, RunError, WeightsError
from tfvision.features.extractor import open_extractor
from tfvision.features.recipe import FeatureRecipe

PICTURES = np.random.default_rng(0).integers(0, 256, (2, 60, 80, 3)).astype(np.uint8)


class _MeanColour(tf.Module):
    """A module as TensorFlow Hub's: RGB in [0, 1] -> a vector, the mean of each colour times a weight."""

    def __init__(self, weight):
        super().__init__()
        self.weight = tf.Variable(weight)

    @tf.function(input_signature=[tf.TensorSpec([None, 40, 40, 3])], autograph=False)
    def __call__(self, images):
        return self.weight * tf.reduce_mean(images, (1, 2))


@pytest.fixture
def hub_module(tmp_path):
    def save(weight, signatures=None):
        module = _MeanColour(weight)
        folder = tmp_path / f"module-{weight}"
        tf.saved_model.save(module, str(folder), signatures=dict.fromkeys(signatures, module.__call__) if signatures else None)
        return folder

    return save


@pytest.mark.parametrize("signatures", [None, ["default"]])
def test_a_hub_module_sees_rgb_between_0_and_1_at_its_own_size(hub_module, signatures):
    recipe = FeatureRecipe(f"hub:{hub_module(2.0, signatures)}", image_size=40, is_normalised=False)
    extractor = open_extractor(recipe)
    assert (extractor.widths, extractor.image_size) == ({"embedding": 3}, 40)
    square = PICTURES[:, :40, :40]
    np.testing.assert_allclose(extractor.features(square), 2 * square.mean((1, 2)) / 255, rtol=1e-4)


def test_a_hub_modules_identity_is_that_of_its_weights(hub_module):
    one, other = (open_extractor(FeatureRecipe(f"hub:{hub_module(weight)}", image_size=40)).identity for weight in (1.0, 2.0))
    assert one != other


def test_a_module_that_cannot_be_had_says_what_to_do_offline(tmp_path):
    with pytest.raises(WeightsError, match="could not be loaded from TensorFlow Hub .*Offline, download the module"):
        open_extractor(FeatureRecipe(f"hub:{tmp_path / 'nowhere'}"))


@pytest.fixture(scope="module")
def run_extractor(colour_run):
    return open_extractor(FeatureRecipe(str(colour_run), is_normalised=False))


@pytest.mark.slow
def test_a_species_run_gives_the_features_before_its_last_layer(run_extractor, colour_run):
    from tfvision.data.graph_decoding import views_of_pixels
    from tfvision.trained.species_network import load_species_network
    from tfvision.trained.species_run import SpeciesRun

    run = SpeciesRun.open(colour_run)
    model = load_species_network(run)
    features = keras.Model(model.input, model.get_layer("species_logits").input)
    size = run_extractor.image_size
    images = np.random.default_rng(1).integers(0, 256, (1, size, size, 3)).astype(np.uint8)
    cut = views_of_pixels(images[0], run.recipe.views, 32)[:, None].numpy()
    embeddings = [
        features({name: views[number] for number, name in enumerate(run.recipe.views)}, training=False)
        for views in (cut, cut[:, :, :, ::-1])  # this recipe's answers are averaged over the mirror image
    ]
    assert run.recipe.is_mirrored_at_prediction
    expected = (embeddings[0] + embeddings[1]) / 2
    np.testing.assert_allclose(run_extractor.features(images), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_an_export_gives_what_its_run_gives(run_extractor, colour_export):
    size = run_extractor.image_size
    exports = [open_extractor(FeatureRecipe(str(path), image_size=size, is_normalised=False)) for path in (colour_export, colour_export.parent)]
    expected = run_extractor.features(PICTURES)
    for extractor in exports:
        assert extractor.widths == run_extractor.widths
        np.testing.assert_allclose(extractor.features(PICTURES), expected, rtol=1e-3, atol=1e-4)
    assert exports[0].identity == exports[1].identity != run_extractor.identity


@pytest.mark.parametrize("setting", [{"scales": (1.0, 2.0)}, {"resize": "aspect"}], ids=str)
def test_what_sees_one_size_takes_no_other(detector_run, setting):
    with pytest.raises(RecipeError, match="sees images of 40 x 40 px alone: leave image_size, resize and scales as they are, got image_size=40"):
        open_extractor(FeatureRecipe(str(detector_run), **setting))


def test_a_run_has_no_other_layers(colour_run):
    with pytest.raises(RecipeError, match="has one layer to choose, embedding, got conv5"):
        open_extractor(FeatureRecipe(str(colour_run), layers=("conv5",)))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"recipe.json": json.dumps({"application": "stylizer"})}, "is a run of 'stylizer'; known here are species"),
        ({"recipe.json": json.dumps({"application": "species", "recipe": {}})}, "is not finished"),
        ({"1/saved_model.pb": "nothing"}, "cannot be loaded"),
        ({"notes.txt": ""}, "is neither a run .* nor an export"),
    ],
)
def test_folders_that_are_none_are_refused(tmp_path, files, message):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(RunError, match=message):
        open_extractor(FeatureRecipe(str(tmp_path)))


def test_an_export_without_features_is_refused(hub_module):
    with pytest.raises(RunError, match="has no signature `embed`"):
        open_extractor(FeatureRecipe(str(hub_module(1.0))))
