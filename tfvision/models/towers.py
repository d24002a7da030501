"""A network that others made and the user names: an ONNX file or a SavedModel, arrays by name in and out.

An ONNX file is data: onnxruntime knows its operations, and none that a file brings are loaded. A SavedModel does what its author put into it, so
whoever calls this was given its name by the user (models.programs).
"""

import abc
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfvision.errors import WeightsError, in_one_line

_SIGNATURE = "serving_default"
_ONNX_TYPES = {"float": "float32", "double": "float64", "float16": "float16"}


class Taken(NamedTuple):
    """What an input takes: its shape, None for any side, and NumPy's name of its numbers, "string" for texts."""

    shape: tuple[int | None, ...]
    kind: str


class Tower(abc.ABC):
    """An opened network.

    Attributes:
      path: its file or folder.
      inputs: {name: Taken}.
      outputs: names.
    """

    path: Path
    inputs: dict[str, Taken]
    outputs: list[str]

    @abc.abstractmethod
    def run(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by name. Raises WeightsError where the network does not take the arrays."""

    def vectors(self, arrays: Mapping[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray:
        """The one output that holds a vector a row: the first called as one of `names`, else the only one. Raises WeightsError."""
        name = next((name for name in names if name in self.outputs), self.outputs[0] if len(self.outputs) == 1 else None)
        if name is None:
            raise WeightsError(f"{self.path} answers with {', '.join(self.outputs)}: one output alone, or one called {' or '.join(names)}, is taken")
        found = np.asarray(self.run(arrays)[name])
        if found.ndim != 2 or not np.issubdtype(found.dtype, np.floating):
            raise WeightsError(f"{self.path}: its output {name!r} has the shape {found.shape}, and a vector a row is taken: [batch, values]")
        return found.astype(np.float32)


def open_tower(path: Path) -> Tower:
    """Opens an .onnx file, or a SavedModel's folder. Raises WeightsError."""
    return _SavedModelTower(path) if path.is_dir() else _OnnxTower(path)


class _OnnxTower(Tower):
    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise WeightsError(f"{path} needs onnxruntime: pip install 'tfvision[onnx]'") from None
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors are of many kinds, and derive from nothing else
            raise WeightsError(f"{path} cannot be loaded as ONNX ({in_one_line(error)}): export it again") from error
        self.path = path
        self.inputs = {one.name: Taken(_shape(one.shape), _kind(one.type)) for one in self._session.get_inputs()}
        self.outputs = [one.name for one in self._session.get_outputs()]

    def run(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            return dict(zip(self.outputs, self._session.run(self.outputs, dict(arrays)), strict=True))
        except Exception as error:
            raise WeightsError(f"{self.path} does not take what it is given ({in_one_line(error)})") from error


class _SavedModelTower(Tower):
    def __init__(self, path: Path) -> None:
        import tensorflow as tf

        try:
            self._module = tf.saved_model.load(str(path))
        except Exception as error:  # TensorFlow raises many kinds
            raise WeightsError(f"{path} cannot be loaded as a SavedModel ({in_one_line(error)}): export it again") from error
        names = list(self._module.signatures)
        if _SIGNATURE not in names and len(names) != 1:
            raise WeightsError(f"{path} has no signature {_SIGNATURE!r}, but {', '.join(names) or 'none'}")
        self.path, self._name = path, _SIGNATURE if _SIGNATURE in names else names[0]
        signature = self._module.signatures[self._name]
        self.inputs = {name: _taken(spec) for name, spec in signature.structured_input_signature[1].items()}
        self.outputs = list(signature.structured_outputs)

    def run(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        import tensorflow as tf

        try:
            found = self._module.signatures[self._name](**{name: tf.constant(array) for name, array in arrays.items()})
        except Exception as error:
            raise WeightsError(f"{self.path} does not take what it is given ({in_one_line(error)})") from error
        return {name: value.numpy() for name, value in found.items()}


def _shape(sides: Any) -> tuple[int | None, ...]:
    return tuple(side if isinstance(side, int) and side > 0 else None for side in sides or ())


def _kind(name: str) -> str:
    plain = name.removeprefix("tensor(").removesuffix(")")
    return _ONNX_TYPES.get(plain, plain)


def _taken(spec: Any) -> Taken:
    return Taken(tuple(spec.shape.as_list()) if spec.shape.rank is not None else (), spec.dtype.name)
