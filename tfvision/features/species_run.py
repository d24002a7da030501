"""A species run on disk."""

import dataclasses
import functools
import typing

from tfvision.data.taxonomy import Taxonomy
from tfvision.runs import read_json
from tfvision.training.recipes import Recipe
from tfvision.training.run import Run


@dataclasses.dataclass(frozen=True)
class SpeciesRun(Run):
    """The files of a species run."""

    APPLICATION: typing.ClassVar[str] = "species"
    COMMAND: typing.ClassVar[str] = "tfvision train species"
    RECIPE: typing.ClassVar[type] = Recipe

    @functools.cached_property
    def taxonomy(self):
        """The Taxonomy whose leaves are the classes."""
        return Taxonomy.load(self.taxonomy_path)

    @functools.cached_property
    def calibration(self):
        """Temperature, target and thresholds; see evaluation.py."""
        return read_json(self.calibration_path)

    @property
    def first_files(self):
        return [self.recipe_path, self.taxonomy_path, self.photos_path]

    @property
    def taxonomy_path(self):
        return self.folder / "taxonomy.json"

    @property
    def calibration_path(self):
        return self.folder / "calibration.json"
