"""The layers of a network that `tfvision train vgg19-slim` left."""

from pathlib import Path

from tfvision.features.layers import LayeredNetwork, layers_of_base
from tfvision.models.catalogue import get_network
from tfvision.models.convolutions import read_convolutions
from tfvision.models.vgg19 import build_vgg19_base, filters_of
from tfvision.models.weights import load_pretrained
from tfvision.trained.vgg19_slim_run import Vgg19SlimRun


def open_layers(folder: Path) -> LayeredNetwork:
    """Those up to conv5_1. Raises RunError, WeightsError."""
    run, network = Vgg19SlimRun.open(folder), "vgg19_slim"
    size = get_network(network).image_size
    convolutions, _ = read_convolutions(run.weights_path)
    base = build_vgg19_base(size, filters_of(convolutions), last="conv5_1", name=network)
    load_pretrained(base, network, str(run.weights_path))
    return layers_of_base(base, network, size)
