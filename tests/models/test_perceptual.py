import http.server
import threading

import numpy as np
import pytest

from tfvision.errors import RecipeError, WeightsError
from tfvision.models import perceptual
from tfvision.models.convolutions import read_convolutions, save_convolutions
from tfvision.models.perceptual import find_weights, import_path, load_perceptual, specimens
from tfvision.models.vgg19 import CONTENT_LAYER, PERCEPTUAL_LAYERS, STYLE_LAYERS, build_vgg19, convolutions_of, filters_of, slim_filters
from tfvision.models.weights import SHIPPED, known_weights


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No cache, no network: an empty cache folder and a proxy that nobody answers at."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("TFVISION_WEIGHTS", raising=False)
    return tmp_path


def _photo(size=48):
    return next(specimens(1, size))[None].astype(np.float32)


def test_offline_the_shipped_network_is_used_and_one_line_says_so(offline):
    model, name, sentence = load_perceptual()
    assert name == model.name == "vgg19_slim"
    assert "VGG19's weights are not on this machine" in sentence and "tfvision weights import" in sentence
    assert "\n" not in sentence
    assert set(model.output) == {*STYLE_LAYERS, CONTENT_LAYER}
    assert not model.trainable_variables


def test_the_shipped_network_is_small_half_precision_and_normalised():
    assert SHIPPED["vgg19_slim"].stat().st_size < 6_000_000
    convolutions, facts = read_convolutions(SHIPPED["vgg19_slim"])
    assert list(convolutions) == list(PERCEPTUAL_LAYERS)
    assert facts["is_normalised"] and facts["pooling"] == "avg"
    assert filters_of(convolutions) == {layer: slim_filters()[layer] for layer in PERCEPTUAL_LAYERS}
    with np.load(SHIPPED["vgg19_slim"]) as stored:
        assert stored["conv4_2/kernel"].dtype == stored["conv2_1/basis"].dtype == np.float16
    least = {"conv1_1": 0.99, "conv2_1": 0.97, "conv3_1": 0.95}  # on unseen photos, as its training measured them
    assert all(facts["correlation"]["vgg19_block1-3"][layer] >= value for layer, value in least.items())


def test_the_shipped_network_answers_as_vgg19_does(shared, offline):
    from PIL import Image

    taps = ("conv1_1", "conv2_1", "conv3_1")
    with Image.open(shared / "data" / "style" / "photos" / "tubingen.jpg") as photo:
        pixels = np.asarray(photo.convert("RGB").resize((192, 144)), np.float32)[None]
    ours, genuine = (load_perceptual(name, taps)[0](pixels) for name in ("vgg19_slim", str(shared / "weights" / "vgg19_block1-3.weights.h5")))
    for layer, least in zip(taps, (0.99, 0.97, 0.95), strict=True):
        pairs = [(np.ravel(ours[layer][..., c]), np.ravel(genuine[layer][..., c])) for c in range(ours[layer].shape[-1])]
        found = [np.corrcoef(*pair)[0, 1] for pair in pairs if pair[1].std() > 0.3]  # of filters that answer here
        assert np.mean(found) > least, layer


def test_the_shipped_network_answers_with_about_one_to_real_photos(shared, offline):
    from PIL import Image

    model, _, _ = load_perceptual("vgg19_slim")
    with Image.open(shared / "data" / "style" / "photos" / "tubingen.jpg") as photo:
        answers = model(np.asarray(photo.convert("RGB").resize((256, 192)), np.float32)[None])
    for layer, tensor in answers.items():
        assert 0.4 < float(np.mean(tensor)) < 2.5, layer


def test_the_shipped_networks_normalisation_can_be_undone(offline):
    # Undone, a channel's responses are those of the normalised network times its mean.
    normalised, plain = (load_perceptual("vgg19_slim", ("conv3_1",), is_normalised=flag)[0] for flag in (True, False))
    means = read_convolutions(SHIPPED["vgg19_slim"])[1]["means"]
    expected = normalised(_photo())["conv3_1"].numpy() * means["conv3_1"]
    np.testing.assert_allclose(plain(_photo())["conv3_1"], expected, rtol=1e-3, atol=1e-3 * expected.max())


@pytest.mark.parametrize("variable", ["TFVISION_WEIGHTS", "KERAS_HOME"])
def test_an_imported_vgg19_is_found(offline, monkeypatch, variable):
    # A narrow stand-in: the loader takes the width from the file.
    monkeypatch.setenv(variable, str(offline / "here"))
    made = convolutions_of(build_vgg19(2, taps=PERCEPTUAL_LAYERS))
    means = {layer: np.ones_like(bias) for layer, (_, bias) in made.items()}
    save_convolutions(import_path(), made, {"network": "vgg19"}, means, "float32")
    model, name, sentence = load_perceptual(taps=("conv5_1",))
    assert (name, str(import_path()) in sentence) == ("vgg19", True)
    np.testing.assert_array_equal(model.get_layer("conv5_1").get_weights()[0], made["conv5_1"][0])
    assert known_weights()["vgg19"] == str(import_path())


@pytest.mark.slow
def test_weights_as_keras_has_them_are_normalised_on_the_spot(offline, monkeypatch):
    monkeypatch.setenv("TFVISION_WEIGHTS", str(offline))
    donor = build_vgg19(2, taps=PERCEPTUAL_LAYERS)
    donor.save_weights(offline / "vgg19.weights.h5")
    model, name, sentence = load_perceptual("vgg19", ("conv1_1",))
    assert name == "vgg19" and "normalised on built-in drawings" in sentence
    answers = np.concatenate([model(drawing[None].astype(np.float32))["conv1_1"].numpy() for drawing in specimens()])
    np.testing.assert_allclose(answers.mean(axis=(0, 1, 2)), 1, rtol=1e-3)
    plain, _, _ = load_perceptual("vgg19", ("conv1_1",), is_normalised=False)
    np.testing.assert_array_equal(plain.get_layer("conv1_1").get_weights()[0], donor.get_layer("conv1_1").get_weights()[0])


def test_a_file_is_a_network(offline, shared):
    model, name, _ = load_perceptual(str(shared / "weights" / "vgg19_block1-3.weights.h5"), ("conv3_1",), is_normalised=False)
    assert name == "vgg19_block1-3.weights.h5"
    assert model(_photo())["conv3_1"].shape == (1, 12, 12, 256)
    with pytest.raises(WeightsError, match="vgg19_block1-3.weights.h5 end at conv3_4, conv4_1 is needed"):
        load_perceptual(str(shared / "weights" / "vgg19_block1-3.weights.h5"), is_normalised=False)


def test_vgg19_offline_says_what_to_do(offline):
    with pytest.raises(WeightsError, match="could not be downloaded: .*put vgg19.weights.h5 .* into a folder .*or use vgg19_slim, .*: --network vgg19_slim"):
        load_perceptual("vgg19")


@pytest.fixture
def online(offline, monkeypatch):
    """A machine with a connection: a server that has no page in place of Keras's host, and a stand-in for Keras's download; yields what was downloaded."""
    downloads = []

    class Host(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_error(404)

        def log_message(self, *arguments):
            pass

    def download(weights, include_top):
        downloads.append(weights)
        build_vgg19(2, taps=PERCEPTUAL_LAYERS).save_weights(offline / "x.weights.h5")
        (offline / "keras" / "models").mkdir(parents=True)
        (offline / "x.weights.h5").rename(offline / "keras" / "models" / "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5")

    server = http.server.HTTPServer(("127.0.0.1", 0), Host)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    for name in ("http_proxy", "https_proxy", "TFVISION_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(perceptual, "_KERAS_HOST", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setattr("keras.applications.VGG19", download)
    monkeypatch.setattr(perceptual, "_TIMEOUT_SECONDS", 60)
    perceptual._download_if_possible.cache_clear()
    yield downloads
    perceptual._download_if_possible.cache_clear()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("network", ["vgg19", "auto"])
def test_vgg19_is_downloaded_once_where_it_is_not_here(online, network):
    path, name, sentence = find_weights(network)
    assert (name, path.name) == ("vgg19", "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5")
    assert sentence.startswith(f"network VGG19, downloaded to {path} (--network vgg19_slim") and "\n" not in sentence
    assert find_weights(network) == (path, "vgg19", f"network VGG19 ({path})")
    assert online == ["imagenet"]


@pytest.mark.parametrize("is_answering", [True, False])
def test_where_the_download_fails_auto_goes_on_and_asks_no_second_time(online, monkeypatch, is_answering):
    def fail(**kwargs):
        online.append("tried")
        raise OSError

    monkeypatch.setattr("keras.applications.VGG19", fail)
    if not is_answering:
        monkeypatch.setattr(perceptual, "_KERAS_HOST", "http://127.0.0.1:9/")
    for _ in range(2):
        assert find_weights("auto")[1] == "vgg19_slim"
    assert online == ["tried"] * is_answering


def test_a_user_may_forbid_downloads(online, monkeypatch):
    monkeypatch.setenv("TFVISION_OFFLINE", "1")
    assert find_weights("auto")[1] == "vgg19_slim"
    with pytest.raises(WeightsError, match="could not be downloaded: "):
        find_weights("vgg19")
    assert online == []


def test_mistakes_are_named(offline):
    with pytest.raises(RecipeError, match="network must be auto, vgg19, vgg19_slim or a file of weights, got 'vgg16'"):
        load_perceptual("vgg16")
    with pytest.raises(WeightsError, match="nowhere.npz does not exist"):
        load_perceptual("nowhere.npz")


def test_specimens_are_always_the_same():
    one, other = list(specimens(3, 64)), list(specimens(3, 64))
    assert [drawing.shape for drawing in one] == [(64, 64, 3)] * 3
    np.testing.assert_array_equal(one, other)
