"""PyTorch's names and layouts of weights -> the layers of catalogue networks.

Names are torchvision's and timm's (they agree for these networks), and for AlexNet those of Caffe's layers. Batch
normalisation may have been folded into the convolutions, which then have biases.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfvision.errors import WeightsError
from tfvision.models.convolutions import for_caffe_pixels
from tfvision.models.resnet18 import STAGES
from tfvision.models.squeezenet import SQUEEZED
from tfvision.models.tensor_file import TensorFile, open_tensors

Names = dict[str, tuple[str, str | None]]  # layer -> name of the convolution, name of its batch normalisation or None

_BATCH_NORM = ("weight", "bias", "running_mean", "running_var")  # in the order of Keras: gamma, beta, mean, variance


def load_torch_weights(base: keras.Model, network: str, path: Path | str, is_partial_allowed: bool = False) -> list[str]:
    """Loads a file of tensors into a network.

    Args:
      base: keras.Model of the catalogue's network, changed in place.
      network: its name, of TORCH_NAMES.
      path: .safetensors or .npz.
      is_partial_allowed: whether convolutions may be missing: these stay random, and where a residual block lacks one,
        the block is switched off (the scale of its last batch normalisation is 0), so that what lies before it gets through.

    Returns:
      Names of the convolutions that are missing in the file, as the file would call them.

    Raises:
      WeightsError: no such file, a damaged one, or the weights of something else; nothing was changed then.
    """
    tensors = open_tensors(path)
    values, missing = {}, []
    for layer, (name, norm) in TORCH_NAMES[network].items():
        try:
            found = _values_of(base, layer, name, norm, tensors)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(f"{path} is damaged: {name} cannot be read ({str(error).splitlines()[0][:120]})") from error
        values.update(found)
        if not found:
            missing.append(name)
    if not values or (missing and not is_partial_allowed):
        raise WeightsError(f"{path} holds no whole {network}: it lacks {_few(missing)}{_near_miss(network, tensors)}")
    _check(base, values, path, network)
    for layer, arrays in values.items():
        base.get_layer(layer).set_weights(arrays)
    for layer, (name, _) in TORCH_NAMES[network].items():
        if name in missing and layer.endswith(("_a", "_b")):
            _switch_off(base.get_layer(f"{layer[:-1]}b_bn"))
    return missing


def _values_of(base: keras.Model, layer: str, name: str, norm: str | None, tensors: TensorFile) -> dict[str, list[np.ndarray]]:
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
        return {layer: [kernel], scale: [np.asarray(tensors[f"{norm}.{part}"], np.float32) for part in _BATCH_NORM]}
    return {layer: [kernel], scale: _folded(bias, base.get_layer(scale).epsilon)}


def _wants_other_pixels(base: keras.Model, name: str) -> bool:
    """Whether a first convolution of torchvision's pixels is for a network of Caffe's."""
    return name == "features.0" and base.get_layer("pixels").__class__.__name__ == "CaffePixels"


def _folded(bias: np.ndarray, epsilon: float) -> list[np.ndarray]:
    """A batch normalisation that only adds a bias."""
    one = np.ones_like(bias)
    return [one * np.float32(np.sqrt(1 + epsilon)), bias, 0 * one, one]


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


def _near_miss(network: str, tensors: TensorFile) -> str:
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
