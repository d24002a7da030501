"""Tattoo matching: whose tattoo is it, and how far is that to be trusted?

    tfvision.tattoo_matching.train("tattoos/", run="runs/matcher")
    tfvision.tattoo_matching.evaluate("runs/matcher", "tattoos/")["cmc"]
"""

import typing

from tfvision.public_names import public_names

if typing.TYPE_CHECKING:
    from tfvision.apps.tattoo_matching.evaluation import evaluate_matcher as evaluate
    from tfvision.apps.tattoo_matching.recipes import RECIPES as RECIPES
    from tfvision.apps.tattoo_matching.training import train_matcher as train

_NAMES = {
    "train": "training:train_matcher",
    "evaluate": "evaluation:evaluate_matcher",
    "RECIPES": "recipes:RECIPES",
}
__getattr__, __dir__, __all__ = public_names(__name__, _NAMES)
