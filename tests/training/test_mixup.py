import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfvision.losses.classification import smoothed_cross_entropy
from tfvision.training.mixup import blend, blend_loss, draw_share


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_shares_follow_the_folded_beta_distribution(alpha):
    draw = tf.function(lambda steps: tf.map_fn(lambda step: draw_share(alpha, [1, step]), steps, fn_output_signature=tf.float32), autograph=False)
    shares = draw(tf.range(1500)).numpy()
    assert shares.min() >= 0.5
    # max(x, 1 - x) of x ~ Beta(a, a): its distribution function at y is F(y) - F(1 - y).
    beta = stats.beta(alpha, alpha)
    result = stats.kstest(shares, lambda y: beta.cdf(y) - beta.cdf(1 - y))
    assert result.pvalue > 0.001


def test_the_same_seed_draws_the_same_share():
    assert float(draw_share(0.2, [3, 4])) == float(draw_share(0.2, [3, 4])) != float(draw_share(0.2, [3, 5]))


def test_alpha_zero_keeps_photos_whole():
    assert float(draw_share(0.0, [0, 0])) == 1.0


def test_photos_are_blended_with_their_partners_by_hand():
    views = {"whole": tf.constant([[[[100]]], [[[200]]]], tf.uint8)}
    mixed = blend(views, tf.constant(0.75))["whole"]
    assert mixed.dtype == tf.uint8
    assert mixed.numpy().ravel().tolist() == [125, 175]


def test_losses_are_blended_like_photos_and_broken_ones_weigh_nothing():
    labels, logits = tf.constant([0, 1]), tf.constant([[2.0, 0.0], [1.0, 0.0]])
    first, second = (smoothed_cross_entropy(tf.constant([label] * 2), logits).numpy() for label in (0, 1))
    blended = blend_loss(smoothed_cross_entropy, labels, logits, tf.constant([1.0, 1.0]), 0.75)
    np.testing.assert_allclose(blended, [0.75 * first[0] + 0.25 * second[0], 0.75 * second[1] + 0.25 * first[1]], rtol=1e-6)
    blended = blend_loss(smoothed_cross_entropy, labels, logits, tf.constant([1.0, 0.0]), 0.75)
    np.testing.assert_allclose(blended, [0.75 * first[0], 0.25 * first[1]], rtol=1e-6)
