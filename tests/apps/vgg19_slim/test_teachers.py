import numpy as np
import pytest
import tensorflow as tf

from tfvision.apps.vgg19_slim.teachers import load_teacher, map_name, read_small
from tfvision.errors import WeightsError
from tfvision.models.vgg19 import PERCEPTUAL_LAYERS, build_vgg19, set_convolutions, slim_filters

MAPPED = ("conv1_1", "conv2_1")


@pytest.fixture
def photos():
    return [np.random.default_rng(seed).integers(0, 256, (2, 32, 32, 3), np.uint8) for seed in (0, 1)]


def test_the_first_two_convolutions_of_a_small_vgg19_become_one(small_teacher):
    with np.load(small_teacher) as stored:
        colour, shift, kernel, bias = (stored[name] for name in ("conv0.weight", "conv0.bias", "conv11.weight", "conv11.bias"))
    pixels = np.random.default_rng(2).uniform(0, 255, (1, 9, 9, 3)).astype(np.float32)
    x = pixels / 255 @ colour[:, :, 0, 0].T + shift
    expected = tf.nn.relu(tf.nn.conv2d(np.float32(x), kernel.transpose(2, 3, 1, 0), 1, "VALID") + bias)
    model = build_vgg19(2, taps=("conv1_1",))
    set_convolutions(model, read_small(small_teacher))
    got = model(pixels)["conv1_1"][:, 1:-1, 1:-1]  # inside, where no edge is padded
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)


def test_a_teacher_like_the_student_is_matched_layer_by_layer(small_teacher, photos):
    teacher = load_teacher(small_teacher, slim_filters(2, 16, ()), MAPPED, photos)
    assert teacher.compared == {layer: layer for layer in PERCEPTUAL_LAYERS}
    assert not teacher.model.trainable_variables


def test_a_wider_teacher_is_matched_through_maps_and_built_no_deeper(wide_teacher, photos):
    teacher = load_teacher(wide_teacher, slim_filters(2, 16, ()), MAPPED, photos)
    assert teacher.compared == {"conv1_1": map_name("wide", "conv1_1"), "conv2_1": map_name("wide", "conv2_1")}
    assert teacher.model.layers[-1].name == "conv2_1"


def test_a_teacher_with_fewer_filters_teaches_the_layers_that_are_like_the_students(small_teacher, photos):
    teacher = load_teacher(small_teacher, slim_filters(4, 16, ()), MAPPED, photos)
    assert teacher.compared == {layer: layer for layer in PERCEPTUAL_LAYERS[8:]} and teacher.direct == list(PERCEPTUAL_LAYERS[8:])


def test_filters_answer_with_a_deviation_of_one(wide_teacher, photos):
    teacher = load_teacher(wide_teacher, slim_filters(2, 16, ()), MAPPED, photos)
    for layer, answers in teacher.model(np.float32(np.concatenate(photos))).items():
        deviations = answers.numpy().std(axis=(0, 1, 2))
        is_alive = deviations > 0.1
        assert is_alive.any(), layer
        np.testing.assert_allclose(deviations[is_alive], 1, rtol=1e-3)


def test_a_teacher_without_the_layers_is_refused(wide_teacher, photos):
    with pytest.raises(WeightsError, match="nor more in one of the layers conv5_1"):
        load_teacher(wide_teacher, slim_filters(2, 16, ()), ("conv5_1",), photos)


def test_a_missing_teacher_is_named(photos):
    with pytest.raises(WeightsError, match="nowhere.npz does not exist"):
        load_teacher("nowhere.npz", slim_filters(2, 16, ()), MAPPED, photos)
