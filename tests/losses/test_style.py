import numpy as np
import pytest
import tensorflow as tf

from tfvision.losses.style import content_gradient, content_loss, gram_matrix, style_gradient, style_loss, total_variation


@pytest.fixture
def responses():
    """Behind a ReLU: two pictures' F, [1, 3, 4, 5], about half of it 0; and the values before the ReLU."""
    before = np.random.default_rng(0).normal(size=(2, 1, 3, 4, 5)).astype(np.float32)
    return np.maximum(before, 0), before


def test_content_loss_is_half_the_squared_error(responses):
    (f, p), _ = responses
    naive = sum((a - b) ** 2 for a, b in zip(f.ravel(), p.ravel(), strict=True)) / 2
    np.testing.assert_allclose(content_loss(f, p), [naive], rtol=1e-5)


def test_gram_matrix_is_the_inner_product_of_feature_maps(responses):
    (f, _), _ = responses
    naive = np.zeros((5, 5))
    for i in range(5):
        for j in range(5):
            naive[i, j] = sum(f[0, y, x, i] * f[0, y, x, j] for y in range(3) for x in range(4))
    np.testing.assert_allclose(gram_matrix(f)[0], naive, rtol=1e-5)


def test_a_mask_counts_positions(responses):
    (f, _), _ = responses
    mask = np.zeros((1, 3, 4), np.float32)
    mask[0, :, 1] = 1
    np.testing.assert_allclose(gram_matrix(f, mask), gram_matrix(f[:, :, 1:2]), rtol=1e-5)


def test_style_loss_of_hand_derived_matrices():
    # N = 2: 1 / (4 * 4) * (1^2 + 2^2 + 2^2 + 0^2)
    gram, target = tf.constant([[[1.0, 2.0], [2.0, 5.0]]]), tf.constant([[[0.0, 0.0], [0.0, 5.0]]])
    np.testing.assert_allclose(style_loss(gram, target), [9 / 16])


def test_style_loss_equals_equation_4_where_sizes_agree(responses):
    (f, a), _ = responses
    positions, filters = 12, 5
    literal = ((gram_matrix(f).numpy() - gram_matrix(a).numpy()) ** 2).sum() / (4 * filters**2 * positions**2)
    np.testing.assert_allclose(style_loss(gram_matrix(f) / positions, gram_matrix(a) / positions), [literal], rtol=1e-5)


def test_equation_2_is_the_derivative_before_the_relu(responses):
    (_, p), (before, _) = responses
    before = tf.constant(before)
    with tf.GradientTape() as tape:
        tape.watch(before)
        f = tf.nn.relu(before)
        loss = content_loss(f, p)
    np.testing.assert_allclose(content_gradient(f, p), tape.gradient(loss, before), atol=1e-6)


@pytest.mark.parametrize("is_masked", [False, True])
def test_equation_6_is_the_derivative_before_the_relu(responses, is_masked):
    (_, a), (before, _) = responses
    mask = np.random.default_rng(1).uniform(size=(1, 3, 4)).astype(np.float32) if is_masked else None
    positions = np.float32(mask.sum() if is_masked else 12)
    before, target = tf.constant(before), gram_matrix(a) / 12
    with tf.GradientTape() as tape:
        tape.watch(before)
        f = tf.nn.relu(before)
        loss = style_loss(gram_matrix(f, mask) / positions, target)
    gradient = style_gradient(f, gram_matrix(f, mask) / positions, target, positions, mask)
    np.testing.assert_allclose(gradient, tape.gradient(loss, before), atol=1e-7)
    assert np.abs(gradient).max() > 1e-4


def test_no_difference_no_loss_no_gradient(responses):
    (f, _), _ = responses
    gram = gram_matrix(f) / 12
    assert content_loss(f, f).numpy() == style_loss(gram, gram).numpy() == 0
    assert not np.any(content_gradient(f, f)) and not np.any(style_gradient(f, gram, gram, 12.0))


def test_silent_responses_have_finite_losses_and_gradients():
    silent = np.zeros((1, 2, 2, 3), np.float32)
    gram = gram_matrix(silent) / 4
    assert np.isfinite(style_loss(gram, gram + 1)).all()
    assert np.isfinite(style_gradient(silent, gram, gram + 1, 4.0)).all()


def test_total_variation_by_hand():
    # One channel of three differs: a step of 255 between two columns of two rows: two squared steps of 1, by 12 values.
    images = np.zeros((1, 2, 2, 3), np.float32)
    images[0, :, 1, 0] = 255
    np.testing.assert_allclose(total_variation(images), [2 / 12])
    np.testing.assert_array_equal(total_variation(np.full((1, 4, 5, 3), 77, np.float32)), [0])
