import csv
import json
import os
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvision.apps.tattoo_matching.recipes import RECIPES
from tfvision.apps.tattoo_matching.source import read_matching_source
from tfvision.apps.tattoo_matching.training import matching_loss, matching_order, train_matcher
from tfvision.errors import DataError, RecipeError, RunError
from tfvision.losses.triplet import mined_triplet_loss
from tfvision.trained.matcher_run import MatcherRun
from tfvision.training.checkpoints import read_facts
from tfvision.training.recipes import with_settings

pytestmark = pytest.mark.usefixtures("figures_once")

PAPERS = {"contrastive": {"batch_size": "8", "stages": "[[4, 0.01]]"}, "triplet": {"batch_size": "12", "stages": "[[4, 0.01]]"}}


@pytest.fixture(scope="module")
def trained(tattoo_photos, tiny_matcher, copy_at, tmp_path_factory):
    """A run of the recipe `small` that is trained from nothing, a fold held out; version 0.1.0 trained matcher_run so.

    Beside it, as `stopped`, is what was there after three steps.
    """
    folder = tmp_path_factory.mktemp("runs") / "tattoos"
    stop = copy_at(folder, folder.parent / "stopped", 0, 2)
    train_matcher(str(tattoo_photos), "small", {**tiny_matcher, "checkpoint_seconds": "0"}, str(folder), callbacks=[stop])
    return folder


def test_the_papers_numbers():
    contrastive, triplet = RECIPES["contrastive"](), RECIPES["triplet"]()
    assert (contrastive.margin, triplet.margin) == (1.0, 0.005)
    assert (contrastive.tap, contrastive.loss_tap, triplet.tap) == ("ip2", "feat", "ip2")
    assert [steps for steps, _ in contrastive.stages] == [20000, 20000, 20000, 10000]
    assert [rate for _, rate in contrastive.stages] == pytest.approx([1e-4, 1e-5, 1e-6, 1e-7])
    assert sum(steps for steps, _ in triplet.stages) == 40000 and triplet.stages[0] == (10000, 2e-4)
    for recipe in (contrastive, triplet):
        assert (recipe.bias_rate, recipe.flip, recipe.vertical_flip, recipe.is_normalised) == (2.0, True, True, False)
        assert recipe.area == (1.0, 1.0) and not (recipe.rotation or recipe.brightness or recipe.blur)


@pytest.mark.slow
def test_a_run_folder_holds_all_that_was_promised(trained):
    run = MatcherRun.open(trained)
    metrics = json.loads(run.metrics_path.read_text())
    assert (metrics["images"] + metrics["held_out"], metrics["dimension"], metrics["crosses_media"]) == (22, 192, False)
    assert 6 <= metrics["subjects"] <= 7 and np.isfinite(metrics["loss"])
    with open(run.photos_path, newline="") as file:
        rows = list(csv.DictReader(file))
    splits = {}
    for row in rows:
        splits.setdefault(row["subject"], set()).add(row["split"])
    assert all(len(of_subject) == 1 for of_subject in splits.values())  # subjects are held out whole
    assert sum(row["split"] == "train" for row in rows) == metrics["images"]
    assert not run.checkpoint_path.exists() and list(run.logs_path.glob("events*"))


@pytest.mark.slow
def test_it_learns_what_version_0_1_0_learnt(trained, matcher_run):
    now, then = (json.loads(MatcherRun(folder).metrics_path.read_text()) for folder in (trained, matcher_run))
    assert now.keys() >= then.keys()
    assert [now[key] for key in ("images", "subjects", "held_out", "dimension")] == [then[key] for key in ("images", "subjects", "held_out", "dimension")]
    assert now["loss"] == pytest.approx(then["loss"], abs=0.1) and now["accuracy"] == pytest.approx(then["accuracy"], abs=0.3)
    assert (trained / "photos.csv").read_text() == (matcher_run / "photos.csv").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "dimension", "columns"), [("contrastive", 10, ("image", "subject", "medium")), ("triplet", 256, ("image", "subject"))])
def test_the_papers_recipes_train_the_tower_of_table_2(draw_tattoos, tmp_path, recipe, dimension, columns):
    draw_tattoos(tmp_path, columns)
    metrics = train_matcher(str(tmp_path), recipe, PAPERS[recipe], str(tmp_path / "run"))
    assert (metrics["dimension"], metrics["crosses_media"]) == (dimension, "medium" in columns)
    assert metrics["weights"] == "random weights" and 0 <= metrics["accuracy"] <= 1


@pytest.mark.slow
def test_stopped_and_resumed_equals_uninterrupted(trained, stored_weights):
    run = MatcherRun(trained.parent / "stopped")
    assert read_facts(run.checkpoint_path) == {"phase": 0, "step": 2}
    with pytest.raises(RunError, match="is not finished: go on with"):
        MatcherRun.open(run.folder)
    train_matcher(run=str(run.folder), resume=True)
    expected, got = stored_weights(MatcherRun(trained).weights_path), stored_weights(run.weights_path)
    assert expected.keys() == got.keys()
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_subjects_with_one_photo_each_can_be_learnt_from(untraced, draw_tattoos, tiny_matcher, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    draw_tattoos(folder, photos=1)
    metrics = train_matcher(str(folder), "small", {**tiny_matcher, "fold": "-1", "is_augmented": "true", "stages": "[[1, 0.003]]"}, str(tmp_path / "run"))
    assert (metrics["images"], metrics["subjects"], metrics["held_out"]) == (8, 8, 0)
    with pytest.raises(DataError, match="no subject has two photos.*--recipe small"):
        train_matcher(str(folder), "contrastive", PAPERS["contrastive"], str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("columns", "setting", "crosses"),
    [
        (("image", "subject", "medium"), "auto", True),
        (("image", "subject", "medium"), "false", False),
        (("image", "subject", "role"), "auto", False),
        (("image", "subject", "role"), "true", True),
    ],
)
def test_pairs_cross_media_where_there_are_any_or_as_asked(draw_tattoos, tmp_path, columns, setting, crosses):
    draw_tattoos(tmp_path, columns)
    recipe = with_settings(RECIPES["contrastive"](), {"cross_media": setting})
    media = matching_order(read_matching_source(tmp_path), recipe).media
    assert (media is not None) is crosses
    if crosses:  # the first of each subject is the drawing, or in the gallery
        with open(tmp_path / "manifest.csv", newline="") as file:
            is_first = [row["image"].endswith("_0.png") for row in csv.DictReader(file)]
        assert len(set(zip(is_first, media.tolist(), strict=True))) == len(set(media.tolist())) == 2


def test_media_that_are_not_there_are_missed(tattoo_photos, tmp_path):
    with pytest.raises(RecipeError, match="cross_media=true needs a column `medium` with two media, or `role`"):
        train_matcher(str(tattoo_photos), "contrastive", {**PAPERS["contrastive"], "cross_media": "true"}, str(tmp_path / "run"))


@pytest.mark.slow
def test_a_sources_split_goes_before_folds_broken_photos_are_named_and_a_batch_shrinks_to_the_subjects_there_are(
    untraced, tattoo_photos, tiny_matcher, tmp_path, capsys
):
    folder = tmp_path / "photos"
    shutil.copytree(tattoo_photos, folder)
    (folder / "subject1_0.png").write_bytes(b"no image")
    with open(folder / "manifest.csv", newline="") as file:
        rows = [(row["image"], row["subject"], "val" if row["image"].endswith("_2.png") else "train") for row in csv.DictReader(file)]
    (folder / "manifest.csv").write_text("image,subject,split\n" + "".join(",".join(row) + "\n" for row in rows))
    settings = {**tiny_matcher, "batch_size": "32", "stages": "[[1, 0.001]]"}
    metrics = train_matcher(str(folder), "small", settings, str(tmp_path / "run"))
    assert "batches are of 8 subjects: there are no more" in capsys.readouterr().err
    assert (metrics["images"], metrics["held_out"], metrics["subjects"]) == (15, 7, 8)
    assert [os.path.basename(path) for path in metrics["broken"]] == ["subject1_0.png"]


def _batch(labels, weights):
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 8, 8, 3)).astype(np.uint8)
    return {"views": {"whole": tf.constant(pixels)}, "label": tf.constant(labels, tf.int32), "weight": tf.constant(weights, tf.float32)}


@pytest.fixture(scope="module")
def linear():
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, {"trained": keras.layers.Dense(4)(keras.layers.Flatten()(inputs)) / 100.0})


@pytest.mark.parametrize("name", list(RECIPES))
def test_photos_that_could_not_be_read_have_no_loss(linear, name):
    recipe, labels = RECIPES[name](), [0, 0, 1, 0, 0, 1, 2, 2, 0, 3, 3, 1]
    weights = np.float32([0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    losses, measures = matching_loss(linear, recipe)(_batch(labels, weights), 0)
    assert losses.shape == (12,) and np.isfinite(losses).all()
    if recipe.is_mined:
        batch = _batch(labels, weights)
        seen = linear(tf.cast(batch["views"]["whole"], tf.float32))["trained"][1:]
        expected = mined_triplet_loss(labels[1:], seen, recipe.margin, recipe.loss)[0] * 11 / 12
        np.testing.assert_allclose(losses, np.full(12, expected), rtol=1e-5)
        assert measures["accuracy"][1] == 11
    else:
        together = recipe.photos_together
        assert not np.any(losses[:together]) and np.any(losses[together:])
        assert measures["accuracy"][1] == 12 / together - 1


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_batch_without_any_photo_or_positive_pair_is_finite(linear, name):
    for labels, weights in ((range(12), np.ones(12)), ([0] * 12, np.zeros(12))):
        with tf.GradientTape() as tape:
            losses, _ = matching_loss(linear, RECIPES[name]())(_batch(list(labels), weights), 0)
        gradients = tape.gradient(losses, linear.trainable_variables)
        assert np.isfinite(losses).all() and all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        ("small", {"loss": "softmax"}, "loss must be one of contrastive, triplet, semi-hard, hard, got 'softmax'"),
        ("small", {"batch_size": "30"}, r"batch_size must be a multiple of 4 \(semi-hard\) and two subjects at least, got 30"),
        ("contrastive", {"batch_size": "9"}, r"batch_size must be a multiple of 2 \(contrastive\), got 9"),
        ("small", {"fold": "5"}, "fold must be one of 0 .. folds - 1, or -1"),
        ("small", {"image_size": "64"}, "image_size of mobilenet_v2 must be at least 96, got 64"),
        ("small", {"rotations": "3"}, "rotations must be one of 1, 2, 4, got 3"),
        ("small", {"cross_media": "yes"}, "cross_media must be one of auto, true, false, got 'yes'"),
        ("small", {"margin": "-0.1"}, "margin must be 0 or more"),
        ("small", {"photos_per_subject": "1"}, "photos_per_subject must be at least 2"),
    ],
)
def test_settings_that_do_not_fit_are_refused(recipe, settings, message):
    with pytest.raises(RecipeError, match=message):
        with_settings(RECIPES[recipe](), settings)


def test_what_cannot_be_trained_on_leaves_the_folder_free(tmp_path, tattoo_photos):
    with pytest.raises(RecipeError, match="recipe must be one of small, contrastive, triplet, got 'quadruplet'"):
        train_matcher(str(tattoo_photos), "quadruplet")
    with pytest.raises(DataError, match="does not exist"):
        train_matcher(str(tmp_path / "nothing"), "small", run=str(tmp_path / "run"))
    with pytest.raises(RecipeError, match="a training needs SOURCE"):
        train_matcher(run=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
