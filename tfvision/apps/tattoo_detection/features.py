"""A tattoo detector's run as a network that makes features: what its SVM sees."""

import dataclasses
from pathlib import Path

from tfvision.apps.tattoo_detection.svm_features import features_network
from tfvision.errors import RecipeError
from tfvision.features.networks import EMBEDDING, FeatureNetwork, refuse_layers
from tfvision.features.recipe import FeatureRecipe
from tfvision.trained.detector_network import load_detector_network
from tfvision.trained.detector_run import DetectorRun


def open_features(recipe: FeatureRecipe, folder: Path) -> FeatureNetwork:
    """The features that the SVM of a detector tells apart."""
    refuse_layers(recipe)
    run = DetectorRun.open(folder)
    if recipe.image_size not in (0, run.recipe.size_px):
        raise RecipeError(f"{folder} sees photos of {run.recipe.size_px} px alone, got an image_size of {recipe.image_size}")
    return dataclasses.replace(features_network(load_detector_network(run), run.recipe, EMBEDDING), loaded=f"weights of {folder}")
