"""Species: names an animal or plant from photos, as deep in the taxonomy as it may go at a chosen accuracy.

    import tfvision

    tfvision.species.train("my-photos/", run="runs/mine")
    for answer in tfvision.species.load("runs/mine").identify(["photo.jpg"]):
        print(answer["taxon"], answer["probability"])
"""

import typing

from tfvision.public_names import public_names

if typing.TYPE_CHECKING:
    from tfvision.apps.species.evaluation import evaluate_species as evaluate
    from tfvision.apps.species.identification import load_identifier as load
    from tfvision.apps.species.recipes import RECIPES as RECIPES
    from tfvision.apps.species.training import train_species as train

_NAMES = {
    "train": "training:train_species",
    "evaluate": "evaluation:evaluate_species",
    "load": "identification:load_identifier",
    "RECIPES": "recipes:RECIPES",
}
__getattr__, __dir__, __all__ = public_names(__name__, _NAMES)
