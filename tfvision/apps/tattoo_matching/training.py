"""Training a matcher: photos of one subject near each other, by pairs, triplets, or triplets mined in a batch.

Source: tattoo-recognition, section 2.2.
"""

import dataclasses
import functools
import sys
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvision.apps.tattoo_matching.recipes import get_recipe
from tfvision.apps.tattoo_matching.source import read_matching_source
from tfvision.data.manifest import write_csv_text
from tfvision.data.pairs import PairOrder, SubjectOrder, TripletOrder
from tfvision.data.pipeline import BrokenPhotos, ViewSettings, training_batches
from tfvision.errors import DataError, RecipeError, RunError
from tfvision.files import atomic_path, write_text
from tfvision.losses.contrastive import contrastive_loss
from tfvision.losses.distances import pairwise_distances, squared_distances
from tfvision.losses.triplet import mined_triplet_loss, triplet_loss
from tfvision.trained.matcher_network import TRAINED, build_embedder
from tfvision.trained.matcher_run import CONTRASTIVE, TRIPLET, MatcherRun
from tfvision.training.callbacks import ProgressBar, TensorBoardLog
from tfvision.training.checkpoints import read_facts
from tfvision.training.loop import Task, TrainingDiverged, choose_strategy, train, worker_number
from tfvision.training.recipes import with_settings
from tfvision.training.run import settle_recipe
from tfvision.training.schedules import stages_in_epochs, steps_in

_VIEW = "whole"
_TRAIN, _HELD_OUT = "train", "held-out"
_FAR = 1e9  # a distance that no two photos have


def train_matcher(source=None, recipe=None, settings=None, run=None, resume=False, strategy=None, callbacks=()):
    """Trains a matcher and writes a run folder.

    Args:
      source: as `read_matching_source`.
      recipe: name of a recipe or an MatcherRecipe; None = "small".
      settings: dict of texts that change the recipe, as `--set` does.
      run: folder; None = runs/tattoo-matcher, or the next free one.
      resume: go on with the run where its last checkpoint left it; source and recipe are the run's.
      strategy: tf.distribute.Strategy; None = workers of TF_CONFIG, all GPUs, or the one device.
      callbacks: more keras.callbacks.Callback.

    Returns:
      dict: "run", "images" (trained on), "held_out", "subjects", "crosses_media", "dimension", "seconds", "weights",
      "broken", and the last "loss" and "accuracy" (share of pairs, triplets or photos that are told right, in training).

    Raises:
      UserError: photos, recipe, weights or storage, each with the way out.
    """
    started = time.monotonic()
    strategy = strategy or choose_strategy()
    start = functools.partial(_started_run, run, worker_number(strategy), source, recipe, settings)
    given = {"SOURCE": source, "--recipe": recipe, "--set": settings}
    run = MatcherRun.start_or_resume(run, worker_number(strategy), resume, start, given)
    if metrics := run.finished_metrics():
        return metrics
    with run.first_steps(resume):
        photos, is_training = _prepare_photos(run, resume)
        recipe = _fitted(settle_recipe(run.recipe, strategy), photos.select(is_training), strategy.num_replicas_in_sync)
        order = matching_order(photos.select(is_training), recipe)
        keras.utils.set_random_seed(recipe.seed % 2**31)
        with strategy.scope():
            embedder = build_embedder(recipe, recipe.size_px, recipe.weights, recipe.precision)
    training = _Training(run, recipe, photos.manifest.select(is_training), order, embedder, strategy, callbacks)
    logs = training.train()
    with atomic_path(run.weights_path) as temporary:
        embedder.model.save_weights(temporary)
    metrics = {
        "run": str(run.folder),
        "images": int(is_training.sum()),
        "held_out": int((~is_training).sum()),
        "subjects": len(np.unique(order.subjects)),
        "crosses_media": order.media is not None,
        "dimension": embedder.model.output["embedding"].shape[-1],
        "seconds": round(time.monotonic() - started, 1),
        "weights": embedder.loaded,
        "broken": dict(training.broken),
        **{name: float(logs[name]) for name in ("loss", "accuracy") if name in logs},
    }
    run.finish(metrics)
    return metrics


def matching_order(photos, recipe):
    """The order in which photos are seen. Raises DataError, RecipeError.

    Args:
      photos: MatchingPhotos that train.
      recipe: MatcherRecipe.
    """
    subjects = np.unique(photos.subjects, return_inverse=True)[1].astype(np.int64)
    media = _media(photos, recipe)
    if recipe.is_mined:
        return SubjectOrder(subjects, recipe.seed, media, recipe.batch_size // recipe.photos_per_subject, recipe.photos_per_subject)
    order = {CONTRASTIVE: PairOrder, TRIPLET: TripletOrder}[recipe.loss](subjects, recipe.seed, media)
    order.check()
    return order


def matching_loss(model, recipe):
    """The `loss` of a Task: (batch, step) -> (float32 [batch], {"accuracy": (right, counted)}).

    The loss of a pair or triplet stands in the place of each of its photos, so that the mean over photos is the mean over
    pairs; one with a photo that could not be read has none.
    """
    of_kind = {CONTRASTIVE: _contrastive, TRIPLET: _triplet}.get(recipe.loss, _mined)

    def loss(batch, step):
        vectors = model(tf.cast(batch["views"][_VIEW], tf.float32), training=True)[TRAINED]
        return of_kind(vectors, batch["label"], batch["weight"], recipe)

    return loss


def _contrastive(vectors, labels, weights, recipe):
    left, right = vectors[0::2], vectors[1::2]
    is_genuine, counts = labels[0::2] == labels[1::2], weights[0::2] * weights[1::2]
    losses = contrastive_loss(is_genuine, left, right, recipe.margin) * counts
    is_near = squared_distances(left, right) < (recipe.margin / 2) ** 2
    return tf.repeat(losses, 2), _share(is_near == is_genuine, counts)


def _triplet(vectors, labels, weights, recipe):
    anchor, positive, negative = vectors[0::3], vectors[1::3], vectors[2::3]
    counts = weights[0::3] * weights[1::3] * weights[2::3]
    losses = triplet_loss(anchor, positive, negative, recipe.margin) * counts
    is_right = squared_distances(anchor, positive) < squared_distances(anchor, negative)
    return tf.repeat(losses, 3), _share(is_right, counts)


def _mined(vectors, labels, weights, recipe):
    """Photos that could not be read are left out; accuracy is that of each photo's nearest."""
    is_read = weights > 0
    seen, seen_labels = tf.boolean_mask(vectors, is_read), tf.boolean_mask(labels, is_read)
    losses = mined_triplet_loss(seen_labels, seen, recipe.margin, recipe.loss, recipe.distance)
    mean = tf.math.divide_no_nan(tf.reduce_sum(losses), tf.cast(tf.size(losses), tf.float32))
    counts = tf.cast(tf.size(losses), tf.float32) / tf.cast(tf.size(weights), tf.float32)
    # Neither itself nor a photo that could not be read is the nearest.
    distances = pairwise_distances(tf.stop_gradient(vectors)) + _FAR * (tf.eye(tf.size(labels)) + tf.cast(~is_read, tf.float32))
    nearest = tf.gather(labels, tf.argmin(distances, axis=1))
    return tf.fill(tf.shape(weights), mean * counts), _share(nearest == labels, weights)


def _share(is_right, counts):
    return {"accuracy": (tf.reduce_sum(tf.cast(is_right, tf.float32) * counts), tf.reduce_sum(counts))}


class _Training:
    """The one phase of a run, from where its checkpoint left it."""

    def __init__(self, run, recipe, manifest, order, embedder, strategy, callbacks):
        self._run, self._recipe, self._manifest, self._order, self._embedder = run, recipe, manifest, order, embedder
        self._strategy, self._callbacks = strategy, callbacks
        self.broken = BrokenPhotos()

    def train(self):
        """Returns the last logs."""
        run, recipe, order, model = self._run, self._recipe, self._order, self._embedder.model
        stages = stages_in_epochs(recipe, order.epoch_size)
        steps = steps_in(stages, order.epoch_size, recipe.batch_size)[-1]
        done = (read_facts(run.checkpoint_path) or {"step": 0})["step"]
        task = Task(model, matching_loss(model, recipe), stages, order.epoch_size, self._batches, new_layers=self._embedder.new_layers)
        crossing = ", pairs across media" if order.media is not None else ""
        print(
            f"training {recipe.network} ({self._embedder.loaded}) on {len(self._manifest)} photos of {len(np.unique(order.subjects))} subjects "
            f"with {recipe.loss}{crossing}, {steps} steps; watch: tensorboard --logdir {run.logs_path}",
            file=sys.stderr,
        )
        bar = ProgressBar(steps, done)
        try:
            return train(task, recipe, self._strategy, run.checkpoint_path, 0, [TensorBoardLog(run.logs_path), bar, *self._callbacks])
        except TrainingDiverged:
            with atomic_path(run.last_good_path) as temporary:
                model.save_weights(temporary)
            raise
        finally:
            bar.close()

    def _batches(self, begin, end, context):
        recipe, replicas = self._recipe, context.num_replicas_in_sync
        return training_batches(
            self._manifest,
            self._order.subjects,
            ViewSettings((_VIEW,), recipe.size_px, recipe if recipe.is_augmented else None, is_uncropped=True),
            lambda: self._order.positions(begin, end),
            recipe.seed,
            recipe.batch_size // replicas,
            self.broken,
            share=(context.input_pipeline_id, context.num_input_pipelines, replicas // context.num_input_pipelines),
        )


def _started_run(folder, worker, source, recipe, settings):
    if source is None:
        raise RecipeError("a training needs SOURCE: a folder of subject folders, or a manifest CSV with a column `subject`")
    recipe = recipe if hasattr(recipe, "stages") else get_recipe(recipe or "small")
    recipe = with_settings(recipe, settings or {})
    if not Path(source).exists():
        raise DataError(f"{source} does not exist: give a folder of subject folders, or a manifest CSV")
    return MatcherRun.start(folder, worker, recipe, {"source": str(Path(source).resolve())})


def _prepare_photos(run, resume):
    """(MatchingPhotos, bool [photos]: which train), listed in the run's photos.csv."""
    photos = read_matching_source(run.facts["source"])
    is_training = choose_training(photos, run.recipe)
    splits = np.where(is_training, _TRAIN, _HELD_OUT)
    records = tuple(dataclasses.replace(record, split=str(split)) for record, split in zip(photos.manifest.records, splits, strict=True))
    manifest = dataclasses.replace(photos.manifest, records=records)
    listed = write_csv_text(manifest)
    if resume and run.photos_path.exists() and run.photos_path.read_text(encoding="utf-8") != listed:
        raise RunError(f"the photos in {run.facts['source']} are not those that {run.folder} started with: train anew with another --run")
    write_text(run.photos_path, listed)
    return dataclasses.replace(photos, manifest=manifest), is_training


def choose_training(photos, recipe):
    """Which photos train, bool [photos]: by the source's `split`, else all subjects but those of the recipe's fold. Raises DataError.

    Args:
      photos: MatchingPhotos.
      recipe: MatcherRecipe.
    """
    splits = np.array([record.split for record in photos.manifest.records])
    if (splits != "").any():
        is_training = np.isin(splits, (_TRAIN, ""))
    elif recipe.fold < 0:
        is_training = np.full(len(photos), True)
    else:
        is_training = photos.folds(recipe.folds, recipe.seed) != recipe.fold
    subjects = len({subject for subject, trains in zip(photos.subjects, is_training, strict=True) if trains})
    if subjects < 2:
        raise DataError(f"{subjects} subject{'' if subjects == 1 else 's'} to train on: at least two are needed; --set fold=-1 trains on all")
    return is_training


def _fitted(recipe, photos, replicas):
    """The recipe with smaller batches where there are fewer subjects than one takes. Raises RecipeError."""
    if recipe.batch_size // replicas % recipe.photos_together:
        raise RecipeError(
            f"batch_size {recipe.batch_size} must be a multiple of {recipe.photos_together} on each of the {replicas} replicas: none may part what belongs together"
        )
    subjects = len(set(photos.subjects)) // replicas * replicas
    if not recipe.is_mined or recipe.batch_size // recipe.photos_per_subject <= subjects:
        return recipe
    print(f"batches are of {subjects} subjects: there are no more", file=sys.stderr)
    return dataclasses.replace(recipe, batch_size=subjects * recipe.photos_per_subject)


def _media(photos, recipe):
    """The medium of each photo as a number, or None where pairs need not cross. Raises RecipeError."""
    media = photos.media
    if recipe.cross_media == "true" and len(set(media)) < 2:
        media = photos.roles
        if len(set(media)) < 2:
            raise RecipeError("cross_media=true needs a column `medium` with two media, or `role` with gallery and probe: the photos that train have neither")
    if recipe.cross_media == "false" or len(set(media)) < 2:
        return None
    return np.unique(media, return_inverse=True)[1].astype(np.int64)
