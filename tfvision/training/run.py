"""A training's folder on disk, and its beginning, going on and giving up, whatever is trained."""

import contextlib
import dataclasses
import functools
import os
import platform
import shutil
import tempfile
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path

from tfvision import __version__
from tfvision.applications import names_with
from tfvision.errors import RecipeError, RunError, UserError, in_one_line, is_out_of_memory
from tfvision.files import CHECKSUMS_NAME, check_checksum, read_json, remove_partial_files, write_checksums, write_json
from tfvision.kinds import Kind
from tfvision.training.recipes import Recipe, RecipeT, from_json

if typing.TYPE_CHECKING:
    import keras
    import tensorflow as tf

RUNS_FOLDER = Path("runs")
TOLD: Mapping[str, Kind] = {"run": str, "seconds": float, "broken": dict[str, str] | None}  # of metrics.json, whatever is trained
REMEDY = "train again, or restore the file"


@dataclasses.dataclass(frozen=True)
class Run(typing.Generic[RecipeT]):
    """The files of a run, read when asked for. An application derives its own, with its name and its recipe's class.

    Attributes:
      folder: the run.
      chief_folder: of the first of several workers, whose checkpoint all read; None = folder.
    """

    APPLICATION: typing.ClassVar[str] = ""
    COMMAND: typing.ClassVar[str] = ""  # that trains it
    RECIPE: typing.ClassVar[type] = Recipe
    FACTS: typing.ClassVar[Mapping[str, Kind]] = {}  # what recipe.json holds of the source
    METRICS: typing.ClassVar[Mapping[str, Kind]] = {}  # what metrics.json holds, of which commands tell

    folder: Path
    chief_folder: Path | None = None

    @classmethod
    def open(cls, folder: str | Path) -> typing.Self:
        """Opens a finished run. Raises RunError where there is none."""
        run = cls(Path(folder))
        run._check_application()
        if not run.weights_path.is_file():
            raise RunError(f"{folder} is not finished: go on with `{cls.COMMAND} --run {folder} --resume`")
        return run

    @classmethod
    def start(cls, folder: str | Path | None, worker: int, recipe: Recipe, facts: Mapping[str, typing.Any]) -> typing.Self:
        """Begins a run in a new folder; None = runs/APPLICATION, or the next free one.

        Args:
          worker: number of this worker; all but the first write to a folder that is thrown away.
          recipe: cls.RECIPE.
          facts: what recipe.json holds besides; JSON-able.

        Raises:
          RunError: the folder holds a run.
        """
        run = cls.of_worker(folder or new_run_folder(cls.APPLICATION), worker)
        if run.recipe_path.exists():
            raise RunError(f"{run.folder} holds a run already: go on with --resume, or choose another --run")
        write_json(run.recipe_path, {"application": cls.APPLICATION, **facts, "recipe": recipe, "versions": versions()})
        return run

    @classmethod
    def resume(cls, folder: str | Path | None, worker: int) -> typing.Self:
        """Opens a run to go on with. Raises RunError."""
        if folder is None:
            raise RunError("--resume needs --run DIR, the run to go on with")
        run = cls.of_worker(folder, worker)
        if worker:
            write_json(run.recipe_path, cls(Path(folder)).facts)
        run._check_application()
        return run

    @classmethod
    def of_worker(cls, folder: str | Path, worker: int) -> typing.Self:
        """The run of a worker: the first writes the run itself, each other a temporary folder that is thrown away."""
        folder = Path(folder)
        if worker == 0:
            return cls(folder)
        return cls(Path(tempfile.mkdtemp(prefix="tfvision-worker-")), chief_folder=folder)

    @contextlib.contextmanager
    def first_steps(self, is_resumed: bool) -> Iterator[None]:
        """What comes before anything is trained: where a new run fails in it, its folder is freed for another try."""
        remove_partial_files(self.folder)
        (self.folder / CHECKSUMS_NAME).unlink(missing_ok=True)  # of a training that was killed just before its end
        try:
            yield
        except UserError:
            if not is_resumed:
                self.give_up()
            raise

    def give_up(self) -> None:
        """Nothing was trained: frees the folder for another try."""
        for path in self.first_files:
            path.unlink(missing_ok=True)
        for folder in (self.folder / "checkpoints", self.logs_path):
            shutil.rmtree(folder, ignore_errors=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def finish(self, metrics: Mapping[str, typing.Any]) -> None:
        """Writes checksums and the metrics, with which a run is finished, and removes what only a resumption needed."""
        write_checksums([path for path in self.kept_files if path.exists()])
        write_json(self.metrics_path, metrics)
        shutil.rmtree(self.checkpoint_path.parent if self.chief_folder is None else self.folder, ignore_errors=True)

    def finished_metrics(self) -> dict[str, typing.Any] | None:
        """The metrics where the run (the chief's, for a worker) is finished, else None."""
        chief = type(self)(self.chief_folder or self.folder)
        return chief.metrics if os.path.lexists(chief.metrics_path) else None

    @property
    def metrics(self) -> dict[str, typing.Any]:
        """What metrics.json holds. Raises RunError."""
        return read_run_file(self.metrics_path, self.METRICS)

    @functools.cached_property
    def facts(self) -> dict[str, typing.Any]:
        """What recipe.json holds: application, source, recipe, versions."""
        stored = read_run_file(self.recipe_path, {"application": str, "recipe": dict, "versions": dict[str, str] | None})
        return {**dict.fromkeys(self.FACTS), **stored}

    @property
    def recipe(self) -> RecipeT:
        try:
            return from_json(self.facts["recipe"], self.RECIPE) if self.facts else self.RECIPE()
        except RecipeError as error:
            raise RunError(f"{self.recipe_path}: {error}") from error

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """A block that builds the network of the stored recipe. Raises RunError where it makes none: it was changed."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:  # Keras and TensorFlow raise many kinds
            if is_out_of_memory(error):
                raise
            raise RunError(f"{self.recipe_path} was changed: no network can be built from it ({in_one_line(error)}); {REMEDY}") from error

    @property
    def first_files(self) -> list[Path]:
        """What is written before anything is trained."""
        return [self.recipe_path, self.photos_path]

    @property
    def kept_files(self) -> list[Path]:
        """What a finished run answers by, which is held to its checksums."""
        return [*self.first_files, self.weights_path]

    @property
    def recipe_path(self) -> Path:
        return self.folder / "recipe.json"

    @property
    def weights_path(self) -> Path:
        return self.folder / "model.weights.h5"

    @property
    def metrics_path(self) -> Path:
        return self.folder / "metrics.json"

    @property
    def checkpoint_path(self) -> Path:
        return (self.chief_folder or self.folder) / "checkpoints" / "latest.npz"

    def phase_path(self, name: str) -> Path:
        """Weights of a finished phase that later ones need, until all are finished; every worker reads the chief's."""
        return self.checkpoint_path.parent / f"{name}.weights.h5"

    @property
    def last_good_path(self) -> Path:
        return self.folder / "last_good.weights.h5"

    @property
    def logs_path(self) -> Path:
        return self.folder / "logs"

    @property
    def photos_path(self) -> Path:
        """A CSV of the photos, and which of them trained."""
        return self.folder / "photos.csv"

    @property
    def report_path(self) -> Path:
        return self.folder / "report.html"

    def check_stack(self) -> None:
        """Raises RunError where the run was begun with another Keras, whose optimisers keep other variables in other orders."""
        made, here = self.facts.get("versions") or {}, versions()
        if made.get("keras", here["keras"]).split(".")[0] != here["keras"].split(".")[0]:
            one, other = (f"Python {of.get('python')} (TensorFlow {of.get('tensorflow')}, Keras {of.get('keras')})" for of in (made, here))
            raise RunError(f"{self.folder} was begun with {one}, this is {other}: go on with that Python, or train anew with another --run")

    def _check_application(self) -> None:
        application = self.facts["application"]
        if application != self.APPLICATION:
            raise RunError(f"{self.folder} is a run of {application!r}, not of {self.APPLICATION}")
        read_run_file(self.recipe_path, self.FACTS)


def application_of(folder: str | Path, part: str) -> str:
    """The application that a run folder belongs to. Raises RunError where it is none that has the part (applications.py)."""
    application, known = read_run_file(Path(folder) / "recipe.json", {"application": str})["application"], names_with(part)
    if application not in known:
        raise RunError(f"{folder} is a run of {application!r}; known here are {', '.join(known)}")
    return application


def read_run_file(path: Path, kind: Kind = object) -> typing.Any:
    """A JSON file of a run.

    Args:
      kind: what it must hold, as `kinds.is_of` takes it.

    Raises:
      RunError: it is missing, damaged, or does not hold that.
    """
    if not os.path.lexists(path):
        raise RunError(f"{path} does not exist: is {path.parent} a run folder made by `tfvision train`?")
    check_checksum(path, REMEDY, RunError)
    return read_json(path, kind, REMEDY, RunError)


def load_run_weights(model: "keras.Model", path: str | Path) -> None:
    """Loads the weights of a run into its network, built anew. Raises RunError."""
    check_checksum(Path(path), REMEDY, RunError)
    try:
        model.load_weights(path)
    except Exception as error:  # h5py and Keras raise many kinds
        raise RunError(f"{path} cannot be loaded ({in_one_line(error)}): train again") from error


def new_run_folder(application: str) -> Path:
    """runs/APPLICATION, or the first free runs/APPLICATION-N."""
    number = 1
    while (folder := RUNS_FOLDER / (application if number == 1 else f"{application}-{number}")).exists():
        number += 1
    return folder


def settle_recipe(recipe: RecipeT, strategy: "tf.distribute.Strategy") -> RecipeT:
    """The recipe with its precision chosen for this machine. Raises RecipeError where the batch fits no replicas."""
    from tfvision.training.loop import resolve_precision

    if recipe.batch_size % strategy.num_replicas_in_sync:
        raise RecipeError(f"batch_size {recipe.batch_size} must be a multiple of the {strategy.num_replicas_in_sync} replicas")
    return dataclasses.replace(recipe, precision=resolve_precision(recipe.precision))


def versions() -> dict[str, str]:
    """Of what computes, for recipe.json."""
    import keras
    import tensorflow as tf

    return {"tfvision": __version__, "tensorflow": tf.__version__, "keras": keras.__version__, "python": platform.python_version()}
