import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvision.models.siamese import HEIGHT, WIDTH, GreyPixels, build_siamese


def test_the_tower_has_the_shapes_of_table_2():
    model = build_siamese(56)
    shapes = {name: tuple(model.get_layer(name).output.shape[1:]) for name in ("pixels", "conv1", "pool1", "conv2", "pool2", "ip1", "ip2", "feat")}
    assert shapes == {
        "pixels": (56, 46, 1),
        "conv1": (52, 42, 20),
        "pool1": (26, 21, 20),
        "conv2": (22, 17, 50),
        "pool2": (11, 9, 50),
        "ip1": (1, 1, 500),
        "ip2": (1, 1, 10),
        "feat": (1, 1, 2),
    }
    # 5 x 5 x 1 x 20 + 20, 5 x 5 x 20 x 50 + 50, 11 x 9 x 50 x 500 + 500, 500 x 10 + 10, 10 x 2 + 2
    assert model.count_params() == 520 + 25050 + 2475500 + 5010 + 22


def test_the_triplet_towers_answer_is_ip2_with_256_values():
    model = build_siamese(56, embedding=256, has_feat=False)
    assert model.output.shape[1:] == (1, 1, 256)
    assert "feat" not in [layer.name for layer in model.layers]


def test_initial_weights_are_caffes_xavier():
    # Uniform, with a variance of 1 / (what comes in): sqrt(3 / n) is the bound.
    keras.utils.set_random_seed(0)
    kernel = build_siamese(56).get_layer("ip1").get_weights()[0]
    bound = np.sqrt(3 / (11 * 9 * 50))
    assert 0.99 * bound < np.abs(kernel).max() <= bound and abs(kernel.std() / (bound / np.sqrt(3)) - 1) < 0.01


def test_colour_pictures_become_grey_in_the_range_of_1():
    red = np.zeros((1, HEIGHT, WIDTH, 3), np.float32) + np.float32([255, 0, 0])
    np.testing.assert_allclose(GreyPixels(HEIGHT, WIDTH)(red), np.full((1, HEIGHT, WIDTH, 1), 0.2989), atol=1e-4)
    white = np.full((1, 100, 80, 3), 255, np.float32)
    np.testing.assert_allclose(GreyPixels(4, 3)(white), np.ones((1, 4, 3, 1)), atol=2e-4)


@pytest.mark.parametrize("size", [56, None])
def test_it_sees_pictures_of_any_size(size):
    keras.utils.set_random_seed(0)
    y, x = np.mgrid[:112, :112] / 112
    large = np.repeat((127 + 100 * np.sin(6 * x + 4 * y))[None, ..., None], 3, axis=-1).astype(np.float32)
    model = build_siamese(size)
    small = tf.image.resize(large, (56, 56), antialias=True)
    assert model(small).shape == (1, 1, 1, 2)
    if size is None:
        np.testing.assert_allclose(model(large), model(small), atol=0.05)


def test_saved_and_loaded_it_answers_as_before(tmp_path):
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 56, 56, 3)).astype(np.float32)
    model = build_siamese(56)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(pictures), model(pictures), rtol=1e-5)
    assert (loaded.get_layer("pixels").height, loaded.get_layer("pixels").width) == (56, 46)
