import os
import pickle

import numpy as np
import pytest

from tfvision.data import plain_pickle
from tfvision.data.plain_pickle import read_plain_pickle
from tfvision.errors import DataError

TRUTH = {
    "imlist": ["all_souls_000001", "all_souls_000002", "ä"],
    "bbx": [1.5, 2, np.float64(3)],
    "easy": np.array([1, 2]),
    "hard": [np.int64(3), True, None],
    "junk": np.zeros(0, np.int32),
    "tuple": (1, "a"),
    "matrix": np.asfortranarray(np.array([[1, 2], [3, 4]], ">i4")),
}
PLAIN = {
    "imlist": ["all_souls_000001", "all_souls_000002", "ä"],
    "bbx": [1.5, 2, 3.0],
    "easy": [1, 2],
    "hard": [3, True, None],
    "junk": [],
    "tuple": [1, "a"],
    "matrix": [[1, 2], [3, 4]],
}


class _Command:
    """What an attacker writes: unpickled, it calls os.mkdir."""

    def __init__(self, path):
        self._path = str(path)

    def __reduce__(self):
        return os.mkdir, (self._path,)


def _nested(depth, width):
    value = [1]
    for _ in range(depth):
        value = [value] * width
    return value


def _circle():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_is_read_as_it_was_written(tmp_path, protocol):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(TRUTH, protocol))
    assert read_plain_pickle(tmp_path / "a.pkl") == PLAIN


def test_what_python_2_wrote_is_read(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02}q\x00U\x06imlistq\x01]q\x02(U\x01aq\x03U\x01bq\x04es.")
    assert read_plain_pickle(tmp_path / "a.pkl") == {"imlist": ["a", "b"]}


@pytest.mark.parametrize("protocol", (0, 2, 4))
@pytest.mark.parametrize("hide", [lambda one: one, lambda one: {"gnd": [one]}, lambda one: np.array([one], object)], ids=["itself", "in a list", "in an array"])
def test_nothing_is_run(tmp_path, protocol, hide):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(hide(_Command(tmp_path / "made")), protocol))
    with pytest.raises(DataError, match="is a pickle that is not read: it names (posix|nt) mkdir.* save it as JSON"):
        read_plain_pickle(tmp_path / "a.pkl")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("value", [{1}, np.array(["text"]), b"\xff", _circle(), _nested(30, 10), TRUTH.get, print])
def test_what_is_not_plain_is_refused(tmp_path, value):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(value, 4))
    with pytest.raises(DataError, match="is a pickle that is not read"):
        read_plain_pickle(tmp_path / "a.pkl")


@pytest.mark.parametrize("data", [b"", b"text", b".", b"e.", b"(.", b"N(ti.", b"(ld", b"I" + b"9" * 9999 + b"\n.", b"cnumpy\nndarray\n)R.", b"h\x07."])
def test_damaged_files_are_refused(tmp_path, data):
    (tmp_path / "a.pkl").write_bytes(data)
    with pytest.raises(DataError, match="is a pickle that is not read"):
        read_plain_pickle(tmp_path / "a.pkl")


def test_a_shortened_file_is_refused(tmp_path):
    whole = pickle.dumps(TRUTH, 2)
    for length in range(0, len(whole), 7):
        (tmp_path / "a.pkl").write_bytes(whole[:length])
        with pytest.raises(DataError):
            read_plain_pickle(tmp_path / "a.pkl")


def test_one_list_that_is_named_again_and_again_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(plain_pickle, "MOST_VALUES", 1000)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(_nested(3, 20), 4))
    with pytest.raises(DataError, match="holds too many values"):
        read_plain_pickle(tmp_path / "a.pkl")
