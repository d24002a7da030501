import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvision.models.layers import CropLike, Doubled, GrowToMultiple, InstanceNormalization, ReflectionPadding
from tfvision.models.stylizer import build_stylizer


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    return build_stylizer(width=4, blocks=1)


def photos(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3)).astype(np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (17, 16), (31, 45), (64, 64)], ids=str)
def test_a_picture_has_its_photos_size_and_range(model, size):
    painted = model(photos(2, *size)).numpy()
    assert painted.shape == (2, *size, 3) and painted.dtype == np.float32
    assert painted.min() >= 0 and painted.max() <= 255


def test_photos_of_a_batch_do_not_touch_each_other(model):
    batch = photos(3, 20, 28)
    alone = np.concatenate([model(photo[None]) for photo in batch])
    np.testing.assert_allclose(model(batch), alone, atol=1e-3)


def test_the_default_is_small_and_every_layer_bears_a_name_of_its_own():
    network = build_stylizer()
    assert network.count_params() < 500_000
    names = [layer.name for layer in network.layers]
    assert {"down1", "block5_b", "up2", "colours", "painted"} <= set(names) and len(set(names)) == len(names)


def test_weights_survive_saving_and_loading(model, tmp_path):
    model.save_weights(tmp_path / "x.weights.h5")
    other = build_stylizer(width=4, blocks=1)
    other.load_weights(tmp_path / "x.weights.h5")
    np.testing.assert_array_equal(other(photos(1, 24, 24)), model(photos(1, 24, 24)))


def test_the_whole_model_survives_saving_and_loading(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(photos(1, 24, 24)), model(photos(1, 24, 24)))
    assert loaded.get_layer("down1_norm").epsilon == 1e-5
    assert (loaded.get_layer("down1_pad").size, loaded.get_layer("grown").multiple, loaded.get_layer("grown").least) == (4, 4, 16)


def test_every_weight_gets_a_finite_gradient(model):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(photos(2, 24, 24), training=True) - 100.0))
    for variable, gradient in zip(model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True):
        assert np.isfinite(gradient).all(), variable.name


def test_instance_normalization_equals_numpy():
    values = np.random.default_rng(0).normal(3, 5, (2, 6, 7, 4)).astype(np.float32)
    layer = InstanceNormalization(epsilon=1e-3)
    layer.build(values.shape)
    gamma, beta = np.float32([1, 2, 3, 4]), np.float32([0, -1, 1, 5])
    layer.set_weights([gamma, beta])
    mean, variance = values.mean((1, 2), keepdims=True), values.var((1, 2), keepdims=True)
    np.testing.assert_allclose(layer(values), (values - mean) / np.sqrt(variance + 1e-3) * gamma + beta, atol=1e-5)


def test_instance_normalization_of_an_even_image_is_its_offset():
    layer = InstanceNormalization()
    np.testing.assert_array_equal(layer(np.full((1, 5, 5, 2), 7, np.float32)), 0)


def test_instance_normalization_computes_in_32_bits_under_float16():
    values = np.random.default_rng(0).normal(200, 100, (1, 64, 64, 2))
    half = InstanceNormalization(dtype="mixed_float16")(values.astype(np.float16))
    assert half.dtype == tf.float16
    np.testing.assert_allclose(half, InstanceNormalization()(values.astype(np.float32)), atol=0.02)


def test_reflection_padding_equals_numpy():
    values = photos(1, 6, 5).astype(np.float32)
    np.testing.assert_array_equal(ReflectionPadding(3)(values), np.pad(values, ((0, 0), (3, 3), (3, 3), (0, 0)), "reflect"))


@pytest.mark.parametrize(("height", "width"), [(5, 6), (8, 8), (2, 3), (1, 9)])
def test_growing_equals_numpys_reflection(height, width):
    values = photos(1, height, width).astype(np.float32)
    rows, columns = (-(-max(side, 8) // 4) * 4 - side for side in (height, width))
    expected = np.pad(values, ((0, 0), (0, rows), (0, columns), (0, 0)), "reflect")
    np.testing.assert_array_equal(GrowToMultiple(4, 8)(values), expected)


def test_doubling_and_cropping():
    values = photos(1, 3, 2).astype(np.float32)
    doubled = Doubled()(values)
    np.testing.assert_array_equal(doubled, values.repeat(2, axis=1).repeat(2, axis=2))
    np.testing.assert_array_equal(CropLike()([doubled, np.zeros((1, 5, 3, 3), np.float32)]), doubled[:, :5, :3])
