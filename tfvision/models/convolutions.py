"""The convolutions of a VGG19 in a file: read from any source into one form, models.vgg19.Convolutions.

Kernels and biases are float32, for pixels as BGR in 0-255 minus ImageNet's mean.
Nothing is ever unpickled, and only tensors of the expected shapes are read.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfvision.errors import WeightsError, in_one_line
from tfvision.files import parse_json, write_arrays
from tfvision.models.layers import CAFFE_MEAN, TORCHVISION_DEVIATION, TORCHVISION_MEAN
from tfvision.models.protobuf_tensors import read_onnx
from tfvision.models.tensor_file import how_to_convert, open_tensors
from tfvision.models.vgg19 import BLOCKS, LAYERS, Convolutions, block_of

_FACTS = "facts"
_ARRAYS = ("basis", "kernel", "bias")  # of a layer; a basis has a factored one
_MEAN_PREFIX = "mean/"


def read_convolutions(path: Path | str) -> tuple[Convolutions, dict[str, Any]]:
    """Reads a VGG19 of any width.

    Args:
      path: an npz that `save_convolutions` wrote; Keras's weights of VGG19 (.weights.h5, or the .h5 that Keras
        downloads), with or without top; safetensors with torchvision's names (features.0.weight, ...) or
        the paper's (conv1_1.weight, ..., for BGR minus mean as Caffe's); the authors' .caffemodel; or ONNX of any of these.

    Returns:
      Convolutions in the network's order, perhaps not to its end, and a dict of facts:
      "is_normalised", and where it is, "means" {layer: float32 [channels]} by which filters were divided.

    Raises:
      WeightsError: no such file, another kind, or not a VGG19.
    """
    path = Path(path)
    readers = {".npz": _read_npz, ".h5": _read_keras, ".safetensors": _read_tensors, ".caffemodel": _read_tensors, ".onnx": _read_onnx}
    if not path.is_file():
        raise WeightsError(f"{path} does not exist: give a file with the weights of VGG19 ({', '.join(readers)})")
    if path.suffix not in readers:
        raise WeightsError(
            f"{path} is not of a kind that is read: {', '.join(readers)} (pickles, .pth and .pt can run code: convert them{how_to_convert(path)})"
        )
    try:
        convolutions, facts = readers[path.suffix](path)
    except WeightsError:
        raise
    except Exception as error:  # zipfile, zlib, h5py and NumPy raise many kinds
        raise WeightsError(f"{path} is damaged or no {path.suffix} of a VGG19 ({in_one_line(error)})") from error
    _check(path, convolutions)
    return convolutions, {"is_normalised": False, **facts}


def save_convolutions(
    path: Path | str, convolutions: Convolutions, facts: Mapping[str, Any], means: Mapping[str, np.ndarray] | None = None, dtype: str = "float16"
) -> None:
    """Writes an npz, atomically.

    Args:
      convolutions: Convolutions.
      facts: JSON-able dict, e.g. what it was made from.
      means: {layer: float32 [channels]} by which filters were divided, where they are normalised.
      dtype: of the kernels.

    Raises:
      WeightsError: a value is too large for the dtype.
    """
    arrays = {}
    for layer, (*kernels, bias) in convolutions.items():
        stored = [np.asarray(kernel, dtype) for kernel in kernels]
        if not all(np.isfinite(kernel).all() for kernel in stored):
            raise WeightsError(f"{layer} has weights that {dtype} cannot hold: store float32")
        arrays |= {f"{layer}/{name}": array for name, array in zip(_ARRAYS[-len(stored) - 1 :], (*stored, np.asarray(bias, np.float32)), strict=True)}
    arrays.update({_MEAN_PREFIX + layer: np.asarray(mean, np.float32) for layer, mean in (means or {}).items()})
    facts = {**facts, "is_normalised": means is not None}
    write_arrays(path, {**arrays, _FACTS: np.array(json.dumps(facts))}, is_compressed=True)


def _read_npz(path: Path) -> tuple[Convolutions, dict[str, Any]]:
    with np.load(path, allow_pickle=False) as stored:
        if _FACTS not in stored.files:
            raise WeightsError(f"{path} was not written by `tfvision weights import`: give that command the original weights")
        facts = parse_json(str(stored[_FACTS]))
        layers = [layer for layer in LAYERS if f"{layer}/kernel" in stored.files]
        convolutions = {layer: _arrays(*(stored[f"{layer}/{name}"] for name in _ARRAYS if f"{layer}/{name}" in stored.files)) for layer in layers}
        if facts["is_normalised"]:
            facts["means"] = {layer: stored[_MEAN_PREFIX + layer] for layer in layers}
    return convolutions, facts


def _read_keras(path: Path) -> tuple[Convolutions, dict[str, Any]]:
    """Layers in the order of their names' numbers: conv2d, conv2d_1, ... or block1_conv1, block1_conv2, ..."""
    import h5py

    kernels = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and len(item.shape) == 4:
            kernels[name] = item

    convolutions = {}
    with h5py.File(path, "r") as file:
        file.visititems(visit)
        for layer, name in zip(LAYERS, sorted(kernels, key=_by_numbers), strict=False):
            kernel = kernels[name]
            bias = next(item for item in kernel.parent.values() if isinstance(item, h5py.Dataset) and item.shape == kernel.shape[3:])
            if max(kernel.shape) > 512:
                raise WeightsError(f"{path} is no VGG19: {layer} has the shape {kernel.shape}")
            convolutions[layer] = _arrays(kernel[()], bias[()])
    return convolutions, {}


def _by_numbers(name: str) -> list[int | str]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _read_tensors(path: Path) -> tuple[Convolutions, dict[str, Any]]:
    tensors = open_tensors(path)
    is_torchvision = "features.0.weight" in tensors
    names = _torchvision_names() if is_torchvision else LAYERS
    convolutions = {}
    for layer, name in zip(LAYERS, names, strict=True):
        if f"{name}.weight" in tensors:
            kernel = tensors[f"{name}.weight"].transpose(2, 3, 1, 0)  # from out, in, height, width
            convolutions[layer] = _arrays(kernel, tensors[f"{name}.bias"])
    if not convolutions:
        raise WeightsError(f"{path} has neither torchvision's names (features.0.weight) nor the paper's (conv1_1.weight)")
    if is_torchvision:
        convolutions["conv1_1"] = for_caffe_pixels(*convolutions["conv1_1"])
    return convolutions, {}


def _read_onnx(path: Path) -> tuple[Convolutions, dict[str, Any]]:
    """Layers by their order. The names of Caffe2, which took the authors' file over, tell their pixels; all others' are torchvision's."""
    found = [one for one in read_onnx(path) if one.kernel.ndim == 4][: len(LAYERS)]
    convolutions = {
        layer: _arrays(one.kernel.transpose(2, 3, 1, 0), np.zeros(len(one.kernel)) if one.bias is None else one.bias)
        for layer, one in zip(LAYERS, found, strict=False)
    }
    if found and not re.search(r"_w(_\d+)?$", found[0].name):
        convolutions["conv1_1"] = for_caffe_pixels(*convolutions["conv1_1"])
    return convolutions, {}


def _torchvision_names() -> list[str]:
    """features.0, 2, 5, 7, 10, ...: convolutions, ReLUs and pools are counted."""
    layer, names = 0, []
    for count in BLOCKS:
        names += [f"features.{layer + 2 * number}" for number in range(count)]
        layer += 2 * count + 1
    return names


def for_caffe_pixels(kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, ...]:
    """A first convolution on RGB in [0, 1], normalised as torchvision does -> one on BGR minus Caffe's mean."""
    scaled = kernel / (255 * np.array(TORCHVISION_DEVIATION))[:, None]
    shift = np.array(CAFFE_MEAN)[::-1] - 255 * np.array(TORCHVISION_MEAN)
    return _arrays(scaled[:, :, ::-1], bias + np.einsum("hwio,i->o", scaled, shift))


def _arrays(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(np.ascontiguousarray(array, np.float32) for array in arrays)


def _check(path: Path, convolutions: Convolutions) -> None:
    if not convolutions:
        raise WeightsError(f"{path} holds no convolutions: it is no VGG19")
    before, counts = 3, dict[int, int]()
    for layer, name in zip(convolutions, LAYERS, strict=False):
        arrays = convolutions[layer]
        filters = counts.setdefault(block_of(name), arrays[-1].size)  # a block's layers are alike: VGG16's are not, where VGG19 has four
        rank = arrays[0].shape[-1] if len(arrays) == 3 else 0
        expected = [(3, 3, before, rank), (1, 1, rank, filters)] if rank else [(3, 3, before, filters)]
        if layer != name or [array.shape for array in arrays] != [*expected, (filters,)]:
            raise WeightsError(f"{path} is no VGG19: {name} should have the shape {expected[0]}, {layer} has {arrays[0].shape}")
        if not all(np.isfinite(array).all() for array in arrays):
            raise WeightsError(f"{path} is damaged: {layer} holds values that are not finite")
        before = filters
