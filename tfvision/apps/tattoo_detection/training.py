"""Training a detector: the five probe lists one after another, then the detector on all photos.

Source: tattoo-recognition, section 2.1: train on four lists, test on the fifth; table 3.
"""

import dataclasses
import functools
import sys
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvision.apps.tattoo_detection.evaluation import wrong_photos
from tfvision.apps.tattoo_detection.features import features_extractor
from tfvision.apps.tattoo_detection.recipes import get_recipe
from tfvision.apps.tattoo_detection.report import write_training_report
from tfvision.apps.tattoo_detection.source import DetectionPhotos, read_detection_source
from tfvision.apps.tattoo_detection.svm import fit_svm, svm_scores
from tfvision.data.augmentation import distort
from tfvision.data.manifest import write_csv_text
from tfvision.data.pipeline import BrokenPhotos, TrainingOrder, ViewSettings, training_batches
from tfvision.errors import DataError, RecipeError, RunError
from tfvision.evaluation.calibration import fit_sigmoid
from tfvision.evaluation.detection import judge_detection
from tfvision.features.table import feature_table
from tfvision.files import atomic_path, read_json, write_json, write_text
from tfvision.losses.classification import smoothed_cross_entropy
from tfvision.progress import progress_bar
from tfvision.trained.detector_network import build_detector
from tfvision.trained.detector_run import DetectorRun
from tfvision.training.callbacks import ProgressBar, TensorBoardLog
from tfvision.training.checkpoints import read_facts
from tfvision.training.loop import Task, TrainingDiverged, choose_strategy, train, worker_number
from tfvision.training.recipes import with_settings
from tfvision.training.run import settle_recipe
from tfvision.training.schedules import stages_in_epochs, steps_in

_VIEW = "whole"


def train_detector(source=None, others=None, recipe=None, settings=None, run=None, resume=False, probe_lists=(), strategy=None, callbacks=()):
    """Trains a detector and writes a run folder.

    Args:
      source, others, probe_lists: as `read_detection_source`.
      recipe: name of a recipe or a DetectorRecipe; None = "small".
      settings: dict of texts that change the recipe, as `--set` does.
      run: folder; None = runs/tattoo-detector, or the next free one.
      resume: go on with the run where it was left; photos and recipe are the run's.
      strategy: tf.distribute.Strategy; None = workers of TF_CONFIG, all GPUs, or the one device.
      callbacks: more keras.callbacks.Callback.

    Returns:
      dict: "run", "images", "tattoos", "subjects", "folds" (a list of {"fold", "tattoo", "non_tattoo", "overall"}), "tattoo",
      "non_tattoo" and "overall" of all folds together, each {"right", "photos", "accuracy", "interval"}, "wrong" (photos that
      were wrongly classified, each while it was in the test list), "seconds", "weights", "broken".

    Raises:
      UserError: photos, lists, recipe, weights or storage, each with the way out.
    """
    started = time.monotonic()
    strategy = strategy or choose_strategy()
    worker = worker_number(strategy)
    start = functools.partial(_started_run, run, worker, source, others, recipe, settings, probe_lists)
    given = {"SOURCE": source, "--non-tattoos": others, "--recipe": recipe, "--probe-list": probe_lists, "--set": settings}
    run = DetectorRun.start_or_resume(run, worker, resume, start, given)
    if metrics := run.finished_metrics():
        return metrics
    with run.first_steps(resume):
        recipe = settle_recipe(run.recipe, strategy)
        data = _prepare_photos(run, recipe, resume)
        keras.utils.set_random_seed(recipe.seed % 2**31)
        with strategy.scope():
            detector = build_detector(recipe, precision=recipe.precision)
    training = _Training(run, recipe, data, detector, strategy, callbacks)
    scores = training.test_folds()
    slope, offset = fit_sigmoid(scores[data.is_read], data.photos.is_tattoo[data.is_read])
    write_json(run.calibration_path, {"slope": slope, "offset": offset, "fitted_on": "the scores of each probe list by the detector of the others"})
    with atomic_path(run.weights_path) as temporary:
        training.train_on_all().whole.save_weights(temporary)
    metrics = {
        "run": str(run.folder),
        "images": len(data.photos),
        "tattoos": int(data.photos.is_tattoo.sum()),
        "subjects": len({record.group for record in data.photos.manifest.records}),
        **_judge(data, scores),
        "seconds": round(time.monotonic() - started, 1),
        "weights": detector.loaded,
        "broken": dict(data.broken),
    }
    write_training_report(run, data.photos, metrics)
    run.finish(metrics)
    return metrics


def detector_loss(classifier, recipe):
    """The `loss` of a Task: (batch, step) -> (float32 [batch], {"accuracy": (right, photos)})."""

    def loss(batch, step):
        labels, weights = batch["label"], batch["weight"]
        # Replicas see the same step, so each adds its own number to the seed.
        replica = tf.distribute.get_replica_context()
        place = replica.replica_id_in_sync_group if replica else 0
        logits = classifier(change_photos(batch["views"][_VIEW], [recipe.seed % 2**31 + 7919 * place, step], recipe), training=True)
        is_right = tf.cast(tf.argmax(logits, axis=1, output_type=tf.int32) == labels, tf.float32)
        measures = {"accuracy": (tf.reduce_sum(is_right * weights), tf.reduce_sum(weights))}
        return smoothed_cross_entropy(labels, logits) * weights, measures

    return loss


def change_photos(photos, seed, recipe):
    """A random square of each photo, flipped, recoloured and so on as the recipe says.

    Args:
      photos: uint8 [batch, size, size, 3].
      seed: int32 [2].

    Returns:
      float32 [batch, crop, crop, 3] in 0-255.
    """
    seeds = tf.random.stateless_uniform([tf.shape(photos)[0], 2, 2], seed, None, None, tf.int32)

    def change(photo_and_seeds):
        photo, (place, rest) = photo_and_seeds[0], tf.unstack(photo_and_seeds[1])
        square = tf.image.stateless_random_crop(photo, [recipe.crop_px, recipe.crop_px, 3], place)
        return 255.0 * distort(tf.cast(square, tf.float32)[None] / 255.0, rest, recipe)[0]

    return tf.map_fn(change, (photos, seeds), fn_output_signature=tf.float32)


@dataclasses.dataclass
class _Data:
    """All photos of a run, and their probe lists."""

    photos: DetectionPhotos
    names: tuple[str, ...]  # of the lists
    places: np.ndarray  # the list of each photo
    broken: BrokenPhotos

    @property
    def is_read(self):
        return np.array([record.path not in self.broken for record in self.photos.manifest.records], bool)


class _Training:
    """The folds of one run in turn, each from where its checkpoint left it; the last trains on all photos."""

    def __init__(self, run, recipe, data, detector, strategy, callbacks):
        self._run, self._recipe, self._data, self._detector = run, recipe, data, detector
        self._strategy, self._callbacks = strategy, callbacks
        self._is_tattoo = data.photos.is_tattoo
        self._initial = detector.classifier.get_weights()
        # What features and scores are made by: in full precision, whatever trains.
        self._inference = detector if recipe.precision == "float32" else build_detector(recipe, "none")

    def test_folds(self):
        """The score of each photo by the detector that was trained on the other lists: float32 [photos]; 0 for broken ones."""
        data, scores = self._data, np.zeros(len(self._data.photos), np.float32)
        print(
            f"{'fine-tuning' if self._recipe.is_fine_tuned else 'features of'} {self._recipe.network} ({self._detector.loaded}); "
            f"{len(data.photos)} photos, {self._is_tattoo.sum()} of tattoos, {len(data.names)} probe lists",
            file=sys.stderr,
        )
        for fold in range(len(data.names)):
            path, is_test = self._run.fold_path(fold), data.places == fold
            if path.exists():
                stored = read_json(path)
                scores[is_test] = stored["scores"]
                data.broken.update(stored["broken"])
                continue
            features = self._train(fold, ~is_test)
            weights, bias = self._fit(features, ~is_test)
            scores[is_test] = svm_scores(features[is_test], weights, bias) * data.is_read[is_test]
            if self._run.chief_folder is None:
                write_json(path, {"scores": scores[is_test], "broken": dict(data.broken)})
        return scores

    def train_on_all(self):
        """The final Detector."""
        everything = np.ones(len(self._data.photos), bool)
        weights, bias = self._fit(self._train(len(self._data.names), everything), everything)
        self._inference.svm.set_weights([weights[:, None], np.array([bias], np.float32)])
        return self._inference

    def _fit(self, features, is_training):
        is_training = is_training & self._data.is_read
        if len(set(self._is_tattoo[is_training].tolist())) < 2:
            raise DataError(f"too few photos could be read to train on ({len(self._data.broken)} were broken): {next(iter(self._data.broken.values()), '')}")
        recipe = self._recipe
        return fit_svm(features[is_training], self._is_tattoo[is_training], recipe.svm_lambda, recipe.svm_iterations, recipe.seed)

    def _train(self, phase, is_training):
        """Fine-tunes on some photos, where the recipe says so; the features of all photos, float32 [photos, dimension]."""
        if not self._recipe.is_fine_tuned:
            return self._features
        self._fine_tune(phase, is_training)
        if self._inference is not self._detector:
            _copy_weights(self._detector.classifier, self._inference.classifier)
        return self._read_features()

    @functools.cached_property
    def _features(self):
        return self._read_features()

    def _read_features(self):
        data = self._data
        with progress_bar("features", len(data.photos)) as bar:
            extractor = features_extractor(self._inference, self._recipe)
            return feature_table(data.photos.manifest, extractor, self._run.features_path, broken=data.broken, on_photos=bar.advance)[0]

    def _fine_tune(self, phase, is_training):
        recipe, run, classifier = self._recipe, self._run, self._detector.classifier
        classifier.set_weights(self._initial)
        manifest, labels = self._data.photos.manifest.select(is_training), self._is_tattoo[is_training].astype(np.int32)
        order = TrainingOrder(labels, recipe.seed + phase)
        settings = ViewSettings((_VIEW,), recipe.size_px, is_uncropped=True)

        def batches(begin, end, context):
            replicas = context.num_replicas_in_sync
            share = (context.input_pipeline_id, context.num_input_pipelines, replicas // context.num_input_pipelines)
            positions = lambda: order.positions(begin, end)
            return training_batches(manifest, labels, settings, positions, recipe.seed, recipe.batch_size // replicas, self._data.broken, share)

        stages = stages_in_epochs(recipe, len(manifest))
        task = Task(classifier, detector_loss(classifier, recipe), stages, len(manifest), batches, new_layers=(self._detector.logits,))
        steps, facts = steps_in(stages, len(manifest), recipe.batch_size)[-1], read_facts(run.checkpoint_path)
        names = self._data.names
        label = f"without list {names[phase]} ({phase + 1} of {len(names) + 1})" if phase < len(names) else "on all photos"
        bar = ProgressBar(steps, facts["step"] if facts and facts["phase"] == phase else 0, label)
        watchers = [TensorBoardLog(run.logs_path / label.replace(" ", "-"), 0), bar, *self._callbacks]
        try:
            train(task, recipe, self._strategy, run.checkpoint_path, phase, watchers)
        except TrainingDiverged:
            with atomic_path(run.last_good_path) as temporary:
                classifier.save_weights(temporary)
            raise
        finally:
            bar.close()


def _copy_weights(source, target):
    for variable, values in zip(target.variables, source.get_weights(), strict=True):
        variable.assign(values)


def _judge(data, scores):
    """Table 3: of each list, and of all together; and what was wrongly classified."""
    is_tattoo, is_read = data.photos.is_tattoo, data.is_read
    rows = []
    for place, name in enumerate(data.names):
        chosen = is_read & (data.places == place)
        rows.append({"fold": name, **_named(judge_detection(is_tattoo[chosen], scores[chosen]))})
    lists = [data.names[place] for place in data.places]
    return {"folds": rows, **_named(judge_detection(is_tattoo[is_read], scores[is_read])), "wrong": wrong_photos(data.photos, scores, is_read, lists)}


def _named(judged):
    return {"tattoo": judged["positive"], "non_tattoo": judged["negative"], "overall": judged["overall"]}


def _started_run(folder, worker, source, others, recipe, settings, probe_lists):
    if source is None:
        raise RecipeError("a training needs SOURCE: a folder with a class folder `tattoo` and others, a manifest CSV, or tattoos with --non-tattoos DIR")
    recipe = recipe if hasattr(recipe, "stages") else get_recipe(recipe or "small")
    recipe = with_settings(recipe, settings or {})
    for path in (source, others, *probe_lists):
        if path is not None and not Path(path).exists():
            raise DataError(f"{path} does not exist: give folders of photos or manifest CSVs")
    facts = {
        "source": str(Path(source).resolve()),
        "others": str(Path(others).resolve()) if others is not None else None,
        "probe_lists": [str(Path(path).resolve()) for path in probe_lists],
    }
    return DetectorRun.start(folder, worker, recipe, facts)


def _prepare_photos(run, recipe, resume):
    photos = read_detection_source(run.facts["source"], run.facts["others"], run.facts["probe_lists"])
    names, places = photos.dealt(recipe.folds, recipe.seed)
    records = tuple(dataclasses.replace(record, split=f"list {names[place]}") for record, place in zip(photos.manifest.records, places, strict=True))
    manifest = dataclasses.replace(photos.manifest, records=records)
    listed = write_csv_text(manifest)
    if resume and run.photos_path.exists() and run.photos_path.read_text(encoding="utf-8") != listed:
        raise RunError(f"the photos in {run.facts['source']} are not those that {run.folder} started with: train anew with another --run")
    write_text(run.photos_path, listed)
    return _Data(dataclasses.replace(photos, manifest=manifest), names, places, BrokenPhotos())
