"""Tattoo detection: does a photo show a tattoo, and where?

    tfvision.tattoo_detection.train("photos/", run="runs/detector")
    for answer in tfvision.tattoo_detection.load("runs/detector").detect(["photo.jpg"]):
        print(answer["is_tattoo"], answer["probability"])
"""

import typing

from tfvision.public_names import public_names

if typing.TYPE_CHECKING:
    from tfvision.apps.tattoo_detection.detection import load_detector as load
    from tfvision.apps.tattoo_detection.evaluation import evaluate_detector as evaluate
    from tfvision.apps.tattoo_detection.recipes import RECIPES as RECIPES
    from tfvision.apps.tattoo_detection.training import train_detector as train

_NAMES = {
    "train": "training:train_detector",
    "evaluate": "evaluation:evaluate_detector",
    "load": "detection:load_detector",
    "RECIPES": "recipes:RECIPES",
}
__getattr__, __dir__, __all__ = public_names(__name__, _NAMES)
