import keras
import numpy as np
import tensorflow as tf

from tfvision.models.layers import CountedDropout


def test_keeps_the_mean_and_drops_the_share():
    layer = CountedDropout(0.25, seed=1)
    values = layer(tf.ones([200, 200]), training=True).numpy()
    assert abs((values == 0).mean() - 0.25) < 0.01
    np.testing.assert_allclose(values[values > 0], 1 / 0.75, rtol=1e-6)


def test_does_nothing_at_inference():
    values = tf.random.normal([3, 4])
    np.testing.assert_array_equal(CountedDropout(0.9)(values, training=False), values)


def test_masks_follow_the_saved_counter():
    first = CountedDropout(0.5, seed=3)
    ones = tf.ones([4, 100])
    first(ones, training=True)
    weights = first.get_weights()
    expected = first(ones, training=True).numpy()
    resumed = CountedDropout(0.5, seed=3)
    resumed(ones)
    resumed.set_weights(weights)
    np.testing.assert_array_equal(resumed(ones, training=True), expected)
    assert (resumed(ones, training=True).numpy() != expected).any()


def test_survives_saving_and_loading(tmp_path):
    inputs = keras.Input((5,))
    model = keras.Model(inputs, CountedDropout(0.3, seed=2, name="dropout")(inputs))
    model.save(tmp_path / "model.keras")
    layer = keras.models.load_model(tmp_path / "model.keras").get_layer("dropout")
    assert (layer.rate, layer.seed) == (0.3, 2)
