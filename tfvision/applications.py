"""The one table of applications: what each is called on the command line and in its runs, and where its parts lie.

An application is a folder whose files have the same names everywhere; what it has, it can:

    training.py    run_training takes its Training
    commands.py    `train` and `evaluate`, its own words of the command line
    evaluation.py  measures a run on labelled photos
    comparison.py  COMPARISON: its runs side by side
    evidence.py    `open_witness`: what its runs and exports see in photos, for `tfvision survey`
    features.py    `open_features`: its runs as networks that make features
    layers.py      `open_layers`: what any layer of its runs answers to a photo
    photo_answers.py  `answers`, `kept_answers`: what its runs say of the photos that they were made of, for `tfvision explore RUN`
    export.py      `make_exportable`: its runs as SavedModels

Nothing is imported before it is asked for.
"""

import dataclasses
import importlib
import importlib.util
import types


@dataclasses.dataclass(frozen=True)
class Application:
    """Where an application lies.

    Attributes:
      package: its name.
      evaluates_any_model: whether its protocols are for all that makes features, not for its own runs alone.
    """

    package: str
    evaluates_any_model: bool = False

    def has(self, part: str) -> bool:
        """Whether it has a file of this name."""
        return importlib.util.find_spec(f"{self.package}.{part}") is not None

    def part(self, name: str) -> types.ModuleType:
        """Imports a file of it."""
        return importlib.import_module(f"{self.package}.{name}")


APPLICATIONS = {
    "species": Application("tfvision.apps.species"),
    "retriever": Application("tfvision.apps.retrieval"),
    "tattoo-matcher": Application("tfvision.apps.tattoo_matching", evaluates_any_model=True),
    "tattoo-detector": Application("tfvision.apps.tattoo_detection"),
    "stylizer": Application("tfvision.apps.stylizer"),
    "vgg19-slim": Application("tfvision.apps.vgg19_slim"),
}


def names_with(part: str) -> list[str]:
    """The applications that have a part."""
    return [name for name, application in APPLICATIONS.items() if application.has(part)]
