"""Stylizers: feed-forward networks that paint any photo in the manner of one painting, at once.

    tfvision.stylizer.train("painting.jpg", "my-photos/", run="runs/stylizer")
"""

import typing

from tfvision.public_names import public_names

if typing.TYPE_CHECKING:
    from tfvision.apps.stylizer.recipes import RECIPES as RECIPES
    from tfvision.apps.stylizer.training import train_stylizer as train

_NAMES = {
    "train": "training:train_stylizer",
    "RECIPES": "recipes:RECIPES",
}
__getattr__, __dir__, __all__ = public_names(__name__, _NAMES)
