"""A species run as a network that makes features."""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfvision.data.graph_decoding import views_of_pixels
from tfvision.data.views import CENTRAL_FRACTION, VIEWS
from tfvision.features.networks import EMBEDDING, FeatureNetwork, hash_arrays, refuse_layers
from tfvision.features.recipe import FeatureRecipe
from tfvision.trained.species_network import features_model, image_size_of, load_species_network
from tfvision.trained.species_run import SpeciesRun

_MARGIN = (1 - CENTRAL_FRACTION) / 2
_CENTRE = (_MARGIN, _MARGIN, CENTRAL_FRACTION, CENTRAL_FRACTION)


def open_features(recipe: FeatureRecipe, folder: Path) -> FeatureNetwork:
    """The features before the last layer of a species run, of the views it was trained on."""
    refuse_layers(recipe)
    run = SpeciesRun.open(folder)
    trained, size = run.recipe, image_size_of(run.recipe)
    model = features_model(load_species_network(run))

    def embed(views: tf.Tensor, model: keras.Model = model) -> Any:
        return model({view: views[:, number] for number, view in enumerate(trained.views)}, training=False)

    def cut(images: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(lambda image: views_of_pixels(image, trained.views, size), images)

    def responses(images: tf.Tensor) -> dict[str, tf.Tensor]:
        views = cut(images)
        embedding = embed(views)
        return {EMBEDDING: (embedding + embed(tf.reverse(views, [3]))) / 2 if trained.is_mirrored_at_prediction else embedding}

    def view(images: tf.Tensor) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        if len(trained.views) == 1:
            return {EMBEDDING: embed(cut(images))}, {}
        # Behind the merge of several views a position is one of each of them: the first one, the whole, is looked at before it.
        embedding, maps = embed(cut(images), keras.Model(model.input, [model.output, model.get_layer("views").input[0]]))
        return {EMBEDDING: embedding}, {trained.views[0]: maps}

    # Large enough that no view has to be magnified.
    whole = recipe.image_size or -int(-size // (CENTRAL_FRACTION * min(VIEWS[view] for view in trained.views)))
    identity = f"run {trained.network} {trained.views} {trained.is_mirrored_at_prediction} {hash_arrays(model.get_weights())}"
    return FeatureNetwork(responses, whole, (None, None, None, 3), identity, loaded=f"weights of {folder}", view=view, view_box=_CENTRE)
