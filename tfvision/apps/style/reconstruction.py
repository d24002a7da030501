"""Figure 1: what single layers know of a photo's content, or of a painting's style."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfvision.apps.style.presets import Preset, paper
from tfvision.apps.style.stylization import Stylization, stylize
from tfvision.errors import RecipeError
from tfvision.models.vgg19 import PERCEPTUAL_LAYERS, STYLE_LAYERS

CONTENT, STYLE = "content", "style"


def style_subset(layer: str) -> tuple[str, ...]:
    """The growing subsets of figure 1 and 3: "conv3_1" -> ("conv1_1", "conv2_1", "conv3_1"). Raises RecipeError."""
    if layer not in STYLE_LAYERS:
        raise RecipeError(f"a subset ends with one of {', '.join(STYLE_LAYERS)}, got {layer!r}")
    return STYLE_LAYERS[: STYLE_LAYERS.index(layer) + 1]


def reconstruct(kind: str, image: np.ndarray, layers: Sequence[str], preset: Preset | None = None, **arguments: Any) -> Stylization:
    """The picture that answers as `image` does in some layers, found from white noise (paper, Methods).

    Args:
      kind: "content" (eq. 1, one layer) or "style" (eq. 5, any layers).
      image: uint8 [height, width, 3].
      layers: names of layers.
      preset: Preset; None = the paper's. Its layers and weights are replaced.
      arguments: `on_iteration` and `state_path` of `stylize`.

    Returns:
      Stylization.

    Raises:
      RecipeError: layers that do not exist, or several for content; and what `stylize` raises.
    """
    preset = preset or paper()
    unknown = [layer for layer in layers if layer not in PERCEPTUAL_LAYERS]
    if unknown or not layers:
        raise RecipeError(f"--layer must be of {', '.join(PERCEPTUAL_LAYERS)}, got {', '.join(unknown) or 'none'}")
    if kind == CONTENT:
        if len(layers) > 1:
            raise RecipeError(f"content is reconstructed from one layer, got {len(layers)}: {', '.join(layers)}")
        preset = dataclasses.replace(preset, content_layer=layers[0], style_layers=(), content_weight=1.0)
        return stylize(image, [], preset, **arguments)
    if kind != STYLE:
        raise RecipeError(f"reconstruct {CONTENT} or {STYLE}, got {kind!r}")
    preset = dataclasses.replace(preset, content_layer="", style_layers=tuple(layers), style_weight=1.0)
    return stylize(None, [image], preset, **arguments)
