import csv
import dataclasses
import json
import os
import shutil
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvision.apps.retrieval.evaluation import evaluate_retriever
from tfvision.apps.retrieval.indices import Taps
from tfvision.apps.retrieval.recipes import RECIPES
from tfvision.apps.retrieval.training import row_batches, stage_loss, train_retriever, whiten
from tfvision.data.pipeline import TrainingOrder
from tfvision.errors import DataError, RecipeError, RunError
from tfvision.features.whitening import fit_symmetric_whitening
from tfvision.trained.retriever_network import build_whitening
from tfvision.trained.retriever_run import RetrieverRun
from tfvision.training.checkpoints import read_facts


def test_the_papers_numbers():
    recipe = RECIPES["paper"]()
    assert (recipe.network, recipe.size_px, recipe.batch_size, recipe.optimizer) == ("resnet18", 224, 64, "sgd")
    assert (recipe.margin, recipe.scale, recipe.weight_decay, recipe.is_augmented) == (0.45, 60.0, 5e-4, False)
    assert sum(epochs for epochs, _ in recipe.stages) == 120
    ends = np.cumsum([epochs for epochs, _ in recipe.stages])[:-1]
    assert ends.tolist() == [60, 90, 110]
    assert [rate for _, rate in recipe.stages] == pytest.approx([0.01, 0.01 * 0.2, 0.01 * 0.2**2, 0.01 * 0.2**3])
    assert (recipe.tuning, recipe.tuning_stages, recipe.tuning_input) == ((3, 6), (), "addition")
    assert recipe.tap_names == ("conv2", "conv3", "conv4", "conv5", "gap")


@pytest.fixture(scope="module")
def trained(hue_photos, tiny_retriever, copy_at, tmp_path_factory):
    """A run that is trained from nothing, and beside it, as `stopped`, what was there when its second stage was under way.

    All other tests go by retriever_run, which version 0.1.0 trained.
    """
    folder = tmp_path_factory.mktemp("runs") / "hues"
    stop = copy_at(folder, folder.parent / "stopped", 1, 4)
    train_retriever(str(hue_photos), "small", {**tiny_retriever, "checkpoint_seconds": "0"}, str(folder), callbacks=[stop])
    return folder


@pytest.mark.slow
def test_a_run_folder_holds_all_that_was_promised(trained):
    run = RetrieverRun.open(trained)
    metrics = json.loads(run.metrics_path.read_text())
    assert (metrics["images"], metrics["held_out"], metrics["classes"]) == (24, 8, 6)
    assert list(metrics["by_layer"]) == ["stage1", "stage2", "stage3", "addition", "normalised_addition", "tuned3", "tuned6", "whitened"]
    assert metrics["queries"] == 8 and metrics["map"] == metrics["by_layer"]["whitened"]
    assert len(run.classes) == 6
    assert (trained / "report.html").stat().st_size > 1000
    assert "No query was trained on" in (trained / "report.html").read_text()
    assert not (trained / "checkpoints").exists()
    assert list((trained / "logs").glob("events*"))


@pytest.mark.slow
def test_classes_are_held_out_whole(trained):
    with open(trained / "photos.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    split = {}
    for row in rows:
        split.setdefault(row["label"], set()).add(row["split"])
    assert sorted(len(splits) for splits in split.values()) == [1] * 8
    assert sum(splits == {"held-out"} for splits in split.values()) == 2
    classes = set(RetrieverRun.open(trained).classes)
    assert classes == {label for label, splits in split.items() if splits == {"train"}}


@pytest.mark.slow
def test_it_learns_what_version_0_1_0_learnt(trained, retriever_run):
    now, then = (json.loads(RetrieverRun(folder).metrics_path.read_text()) for folder in (trained, retriever_run))
    assert now.keys() >= then.keys() and now["by_layer"].keys() == {*then["by_layer"], "whitened"}
    assert all(now["by_layer"][layer] >= then["by_layer"][layer] - 0.15 for layer in then["by_layer"])
    for name in ("photos.csv", "labels.json"):
        assert (trained / name).read_text() == (retriever_run / name).read_text()


@pytest.mark.slow
def test_stopped_in_the_second_stage_and_resumed_equals_uninterrupted(trained, stored_weights):
    run = RetrieverRun(trained.parent / "stopped")
    assert read_facts(run.checkpoint_path) == {"phase": 1, "step": 4}
    with pytest.raises(RunError, match="is not finished: go on with"):
        RetrieverRun.open(run.folder)
    train_retriever(run=str(run.folder), resume=True)
    expected, got = stored_weights(RetrieverRun(trained).weights_path), stored_weights(run.weights_path)
    assert expected.keys() == got.keys()
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], atol=1e-5, err_msg=name)


def test_batches_of_rows_cover_an_epoch_once_whatever_the_workers():
    table, labels = np.arange(24, dtype=np.float32).reshape(12, 2), np.arange(12, dtype=np.int32)
    order, weights = TrainingOrder(labels, 0), np.ones(12, np.float32)
    seen = []
    for worker in range(2):
        context = tf.distribute.InputContext(num_input_pipelines=2, input_pipeline_id=worker, num_replicas_in_sync=4)
        for batch in row_batches(table, labels, weights, order, 0, 12, 4, context):
            assert batch["taps"].shape == (1, 2)
            np.testing.assert_array_equal(batch["taps"][0], table[batch["label"][0]])
            seen += batch["label"].numpy().tolist()
    assert sorted(seen) == list(range(12))


def test_a_photo_that_could_not_be_read_has_no_loss():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    loss = stage_loss(model, RECIPES["paper"](), lambda batch: batch["taps"])
    batch = {"taps": tf.ones((2, 3)), "label": tf.constant([0, 1]), "weight": tf.constant([1.0, 0.0])}
    per_photo, measures = loss(batch, 0)
    assert per_photo[0] > 0 and per_photo[1] == 0
    assert measures["accuracy"][1] == 1


class _Watch(keras.callbacks.Callback):
    """Collects what was logged last in each phase."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_end(self, logs=None):
        self.seen.append(logs)


@pytest.mark.slow
def test_the_papers_split_trains_on_queries_with_softmax_and_random_changes_and_broken_photos_are_named(hue_photos, tiny_retriever, tmp_path):
    folder, watch = tmp_path / "photos", _Watch()
    shutil.copytree(hue_photos, folder)
    (folder / "hue1_0.png").write_bytes(b"no image")
    with open(folder / "manifest.csv", newline="") as file:
        rows = [(row["image"], row["label"], "query" if row["image"].endswith("_3.png") else "gallery") for row in csv.DictReader(file)]
    (folder / "manifest.csv").write_text("image,label,role\n" + "".join(",".join(row) + "\n" for row in rows))
    settings = {**tiny_retriever, "loss": "softmax", "is_augmented": "true", "tuning": "[3]", "stages": "[[10, 0.02]]", "tuning_stages": "[[10, 0.01]]"}
    metrics = train_retriever(str(folder), "small", {**settings, "protocol_split": "paper"}, str(tmp_path / "run"), callbacks=[watch])
    assert len(watch.seen) == 2  # the network, tuned3
    assert all(logs["accuracy"] > 0.5 for logs in watch.seen)  # a guess is right for 1 in 8
    assert (metrics["images"], metrics["held_out"], metrics["classes"]) == (32, 0, 8)
    assert [os.path.basename(path) for path in metrics["broken"]] == ["hue1_0.png"]
    assert "map" not in metrics
    assert "Trained on the queries" in (tmp_path / "run" / "report.html").read_text()
    result = evaluate_retriever(str(tmp_path / "run"), str(folder), "labels")
    assert (result["queries"], result["trained_queries"], result["left_out"]) == (8, 8, 0)
    assert "Trained on the queries" in (tmp_path / "run" / "evaluation-labels" / "report.html").read_text()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "triplet"}, "loss must be one of softmax, cosface, got 'triplet'"),
        ({"tuning": "[4]"}, r"tuning must be numbers of layers, of \[3, 6\], got \[4\]"),
        ({"tuning": "[6]", "index": "tuned3"}, "index must be one of .*tuned6, whitened, got 'tuned3'"),
        ({"image_size": "16"}, "image_size of mobilenet_v2 must be at least 96, got 16"),
        ({"held_out": "groups"}, "held_out must be one of classes, photos"),
        ({"network": "resnet"}, "network must be one of"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    from tfvision.training.recipes import with_settings

    with pytest.raises(RecipeError, match=message):
        with_settings(RECIPES["small"](), settings)


def test_what_cannot_be_trained_on_leaves_the_folder_free(tmp_path, hue_photos, tiny_retriever):
    with open(hue_photos / "manifest.csv", newline="") as file:
        few = [row for row in csv.DictReader(file) if row["label"] in ("hue 0", "hue 1")]
    source = hue_photos / "few.csv"
    source.write_text("image,label\n" + "".join(f"{row['image']},{row['label']}\n" for row in few))
    with pytest.raises(DataError, match="leaves 1 class to train on.*held_out=photos"):
        train_retriever(str(source), "small", tiny_retriever, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_recipe_survives_json(retriever_run):
    recipe = RetrieverRun.open(retriever_run).recipe
    assert dataclasses.asdict(recipe)["tuning"] == (3, 6)
    assert recipe.name == "small" and recipe.network == "small"


def test_the_index_is_whitened_by_the_photos_that_train_alone():
    random = np.random.default_rng(0)
    table, is_training = random.normal(size=(12, 5)).astype(np.float32), np.arange(12) < 9
    taps = Taps(table, {"first": 2, "second": 3}, np.arange(12) != 4)
    recipe = dataclasses.replace(RECIPES["paper"](), whitening=0.5)
    retriever = types.SimpleNamespace(tuned={"whitened": build_whitening(5)})
    whiten(retriever, taps, is_training, recipe)
    units = table / np.linalg.norm(table, axis=1, keepdims=True)
    expected = fit_symmetric_whitening(units[is_training & taps.is_read], 0.5).apply(units)
    np.testing.assert_allclose(taps.index("whitened", retriever.tuned, slice(0, 12))[taps.is_read], expected[taps.is_read], rtol=1e-3, atol=1e-4)
