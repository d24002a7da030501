"""Training a species model: from photos to a run folder with a calibrated answer and a report."""

import dataclasses
import functools
import sys
import time
from pathlib import Path

import keras
import numpy as np

from tfvision.apps.species.evaluation import calibrate_and_report
from tfvision.apps.species.knowledge_transfer import classes_at_rank, parents_between, transfer_heads
from tfvision.apps.species.recipes import get_recipe
from tfvision.data.manifest import drop_small_classes, read_source, write_csv_text
from tfvision.data.pipeline import BrokenPhotos, TrainingOrder, training_batches
from tfvision.data.specimens import write_specimens
from tfvision.data.splits import split_validation
from tfvision.errors import DataError, RecipeError, RunError
from tfvision.files import atomic_path, write_text
from tfvision.losses.classification import smoothed_cross_entropy
from tfvision.models.multi_view import add_heads
from tfvision.progress import progress_bar
from tfvision.trained.species_network import (
    build_species_trunk,
    make_predictor,
    predict,
    view_settings,
)
from tfvision.trained.species_run import SpeciesRun
from tfvision.training.callbacks import ProgressBar, TensorBoardLog, Validation
from tfvision.training.checkpoints import read_facts
from tfvision.training.classification import classification_loss
from tfvision.training.loop import Task, TrainingDiverged, choose_strategy, train, worker_number
from tfvision.training.recipes import with_settings
from tfvision.training.run import settle_recipe
from tfvision.training.schedules import phases_of, steps_in

_VALIDATION_PHOTOS_WHILE_TRAINING = 256
_NEW_LAYERS = ("merge", "auxiliary", "species_logits")


def train_species(source=None, recipe=None, settings=None, run=None, resume=False, ranks=None, strategy=None, callbacks=()):
    """Trains a species model and writes a run folder.

    Args:
      source: a folder of class folders, a manifest CSV, or None for the built-in specimens.
      recipe: name of a recipe or a Recipe; None = "small", for the specimens "specimens".
      settings: dict of texts that change the recipe, as `--set` does.
      run: folder; None = runs/species, or the next free one.
      resume: go on with the run where its last checkpoint left it; source and recipe are the run's.
      ranks: label columns or folder levels, coarsest first.
      strategy: tf.distribute.Strategy; None = workers of TF_CONFIG, all GPUs, or the one device.
      callbacks: more keras.callbacks.Callback.

    Returns:
      dict with "run", "images", "classes", "accuracy" (finest rank, validation part), "seconds", and
      what metrics.json holds besides.

    Raises:
      UserError: data, recipe, weights or storage, each with the way out.
    """
    started = time.monotonic()
    strategy = strategy or choose_strategy()
    start = functools.partial(_started_run, run, worker_number(strategy), source, recipe, settings, ranks)
    given = {"SOURCE": source, "--recipe": recipe, "--set": settings}
    run = SpeciesRun.start_or_resume(run, worker_number(strategy), resume, start, given)
    if metrics := run.finished_metrics():
        return metrics
    with run.first_steps(resume):
        data = _prepare_data(run, resume)
        recipe, trunk, loaded = _build_trunk(run, strategy)
    model = _train_phases(run, recipe, trunk, loaded, data, strategy, callbacks)
    with atomic_path(run.weights_path) as temporary:
        model.save_weights(temporary)
    left_out = {"Ignored files": data.manifest.ignored, "Left out": [f"{name}: {n} photos" for name, n in data.dropped.items()]}
    metrics = calibrate_and_report(run, model, data.manifest, data.labels, data.splits, data.broken, left_out)
    metrics = {
        "run": str(run.folder),
        "images": len(data.manifest),
        "classes": len(run.taxonomy),
        "accuracy": metrics["accuracy"],
        "seconds": round(time.monotonic() - started, 1),
        "weights": loaded,
        "dropped": data.dropped,
        "broken": dict(data.broken),
        "validation": metrics,
    }
    run.finish(metrics)
    return metrics


@dataclasses.dataclass
class _Data:
    """Photos of a run: those used, their classes and splits, and what was left out."""

    manifest: object
    labels: np.ndarray
    splits: np.ndarray
    dropped: dict
    broken: BrokenPhotos

    def part(self, split):
        is_part = self.splits == split
        return self.manifest.select(is_part), self.labels[is_part]


def _started_run(folder, worker, source, recipe, settings, ranks):
    recipe = get_recipe(recipe or ("small" if source else "specimens")) if not hasattr(recipe, "stages") else recipe
    recipe = with_settings(recipe, settings or {})
    if source is not None and not Path(source).exists():
        raise DataError(f"{source} does not exist: give a folder of class folders or a manifest CSV")
    facts = {"source": str(Path(source).resolve()) if source else None, "ranks": ranks}
    return SpeciesRun.start(folder, worker, recipe, facts)


def _prepare_data(run, resume):
    recipe = run.recipe
    source = run.facts["source"] or _draw_specimens(run, recipe)
    manifest = read_source(source, run.facts["ranks"])
    if manifest.ignored:
        print(f"ignored, no photos in a class folder: {_listed(manifest.ignored)}", file=sys.stderr)
    manifest, dropped = drop_small_classes(manifest, recipe.min_images)
    if dropped:
        names = _listed([f"{name} ({count})" for name, count in dropped.items()])
        print(f"left out, fewer than {recipe.min_images} photos or no name at the finest rank: {names}", file=sys.stderr)
    splits = split_validation(manifest, recipe.validation_fraction, recipe.seed)
    if (splits == "").any():
        print(f"not used: {(splits == '').sum()} photos whose split is neither train nor validation", file=sys.stderr)
    manifest, splits = manifest.select(splits != ""), splits[splits != ""]
    manifest = dataclasses.replace(
        manifest,
        records=tuple(dataclasses.replace(r, split=s) for r, s in zip(manifest.records, splits, strict=True)),
    )
    taxonomy = manifest.taxonomy()
    labels = manifest.labels(taxonomy)
    _check_classes(taxonomy, labels, splits, source, recipe, dropped)
    photos = write_csv_text(manifest)
    if resume and run.photos_path.exists() and run.photos_path.read_text(encoding="utf-8") != photos:
        raise RunError(f"the photos in {source} are not those that {run.folder} started with: train anew with another --run")
    taxonomy.save(run.taxonomy_path)
    write_text(run.photos_path, photos)
    return _Data(manifest, labels, splits, dropped, BrokenPhotos())


def _draw_specimens(run, recipe):
    folder = run.folder / "specimens"
    bar = None

    def progress(done, total):
        nonlocal bar
        bar = bar or progress_bar("drawing specimens", total)
        bar.advance(1)

    try:
        write_specimens(folder, seed=recipe.seed, progress=progress)
    finally:
        if bar:
            bar.close()
    return str(folder)


def _check_classes(taxonomy, labels, splits, source, recipe, dropped):
    if len(taxonomy) < 2:
        raise DataError(
            f"{source} has {len(taxonomy)} class{'es' if len(taxonomy) != 1 else ''} with at least {recipe.min_images} photos: "
            "at least two are needed" + (", or lower --set min_images=N" if dropped else "")
        )
    if "validation" not in splits:
        raise DataError(f"{source} leaves no photo for validation: raise --set validation_fraction, or add photos")
    trained, validated = set(labels[splits == "train"]), set(labels[splits == "validation"])
    untrained = [taxonomy.class_names[index] for index in sorted(validated - trained)]
    if untrained:
        raise DataError(f"{untrained[0]} has photos for validation and none for training: correct the split column")
    unseen = [taxonomy.class_names[index] for index in sorted(trained - validated)]
    if unseen:
        print(f"no validation photos, so no accuracy, for {_listed(unseen)}: a class needs two groups for that", file=sys.stderr)
    if recipe.start_rank and recipe.start_rank not in taxonomy.ranks[:-1]:
        raise RecipeError(f"start_rank must be one of {', '.join(taxonomy.ranks[:-1])}, got {recipe.start_rank!r}")


def _listed(names, shown=5):
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def _build_trunk(run, strategy):
    """The recipe with its precision settled, the trunk, and a sentence on its weights."""
    recipe = settle_recipe(run.recipe, strategy)
    keras.utils.set_random_seed(recipe.seed % 2**31)
    with strategy.scope():
        trunk, loaded = build_species_trunk(recipe, recipe.precision)
    return recipe, trunk, loaded


def _train_phases(run, recipe, trunk, loaded, data, strategy, callbacks):
    """Every phase of the recipe in turn; the trunk goes from one to the next."""
    manifest, labels = data.part("train")
    phases = phases_of(recipe, run.taxonomy.ranks)
    lengths = [steps_in(phase.stages, len(manifest), recipe.batch_size)[-1] for phase in phases]
    print(
        f"training {recipe.network} ({loaded}) on {len(manifest)} photos of {len(run.taxonomy)} classes, "
        f"{sum(lengths)} steps; watch: tensorboard --logdir {run.logs_path}",
        file=sys.stderr,
    )
    bar = ProgressBar(sum(lengths), _steps_done(run, lengths))
    model, coarser = None, None
    try:
        for number, phase in enumerate(phases):
            classes = classes_at_rank(run.taxonomy, phase.rank)
            with strategy.scope():
                if model is None:
                    model = add_heads(trunk, len(classes.nodes), recipe.seed)
                else:
                    parents = parents_between(coarser, classes)
                    model = transfer_heads(model, trunk, parents, recipe.mixing, recipe.seed + 10 * number)
            coarser = classes
            first_step = sum(lengths[:number])
            task = _task(recipe, phase, model, trunk, manifest, classes.of_class[labels], data.broken, first_step)
            watchers = [_validation(recipe, model, data, classes), _tensorboard(run, data, recipe, first_step), bar, *callbacks]
            train(task, recipe, strategy, run.checkpoint_path, number, watchers)
    except TrainingDiverged:
        with atomic_path(run.last_good_path) as temporary:
            model.save_weights(temporary)
        raise
    finally:
        bar.close()
    return model


def _task(recipe, phase, model, trunk, manifest, labels, broken, first_step):
    settings, order = view_settings(recipe), TrainingOrder(labels, recipe.seed, recipe.class_balance)

    def batches(begin, end, context):
        replicas = context.num_replicas_in_sync // context.num_input_pipelines
        return training_batches(
            manifest,
            labels,
            settings,
            lambda: order.positions(begin, end),
            recipe.seed,
            recipe.batch_size // context.num_replicas_in_sync,
            broken,
            share=(context.input_pipeline_id, context.num_input_pipelines, replicas),
        )

    loss = functools.partial(smoothed_cross_entropy, label_smoothing=recipe.label_smoothing)
    return Task(
        model=model,
        loss=classification_loss(
            model,
            dict.fromkeys(model.output, loss),
            {"species": 1.0, "auxiliary": recipe.auxiliary_weight},
            recipe.mixup,
            recipe.seed,
        ),
        stages=phase.stages,
        photos=len(manifest),
        batches=batches,
        first_position=first_step * recipe.batch_size,
        new_layers=tuple(layer for layer in model.layers if layer.name.startswith(_NEW_LAYERS)),
    )


def _validation(recipe, model, data, classes):
    manifest, labels = data.part("validation")
    chosen = np.random.default_rng(recipe.seed).permutation(len(manifest))[:_VALIDATION_PHOTOS_WHILE_TRAINING]
    is_chosen = np.isin(np.arange(len(manifest)), chosen)
    manifest, labels = manifest.select(is_chosen), classes.of_class[labels[is_chosen]]
    predictor = make_predictor(model, recipe.is_mirrored_at_prediction)

    def measure():
        parts = [logits.argmax(1) == labels[numbers] for numbers, logits in predict(predictor, manifest, recipe, data.broken)]
        return np.concatenate(parts).mean()

    return Validation(measure)


def _tensorboard(run, data, recipe, first_step):
    log = TensorBoardLog(run.logs_path, first_step)
    if first_step == 0:
        manifest, labels = data.part("train")
        order = TrainingOrder(labels, recipe.seed)
        batches = training_batches(manifest, labels, view_settings(recipe), lambda: order.positions(0, 8), recipe.seed, 8, BrokenPhotos())
        log.write_images(next(iter(batches))["views"])
    return log


def _steps_done(run, lengths):
    facts = read_facts(run.checkpoint_path) or {"phase": 0, "step": 0}
    return sum(lengths[: facts["phase"]]) + facts["step"]
