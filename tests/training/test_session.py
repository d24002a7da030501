"""What every application's training does alike, shown once by the smallest one: start, stop, resume, diverge, fail, finish."""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvision.errors import DataError, RecipeError, RunError, StorageError
from tfvision.files import sole_process
from tfvision.training.checkpoints import read_facts
from tfvision.training.loop import TrainingDiverged
from tfvision.training.run import Run

pytestmark = pytest.mark.usefixtures("colour_names")

TRAIN = """
import json, os, signal, sys
os.environ.update(json.loads(sys.argv[6]))
for number in (1, 2):
    os.dup2(os.open(sys.argv[6 + number], os.O_WRONLY | os.O_CREAT), number)
from pathlib import Path
import keras
sys.path.insert(0, sys.argv[1])
from colour_names.run import ColourRun
from colour_names.training import train_colours
from tfvision.training import checkpoints

class Told(keras.callbacks.Callback):
    phase = -1

    def on_train_begin(self, logs=None):
        self.phase += 1

    def on_train_batch_end(self, batch, logs=None):
        if (self.phase, batch) == (0, 9):
            print(checkpoints.read_facts(ColourRun(Path(sys.argv[3])).checkpoint_path)["step"])

source, run, settings, is_killed = sys.argv[2], sys.argv[3], json.loads(sys.argv[4]), sys.argv[5] == "killed"
if is_killed:  # when its third checkpoint is written, but for its name
    replace, written = os.replace, []

    def kill(path, target):
        written.append(str(target))
        if sum(name.endswith("latest.npz") for name in written) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(path, target)

    os.replace, checkpoints.LARGEST_SHARE = kill, 1e9
train_colours(source, settings=settings, run=run, callbacks=[Told()])
"""
SAVED_AT_EACH_STEP = {"checkpoint_seconds": "0"}
SAVED_MEANWHILE = {"checkpoint_seconds": "1e-9"}  # as soon as the one before is written, where LARGEST_SHARE is large
STOPS = [(0, 0), (0, 7), (1, 0), (1, 7)]  # phases and their steps


@pytest.fixture(scope="module")
def train(colour_names):
    from colour_names.training import train_colours

    return train_colours


@pytest.fixture(scope="module")
def whole(train, two_colours, copy_at, tmp_path_factory):
    """A run that was never stopped; beside it, as `phase_step`, what would have been left by one that was stopped at one of STOPS."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    stops = [copy_at(folder, folder.parent / f"{phase}_{step}", phase, step) for phase, step in STOPS]
    train(str(two_colours), settings=SAVED_AT_EACH_STEP, run=folder, callbacks=stops)
    return folder


@pytest.fixture
def stopped(whole, tmp_path):
    """A run that was stopped in its second phase."""
    return shutil.copytree(whole.parent / "1_0", tmp_path / "run")


@pytest.fixture
def start_process(warm_process, tmp_path):
    """A function (source, run, settings, environment, is_killed) -> a process that trains, with files `told` and `errors`; where it is killed, by itself."""
    started = []

    def start(source, run, settings, environment=None, is_killed=False):
        told, errors = tmp_path / f"{len(started)}.out", tmp_path / f"{len(started)}.err"
        given = [source, run, json.dumps(settings), "killed" if is_killed else "", json.dumps(environment or {}), told, errors]
        process = warm_process(TRAIN, Path(__file__).parent, *given)
        started.append(process)
        process.told, process.errors = told, errors
        return process

    yield start
    for process in started:
        process.kill()
        process.join()


def _checkpoint(run):
    from colour_names.run import ColourRun

    return ColourRun(Path(run)).checkpoint_path


def _weights(run):
    values = {}
    with h5py.File(Path(run) / "model.weights.h5") as file:
        file.visititems(lambda name, item: values.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return values


def _assert_same_weights(one, other):
    expected, got = _weights(one), _weights(other)
    assert expected.keys() == got.keys() and expected
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], atol=1e-6, err_msg=name)


class _Stopped(Exception):
    pass


class _Stop(keras.callbacks.Callback):
    """Stops after the first step."""

    def on_train_batch_end(self, batch, logs=None):
        raise _Stopped


@pytest.mark.slow
def test_a_training_learns_and_leaves_weights_metrics_report_logs_and_the_list_of_photos(train, two_colours, tmp_path, capsys):
    metrics = train(str(two_colours), settings={"stages": "[[20, 1.0]]"}, run=tmp_path / "run")
    assert metrics["accuracy"] == 1 and metrics["images"] == 16 and metrics["broken"] == {} and metrics["seconds"] > 0
    assert metrics == json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "recipe.json",
        "photos.csv",
        "model.weights.h5",
        "metrics.json",
        "report.html",
        "logs",
        "SHA256SUMS",
    }
    assert "training on 16 photos, 160 steps; watch: tensorboard --logdir" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("phase", "step"), STOPS)
def test_stopped_in_each_phase_and_resumed_equals_uninterrupted(train, whole, tmp_path, phase, step):
    run = shutil.copytree(whole.parent / f"{phase}_{step}", tmp_path / "parts")
    assert read_facts(_checkpoint(run)) == {"phase": phase, "step": step}
    resumed = train(run=run, resume=True)
    _assert_same_weights(whole, run)
    assert resumed["accuracy"] == json.loads((whole / "metrics.json").read_text())["accuracy"]


@pytest.mark.slow
def test_an_error_in_the_middle_leaves_what_a_resumed_run_goes_on_with(train, two_colours, whole, tmp_path):
    with pytest.raises(_Stopped):
        train(str(two_colours), settings=SAVED_AT_EACH_STEP, run=tmp_path / "parts", callbacks=[_Stop()])
    assert {path.relative_to(tmp_path / "parts") for path in (tmp_path / "parts").rglob("*") if "events" not in path.name} == {
        path.relative_to(whole.parent / "0_0") for path in (whole.parent / "0_0").rglob("*") if "events" not in path.name
    }


@pytest.mark.slow
def test_killed_while_a_checkpoint_is_written_and_resumed_equals_uninterrupted(train, start_process, two_colours, whole, tmp_path):
    process = start_process(two_colours, tmp_path / "parts", SAVED_MEANWHILE, is_killed=True)
    process.join(300)
    assert process.exitcode == -signal.SIGKILL, process.errors.read_text()
    assert not (tmp_path / "parts" / "model.weights.h5").exists()
    facts = read_facts(_checkpoint(tmp_path / "parts"))
    assert facts["phase"] == 0 and 0 < facts["step"] < 12  # the second
    train(run=tmp_path / "parts", resume=True)
    _assert_same_weights(whole, tmp_path / "parts")


@pytest.mark.slow
def test_two_workers_learn_what_one_learns_and_save_within_an_epoch(start_process, two_colours, whole, tmp_path):
    ports = _free_ports(2)
    clusters = [{"cluster": {"worker": [f"127.0.0.1:{port}" for port in ports]}, "task": {"type": "worker", "index": index}} for index in range(2)]
    processes = [start_process(two_colours, tmp_path / "two", SAVED_AT_EACH_STEP, {"TF_CONFIG": json.dumps(cluster)}) for cluster in clusters]
    for process in processes:
        process.join(400)
        assert process.exitcode == 0, process.errors.read_text()[-3000:]
    assert processes[0].told.read_text() == "1\n"  # they agree at the first step, and at the eleventh
    _assert_same_weights(whole, tmp_path / "two")


def test_divergence_names_the_step_and_keeps_the_last_good_weights(train, two_colours, tmp_path):
    class Poison(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 6:
                self.model.get_layer("logits").bias.assign([np.nan, np.nan])

    with pytest.raises(TrainingDiverged, match="last good weights, of step"):
        train(str(two_colours), settings=SAVED_AT_EACH_STEP, run=tmp_path / "run", callbacks=[Poison()])
    with h5py.File(tmp_path / "run" / "last_good.weights.h5") as file:
        kept = []
        file.visititems(lambda name, item: kept.append(item[()]) if isinstance(item, h5py.Dataset) else None)
    assert len(kept) == 2 and all(np.isfinite(values).all() for values in kept)
    assert not (tmp_path / "run" / "model.weights.h5").exists()


def _fill_the_disk(monkeypatch, at_checkpoint):
    """There is no space left for the checkpoint of this number, counted from 1."""
    import tfvision.files

    real, calls = os.replace, []

    def full(source, target):
        calls.append(str(target))
        if sum(name.endswith("latest.npz") for name in calls) == at_checkpoint:
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(tfvision.files.os, "replace", full)


@pytest.mark.slow
def test_a_full_disk_loses_nothing(train, two_colours, whole, tmp_path, monkeypatch):
    """The disk fills while a later checkpoint is written; space comes back; the run goes on."""
    _fill_the_disk(monkeypatch, at_checkpoint=4)
    with pytest.raises(StorageError, match="latest.npz could not be written .No space left on device.; what was there before"):
        train(str(two_colours), settings=SAVED_AT_EACH_STEP, run=tmp_path / "run")
    monkeypatch.undo()
    assert read_facts(_checkpoint(tmp_path / "run")) == {"phase": 0, "step": 2}
    train(run=tmp_path / "run", resume=True)
    _assert_same_weights(whole, tmp_path / "run")


def test_a_save_that_fails_meanwhile_stops_the_training_and_leaves_the_last_good_one(train, two_colours, tmp_path, monkeypatch):
    from tfvision.training import checkpoints

    _fill_the_disk(monkeypatch, at_checkpoint=3)
    monkeypatch.setattr(checkpoints, "LARGEST_SHARE", 1e9)
    with pytest.raises(StorageError, match="latest.npz could not be written .No space left on device.; what was there before is untouched. Free some space"):
        train(str(two_colours), settings=SAVED_MEANWHILE, run=tmp_path / "run")
    facts = read_facts(_checkpoint(tmp_path / "run"))
    assert facts["phase"] == 0 and 0 < facts["step"] < 12
    assert not list((tmp_path / "run").rglob(".partial*"))


def test_resuming_with_other_photos_is_refused_and_the_list_of_the_first_stays(train, two_colours, tmp_path):
    photos = shutil.copytree(two_colours, tmp_path / "photos")
    with pytest.raises(_Stopped):
        train(str(photos), run=tmp_path / "run", callbacks=[_Stop()])
    listed = (tmp_path / "run" / "photos.csv").read_text()
    (photos / "red_00.png").unlink()
    with pytest.raises(RunError, match="the photos in .*photos are not those that .*run started with: train anew with another --run"):
        train(run=tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "photos.csv").read_text() == listed


def test_photos_whose_accents_another_system_gives_in_another_form_are_the_same(tmp_path):
    from tfvision.training.session import _keep_photos

    run = Run(tmp_path)
    run.photos_path.write_text("image\nIsoe\u0308tes.png\n", encoding="utf-8")
    _keep_photos(run, "image\nIso\u00ebtes.png\n", is_resumed=True)
    assert run.photos_path.read_text(encoding="utf-8") == "image\nIso\u00ebtes.png\n"


def test_a_finished_run_is_not_trained_again(train, whole, capsys):
    before = _files(whole)
    assert train(run=whole, resume=True) == json.loads((whole / "metrics.json").read_text())
    assert "finished already" in capsys.readouterr().err and _files(whole) == before


def test_one_process_trains_a_run_at_a_time(train, two_colours, stopped, tmp_path):
    before = _files(stopped)
    with sole_process(tmp_path / "run"):
        for how in ({"resume": True}, {"source": str(two_colours)}):
            with pytest.raises(DataError, match="another process works on .*run: wait for it"):
                train(run=tmp_path / "run", **how)
    assert _files(tmp_path / "run") == before
    with sole_process(tmp_path / "new"), pytest.raises(DataError, match="another process works on"):
        train(str(two_colours), run=tmp_path / "new")
    assert not any((tmp_path / "new").iterdir())


@pytest.mark.parametrize("is_of_python", [True, False])
def test_exhausted_memory_is_one_line_with_what_to_lower_and_frees_the_folder(train, two_colours, tmp_path, is_of_python):
    error = MemoryError() if is_of_python else tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    class Exhausted(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            raise error

    with pytest.raises(RecipeError, match=r"memory is exhausted: train with a smaller --set batch_size=N \(it was \d+\)"):
        train(str(two_colours), run=tmp_path / "run", callbacks=[Exhausted()])
    assert not (tmp_path / "run").exists()


def test_a_run_of_the_other_stack_is_resumed_by_the_python_that_began_it(train, stopped):
    facts = json.loads((stopped / "recipe.json").read_text())
    facts["versions"] |= {"python": "3.9.9", "tensorflow": "1.15.0", "keras": "1.0.0"}
    (stopped / "recipe.json").write_text(json.dumps(facts))
    with pytest.raises(RunError, match=r"was begun with Python 3.9.9 \(TensorFlow 1.15.0, Keras 1.0.0\), this is Python .*: go on with that Python"):
        train(run=stopped, resume=True)


def _files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_run_folder_in_use_is_not_overwritten(train, two_colours, whole):
    with pytest.raises(RunError, match="holds a run already: go on with --resume"):
        train(str(two_colours), run=whole)


@pytest.mark.parametrize("given", [{"source": "x"}, {"recipe": "small"}, {"settings": {"batch_size": 2}}], ids=str)
def test_resuming_takes_nothing_that_the_run_decides(train, stopped, given):
    with pytest.raises(RecipeError, match="--resume goes on with what the run was begun with: leave SOURCE, --recipe and --set out"):
        train(run=stopped, resume=True, **given)


def test_what_fails_before_training_leaves_the_folder_free(train, tmp_path, two_colours):
    with pytest.raises(DataError, match="does not exist: give a folder of photos"):
        train(str(tmp_path / "nowhere"), run=tmp_path / "run")
    with pytest.raises(RecipeError, match="recipe must be one of small, longer, got 'large'"):
        train(str(two_colours), "large", run=tmp_path / "run")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError):  # the run has begun when its photos are read
        train(str(tmp_path / "empty"), run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_broken_photos_are_counted_named_and_do_not_stop_training(train, two_colours, tmp_path):
    photos = shutil.copytree(two_colours, tmp_path / "photos")
    (photos / "red_00.png").write_bytes(b"")
    metrics = train(str(photos), run=tmp_path / "run")
    assert [Path(path).name for path in metrics["broken"]] == ["red_00.png"]


@pytest.mark.slow
def test_one_folder_and_one_row_give_training_resuming_evaluation_export_and_help(two_colours, tmp_path, capsys):
    from tfvision.cli.main import main

    def run(*arguments):
        main([str(argument) for argument in arguments])
        return capsys.readouterr().out

    assert "colour-names" in run("train", "--help") and "tfvision train colour-names photos/" in run("train", "colour-names", "--help")
    assert "Options for runs of colour-names" in run("evaluate", "--help")
    trained = json.loads(run("train", "colour-names", two_colours, "--run", tmp_path / "run", "--recipe", "longer", "--set", "stages=[[9, 1.0]]", "--json"))
    assert trained["accuracy"] == 1
    assert json.loads(run("train", "colour-names", "--run", tmp_path / "run", "--resume", "--json")) == trained
    assert json.loads(run("evaluate", tmp_path / "run", two_colours, "--colour", "blue")) == {"images": 16, "blue": 8}
    exported = json.loads(run("export", tmp_path / "run", "--to", tmp_path / "savedmodels", "--no-verify", "--json"))
    assert exported["signatures"] == ["serving_default"] and Path(exported["path"]).name == "1"


def _free_ports(count):
    """Ports below those that the system gives away, where there are: nobody has taken one by the time TensorFlow is there."""
    first, found, draw = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]), set(), random.SystemRandom()
    ports = range(10_000, first if first > 11_000 else 65_536)
    while len(found) < count:
        with socket.socket() as each, contextlib.suppress(OSError):
            each.bind(("127.0.0.1", draw.choice(ports)))
            found.add(each.getsockname()[1])
    return found
