import numpy as np
import pytest
import tensorflow as tf

from tfvision.errors import RunError
from tfvision.training.checkpoints import read_facts, restore_checkpoint, save_checkpoint


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
