"""A species run as a network that makes features."""

from pathlib import Path

import tensorflow as tf

from tfvision.data.graph_decoding import views_of_pixels
from tfvision.data.views import CENTRAL_FRACTION, VIEWS
from tfvision.features.networks import EMBEDDING, FeatureNetwork, hash_arrays, refuse_layers
from tfvision.features.recipe import FeatureRecipe
from tfvision.trained.species_network import features_model, image_size_of, load_species_network
from tfvision.trained.species_run import SpeciesRun


def open_features(recipe: FeatureRecipe, folder: Path) -> FeatureNetwork:
    """The features before the last layer of a species run, of the views it was trained on."""
    refuse_layers(recipe)
    run = SpeciesRun.open(folder)
    trained, size = run.recipe, image_size_of(run.recipe)
    model = features_model(load_species_network(run))

    def embed(views: tf.Tensor) -> tf.Tensor:
        return model({view: views[:, number] for number, view in enumerate(trained.views)}, training=False)

    def responses(images: tf.Tensor) -> dict[str, tf.Tensor]:
        views = tf.map_fn(lambda image: views_of_pixels(image, trained.views, size), images)
        embedding = embed(views)
        return {EMBEDDING: (embedding + embed(tf.reverse(views, [3]))) / 2 if trained.is_mirrored_at_prediction else embedding}

    # Large enough that no view has to be magnified.
    whole = recipe.image_size or -int(-size // (CENTRAL_FRACTION * min(VIEWS[view] for view in trained.views)))
    identity = f"run {trained.network} {trained.views} {trained.is_mirrored_at_prediction} {hash_arrays(model.get_weights())}"
    return FeatureNetwork(responses, whole, (None, None, None, 3), identity, loaded=f"weights of {folder}")
