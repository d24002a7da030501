import numpy as np
import pytest
import tensorflow as tf

from tfvision.apps.vgg19_slim.fitting import fit_layer, fit_layers
from tfvision.apps.vgg19_slim.teachers import load_teacher
from tfvision.models.layers import CaffePixels
from tfvision.models.vgg19 import build_vgg19, convolutions_of, set_convolutions, slim_filters


def _answers(x, kernel, bias):
    return np.maximum(x.reshape(len(x), -1) @ kernel.reshape(-1, kernel.shape[-1]) + bias, 0)


def test_a_layer_is_found_again_by_its_answers():
    random = np.random.default_rng(0)
    x = random.normal(0.5, 1, (4000, 9, 2)).astype(np.float32)
    kernel, bias = random.normal(size=(3, 3, 2, 3)).astype(np.float32), np.float32([0.5, -1, 0])
    found = fit_layer(x, _answers(x, kernel, bias), 0, 60)
    np.testing.assert_allclose(found[0], kernel, atol=2e-2)
    np.testing.assert_allclose(found[1], bias, atol=6e-2)


def test_a_factored_layer_is_the_best_of_its_rank():
    # Filters without a ReLU's zeros, inputs white: the best of rank 2 is that of the singular values (Eckart and Young).
    random = np.random.default_rng(1)
    x = random.normal(size=(20000, 9, 2)).astype(np.float32)
    kernel = (random.normal(size=(18, 4)) @ np.diag([3, 2, 0.3, 0.1])).astype(np.float32)
    basis, mixing, bias = fit_layer(x, _answers(x, kernel, np.float32(100)), 2, 1)
    assert (basis.shape, mixing.shape) == ((3, 3, 2, 2), (1, 1, 2, 4))
    left, values, right = np.linalg.svd(kernel, full_matrices=False)
    np.testing.assert_allclose(basis.reshape(18, 2) @ mixing[0, 0], left[:, :2] * values[:2] @ right[:2], atol=0.1)
    np.testing.assert_allclose(bias, 100, atol=0.1)


def test_rounds_ask_for_nothing_where_the_teacher_is_silent():
    random = np.random.default_rng(2)
    x = random.normal(size=(3000, 9, 1)).astype(np.float32)
    kernel, bias = random.normal(size=(3, 3, 1, 1)).astype(np.float32), np.float32([-2.0])  # answers seldom
    one, many = (np.abs(fit_layer(x, _answers(x, kernel, bias), 0, rounds)[0] - kernel).max() for rounds in (1, 100))
    assert many < one / 4


@pytest.fixture(scope="module")
def fitted(wide_teacher):
    """(teacher, fitted convolutions, photos): of width 4, as far as conv2_2."""
    random = np.random.default_rng(0)
    photos = random.integers(0, 256, (24, 6, 6, 3)).repeat(4, 1).repeat(4, 2).astype(np.uint8)
    filters = slim_filters(4, 16, (3,))
    teacher = load_teacher(wide_teacher, filters, (), [photos])
    count = []
    convolutions = fit_layers(photos, CaffePixels()(tf.cast(photos, tf.float32)), filters, [teacher], 20, 0, lambda: count.append(1))
    assert len(count) == 4
    return teacher, convolutions, photos


def test_layers_are_fitted_as_far_as_they_are_taught(fitted):
    teacher, convolutions, photos = fitted
    assert list(convolutions) == ["conv1_1", "conv1_2", "conv2_1", "conv2_2"] == list(convolutions_of(teacher.model))
    assert [len(arrays) for arrays in convolutions.values()] == [3, 2, 2, 2]
    model = build_vgg19(slim_filters(4, 16, (3,)), "max", ("conv1_1", "conv2_2"))
    set_convolutions(model, convolutions)
    got, wanted = model(np.float32(photos)), teacher.model(np.float32(photos))
    for layer, least in (("conv1_1", 0.95), ("conv2_2", 0.9)):
        columns = [(np.ravel(got[layer][..., c]), np.ravel(wanted[layer][..., c])) for c in range(got[layer].shape[-1])]
        assert np.mean([np.corrcoef(x, y)[0, 1] for x, y in columns if y.std() > 0.5]) > least, layer
