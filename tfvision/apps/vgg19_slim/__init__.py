"""vgg19_slim, the perceptual network that tfvision ships, and its training.

    tfvision.vgg19_slim.train("my-photos/", ["vgg19.weights.h5"])
"""

import typing

from tfvision.public_names import public_names

if typing.TYPE_CHECKING:
    from tfvision.apps.vgg19_slim.recipes import RECIPES as RECIPES
    from tfvision.apps.vgg19_slim.training import train_vgg19_slim as train

_NAMES = {
    "train": "training:train_vgg19_slim",
    "RECIPES": "recipes:RECIPES",
}
__getattr__, __dir__, __all__ = public_names(__name__, _NAMES)
