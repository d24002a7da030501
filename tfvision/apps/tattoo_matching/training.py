"""Training a matcher: photos of one subject near each other, by pairs, triplets, or triplets mined in a batch.

Source: tattoo-recognition, section 2.2.
"""

import dataclasses
import sys
import typing
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvision.apps.tattoo_matching.recipes import RECIPES
from tfvision.apps.tattoo_matching.source import MatchingPhotos, read_matching_source
from tfvision.data.manifest import write_csv_text
from tfvision.data.pairs import MatchingOrder, PairOrder, SubjectOrder, TripletOrder
from tfvision.data.pipeline import ViewSettings
from tfvision.errors import DataError, RecipeError
from tfvision.losses.contrastive import contrastive_loss
from tfvision.losses.distances import pairwise_distances, squared_distances
from tfvision.losses.triplet import mined_triplet_loss, triplet_loss
from tfvision.models.weights import save_weights
from tfvision.trained.matcher_network import TRAINED, build_embedder
from tfvision.trained.matcher_run import CONTRASTIVE, TRIPLET, MatcherRecipe, MatcherRun
from tfvision.training.loop import Batch, LossFunction, Measures, Task, sum_and_weight
from tfvision.training.photos import WHOLE_VIEW, labels_line, photo_batches
from tfvision.training.schedules import stages_in_epochs
from tfvision.training.session import Phase, Source, Training, located, run_training

_TRAIN, _HELD_OUT = "train", "held-out"
_FAR = 1e9  # a distance that no two photos have


def train_matcher(
    source: str | Path | None = None,
    recipe: str | MatcherRecipe | None = None,
    settings: dict[str, typing.Any] | None = None,
    run: str | Path | None = None,
    resume: bool = False,
    strategy: tf.distribute.Strategy | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, typing.Any]:
    """Trains a matcher and writes a run folder.

    Args:
      source: as `read_matching_source`.
      recipe, settings, run, resume, strategy, callbacks: as `run_training`.

    Returns:
      dict: "run", "images" (trained on), "held_out", "subjects", "crosses_media", "dimension", "seconds", "weights",
      "broken", and the last "loss" and "accuracy" (share of pairs, triplets or photos that are told right, in training).

    Raises:
      UserError: photos, recipe, weights or storage, each with the way out.
    """
    return run_training(MatcherTraining, {"source": source}, recipe, settings, run, resume, strategy, callbacks)


class MatcherTraining(Training):
    """One tower that learns by pairs, triplets, or triplets mined in a batch."""

    RUN = MatcherRun
    RECIPES = RECIPES
    run: MatcherRun
    recipe: MatcherRecipe

    @classmethod
    def facts_of(cls, source: Source, recipe: MatcherRecipe) -> dict[str, typing.Any]:
        path = source["source"]
        if path is None:
            raise RecipeError("a training needs SOURCE: a folder of subject folders, or a manifest CSV with a column `subject`")
        return {"source": located(path, "give a folder of subject folders, or a manifest CSV")}

    def prepare(self) -> str:
        photos = read_matching_source(self.run.facts["source"])
        print(labels_line(photos.manifest), file=sys.stderr)
        self.is_training = choose_training(photos, self.run.recipe)
        manifest = photos.manifest.with_splits(np.where(self.is_training, _TRAIN, _HELD_OUT))
        self.photos = dataclasses.replace(photos, manifest=manifest).select(self.is_training)
        self.recipe = _fitted(self.recipe, self.photos, self.strategy.num_replicas_in_sync)
        self.order = matching_order(self.photos, self.recipe)
        return write_csv_text(manifest)

    def build(self) -> None:
        self.embedder = build_embedder(self.recipe, self.recipe.size_px, self.recipe.weights, self.recipe.precision)

    def headline(self) -> str:
        crossing = ", pairs across media" if self.order.media is not None else ""
        return (
            f"training {self.recipe.network} ({self.embedder.loaded}) on {len(self.photos)} photos of {len(np.unique(self.order.subjects))} subjects "
            f"with {self.recipe.loss}{crossing}"
        )

    def phases(self) -> Sequence[Phase]:
        return [Phase(stages_in_epochs(self.recipe, self.order.epoch_size), self.order.epoch_size, self._start)]

    def judge(self) -> dict[str, typing.Any]:
        return {
            "images": len(self.photos),
            "held_out": int((~self.is_training).sum()),
            "subjects": len(np.unique(self.order.subjects)),
            "crosses_media": self.order.media is not None,
            "dimension": self.embedder.model.output["embedding"].shape[-1],
            "weights": self.embedder.loaded,
            **{name: float(self.logs[name]) for name in ("loss", "accuracy") if name in self.logs},
        }

    def save(self, path: Path) -> None:
        save_weights(self.embedder.model, path)

    def _start(self, first_position: int) -> Task:
        recipe, order, model = self.recipe, self.order, self.embedder.model
        settings = ViewSettings((WHOLE_VIEW,), recipe.size_px, recipe if recipe.is_augmented else None, is_uncropped=True)
        return Task(
            model=model,
            loss=matching_loss(model, recipe),
            stages=stages_in_epochs(recipe, order.epoch_size),
            photos=order.epoch_size,
            batches=photo_batches(self.photos.manifest, order.subjects, settings, order, recipe, self.broken),
            first_position=first_position,
            new_layers=self.embedder.new_layers,
        )


def matching_order(photos: MatchingPhotos, recipe: MatcherRecipe) -> MatchingOrder:
    """The order in which photos are seen. Raises DataError, RecipeError.

    Args:
      photos: those that train.
    """
    subjects = np.unique(photos.subjects, return_inverse=True)[1].astype(np.int64)
    media = _media(photos, recipe)
    if recipe.is_mined:
        return SubjectOrder(subjects, recipe.seed, media, recipe.batch_size // recipe.photos_per_subject, recipe.photos_per_subject)
    order = {CONTRASTIVE: PairOrder, TRIPLET: TripletOrder}[recipe.loss](subjects, recipe.seed, media)
    order.check()
    return order


def matching_loss(model: keras.Model, recipe: MatcherRecipe) -> LossFunction:
    """The `loss` of a Task: (batch, step) -> (float32 [batch], {"accuracy": (right, counted)}).

    The loss of a pair or triplet stands in the row of each of its photos, so that the mean over photos is the mean over
    pairs; one with a photo that could not be read has none.
    """
    of_kind = {CONTRASTIVE: _contrastive, TRIPLET: _triplet}.get(recipe.loss, _mined)

    def loss(batch: Batch, step: tf.Tensor) -> tuple[tf.Tensor, Measures]:
        vectors = model(tf.cast(batch["views"][WHOLE_VIEW], tf.float32), training=True)[TRAINED]
        return of_kind(vectors, batch["label"], batch["weight"], recipe)

    return loss


def _contrastive(vectors: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, recipe: MatcherRecipe) -> tuple[tf.Tensor, Measures]:
    left, right = vectors[0::2], vectors[1::2]
    is_genuine, counts = labels[0::2] == labels[1::2], weights[0::2] * weights[1::2]
    losses = contrastive_loss(is_genuine, left, right, recipe.margin) * counts
    is_near = squared_distances(left, right) < (recipe.margin / 2) ** 2
    return tf.repeat(losses, 2), _share(is_near == is_genuine, counts)


def _triplet(vectors: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, recipe: MatcherRecipe) -> tuple[tf.Tensor, Measures]:
    anchor, positive, negative = vectors[0::3], vectors[1::3], vectors[2::3]
    counts = weights[0::3] * weights[1::3] * weights[2::3]
    losses = triplet_loss(anchor, positive, negative, recipe.margin) * counts
    is_right = squared_distances(anchor, positive) < squared_distances(anchor, negative)
    return tf.repeat(losses, 3), _share(is_right, counts)


def _mined(vectors: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, recipe: MatcherRecipe) -> tuple[tf.Tensor, Measures]:
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


def _share(is_right: tf.Tensor, counts: tf.Tensor) -> Measures:
    return {"accuracy": sum_and_weight(tf.cast(is_right, tf.float32), counts)}


def choose_training(photos: MatchingPhotos, recipe: MatcherRecipe) -> np.ndarray:
    """Which photos train, bool [photos]: by the source's `split`, else all subjects but those of the recipe's fold. Raises DataError."""
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


def _fitted(recipe: MatcherRecipe, photos: MatchingPhotos, replicas: int) -> MatcherRecipe:
    """The recipe with smaller batches where there are fewer subjects than one takes. Raises RecipeError."""
    if recipe.batch_size // replicas % recipe.photos_together:
        raise RecipeError(
            f"batch_size {recipe.batch_size} must be a multiple of {recipe.photos_together} on each of the {replicas} replicas: "
            "none may part what belongs together"
        )
    subjects = len(set(photos.subjects)) // replicas * replicas
    if not recipe.is_mined or recipe.batch_size // recipe.photos_per_subject <= subjects:
        return recipe
    print(f"batches are of {subjects} subjects: there are no more", file=sys.stderr)
    return dataclasses.replace(recipe, batch_size=subjects * recipe.photos_per_subject)


def _media(photos: MatchingPhotos, recipe: MatcherRecipe) -> np.ndarray | None:
    """The medium of each photo as a number, or None where pairs need not cross. Raises RecipeError."""
    media = photos.media
    if not media and photos.mates and recipe.cross_media == "auto":
        media = photos.roles  # Tatt-C's pairs are a probe and a gallery image, as the paper's
    if recipe.cross_media == "true" and len(set(media)) < 2:
        media = photos.roles
        if len(set(media)) < 2:
            raise RecipeError("cross_media=true needs a column `medium` with two media, or `role` with gallery and probe: the photos that train have neither")
    if recipe.cross_media == "false" or len(set(media)) < 2:
        return None
    return np.unique(media, return_inverse=True)[1].astype(np.int64)
