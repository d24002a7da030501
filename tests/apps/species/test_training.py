import json
import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image

from tfvision.apps.species.training import train_species
from tfvision.errors import DataError, RecipeError, RunError, StorageError, WeightsError
from tfvision.features.species_run import SpeciesRun
from tfvision.training.checkpoints import read_facts

RANKS = ("order", "genus", "species")

TRAIN = """
import json, sys
from tfvision.apps.species.training import train_species
source, run, settings, mode = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), sys.argv[4]
if mode == "resume":
    train_species(run=run, resume=True)
else:
    train_species(source, "small", settings, run, ranks=("order", "genus", "species"))
"""


def _weights(run):
    import h5py

    values = {}
    with h5py.File(SpeciesRun(run).weights_path) as file:
        file.visititems(lambda name, item: values.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return values


@pytest.fixture(scope="module")
def trained(colour_photos, tiny_settings, tmp_path_factory):
    """A run that is trained from nothing; all other tests go by colour_run, which version 0.1.0 trained."""
    folder = tmp_path_factory.mktemp("runs") / "colours"
    train_species(str(colour_photos), "small", tiny_settings, str(folder), ranks=RANKS)
    return folder


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
    assert not list(trained.glob("**/.partial*"))


def test_it_learns_what_version_0_1_0_learnt(trained, colour_run):
    now, then = (json.loads(SpeciesRun(folder).metrics_path.read_text()) for folder in (trained, colour_run))
    assert now.keys() >= then.keys() and now["validation"].keys() >= then["validation"].keys()
    assert (now["images"], now["classes"]) == (then["images"], then["classes"])
    assert now["accuracy"] == pytest.approx(then["accuracy"], abs=0.26)  # two of eight photos
    for name in ("photos.csv", "taxonomy.json"):
        assert (trained / name).read_text() == (colour_run / name).read_text()


def test_tensorboard_shows_scalars_and_example_images(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained / "logs"), size_guidance={"tensors": 0})
    events.Reload()
    tags = set(events.Tags()["tensors"])
    assert tags >= {"loss", "accuracy", "learning_rate", "val_accuracy", "views/whole", "views/crop"}


@pytest.mark.slow
@pytest.mark.parametrize("hierarchical", [False, True])
def test_killed_and_resumed_equals_uninterrupted(colour_photos, tiny_settings, tmp_path, hierarchical):
    settings = {**tiny_settings, "checkpoint_seconds": "0", "stages": "[[4, 0.05]]"}
    if hierarchical:
        settings.update(start_rank="genus", coarse_stages="[[3, 0.05]]", stages="[[3, 0.05]]")
    train_species(str(colour_photos), "small", settings, str(tmp_path / "whole"), ranks=RANKS)
    (tmp_path / "train.py").write_text(TRAIN)

    def start(mode):
        command = [sys.executable, str(tmp_path / "train.py"), str(colour_photos), str(tmp_path / "parts"), json.dumps(settings), mode]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    checkpoint = SpeciesRun(tmp_path / "parts").checkpoint_path
    process = start("new")
    deadline = time.monotonic() + 300
    while not (facts := read_facts(checkpoint)) or (facts["phase"], facts["step"]) < (int(hierarchical), 5):
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not SpeciesRun(tmp_path / "parts").weights_path.exists()
    resumed = start("resume")
    assert resumed.wait(300) == 0, resumed.stderr.read()
    expected, got = _weights(tmp_path / "whole"), _weights(tmp_path / "parts")
    assert expected.keys() == got.keys()
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], atol=1e-6, err_msg=name)


def test_training_from_prepared_data_equals_training_from_the_folder(colour_jpegs, prepared_colours, tiny_settings, tmp_path):
    from tfvision.apps.species.evaluation import evaluate_species

    settings = {**tiny_settings, "stages": "[[3, 0.05]]"}
    for name, source in {"folder": colour_jpegs, "prepared": prepared_colours}.items():
        train_species(str(source), "small", settings, str(tmp_path / name), ranks=RANKS)
    folder, prepared = (_weights(tmp_path / name) for name in ("folder", "prepared"))
    assert folder.keys() == prepared.keys() and len(folder) > 10
    for name, values in folder.items():
        np.testing.assert_allclose(prepared[name], values, atol=1e-6, err_msg=name)
    photos = [SpeciesRun(tmp_path / name).photos_path.read_text() for name in ("folder", "prepared")]
    assert photos[0] == photos[1]

    # What the run was trained on is left out, from whichever of the two it is evaluated.
    results = [evaluate_species(tmp_path / "prepared", str(source), out=tmp_path / "evaluation") for source in (colour_jpegs, prepared_colours)]
    assert results[0]["left_out"] == results[1]["left_out"] != {} and results[0]["accuracy"] == results[1]["accuracy"] and results[1]["images"] > 0
    assert "data:image/jpeg" in (tmp_path / "evaluation" / "report.html").read_text() or results[1]["accuracy"] == 1


def test_a_finished_run_is_not_trained_again(colour_run, capsys):
    metrics = train_species(run=str(colour_run), resume=True)
    assert metrics == json.loads(SpeciesRun(colour_run).metrics_path.read_text())
    assert "finished already" in capsys.readouterr().err


def test_a_run_folder_in_use_is_not_overwritten(colour_photos, colour_run):
    with pytest.raises(RunError, match="holds a run already: go on with --resume"):
        train_species(str(colour_photos), run=str(colour_run))


class _Stopped(Exception):
    pass


class _StopAtOnce(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        raise _Stopped


def test_resuming_takes_no_other_recipe(colour_run):
    with pytest.raises(RecipeError, match="--resume goes on with what the run was begun with: leave SOURCE, --recipe and --set out"):
        train_species(run=str(colour_run), resume=True, settings={"batch_size": 4})


def test_what_fails_before_training_leaves_the_folder_free(colour_photos, tiny_settings, tmp_path):
    settings = {**tiny_settings, "weights": str(tmp_path / "missing.weights.h5")}
    with pytest.raises(WeightsError, match="missing.weights.h5 does not exist"):
        train_species(str(colour_photos), "small", settings, str(tmp_path / "run"), ranks=RANKS)
    assert not (tmp_path / "run").exists()


def test_resuming_with_other_photos_is_refused(colour_photos, tiny_settings, tmp_path):
    photos = tmp_path / "photos"
    shutil.copytree(colour_photos, photos)
    with pytest.raises(_Stopped):
        train_species(str(photos), "small", tiny_settings, str(tmp_path / "run"), ranks=RANKS, callbacks=[_StopAtOnce()])
    lines = (photos / "manifest.csv").read_text().splitlines()
    (photos / "manifest.csv").write_text("\n".join(lines[:-2]) + "\n")
    with pytest.raises(RunError, match="are not those that"):
        train_species(run=str(tmp_path / "run"), resume=True)


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


def test_broken_photos_are_counted_named_and_do_not_stop_training(colour_photos, tiny_settings, tmp_path):
    photos = tmp_path / "photos"
    shutil.copytree(colour_photos, photos)
    (photos / "Rosa_rubra_0.png").write_bytes(b"")
    whole = (photos / "Viola_prima_1.png").read_bytes()
    (photos / "Viola_prima_1.png").write_bytes(whole[: len(whole) // 2])
    metrics = train_species(str(photos), "small", {**tiny_settings, "stages": "[[1, 0.05]]"}, str(tmp_path / "run"), ranks=RANKS)
    assert sorted(os.path.basename(path) for path in metrics["broken"]) == ["Rosa_rubra_0.png", "Viola_prima_1.png"]
    assert "Rosa_rubra_0.png is empty" in (tmp_path / "run" / "report.html").read_text()


def test_a_class_in_one_group_is_trained_and_named_as_unmeasured(tmp_path, tiny_settings, capsys):
    lines = ["image,species,group"]
    for species, group in (("a", ""), ("b", ""), ("c", "one observation")):
        _photos(tmp_path / species, 6)
        lines += [f"{species}/{number}.png,{species},{group}" for number in range(6)]
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    metrics = train_species(str(tmp_path), "small", {**tiny_settings, "stages": "[[1, 0.05]]"}, str(tmp_path / "run"))
    assert metrics["classes"] == 3
    assert "no validation photos, so no accuracy, for c" in capsys.readouterr().err


def test_a_full_disk_loses_nothing(trained, colour_photos, tiny_settings, tmp_path, monkeypatch):
    """The disk fills while the second checkpoint is written; space comes back; the run goes on."""
    import tfvision.runs as runs

    real, calls = os.replace, []

    def full(source, target):
        calls.append(str(target))
        if sum(name.endswith("latest.npz") for name in calls) == 4:
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(runs.os, "replace", full)
    settings = {**tiny_settings, "checkpoint_seconds": "0"}
    with pytest.raises(StorageError, match="latest.npz could not be written .No space left on device.; what was there before"):
        train_species(str(colour_photos), "small", settings, str(tmp_path / "run"), ranks=RANKS)
    monkeypatch.undo()
    assert read_facts(SpeciesRun(tmp_path / "run").checkpoint_path) == {"phase": 0, "step": 2}
    resumed = train_species(run=str(tmp_path / "run"), resume=True)
    whole = json.loads(SpeciesRun(trained).metrics_path.read_text())  # of the same recipe but for the checkpoints
    assert resumed["accuracy"] == pytest.approx(whole["accuracy"])


def test_an_unknown_start_rank_lists_the_ranks(colour_photos, tiny_settings, tmp_path):
    settings = {**tiny_settings, "start_rank": "tribe", "coarse_stages": "[[1, 0.1]]"}
    with pytest.raises(RecipeError, match="start_rank must be one of order, genus, got 'tribe'"):
        train_species(str(colour_photos), "small", settings, str(tmp_path / "run"), ranks=RANKS)


WORKER = """
import sys
from tfvision.apps.species.training import train_species
import json
train_species(sys.argv[1], "small", json.loads(sys.argv[3]), sys.argv[2], ranks=("order", "genus", "species"))
"""


@pytest.mark.slow
def test_two_workers_learn_what_one_learns(colour_run, colour_photos, tiny_settings, tmp_path):
    settings = {**tiny_settings, "stages": "[[30, 0.05]]"}
    (tmp_path / "worker.py").write_text(WORKER)
    ports = _free_ports(2)
    processes = []
    for index in range(2):
        cluster = {"cluster": {"worker": [f"127.0.0.1:{port}" for port in ports]}, "task": {"type": "worker", "index": index}}
        processes.append(
            subprocess.Popen(
                [sys.executable, str(tmp_path / "worker.py"), str(colour_photos), str(tmp_path / "two"), json.dumps(settings)],
                env={**os.environ, "TF_CONFIG": json.dumps(cluster)},
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    for process in processes:
        _, errors = process.communicate(timeout=400)
        assert process.returncode == 0, errors[-3000:]
    one, two = (json.loads(SpeciesRun(folder).metrics_path.read_text()) for folder in (colour_run, tmp_path / "two"))
    assert two["images"] == one["images"]
    # Batch statistics are each replica's own, so weights differ a little; what was learnt does not.
    assert min(one["accuracy"], two["accuracy"]) >= 0.6, (one["accuracy"], two["accuracy"])


@pytest.mark.slow
def test_the_paper_recipe_takes_two_real_steps_at_full_size(colour_photos, tmp_path):
    """As it stands but for weights that cannot be downloaded here, and 2 photos a step, 2 steps a phase.

    Of the paper's three recipes the hierarchical one holds what the others train: two views, first a coarser rank, then the classes.
    """
    epochs = 4 / 39  # two steps of two of the 39 training photos
    settings = {"weights": "none", "batch_size": "2", "stages": f"[[{epochs}, 0.01]]", "coarse_stages": f"[[{epochs}, 0.1]]"}
    metrics = train_species(str(colour_photos), "paper-hierarchical", settings, str(tmp_path / "run"), ranks=RANKS)
    run = SpeciesRun.open(tmp_path / "run")
    assert run.recipe.network == "inception_resnet_v2"
    assert metrics["classes"] == 4
    assert all(np.isfinite(values).all() for values in _weights(run.folder).values())


def _photos(folder, count):
    folder.mkdir(parents=True)
    random = np.random.default_rng(len(folder.name))
    for number in range(count):
        Image.fromarray(random.integers(0, 256, (24, 24, 3)).astype(np.uint8)).save(folder / f"{number}.png")


def _free_ports(count):
    import socket

    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
