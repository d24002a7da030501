"""Retrieval: an index learnt from labels by Feature Tuning.

    tfvision.retrieval.train("my-photos/", run="runs/retriever")
    tfvision.retrieval.evaluate("runs/retriever", "other-photos/")["map"]
"""

import typing

from tfvision.public_names import public_names

if typing.TYPE_CHECKING:
    from tfvision.apps.retrieval.evaluation import evaluate_retriever as evaluate
    from tfvision.apps.retrieval.recipes import RECIPES as RECIPES
    from tfvision.apps.retrieval.training import train_retriever as train

_NAMES = {
    "train": "training:train_retriever",
    "evaluate": "evaluation:evaluate_retriever",
    "RECIPES": "recipes:RECIPES",
}
__getattr__, __dir__, __all__ = public_names(__name__, _NAMES)
