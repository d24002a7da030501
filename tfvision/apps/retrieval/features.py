"""A retriever's run as a network that makes features."""

from pathlib import Path

from tfvision.errors import RecipeError
from tfvision.features.networks import FeatureNetwork, hash_arrays
from tfvision.features.recipe import FeatureRecipe
from tfvision.models.catalogue import get_network
from tfvision.trained.retriever_network import index_responses, load_retriever
from tfvision.trained.retriever_run import RetrieverRun


def open_features(recipe: FeatureRecipe, folder: Path) -> FeatureNetwork:
    """Feature Tuning: taps, additions of them, or what was trained on them; the run's own index where none is named."""
    run = RetrieverRun.open(folder)
    names = recipe.layers or (run.recipe.index,)
    if unknown := [name for name in names if name not in run.recipe.indices]:
        raise RecipeError(f"layers of {folder} are {', '.join(run.recipe.indices)}, got {', '.join(unknown)}")
    retriever = load_retriever(folder)
    identity = f"retriever {run.recipe.network} {hash_arrays(retriever.whole.get_weights())}"
    responses = index_responses(retriever, run.recipe, names)
    least = get_network(run.recipe.network).least_image_size
    return FeatureNetwork(responses, recipe.image_size or run.recipe.size_px, (None, None, None, 3), identity, least, f"weights of {folder}")
