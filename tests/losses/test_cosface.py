import keras
import numpy as np
import tensorflow as tf

from tfvision.losses.cosface import MARGIN, SCALE, CosineLogits, cosface_loss, cosine_logits

RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(size=(5, 8)).astype(np.float32)
WEIGHTS = RANDOM.normal(size=(8, 3)).astype(np.float32)
LABELS = np.array([0, 1, 2, 1, 0])


def _naive(features, weights, labels, margin, scale):
    losses = []
    for feature, label in zip(features.astype(float), labels, strict=True):
        logits = []
        for number, column in enumerate(weights.astype(float).T):
            cosine = feature @ column / np.linalg.norm(feature) / np.linalg.norm(column)
            logits.append(scale * (cosine - margin * (number == label)))
        losses.append(np.log(np.sum(np.exp(logits))) - logits[label])
    return losses


def test_the_papers_numbers():
    assert (MARGIN, SCALE) == (0.45, 60.0)


def test_the_loss_equals_a_naive_loop():
    loss = cosface_loss(LABELS, cosine_logits(FEATURES, WEIGHTS, 10.0), 0.45, 10.0)
    np.testing.assert_allclose(loss, _naive(FEATURES, WEIGHTS, LABELS, 0.45, 10.0), rtol=1e-5)


def test_a_value_by_hand():
    # A feature of length 5 along its own class, at a right angle to the other: cosines 1 and 0. With margin 0.5 and
    # scale 2 the logits are 2 * (1 - 0.5) = 1 and 0, the loss ln(e + 1) - 1.
    loss = cosface_loss([0], cosine_logits([[5.0, 0.0]], [[3.0, 0.0], [0.0, 7.0]], 2.0), 0.5, 2.0)
    np.testing.assert_allclose(loss, [np.log(np.e + 1) - 1], rtol=1e-6)


def test_without_margin_it_is_softmax_of_normalised_logits():
    unit = tf.linalg.l2_normalize(FEATURES, axis=1) @ tf.linalg.l2_normalize(WEIGHTS, axis=0)
    expected = tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, 60.0 * unit)
    np.testing.assert_allclose(cosface_loss(LABELS, cosine_logits(FEATURES, WEIGHTS), margin=0.0), expected, rtol=1e-4, atol=1e-5)


def test_lengths_of_features_and_weights_do_not_count():
    np.testing.assert_allclose(cosine_logits(7 * FEATURES, 3 * WEIGHTS), cosine_logits(FEATURES, WEIGHTS), rtol=1e-4, atol=1e-4)


def test_gradients_are_finite_for_zero_features_and_for_sure_ones():
    for features in (np.zeros((2, 8)), np.tile(WEIGHTS[:, 0], (2, 1)) * 1e3):
        features, weights = tf.constant(features, tf.float32), tf.constant(WEIGHTS)
        with tf.GradientTape() as tape:
            tape.watch([features, weights])
            loss = cosface_loss([0, 1], cosine_logits(features, weights))
        assert np.isfinite(loss).all()
        assert all(np.isfinite(gradient).all() for gradient in tape.gradient(loss, [features, weights]))


def test_the_layer_is_saved_and_loaded(tmp_path):
    inputs = keras.Input((8,))
    model = keras.Model(inputs, CosineLogits(3, scale=30.0, seed=4, name="logits")(inputs))
    assert [weight.shape for weight in model.get_weights()] == [(8, 3)]  # no bias
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(FEATURES), model(FEATURES), rtol=1e-6)
    np.testing.assert_allclose(model(FEATURES), cosine_logits(FEATURES, model.get_weights()[0], 30.0), rtol=1e-5)
    assert loaded.get_layer("logits").get_config()["scale"] == 30.0
