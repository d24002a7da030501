"""Taps of photos, as one table, and every index that is made of them: single taps, both additions, the tuned ones."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvision.data.manifest import Manifest
from tfvision.data.pipeline import BrokenPhotos
from tfvision.features.extractor import Extractor
from tfvision.features.networks import FeatureNetwork
from tfvision.features.recipe import FeatureRecipe
from tfvision.features.table import feature_table
from tfvision.progress import progress_bar
from tfvision.trained.retriever_network import INDEX, Retriever
from tfvision.trained.retriever_run import RetrieverRecipe

_ROWS = 4096  # worked on at a time


@dataclasses.dataclass(frozen=True)
class Taps:
    """The taps of photos.

    Attributes:
      table: float32 [photos, sum of widths], each tap averaged over positions, as it is.
      widths: {tap: channels}, in the table's order.
      is_read: bool [photos]; rows of broken photos are zero.
    """

    table: np.ndarray
    widths: dict[str, int]
    is_read: np.ndarray

    def norms(self) -> dict[str, float]:
        """{tap: mean L2 norm over photos} (table 4)."""
        sums, photos = dict.fromkeys(self.widths, 0.0), np.flatnonzero(self.is_read)
        for start in range(0, len(photos), _ROWS):
            for tap, part in self._parts(self.table[photos[start : start + _ROWS]]).items():
                sums[tap] += float(np.linalg.norm(part, axis=1).sum())
        return {tap: total / max(1, len(photos)) for tap, total in sums.items()}

    def index(self, name: str, tuned: Mapping[str, keras.Model], rows: slice | np.ndarray) -> np.ndarray:
        """Vectors by the name of an index: float32 [rows, dimension], L2-normalised; a broken photo's are zero.

        Args:
          tuned: name -> keras.Model of the networks of stage 2.
          rows: a slice, or int [rows].
        """
        table = np.asarray(self.table[rows], np.float32)
        if name in tuned:
            return _unit(tuned[name](tf.constant(table), training=False)[INDEX].numpy()) * self.is_read[rows, None]
        if name == "addition":
            return _unit(table)
        parts = self._parts(table)
        if name == "normalised_addition":
            return _unit(np.concatenate([_unit(part) for part in parts.values()], axis=1))
        return _unit(parts[name])

    def _parts(self, table: np.ndarray) -> dict[str, np.ndarray]:
        edges = np.cumsum([0, *self.widths.values()])
        return {tap: table[:, low:high] for tap, low, high in zip(self.widths, edges, edges[1:], strict=False)}


def tap_extractor(retriever: Retriever, recipe: RetrieverRecipe, identity: str) -> Extractor:
    """An Extractor of all taps of a network, neither normalised nor resized but to a square.

    Args:
      identity: text that changes with the weights.
    """
    size = recipe.size_px

    def responses(images):
        maps = retriever.maps(tf.cast(images, tf.float32), training=False)
        return {tap: maps[tap] for tap in recipe.tap_names}

    network = FeatureNetwork(responses, size, (None, size, size, 3), identity, loaded=retriever.loaded)
    return Extractor(FeatureRecipe(recipe.network, recipe.weights, recipe.tap_names, image_size=size, is_normalised=False), network)


def read_taps(manifest: Manifest, extractor: Extractor, cache: Path | str | None = None, broken: BrokenPhotos | None = None, label: str | None = None) -> Taps:
    """The Taps of a manifest's photos. Raises StorageError.

    Args:
      cache: as of `feature_table`.
      label: of a progress bar; None = none.
    """
    broken = BrokenPhotos() if broken is None else broken
    with progress_bar(label, len(manifest)) if label else contextlib.nullcontext() as bar:
        table, is_read = feature_table(manifest, extractor, cache, broken=broken, on_photos=bar and bar.advance)
    return Taps(table, extractor.widths, is_read)


@contextlib.contextmanager
def index_vectors(taps: Taps, name: str, tuned: Mapping[str, keras.Model]) -> Iterator[np.ndarray]:
    """Yields all vectors of an index, float32 [photos, dimension], on disk, so that memory does not grow with photos."""
    with tempfile.TemporaryDirectory(prefix="tfvision-index-") as folder:
        dimension = taps.index(name, tuned, slice(0, 1)).shape[1]
        shape = (len(taps.table), dimension)
        vectors = np.lib.format.open_memmap(Path(folder) / "vectors.npy", "w+", np.float32, shape)
        for start in range(0, len(vectors), _ROWS):
            rows = slice(start, start + _ROWS)
            vectors[rows] = taps.index(name, tuned, rows)
        yield vectors


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
