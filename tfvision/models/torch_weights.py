"""Weights as PyTorch, Caffe and ONNX name them and lay them out -> the layers of catalogue networks.

PyTorch's names are torchvision's and timm's (they agree for these networks); AlexNet's are those of Caffe's layers. In ONNX names are
whatever the exporter made of them, so layers are told by their order and their shapes. Batch normalisation may have been folded
into the convolutions, which then have biases.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfvision.errors import WeightsError, in_one_line
from tfvision.models.convolutions import for_caffe_pixels
from tfvision.models.protobuf_tensors import CaffeModel, Convolution, read_onnx
from tfvision.models.resnet18 import STAGES
from tfvision.models.squeezenet import SQUEEZED
from tfvision.models.tensor_file import DAMAGE, TensorFile, open_tensors

SUFFIXES = (".safetensors", ".npz", ".caffemodel", ".onnx")

Names = dict[str, tuple[str, str | None]]  # layer -> name of the convolution, name of its batch normalisation or None

_BATCH_NORM = ("weight", "bias", "running_mean", "running_var")  # in the order of Keras: gamma, beta, mean, variance


def load_torch_weights(base: keras.Model, network: str, path: Path | str, is_partial_allowed: bool = False, needed: Collection[str] = ()) -> list[str]:
    """Loads a file of tensors into a network.

    Args:
      base: keras.Model of the catalogue's network, changed in place.
      network: its name, of TORCH_NAMES.
      path: a file of SUFFIXES.
      is_partial_allowed: whether convolutions may be missing: these stay random, and where a residual block lacks one,
        the block is switched off (the scale of its last batch normalisation is 0), so that what lies before it gets through.
      needed: names of the network's layers that may not stay random, unless their block is switched off.

    Returns:
      Names of the convolutions that are missing in the file, as the file would call them.

    Raises:
      WeightsError: no such file, a damaged one, or the weights of something else; nothing was changed then.
    """
    tensors, names = _named(base, network, Path(path))
    values, missing = {}, []
    for layer, (name, norm) in names.items():
        try:
            found = _values_of(base, layer, name, norm, tensors)
        except DAMAGE as error:
            raise WeightsError(f"{path} is damaged: {name} cannot be read ({in_one_line(error)})") from error
        values.update(found)
        if not found:
            missing.append(name)
    if not values or (missing and not is_partial_allowed):
        raise WeightsError(f"{path} holds no whole {network}: it lacks {_few(missing)}{_near_miss(network, tensors)}")
    lost = [name for layer, (name, _) in names.items() if name in missing and layer in needed and not _is_in_a_block(layer)]
    if lost:
        raise WeightsError(
            f"{path} lacks {_few(lost)}, on which the layers that are asked for depend: ask for earlier ones, or give the weights of all of {network}"
        )
    _check(base, values, path, network)
    for layer, arrays in values.items():
        base.get_layer(layer).set_weights(arrays)
    for layer, (name, _) in names.items():
        if name in missing and _is_in_a_block(layer):
            _switch_off(base.get_layer(f"{layer[:-1]}b_bn"))
    return missing


def _named(base: keras.Model, network: str, path: Path) -> tuple[TensorFile | dict[str, np.ndarray], Names]:
    """(tensors, what the file calls the network's layers)."""
    names = TORCH_NAMES[network]
    if path.suffix == ".onnx":
        try:
            return _by_shape(base, names, read_onnx(path)), names
        except DAMAGE as error:
            raise WeightsError(f"{path} is damaged or no ONNX model ({in_one_line(error)})") from error
    tensors = open_tensors(path)
    if not isinstance(tensors, CaffeModel):
        return tensors, names
    if network == "alexnet" and tensors.inputs.get("norm1") == ["pool1"]:
        raise WeightsError(f"{path} is CaffeNet, which pools before it normalises, and would see something else as {network}: take bvlc_alexnet.caffemodel")
    return tensors, CAFFE_NAMES.get(network, names)


def _by_shape(base: keras.Model, names: Names, convolutions: Sequence[Convolution]) -> dict[str, np.ndarray]:
    """Tensors by PyTorch's names: each layer takes the first of its shape that is left. Exporters agree on the order but for a block's shortcut."""
    tensors, left = {}, dict(enumerate(convolutions))
    for layer, (name, norm) in names.items():
        height, width, inputs, outputs = base.get_layer(layer).kernel.shape
        shapes = ((outputs, inputs, height, width), (outputs, inputs * height * width))
        number = next((number for number, one in left.items() if one.kernel.shape in shapes), None)
        if number is None:
            continue
        one = left.pop(number)
        tensors[f"{name}.weight"] = one.kernel
        if one.bias is not None:
            tensors[f"{name}.bias"] = one.bias
        if norm and one.norm is not None:
            tensors |= {f"{norm}.{part}": values for part, values in zip(_BATCH_NORM, one.norm, strict=True)}
            tensors[f"{norm}.running_var"] = one.norm[3] - base.get_layer(f"{layer}_bn").epsilon
    return tensors


def _values_of(base: keras.Model, layer: str, name: str, norm: str | None, tensors: TensorFile | Mapping[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    """{layer: its weights in Keras's order and layout}, of a convolution and its batch normalisation; {} where missing."""
    if f"{name}.weight" not in tensors:
        return {}
    kernel = np.asarray(tensors[f"{name}.weight"], np.float32)
    if kernel.ndim == 2:  # a fully connected layer on positions that were laid side by side
        size = base.get_layer(layer).kernel.shape[0]
        kernel = kernel.reshape(len(kernel), -1, size, size)
    kernel = kernel.transpose(2, 3, 1, 0)  # from out, in, height, width
    bias: Any = np.asarray(tensors[f"{name}.bias"], np.float32) if f"{name}.bias" in tensors else None
    if not norm:
        return {layer: list(for_caffe_pixels(kernel, bias) if _wants_other_pixels(base, name) else (kernel, bias))}
    scale = f"{layer}_bn"
    if f"{norm}.running_var" in tensors:
        gamma, beta, mean, variance = (np.asarray(tensors[f"{norm}.{part}"], np.float32) for part in _BATCH_NORM)
        return {layer: [kernel], scale: [gamma, beta, mean if bias is None else mean - bias, variance]}
    if bias is None:
        raise ValueError(f"neither {name}.bias nor {norm}.running_var is there")
    return {layer: [kernel], scale: _folded(bias, base.get_layer(scale).epsilon)}


def _wants_other_pixels(base: keras.Model, name: str) -> bool:
    """Whether a first convolution of torchvision's pixels is for a network of Caffe's."""
    return name == "features.0" and base.get_layer("pixels").__class__.__name__ == "CaffePixels"


def _folded(bias: np.ndarray, epsilon: float) -> list[np.ndarray]:
    """A batch normalisation that only adds a bias."""
    one = np.ones_like(bias)
    return [one * np.float32(np.sqrt(1 + epsilon)), bias, 0 * one, one]


def _is_in_a_block(layer: str) -> bool:
    """Whether a convolution lies on the way that a residual block's shortcut goes round."""
    return layer.endswith(("_a", "_b"))


def _switch_off(norm: keras.layers.Layer) -> None:
    gamma, beta, mean, variance = norm.get_weights()
    norm.set_weights([0 * gamma, 0 * beta, mean, variance])


def _check(base: keras.Model, values: dict[str, list[np.ndarray]], path: Path | str, network: str) -> None:
    for layer, arrays in values.items():
        expected = [tuple(weight.shape) for weight in base.get_layer(layer).get_weights()]
        got = [array.shape if array is not None else None for array in arrays]
        if got != expected:
            raise WeightsError(f"{path} is no {network}: {layer} should have the shapes {expected}, got {got}")
        if not all(np.isfinite(array).all() for array in arrays):
            raise WeightsError(f"{path} is damaged: {layer} holds values that are not finite")


def _near_miss(network: str, tensors: TensorFile | Mapping[str, np.ndarray]) -> str:
    if network == "alexnet" and "features.0.weight" in tensors:
        return " (torchvision's AlexNet is another network: give --network alexnet_torchvision)"
    return ""


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _resnet18() -> Names:
    names: Names = {"conv1": ("conv1", "bn1")}
    for stage, (layer, strides) in enumerate(STAGES.items(), 1):
        for block in (0, 1):
            ours, theirs = f"{layer}_{block + 1}", f"layer{stage}.{block}"
            names[f"{ours}_a"] = (f"{theirs}.conv1", f"{theirs}.bn1")
            names[f"{ours}_b"] = (f"{theirs}.conv2", f"{theirs}.bn2")
            if strides > 1 and block == 0:
                names[f"{ours}_shortcut"] = (f"{theirs}.downsample.0", f"{theirs}.downsample.1")
    return names


def _squeezenet() -> Names:
    names: Names = {"conv1": ("features.0", None)}
    for fire, layer in zip(SQUEEZED, (3, 4, 6, 7, 9, 10, 11, 12), strict=True):  # ReLUs and pools are counted
        for ours, theirs in {"squeeze": "squeeze", "expand1": "expand1x1", "expand3": "expand3x3"}.items():
            names[f"fire{fire}_{ours}"] = (f"features.{layer}.{theirs}", None)
    return names


TORCH_NAMES: dict[str, Names] = {  # of each network
    "resnet18": _resnet18(),
    "squeezenet": _squeezenet(),
    "alexnet": {layer: (layer, None) for layer in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")},
    "alexnet_torchvision": {
        **{f"conv{number}": (f"features.{layer}", None) for number, layer in enumerate((0, 3, 6, 8, 10), 1)},
        "fc6": ("classifier.1", None),
        "fc7": ("classifier.4", None),
    },
}
CAFFE_NAMES: dict[str, Names] = {  # where Caffe's differ
    "squeezenet": {
        "conv1": ("conv1", None),
        **{
            f"fire{fire}_{ours}": (f"fire{fire}/{theirs}", None)
            for fire in SQUEEZED
            for ours, theirs in {"squeeze": "squeeze1x1", "expand1": "expand1x1", "expand3": "expand3x3"}.items()
        },
    }
}
