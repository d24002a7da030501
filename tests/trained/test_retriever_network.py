import dataclasses

import keras
import numpy as np
import pytest

from tfvision.errors import RunError
from tfvision.trained.retriever_network import TapNormalization, build_retriever, build_tuning, build_whitening, index_responses, load_retriever
from tfvision.trained.retriever_run import RetrieverRecipe

RECIPE = RetrieverRecipe(network="small", image_size=32)


def _dense_widths(model):
    return [layer.units for layer in model.layers if isinstance(layer, keras.layers.Dense)]


def test_the_tuning_networks_have_the_papers_widths():
    softmax = RetrieverRecipe(loss="softmax")
    widths = (64, 128, 256, 512, 512)
    assert _dense_widths(build_tuning(softmax, widths, 7, 3)) == [1024, 512, 7]
    assert _dense_widths(build_tuning(softmax, widths, 7, 6)) == [1472, 1280, 1024, 768, 512, 7]
    model = build_tuning(RECIPE, widths, 7, 3)
    assert model.input_shape == (None, 1472)
    assert {name: tensor.shape[1] for name, tensor in model.output.items()} == {"index": 512, "logits": 7}


def test_the_whitening_is_the_addition_until_it_has_weights_and_nothing_trains_it():
    model = build_whitening(3)
    assert not model.trainable_variables
    taps = np.float32([[3, 4, 0], [0, 0, 2]])
    np.testing.assert_allclose(model(taps)["index"], [[0.6, 0.8, 0], [0, 0, 1]], rtol=1e-6)
    model.get_layer("whitened").set_weights([np.diag(np.float32([1, 2, 3])), np.float32([0, 0, 1])])
    np.testing.assert_allclose(model(taps)["index"], [[0.6, 1.6, 1], [0, 0, 4]], rtol=1e-6)


@pytest.fixture(scope="module")
def retriever():
    keras.utils.set_random_seed(0)
    return build_retriever(RECIPE, classes=3, image_size=32)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)


@pytest.mark.slow
def test_stage_2_leaves_the_base_alone(retriever):
    base = {id(variable) for variable in retriever.classifier.trainable_variables}
    for model in retriever.tuned.values():
        assert model.trainable_variables and not base & {id(variable) for variable in model.trainable_variables}


def test_logits_of_cosface_are_cosines_times_the_scale(retriever, images):
    logits = retriever.classifier(images.astype(np.float32)).numpy()
    assert logits.shape == (2, 3) and (np.abs(logits) <= 60.001).all()


def test_every_index_of_a_batch(retriever, images):
    answers = {name: value.numpy() for name, value in index_responses(retriever, RECIPE, RECIPE.indices)(images).items()}
    assert list(answers) == ["stage1", "stage2", "stage3", "addition", "normalised_addition", "tuned3", "tuned6"]
    means = [answers[tap].mean((1, 2)) for tap in ("stage1", "stage2", "stage3")]
    np.testing.assert_allclose(answers["addition"], np.concatenate(means, axis=1), rtol=1e-5)
    units = [mean / np.linalg.norm(mean, axis=1, keepdims=True) for mean in means]
    np.testing.assert_allclose(answers["normalised_addition"], np.concatenate(units, axis=1), rtol=1e-5)
    for name, model in retriever.tuned.items():
        np.testing.assert_allclose(answers[name], model(answers["addition"])["index"], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["softmax", "cosface"])
def test_weights_are_saved_and_loaded_at_any_image_size(tmp_path, images, loss):
    recipe = dataclasses.replace(RECIPE, loss=loss, tuning_input="normalised_addition")
    saved = build_retriever(recipe, 3, 32)
    saved.whole.save_weights(tmp_path / "model.weights.h5")
    loaded = build_retriever(recipe, 3, None)
    loaded.whole.load_weights(tmp_path / "model.weights.h5")
    pixels = images.astype(np.float32)
    expected, got = saved.whole(pixels), loaded.whole(pixels)
    assert set(expected) == {"stage1", "stage2", "stage3", "logits", "tuned3", "tuned6"}
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_normalised_taps_weigh_alike(tmp_path):
    inputs = keras.Input((5,))
    model = keras.Model(inputs, TapNormalization((2, 3))(inputs))
    got = model(np.float32([[30, 40, 0.1, 0.2, 0.2]])).numpy()[0]
    np.testing.assert_allclose(got, [*(np.sqrt(2) * np.array([0.6, 0.8])), *(np.sqrt(3) * np.array([1, 2, 2]) / 3)], rtol=1e-5)
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "model.keras")(np.ones((1, 5))), model(np.ones((1, 5))))


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="recipe.json does not exist"):
        load_retriever(tmp_path)
