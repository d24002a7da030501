import dataclasses
import json
import typing

import pytest

from tfvision.errors import RecipeError, RunError
from tfvision.training.recipes import Recipe
from tfvision.training.run import Run, application_of, load_run_weights, new_run_folder, settle_recipe


@dataclasses.dataclass(frozen=True)
class _Run(Run):
    APPLICATION: typing.ClassVar[str] = "cheese"
    COMMAND: typing.ClassVar[str] = "tfvision train cheese"


def _start(folder, worker=0):
    return _Run.start(folder, worker, Recipe(batch_size=3), {"source": "dairy"})


def test_a_started_run_knows_its_recipe_and_facts(tmp_path):
    _start(tmp_path / "run")
    run = _Run.resume(tmp_path / "run", 0)
    assert run.recipe == Recipe(batch_size=3)
    assert run.facts["source"] == "dairy" and run.facts["application"] == "cheese"
    assert set(run.facts["versions"]) == {"tfvision", "tensorflow", "keras", "python"}


def test_a_folder_holds_one_run(tmp_path):
    _start(tmp_path / "run")
    with pytest.raises(RunError, match="holds a run already: go on with --resume, or choose another --run"):
        _start(tmp_path / "run")


def test_an_unfinished_run_cannot_be_opened(tmp_path):
    run = _start(tmp_path / "run")
    with pytest.raises(RunError, match="is not finished: go on with `tfvision train cheese --run .* --resume`"):
        _Run.open(tmp_path / "run")
    assert run.finished_metrics() is None


def test_finishing_writes_the_metrics_and_removes_the_checkpoint(tmp_path):
    run = _start(tmp_path / "run")
    run.checkpoint_path.parent.mkdir()
    run.checkpoint_path.write_bytes(b"x")
    run.finish({"loss": 1})
    assert run.finished_metrics() == {"loss": 1} == json.loads(run.metrics_path.read_text())
    assert not run.checkpoint_path.parent.exists()


def test_what_was_given_up_leaves_no_folder_but_keeps_what_others_put_there(tmp_path):
    _start(tmp_path / "empty").give_up()
    assert not (tmp_path / "empty").exists()
    run = _start(tmp_path / "used")
    (run.folder / "notes.txt").write_text("")
    run.give_up()
    assert [path.name for path in run.folder.iterdir()] == ["notes.txt"]


def test_a_further_worker_writes_elsewhere_and_reads_the_chiefs_checkpoint(tmp_path):
    chief, other = _start(tmp_path / "run"), _start(tmp_path / "run", worker=1)
    assert other.folder != chief.folder and other.checkpoint_path == chief.checkpoint_path
    assert _Run.resume(tmp_path / "run", 1).facts == chief.facts
    chief.finish({})
    assert other.finished_metrics() == {}
    other.finish({})
    assert not other.folder.exists() and chief.metrics_path.exists()


def test_a_run_of_another_kind_is_named(tmp_path):
    _start(tmp_path / "run")
    with pytest.raises(RunError, match="is a run of 'cheese', not of bread"):
        type("Bread", (_Run,), {"APPLICATION": "bread"}).resume(tmp_path / "run", 0)


def test_a_folder_that_is_no_run_is_asked_for(tmp_path):
    for read in (lambda: _Run.open(tmp_path), lambda: application_of(tmp_path, "export")):
        with pytest.raises(RunError, match="recipe.json does not exist: is .* a run folder made by `tfvision train`"):
            read()


def test_a_damaged_file_of_a_run_is_named_with_what_to_do(tmp_path):
    run = _start(tmp_path / "run")
    run.recipe_path.write_text("{")
    with pytest.raises(RunError, match=r"recipe.json cannot be read as JSON \(Expecting .*\); train again, or restore the file$"):
        _Run.resume(tmp_path / "run", 0)


def test_resuming_needs_a_folder():
    with pytest.raises(RunError, match="--resume needs --run DIR"):
        _Run.resume(None, 0)


def test_run_folders_count_up(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(new_run_folder("cheese")) == "runs/cheese"
    (tmp_path / "runs" / "cheese").mkdir(parents=True)
    assert str(new_run_folder("cheese")) == "runs/cheese-2"


def test_a_batch_must_fit_the_replicas():
    replicas = type("Strategy", (), {"num_replicas_in_sync": 2})
    assert settle_recipe(Recipe(batch_size=4, precision="float32"), replicas).precision == "float32"
    with pytest.raises(RecipeError, match="batch_size 3 must be a multiple of the 2 replicas"):
        settle_recipe(Recipe(batch_size=3), replicas)


def test_a_flipped_bit_in_the_weights_or_the_recipe_is_found_by_its_checksum(tmp_path):
    import keras

    run, network = _start(tmp_path / "run"), keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")])
    network.save_weights(run.weights_path)
    run.finish({})
    load_run_weights(network, run.weights_path)
    for path in (run.weights_path, run.recipe_path):
        content = path.read_bytes()
        place = content.index(network.get_weights()[0].tobytes()) if path == run.weights_path else content.index(b"seed") + 7
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(RunError, match=rf"{path.name} is damaged or was changed since it was written: .*; train again, or restore the file$"):
            assert _Run(run.folder).facts
            load_run_weights(network, run.weights_path)
        path.write_bytes(content)
    (run.folder / "SHA256SUMS").unlink()  # as runs of tfvision 0.2 have none
    load_run_weights(network, run.weights_path)


def test_checksums_of_a_training_that_was_killed_before_its_end_are_forgotten(tmp_path):
    run = _start(tmp_path / "run")
    (run.folder / "SHA256SUMS").write_text("0" * 64 + "  model.weights.h5\n")
    with run.first_steps(is_resumed=True):
        assert not (run.folder / "SHA256SUMS").exists()
