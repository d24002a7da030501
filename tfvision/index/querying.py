"""Photos as queries: seen as the gallery's own were, and answered one by one."""

from tfvision.data.pipeline import BrokenPhotos
from tfvision.errors import GalleryError
from tfvision.index.making import gallery_extractor, whitened
from tfvision.index.search import search
from tfvision.index.sources import photo_manifest


def search_photos(gallery, photos, k=10, where=None, expansion=0, rerank=False, method="auto", model=None):
    """Searches a gallery for pictures like each photo.

    Args:
      gallery: an open Gallery.
      photos: paths.
      k, where, expansion, rerank, method: as search.search.
      model: where the gallery's network is now, if it was moved.

    Yields:
      {"query", "hits": [{"id", "image", "score", metadata...}]} or {"query", "error"} for each photo, in order.

    Raises:
      GalleryError: the gallery is empty, or made by another model.
      DataError, RecipeError: as search.search.
    """
    from tfvision.features.extraction import extract

    if not len(gallery):
        raise GalleryError(f"{gallery.folder} is empty: add pictures with `tfvision index add {gallery.folder} IMAGES`")
    gallery.rows_where(where)  # a mistake is told before the network is opened
    broken, done = BrokenPhotos(), 0
    for indices, vectors in extract(photo_manifest(photos), gallery_extractor(gallery, model), broken=broken):
        hits = search(gallery, whitened(gallery, vectors), k, where, method, expansion, rerank)
        for index, found in zip(indices.tolist(), hits, strict=True):
            yield from _errors(photos[done:index], broken)
            yield {"query": photos[index], "hits": [_fields(hit) for hit in found]}
            done = index + 1
    yield from _errors(photos[done:], broken)


def _errors(photos, broken):
    return ({"query": photo, "error": broken.get(photo)} for photo in photos)


def _fields(hit):
    own = {"id": hit.id, "image": hit.image, "score": round(hit.score, 4)}
    return {**own, **{name: value for name, value in hit.metadata.items() if name not in own}}
