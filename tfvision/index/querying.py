"""Photos as queries: seen as the gallery's own were, and answered one by one."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfvision.data.pipeline import BrokenPhotos
from tfvision.errors import GalleryError
from tfvision.evaluation.likelihood import MatchCalibration, load_calibration
from tfvision.features.extractor import Extractor
from tfvision.index.gallery import Gallery, rows_where
from tfvision.index.making import gallery_extractor, whitened
from tfvision.index.sources import photo_manifest
from tfvision.index.vector_search import Hit, search

OWN_FIELDS = ("id", "image", "score", "likelihood", "likelihood_is_bound")  # of a hit; all others are metadata


def search_photos(
    gallery: Gallery,
    photos: Sequence[str],
    k: int = 10,
    where: str | Sequence[str] | None = None,
    expansion: int = 0,
    rerank: bool = False,
    method: str = "auto",
    model: str | None = None,
) -> Iterator[dict[str, Any]]:
    """Searches a gallery for pictures like each photo.

    Where the gallery's model is a run that was evaluated as a tattoo matcher, hits have a "likelihood" as well: how many times likelier
    the score is of the same tattoo than of two, and "likelihood_is_bound" where the evaluation can tell no more. Not for scores that
    whitening, `expansion` or `rerank` changed.

    Args:
      photos: paths.
      k, where, expansion, rerank, method: as vector_search.search.
      model: where the gallery's network is now, if it was moved.

    Yields:
      {"query", "hits": [{"id", "image", "score", metadata...}]} or {"query", "error"} for each photo, in order.

    Raises:
      GalleryError: the gallery is empty, or made by another model.
      DataError, RecipeError: as vector_search.search.
    """
    from tfvision.features.extraction import extract

    if not len(gallery):
        raise GalleryError(f"{gallery.location} is empty: add pictures with `tfvision index add {gallery.location} IMAGES`")
    if where:
        rows_where(gallery, where)  # a mistake is told before the network is opened
    broken, done, extractor = BrokenPhotos(), 0, gallery_extractor(gallery, model)
    calibration = None if gallery.whitening or expansion or rerank else _calibration(extractor)
    for indices, vectors in extract(photo_manifest(photos), extractor, broken=broken):
        hits = search(gallery, whitened(gallery, vectors), k, where, method, expansion, rerank)
        for index, found in zip(indices.tolist(), hits, strict=True):
            yield from _errors(photos[done:index], broken)
            yield {"query": photos[index], "hits": [_fields(hit, calibration) for hit in found]}
            done = index + 1
    yield from _errors(photos[done:], broken)


def likelihood_text(hit: Mapping[str, Any]) -> str:
    """ "likelihood ratio 120" of a hit, or "over" or "under" where it is a bound."""
    ratio = hit["likelihood"]
    bound = ("over " if ratio > 1 else "under ") if hit["likelihood_is_bound"] else ""
    return f"likelihood ratio {bound}{ratio:g}"


def _errors(photos: Sequence[str], broken: BrokenPhotos) -> Iterator[dict[str, Any]]:
    return ({"query": photo, "error": broken.get(photo)} for photo in photos)


def _calibration(extractor: Extractor) -> MatchCalibration | None:
    """The MatchCalibration of the extractor's run, if it has one that was fitted on scores such as these."""
    calibration = load_calibration(Path(extractor.recipe.model))
    return calibration if calibration and calibration.identity == extractor.identity else None


def _fields(hit: Hit, calibration: MatchCalibration | None) -> dict[str, Any]:
    own = {"id": hit.id, "image": hit.image, "score": round(hit.score, 4)}
    if calibration:
        own["likelihood"], own["likelihood_is_bound"] = calibration.ratio(hit.score)
    return {**own, **{name: value for name, value in hit.metadata.items() if name not in own}}
