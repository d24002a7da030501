"""Training a species model: from photos to a run folder with a calibrated answer and a report."""

import collections
import dataclasses
import functools
import sys
import typing
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvision.apps.species.evaluation import calibrate_and_report
from tfvision.apps.species.knowledge_transfer import RankClasses, classes_at_rank, parents_between, transfer_heads
from tfvision.apps.species.recipes import RECIPES
from tfvision.data.checks.label_names import odd_names
from tfvision.data.manifest import Manifest, drop_small_classes, read_source, write_csv_text
from tfvision.data.names import KnownNames
from tfvision.data.pipeline import BrokenPhotos, TrainingOrder, distorted, training_batches
from tfvision.data.shards.blocks import blocks_of
from tfvision.data.specimens import write_specimens
from tfvision.data.splits import some_of, split_validation
from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import DataError, RecipeError
from tfvision.evaluation.specificity import clopper_pearson
from tfvision.losses.classification import smoothed_cross_entropy
from tfvision.models.multi_view import add_heads
from tfvision.models.weights import save_weights
from tfvision.progress import progress_bar
from tfvision.trained.species_network import Predictor, build_species_trunk, make_predictor, predict_batches, prediction_batches, view_settings
from tfvision.trained.species_run import SpeciesRecipe, SpeciesRun
from tfvision.training.callbacks import TensorBoardLog, Validation, read_validations, validation_line
from tfvision.training.classification import classification_loss
from tfvision.training.loop import Task, agreement
from tfvision.training.photos import labels_line, photo_batches, unreadable_classes
from tfvision.training.recipes import Stages
from tfvision.training.session import Phase, Source, Training, located, run_training

_NEW_LAYERS = ("merge", "auxiliary", "species_logits")


def train_species(
    source: str | Path | None = None,
    recipe: str | SpeciesRecipe | None = None,
    settings: dict[str, typing.Any] | None = None,
    run: str | Path | None = None,
    resume: bool = False,
    ranks: Sequence[str] | None = None,
    strategy: tf.distribute.Strategy | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, typing.Any]:
    """Trains a species model and writes a run folder.

    Args:
      source: a folder of class folders, a manifest CSV, or None for the built-in specimens.
      ranks: label columns or folder levels, coarsest first.
      recipe, settings, run, resume, strategy, callbacks: as `run_training`; the recipe is "small", for the specimens "specimens".

    Returns:
      dict with "run", "images", "classes", "accuracy" (finest rank, validation part), "seconds", and
      what metrics.json holds besides.

    Raises:
      UserError: data, recipe, weights or storage, each with the way out.
    """
    return run_training(SpeciesTraining, {"source": source, "ranks": ranks}, recipe, settings, run, resume, strategy, callbacks)


class SpeciesTraining(Training):
    """A trunk that sees several views of a photo, trained rank by rank, its threshold fitted on the validation part."""

    RUN = SpeciesRun
    RECIPES = RECIPES
    run: SpeciesRun
    recipe: SpeciesRecipe
    model: keras.Model  # of the rank that is being learnt
    _classes: RankClasses  # that it tells apart
    _rank: str
    _predictor: Predictor | None = None  # of the model, with its features

    @classmethod
    def default_recipe(cls, source: Source) -> str:
        return "small" if source["source"] else "specimens"

    @classmethod
    def facts_of(cls, source: Source, recipe: SpeciesRecipe) -> dict[str, typing.Any]:
        path = source["source"]
        return {"source": located(path, "give a folder of class folders or a manifest CSV") if path else None, "ranks": source["ranks"]}

    def prepare(self) -> str:
        source = self.run.facts["source"] or _draw_specimens(self.run.folder / "specimens", self.recipe.seed)
        manifest = read_source(source, self.run.facts["ranks"])
        print(labels_line(manifest), file=sys.stderr)
        found = len(manifest)
        manifest, self.dropped = drop_small_classes(manifest, self.recipe.min_images)
        for sentence in _told_dropped(self.dropped, found, self.recipe.min_images):
            print(sentence, file=sys.stderr)
        for sentence in odd_names(manifest).told():
            print(f"note: {sentence}; tfvision data check lists them", file=sys.stderr)
        splits = split_validation(manifest, self.recipe.validation_fraction, self.recipe.seed)
        unused = collections.Counter(record.split or "none" for record, split in zip(manifest.records, splits, strict=True) if not split)
        for split, count in unused.items():
            print(f"not used: {count} photos of the split {split}", file=sys.stderr)
        used = manifest.select(splits != "").with_splits(splits[splits != ""])
        self.manifest, self.splits = self._readable(used, splits[splits != ""])
        self.taxonomy = self.manifest.taxonomy()
        self.labels = self.manifest.labels(self.taxonomy)
        self._check_classes(source)
        parts = collections.Counter(self.splits)
        print(f"photos: {found} found, {len(manifest)} of classes that are kept, {parts['train']} train, {parts['validation']} validate", file=sys.stderr)
        return write_csv_text(self.manifest)

    def build(self) -> None:
        self.taxonomy.save(self.run.taxonomy_path)
        self.trunk, self.loaded = build_species_trunk(self.recipe, self.recipe.precision)

    def headline(self) -> str:
        photos = len(self._part("train")[0])
        return f"training {self.recipe.network} ({self.loaded}) on {photos} photos of {len(self.taxonomy)} classes"

    def phases(self) -> Sequence[Phase]:
        """One a rank; the trunk goes from one to the next."""
        photos, stages = len(self._part("train")[0]), self.recipe.stages_by_rank(self.taxonomy.ranks)
        return [
            Phase(
                stages=stages[rank],
                photos=photos,
                start=functools.partial(self._start, number, rank, stages[rank]),
                watchers=functools.partial(self._watchers, number),
            )
            for number, rank in enumerate(stages)
        ]

    def judge(self) -> dict[str, typing.Any]:
        validations = read_validations(self.run.validations_path)
        facts = {
            "Validated while training": [validation_line(one) for one in reversed(validations)],
            "Ignored files": [f"{one.path}: {one.reason}" for one in self.manifest.left_out],
            "Left out": [f"{name}: {n} photos" for name, n in self.dropped.items()],
        }
        model = self._in_full_precision()
        predictor = self._predictor if model is self.model else None
        validation = calibrate_and_report(self.run, model, self.manifest, self.labels, self.splits, self.broken, facts, predictor)
        return {
            "images": len(self.manifest),
            "classes": len(self.taxonomy),
            "accuracy": validation["accuracy"],
            "weights": self.loaded,
            "dropped": self.dropped,
            "validation": validation,
            "while_training": validations,
        }

    def save(self, path: Path) -> None:
        save_weights(self.model, path)

    def _in_full_precision(self) -> keras.Model:
        """The trained network as it will be used: in float32, whatever it was trained in."""
        if self.recipe.precision == "float32":
            return self.model
        trunk, _ = build_species_trunk(self.recipe, weights="none")
        model = add_heads(trunk, len(self.taxonomy))
        model.set_weights(self.model.get_weights())
        return model

    def _readable(self, manifest: Manifest, splits: np.ndarray) -> tuple[Manifest, np.ndarray]:
        """Leaves out classes of whose training photos none can be read."""
        trained = manifest.select(splits == "train")
        if not (lost := unreadable_classes(trained, [record.lineage for record in trained.records], self.broken)):
            return manifest, splits
        is_kept = np.array([record.lineage not in lost for record in manifest.records])
        names = collections.Counter(" / ".join(filter(None, record.lineage)) for record in manifest.select(~is_kept).records)
        print(f"left out, none of the photos to train on can be read: {_listed([f'{name} ({count})' for name, count in names.items()])}", file=sys.stderr)
        self.dropped |= names
        return manifest.select(is_kept), splits[is_kept]

    def _part(self, split: str) -> tuple[Manifest, np.ndarray]:
        is_part = self.splits == split
        return self.manifest.select(is_part), self.labels[is_part]

    def _start(self, number: int, rank: str, stages: Stages, first_position: int) -> Task:
        recipe, classes = self.recipe, classes_at_rank(self.taxonomy, rank)
        if number == 0:
            model = add_heads(self.trunk, len(classes.nodes), recipe.seed)
        else:
            model = transfer_heads(self.model, self.trunk, parents_between(self._classes, classes), recipe.mixing, recipe.seed + 10 * number)
        self.model, self._classes, self._rank = model, classes, rank
        manifest, labels = self._part("train")
        labels = classes.of_class[labels]
        blocks = None if recipe.class_balance else blocks_of(manifest.paths)
        order = TrainingOrder(labels, recipe.seed, recipe.class_balance, blocks)
        loss = functools.partial(smoothed_cross_entropy, label_smoothing=recipe.label_smoothing)
        weights = {"species": 1.0, "auxiliary": recipe.auxiliary_weight}
        return Task(
            model=model,
            loss=classification_loss(model, dict.fromkeys(model.output, loss), weights, recipe.mixup, recipe.seed),
            stages=stages,
            photos=len(manifest),
            batches=photo_batches(manifest, labels, view_settings(recipe), order, recipe, self.broken),
            first_position=first_position,
            new_layers=tuple(layer for layer in model.layers if layer.name.startswith(_NEW_LAYERS)),
        )

    def _watchers(self, number: int, log: TensorBoardLog) -> list[keras.callbacks.Callback]:
        if number == 0:
            manifest, labels = self._part("train")
            order, settings = TrainingOrder(labels, self.recipe.seed), view_settings(self.recipe)
            batches = training_batches(manifest, labels, settings, lambda: order.positions(0, 8), self.recipe.seed, 8, BrokenPhotos())
            log.write_images(distorted(next(iter(batches)), self.recipe)["views"])
        return [self._validation(log)]

    def _validation(self, log: TensorBoardLog) -> Validation:
        recipe, (manifest, labels) = self.recipe, self._part("validation")
        is_chosen = some_of(np.full(len(manifest), True), recipe.validation_sample, recipe.seed)
        self._predictor = predictor = make_predictor(self.model, recipe.is_mirrored_at_prediction, with_features=True)
        batches = prediction_batches(manifest.select(is_chosen), recipe, self.broken)
        labels, classes = self._classes.of_class[labels[is_chosen]], len(self._classes.nodes)

        def measure() -> dict[str, typing.Any]:
            is_right = np.concatenate([rows[:, :classes].argmax(1) == labels[numbers] for numbers, rows in predict_batches(predictor, batches)])
            right, images = int(is_right.sum()), len(is_right)
            return {"images": images, "of": len(manifest), "accuracy": right / max(1, images), "interval": clopper_pearson(right, images)}

        return Validation(measure, log, self.run.validations_path, recipe.validation_seconds, agreement(self.strategy), self._rank)

    def _check_classes(self, source: str) -> None:
        taxonomy, recipe = self.taxonomy, self.recipe
        if len(taxonomy) < 2:
            raise DataError(
                f"{source} has {len(taxonomy)} class{'es' if len(taxonomy) != 1 else ''} with at least {recipe.min_images} photos: "
                "at least two are needed" + (", or lower --set min_images=N" if self.dropped else "")
            )
        if "validation" not in self.splits:
            raise DataError(f"{source} leaves no photo for validation: raise --set validation_fraction, or add photos")
        trained, validated = (set(self.labels[self.splits == split]) for split in ("train", "validation"))
        if untrained := _names(taxonomy, validated - trained):
            raise DataError(f"{untrained[0]} has photos for validation and none for training: correct the split column")
        if unseen := _names(taxonomy, trained - validated):
            print(f"no validation photos, so no accuracy, for {_listed(unseen)}: a class needs two groups for that", file=sys.stderr)
        if recipe.start_rank:
            known = KnownNames(taxonomy.ranks[:-1])
            rank = known.find(recipe.start_rank)
            if rank is None:
                asked = f"got {recipe.start_rank!r}{known.hint(recipe.start_rank)}"
                raise RecipeError(f"start_rank must be one of {', '.join(taxonomy.ranks[:-1]) or 'several ranks, of which there is one'}, {asked}")
            self.recipe = dataclasses.replace(recipe, start_rank=rank)


def _told_dropped(dropped: dict[str, int], found: int, min_images: int) -> list[str]:
    """What was left out for which reason, with the photos that it costs; the largest first."""
    ordered = sorted(dropped, key=lambda name: (-dropped[name], name))
    small = [name for name in ordered if dropped[name] < min_images]
    coarse = [name for name in ordered if dropped[name] >= min_images]
    told = []
    kinds = (
        (small, f"of classes with fewer than {min_images} (--set min_images=N)"),
        (coarse, "that name no class of their own, as finer ones stand below"),
    )
    for names, why in kinds:
        if names:
            photos = sum(dropped[name] for name in names)
            told.append(f"left out: {photos} of {found} photos ({photos / found:.0%}), {why}: {_listed([f'{name} ({dropped[name]})' for name in names])}")
    return told


def _draw_specimens(folder: Path, seed: int) -> str:
    bar = None

    def progress(done: int, total: int) -> None:
        nonlocal bar
        bar = bar or progress_bar("drawing specimens", total)
        bar.advance(1)

    try:
        write_specimens(folder, seed=seed, progress=progress)
    finally:
        if bar:
            bar.close()
    return str(folder)


def _names(taxonomy: Taxonomy, classes: set[int]) -> list[str]:
    return [taxonomy.class_names[index] for index in sorted(classes)]


def _listed(names: Sequence[str], shown: int = 5) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")
