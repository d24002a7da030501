"""Photos of a manifest -> their vectors, as a stream."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tfvision.data.manifest import Manifest
from tfvision.data.pipeline import BrokenPhotos, ViewSettings, evaluation_batches
from tfvision.errors import DataError
from tfvision.features.extractor import Extractor

_VIEW = "whole"
_WINDOW = 8  # batches' worth of photos among which those of one shape are looked for


def extract(
    manifest: Manifest, extractor: Extractor, batch_size: int = 32, start: int = 0, broken: BrokenPhotos | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Streams the vectors of photos.

    Args:
      manifest: Manifest; where a photo has a box, only the box is seen.
      batch_size: photos at once.
      start: index of the first photo.
      broken: BrokenPhotos that collects what could not be read; these are left out.

    Yields:
      (indices int64 [n], vectors float32 [n, dimension]), in the manifest's order; n may be 0.
    """
    broken = BrokenPhotos() if broken is None else broken
    if start >= len(manifest):
        return
    settings = extractor.view_settings
    rest = manifest.select(np.arange(len(manifest)) >= start)
    read = _windows if settings.is_aspect_kept else _batches
    for indices, same_shape in read(rest, settings, batch_size, broken):
        vectors = np.zeros((len(indices), extractor.dimension), np.float32)
        for rows, images in same_shape:
            vectors[rows] = extractor.features(images)
        yield indices + start, vectors


def photo_pixels(manifest: Manifest, extractor: Extractor) -> np.ndarray:
    """The pixels of a manifest's first photo, as `extract` gives them to an extractor: uint8 [height, width, 3]. Raises DataError."""
    broken = BrokenPhotos()
    for photo in _read(manifest.select(np.arange(len(manifest)) == 0), extractor.view_settings, 1, broken):
        if photo["weight"][0] > 0:
            return photo["views"][_VIEW][0]
    raise DataError(next(iter(broken.values()), "the photo cannot be read"))


def _batches(
    manifest: Manifest, settings: ViewSettings, batch_size: int, broken: BrokenPhotos
) -> Iterator[tuple[np.ndarray, Iterable[tuple[np.ndarray, np.ndarray]]]]:
    """Yields (indices of good photos, [(their rows among these, images)]), images of one size."""
    for batch in _read(manifest, settings, batch_size, broken):
        is_good = batch["weight"] > 0
        images = batch["views"][_VIEW] if is_good.all() else batch["views"][_VIEW][is_good]
        yield batch["index"][is_good], [(np.arange(len(images)), images)] if len(images) else []


def _windows(
    manifest: Manifest, settings: ViewSettings, batch_size: int, broken: BrokenPhotos
) -> Iterator[tuple[np.ndarray, Iterable[tuple[np.ndarray, np.ndarray]]]]:
    """As `_batches`, for images of many sizes: those of one shape within a window make batches."""
    photos = _read(manifest, settings, 1, broken)
    while window := list(itertools.islice(photos, _WINDOW * batch_size)):
        good = [photo for photo in window if photo["weight"][0] > 0]
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for row, photo in enumerate(good):
            by_shape.setdefault(photo["views"][_VIEW].shape, []).append(row)
        batches = [rows[low : low + batch_size] for rows in by_shape.values() for low in range(0, len(rows), batch_size)]
        same_shape = ((np.array(rows), np.concatenate([good[row]["views"][_VIEW] for row in rows])) for rows in batches)
        yield np.array([photo["index"][0] for photo in good], np.int64), same_shape


def _read(manifest: Manifest, settings: ViewSettings, batch_size: int, broken: BrokenPhotos) -> Iterator[dict[str, Any]]:
    return evaluation_batches(manifest, np.zeros(len(manifest), np.int32), settings, batch_size, broken).as_numpy_iterator()
