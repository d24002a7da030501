"""A tattoo matcher's run as a network that makes features."""

import dataclasses
from pathlib import Path

import tensorflow as tf

from tfvision.features.networks import EMBEDDING, FeatureNetwork, hash_arrays, refuse_layers
from tfvision.features.recipe import FeatureRecipe
from tfvision.models.catalogue import get_network
from tfvision.trained.matcher_network import embed, load_embedder
from tfvision.trained.matcher_run import MatcherRun


def open_features(recipe: FeatureRecipe, folder: Path) -> FeatureNetwork:
    """A tattoo matcher's one tower."""
    refuse_layers(recipe)
    run = MatcherRun.open(folder)
    model = load_embedder(folder).model

    def responses(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {EMBEDDING: embed(model, images, run.recipe)}

    def view(images: tf.Tensor) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        return {EMBEDDING: embed(model, images, dataclasses.replace(run.recipe, rotations=1))}, {}

    identity = f"embedder {run.recipe.network} {run.recipe.rotations} {hash_arrays(model.get_weights())}"
    least = get_network(run.recipe.network).least_image_size
    return FeatureNetwork(responses, recipe.image_size or run.recipe.size_px, (None, None, None, 3), identity, least, f"weights of {folder}", view)
