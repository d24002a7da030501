"""Checkpoints: all that a training needs to go on as if it had never stopped, in one file."""

import concurrent.futures
import contextlib
import json
import os
import time
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvision.errors import RunError, in_one_line, is_out_of_memory
from tfvision.files import parse_json, write_arrays
from tfvision.kinds import Kind, is_of

STEP: Kind = {"phase": int, "step": int}  # the facts of a training
LARGEST_SHARE = 0.02  # of a training's time, that saving may take
_FACTS = "facts"


def save_checkpoint(path: str | Path, variables: Sequence[tf.Variable], facts: Mapping[str, typing.Any]) -> None:
    """Writes variables, TensorFlow's or Keras's and always in the same order, and facts, which are JSON-able, atomically."""
    arrays: dict[str, np.ndarray] = {}
    _copy(variables, arrays)
    _write(path, arrays, facts)


class Saver:
    """Saves a training so seldom that this takes at most a fiftieth of its time, and writes while the training goes on.

    What is saved is copied at once, into memory of the file's size that is kept for it. Another thread writes it, as `save_checkpoint` does,
    whose error is raised by the next call. Close it: that waits for the last save.

    Args:
      path, variables: as `save_checkpoint`.
      seconds_between: least time from the beginning of one save to that of the next; it is 50 times as long as the last one took, where that is
        more and it was not awaited. 0 = after every step, whatever that costs, and each is waited for.
      is_written: false for all workers but the first. They must call too: to read a batch statistic
        is a collective operation, in which all workers take part.
      clock: seconds.
    """

    def __init__(
        self,
        path: str | Path,
        variables: Sequence[tf.Variable],
        seconds_between: float,
        is_written: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._variables, self._seconds_between, self._is_written, self._clock = path, variables, seconds_between, is_written, clock
        self._arrays: dict[str, np.ndarray] = {}
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "checkpoint")
        self._writing: concurrent.futures.Future | None = None
        self._started, self._taken = clock(), 0.0  # of the last save

    def is_due(self) -> bool:
        """Whether it is time for the next save; never while one is being written. Raises StorageError where the last one failed."""
        if self._writing and not self._writing.done():
            return False
        self.wait()
        pause = max(self._seconds_between, self._taken / LARGEST_SHARE) if self._seconds_between else 0
        return self._clock() - self._started >= pause

    def save(self, facts: Mapping[str, typing.Any], is_awaited: bool = False) -> None:
        """Copies all variables and has them written, with facts. Raises StorageError where the save before failed, or this one, where it is awaited."""
        self.wait()
        self._started = self._clock()
        if not self._is_written:
            for variable in self._variables:
                tf.convert_to_tensor(variable)
            return
        _copy(self._variables, self._arrays)
        self._writing = self._thread.submit(self._write, facts)
        if is_awaited or not self._seconds_between:
            self.wait()
            self._taken = 0.0  # alone, before the first step, it tells little of those after it

    def wait(self) -> None:
        """Until the last save is written. Raises StorageError where it failed."""
        if self._writing:
            self._writing.result()

    def close(self) -> None:
        """Waits for the last save, well or ill."""
        self._thread.shutdown()

    def _write(self, facts: Mapping[str, typing.Any]) -> None:
        _write(self._path, self._arrays, facts)
        self._taken = self._clock() - self._started


def read_facts(path: str | Path, kind: Kind = dict) -> dict[str, typing.Any] | None:
    """The facts of a checkpoint, which must be of a kind (kinds.is_of), or None where there is no checkpoint. Raises RunError."""
    if not os.path.lexists(path):
        return None
    with _opened(path) as stored:
        return _facts_of(stored, kind)


def restore_checkpoint(path: str | Path, variables: Sequence[tf.Variable], kind: Kind = dict) -> dict[str, typing.Any]:
    """Assigns what was saved to the same list of variables, and returns the facts, as `read_facts`. Raises RunError where they do not fit."""
    with _opened(path) as stored:
        names = sorted(set(stored.files) - {_FACTS})
        if len(names) != len(variables):
            raise RunError(f"{path} holds {len(names)} variables, this training has {len(variables)}: start it anew")
        facts = _facts_of(stored, kind)
        for name, variable in zip(names, variables, strict=True):
            array = stored[name]
            if tuple(array.shape) != tuple(variable.shape):
                raise RunError(f"{path} does not fit this training (shape {array.shape}, expected {variable.shape})")
            variable.assign(array)
        return facts


def _copy(variables: Sequence[tf.Variable], arrays: dict[str, np.ndarray]) -> None:
    """Copies variables into arrays, of which those that lack are made."""
    for number, variable in enumerate(variables):
        name, value = f"{number:05d}", tf.convert_to_tensor(variable)
        if name in arrays:
            np.copyto(arrays[name], value)
        else:
            arrays[name] = np.asarray(value.numpy())


def _write(path: str | Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, typing.Any]) -> None:
    write_arrays(path, {**arrays, _FACTS: np.array(json.dumps(facts))})


def _facts_of(stored: Mapping[str, np.ndarray], kind: Kind) -> dict[str, typing.Any]:
    facts = parse_json(str(stored[_FACTS]))
    if not is_of(facts, kind):
        raise ValueError(f"its {_FACTS} cannot be")
    return facts


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[typing.Any]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            yield stored
    except RunError:
        raise
    except Exception as error:  # zipfile, zlib, NumPy and TensorFlow raise many kinds
        if is_out_of_memory(error):
            raise
        raise RunError(f"{path} is damaged ({in_one_line(error)}): remove it and begin anew") from error
