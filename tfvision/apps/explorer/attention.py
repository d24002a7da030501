"""Where the network looks in a picture: its Grad-CAM for a similarity, as a picture to be laid over it."""

from __future__ import annotations

import concurrent.futures
import io
import threading
from collections.abc import Hashable
from typing import TYPE_CHECKING

import numpy as np

from tfvision.apps.explorer.collection import Layer
from tfvision.apps.explorer.queries import Queries
from tfvision.errors import DataError
from tfvision.index.sources import photo_manifest

if TYPE_CHECKING:  # TensorFlow
    from tfvision.features.attention import SimilarityMaps
    from tfvision.features.extractor import Extractor

_KEPT = 128  # pictures of some kilobytes
_WAITING = 2  # of those asked for and not begun: who leafs through pictures wants the last
_SIDE_PX = 256
_OPACITY = 0.62  # where a map is warm
_COLD, _RISE = 0.08, 1.7  # up to where it is transparent, and how steep it rises from there


class AttentionMaps:
    """Makes maps one at a time, in one thread, and keeps the last ones."""

    def __init__(self) -> None:
        self._thread, self._lock = concurrent.futures.ThreadPoolExecutor(1, "attention"), threading.Lock()
        self._asked: dict[Hashable, concurrent.futures.Future[bytes]] = {}
        self._maps: dict[str, tuple[Extractor, SimilarityMaps]] = {}  # location of a gallery -> what sees as its pictures were seen

    def ask(self, queries: Queries, layer: Layer, position: int, path: str, query: str | None = None) -> concurrent.futures.Future[bytes]:
        """Where a picture holds what makes it similar to a query, in one layer: a PNG over the whole picture, transparent where it is cold.

        Args:
          position, path: of the picture.
          query: a name; None = the picture itself.

        Raises (the future does):
          UserError: the picture cannot be read, the query is lost, or the network has no such map, with the reason.
        """
        name = (layer.location, layer.fingerprint, position, path, query, queries.changes_of(query or ""))
        with self._lock:
            future = self._asked.pop(name, None)
            if future is None or future.cancelled() or (future.done() and future.exception()):
                future = self._thread.submit(self._make, queries, layer, path, str(position) if query is None else query)
            self._asked[name] = future
            waiting = [one for one, other in self._asked.items() if not (other.done() or other.running())]
            for one in [*waiting[:-_WAITING], *list(self._asked)[:-_KEPT]]:
                if one in self._asked and (self._asked[one].cancel() or self._asked[one].done()):
                    del self._asked[one]
        return future

    def _make(self, queries, layer, path, query):
        from tfvision.features.attention import SimilarityMaps  # TensorFlow: seconds
        from tfvision.features.extraction import photo_pixels

        queries.titles(query)  # one that is lost is told before a network is opened
        with queries.seeing(layer) as extractor:
            target = queries.vector(query, layer)
            if self._maps.get(layer.location, (None,))[0] is not extractor:
                self._maps[layer.location] = extractor, SimilarityMaps(extractor, layer.gallery.whitening)
            heat = self._maps[layer.location][1].map(photo_pixels(photo_manifest([path]), extractor), target)
        if not heat.any():
            raise DataError("nothing in this picture speaks for the query: no place of it makes them more similar")
        return _picture(heat)


def _picture(heat):
    """A map as a PNG."""
    import PIL.Image

    from tfvision.features.grad_cam import enlarged, shades

    large = enlarged(heat, tuple(round(side * _SIDE_PX / max(heat.shape)) for side in heat.shape))
    pixels = np.concatenate([shades(large), 255 * _OPACITY * ((large - _COLD) * _RISE).clip(0, 1)[..., None]], axis=-1)
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels.round().astype(np.uint8), "RGBA").save(buffer, "PNG")
    return buffer.getvalue()
