"""VGG19's convolutions, of any width, whole or factored: the perceptual network of the style paper.

Sources: Simonyan and Zisserman, "Very deep convolutional networks", configuration E; Gatys, Ecker and Bethge,
"A neural algorithm of artistic style", Methods (average pooling); READINGS, section 3. A factored layer: Jaderberg, Vedaldi
and Zisserman, "Speeding up convolutional neural networks with low rank expansions", scheme of a basis and its combinations.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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

# layer -> kernel [3, 3, in, out] and bias [out]; of a factored one basis [3, 3, in, rank], kernel [1, 1, rank, out] and bias [out]
Convolutions = dict[str, tuple[np.ndarray, ...]]


class Filters(NamedTuple):
    """What a layer has: `count` filters, each mixed from `rank` convolutions of 3 x 3 that they share; 0 = each is one of its own."""

    count: int
    rank: int = 0


# Of conv1_1 to conv3_4 of vgg19_slim: VGG19's responses lie in so small a space that these tell them (docs/style-network.md).
SLIM_RANKS = (10, 20, 40, 40, 80, 56, 48, 48)

_POOLING = {"max": keras.layers.MaxPooling2D, "avg": keras.layers.AveragePooling2D}


def plain_filters(width: int = 64) -> dict[str, Filters]:
    """The filters of a VGG19 whose first block has `width`."""
    return {layer: Filters(width * CHANNELS[block_of(layer) - 1]) for layer in LAYERS}


def slim_filters(width: int = 64, deep: int = 128, ranks: Sequence[int] = SLIM_RANKS) -> dict[str, Filters]:
    """Those of vgg19_slim: VGG19's in the first three blocks, factored, and `deep` in each layer of the last two.

    Args:
      ranks: of the first layers, in order; the layers behind them are whole, and those that have no more filters than that.
    """
    counts = {layer: deep if block_of(layer) > 3 else filters.count for layer, filters in plain_filters(width).items()}
    given = dict(zip(LAYERS, ranks, strict=False))
    return {layer: Filters(count, rank if (rank := given.get(layer, 0)) < count else 0) for layer, count in counts.items()}


def filters_of(convolutions: Convolutions) -> dict[str, Filters]:
    """The filters that convolutions are of."""
    return {layer: Filters(arrays[-1].shape[0], arrays[0].shape[3] if len(arrays) == 3 else 0) for layer, arrays in convolutions.items()}


def build_vgg19(
    filters: int | Mapping[str, Filters] = 64,
    pooling: str = "max",
    taps: Sequence[str] = ("conv5_1",),
    name: str = "vgg19",
    edge: str = "zero",
) -> keras.Model:
    """Builds VGG19 up to its deepest tap, randomly initialised.

    Args:
      filters: of each layer; or the width, channels of the first block, where they are VGG19's, which has 64.
      pooling: "max" (VGG19's own) or "avg" (the style paper's).
      taps: names from LAYERS.
      name: of the model.
      edge: what convolutions see beyond the image: "zero" (VGG19's own) or "repeat", the outermost pixels.

    Returns:
      keras.Model: float32 RGB 0-255 [batch, height, width, 3] of any size -> {tap: float32 [batch, h, w, channels],
      after the ReLU}. Layers are named as in LAYERS, the basis of a factored one as "conv2_1_basis", pools "pool1" to "pool4".

    Raises:
      RecipeError: an unknown tap, pooling or edge.
    """
    deepest = _deepest(pooling, taps)
    if edge not in EDGES:
        raise RecipeError(f"edge must be one of {', '.join(EDGES)}, got {edge!r}")
    inputs = keras.Input((None, None, 3), name="image")
    responses = _responses(inputs, filters, pooling, deepest, edge)
    return keras.Model(inputs, {tap: responses[tap] for tap in taps}, name=name)


def build_vgg19_base(image_size: int | None, filters: int | Mapping[str, Filters] = 64, last: str = "conv5_4", name: str = "vgg19") -> keras.Model:
    """VGG19 without its top, for the catalogue; filters as `build_vgg19`.

    Returns:
      keras.Model: float RGB 0-255 [batch, size, size, 3] -> [batch, size // 32, size // 32, filters of the last layer].
    """
    inputs = keras.Input((image_size, image_size, 3), name="image")
    x = _responses(inputs, filters, "max", last)[last]  # 14 x 14 x 512, for 224 px
    return keras.Model(inputs, _POOLING["max"](2, name="pool5")(x), name=name)  # 7 x 7 x 512


def _responses(inputs: Any, filters: int | Mapping[str, Filters], pooling: str, last: str, edge: str = "zero") -> dict[str, Any]:
    """{layer: its responses} up to the last."""
    filters = plain_filters(filters) if isinstance(filters, int) else filters
    x, responses = CaffePixels(name="pixels")(inputs), {}
    for before, layer in zip((None, *LAYERS), LAYERS[: LAYERS.index(last) + 1], strict=False):
        block = block_of(layer)  # h / 2 ** (block - 1)
        if before and block != block_of(before):
            x = _POOLING[pooling](2, name=f"pool{block - 1}")(x)  # odd rows and columns at the end are left out
        if edge == "repeat":
            x = EdgePadding(name=f"{layer}_edge")(x)
        x = responses[layer] = _convolved(x, filters[layer], layer, "valid" if edge == "repeat" else "same")
    return responses


def set_convolutions(model: keras.Model, convolutions: Convolutions, source: str = "the weights") -> None:
    """Sets a model's convolutions by name.

    Args:
      model: what a builder of this file returned, changed in place.
      convolutions: Convolutions; layers that the model lacks are left out.
      source: what to call them in an error.

    Raises:
      WeightsError: a layer is missing or has another shape.
    """
    for layer in (layer for layer in model.layers if layer.name in LAYERS):
        if layer.name not in convolutions:
            raise WeightsError(f"{source} end at {list(convolutions)[-1]}, {layer.name} is needed: give the weights of all of VGG19")
        expected = [tuple(weight.shape) for weight in _weights_of(model, layer.name)]
        got = [tuple(weight.shape) for weight in convolutions[layer.name]]
        if got != expected:
            raise WeightsError(f"{source} do not fit: {layer.name} should have the shape {expected[0]}, got {got[0]}")
        *basis, kernel, bias = convolutions[layer.name]
        layer.set_weights([kernel, bias])
        if basis:
            model.get_layer(basis_name(layer.name)).set_weights(basis)


def convolutions_of(model: keras.Model) -> Convolutions:
    """The convolutions of a model, in the network's order."""
    return {layer: tuple(_weights_of(model, layer)) for layer in LAYERS if _has(model, layer)}


def basis_name(layer: str) -> str:
    """The name of the convolutions that a factored layer's filters are mixed from."""
    return f"{layer}_basis"


def block_of(layer: str) -> int:
    """The block of a layer: "conv4_2" -> 4."""
    return int(layer[4])


def _convolved(x: Any, filters: Filters, name: str, padding: str) -> Any:
    # He's initial weights keep the size of responses through the depth: nothing here is normalised by batch.
    if filters.rank:  # no ReLU between the two
        x = keras.layers.Conv2D(filters.rank, 3, padding=padding, use_bias=False, kernel_initializer="lecun_normal", name=basis_name(name))(x)
    size = 1 if filters.rank else 3
    return keras.layers.Conv2D(filters.count, size, padding=padding, activation="relu", kernel_initializer="he_normal", name=name)(x)


def _weights_of(model: keras.Model, layer: str) -> list[np.ndarray]:
    basis = model.get_layer(basis_name(layer)).get_weights() if _has(model, basis_name(layer)) else []
    return [*basis, *model.get_layer(layer).get_weights()]


def _deepest(pooling: str, taps: Sequence[str]) -> str:
    if pooling not in _POOLING:
        raise RecipeError(f"pooling must be one of {', '.join(_POOLING)}, got {pooling!r}")
    unknown = [tap for tap in taps if tap not in LAYERS]
    if unknown or not taps:
        raise RecipeError(f"layers must be of {', '.join(LAYERS)}, got {', '.join(map(repr, unknown)) or 'none'}")
    return max(taps, key=LAYERS.index)


def _has(model: keras.Model, name: str) -> bool:
    return any(layer.name == name for layer in model.layers)
