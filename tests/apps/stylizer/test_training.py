import json
import re
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvision.apps.stylizer.training import judge, train_stylizer
from tfvision.data.decoding import read_pixels
from tfvision.errors import DataError, RecipeError, RunError, WeightsError
from tfvision.losses.painting import PaintingLoss
from tfvision.models.perceptual import load_perceptual
from tfvision.trained.stylizer_network import load_stylizer, paint
from tfvision.trained.stylizer_run import StylizerRecipe, StylizerRun
from tfvision.training.checkpoints import read_facts


@pytest.fixture(scope="module")
def loss():
    recipe = StylizerRecipe(network="vgg19_slim", total_variation_weight=2.0)
    model, _, _ = load_perceptual("vgg19_slim", (recipe.content_layer, *recipe.style_layers), recipe.pooling)
    return PaintingLoss(model, recipe)


def _pixels(seed, *shape):
    return np.random.default_rng(seed).uniform(0, 255, (*shape, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def trained(striped_painting, colour_photos, tiny_stylizer, copy_at, tmp_path_factory):
    """A run that is trained from nothing, and beside it, as `stopped`, what was there within its last epoch.

    All other tests go by stylizer_run, which version 0.1.0 trained.
    """
    folder = tmp_path_factory.mktemp("runs") / "stripes"
    stop = copy_at(folder, folder.parent / "stopped", 0, 40)
    settings = {**tiny_stylizer, "checkpoint_seconds": "0"}
    train_stylizer(str(striped_painting), str(colour_photos), settings=settings, run=str(folder), callbacks=[stop])
    return folder


@pytest.mark.slow
def test_a_run_folder_holds_all_that_was_promised(trained):
    metrics = json.loads((trained / "metrics.json").read_text())
    assert set(metrics) >= {"run", "images", "seconds", "network", "before", "after", "broken"}
    assert metrics["before"]["content_loss"] == 0
    assert metrics["after"]["style_loss"] < metrics["before"]["style_loss"]
    run = StylizerRun.open(trained)
    assert run.facts["painting"] == "stripes.png"
    assert read_pixels(run.painting_path).shape == (38, 48, 3)  # 48 x 60 px, its longer side made 48
    assert not list(trained.glob("**/.partial*")) and not (trained / "checkpoints").exists()


@pytest.mark.slow
def test_the_report_shows_photos_before_and_after(trained):
    page = (trained / "report.html").read_text()
    assert len(re.findall("<img src=.data:image/jpeg", page)) == 1 + 2 * 2  # the painting; two of 48 photos are held out
    assert "stripes.png" in page


@pytest.mark.slow
def test_tensorboard_shows_losses_and_painted_photos(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained / "logs"), size_guidance={"tensors": 0})
    events.Reload()
    assert set(events.Tags()["tensors"]) >= {"loss", "content", "style", "learning_rate", "unseen/photos", "unseen/painted"}
    assert len(events.Tensors("unseen/painted")) == 4  # after each epoch


@pytest.mark.slow
def test_it_learns_what_version_0_1_0_learnt(trained, stylizer_run):
    now, then = (json.loads((folder / "metrics.json").read_text()) for folder in (trained, stylizer_run))
    assert now.keys() >= then.keys()
    # 0.07 by the vgg19_slim of then, another than that of now
    assert now["after"]["style_loss"] < 0.25 * now["before"]["style_loss"]
    assert (trained / "photos.csv").read_text() == (stylizer_run / "photos.csv").read_text()


@pytest.mark.slow
def test_the_loss_is_the_optimisers(untraced, loss):
    """The same three terms as apps/style/objective.py gives for one picture, at the same weights."""
    import dataclasses

    from tfvision.apps.style.objective import Objective
    from tfvision.apps.style.presets import Preset

    recipe = StylizerRecipe()
    names = ("content_layer", "style_layers", "content_weight", "style_weight", "pooling")
    preset = dataclasses.replace(Preset(), total_variation_weight=2.0, **{name: getattr(recipe, name) for name in names})
    model, _, _ = load_perceptual("vgg19_slim", (recipe.content_layer, *recipe.style_layers), recipe.pooling)
    objective = Objective(model, preset)
    pictures, photos, painting = _pixels(0, 2, 32, 48), _pixels(1, 2, 32, 48), _pixels(2, 40, 24)
    losses = loss(pictures, photos, loss.targets(painting[None]))
    for row in range(2):
        expected = objective.evaluate(pictures[row], objective.targets(photos[row], [painting], [1.0]))
        assert float(losses["content"][row]) == pytest.approx(expected.content, rel=1e-4)
        assert float(losses["style"][row]) == pytest.approx(expected.style, rel=1e-4)
        assert float(losses["total"][row]) == pytest.approx(expected.total, rel=1e-4)


def test_a_picture_that_is_the_painting_and_the_photo_has_no_loss(loss):
    even = np.full((1, 32, 32, 3), 90, np.float32)
    losses = loss(even, even, loss.targets(even))
    assert {name: float(values[0]) for name, values in losses.items()} == {"total": 0, "content": 0, "style": 0}


def test_judging_leaves_broken_photos_out(loss):
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Rescaling(0.5)])
    photos = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    targets = loss.targets(_pixels(1, 1, 32, 32))
    batch = lambda *weights: {"views": {"whole": tf.constant(photos[: len(weights)])}, "weight": tf.constant(weights)}
    alone, with_broken = judge(model, loss, [batch(1.0)], targets), judge(model, loss, [batch(1.0, 0.0)], targets)
    assert with_broken["after"] == pytest.approx(alone["after"]) and alone["before"]["content_loss"] == 0
    assert judge(model, loss, [batch(0.0)], targets)["after"] == {"content_loss": 0, "style_loss": 0}


@pytest.mark.slow
def test_a_loaded_network_paints_as_the_run_did(stylizer_run, stored_weights):
    network = load_stylizer(StylizerRun.open(stylizer_run))
    painted = paint(network, _pixels(0, 1, 21, 33))
    assert painted.shape == (1, 21, 33, 3) and painted.dtype == np.uint8
    stored = np.concatenate([values.ravel() for values in stored_weights(StylizerRun(stylizer_run).weights_path).values()])
    assert sorted(np.concatenate([values.ravel() for values in network.get_weights()])) == sorted(stored)


@pytest.mark.slow
def test_stopped_and_resumed_equals_uninterrupted(trained, stored_weights):
    run = StylizerRun(trained.parent / "stopped")
    assert read_facts(run.checkpoint_path)["step"] == 40
    train_stylizer(run=str(run.folder), resume=True)
    expected, got = stored_weights(StylizerRun(trained).weights_path), stored_weights(run.weights_path)
    assert expected.keys() == got.keys()
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"painting": None}, RecipeError, "needs PAINTING and --photos DIR"),
        ({"painting": "nowhere.png"}, DataError, "nowhere.png cannot be read"),
        ({"photos": "nowhere"}, DataError, "nowhere does not exist: give a folder of photos"),
        ({"settings": {"image_size": "8"}}, RecipeError, "image_size must be at least 32, got 8"),
        ({"settings": {"content_layer": "fc6"}}, RecipeError, "layers must be of conv1_1, .*, got fc6"),
        ({"settings": {"blok": "1"}}, RecipeError, "did you mean blocks"),
        ({"settings": {"network": "no.npz"}}, WeightsError, "no.npz"),
        ({"resume": True}, RecipeError, "leave PAINTING, --photos and --set out"),
    ],
    ids=str,
)
def test_mistakes_end_in_one_clear_line_and_leave_no_run(colour_photos, striped_painting, tmp_path, change, error, message):
    given = {"painting": str(striped_painting), "photos": str(colour_photos), "run": str(tmp_path / "run"), **change}
    with pytest.raises(error, match=message):
        train_stylizer(**given)
    assert not (tmp_path / "run").exists()


def test_one_photo_is_too_few(striped_painting, tmp_path):
    (tmp_path / "photos").mkdir()
    shutil.copy(striped_painting, tmp_path / "photos")
    with pytest.raises(DataError, match="holds 1 photo: at least two are needed"):
        train_stylizer(str(striped_painting), str(tmp_path / "photos"), run=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_resuming_a_run_of_another_kind_is_refused(colour_run):
    with pytest.raises(RunError, match="is a run of 'species', not of stylizer"):
        train_stylizer(run=str(colour_run), resume=True)
