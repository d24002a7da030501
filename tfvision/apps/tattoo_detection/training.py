"""Training a detector: the five probe lists one after another, then the detector on all photos.

Source: tattoo-recognition, section 2.1: train on four lists, test on the fifth; table 3.
"""

import dataclasses
import functools
import sys
import typing
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvision.apps.tattoo_detection.evaluation import wrong_photos
from tfvision.apps.tattoo_detection.recipes import RECIPES
from tfvision.apps.tattoo_detection.report import write_training_report
from tfvision.apps.tattoo_detection.source import read_detection_source
from tfvision.apps.tattoo_detection.svm import fit_svm, svm_scores
from tfvision.apps.tattoo_detection.svm_features import features_extractor
from tfvision.data.augmentation import distort_photos
from tfvision.data.manifest import write_csv_text
from tfvision.data.pipeline import TrainingOrder, ViewSettings
from tfvision.data.shards.blocks import blocks_of
from tfvision.errors import DataError, FileError, RecipeError
from tfvision.evaluation.calibration import fit_sigmoid
from tfvision.evaluation.detection import judge_detection
from tfvision.features.extractor import Extractor
from tfvision.features.table import feature_table
from tfvision.files import read_json, write_json
from tfvision.losses.classification import smoothed_cross_entropy
from tfvision.models.weights import save_weights
from tfvision.progress import progress_bar
from tfvision.trained.detector_network import Detector, build_detector
from tfvision.trained.detector_run import DetectorRecipe, DetectorRun
from tfvision.training.classification import accuracy
from tfvision.training.loop import Batch, LossFunction, Measures, Task
from tfvision.training.photos import WHOLE_VIEW, labels_line, photo_batches
from tfvision.training.recipes import Stages
from tfvision.training.schedules import stages_in_epochs
from tfvision.training.session import Phase, Source, Training, located, run_training


def train_detector(
    source: str | Path | None = None,
    others: str | Path | None = None,
    recipe: str | DetectorRecipe | None = None,
    settings: dict[str, typing.Any] | None = None,
    run: str | Path | None = None,
    resume: bool = False,
    probe_lists: Sequence[str | Path] = (),
    strategy: tf.distribute.Strategy | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, typing.Any]:
    """Trains a detector and writes a run folder.

    Args:
      source, others, probe_lists: as `read_detection_source`.
      recipe, settings, run, resume, strategy, callbacks: as `run_training`.

    Returns:
      dict: "run", "images", "tattoos", "subjects", "folds" (a list of {"fold", "tattoo", "non_tattoo", "overall"}), "tattoo",
      "non_tattoo" and "overall" of all folds together, each {"right", "photos", "accuracy", "interval"}, "wrong" (photos that
      were wrongly classified, each while it was in the test list), "seconds", "weights", "broken".

    Raises:
      UserError: photos, lists, recipe, weights or storage, each with the way out.
    """
    given = {"source": source, "others": others, "probe_lists": probe_lists}
    return run_training(DetectorTraining, given, recipe, settings, run, resume, strategy, callbacks)


class DetectorTraining(Training):
    """A network fine-tuned anew for each probe list and for all photos, where the recipe says so, and an SVM on its features."""

    RUN = DetectorRun
    RECIPES = RECIPES
    ASKED = {"source": "SOURCE", "others": "--non-tattoos", "probe_lists": "--probe-list"}
    run: DetectorRun
    recipe: DetectorRecipe
    _extractor: Extractor | None = None

    @classmethod
    def facts_of(cls, source: Source, recipe: DetectorRecipe) -> dict[str, typing.Any]:
        photos, others, lists = source["source"], source["others"], source["probe_lists"]
        if photos is None:
            raise RecipeError("a training needs SOURCE: a folder with a class folder `tattoo` and others, a manifest CSV, or tattoos with --non-tattoos DIR")
        remedy = "give folders of photos or manifest CSVs"
        return {
            "source": located(photos, remedy),
            "others": located(others, remedy) if others is not None else None,
            "probe_lists": [located(path, remedy) for path in lists],
        }

    def prepare(self) -> str:
        facts = self.run.facts
        photos = read_detection_source(facts["source"], facts["others"], facts["probe_lists"])
        print(labels_line(photos.manifest), file=sys.stderr)
        self.lists, self.list_of = photos.dealt(self.recipe.folds, self.recipe.seed)
        self.photos = dataclasses.replace(photos, manifest=photos.manifest.with_splits(f"list {self.lists[number]}" for number in self.list_of))
        return write_csv_text(self.photos.manifest)

    def build(self) -> None:
        self.detector = build_detector(self.recipe, precision=self.recipe.precision)
        self._initial = self.detector.classifier.get_weights()
        self._loss = detector_loss(self.detector.classifier, self.recipe)
        self._scores = np.zeros(len(self.photos), np.float32)

    def headline(self) -> str:
        what = "fine-tuning" if self.recipe.is_fine_tuned else "features of"
        return (
            f"{what} {self.recipe.network} ({self.detector.loaded}); "
            f"{len(self.photos)} photos, {self.photos.is_tattoo.sum()} of tattoos, {len(self.lists)} probe lists"
        )

    def phases(self) -> Sequence[Phase]:
        """One a probe list, which it is not trained on, and one on all photos."""
        if not self.recipe.is_fine_tuned:
            return []
        phases = []
        for number in range(len(self.lists) + 1):
            is_training = self.list_of != number
            stages = stages_in_epochs(self.recipe, int(is_training.sum()))
            label = f"without-list-{self.lists[number]}-({number + 1}-of-{len(self.lists) + 1})" if number < len(self.lists) else "on-all-photos"
            start = functools.partial(self._start, number, is_training, stages)
            phases.append(Phase(stages, int(is_training.sum()), start, log=label, finish=functools.partial(self._finish, number)))
        return phases

    def judge(self) -> dict[str, typing.Any]:
        if not self.recipe.is_fine_tuned:
            for number in range(len(self.lists) + 1):
                self._finish(number)
        is_tattoo, is_read = self.photos.is_tattoo, self._is_read
        slope, offset = fit_sigmoid(self._scores[is_read], is_tattoo[is_read])
        fitted_on = "the scores of each probe list by the detector of the others"
        write_json(self.run.calibration_path, {"slope": slope, "offset": offset, "fitted_on": fitted_on})
        return {
            "images": len(self.photos),
            "tattoos": int(is_tattoo.sum()),
            "subjects": len({record.group for record in self.photos.manifest.records}),
            **self._table_3(),
            "weights": self.detector.loaded,
        }

    def save(self, path: Path) -> None:
        save_weights(self._inference.whole, path)

    def report(self, metrics: dict[str, typing.Any]) -> None:
        write_training_report(self.run, self.photos, metrics)

    @functools.cached_property
    def _inference(self) -> Detector:
        """What features and scores are made by: in full precision, whatever trains."""
        return self.detector if self.recipe.precision == "float32" else build_detector(self.recipe, "none")

    @functools.cached_property
    def _features_of_frozen_network(self) -> np.ndarray:
        return self._read_features()

    @property
    def _is_read(self) -> np.ndarray:
        return np.array([record.path not in self.broken for record in self.photos.manifest.records], bool)

    def _start(self, number: int, is_training: np.ndarray, stages: Stages, first_position: int) -> Task:
        """Fine-tunes the network anew; every list's photos come in an order of their own."""
        classifier, recipe = self.detector.classifier, self.recipe
        classifier.set_weights(self._initial)
        manifest, labels = self.photos.manifest.select(is_training), self.photos.is_tattoo[is_training].astype(np.int32)
        settings = ViewSettings((WHOLE_VIEW,), recipe.size_px, is_uncropped=True)
        order = TrainingOrder(labels, recipe.seed + number, blocks=blocks_of(manifest.paths))
        batches = photo_batches(manifest, labels, settings, order, recipe, self.broken)
        return Task(classifier, self._loss, stages, len(manifest), batches, new_layers=(self.detector.logits,))

    def _finish(self, number: int, classifier: keras.Model | None = None) -> None:
        """The SVM of one list's detector and its scores of that list's photos, 0 for broken ones; of the last, the detector's own SVM."""
        is_test, path = self.list_of == number, self.run.fold_path(number)
        if (stored := _stored_fold(path, int(is_test.sum()))) is not None:
            self._scores[is_test] = stored["scores"]
            self.broken.update(stored["broken"])
            return
        features = self._features(classifier)
        weights, bias = self._fit(features, ~is_test)
        if number == len(self.lists):
            self._inference.svm.set_weights([weights[:, None], np.array([bias], np.float32)])
            return
        self._scores[is_test] = svm_scores(features[is_test], weights, bias) * self._is_read[is_test]
        if self.run.chief_folder is None:
            write_json(path, {"scores": self._scores[is_test], "broken": dict(self.broken)})

    def _features(self, classifier: keras.Model | None) -> np.ndarray:
        """Of all photos, float32 [photos, dimension], by the fine-tuned network, or by the one that is not."""
        if classifier is None:
            return self._features_of_frozen_network
        if self._inference is not self.detector:
            for variable, values in zip(self._inference.classifier.variables, classifier.get_weights(), strict=True):
                variable.assign(values)
        return self._read_features()

    def _read_features(self) -> np.ndarray:
        manifest = self.photos.manifest
        with progress_bar("features", len(manifest)) as bar:
            self._extractor = features_extractor(self._inference, self.recipe, self._extractor)
            return feature_table(manifest, self._extractor, self.run.features_path, broken=self.broken, on_photos=bar.advance)[0]

    def _fit(self, features: np.ndarray, is_training: np.ndarray) -> tuple[np.ndarray, float]:
        is_training, is_tattoo, recipe = is_training & self._is_read, self.photos.is_tattoo, self.recipe
        if len(set(is_tattoo[is_training].tolist())) < 2:
            raise DataError(f"too few photos could be read to train on ({len(self.broken)} were broken): {next(iter(self.broken.values()), '')}")
        return fit_svm(features[is_training], is_tattoo[is_training], recipe.svm_lambda, recipe.svm_iterations, recipe.seed)

    def _table_3(self) -> dict[str, typing.Any]:
        """Of each list, and of all together; and what was wrongly classified."""
        is_tattoo, is_read, scores = self.photos.is_tattoo, self._is_read, self._scores
        rows = []
        for number, name in enumerate(self.lists):
            chosen = is_read & (self.list_of == number)
            rows.append({"fold": name, **_named(judge_detection(is_tattoo[chosen], scores[chosen]))})
        wrong = wrong_photos(self.photos, scores, is_read, [self.lists[number] for number in self.list_of])
        return {"folds": rows, **_named(judge_detection(is_tattoo[is_read], scores[is_read])), "wrong": wrong}


def detector_loss(classifier: keras.Model, recipe: DetectorRecipe) -> LossFunction:
    """The `loss` of a Task: (batch, step) -> (float32 [batch], {"accuracy": (right, photos)})."""

    def loss(batch: Batch, step: tf.Tensor) -> tuple[tf.Tensor, Measures]:
        labels, weights = batch["label"], batch["weight"]
        # Replicas see the same step, so each adds its own number to the seed.
        context = tf.distribute.get_replica_context()
        replica = context.replica_id_in_sync_group if context else 0
        logits = classifier(change_photos(batch["views"][WHOLE_VIEW], [recipe.seed % 2**31 + 7919 * replica, step], recipe), training=True)
        return smoothed_cross_entropy(labels, logits) * weights, accuracy(labels, logits, weights)

    return loss


def change_photos(photos: tf.Tensor, seed: tf.Tensor | Sequence[int | tf.Tensor], recipe: DetectorRecipe) -> tf.Tensor:
    """A random square of each photo, flipped, recoloured and so on as the recipe says.

    Args:
      photos: uint8 [batch, size, size, 3].
      seed: int32 [2].

    Returns:
      float32 [batch, crop, crop, 3] in 0-255.
    """
    seeds = tf.random.stateless_uniform([tf.shape(photos)[0], 2, 2], seed, None, None, tf.int32)

    def cut(photo_and_seed: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        photo, seed = photo_and_seed
        return tf.image.stateless_random_crop(photo, [recipe.crop_px, recipe.crop_px, 3], seed)

    squares = tf.map_fn(cut, (photos, seeds[:, 0]), fn_output_signature=tf.TensorSpec([recipe.crop_px, recipe.crop_px, 3], tf.uint8))
    return 255.0 * distort_photos(tf.cast(squares, tf.float32)[:, None] / 255.0, seeds[:, 1], recipe)[:, 0]


def _named(judged: dict[str, typing.Any]) -> dict[str, typing.Any]:
    return {"tattoo": judged["positive"], "non_tattoo": judged["negative"], "overall": judged["overall"]}


def _stored_fold(path: Path, photos: int) -> dict[str, typing.Any] | None:
    """{"scores", "broken"} of a fold that was finished before, of so many photos; None where there is none, or none that can be used."""
    if not path.exists():
        return None
    try:
        stored = read_json(path, {"scores": tuple[float, ...], "broken": dict[str, str]}, "its photos are scored again")
    except FileError as error:
        print(error, file=sys.stderr)
        return None
    return stored if len(stored["scores"]) == photos else None
