"""Galleries made of photos: built, added to, whitened; what is finished is kept when a command is stopped."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import tfvision
from tfvision.errors import DataError, GalleryError, RecipeError
from tfvision.features.recipe import FeatureRecipe
from tfvision.index.gallery import Gallery, rows_where
from tfvision.index.locations import create_gallery, has_gallery, open_gallery
from tfvision.index.sources import GalleryPhotos, read_gallery_photos
from tfvision.models.programs import refuse_program

if TYPE_CHECKING:  # TensorFlow
    from tfvision.data.pipeline import BrokenPhotos
    from tfvision.features.extractor import Extractor

Seen = tuple[np.ndarray, np.ndarray]  # (indices of photos, their vectors)

_PHOTOS_BETWEEN_COMMITS = 1024
_SECONDS_BETWEEN_COMMITS = 30
_FITTED_VECTORS = 100_000  # at most, of a whitening


@dataclasses.dataclass(frozen=True)
class BeamJob:
    """How photos are seen by an Apache Beam pipeline.

    Attributes:
      parts: the folder for parts that are finished; these are removed when the gallery is complete.
      options: of Beam, as on a command line: ("--runner=FlinkRunner", ...).
    """

    parts: str
    options: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Progress:
    """What a caller is told while photos are seen.

    Attributes:
      start: called with the number of photos.
      advance: called with a number of photos whenever so many more are done.
      say: called with a line on what follows and takes its time.
    """

    start: Callable[[int], object] = lambda total: None
    advance: Callable[[int], object] = lambda count: None
    say: Callable[[str], object] = lambda line: None


def build_gallery(
    source: str | Path,
    out: str | Path,
    recipe: FeatureRecipe,
    ranks: Sequence[str] | None = None,
    whitened_dimension: int | None = None,
    is_resumed: bool = False,
    broken: BrokenPhotos | None = None,
    progress: Progress | None = None,
    beam: BeamJob | None = None,
) -> dict[str, Any]:
    """Builds a gallery of the photos of `source`.

    Args:
      source, ranks: as sources.read_gallery_photos.
      out: the gallery's location (locations.open_gallery); new, or with `is_resumed` the same command's unfinished one.
      whitened_dimension: values a vector after a PCA whitening fitted on all of them; 0 = as many as before, None = no whitening.
      broken: collects what could not be read.
      beam: None = the photos are seen here.

    Returns:
      {"gallery", "images", "failed", "dimension", "seconds"}.

    Raises:
      DataError, RecipeError, WeightsError, RunError: as reading and opening do; none of the photos can be read.
      GalleryError: there is a gallery already, or it was begun otherwise.
      UserError: Apache Beam or Milvus's client is asked for and not installed.
      StorageError: a full disk; what was finished is kept.
    """
    started = time.monotonic()
    broken = _broken_photos() if broken is None else broken
    photos = read_gallery_photos(source, ranks)
    _check_location(out, is_resumed)
    if beam:
        _check_beam(beam)
    recipe = recipe.located()
    extractor = _open_extractor(recipe)
    if recipe.weights != FeatureRecipe.weights:
        (progress or Progress()).say(f"{recipe.model}: {extractor.network.loaded}")
    with _begun(out, extractor, is_resumed) as gallery:
        if not gallery.facts.get("is_complete", True):
            missing = _missing(gallery, photos)
            if beam:
                _add(gallery, photos, _seen_by_beam(gallery, photos, extractor, beam, broken), progress)
            else:
                _add(gallery, missing, _seen(missing, extractor, broken), progress)
            if not len(gallery):
                raise DataError(f"none of the {len(photos.ids)} photos of {source} could be read: {next(iter(broken.values()))}")
            _finish(gallery, whitened_dimension)
            if beam:
                _remove_parts(beam)
        refresh_index(gallery, progress)
        return _result(gallery, broken, started)


def add_photos(
    location: str | Path,
    source: str | Path,
    ranks: Sequence[str] | None = None,
    model: str | None = None,
    is_replaced: bool = False,
    broken: BrokenPhotos | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Adds the photos of `source` to a gallery, seen as its own were.

    Photos that are there already (the id and the path are equal) are passed over.

    Args:
      model: where the gallery's network is now, if it was moved.
      is_replaced: whether photos with ids that are there already are seen anew and take their place.

    Returns:
      As `build_gallery`, and "added".

    Raises:
      As `build_gallery`; GalleryError where the network is not the one that made the gallery, or an id is that of
      another picture.
    """
    started = time.monotonic()
    broken = _broken_photos() if broken is None else broken
    photos = read_gallery_photos(source, ranks)
    with open_gallery(location, writable=True) as gallery:
        if not gallery.facts.get("is_complete", True):
            raise GalleryError(f"{location} is unfinished: go on with `tfvision index build ... --out {location} --resume` first")
        photos = photos if is_replaced else _missing(gallery, photos)
        seen = _seen(photos, gallery_extractor(gallery, model), broken)
        added = _add(gallery, photos, seen, progress, gallery.replace if is_replaced else gallery.add)
        refresh_index(gallery, progress)
        return {**_result(gallery, broken, started), "added": added}


def remove_pictures(location: str | Path, ids: Sequence[str] = (), where: str | Sequence[str] | None = None) -> dict[str, Any]:
    """Removes pictures by id, or those that fulfil conditions; returns {"gallery", "images", "removed"}. Raises GalleryError."""
    with open_gallery(location, writable=True) as gallery:
        rows = np.flatnonzero(rows_where(gallery, where)).tolist() if where else ()
        ids = [*ids, *(gallery.id_of_row(row) for row in rows)]
        gallery.remove(ids)
        refresh_index(gallery)
        return {"gallery": str(location), "images": len(gallery), "removed": len(set(ids))}


def gallery_extractor(gallery: Gallery, model: str | None = None, trusted: Collection[str] = ()) -> Extractor:
    """The Extractor that made a gallery.

    Args:
      model: where its network is now, if it was moved.
      trusted: models that the user named: a program that only the gallery names is not run (models.programs).

    Raises:
      GalleryError: what is found makes other vectors, the gallery tells of no recipe, or its model is a program that nobody named here.
    """
    from tfvision.training.recipes import from_json  # TensorFlow, when it is needed

    if "recipe" not in gallery.facts:
        raise GalleryError(f"{gallery.location} tells of no recipe, so photos cannot be seen as its own were: its vectors were made elsewhere")
    try:
        recipe = from_json(gallery.facts["recipe"], FeatureRecipe)
    except RecipeError as error:
        raise GalleryError(f"{gallery.location}: {error}") from error
    if model:
        recipe = dataclasses.replace(recipe, model=model)
    elif recipe.model not in trusted:
        _check_place(recipe, str(gallery.location))
        refuse_program(recipe.model, str(gallery.location), "--model", GalleryError)
    extractor = _open_extractor(recipe)
    if extractor.identity != gallery.facts["identity"]:
        raise GalleryError(
            f"{gallery.location} was made by another model than {recipe.model} is now, so their vectors cannot be compared: "
            "give the one that made it with --model, or build the gallery again"
        )
    return extractor


def _check_place(recipe: FeatureRecipe, location: str) -> None:
    """Raises GalleryError where the run, the export or the weights that made a gallery are no longer where they were."""
    from tfvision.features.networks import HUB_PREFIX
    from tfvision.models.catalogue import NETWORKS
    from tfvision.models.weight_sources import KEYWORDS

    model, weights = recipe.model, Path(recipe.weights)
    if model not in NETWORKS and not model.startswith(HUB_PREFIX) and not Path(model).exists():
        raise GalleryError(f"{location} was made by the model in {Path(model).absolute()}, where nothing is now: if it was moved, go on with --model NEWPLACE")
    if recipe.weights not in KEYWORDS and not weights.exists():
        raise GalleryError(f"{location} was made by {model} with the weights of {weights.absolute()}, where nothing is now: put the file back")


def refresh_index(gallery: Gallery, progress: Progress | None = None) -> None:
    """Builds the approximate index where the gallery is large enough for one and has none that is fresh."""
    gallery.refresh_index((progress or Progress()).say)


def whitened(gallery: Gallery, vectors: np.ndarray) -> np.ndarray:
    """An extractor's vectors as the gallery holds them."""
    return gallery.whitening.apply(vectors) if gallery.whitening and len(vectors) else vectors


def _broken_photos() -> BrokenPhotos:
    from tfvision.data.pipeline import BrokenPhotos

    return BrokenPhotos()


def _open_extractor(recipe: FeatureRecipe) -> Extractor:
    from tfvision.features.extractor import open_extractor

    return open_extractor(recipe)


def _check_location(out: str | Path, is_resumed: bool) -> None:
    if is_resumed or not has_gallery(out):
        return
    with open_gallery(out) as gallery:
        if gallery.facts.get("is_complete", True):
            raise GalleryError(f"{out} is a gallery already: add to it with `tfvision index add`, or choose another folder")
        raise GalleryError(f"{out} is an unfinished gallery: go on with --resume, or remove the folder")


def _begun(out: str | Path, extractor: Extractor, is_resumed: bool) -> Gallery:
    """The gallery opened for writing, new or as it was left."""
    if not (is_resumed and has_gallery(out)):
        facts = {"recipe": dataclasses.asdict(extractor.recipe), "identity": extractor.identity, "is_complete": False}
        return create_gallery(out, extractor.dimension, {**facts, "tfvision": tfvision.__version__})
    gallery = open_gallery(out, writable=True)
    if gallery.facts.get("identity") != extractor.identity:
        gallery.close()
        raise GalleryError(f"{out} was begun with another model or other settings: give the same ones, or choose another folder")
    return gallery


def _missing(gallery: Gallery, photos: GalleryPhotos) -> GalleryPhotos:
    """The photos that the gallery does not have. Raises GalleryError where an id is that of another picture."""
    rows = [gallery.row_of(id) for id in photos.ids]
    for id, row, record in zip(photos.ids, rows, photos.manifest.records, strict=True):
        if row is not None and not gallery.is_of(row, record.path):
            raise GalleryError(
                f"{gallery.location} has the id {id!r} for another picture, {gallery.image_of_row(row)}: "
                "give ids in a manifest's column `id`, or --replace that picture"
            )
    return photos.select([row is None for row in rows])


def _seen(photos: GalleryPhotos, extractor: Extractor, broken: BrokenPhotos) -> Iterable[Seen]:
    """Yields (indices, vectors) of photos."""
    from tfvision.features.extraction import extract

    return extract(photos.manifest, extractor, broken=broken)


def _seen_by_beam(gallery: Gallery, photos: GalleryPhotos, extractor: Extractor, beam: BeamJob, broken: BrokenPhotos) -> Iterator[Seen]:
    """As `_seen`, of what the gallery does not have. The job is always of all photos: so its parts are those of last time."""
    from tfvision.features.beam import extract_with_beam

    is_missing = np.array([gallery.row_of(id) is None for id in photos.ids])
    for indices, vectors in extract_with_beam(photos.manifest, extractor, beam.parts, beam.options, broken=broken):
        yield indices[is_missing[indices]], vectors[is_missing[indices]]


def _check_beam(beam: BeamJob) -> None:
    from tfvision.data.beam import open_pipeline

    open_pipeline(beam.options)


def _remove_parts(beam: BeamJob) -> None:
    from tfvision.features.beam import remove_parts

    remove_parts(beam.parts)


def _add(gallery: Gallery, photos: GalleryPhotos, seen: Iterable[Seen], progress: Progress | None, change: Callable[..., None] | None = None) -> int:
    """Adds photos as their vectors come, a commit now and then; returns how many."""
    progress, change, added = progress or Progress(), change or gallery.add, 0
    progress.start(len(photos.ids))
    for indices, vectors in _commits(len(photos.ids), seen, progress):
        ids, metadata = ([items[index] for index in indices] for items in (photos.ids, photos.metadata))
        change(ids, whitened(gallery, vectors), [photos.manifest.records[index].path for index in indices], metadata)
        added += len(ids)
    return added


def _commits(total: int, seen: Iterable[Seen], progress: Progress) -> Iterator[Seen]:
    """Yields (indices, vectors) of so many photos that their loss would hurt."""
    waiting: list[Seen] = []
    done, last = 0, time.monotonic()
    for indices, vectors in seen:
        if not len(indices):
            continue
        waiting.append((indices, vectors))
        progress.advance(int(indices[-1]) + 1 - done)
        done = int(indices[-1]) + 1
        if sum(len(part) for part, _ in waiting) >= _PHOTOS_BETWEEN_COMMITS or time.monotonic() - last > _SECONDS_BETWEEN_COMMITS:
            yield _joined(waiting)
            waiting, last = [], time.monotonic()
    progress.advance(total - done)
    if waiting:
        yield _joined(waiting)


def _joined(parts: Sequence[Seen]) -> Seen:
    return np.concatenate([indices for indices, _ in parts]), np.concatenate([vectors for _, vectors in parts])


def _finish(gallery: Gallery, whitened_dimension: int | None) -> None:
    """Whitens all vectors where asked for, and marks the gallery as complete in the same moment."""
    if whitened_dimension is None:
        return gallery.set_facts(is_complete=True)
    from tfvision.features.whitening import fit_whitening

    fitted = np.random.default_rng(0).choice(len(gallery), min(len(gallery), _FITTED_VECTORS), replace=False)
    vectors = gallery.vectors_of_rows(gallery.live[np.sort(fitted)])
    gallery.rewrite(fit_whitening(vectors, whitened_dimension or None), is_complete=True)


def _result(gallery: Gallery, broken: BrokenPhotos, started: float) -> dict[str, Any]:
    return {
        "gallery": gallery.location,
        "images": len(gallery),
        "failed": len(broken),
        "dimension": gallery.dimension,
        "seconds": round(time.monotonic() - started, 1),
    }
