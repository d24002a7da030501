"""The layers of a species network: of its stem, of each view's branch, of the tail."""

from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from tfvision.data.graph_decoding import views_of_pixels
from tfvision.features.layers import LayeredNetwork, Part
from tfvision.models.catalogue import get_network
from tfvision.trained.species_network import image_size_of, load_species_network
from tfvision.trained.species_run import SpeciesRun


def open_layers(folder: Path) -> LayeredNetwork:
    """Parts are `stem` (of the first view), `whole_branch`, `crop_branch`, ..., and `tail`. Raises RunError."""
    run = SpeciesRun.open(folder)
    model, views, network = load_species_network(run), run.recipe.views, get_network(run.recipe.network)

    def parts(images: tf.Tensor) -> Iterator[Part]:
        seen = views_of_pixels(tf.cast(images[0], tf.uint8), views, image_size_of(run.recipe))
        stem = model.get_layer("stem")
        entered = {view: model.get_layer(f"{view}_scaled")(seen[number][None]) for number, view in enumerate(views)}
        yield Part(stem, entered[views[0]])
        maps = []
        for number, view in enumerate(views):
            branch, taken = model.get_layer("whole_branch" if number == 0 else f"{view}_branch"), stem(entered[view], training=False)
            yield Part(branch, taken, stem.layers[-1].output if number == 0 else None)  # the first is cut from the network as it came
            maps.append(branch(taken, training=False))
        merged = model.get_layer("merge")(model.get_layer("views")(maps)) if len(views) > 1 else maps[0]
        yield Part(model.get_layer("tail"), merged, model.get_layer("whole_branch").layers[-1].output)

    return LayeredNetwork(run.recipe.network, parts, 0, network.taps)
