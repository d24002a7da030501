import threading

import numpy as np
import pytest
import tensorflow as tf

from tfvision.errors import RunError, StorageError
from tfvision.training import checkpoints
from tfvision.training.checkpoints import Saver, read_facts, restore_checkpoint, save_checkpoint


def _variables(offset=0.0):
    return [tf.Variable(np.arange(6, dtype=np.float32).reshape(2, 3) + offset), tf.Variable(7 + int(offset), dtype=tf.int64)]


def test_variables_and_facts_come_back(tmp_path):
    saved, loaded = _variables(), _variables(5)
    save_checkpoint(tmp_path / "latest.npz", saved, {"step": 3})
    assert restore_checkpoint(tmp_path / "latest.npz", loaded) == {"step": 3}
    for expected, got in zip(saved, loaded, strict=True):
        np.testing.assert_array_equal(expected, got)
    assert read_facts(tmp_path / "latest.npz") == {"step": 3}


def test_no_checkpoint_has_no_facts(tmp_path):
    assert read_facts(tmp_path / "latest.npz") is None


def test_a_torn_file_is_named(tmp_path):
    path = tmp_path / "latest.npz"
    save_checkpoint(path, _variables(), {})
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match="latest.npz is damaged"):
        read_facts(path)


def test_pickles_are_never_loaded(tmp_path):
    np.savez(tmp_path / "latest.npz", facts=np.array([{"a": 1}], object))
    with pytest.raises(RunError, match="damaged"):
        read_facts(tmp_path / "latest.npz")


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    save_checkpoint(tmp_path / "latest.npz", _variables(), {})
    with pytest.raises(RunError, match="holds 2 variables, this training has 1"):
        restore_checkpoint(tmp_path / "latest.npz", _variables()[:1])
    with pytest.raises(RunError, match="does not fit"):
        restore_checkpoint(tmp_path / "latest.npz", [tf.Variable(np.zeros((3, 2), np.float32)), tf.Variable(0, dtype=tf.int64)])


class _Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("taken", "is_awaited", "pause"), [(3.0, False, 150.0), (0.1, False, 60.0), (3.0, True, 60.0)], ids=["costly", "cheap", "before the first step"]
)
def test_saving_takes_a_fiftieth_of_the_time_at_most(tmp_path, monkeypatch, taken, is_awaited, pause):
    clock = _Clock()
    monkeypatch.setattr(checkpoints, "write_arrays", lambda path, arrays: setattr(clock, "now", clock.now + taken))
    saver = Saver(tmp_path / "latest.npz", _variables(), 60.0, clock=clock)
    saver.save({}, is_awaited)
    saver.wait()
    clock.now = 100 + pause - 0.01
    assert not saver.is_due()
    clock.now = 100 + pause
    assert saver.is_due()


def test_where_saves_may_cost_what_they_will_each_is_due_and_waited_for(tmp_path):
    variable = tf.Variable(0)
    saver = Saver(tmp_path / "latest.npz", [variable], 0.0)
    for step in range(3):
        assert saver.is_due()
        saver.save({"step": step})
        assert read_facts(tmp_path / "latest.npz") == {"step": step}


@pytest.fixture
def held(monkeypatch):
    """What writes, waits until this is set."""
    event, write = threading.Event(), checkpoints.write_arrays

    def write_when_set(path, arrays):
        event.wait(300)
        write(path, arrays)

    monkeypatch.setattr(checkpoints, "write_arrays", write_when_set)
    return event


def test_what_is_learnt_while_a_checkpoint_is_written_is_not_in_it(tmp_path, held):
    path, variables = tmp_path / "latest.npz", _variables()
    saver = Saver(path, variables, 1e-9)
    for offset in (0, 10):  # what was copied for the first save is copied over for the second
        held.clear()
        saver.save({"offset": offset})
        variables[0].assign_add(tf.fill((2, 3), 10.0))
        assert not path.exists() if offset == 0 else read_facts(path) == {"offset": 0}
        assert not saver.is_due()
        held.set()
        saver.wait()
        loaded = _variables(5)
        assert restore_checkpoint(path, loaded) == {"offset": offset}
        np.testing.assert_array_equal(loaded[0], np.arange(6).reshape(2, 3) + offset)


def test_closing_waits_for_the_last_save(tmp_path, held):
    saver = Saver(tmp_path / "latest.npz", _variables(), 1e-9)
    saver.save({})
    threading.Timer(0.05, held.set).start()
    saver.close()
    assert read_facts(tmp_path / "latest.npz") == {}


def test_a_save_that_fails_is_told_by_the_next_question_and_leaves_what_was_there(tmp_path):
    path = tmp_path / "folder" / "latest.npz"
    saver = Saver(path, _variables(), 1e-9)
    saver.save({"step": 1}, is_awaited=True)
    path.rename(tmp_path / "kept.npz")
    path.mkdir()  # no file can be called so
    saver.save({"step": 2})
    saver.close()
    for ask in (saver.is_due, saver.wait, lambda: saver.save({})):
        with pytest.raises(StorageError, match="latest.npz could not be written"):
            ask()


def test_a_worker_that_writes_nothing_is_never_in_the_way(tmp_path):
    saver = Saver(tmp_path / "latest.npz", _variables(), 1e-9, is_written=False)
    saver.save({}, is_awaited=True)
    assert saver.is_due() and not list(tmp_path.iterdir())
