import errno
import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvision.data.manifest import read_source
from tfvision.data.pipeline import BrokenPhotos, ViewSettings, evaluation_batches
from tfvision.errors import RecipeError, StorageError, WeightsError
from tfvision.files import atomic_path
from tfvision.models.catalogue import get_network
from tfvision.models.convolutions import read_convolutions, save_convolutions
from tfvision.models.taps import build_taps
from tfvision.models.vgg19 import LAYERS, build_vgg19, build_vgg19_base, convolutions_of
from tfvision.models.weights import SHIPPED, known_weights, load_pretrained, save_weights


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No cache, no network: an empty cache folder and a proxy that nobody answers at."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("TFVISION_WEIGHTS", raising=False)


@pytest.fixture
def network(base_of):
    return base_of("mobilenet_v2")


@pytest.mark.slow
def test_the_folder_of_the_environment_comes_first(network, monkeypatch, tmp_path, offline):
    expected = network.get_weights()
    network.save_weights(tmp_path / "mobilenet_v2.weights.h5")
    network.set_weights([np.ones_like(values) for values in expected])
    monkeypatch.setenv("TFVISION_WEIGHTS", str(tmp_path))
    assert "mobilenet_v2.weights.h5" in load_pretrained(network, "mobilenet_v2", "imagenet")
    for values, got in zip(expected, network.get_weights(), strict=True):
        np.testing.assert_array_equal(values, got)
    assert known_weights()["mobilenet_v2"] == str(tmp_path / "mobilenet_v2.weights.h5")


@pytest.mark.slow
def test_offline_the_error_says_what_to_do(network, offline):
    with pytest.raises(WeightsError, match="Offline, put mobilenet_v2.weights.h5"):
        load_pretrained(network, "mobilenet_v2", "imagenet")


@pytest.mark.slow
def test_auto_goes_on_with_random_weights_and_says_so(network, offline):
    assert load_pretrained(network, "mobilenet_v2", "auto").startswith("random weights: no ImageNet weights")


def test_a_file_of_another_network_is_refused(network, tmp_path, offline):
    get_network("small").build(32).save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(WeightsError, match="does not fit mobilenet_v2"):
        load_pretrained(network, "mobilenet_v2", str(tmp_path / "other.weights.h5"))


@pytest.mark.parametrize(
    ("name", "message"),
    [("model.h5", "not a Keras .weights.h5"), ("model.keras", "not a Keras .weights.h5"), ("model.pkl", "is a pickle, which can run code")],
)
def test_whole_models_and_pickles_are_never_loaded(name, message, network, tmp_path):
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(WeightsError, match=message):
        load_pretrained(network, "mobilenet_v2", str(tmp_path / name))


def test_an_unknown_network_lists_the_known_ones():
    with pytest.raises(RecipeError, match="inception_resnet_v2, mobilenet_v2, vgg19, .* small, or one of keras.applications .*, got 'lenet'"):
        get_network("lenet")


@pytest.mark.slow
def test_what_cannot_be_downloaded_is_imported(offline):
    message = "resnet18 cannot be downloaded: `tfvision weights import FILE --network resnet18`.* --weights FILE of train, explore, index build and feature-maps.*https://"
    with pytest.raises(WeightsError, match=message):
        load_pretrained(get_network("resnet18").build(32), "resnet18", "imagenet")


@pytest.mark.slow
def test_weights_of_keras_that_are_no_numbers_are_refused(network, tmp_path):
    kept = network.get_weights()
    network.set_weights([kept[0] * np.nan, *kept[1:]])
    network.save_weights(tmp_path / "x.weights.h5")
    network.set_weights(kept)
    with pytest.raises(WeightsError, match=f"x.weights.h5 is damaged: {network.layers[1].name} holds values that are not finite"):
        load_pretrained(network, "mobilenet_v2", str(tmp_path / "x.weights.h5"))
    network.set_weights(kept)


@pytest.mark.slow
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
    kernel, means = (read_convolutions(SHIPPED["vgg19_slim"])[part] for part in (0, 1))
    expected = kernel["conv1_1"][-2] * means["means"]["conv1_1"]  # as it was before it was normalised
    np.testing.assert_allclose(base.get_layer("conv1_1").get_weights()[0], expected, rtol=1e-5)


def test_keras_weights_of_the_real_network_load(shared, network, monkeypatch):
    monkeypatch.setenv("TFVISION_WEIGHTS", str(shared / "weights"))
    network.set_weights([np.ones_like(values) for values in network.get_weights()])
    load_pretrained(network, "mobilenet_v2", "imagenet")
    assert np.abs(network.get_weights()[0] - 1).max() > 0.01


@pytest.mark.slow
def test_squeezenets_real_weights_name_photos_as_they_should(shared):
    """Top-1 0.585 on a thousand photos (weights/README.md); of a hundred of them, three standard deviations below or more."""
    base = get_network("squeezenet").build(227)
    x = keras.layers.Conv2D(1000, 1, activation="relu")(base.output)
    model = keras.Model(base.input, keras.layers.GlobalAveragePooling2D()(x))
    model.load_weights(shared / "weights" / "squeezenet_top.weights.h5")
    manifest = read_source(shared / "data" / "imagenet_samples", ranks=("class_index",))
    manifest = manifest.select(np.arange(len(manifest)) % 7 == 0)
    settings = ViewSettings(("whole",), 227, is_uncropped=True)
    batches = evaluation_batches(manifest, np.zeros(len(manifest)), settings, 32, BrokenPhotos())
    named = [model(tf.cast(batch["views"]["whole"], tf.float32)).numpy().argmax(1) for batch in batches]
    is_right = np.concatenate(named) == [int(record.lineage[0]) for record in manifest.records]
    assert is_right.mean() > 0.585 - 3 * np.sqrt(0.585 * 0.415 / len(manifest))


@pytest.mark.slow
def test_resnet18s_partial_weights_tell_butterflies_apart(shared):
    """1-nearest neighbour 0.756 at layer3, 0.899 at layer4.0 over all photos (weights/README.md); of ten a species, chance is 0.1."""
    manifest = read_source(shared / "data" / "leeds_butterfly")
    labels = manifest.labels(manifest.taxonomy())
    is_kept = [np.sum(labels[:row] == label) < 8 for row, label in enumerate(labels)]
    manifest, labels = manifest.select(is_kept), labels[is_kept]
    model, loaded = build_taps("resnet18", ("conv4", "gap"), 128, str(shared / "weights" / "resnet18_partial.npz"))
    assert "lacks layer4.1.conv1, layer4.1.conv2" in loaded
    pooled = {"conv4": [], "gap": []}
    for batch in evaluation_batches(manifest, labels, ViewSettings(("whole",), 128), 40, BrokenPhotos()):
        for tap, maps in model(tf.cast(batch["views"]["whole"], tf.float32)).items():
            pooled[tap].append(tf.math.l2_normalize(tf.reduce_mean(maps, (1, 2)), 1).numpy())
    for tap, least in {"conv4": 0.4, "gap": 0.6}.items():
        vectors = np.concatenate(pooled[tap])
        similarities = vectors @ vectors.T - 9 * np.eye(len(vectors))
        assert (labels[similarities.argmax(1)] == labels).mean() > least


def test_weights_for_which_there_is_no_room_never_reach_hdf5_which_would_end_the_process(tmp_path, monkeypatch):
    model, asked = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)]), []

    def full(descriptor, start, length):
        asked.append(length)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    save_weights(model, tmp_path / "there.weights.h5")
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match=r"1.weights.h5 could not be written \(No space left on device\)"), atomic_path(tmp_path / "1.weights.h5") as path:
        save_weights(model, path)
    assert asked[0] >= (tmp_path / "there.weights.h5").stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == ["there.weights.h5"]
