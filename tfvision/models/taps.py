"""A catalogue network that answers with its inner layers, by name."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfvision.errors import RecipeError
from tfvision.models.catalogue import Network, get_network
from tfvision.models.weights import load_pretrained


def build_taps(name: str, taps: Sequence[str] = (), image_size: int | None = None, weights: str = "imagenet") -> tuple[keras.Model, str]:
    """Builds a network that answers with taps.

    Args:
      name: as `get_network` takes it.
      taps: names of the network's taps, or of any of its layers; () = its last tap.
      image_size: pixels a side; None = any.
      weights: as `load_pretrained` takes them; "none" = random ones that are the same in every process.

    Returns:
      (model, sentence): keras.Model, float32 RGB 0-255 [batch, height, width, 3] -> {tap: [batch, h, w, channels], or
      [batch, channels] of a layer without positions}; and one sentence on the weights that were loaded.

    Raises:
      RecipeError: an unknown network or tap, or too small an image.
      WeightsError: as `load_pretrained`; the taps depend on a layer that a file lacks.
    """
    network = get_network(name)
    if image_size and image_size < network.least_image_size:
        raise RecipeError(f"image_size of {name} must be at least {network.least_image_size}, got {image_size}")
    base = network.build(image_size)
    outputs = tap_outputs(base, network, name, taps)
    needed = {layer.name for layer in keras.Model(base.input, outputs).layers}
    loaded = load_pretrained(base, name, weights, needed)
    if weights == "none":
        _draw_weights(base)
    image = keras.Input((image_size, image_size, 3), name="image")
    pixels = keras.layers.Rescaling(network.scale, network.offset, name="scaled")(image)
    return keras.Model(image, keras.Model(base.input, outputs, name=base.name)(pixels), name=f"{base.name}_taps"), loaded


def tap_outputs(base: keras.Model, network: Network, name: str, taps: Sequence[str] = ()) -> dict[str, Any]:
    """{tap: tensor} of a built network, in the order of `taps`. Raises RecipeError, which lists the known ones."""
    layers = {layer.name for layer in base.layers}
    outputs = {}
    for tap in taps or tuple(network.taps)[-1:]:
        layer = network.taps.get(tap, tap)
        if layer not in layers:
            raise RecipeError(f"layers of {name} are {', '.join(network.taps)}, or any by Keras's name, got {tap!r}")
        outputs[tap] = base.get_layer(layer).output
    return outputs


def _draw_weights(base: keras.Model, seed: int = 0) -> None:
    """He's initial weights, by the seed alone: two processes that build the same network get the same features."""
    generator = np.random.default_rng(seed)
    for layer in base.layers:
        is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        drawn = []
        for values in layer.get_weights():
            inputs = np.prod(values.shape[: 2 if is_depthwise else -1])
            drawn.append(generator.normal(0, np.sqrt(2 / inputs), values.shape) if values.ndim > 1 else values)
        layer.set_weights(drawn)
