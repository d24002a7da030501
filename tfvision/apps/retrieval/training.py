"""Feature Tuning: a network fine-tuned on labels, its taps computed once, small networks trained on them.

Source: Tani and Wada, feature-tuning, section 3.2.
"""

import dataclasses
import functools
import hashlib
import sys
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvision.apps.retrieval.evaluation import judge_indices, score_of
from tfvision.apps.retrieval.indices import read_taps, tap_extractor
from tfvision.apps.retrieval.recipes import get_recipe
from tfvision.apps.retrieval.report import write_report
from tfvision.apps.retrieval.source import Trial, choose_training, read_retrieval_source
from tfvision.data.manifest import Manifest, write_csv_text
from tfvision.data.pipeline import BrokenPhotos, TrainingOrder, ViewSettings, training_batches
from tfvision.errors import DataError, RecipeError, RunError
from tfvision.evaluation.retrieval import labels_questions, without
from tfvision.files import atomic_path, write_json, write_text
from tfvision.losses.classification import smoothed_cross_entropy
from tfvision.losses.cosface import cosface_loss
from tfvision.trained.retriever_network import LOGITS, build_retriever
from tfvision.trained.retriever_run import RetrieverRun
from tfvision.training.callbacks import ProgressBar, TensorBoardLog
from tfvision.training.checkpoints import read_facts
from tfvision.training.loop import Task, TrainingDiverged, choose_strategy, train, worker_number
from tfvision.training.recipes import with_settings
from tfvision.training.run import settle_recipe
from tfvision.training.schedules import steps_in

_VIEW = "whole"
_CLASSIFIER = "classifier"


def train_retriever(source=None, recipe=None, settings=None, run=None, resume=False, ranks=None, strategy=None, callbacks=()):
    """Trains a retriever and writes a run folder.

    Args:
      source: as `read_retrieval_source`.
      recipe: name of a recipe or a RetrieverRecipe; None = "small".
      settings: dict of texts that change the recipe, as `--set` does.
      run: folder; None = runs/retriever, or the next free one.
      resume: go on with the run where its last checkpoint left it; source and recipe are the run's.
      ranks: label columns or folder levels, coarsest first; the finest is learnt.
      strategy: tf.distribute.Strategy; None = workers of TF_CONFIG, all GPUs, or the one device.
      callbacks: more keras.callbacks.Callback.

    Returns:
      dict: "run", "images" (trained on), "held_out", "classes", "seconds", "protocol_split", "weights", "tap_norms",
      "broken" and, where photos are held out and belong together, "map" (MAP@R of the recipe's index, each held-out photo
      against all photos), "by_layer" and "intervals" {index: ...}.

    Raises:
      UserError: photos, recipe, weights or storage, each with the way out.
    """
    started = time.monotonic()
    strategy = strategy or choose_strategy()
    start = functools.partial(_started_run, run, worker_number(strategy), source, recipe, settings, ranks)
    given = {"SOURCE": source, "--recipe": recipe, "--set": settings}
    run = RetrieverRun.start_or_resume(run, worker_number(strategy), resume, start, given)
    if metrics := run.finished_metrics():
        return metrics
    with run.first_steps(resume):
        data = _prepare_photos(run, resume)
        recipe = settle_recipe(run.recipe, strategy)
        keras.utils.set_random_seed(recipe.seed % 2**31)
        with strategy.scope():
            retriever = build_retriever(recipe, len(data.classes), recipe.size_px, recipe.weights, recipe.precision)
    taps = _Training(run, recipe, data, retriever, strategy, callbacks).train_stages()
    with atomic_path(run.weights_path) as temporary:
        retriever.whole.save_weights(temporary)
    metrics = {
        "run": str(run.folder),
        "images": int(data.is_training.sum()),
        "held_out": int((~data.is_training).sum()),
        "classes": len(data.classes),
        **_judge_held_out(run, data, taps, retriever),
        "seconds": round(time.monotonic() - started, 1),
        "protocol_split": recipe.protocol_split,
        "weights": retriever.loaded,
        "tap_norms": taps.norms(),
        "broken": dict(data.broken),
    }
    write_report(run.report_path, run, metrics)
    run.finish(metrics)
    return metrics


def retrieval_loss(recipe):
    """(labels, logits) -> float32 [batch], of both stages."""
    if recipe.loss == "cosface":
        return functools.partial(cosface_loss, margin=recipe.margin, scale=recipe.scale)
    return smoothed_cross_entropy


def stage_loss(model, recipe, input_of):
    """The `loss` of a Task.

    Args:
      model: keras.Model with an output of logits, alone or as "logits".
      input_of: batch -> the model's input.

    Returns:
      (batch, step) -> (float32 [batch], {"accuracy": (right, photos)}).
    """
    per_photo = retrieval_loss(recipe)

    def loss(batch, step):
        labels, weights = batch["label"], batch["weight"]
        logits = model(input_of(batch), training=True)
        logits = logits[LOGITS] if isinstance(logits, dict) else logits
        is_right = tf.cast(tf.argmax(logits, axis=1, output_type=tf.int32) == labels, tf.float32)
        return per_photo(labels, logits) * weights, {"accuracy": (tf.reduce_sum(is_right * weights), tf.reduce_sum(weights))}

    return loss


def row_batches(table, labels, weights, order, begin, end, batch_size, context):
    """This worker's batches of rows that are held in memory.

    Args:
      table: float32 [photos, dimension].
      labels, weights: int32 and float32 [photos].
      order: TrainingOrder of the photos.
      begin, end: positions in the order.
      batch_size: over all replicas.
      context: tf.distribute.InputContext.

    Returns:
      tf.data.Dataset of {"taps": float32 [batch, dimension], "label", "weight"}, for one replica at a time.
    """
    indices = np.concatenate([chunk["index"] for chunk in order.positions(begin, end)] or [np.zeros(0, np.int64)])
    per_replica = batch_size // context.num_replicas_in_sync
    of_workers = indices.reshape(-1, context.num_input_pipelines, batch_size // context.num_input_pipelines)
    mine = of_workers[:, context.input_pipeline_id].reshape(-1, per_replica)

    def rows(chosen):
        return np.asarray(table[chosen], np.float32), labels[chosen], weights[chosen]

    def read(chosen):
        taps, label, weight = tf.numpy_function(rows, [chosen], (tf.float32, tf.int32, tf.float32))
        taps.set_shape([per_replica, table.shape[1]])
        label.set_shape([per_replica])
        weight.set_shape([per_replica])
        return {"taps": taps, "label": label, "weight": weight}

    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return tf.data.Dataset.from_tensor_slices(mine).map(read).prefetch(2).with_options(options)


@dataclasses.dataclass
class _Photos:
    """All photos of a run: what they are, which of them train, and as what."""

    manifest: Manifest
    names: tuple[str, ...]  # the label of each
    is_training: np.ndarray
    classes: tuple[str, ...]  # of those that train
    broken: BrokenPhotos

    @functools.cached_property
    def training_labels(self):
        numbers = {name: number for number, name in enumerate(self.classes)}
        return np.array([numbers[name] for name, trains in zip(self.names, self.is_training, strict=True) if trains], np.int32)


class _Training:
    """The stages of one run in turn, each from where its checkpoint left it."""

    def __init__(self, run, recipe, data, retriever, strategy, callbacks):
        self._run, self._recipe, self._data, self._retriever = run, recipe, data, retriever
        self._strategy, self._callbacks = strategy, callbacks
        self._photos = int(data.is_training.sum())
        self._order = TrainingOrder(data.training_labels, recipe.seed)
        tuning_stages = recipe.tuning_stages or recipe.stages
        self._stages = [recipe.stages, *(tuning_stages for _ in recipe.tuning)]
        self._lengths = [steps_in(stages, self._photos, recipe.batch_size)[-1] for stages in self._stages]
        done = read_facts(run.checkpoint_path) or {"phase": 0, "step": 0}
        self._phase = done["phase"]
        self._bar = ProgressBar(sum(self._lengths), sum(self._lengths[: self._phase]) + done["step"])

    def train_stages(self):
        """Returns the Taps of all photos."""
        recipe, retriever = self._recipe, self._retriever
        print(
            f"training {recipe.network} ({retriever.loaded}) on {self._photos} photos of {len(self._data.classes)} classes with {recipe.loss}, "
            f"{sum(self._lengths)} steps; {(~self._data.is_training).sum()} photos held out; watch: tensorboard --logdir {self._run.logs_path}",
            file=sys.stderr,
        )
        try:
            loss = stage_loss(retriever.classifier, recipe, lambda batch: tf.cast(batch["views"][_VIEW], tf.float32))
            self._train(0, _CLASSIFIER, retriever.classifier, loss, self._photo_batches)
            taps = read_taps(self._data.manifest, self._extractor(), self._run.features_path, self._data.broken)
            for phase, (name, model) in enumerate(retriever.tuned.items(), 1):
                loss = stage_loss(model, recipe, lambda batch: batch["taps"])
                self._train(phase, name, model, loss, self._batches_of(taps))
        finally:
            self._bar.close()
        return taps

    def _train(self, phase, name, model, loss, batches):
        path, run = self._run.stage_path(name), self._run
        if self._phase > phase:
            model.load_weights(path)
            return
        first_step = sum(self._lengths[:phase])
        # Of a tuning network all layers are new.
        recipe = dataclasses.replace(self._recipe, backbone_rate=1.0) if phase else self._recipe
        task = Task(
            model=model,
            loss=loss,
            stages=self._stages[phase],
            photos=self._photos,
            batches=batches,
            first_position=first_step * recipe.batch_size,
            new_layers=(self._retriever.classifier.get_layer(LOGITS),),
        )
        try:
            train(task, recipe, self._strategy, run.checkpoint_path, phase, [TensorBoardLog(run.logs_path, first_step), self._bar, *self._callbacks])
        except TrainingDiverged:
            with atomic_path(run.last_good_path) as temporary:
                model.save_weights(temporary)
            raise
        if run.chief_folder is None:
            with atomic_path(path) as temporary:
                model.save_weights(temporary)

    def _photo_batches(self, begin, end, context):
        recipe = self._recipe
        settings = ViewSettings((_VIEW,), recipe.size_px, recipe if recipe.is_augmented else None, is_uncropped=True)
        replicas = context.num_replicas_in_sync
        return training_batches(
            self._data.manifest.select(self._data.is_training),
            self._data.training_labels,
            settings,
            lambda: self._order.positions(begin, end),
            recipe.seed,
            recipe.batch_size // replicas,
            self._data.broken,
            share=(context.input_pipeline_id, context.num_input_pipelines, replicas // context.num_input_pipelines),
        )

    def _batches_of(self, taps):
        is_training = self._data.is_training
        table, weights = taps.table[is_training], taps.is_read[is_training].astype(np.float32)

        def batches(begin, end, context):
            return row_batches(table, self._data.training_labels, weights, self._order, begin, end, self._recipe.batch_size, context)

        return batches

    def _extractor(self):
        """Of the network as stage 1 left it."""
        digest = hashlib.sha256()
        for values in self._retriever.maps.get_weights():
            digest.update(np.ascontiguousarray(values).tobytes())
        return tap_extractor(self._retriever, self._recipe, digest.hexdigest())


def _started_run(folder, worker, source, recipe, settings, ranks):
    if source is None:
        raise RecipeError("a training needs SOURCE: a folder of class folders, a manifest CSV, or a folder with Oxford's ground truth")
    recipe = recipe if hasattr(recipe, "stages") else get_recipe(recipe or "small")
    recipe = with_settings(recipe, settings or {})
    if not Path(source).exists():
        raise DataError(f"{source} does not exist: give a folder of class folders or a manifest CSV")
    return RetrieverRun.start(folder, worker, recipe, {"source": str(Path(source).resolve()), "ranks": ranks})


def _prepare_photos(run, resume):
    recipe, source = run.recipe, run.facts["source"]
    read = read_retrieval_source(source, run.facts["ranks"])
    is_training = choose_training(read, recipe)
    splits = np.where(is_training, "train", "held-out")
    records = (dataclasses.replace(record, split=str(split)) for record, split in zip(read.manifest.records, splits, strict=True))
    manifest = dataclasses.replace(read.manifest, records=tuple(records))
    is_training &= np.array([bool(label) for label in read.labels])
    classes = tuple(sorted({label for label, trains in zip(read.labels, is_training, strict=True) if trains}))
    if len(classes) < 2:
        raise DataError(
            f"{source} leaves {len(classes)} class{'' if len(classes) == 1 else 'es'} to train on: at least two are needed"
            + ("; --set held_out=photos holds out photos instead of whole classes" if recipe.held_out == "classes" else "")
        )
    listed = write_csv_text(manifest)
    if resume and run.photos_path.exists() and run.photos_path.read_text(encoding="utf-8") != listed:
        raise RunError(f"the photos in {source} are not those that {run.folder} started with: train anew with another --run")
    write_json(run.labels_path, classes)
    write_text(run.photos_path, listed)
    return _Photos(manifest, read.labels, is_training, classes, BrokenPhotos())


def _judge_held_out(run, data, taps, retriever):
    """MAP@R of every held-out photo against all photos; nothing where none has a companion."""
    questions = [q for q in labels_questions(data.names) if not data.is_training[q.query] and data.names[q.query] and len(q.relevant) > 1]
    questions = without(questions, ~taps.is_read)
    if not questions:
        return {}
    trial = Trial("labels", data.manifest, data.manifest, questions)
    return score_of(judge_indices(trial, taps, taps, retriever.tuned, run.recipe), run.recipe)
