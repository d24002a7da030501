"""VGG19's convolutions, of any width: the perceptual network of the style paper.

Sources: Simonyan and Zisserman, "Very deep convolutional networks", configuration E; Gatys, Ecker and Bethge,
"A neural algorithm of artistic style", Methods (average pooling); READINGS, section 3.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfvision.errors import RecipeError, WeightsError
from tfvision.models.layers import CaffePixels, EdgePadding

BLOCKS = (2, 2, 4, 4, 4)  # convolutions before each pooling
CHANNELS = (1, 2, 4, 8, 8)  # of each block, in units of the width
LAYERS = tuple(f"conv{block}_{number}" for block, count in enumerate(BLOCKS, 1) for number in range(1, count + 1))
PERCEPTUAL_LAYERS = LAYERS[: LAYERS.index("conv5_1") + 1]
STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
CONTENT_LAYER = "conv4_2"
SMALLEST_SIZE = 16  # pixels: four poolings leave one position of conv5_1

EDGES = ("zero", "repeat")

Convolutions = dict[str, tuple[np.ndarray, np.ndarray]]  # layer -> kernel [3, 3, in, out] and bias [out]

_POOLING = {"max": keras.layers.MaxPooling2D, "avg": keras.layers.AveragePooling2D}


def build_vgg19(width: int = 64, pooling: str = "max", taps: Sequence[str] = ("conv5_1",), name: str = "vgg19", edge: str = "zero") -> keras.Model:
    """Builds VGG19 up to its deepest tap, randomly initialised.

    Args:
      width: channels of the first block; VGG19 has 64.
      pooling: "max" (VGG19's own) or "avg" (the style paper's).
      taps: names from LAYERS.
      name: of the model.
      edge: what convolutions see beyond the image: "zero" (VGG19's own) or "repeat", the outermost pixels.

    Returns:
      keras.Model: float32 RGB 0-255 [batch, height, width, 3] of any size -> {tap: float32 [batch, h, w, channels],
      after the ReLU}. Layers are named as in LAYERS, pools "pool1" to "pool4".

    Raises:
      RecipeError: an unknown tap, pooling or edge.
    """
    deepest = _deepest(pooling, taps)
    if edge not in EDGES:
        raise RecipeError(f"edge must be one of {', '.join(EDGES)}, got {edge!r}")
    inputs = keras.Input((None, None, 3), name="image")
    responses = _responses(inputs, width, pooling, deepest, edge)
    return keras.Model(inputs, {tap: responses[tap] for tap in taps}, name=name)


def build_vgg19_base(image_size: int | None, width: int = 64, last: str = "conv5_4", name: str = "vgg19") -> keras.Model:
    """VGG19 without its top, for the catalogue.

    Returns:
      keras.Model: float RGB 0-255 [batch, size, size, 3] -> [batch, size // 32, size // 32, 8 * width].
    """
    inputs = keras.Input((image_size, image_size, 3), name="image")
    x = _responses(inputs, width, "max", last)[last]  # 14 x 14 x 512, for 224 px
    return keras.Model(inputs, _POOLING["max"](2, name="pool5")(x), name=name)  # 7 x 7 x 512


def _responses(inputs: Any, width: int, pooling: str, last: str, edge: str = "zero") -> dict[str, Any]:
    """{layer: its responses} up to the last."""
    x, responses = CaffePixels(name="pixels")(inputs), {}
    for before, layer in zip((None, *LAYERS), LAYERS[: LAYERS.index(last) + 1], strict=False):
        block = block_of(layer)  # h / 2 ** (block - 1)
        if before and block != block_of(before):
            x = _POOLING[pooling](2, name=f"pool{block - 1}")(x)  # odd rows and columns at the end are left out
        if edge == "repeat":
            x = EdgePadding(name=f"{layer}_edge")(x)
        x = responses[layer] = _convolution(width * CHANNELS[block - 1], layer, "valid" if edge == "repeat" else "same")(x)
    return responses


def set_convolutions(model: keras.Model, convolutions: Convolutions, source: str = "the weights") -> None:
    """Sets a model's convolutions by name.

    Args:
      model: what a builder of this file returned, changed in place.
      convolutions: {layer: (kernel [3, 3, in, out], bias [out])}; layers that the model lacks are left out.
      source: what to call them in an error.

    Raises:
      WeightsError: a layer is missing or has another shape.
    """
    for layer in (layer for layer in model.layers if layer.name in LAYERS):
        if layer.name not in convolutions:
            raise WeightsError(f"{source} end at {list(convolutions)[-1]}, {layer.name} is needed: give the weights of all of VGG19")
        expected = [tuple(weight.shape) for weight in layer.get_weights()]
        got = [tuple(weight.shape) for weight in convolutions[layer.name]]
        if got != expected:
            raise WeightsError(f"{source} do not fit: {layer.name} should have the shape {expected[0]}, got {got[0]}")
        layer.set_weights(convolutions[layer.name])


def convolutions_of(model: keras.Model) -> Convolutions:
    """The convolutions of a model as {layer: (kernel, bias)}, in the network's order."""
    return {layer: tuple(model.get_layer(layer).get_weights()) for layer in LAYERS if _has(model, layer)}


def block_of(layer: str) -> int:
    """The block of a layer: "conv4_2" -> 4."""
    return int(layer[4])


def _convolution(channels: int, name: str, padding: str) -> keras.layers.Layer:
    # He's initial weights keep the size of responses through the depth: nothing here is normalised by batch.
    return keras.layers.Conv2D(channels, 3, padding=padding, activation="relu", kernel_initializer="he_normal", name=name)


def _deepest(pooling: str, taps: Sequence[str]) -> str:
    if pooling not in _POOLING:
        raise RecipeError(f"pooling must be one of {', '.join(_POOLING)}, got {pooling!r}")
    unknown = [tap for tap in taps if tap not in LAYERS]
    if unknown or not taps:
        raise RecipeError(f"layers must be of {', '.join(LAYERS)}, got {', '.join(map(repr, unknown)) or 'none'}")
    return max(taps, key=LAYERS.index)


def _has(model: keras.Model, name: str) -> bool:
    return any(layer.name == name for layer in model.layers)
