"""The layers of a retriever's base."""

from pathlib import Path

from tfvision.features.layers import LayeredNetwork, layers_of_base
from tfvision.trained.retriever_network import load_retriever
from tfvision.trained.retriever_run import RetrieverRun


def open_layers(folder: Path) -> LayeredNetwork:
    """Those of the network that stage 1 fine-tuned. Raises RunError."""
    run = RetrieverRun.open(folder)
    return layers_of_base(load_retriever(folder, run.recipe.size_px).base, run.recipe.network, run.recipe.size_px)
