import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvision.errors import RecipeError
from tfvision.features.grad_cam import grad_cam, overlay

IMAGES = np.random.default_rng(0).random((2, 4, 4, 2)).astype(np.float32)
KERNEL = np.float32([[2.0, -3.0]])  # of one score on two channels


def _model(is_trainable=True):
    """Responses: the image itself, by a 1 x 1 convolution; scores: of their means."""
    inputs = keras.Input((4, 4, 2))
    responses = keras.layers.Conv2D(2, 1, use_bias=False, name="maps")
    scores = keras.layers.Dense(1, use_bias=False, name="scores")
    maps = responses(inputs)
    model = keras.Model(inputs, [maps, scores(keras.layers.GlobalAveragePooling2D()(maps))])
    responses.set_weights([np.eye(2, dtype=np.float32)[None, None]])
    scores.set_weights([KERNEL.T])
    model.trainable = is_trainable
    return model


@pytest.mark.parametrize("is_trainable", [True, False])
def test_a_map_by_hand(is_trainable):
    # The gradient of the score by a response is its kernel's value over 16 positions, the same everywhere.
    expected = np.maximum((IMAGES * KERNEL[0] / 16).sum(-1), 0)
    expected /= expected.max((1, 2), keepdims=True)
    np.testing.assert_allclose(grad_cam(_model(is_trainable), lambda scores: scores[:, 0], IMAGES), expected, rtol=1e-5, atol=1e-6)


def test_where_nothing_speaks_for_the_score_the_map_is_empty():
    assert not grad_cam(_model(), lambda scores: scores[:, 0], np.zeros((1, 4, 4, 2), np.float32)).any()


def test_layers_without_positions_or_after_the_score_are_refused():
    with pytest.raises(RecipeError, match="needs a layer with positions"):
        grad_cam(lambda images: (tf.reduce_mean(images, (1, 2)),) * 2, lambda scores: scores[:, 0], IMAGES)
    with pytest.raises(RecipeError, match="a layer that the score is computed from"):
        grad_cam(lambda images: (2 * images, images), lambda scores: scores[:, 0, 0, 0], IMAGES)


def test_the_overlay_is_red_where_the_map_is_1_and_blue_where_it_is_0():
    image = np.full((20, 30, 3), 100, np.uint8)
    heat = np.zeros((2, 3))
    heat[:, 2] = 1
    picture = overlay(image, heat)
    assert picture.shape == image.shape and picture.dtype == np.uint8
    assert picture[10, -1].tolist() == [145, 50, 50]  # half the image, half (190, 0, 0)
    assert picture[10, 0, 2] > picture[10, 0, 0]
