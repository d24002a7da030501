"""`--preset fast` with modules as users have them: the public one's interface, our exports and our runs."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfvision.apps.style import fast
from tfvision.apps.style.fast import DEFAULT_MODULE, FastNetwork, load_network, losses_of, paint_fast, stylize_fast
from tfvision.data.resizing import resized
from tfvision.errors import DataError, RecipeError, RunError, WeightsError
from tfvision.trained.stylizer_network import load_stylizer, paint
from tfvision.trained.stylizer_run import StylizerRun


@pytest.fixture(autouse=True)
def no_module_is_kept(monkeypatch, tmp_path):
    load_network.cache_clear()
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "hub"))


@pytest.fixture
def offline(monkeypatch):
    """A proxy that nobody answers at."""
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


@pytest.mark.slow
@pytest.mark.parametrize("as_called", [True, False], ids=["callable", "signature only"])
def test_a_local_module_of_the_public_kind(tmp_path, photo, painting, as_called, save_public_module):
    save_public_module(tmp_path / "module", as_called)
    made = stylize_fast(photo, painting, tmp_path / "module", size=96)
    expected = photo / 2 + painting.mean((0, 1)) / 2
    assert made.picture.dtype == np.uint8 and made.picture.shape == photo.shape
    np.testing.assert_allclose(made.picture, expected, atol=1.5)
    assert made.network == "module" and made.iterations == 1 and made.seconds > 0


def test_the_public_module_is_found_in_tensorflow_hubs_cache(tmp_path, offline, photo, painting, save_public_module):
    save_public_module(tmp_path / "hub" / hashlib.sha1(DEFAULT_MODULE.encode()).hexdigest())
    assert stylize_fast(photo, painting, size=96).network == DEFAULT_MODULE


def test_the_picture_has_the_size_asked_for(tmp_path, photo, painting, save_public_module):
    save_public_module(tmp_path / "module")
    assert stylize_fast(photo, painting, tmp_path / "module", size=40).picture.shape == (30, 40, 3)  # of 72 x 96


def test_offline_without_a_module_the_error_names_every_way_out(offline, photo, painting):
    with pytest.raises(WeightsError, match="TFHUB_CACHE_DIR|its cache") as raised:
        stylize_fast(photo, painting)
    message = str(raised.value)
    assert "--module" in message and "tfvision train stylizer PAINTING" in message and "\n" not in message


def test_without_a_cache_the_error_names_the_variable(offline, monkeypatch, photo, painting, tmp_path):
    monkeypatch.delenv("TFHUB_CACHE_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # where TensorFlow Hub looks else
    with pytest.raises(WeightsError, match="TFHUB_CACHE_DIR, a folder that keeps modules, is not set"):
        stylize_fast(photo, painting)


def test_a_folder_of_something_else_is_refused(tmp_path, photo, painting, colour_run):
    with pytest.raises(RunError, match="neither a TensorFlow Hub handle nor a folder"):
        stylize_fast(photo, painting, tmp_path)
    with pytest.raises(RunError, match="is a run of 'species'"):
        stylize_fast(photo, painting, colour_run)
    module = tf.Module()
    module.run = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([None], name="x")], autograph=False)
    tf.saved_model.save(module, str(tmp_path / "other"), signatures=module.run)
    with pytest.raises(RunError, match="is no style module: it should take a photo and a painting"):
        stylize_fast(photo, painting, tmp_path / "other")


@pytest.mark.slow
def test_a_run_and_its_export_paint_as_the_network_does_and_say_that_they_know_one_painting(stylizer_run, stylizer_export, photo, painting, capsys):
    expected = paint(load_stylizer(StylizerRun.open(stylizer_run)), photo[None])[0]
    for module in (stylizer_run, Path(stylizer_export["path"]).parent):
        np.testing.assert_allclose(stylize_fast(photo, painting, module, size=96).picture, expected.astype(int), atol=1)
        assert "paints in the one manner that it was trained for" in capsys.readouterr().err


def test_losses_are_none_of_the_photo_itself_and_of_the_painting_itself(photo, painting):
    content, style = losses_of(photo, photo, [painting], [1.0])
    assert content == 0 and style > 0
    content, style = losses_of(painting, resized(photo, *painting.shape[:2]), [painting], [1.0])
    assert content > 0 and style == 0


def test_a_module_is_loaded_once(tmp_path, photo, painting, monkeypatch, save_public_module):
    save_public_module(tmp_path / "module")
    loads = []
    load = tf.saved_model.load
    monkeypatch.setattr(fast.tf.saved_model, "load", lambda path: loads.append(path) or load(path))
    for _ in range(3):
        stylize_fast(photo, painting, tmp_path / "module", size=96)
    assert len(loads) == 1


class _Tinting(FastNetwork):
    """Half of the photo, half of the painting's mean colour; it keeps the sizes that it painted."""

    name = "tinting"

    def __init__(self):
        self.painted = []

    def style_of(self, painting):
        return (painting.mean((0, 1)),)

    def _paint_whole(self, photo, style):
        self.painted.append(photo.shape[:2])
        return (photo / 2 + style[0] / 2).round().astype(np.uint8)


class _ByHeart(_Tinting):
    has_painting = False

    def style_of(self, painting):
        return ()

    def _paint_whole(self, photo, style):
        return super()._paint_whole(photo, (np.float32([200, 0, 0]),))


def test_pictures_are_mixed_where_a_networks_styles_cannot_be(photo, painting):
    other = 255 - painting
    first, second = (photo / 2 + pixels.mean((0, 1)) / 2 for pixels in (painting, other))
    mixed = paint_fast(_Tinting(), photo, [painting, other], blend=[1, 3], strength=0.5)
    np.testing.assert_allclose(mixed, photo / 2 + (first / 4 + 3 * second / 4) / 2, atol=1.5)
    network = _Tinting()
    paint_fast(network, photo, [painting, other], blend=[1, 0])
    assert len(network.painted) == 1  # what has no share is not painted


def test_a_network_that_knows_one_manner_is_weakened_and_masked_too(photo, painting):
    whole = photo / 2 + np.float32([100, 0, 0])
    np.testing.assert_allclose(paint_fast(_ByHeart(), photo, [painting], strength=0.25), 0.75 * photo + 0.25 * whole, atol=1.5)
    mask = np.zeros(photo.shape[:2], np.uint8)
    mask[:30] = 255
    picture = paint_fast(_ByHeart(), photo, [painting], masks=[mask])
    np.testing.assert_allclose(picture[:30], whole[:30], atol=1)
    np.testing.assert_array_equal(picture[30:], photo[30:])


def test_strokes_grow_and_shrink_with_the_size_at_which_the_photo_is_painted(photo, painting):
    for scale, painted in ((1, [(72, 96)]), (0.5, [(144, 192)]), (2, [(36, 48), (72, 96)])):
        network = _Tinting()
        picture = paint_fast(network, photo, [painting], painting_scale=scale)
        assert network.painted == painted and picture.shape == photo.shape


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"strength": 1.1}, RecipeError, r"strength must lie between 0 \(the photo\) and 1, got 1.1"),
        ({"strength": float("nan")}, RecipeError, "strength must lie between"),
        ({"blend": [1, 2]}, RecipeError, "give one weight above 0 for each of the 1 paintings"),
        ({"masks": []}, RecipeError, "give one mask for each of the 1 paintings, got 0"),
        ({"painting_scale": 5}, RecipeError, "painting_scale of a fast network must lie between 0.25 and 4, got 5"),
    ],
)
def test_what_cannot_be_painted_is_refused_first(photo, painting, options, error, message):
    network = _Tinting()
    with pytest.raises(error, match=message):
        paint_fast(network, photo, [painting], **options)
    assert not network.painted
    with pytest.raises(DataError, match="the photo is 96 x 20 pixels: at least 32 on each side are needed"):
        paint_fast(network, photo[:20], [painting], painting_scale=2)


def test_losses_of_several_paintings_are_of_their_mixed_style(photo, painting):
    pixels = resized(photo, 64, 64)
    alone = [losses_of(pixels, pixels, [one], [1.0])[1] for one in (painting, pixels)]
    assert alone[1] == 0 < losses_of(pixels, pixels, [painting, pixels], [0.5, 0.5])[1] < alone[0]
