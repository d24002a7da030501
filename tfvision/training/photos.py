"""Photos without labels, parted into those that train and those that nobody trains on, as batches of squares."""

import numpy as np

from tfvision.data.manifest import read_photos
from tfvision.data.pipeline import BrokenPhotos, TrainingOrder, ViewSettings, evaluation_batches, training_batches
from tfvision.data.splits import split_validation
from tfvision.errors import DataError

_VIEW = "whole"


class UnlabelledPhotos:
    """The photos of a training that needs no labels.

    Args:
      source: a folder of photos, or a manifest CSV.
      recipe: Recipe with image_size and validation_fraction; the random changes are its own.

    Attributes:
      training, validation: Manifests.
      broken: BrokenPhotos.

    Raises:
      DataError: there are none, or too few to hold one out.
    """

    def __init__(self, source, recipe):
        manifest = read_photos(source)
        splits = split_validation(manifest, recipe.validation_fraction, recipe.seed)
        if not {"train", "validation"} <= set(splits):
            raise DataError(f"{source} holds {len(manifest)} photo{'s' if len(manifest) > 1 else ''}: at least two are needed, one of them unseen")
        self.training, self.validation = (manifest.select(splits == part) for part in ("train", "validation"))
        self.broken = BrokenPhotos()
        self._recipe = recipe
        self._labels = np.zeros(len(self.training), np.int32)
        self._order = TrainingOrder(self._labels, recipe.seed)

    def batches(self, begin, end, context):
        """What a Task wants: tf.data.Dataset of training batches, see `images_of`."""
        recipe, replicas = self._recipe, context.num_replicas_in_sync
        settings = ViewSettings((_VIEW,), recipe.image_size, recipe)
        share = (context.input_pipeline_id, context.num_input_pipelines, replicas // context.num_input_pipelines)
        positions = lambda: self._order.positions(begin, end)
        return training_batches(self.training, self._labels, settings, positions, recipe.seed, recipe.batch_size // replicas, self.broken, share)

    def unseen_batches(self, size_px, batch_size, count=None):
        """The centres of held-out photos (the first `count`; None = all), as batches like the training's, unchanged."""
        manifest = self.validation.select(np.arange(len(self.validation)) < (count or len(self.validation)))
        settings = ViewSettings((_VIEW,), size_px)
        return evaluation_batches(manifest, np.zeros(len(manifest), np.int32), settings, batch_size, self.broken)


def images_of(batch):
    """uint8 [batch, size, size, 3]; where batch["weight"] is 0, the photo was broken."""
    return batch["views"][_VIEW]
