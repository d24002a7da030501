"""Checkpoints: all that a training needs to go on as if it had never stopped, in one file."""

import contextlib
import json
import os
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvision.errors import RunError, in_one_line, is_out_of_memory
from tfvision.files import parse_json, write_arrays
from tfvision.kinds import Kind, is_of

STEP: Kind = {"phase": int, "step": int}  # the facts of a training
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
