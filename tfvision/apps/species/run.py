"""A species run on disk."""

import dataclasses
import functools
import tempfile
from pathlib import Path

from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import RunError
from tfvision.runs import read_json
from tfvision.training.recipes import Recipe, from_json

APPLICATION = "species"
RUNS_FOLDER = Path("runs")


@dataclasses.dataclass(frozen=True)
class SpeciesRun:
    """The files of a run, read when asked for.

    Attributes:
      folder: the run.
      chief_folder: of the first of several workers, whose checkpoint all read; None = folder.
    """

    folder: Path
    chief_folder: Path | None = None

    @classmethod
    def open(cls, folder):
        """Opens a finished run. Raises RunError where there is none."""
        run = cls(Path(folder))
        if run.facts.get("application") != APPLICATION:
            raise RunError(f"{folder} is a run of {run.facts.get('application')!r}, not of species")
        if not run.weights_path.is_file():
            raise RunError(f"{folder} is not finished: go on with `tfvision train species --run {folder} --resume`")
        return run

    @functools.cached_property
    def facts(self):
        """What recipe.json holds: application, source, ranks, recipe, versions."""
        return read_json(self.recipe_path)

    @property
    def recipe(self):
        """The Recipe."""
        return from_json(self.facts["recipe"]) if self.facts else Recipe()

    @functools.cached_property
    def taxonomy(self):
        """The Taxonomy whose leaves are the classes."""
        return Taxonomy.load(self.taxonomy_path)

    @functools.cached_property
    def calibration(self):
        """Temperature, target and thresholds; see evaluation.py."""
        return read_json(self.calibration_path)

    @property
    def recipe_path(self):
        return self.folder / "recipe.json"

    @property
    def taxonomy_path(self):
        return self.folder / "taxonomy.json"

    @property
    def photos_path(self):
        return self.folder / "photos.csv"

    @property
    def weights_path(self):
        return self.folder / "model.weights.h5"

    @property
    def calibration_path(self):
        return self.folder / "calibration.json"

    @property
    def metrics_path(self):
        return self.folder / "metrics.json"

    @property
    def checkpoint_path(self):
        return (self.chief_folder or self.folder) / "checkpoints" / "latest.npz"

    @property
    def last_good_path(self):
        return self.folder / "last_good.weights.h5"

    @property
    def logs_path(self):
        return self.folder / "logs"


def worker_run(folder, worker):
    """The run of a worker: the first writes the run itself, each other a temporary folder that is thrown away."""
    folder = Path(folder)
    if worker == 0:
        return SpeciesRun(folder)
    return SpeciesRun(Path(tempfile.mkdtemp(prefix="tfvision-worker-")), chief_folder=folder)


def new_run_folder():
    """runs/species, or the first free runs/species-N."""
    number = 1
    while (folder := RUNS_FOLDER / (APPLICATION if number == 1 else f"{APPLICATION}-{number}")).exists():
        number += 1
    return folder
