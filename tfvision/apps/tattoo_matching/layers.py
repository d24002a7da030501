"""The layers of a matcher's tower."""

from pathlib import Path

import keras

from tfvision.features.layers import LayeredNetwork, layers_of_base
from tfvision.trained.matcher_network import load_embedder
from tfvision.trained.matcher_run import MatcherRun


def open_layers(folder: Path) -> LayeredNetwork:
    """Those of its network, up to what is embedded. Raises RunError."""
    run = MatcherRun.open(folder)
    model = load_embedder(folder, run.recipe.size_px).model
    base = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    return layers_of_base(base, run.recipe.network, run.recipe.size_px)
