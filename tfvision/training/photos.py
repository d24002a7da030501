"""Photos as the batches of a Task; and photos without labels, parted into those that train and those that nobody trains on."""

import collections
import concurrent.futures
import os
import typing
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvision.data.decoding import JPEG_RATIOS, decode_photo, read_photo
from tfvision.data.manifest import RESERVED_COLUMNS, Manifest, read_photos, write_csv_text
from tfvision.data.pipeline import BrokenPhotos, TrainingOrder, ViewSettings, evaluation_batches, training_batches
from tfvision.data.shards.blocks import PhotoBlocks, blocks_of
from tfvision.data.splits import split_validation
from tfvision.errors import DataError
from tfvision.training.loop import Batch, Batches
from tfvision.training.recipes import Recipe

WHOLE_VIEW = "whole"
_NAMED = 3


def labels_line(manifest: Manifest) -> str:
    """What photos are labelled by, in one line: each rank with the number of its names and some of them, and columns that are no labels."""
    names = [sorted({record.lineage[level] for record in manifest.records} - {""}) for level in range(len(manifest.ranks))]
    ranks = [f"{rank} ({len(found)}: {', '.join(found[:_NAMED])}{', ...' * (len(found) > _NAMED)})" for rank, found in zip(manifest.ranks, names, strict=True)]
    others = [name for name in manifest.columns if name and name not in RESERVED_COLUMNS and name not in manifest.ranks]
    return f"labels: {' > '.join(ranks)}" + (f"; columns that are none: {', '.join(others)}" if others else "")


class PhotoOrder(typing.Protocol):
    """The order in which a training sees its photos, such as data.pipeline.TrainingOrder."""

    @property
    def blocks(self) -> PhotoBlocks | None: ...

    def positions(self, begin: int, end: int) -> Iterator[dict[str, np.ndarray]]: ...


def photo_batches(manifest: Manifest, labels: np.ndarray, settings: ViewSettings, order: PhotoOrder, recipe: Recipe, broken: BrokenPhotos) -> Batches:
    """The `batches` of a Task whose photos are read anew in each epoch.

    Args:
      manifest: photos.
      labels: int [photos].
      settings: their views and random changes.
      order: of the photos over the whole training.
      recipe: with batch_size, over all replicas, and seed.
      broken: what collects the photos that cannot be read.
    """

    def batches(begin: int, end: int, context: tf.distribute.InputContext) -> tf.data.Dataset:
        replicas = context.num_replicas_in_sync
        share = (context.input_pipeline_id, context.num_input_pipelines, replicas // context.num_input_pipelines)
        size = recipe.batch_size // replicas
        return training_batches(manifest, labels, settings, lambda: order.positions(begin, end), recipe.seed, size, broken, share, order.blocks)

    return batches


def unreadable_classes(manifest: Manifest, labels: Sequence[Hashable], broken: BrokenPhotos) -> set[Hashable]:
    """The labels of which no photo can be read: nothing could be learnt of them. Each class is looked at until one photo can.

    Args:
      manifest: photos.
      labels: one a photo.
      broken: collects those that cannot be read.
    """
    photos: dict[Hashable, list[str]] = collections.defaultdict(list)
    for label, path in zip(labels, manifest.paths, strict=True):
        photos[label].append(path)

    def is_readable(path: str) -> bool:
        try:
            decode_photo(read_photo(path), JPEG_RATIOS[-1], path)
        except DataError as error:
            broken.add(path, error)
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        return {label for label, found in zip(photos, threads.map(lambda paths: any(map(is_readable, paths)), photos.values()), strict=True) if not found}


class UnlabelledPhotos:
    """The photos of a training that needs no labels.

    Args:
      source: a folder of photos, or a manifest CSV.
      recipe: with image_size and validation_fraction; the random changes are its own.
      broken: what collects the photos that cannot be read; None = a new one.

    Attributes:
      training, validation: Manifests.
      broken: photos that cannot be read, by path.

    Raises:
      DataError: there are none, or too few to hold one out.
    """

    def __init__(self, source: str | Path, recipe: typing.Any, broken: BrokenPhotos | None = None) -> None:
        manifest = read_photos(source)
        splits = split_validation(manifest, recipe.validation_fraction, recipe.seed)
        if not {"train", "validation"} <= set(splits):
            raise DataError(f"{source} holds {len(manifest)} photo{'s' if len(manifest) > 1 else ''}: at least two are needed, one of them unseen")
        self.training, self.validation = (manifest.select(splits == part) for part in ("train", "validation"))
        self.broken = BrokenPhotos() if broken is None else broken
        self._recipe = recipe
        self._labels = np.zeros(len(self.training), np.int32)
        self._order = TrainingOrder(self._labels, recipe.seed, blocks=blocks_of(self.training.paths))

    @property
    def batches(self) -> Batches:
        """What a Task wants, see `images_of`."""
        settings = ViewSettings((WHOLE_VIEW,), self._recipe.image_size, self._recipe)
        return photo_batches(self.training, self._labels, settings, self._order, self._recipe, self.broken)

    def listed(self) -> str:
        """photos.csv of a run: the photos that train, then the others."""
        return write_csv_text(self.training) + write_csv_text(self.validation)

    def unseen_batches(self, size_px: int, batch_size: int, count: int | None = None) -> tf.data.Dataset:
        """The centres of held-out photos (the first `count`; None = all), as batches like the training's, unchanged."""
        manifest = self.validation.select(np.arange(len(self.validation)) < (count or len(self.validation)))
        settings = ViewSettings((WHOLE_VIEW,), size_px)
        return evaluation_batches(manifest, np.zeros(len(manifest), np.int32), settings, batch_size, self.broken)


def images_of(batch: Batch) -> tf.Tensor:
    """uint8 [batch, size, size, 3]; where batch["weight"] is 0, the photo was broken."""
    return batch["views"][WHOLE_VIEW]
