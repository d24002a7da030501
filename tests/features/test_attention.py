import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvision.errors import RecipeError
from tfvision.features.attention import SimilarityMaps
from tfvision.features.extractor import Extractor, open_extractor
from tfvision.features.networks import EMBEDDING, FeatureNetwork
from tfvision.features.recipe import FeatureRecipe
from tfvision.features.whitening import Whitening

SIDE = 4
PICTURE = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
FILTERS = np.float32([[1, -1], [0, 2], [-1, 0.5]])  # RGB -> two channels, by a 1 x 1 convolution
HEAD = np.float32([[2, -1, 0], [1, 1, -3]])  # their means -> a vector of three values
TARGET = np.float32([0.6, 0, -0.8])


def _model(head=True, is_unit=False):
    """Pixels -> maps of a convolution and its ReLU -> their means -> a vector, perhaps of length 1; or the maps themselves."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(2, 1, use_bias=False, name="filters")(inputs)
    x = keras.layers.ReLU(name="maps")(x)
    if head:
        x = keras.layers.GlobalAveragePooling2D()(x)
        x = keras.layers.Dense(3, use_bias=False, name="head")(x)
        x = keras.layers.UnitNormalization()(x) if is_unit else x
    model = keras.Model(inputs, x)
    model.get_layer("filters").set_weights([FILTERS[None, None]])
    if head:
        model.get_layer("head").set_weights([HEAD])
    return model


def _network(respond, **facts):
    return FeatureNetwork(lambda images: {EMBEDDING: respond(tf.cast(images, tf.float32) / 255)}, SIDE, (None, SIDE, SIDE, 3), "by hand", **facts)


def _maps(respond, whitening=None, recipe=None, **facts):
    return SimilarityMaps(Extractor(recipe or FeatureRecipe("by hand"), _network(respond, **facts)), whitening)


def _responses(picture=PICTURE):
    return np.maximum(picture / 255 @ FILTERS, 0)


def _by_hand(weights, picture=PICTURE):
    """Of the gradient by each channel's mean, up to a factor: ReLU of the weighted sum of the responses, in shares of its maximum."""
    heat = np.maximum(_responses(picture) @ weights, 0)
    return heat / heat.max()


def test_the_map_of_a_convolution_before_a_dense_layer_by_hand():
    model = _model()
    np.testing.assert_allclose(_maps(model).map(PICTURE, TARGET), _by_hand(HEAD @ TARGET), rtol=1e-4, atol=1e-5)


def test_of_a_layer_with_positions_the_map_is_the_layers_own():
    target = np.float32([0.28, 0.96])
    np.testing.assert_allclose(_maps(_model(head=False)).map(PICTURE, target), _by_hand(target), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("is_unit", [False, True])
def test_a_picture_has_a_map_for_itself_though_its_cosine_is_at_its_highest(is_unit):
    own = _responses().mean((0, 1)) @ HEAD
    found = _maps(_model(is_unit=is_unit)).map(PICTURE, (own / np.linalg.norm(own)).astype(np.float32))
    np.testing.assert_allclose(found, _by_hand(HEAD @ own), rtol=1e-3, atol=1e-4)


def test_lengths_within_a_pooling_are_looked_through_too():
    recipe = FeatureRecipe("by hand", pooling="regions")
    extractor = Extractor(recipe, _network(_model(head=False)))
    assert SimilarityMaps(extractor).map(PICTURE, extractor.features(PICTURE[None])[0]).max() == 1


def test_a_gallerys_whitening_is_looked_through():
    whitening = Whitening(np.float32([0.1, -0.2, 0.3]), np.float32([[1, 0], [2, 1], [0, -1]]))
    target = np.float32([0.8, -0.6])
    np.testing.assert_allclose(_maps(_model(), whitening).map(PICTURE, target), _by_hand(HEAD @ whitening.projection @ target), rtol=1e-4, atol=1e-5)


def test_maps_of_several_layers_are_added_at_the_size_of_the_largest():
    model = _model(head=False)
    fine = lambda images: model(tf.cast(images, tf.float32) / 255)
    network = FeatureNetwork(lambda images: {"fine": fine(images), "coarse": tf.nn.avg_pool2d(fine(images), 2, 2, "VALID")}, SIDE, (None, SIDE, SIDE, 3), "two")
    found = SimilarityMaps(Extractor(FeatureRecipe("two"), network)).map(PICTURE, np.float32([1, 0, 0, 2]))
    coarse = _responses().reshape(2, 2, 2, 2, 2).mean((1, 3))[None]
    expected = np.maximum(_responses()[..., 0] + 2 * tf.image.resize(coarse, (SIDE, SIDE)).numpy()[0, ..., 1], 0)  # both are means over the whole area
    np.testing.assert_allclose(found, expected / expected.max(), rtol=1e-4, atol=1e-5)


def test_a_view_of_the_middle_has_its_map_there():
    found = _maps(_model(), view_box=(0.25, 0.25, 0.5, 0.5)).map(PICTURE, TARGET)
    assert found.shape == (448, 448) and found.max() > 0.9
    assert not found[:112].any() and not found[336:].any() and not found[:, :112].any() and not found[:, 336:].any()


def test_where_nothing_speaks_for_the_target_the_map_is_empty():
    assert not _maps(_model(head=False)).map(PICTURE, np.float32([-1, -1])).any()


def test_a_saved_modules_layers_are_found_within_its_functions(tmp_path):
    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.filters, self.head = tf.Variable(FILTERS[None, None]), tf.Variable(HEAD)

        @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3])], autograph=False)
        def __call__(self, images):
            return tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(images, self.filters, 1, "SAME")), (1, 2)) @ self.head

    tf.saved_model.save(Module(), str(tmp_path / "module"))
    maps = SimilarityMaps(open_extractor(FeatureRecipe(f"hub:{tmp_path / 'module'}", image_size=SIDE)))
    np.testing.assert_allclose(maps.map(PICTURE, TARGET), _by_hand(HEAD @ TARGET), rtol=1e-4, atol=1e-5)


def _attending(images):
    patches = tf.reshape(tf.nn.conv2d(images, FILTERS[None, None], 2, "SAME"), [-1, 4, 2])
    return tf.reduce_mean(tf.nn.softmax(patches @ tf.transpose(patches, [0, 2, 1])) @ patches, 1)


@pytest.mark.parametrize(
    ("respond", "facts", "message"),
    [
        (lambda images: tf.reduce_mean(images, (1, 2)), {}, "by hand has no convolution before its vectors"),
        (_attending, {}, "behind the last convolution of by hand all parts of a picture attend to each other"),
        (lambda images: tf.reduce_mean(images, (1, 2)), {"view_box": None}, "an export, which keeps its layers to itself"),
    ],
)
def test_where_there_is_no_map_the_reason_is_told(respond, facts, message):
    with pytest.raises(RecipeError, match=message):
        _maps(respond, **facts).map(PICTURE, np.ones(2 if respond is _attending else 3, np.float32))


@pytest.mark.slow
def test_a_network_of_the_catalogue():
    extractor = open_extractor(FeatureRecipe("vgg19_slim", "none", ("conv3_4", "pool5"), image_size=64))
    picture = np.random.default_rng(1).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    found = SimilarityMaps(extractor).map(picture, extractor.features(picture[None])[0])
    assert found.shape == (16, 16) and found.max() == 1 and found.min() >= 0


@pytest.mark.slow
@pytest.mark.usefixtures("opened_once")
@pytest.mark.parametrize(("run", "margin"), [("colour_run", 0.0625), ("retriever_run", 0), ("matcher_run", 0), ("detector_run", 0.1)])
def test_runs_of_each_kind_have_maps(request, run, margin):
    extractor = open_extractor(FeatureRecipe(str(request.getfixturevalue(run))))
    picture = np.random.default_rng(2).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    found = SimilarityMaps(extractor).map(picture, extractor.features(picture[None])[0])
    assert found.ndim == 2 and found.max() == 1
    edge = round(margin * len(found))
    assert not found[:edge].any() and found[edge : len(found) - edge].any()
