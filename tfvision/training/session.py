"""A training from its command to its report, whatever is trained: what every application's training does alike stands here once.

An application derives a Training that states what is its own. `run_training` starts or resumes the run, holds the photos to those
that it was begun with, seeds, goes through the phases under the strategy with bar, TensorBoard and checkpoints, keeps the last good
weights where the loss diverges, and writes weights, metrics and report.
"""

import abc
import contextlib
import dataclasses
import sys
import time
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import keras
import tensorflow as tf

from tfvision.data.names import tidy_name
from tfvision.data.pipeline import BrokenPhotos
from tfvision.errors import DataError, RecipeError, RunError, is_out_of_memory
from tfvision.files import atomic_path, sole_process, write_checksums, write_text
from tfvision.models.weights import save_weights
from tfvision.training.callbacks import ProgressBar, TensorBoardLog
from tfvision.training.checkpoints import STEP, read_facts
from tfvision.training.loop import Learner, Task, TrainingDiverged, choose_strategy, train, worker_number
from tfvision.training.recipes import Recipe, Stages, get_recipe, with_settings
from tfvision.training.run import Run, load_run_weights, new_run_folder, settle_recipe
from tfvision.training.schedules import steps_in

Source = Mapping[str, typing.Any]
_BEGINNING = {"phase": 0, "step": 0}  # facts of a checkpoint
_MEMORY_SETTINGS = ("batch_size", "image_size", "crop_size", "painting_size")  # of a recipe, that decide how much memory it takes


def _nothing(*_: object) -> tuple[()]:
    return ()


@dataclasses.dataclass(frozen=True)
class Phase:
    """One phase of a training, whose network is made when its turn comes.

    Attributes:
      stages: (epochs, learning rate), in order.
      photos: training photos in an epoch.
      start: first position of this phase in the run's order of photos -> its Task.
      name: under which the weights are kept for the phases after it, so that a resumed run has them; "" = none needs them.
      log: folder of its TensorBoard log within the run's; "" = the run's own, where phases follow each other.
      watchers: TensorBoardLog -> callbacks that come before it.
      finish: what follows, with the trained model.
    """

    stages: Stages
    photos: int
    start: Callable[[int], Task]
    name: str = ""
    log: str = ""
    watchers: Callable[[TensorBoardLog], Sequence[keras.callbacks.Callback]] = _nothing
    finish: Callable[[keras.Model], object] = _nothing


class Training(abc.ABC):
    """What an application states of its training: `prepare`, `build`, `phases` and `judge`, in the order in which they are called.

    Class attributes:
      RUN: the Run that it writes.
      RECIPES: name -> function that returns the recipe.
      ASKED: {what a source is given by: its name on the command line}, of what a resumed run decides itself.

    Attributes:
      run: of class RUN; `run.facts` hold what `facts_of` returned.
      recipe: of class RUN.RECIPE, its precision settled.
      strategy: under whose scope the network is built.
      source: as given to `run_training`; {} where a run is resumed.
      broken: photos that cannot be read, by path.
      logs: what was logged last.
    """

    RUN: typing.ClassVar[type[Run]]
    RECIPES: typing.ClassVar[Mapping[str, Callable[[], Recipe]]]
    ASKED: typing.ClassVar[Mapping[str, str]] = {"source": "SOURCE"}
    run: Run
    recipe: Recipe

    def __init__(self, run: Run, recipe: Recipe, strategy: tf.distribute.Strategy, source: Source) -> None:
        self.run, self.recipe, self.strategy, self.source = run, recipe, strategy, source
        self.broken = BrokenPhotos()
        self.logs: dict[str, float] = {}

    @classmethod
    def default_recipe(cls, source: Source) -> str:
        """The name of the recipe where none is given."""
        return next(iter(cls.RECIPES))

    @classmethod
    @abc.abstractmethod
    def facts_of(cls, source: Source, recipe: typing.Any) -> dict[str, typing.Any]:
        """What recipe.json holds of the source; JSON-able. Raises UserError where there is none."""

    @abc.abstractmethod
    def prepare(self) -> str:
        """Reads the photos; returns photos.csv, the list to which a resumed run is held. Writes nothing that depends on them."""

    @abc.abstractmethod
    def build(self) -> None:
        """Builds the network; called under the strategy's scope, after the seed is set. Writes what a run holds besides."""

    @abc.abstractmethod
    def phases(self) -> Sequence[Phase]:
        """All phases, in order."""

    @abc.abstractmethod
    def judge(self) -> dict[str, typing.Any]:
        """What metrics.json says of the trained network, besides "run", "seconds" and "broken"."""

    @abc.abstractmethod
    def save(self, path: Path) -> None:
        """Writes the trained weights."""

    def report(self, metrics: dict[str, typing.Any]) -> None:  # noqa: B027
        """Writes the run's report, where `judge` has not."""

    @abc.abstractmethod
    def headline(self) -> str:
        """What is trained on what, for the line that opens the training."""


def run_training(
    application: type[Training],
    source: Source,
    recipe: str | Recipe | None = None,
    settings: Mapping[str, typing.Any] | None = None,
    run: str | Path | None = None,
    resume: bool = False,
    strategy: tf.distribute.Strategy | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, typing.Any]:
    """Trains what an application states, and writes a run folder.

    Args:
      application: whose training it is.
      source: what it learns from, as its `facts_of` takes it.
      recipe: a recipe or the name of one; None = the application's default.
      settings: what changes the recipe, as `--set` does: key -> value or text.
      run: folder; None = runs/APPLICATION, or the next free one.
      resume: go on with the run where its last checkpoint left it; source and recipe are the run's.
      strategy: None = workers of TF_CONFIG, all GPUs, or the one device.
      callbacks: more of them.

    Returns:
      The metrics: what `judge` measured, with "run" (its folder), "seconds" and "broken" {path: reason}.

    Raises:
      UserError: source, recipe, weights or storage, each with the way out; TrainingDiverged.
    """
    started = time.monotonic()
    strategy = strategy or choose_strategy()
    with _opened_run(application, source, recipe, settings, run, resume, worker_number(strategy)) as opened:
        if metrics := opened.finished_metrics():
            return metrics
        with opened.first_steps(resume):
            training = application(opened, settle_recipe(opened.recipe, strategy), strategy, {} if resume else source)
            _keep_photos(opened, training.prepare(), resume)
            keras.utils.set_random_seed(training.recipe.seed % 2**31)
            with strategy.scope():
                training.build()
        _train_phases(training, callbacks)
        measured = training.judge()
        with atomic_path(opened.weights_path) as temporary:
            training.save(temporary)
        metrics = {"run": str(opened.folder), **measured, "seconds": round(time.monotonic() - started, 1), "broken": dict(training.broken)}
        training.report(metrics)
        opened.finish(metrics)
        return metrics


def located(path: str | Path, remedy: str) -> str:
    """The absolute path of what a training learns from, for recipe.json. Raises DataError with the remedy where there is nothing."""
    if not Path(path).exists():
        raise DataError(f"{path} does not exist: {remedy}")
    return str(Path(path).resolve())


@contextlib.contextmanager
def _opened_run(
    application: type[Training],
    source: Source,
    recipe: str | Recipe | None,
    settings: Mapping[str, typing.Any] | None,
    folder: str | Path | None,
    resume: bool,
    worker: int,
) -> Iterator[Run]:
    """Starts a run, or goes on with one; no other process that trains works in its folder meanwhile."""
    if not resume:
        chosen = with_settings(_choose_recipe(application, recipe, source), settings or {})
        facts = application.facts_of(source, chosen)
        folder = folder or new_run_folder(application.RUN.APPLICATION)
        with sole_process(folder) if worker == 0 else contextlib.nullcontext():
            run = application.RUN.start(folder, worker, chosen, facts)
            with _memory_suffices(run):
                yield run
        return
    given = {name: source.get(key) for key, name in application.ASKED.items()}
    if len(application.RECIPES) > 1:
        given["--recipe"] = recipe
    given["--set"] = settings
    if any(given.values()) or recipe:
        *names, last = given
        raise RecipeError(f"--resume goes on with what the run was begun with: leave {', '.join(names)} and {last} out")
    run = application.RUN.resume(folder, worker)
    with sole_process(run.folder) if worker == 0 else contextlib.nullcontext(), _memory_suffices(run):
        if run.finished_metrics():
            print(f"{run.chief_folder or run.folder} is finished already", file=sys.stderr)
        elif run.checkpoint_path.exists():
            run.check_stack()
        yield run


@contextlib.contextmanager
def _memory_suffices(run: Run) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        if (read_facts(run.checkpoint_path, STEP) or _BEGINNING) == _BEGINNING:
            run.give_up()
        recipe = dataclasses.asdict(run.recipe)
        sizes = [f"--set {key}=N (it was {recipe[key] or 'that of the network'})" for key in _MEMORY_SETTINGS if key in recipe]
        raise RecipeError(f"memory is exhausted: train with a smaller {' or '.join(sizes)}") from error


def _choose_recipe(application: type[Training], recipe: str | Recipe | None, source: Source) -> Recipe:
    if isinstance(recipe, Recipe):
        return recipe
    return get_recipe(application.RECIPES, recipe or application.default_recipe(source))


def _keep_photos(run: Run, listed: str, is_resumed: bool) -> None:
    # Another system may give names with their accents in another form.
    if is_resumed and run.photos_path.is_file() and tidy_name(run.photos_path.read_text(encoding="utf-8", errors="replace")) != tidy_name(listed):
        source = run.facts.get("source") or run.facts.get("photos") or run.folder
        raise RunError(f"the photos in {source} are not those that {run.folder} started with: train anew with another --run")
    write_text(run.photos_path, listed)


def _train_phases(training: Training, callbacks: Sequence[keras.callbacks.Callback]) -> None:
    run, batch_size, phases = training.run, training.recipe.batch_size, training.phases()
    lengths = [steps_in(phase.stages, phase.photos, batch_size)[-1] for phase in phases]
    print(f"{training.headline()}, {sum(lengths)} steps; watch: tensorboard --logdir {run.logs_path}", file=sys.stderr)
    stopped = read_facts(run.checkpoint_path, STEP) or _BEGINNING
    learner = Learner(training.recipe, training.strategy)
    for number, phase in enumerate(phases):
        first_step = sum(lengths[:number])
        with training.strategy.scope():
            task = phase.start(first_step * batch_size)
        if phase.name and stopped["phase"] > number:
            load_run_weights(task.model, run.phase_path(phase.name))
        elif stopped["phase"] <= number:
            log = TensorBoardLog(run.logs_path / phase.log, 0 if phase.log else first_step)
            bar = ProgressBar(sum(lengths), first_step + (stopped["step"] if stopped["phase"] == number else 0))
            training.logs = _train_phase(training, task, number, [*phase.watchers(log), log, bar, *callbacks], bar, learner)
            if phase.name and run.chief_folder is None:
                with atomic_path(run.phase_path(phase.name)) as temporary:
                    save_weights(task.model, temporary)
                write_checksums(sorted(run.checkpoint_path.parent.glob("*.weights.h5")))
        phase.finish(task.model)


def _train_phase(
    training: Training, task: Task, number: int, watchers: Sequence[keras.callbacks.Callback], bar: ProgressBar, learner: Learner
) -> dict[str, float]:
    run = training.run
    try:
        return train(task, training.recipe, training.strategy, run.checkpoint_path, number, watchers, learner)
    except TrainingDiverged:
        with atomic_path(run.last_good_path) as temporary:
            save_weights(task.model, temporary)
        raise
    finally:
        bar.close()
