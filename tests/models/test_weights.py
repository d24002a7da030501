import numpy as np
import pytest

from tfvision.errors import RecipeError, WeightsError
from tfvision.models.catalogue import get_network
from tfvision.models.convolutions import read_convolutions, save_convolutions
from tfvision.models.vgg19 import LAYERS, build_vgg19, build_vgg19_base, convolutions_of
from tfvision.models.weights import SHIPPED, known_weights, load_pretrained


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No cache, no network: an empty cache folder and a proxy that nobody answers at."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("TFVISION_WEIGHTS", raising=False)


def _network():
    return get_network("mobilenet_v2").build(96)


def test_the_folder_of_the_environment_comes_first(monkeypatch, tmp_path, offline):
    donor, receiver = _network(), _network()
    donor.save_weights(tmp_path / "mobilenet_v2.weights.h5")
    monkeypatch.setenv("TFVISION_WEIGHTS", str(tmp_path))
    assert "mobilenet_v2.weights.h5" in load_pretrained(receiver, "mobilenet_v2", "imagenet")
    for expected, got in zip(donor.get_weights(), receiver.get_weights(), strict=True):
        np.testing.assert_array_equal(expected, got)
    assert known_weights()["mobilenet_v2"] == str(tmp_path / "mobilenet_v2.weights.h5")


def test_offline_the_error_says_what_to_do(offline):
    with pytest.raises(WeightsError, match="Offline, put mobilenet_v2.weights.h5"):
        load_pretrained(_network(), "mobilenet_v2", "imagenet")


def test_auto_goes_on_with_random_weights_and_says_so(offline):
    assert load_pretrained(_network(), "mobilenet_v2", "auto").startswith("random weights: no ImageNet weights")


def test_a_file_of_another_network_is_refused(tmp_path, offline):
    get_network("small").build(32).save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(WeightsError, match="does not fit mobilenet_v2"):
        load_pretrained(_network(), "mobilenet_v2", str(tmp_path / "other.weights.h5"))


@pytest.mark.parametrize("name", ["model.h5", "model.keras", "model.pkl"])
def test_whole_models_are_never_loaded(name, tmp_path):
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(WeightsError, match="not a Keras .weights.h5"):
        load_pretrained(_network(), "mobilenet_v2", str(tmp_path / name))


def test_an_unknown_network_lists_the_known_ones():
    with pytest.raises(RecipeError, match="inception_resnet_v2, mobilenet_v2, vgg19, vgg19_slim, small, got 'alexnet'"):
        get_network("alexnet")


def test_vgg19_takes_what_keras_saves_and_what_was_imported(monkeypatch, tmp_path, offline):
    donor = build_vgg19(2, taps=LAYERS)
    donor.save_weights(tmp_path / "vgg19.weights.h5")
    save_convolutions(tmp_path / "vgg19.npz", convolutions_of(donor), {}, dtype="float32")
    for path in ("vgg19.weights.h5", "vgg19.npz"):
        base = build_vgg19_base(32, 2)
        load_pretrained(base, "vgg19", str(tmp_path / path))
        for layer, pair in convolutions_of(donor).items():
            np.testing.assert_array_equal(base.get_layer(layer).get_weights()[0], pair[0])


def test_vgg19_slim_comes_with_tfvision(offline):
    base = get_network("vgg19_slim").build(32)
    assert "vgg19_slim.npz" in load_pretrained(base, "vgg19_slim", "imagenet")
    kernel, means = (read_convolutions(SHIPPED["vgg19_slim"])[place] for place in (0, 1))
    expected = kernel["conv1_1"][0] * means["means"]["conv1_1"]  # as it was before it was normalised
    np.testing.assert_allclose(base.get_layer("conv1_1").get_weights()[0], expected, rtol=1e-5)


def test_keras_weights_of_the_real_network_load(shared, monkeypatch):
    monkeypatch.setenv("TFVISION_WEIGHTS", str(shared / "weights"))
    base = _network()
    before = base.get_weights()[0].copy()
    load_pretrained(base, "mobilenet_v2", "imagenet")
    assert np.abs(base.get_weights()[0] - before).max() > 0.01
