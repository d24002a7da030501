import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfvision.errors import RecipeError, RunError, WeightsError
from tfvision.features.extractor import open_extractor
from tfvision.features.recipe import FeatureRecipe
from tfvision.models.taps import build_taps

SLIM = FeatureRecipe("vgg19_slim", layers=("conv3_4", "pool5"), image_size=64)
PICTURES = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)


def _with(**changes):
    return open_extractor(dataclasses.replace(SLIM, **changes))


def _unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def plain():
    return open_extractor(SLIM)


@pytest.fixture(scope="module")
def maps():
    """uint8 images -> {tap: float32 array}, without the extractor."""
    model, _ = build_taps("vgg19_slim", SLIM.layers)
    return lambda images: {tap: values.numpy() for tap, values in model(images.astype(np.float32)).items()}


@pytest.mark.slow
def test_features_are_pooled_joined_and_normalised(plain, maps):
    pooled = {tap: values.mean((1, 2)) for tap, values in maps(PICTURES).items()}
    assert plain.widths == {"conv3_4": 256, "pool5": 128} and plain.dimension == 384
    got = plain.features(PICTURES)
    assert (got.shape, got.dtype) == ((2, 384), np.float32)
    np.testing.assert_allclose(got, _unit(np.concatenate(list(pooled.values()), axis=1)), rtol=1e-3, atol=1e-5)
    for tap, vectors in plain.by_layer(PICTURES).items():
        np.testing.assert_allclose(vectors, pooled[tap], rtol=1e-3, atol=1e-3)


def test_images_of_any_size_are_squashed_to_the_networks(plain):
    wide = np.random.default_rng(1).integers(0, 256, (1, 80, 100, 3)).astype(np.uint8)
    squashed = tf.cast(tf.round(tf.image.resize(wide, (64, 64), antialias=True)), tf.uint8).numpy()
    np.testing.assert_array_equal(plain.features(wide), plain.features(squashed))


@pytest.mark.slow
def test_aspect_keeps_the_shape_and_the_network_sees_all_of_it(maps):
    extractor = _with(resize="aspect", is_normalised=False)
    wide = np.random.default_rng(1).integers(0, 256, (1, 96, 128, 3)).astype(np.uint8)
    resized = tf.cast(tf.round(tf.image.resize(wide, (48, 64), antialias=True)), tf.uint8).numpy()
    expected = np.concatenate([values.mean((1, 2)) for values in maps(resized).values()], axis=1)
    np.testing.assert_allclose(extractor.features(wide), expected, rtol=1e-3, atol=1e-3)
    assert extractor.features(np.zeros((1, 8, 400, 3), np.uint8)).shape == (1, 384)  # so narrow that the network needs more


@pytest.mark.slow
def test_vectors_of_scales_are_averaged(plain, maps):
    extractor = _with(scales=(1.0, 0.5))
    assert extractor.image_size == 64
    small = tf.cast(tf.round(tf.image.resize(PICTURES, (32, 32), antialias=True)), tf.uint8).numpy()
    vectors = [_unit(np.concatenate([values.mean((1, 2)) for values in maps(view).values()], axis=1)) for view in (PICTURES, small)]
    np.testing.assert_allclose(extractor.features(PICTURES), _unit(sum(vectors)), rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_flipped_an_image_and_its_mirror_image_are_one(plain):
    extractor = _with(is_flipped=True)
    mirrored = PICTURES[:, :, ::-1]
    assert np.abs(plain.features(PICTURES) - plain.features(mirrored)).max() > 1e-4
    np.testing.assert_allclose(extractor.features(PICTURES), extractor.features(mirrored), atol=1e-6)


def test_normalised_addition_gives_each_tap_the_same_weight():
    got = _with(is_tap_normalised=True).features(PICTURES)
    np.testing.assert_allclose(np.linalg.norm(got[:, :256], axis=1), np.sqrt(0.5), rtol=1e-5)


@pytest.mark.slow
def test_the_identity_tells_apart_what_cannot_be_compared(plain, tmp_path):
    assert plain.identity == _with().identity and len(plain.identity) == 64
    others = [_with(pooling="max"), _with(layers=("pool5", "conv3_4")), _with(image_size=48), _with(weights="none")]
    assert len({plain.identity, *(other.identity for other in others)}) == 5


@pytest.mark.slow
def test_the_identity_does_not_depend_on_where_weights_lie(plain, tmp_path):
    from tfvision.models.weights import SHIPPED

    copy = tmp_path / "copy.npz"
    copy.write_bytes(SHIPPED["vgg19_slim"].read_bytes())
    assert _with(weights=str(copy)).identity == plain.identity


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"layers": ("conv9",)}, RecipeError, "layers of vgg19_slim are conv1_2"),
        ({"scales": (1.0, 0.25)}, RecipeError, "vgg19_slim needs images of 32 px at least, the smallest scale has 16"),
        ({"model": "nothing"}, RecipeError, "got 'nothing'"),
        ({"model": "no/such/folder"}, RunError, "no/such/folder is neither a run"),
        ({"weights": "nowhere.weights.h5"}, WeightsError, "nowhere.weights.h5 does not exist"),
        ({"pooling": "sum"}, RecipeError, "pooling must be one of"),
    ],
)
def test_mistakes_are_named(changes, error, message):
    with pytest.raises(error, match=message):
        _with(**changes)
