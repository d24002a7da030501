import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import correlate

from tfvision.errors import RecipeError, WeightsError
from tfvision.models.vgg19 import (
    CONTENT_LAYER,
    EDGES,
    LAYERS,
    PERCEPTUAL_LAYERS,
    STYLE_LAYERS,
    Filters,
    build_vgg19,
    build_vgg19_base,
    convolutions_of,
    filters_of,
    plain_filters,
    set_convolutions,
    slim_filters,
)


def _photo(height, width, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (1, height, width, 3)).astype(np.float32)


def test_the_layers_are_the_papers():
    assert len(LAYERS) == 16 and len(PERCEPTUAL_LAYERS) == 13
    assert PERCEPTUAL_LAYERS[-1] == STYLE_LAYERS[-1] == "conv5_1"
    assert CONTENT_LAYER == "conv4_2"


@pytest.mark.slow
def test_every_layer_equals_keras_own_vgg19():
    reference = keras.applications.VGG19(weights=None, include_top=False, input_shape=(None, None, 3))
    convolutions = [layer for layer in reference.layers if isinstance(layer, keras.layers.Conv2D)]
    random = np.random.default_rng(0)
    for layer in convolutions:  # Keras starts biases at 0, which would hide a lost bias
        layer.set_weights([layer.get_weights()[0], random.uniform(0, 0.1, layer.filters).astype(np.float32)])
    model = build_vgg19(taps=LAYERS)
    set_convolutions(model, {name: layer.get_weights() for name, layer in zip(LAYERS, convolutions, strict=True)})
    photo = _photo(47, 70)
    pixels = keras.applications.vgg19.preprocess_input(photo.copy())
    expected = keras.Model(reference.input, [layer.output for layer in convolutions])(pixels)
    got = model(photo)
    for name, tensor in zip(LAYERS, expected, strict=True):
        np.testing.assert_allclose(got[name], tensor, rtol=1e-4, atol=1e-4 * float(tf.reduce_max(tensor)))


def test_average_pooling_by_hand():
    model = build_vgg19(2, "avg", ("conv1_1", "conv2_1"))
    x = (_photo(7, 6)[0, :, :, ::-1] - (103.939, 116.779, 123.68)).astype(np.float64)
    for name in ("conv1_1", "conv1_2", "conv2_1"):
        kernel, bias = model.get_layer(name).get_weights()
        if name == "conv2_1":
            x = x[:6].reshape(3, 2, 3, 2, 2).mean(axis=(1, 3))  # the seventh row is left out
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        filtered = [correlate(padded, kernel[..., channel].astype(np.float64), "valid")[..., 0] for channel in range(kernel.shape[-1])]
        x = np.maximum(np.stack(filtered, axis=-1) + bias, 0)
    np.testing.assert_allclose(model(_photo(7, 6))["conv2_1"][0], x, rtol=1e-4, atol=1e-3)


def test_it_ends_at_its_deepest_tap():
    model = build_vgg19(2, taps=("conv2_2", "conv1_1"))
    assert list(convolutions_of(model)) == ["conv1_1", "conv1_2", "conv2_1", "conv2_2"]
    assert set(model.output) == {"conv2_2", "conv1_1"}


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_saved_and_loaded_it_gives_the_same_responses(tmp_path, pooling):
    model = build_vgg19(2, pooling, STYLE_LAYERS)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    photo = _photo(33, 32)
    for name, tensor in model(photo).items():
        np.testing.assert_array_equal(loaded(photo)[name], tensor)


def test_the_gradient_with_respect_to_the_picture_is_finite():
    model, photo = build_vgg19(2, "avg", STYLE_LAYERS), tf.Variable(_photo(32, 40))
    with tf.GradientTape() as tape:
        total = tf.add_n([tf.reduce_sum(tensor) for tensor in model(photo).values()])
    gradient = tape.gradient(total, photo).numpy()
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_a_repeated_edge_shows_no_frame_where_zeros_do():
    photo = tf.fill([1, 48, 64, 3], 200.0)  # one colour: every response should be alike
    spread = {}
    for edge in EDGES:
        keras.utils.set_random_seed(0)
        model = build_vgg19(2, "avg", STYLE_LAYERS, edge=edge)
        spread[edge] = {layer: np.ptp(response, axis=(1, 2)).max() / np.max(response) for layer, response in model(photo).items()}
    assert max(spread["repeat"].values()) < 1e-5
    assert min(spread["zero"].values()) > 0.1


FACTORED = {**plain_filters(2), "conv1_2": Filters(2, 1), "conv2_1": Filters(4, 3)}


def test_a_factored_layer_answers_as_the_product_of_its_factors():
    model, whole = build_vgg19(FACTORED, "avg", ("conv2_1",)), build_vgg19(2, "avg", ("conv2_1",))
    convolutions = convolutions_of(model)
    assert filters_of(convolutions) == {layer: FACTORED[layer] for layer in ("conv1_1", "conv1_2", "conv2_1")}
    products = {layer: (np.einsum("hwir,abro->hwio", *kernels) if len(kernels) == 2 else kernels[0], bias) for layer, (*kernels, bias) in convolutions.items()}
    set_convolutions(whole, products)
    np.testing.assert_allclose(model(_photo(18, 20))["conv2_1"], whole(_photo(18, 20))["conv2_1"], rtol=1e-4, atol=1e-3)


def test_factored_weights_do_not_fit_whole_layers():
    convolutions = convolutions_of(build_vgg19(FACTORED, taps=("conv2_1",)))
    with pytest.raises(WeightsError, match=r"conv1_2 should have the shape \(3, 3, 2, 2\), got \(3, 3, 2, 1\)"):
        set_convolutions(build_vgg19(2, taps=("conv2_1",)), convolutions)


def test_the_filters_of_slim():
    filters = slim_filters()
    assert [filters[layer] for layer in ("conv1_1", "conv2_1", "conv3_1")] == [Filters(64, 10), Filters(128, 40), Filters(256, 80)]
    assert {filters[layer] for layer in LAYERS[8:]} == {Filters(128)}


def test_the_base_of_the_catalogue_has_the_same_convolutions():
    base, model = build_vgg19_base(64, 2), build_vgg19(2, taps=LAYERS)
    set_convolutions(model, convolutions_of(base))
    photo = _photo(64, 64)
    pooled = model(photo)["conv5_4"].numpy().reshape(1, 2, 2, 2, 2, 16).max(axis=(2, 4))
    np.testing.assert_allclose(base(photo), pooled, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pooling": "mean"}, "pooling must be one of max, avg, got 'mean'"),
        ({"taps": ("conv1_3",)}, "layers must be of conv1_1, .*, got 'conv1_3'"),
        ({"taps": ()}, "got none"),
        ({"edge": "wrap"}, "edge must be one of zero, repeat, got 'wrap'"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(RecipeError, match=message):
        build_vgg19(2, **arguments)


def test_weights_that_end_early_or_do_not_fit_are_refused():
    convolutions = convolutions_of(build_vgg19(2, taps=("conv3_4",)))
    with pytest.raises(WeightsError, match="x.h5 end at conv3_4, conv4_1 is needed"):
        set_convolutions(build_vgg19(2), convolutions, "x.h5")
    with pytest.raises(WeightsError, match=r"conv1_1 should have the shape \(3, 3, 3, 4\), got \(3, 3, 3, 2\)"):
        set_convolutions(build_vgg19(4, taps=("conv1_1",)), convolutions)
