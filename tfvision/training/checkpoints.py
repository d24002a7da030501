"""Checkpoints: all that a training needs to go on as if it had never stopped, in one file."""

import contextlib
import json
import typing
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvision.errors import RunError
from tfvision.files import parse_json, write_arrays

_FACTS = "facts"


def save_checkpoint(path: str | Path, variables: Sequence[tf.Variable], facts: Mapping[str, typing.Any], is_written: bool = True) -> None:
    """Writes variables and facts atomically.

    Args:
      variables: TensorFlow's or Keras's, always in the same order.
      facts: JSON-able, e.g. the phase and the step.
      is_written: false for all workers but the first. They must call too: to read a batch statistic
        is a collective operation, in which all workers take part.
    """
    arrays = {f"{number:05d}": tf.convert_to_tensor(variable).numpy() for number, variable in enumerate(variables)}
    if not is_written:
        return
    write_arrays(path, {**arrays, _FACTS: np.array(json.dumps(facts))})


def read_facts(path: str | Path) -> dict[str, typing.Any] | None:
    """The facts of a checkpoint, or None where there is no checkpoint. Raises RunError."""
    if not Path(path).exists():
        return None
    with _opened(path) as stored:
        return parse_json(str(stored[_FACTS]))


def restore_checkpoint(path: str | Path, variables: Sequence[tf.Variable]) -> dict[str, typing.Any]:
    """Assigns what was saved to the same list of variables, and returns the facts. Raises RunError where they do not fit."""
    with _opened(path) as stored:
        names = sorted(set(stored.files) - {_FACTS})
        if len(names) != len(variables):
            raise RunError(f"{path} holds {len(names)} variables, this training has {len(variables)}: start it anew")
        for name, variable in zip(names, variables, strict=True):
            if tuple(stored[name].shape) != tuple(variable.shape):
                raise RunError(f"{path} does not fit this training (shape {stored[name].shape}, expected {variable.shape})")
            variable.assign(stored[name])
        return parse_json(str(stored[_FACTS]))


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[typing.Any]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            yield stored
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} is damaged ({error}): remove it and train again") from error
