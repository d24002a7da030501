import dataclasses
import json
import os
import shutil

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from PIL import Image

from tfvision.apps.species import training as species_training
from tfvision.apps.species.knowledge_transfer import classes_at_rank
from tfvision.apps.species.recipes import RECIPES
from tfvision.apps.species.training import SpeciesTraining, train_species
from tfvision.errors import DataError, RecipeError, WeightsError
from tfvision.trained.species_network import load_species_network
from tfvision.trained.species_run import SpeciesRecipe, SpeciesRun
from tfvision.training.checkpoints import read_facts

pytestmark = pytest.mark.usefixtures("figures_once")

RANKS = ("order", "genus", "species")


@pytest.fixture(scope="module")
def trained(colour_photos, tiny_settings, copy_at, tmp_path_factory):
    """A run that is trained from nothing, genera first, and beside it, as `stopped`, what was there near its end.

    All other tests go by colour_run, which version 0.1.0 trained.
    """
    folder = tmp_path_factory.mktemp("runs") / "colours"
    settings = {**tiny_settings, "checkpoint_seconds": "0", "start_rank": "genus", "coarse_stages": "[[1, 0.05]]", "stages": "[[9, 0.05]]"}
    stop = copy_at(folder, folder.parent / "stopped", 1, 42)
    train_species(str(colour_photos), "small", settings, str(folder), ranks=RANKS, callbacks=[stop])
    return folder


@pytest.mark.slow
def test_a_run_folder_holds_all_that_was_promised(trained):
    run = SpeciesRun.open(trained)
    metrics = json.loads(run.metrics_path.read_text())
    assert (metrics["images"], metrics["classes"]) == (48, 4)
    assert metrics["accuracy"] >= 0.75
    assert set(metrics) >= {"run", "images", "classes", "accuracy", "seconds"}
    assert run.taxonomy.class_names == ("Caerula alta", "Viola prima", "Rosa pallida", "Rosa rubra")
    assert (trained / "report.html").stat().st_size > 1000
    assert list((trained / "logs").glob("events*"))
    assert 0 <= run.calibration["threshold"] <= 1.01
    assert [one["step"] for one in metrics["while_training"]] == list(range(5, 51, 5))  # the ends of ten epochs of 40 photos
    last = metrics["while_training"][-1]
    assert (last["name"], last["images"], last["of"]) == ("species", 8, 8) and last["interval"][0] <= last["accuracy"] <= last["interval"][1]
    assert "Validated while training" in (trained / "report.html").read_text()
    assert not list(trained.glob("**/.partial*"))


@pytest.mark.slow
def test_it_learns_what_version_0_1_0_learnt(trained, colour_run):
    now, then = (json.loads(SpeciesRun(folder).metrics_path.read_text()) for folder in (trained, colour_run))
    assert now.keys() >= then.keys() and now["validation"].keys() >= then["validation"].keys()
    assert (now["images"], now["classes"]) == (then["images"], then["classes"])
    assert now["accuracy"] == pytest.approx(then["accuracy"], abs=0.26)  # two of eight photos
    for name in ("photos.csv", "taxonomy.json"):
        assert (trained / name).read_text() == (colour_run / name).read_text()


@pytest.mark.slow
def test_tensorboard_shows_scalars_and_example_images(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained / "logs"), size_guidance={"tensors": 0})
    events.Reload()
    tags = set(events.Tags()["tensors"])
    assert tags >= {"loss", "accuracy", "learning_rate", "val_accuracy", "views/whole", "views/crop"}


def _prepared(source, recipe, folder, ranks=RANKS):
    """A training that has read its photos and built nothing, and its list of them."""
    run = SpeciesRun.start(folder, 0, recipe, {"source": str(source), "ranks": ranks})
    training = SpeciesTraining(run, recipe, tf.distribute.get_strategy(), {})
    return training, training.prepare()


@pytest.mark.slow
def test_prepared_data_is_trained_on_as_its_source_and_left_out_of_either(colour_jpegs, prepared_colours, colour_run, tmp_path):
    """That their batches are the same is shown in tests/data/test_pipeline.py."""
    from tfvision.apps.species.evaluation import evaluate_species

    recipe = SpeciesRun(colour_run).recipe
    (folder, listed), (prepared, also) = (_prepared(source, recipe, tmp_path / source.name) for source in (colour_jpegs, prepared_colours))
    assert listed == also and len(listed.splitlines()) == 49
    for one, other in ((folder.labels, prepared.labels), (folder.splits, prepared.splits)):
        np.testing.assert_array_equal(one, other)

    # What the run was trained on is left out, from whichever of the two it is evaluated.
    run = SpeciesRun(shutil.copytree(colour_run, tmp_path / "run"))
    run.photos_path.write_text(also)
    results = [evaluate_species(run.folder, str(source), out=tmp_path / "evaluation") for source in (colour_jpegs, prepared_colours)]
    assert results[0]["left_out"] == results[1]["left_out"] != {} and results[0]["accuracy"] == results[1]["accuracy"] and results[1]["images"] > 0
    assert "data:image/jpeg" in (tmp_path / "evaluation" / "report.html").read_text() or results[1]["accuracy"] == 1


class _Stopped(Exception):
    pass


class _StopTrained(keras.callbacks.Callback):
    """Ends a training after its phases, before its judgement, and keeps the network's weights."""

    weights = None

    def on_train_end(self, logs=None):
        self.weights = self.model.get_weights()
        raise _Stopped


@pytest.mark.slow
def test_stopped_after_the_coarse_rank_and_resumed_equals_uninterrupted(trained):
    parts, stop = SpeciesRun(trained.parent / "stopped"), _StopTrained()
    assert read_facts(parts.checkpoint_path) == {"phase": 1, "step": 42}
    with pytest.raises(_Stopped):
        train_species(run=str(parts.folder), resume=True, callbacks=[stop])
    for one, other in zip(stop.weights, load_species_network(SpeciesRun(trained)).get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_what_fails_before_training_leaves_the_folder_free(colour_photos, tiny_settings, tmp_path):
    settings = {**tiny_settings, "weights": str(tmp_path / "missing.weights.h5")}
    with pytest.raises(WeightsError, match="missing.weights.h5 does not exist"):
        train_species(str(colour_photos), "small", settings, str(tmp_path / "run"), ranks=RANKS)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "holds no photos: expected .*CLASS/photo.jpg"),
        (lambda folder: _photos(folder / "only", 6), "has 1 class with at least 5 photos: at least two are needed"),
        (lambda folder: [_photos(folder / name, 3) for name in "ab"], "has 0 classes with at least 5 photos.*min_images=N"),
        (lambda folder: (folder / "labels.csv").write_text("file,species\ngone.jpg,a\n"), "names gone.jpg, which does not exist"),
    ],
)
def test_unusable_sources_end_in_one_clear_line(tmp_path, prepare, message):
    folder = tmp_path / "photos"
    folder.mkdir()
    prepare(folder)
    with pytest.raises(DataError, match=message):
        train_species(str(folder), run=str(tmp_path / "run"))


def test_a_missing_source_leaves_no_run_behind(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        train_species(str(tmp_path / "nowhere"), run=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_broken_photos_are_counted_and_a_class_in_one_group_is_trained_and_named_as_unmeasured(tmp_path, tiny_settings, capsys):
    lines = ["image,species,group"]
    for species, group in (("a", ""), ("b", ""), ("c", "one observation")):
        _photos(tmp_path / species, 6)
        lines += [f"{species}/{number}.png,{species},{group}" for number in range(6)]
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    (tmp_path / "a/0.png").write_bytes(b"")
    whole = (tmp_path / "c/1.png").read_bytes()
    (tmp_path / "c/1.png").write_bytes(whole[: len(whole) // 2])
    settings = {**tiny_settings, "stages": "[[1, 0.05]]", "views": "whole", "has_auxiliary_head": "false"}
    metrics = train_species(str(tmp_path), "small", settings, str(tmp_path / "run"))
    assert (metrics["classes"], metrics["images"]) == (3, 18)
    assert "no validation photos, so no accuracy, for c" in capsys.readouterr().err
    assert sorted(os.path.relpath(path, tmp_path) for path in metrics["broken"]) == ["a/0.png", "c/1.png"]
    assert "0.png is empty" in (tmp_path / "run" / "report.html").read_text()


def test_a_class_of_which_no_photo_can_be_read_leaves_the_taxonomy(tmp_path, capsys):
    for species in "abc":
        _photos(tmp_path / "photos" / species, 8)
    for photo in (tmp_path / "photos/b").iterdir():
        photo.write_bytes(b"")
    (tmp_path / "photos/a/link.png").symlink_to("/nowhere/1.png")
    run = SpeciesRun.start(tmp_path / "run", 0, RECIPES["small"](), {"source": str(tmp_path / "photos"), "ranks": None})
    training = SpeciesTraining(run, run.recipe, None, {})
    assert "a/link.png,0," in training.prepare()
    assert (training.taxonomy.class_names, len(training.manifest), training.dropped) == (("a", "c"), 17, {"b": 8})
    assert "left out, none of the photos to train on can be read: b (8)" in capsys.readouterr().err


@pytest.fixture
def prepared(tmp_path, capsys):
    """A function (source, settings...) -> (a training that has read its photos and built nothing, what it told)."""

    def prepare(source, ranks=None, **settings):
        recipe = dataclasses.replace(SpeciesRecipe(name="", weights="none"), **settings)
        return _prepared(source, recipe, tmp_path / "run", ranks)[0], capsys.readouterr().err

    return prepare


def test_ranks_with_examples_and_the_photos_of_each_step_are_told_before_training(tmp_path, prepared, striped_painting):
    lines = ["image,genus,species,observer,split"]
    photos = (("Vanessa", "", 17), ("Vanessa", "Vanessa atalanta", 3), ("Adalia", "Adalia alba", 12), ("Bidens", "", 6), ("Bidens", "Bidens ferox", 6))
    for genus, species, count in photos:
        lines += [f"{species or genus}{number}.png,{genus},{species},me,{'test' if number == 5 else 'train'}" for number in range(count)]
        for number in range(count):
            shutil.copy(striped_painting, tmp_path / f"{species or genus}{number}.png")
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    training, told = prepared(tmp_path)
    assert training.taxonomy.class_names == ("Adalia alba", "Bidens ferox", "Vanessa")  # the genus stays, as its one species went
    assert told.splitlines() == [
        "labels: genus (3: Adalia, Bidens, Vanessa) > species (3: Adalia alba, Bidens ferox, Vanessa atalanta); columns that are none: observer",
        "left out: 3 of 44 photos (7%), of classes with fewer than 5 (--set min_images=N): Vanessa / Vanessa atalanta (3)",
        "left out: 6 of 44 photos (14%), that name no class of their own, as finer ones stand below: Bidens (6)",
        "not used: 3 photos of the split test",
        "photos: 44 found, 35 of classes that are kept, 26 train, 6 validate",
    ]


def test_a_start_rank_is_found_in_any_spelling(colour_photos, prepared):
    training, _ = prepared(colour_photos, RANKS, start_rank="Genus ", coarse_stages=((1, 0.1),))
    assert list(training.recipe.stages_by_rank(training.taxonomy.ranks)) == ["genus", "species"]


def test_names_under_two_parents_and_in_two_spellings_are_told(tmp_path, prepared, striped_painting):
    lines = ["image,family,species"]
    for number, lineage in enumerate(("Paridae,Parus major", "Turdidae,Parus major", "Paridae,PARUS_MAJOR") * 6):
        shutil.copy(striped_painting, tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{lineage}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    _, told = prepared(tmp_path)
    assert "note: names under two parents: 1, such as species 'Parus major' under 'Paridae' (6 photos) and 'Turdidae' (6 photos); tfvision" in told
    assert "note: names in two spellings, each two classes: 1, such as species 'Parus major' (12 photos) and 'PARUS_MAJOR' (6" in told


def test_an_unknown_start_rank_lists_the_ranks(colour_photos, tiny_settings, tmp_path):
    settings = {**tiny_settings, "start_rank": "tribe", "coarse_stages": "[[1, 0.1]]"}
    with pytest.raises(RecipeError, match="start_rank must be one of order, genus, got 'tribe'"):
        train_species(str(colour_photos), "small", settings, str(tmp_path / "run"), ranks=RANKS)


def test_the_sample_that_is_validated_while_training_is_drawn_by_the_seed_and_told_with_its_size(prepared, colour_photos, monkeypatch):
    """8 photos are unseen; a network that always says the first class is right for two of these."""
    monkeypatch.setattr(species_training, "make_predictor", lambda model, is_mirrored, with_features: None)
    monkeypatch.setattr(species_training, "predict_batches", lambda predictor, batches: [(np.arange(batches), np.eye(4)[np.zeros(batches, int)])])
    monkeypatch.setattr(species_training, "prediction_batches", lambda manifest, recipe, broken: drawn.append(manifest.paths) or len(manifest))
    drawn, measured = [], []
    training, _ = prepared(colour_photos, RANKS, validation_sample=3)
    training.model, training._rank, training._classes = None, "species", classes_at_rank(training.taxonomy, "species")
    for sample, seed in ((3, 0), (3, 0), (3, 1), (2048, 0)):
        training.recipe = dataclasses.replace(training.recipe, validation_sample=sample, seed=seed)
        measured.append(training._validation(None)._measure())
    assert drawn[0] == drawn[1] != drawn[2] and [len(paths) for paths in drawn] == [3, 3, 3, 8]
    assert (measured[0]["images"], measured[0]["of"]) == (3, 8) and measured[0]["accuracy"] in (0, 1 / 3, 2 / 3)
    low, high = measured[3]["interval"]
    assert (measured[3]["images"], measured[3]["accuracy"]) == (8, 0.25)
    assert scipy.stats.binom.sf(1, 8, low) == pytest.approx(0.025) and scipy.stats.binom.cdf(2, 8, high) == pytest.approx(0.025)


@pytest.mark.slow
def test_the_papers_network_takes_a_real_step(untraced, colour_photos, short_inception, tmp_path):
    """The first recipe as it stands, but for weights that cannot be downloaded here, the least size that the network takes, and 2 photos a step.

    Its two views are built in tests/models/test_multi_view.py; going from rank to rank is the same for every network.
    """
    epochs, stop = 2 / 39, _StopTrained()  # a step of two of the 39 training photos
    settings = {"weights": "none", "image_size": "139", "batch_size": "2", "stages": f"[[{epochs}, 0.01]]"}
    with short_inception(), pytest.raises(_Stopped):
        train_species(str(colour_photos), "paper-baseline", settings, str(tmp_path / "run"), ranks=RANKS, callbacks=[stop])
    run = SpeciesRun(tmp_path / "run")
    assert run.recipe.network == "inception_resnet_v2"
    assert read_facts(run.checkpoint_path)["step"] == 1
    assert len(stop.weights) > 200 and all(np.isfinite(values).all() for values in stop.weights)


def _photos(folder, count):
    folder.mkdir(parents=True)
    random = np.random.default_rng(len(folder.name))
    for number in range(count):
        Image.fromarray(random.integers(0, 256, (24, 24, 3)).astype(np.uint8)).save(folder / f"{number}.png")
