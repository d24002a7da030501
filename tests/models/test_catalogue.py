"""One test walks the whole table: what an entry promises, it keeps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvision.errors import RecipeError
from tfvision.export.exportable import tf_variables
from tfvision.models.catalogue import NETWORKS, get_network
from tfvision.models.taps import build_taps, tap_outputs

CHANNELS = {  # network -> channels of its taps, from the papers' tables and keras.applications' figures
    "inception_resnet_v2": (320, 320, 1088, 1088, 2080, 1536),
    "mobilenet_v2": (24, 32, 64, 96, 160, 1280),
    "vgg19": (64, 128, 256, 512, 512, 512, 512),
    "vgg19_slim": (64, 128, 256, 128, 128, 128),
    "resnet18": (64, 128, 256, 512, 512),
    "alexnet": (256, 64, 64),
    "alexnet_torchvision": (256, 64, 64),
    "squeezenet": (128, 256, 384, 384, 512, 512),
    "siamese": (500, 10, 2),
    "siamese_triplet": (500, 256),
    "small": (48, 96, 192),
}
PIXELS = {  # what pure red becomes before anything is learnt
    "tf": (1.0, -1.0, -1.0),
    "caffe": (-103.939, -116.779, 255 - 123.68),
    "torchvision": ((1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225),
    "grey": (0.2989,),
}


def _pictures(size):
    return np.random.default_rng(0).uniform(0, 255, (2, size, size, 3)).astype(np.float32)


@pytest.fixture(scope="module", params=NETWORKS)
def built(request, base_of):
    """(name, network, model that answers with all taps, its size)."""
    network, base = NETWORKS[request.param], base_of(request.param)
    model = keras.Model(base.input, {**tap_outputs(base, network, request.param, tuple(network.taps)), "out": base.output})
    return request.param, network, model, base.input_shape[1]


@pytest.mark.slow
def test_taps_have_the_promised_channels(built):
    name, network, model, _size = built
    assert tuple(model.output[tap].shape[-1] for tap in network.taps) == CHANNELS[name]
    assert model.output["out"].shape[-1] == CHANNELS[name][-1]  # the last tap is the network's own answer
    assert network.least_image_size <= network.image_size


def test_inception_resnet_v2_takes_its_least_size(base_of):
    base = base_of("inception_resnet_v2")
    assert base.input_shape[1] == NETWORKS["inception_resnet_v2"].least_image_size
    assert base.output.shape[1:] == (3, 3, 1536)  # 139, then 69, 67, 33, 31, 15, 7, 3: 3 x 3 windows without padding


@pytest.mark.slow
def test_weights_saved_and_loaded_are_the_same(built, tmp_path):
    *_, model, _size = built
    expected = model.get_weights()
    model.save_weights(tmp_path / "model.weights.h5")
    for layer in model.layers:
        layer.set_weights([np.ones_like(values) for values in layer.get_weights()])
    model.load_weights(tmp_path / "model.weights.h5")
    for got, values in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(got, values)


@pytest.mark.slow
def test_exported_it_answers_as_before(built, tmp_path):
    name, network, model, size = built
    if name in ("inception_resnet_v2", "mobilenet_v2"):
        pytest.skip("of Keras's own layers alone, and slow; species exports are of these")
    pictures = _pictures(size) * network.scale + network.offset
    run = tf.function(lambda images: model(images, training=False), input_signature=[tf.TensorSpec([None, size, size, 3])], autograph=False)
    expected = {tap: values.numpy() for tap, values in run(pictures).items()}
    assert all(np.ptp(values) > 0 for values in expected.values())
    module = tf.Module()
    module.weights, module.run = tf_variables(model), run
    tf.saved_model.save(module, str(tmp_path))
    exported = tf.saved_model.load(str(tmp_path))
    for tap, values in exported.run(pictures).items():
        np.testing.assert_allclose(values, expected[tap], rtol=1e-3, atol=1e-5 * np.abs(expected[tap]).max())


def test_the_first_layer_makes_of_pixels_what_the_entry_names(built):
    _name, network, model, size = built
    red = np.zeros((1, size, size, 3), np.float32) + np.float32([255, 0, 0])
    pixels = red * network.scale + network.offset
    if network.pixels != "tf":
        pixels = model.get_layer("pixels")(pixels).numpy()
    np.testing.assert_allclose(pixels[0, 0, 0], PIXELS[network.pixels], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "channels", "red"),
    [("mobilenet", 1024, (1, -1, -1)), ("VGG16", 512, PIXELS["caffe"]), ("efficientnet_b0", 1280, (255, 0, 0))],
)
def test_any_network_of_keras_applications_is_known_with_its_own_preprocessing(name, channels, red):
    network = get_network(name)
    model = network.build(32)
    assert model.output.shape[-1] == channels and network.application.lower() == name.replace("_", "").lower()
    seen = model.get_layer("pixels")(np.zeros((1, 2, 2, 3), np.float32) + np.float32([255, 0, 0]))
    np.testing.assert_allclose(seen[0, 0, 0], red, rtol=1e-4)


def test_its_input_size_is_that_of_its_weights():
    assert [get_network(name).image_size for name in ("EfficientNetB3", "xception", "resnet50v2")] == [300, 299, 224]


def test_taps_are_found_by_the_tables_names_and_by_keras_names():
    model, loaded = build_taps("small", ("stage2", "stem2_relu"), weights="none")
    answers = model(_pictures(40))
    assert loaded == "random weights"
    assert {tap: tuple(values.shape) for tap, values in answers.items()} == {"stage2": (2, 5, 5, 96), "stem2_relu": (2, 20, 20, 24)}


@pytest.mark.slow
def test_random_weights_are_the_same_in_every_build():
    one, other = (build_taps("small", weights="none")[0](_pictures(32))["stage3"] for _ in range(2))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resnet19",), "network must be one of .*resnet18.*, or one of keras.applications .*, got 'resnet19'"),
        (("small", ("stage4",)), "layers of small are stage1, stage2, stage3, or any by Keras's name, got 'stage4'"),
        (("alexnet", (), 100), "image_size of alexnet must be at least 227, got 100"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(RecipeError, match=message):
        build_taps(*arguments)
