import numpy as np
import pytest
import tensorflow as tf

from tfvision.training.loss_scale import LossScale


def test_scaling_up_and_down_gives_the_gradient_back():
    scale = LossScale(is_active=True)
    x = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        loss = scale.up(x * x)
    (gradient,), is_finite = scale.down([tape.gradient(loss, x)])
    assert float(gradient) == 6.0 and bool(is_finite)


def test_an_overflow_halves_the_scale_and_is_reported():
    scale = LossScale(is_active=True)
    before = float(scale.up(tf.constant(1.0)))
    _, is_finite = scale.down([tf.constant([1.0, np.inf])])
    assert not bool(is_finite)
    assert float(scale.up(tf.constant(1.0))) == before / 2
    scale.begin()
    assert float(scale.up(tf.constant(1.0))) == before


@pytest.mark.slow
def test_the_scale_doubles_after_two_thousand_good_steps():
    scale = LossScale(is_active=True)
    before = float(scale.up(tf.constant(1.0)))
    good_step = tf.function(lambda: scale.down([tf.constant(1.0)]), autograph=False)  # in a graph, as the training has it
    for _ in range(2000):
        good_step()
    assert float(scale.up(tf.constant(1.0))) == before * 2


def test_inactive_it_changes_nothing_and_keeps_nothing():
    scale = LossScale(is_active=False)
    assert float(scale.up(tf.constant(2.0))) == 2.0
    assert scale.variables == []
