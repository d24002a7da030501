"""Named tensors in files of protobuf: Caffe's .caffemodel and ONNX. Read by the wire format alone; nothing in them is run.

Sources: protobuf.dev/programming-guides/encoding; the numbers of fields are those of caffe.proto and onnx.proto.
"""

import dataclasses
import math
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np

Message: TypeAlias = dict[int, list[int | memoryview]]  # number of a field -> its values: of a varint the number, else the bytes

_VARINT, _LENGTH, _SIZES = 0, 2, {1: 8, 5: 4}  # kinds of fields; bytes of those of a fixed size
_MOST_DIMENSIONS = 8


class CaffeModel:
    """LAYER.weight and LAYER.bias of each layer with weights, as Caffe lays them out: [out, in of the group, height, width].

    Attributes:
      inputs: layer -> names of what it is computed from; of AlexNet's kinds they tell the order of pooling and normalisation.
    """

    def __init__(self, path: Path) -> None:
        self.inputs: dict[str, list[str]] = {}
        self._blobs: dict[str, memoryview] = {}
        network = _fields(_mapped(path))
        for layer in map(_fields, map(_bytes, network.get(100, []))):
            self._add(layer.get(1), layer.get(3), layer.get(7))
        for layer in map(_fields, map(_bytes, network.get(2, []))):  # of 2014
            first = _fields(_bytes(layer[1][0])) if 1 in layer else {}  # of 2013
            self._add(layer.get(4) or first.get(1), layer.get(2), layer.get(6) or first.get(50))
        if not self._blobs:
            raise ValueError("it holds no layers with weights")

    def _add(self, name: list[int | memoryview] | None, inputs: list[int | memoryview] | None, blobs: list[int | memoryview] | None) -> None:
        layer = _text(name)
        self.inputs[layer] = [_text([one]) for one in inputs or ()]
        for part, blob in zip(("weight", "bias"), blobs or (), strict=False):
            self._blobs[f"{layer}.{part}"] = _bytes(blob)

    def __iter__(self) -> Iterator[str]:
        return iter(self._blobs)

    def __contains__(self, name: object) -> bool:
        return name in self._blobs

    def __getitem__(self, name: str) -> np.ndarray:
        blob = _fields(self._blobs[name])
        values = _packed(blob.get(5), np.float32) if 5 in blob else _packed(blob.get(8), np.float64)
        shape = _integers(_fields(_bytes(blob[7][0])).get(1)) if 7 in blob else [_integers(blob.get(number, [0]))[-1] for number in (1, 2, 3, 4)]
        if len(shape) == 4 and shape[:2] == [1, 1]:  # of 2014, where matrices and biases have four sides, too
            shape = shape[2:]
        return _shaped(values, shape[-1:] if name.endswith(".bias") else shape, name)


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A convolution or fully connected layer of an ONNX graph.

    Attributes:
      name: of its kernel.
      kernel: [out, in of the group, height, width], or [out, in].
      bias: [out], or None.
      norm: scale, shift, mean and variance of the batch normalisation behind it, float32 [4, out], for an epsilon of 0; or None.
    """

    name: str
    kernel: np.ndarray
    bias: np.ndarray | None
    norm: np.ndarray | None = None


def read_onnx(path: Path) -> list[Convolution]:
    """The convolutions and fully connected layers of an ONNX graph, in its order. Raises ValueError, KeyError where it is damaged."""
    model = _fields(_mapped(path))
    graph = _fields(_bytes(model[7][0]))
    tensors = {_text(tensor.get(8)): tensor for tensor in map(_fields, map(_bytes, graph.get(5, [])))}
    found: dict[str, Convolution] = {}  # by what it computes
    for node in map(_fields, map(_bytes, graph.get(1, []))):
        inputs, outputs = ([_text([one]) for one in node.get(number, [])] for number in (1, 2))
        operation = _text(node.get(4))
        attributes = {_text(one.get(1)): one for one in map(_fields, map(_bytes, node.get(5, [])))}
        if operation == "Constant" and 5 in attributes.get("value", {}):
            tensors[outputs[0]] = _fields(_bytes(attributes["value"][5][0]))
        elif operation == "Identity" and inputs[0] in tensors:
            tensors[outputs[0]] = tensors[inputs[0]]
        elif operation in ("Conv", "Gemm") and inputs[1] in tensors:
            kernel = _onnx_array(tensors[inputs[1]], inputs[1])
            if operation == "Gemm" and not _integers(attributes.get("transB", {}).get(3, [0]))[-1]:
                kernel = kernel.T
            found[outputs[0]] = Convolution(inputs[1], kernel, _onnx_array(tensors[inputs[2]], inputs[2]) if len(inputs) > 2 and inputs[2] else None)
        elif operation == "BatchNormalization" and inputs[0] in found:
            norm = np.stack([np.asarray(_onnx_array(tensors[name], name), np.float32) for name in inputs[1:5]])
            norm[3] += _packed(attributes["epsilon"].get(2), np.float32)[-1] if "epsilon" in attributes else 1e-5
            found[inputs[0]] = dataclasses.replace(found[inputs[0]], norm=norm)
    return list(found.values())


_ONNX_TYPES = {1: (4, np.float32), 11: (10, np.float64)}  # data_type -> the field of values that are not raw, their type
_ONNX_RAW = {1: "<f4", 10: "<f2", 11: "<f8", 16: "<u2"}


def _onnx_array(tensor: Message, name: str) -> np.ndarray:
    kind = _integers(tensor.get(2, [0]))[-1]
    if kind not in _ONNX_RAW:
        raise ValueError(f"{name} holds no floating-point numbers")
    if 13 in tensor or _integers(tensor.get(14, [0]))[-1]:
        raise ValueError(f"the values of {name} lie in another file: save the model as one file")
    if 9 in tensor:
        values = np.frombuffer(_bytes(tensor[9][0]), _ONNX_RAW[kind])
    elif kind in _ONNX_TYPES:
        values = _packed(tensor.get(_ONNX_TYPES[kind][0]), _ONNX_TYPES[kind][1])
    else:  # halves, each as an integer
        values = np.array(_integers(tensor.get(5)), np.uint16).view(_ONNX_RAW[kind])
    if kind == 16:  # bfloat16, the upper half of a float32
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return _shaped(values, _integers(tensor.get(1)), name)


def _mapped(path: Path) -> memoryview:
    """The bytes of a file, read when they are looked at."""
    with open(path, "rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _fields(message: memoryview) -> Message:
    """Raises ValueError where the bytes are no message."""
    found: Message = {}
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        value: int | memoryview
        if key & 7 == _VARINT:
            value, at = _varint(message, at)
        else:
            size, at = _varint(message, at) if key & 7 == _LENGTH else (_SIZES.get(key & 7, len(message) + 1), at)
            if size > len(message) - at:
                raise ValueError("it ends within a field: was it downloaded whole?")
            value, at = message[at : at + size], at + size
        found.setdefault(key >> 3, []).append(value)
    return found


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """(number, where the next begins): seven bits a byte, the lowest first; the highest bit says that more follow."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        number, at = number | (byte & 127) << shift, at + 1
        if byte < 128:
            return number, at
    raise ValueError("a number that does not end")


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where bytes should be")
    return value


def _text(values: list[int | memoryview] | None) -> str:
    return str(_bytes(values[-1]), "utf-8") if values else ""


def _integers(values: list[int | memoryview] | None) -> list[int]:
    """Of a repeated field, packed or not."""
    found = []
    for value in values or ():
        if isinstance(value, int):
            found.append(value)
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            found.append(number)
    return found


def _packed(values: list[int | memoryview] | None, dtype: type) -> np.ndarray:
    """Of a repeated field of floating-point numbers, packed or not."""
    parts = [np.frombuffer(_bytes(value), np.dtype(dtype).newbyteorder("<")) for value in values or ()]
    return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, dtype), *parts])


def _shaped(values: np.ndarray, shape: list[int], name: str) -> np.ndarray:
    if len(shape) > _MOST_DIMENSIONS or math.prod(shape) != len(values):
        raise ValueError(f"{name} of shape {shape[:_MOST_DIMENSIONS]} has {len(values)} values")
    return values.reshape(shape)
