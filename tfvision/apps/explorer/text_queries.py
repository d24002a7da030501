"""Questions in words: a text model beside the layers that its image tower made."""

import functools
import os
import threading
from pathlib import Path

import numpy as np

from tfvision.apps.explorer.collection import Layer
from tfvision.errors import DataError
from tfvision.features.text_encoder import TextEncoder, find_towers, open_text_encoder
from tfvision.index.making import whitened

SEEING = threading.RLock()  # one network at a time, of pictures or texts, also while an update replaces the collection
_REMEMBERED = 64  # vectors of texts


class TextQueries:
    """Texts as vectors of layers.

    Args:
      model: the folder of a pair of towers, or the .onnx file of a text tower (features.text_encoder); None = nothing can be asked in words.
    """

    def __init__(self, model: str | Path | None = None) -> None:
        self._model, self._folder = model, _folder(model)
        self._encoded = functools.lru_cache(_REMEMBERED)(self._encode)

    def fits(self, layer: Layer) -> bool:
        """Whether texts can be compared with a layer: the image tower made it, or its vectors were made elsewhere, for which the user vouches."""
        return self._model is not None and self._stranger(layer) is None

    def vector(self, text: str, layer: Layer) -> np.ndarray:
        """float32 [dimension] of a text as the layer holds vectors. Raises DataError, WeightsError."""
        if self._model is None:
            raise DataError("nothing can be asked in words here: start the explorer with --text-model, which names a text encoder")
        if model := self._stranger(layer):
            where = self._folder
            raise DataError(f"{layer.name} was made by {model}, and texts are compared with pictures of {where}: `tfvision explore PHOTOS --model {where}`")
        vector = self._encoded(text)
        whitening = layer.gallery.whitening
        own = self.encoder.dimension if whitening is None else layer.dimension
        if layer.dimension != own:
            raise DataError(f"the text model makes vectors of {own} values, those of {layer.name} have {layer.dimension}: give the text tower of its network")
        return whitened(layer.gallery, vector[None])[0]

    @functools.cached_property
    def encoder(self) -> TextEncoder:
        """Opened when it is asked for first, which takes seconds. Raises DataError, WeightsError."""
        assert self._model is not None
        return open_text_encoder(self._model)

    def _encode(self, text: str) -> np.ndarray:
        with SEEING:  # it is opened once
            return self.encoder.encode(text)

    def _stranger(self, layer: Layer) -> str | None:
        """The model that made a layer, where it is another."""
        model = str(layer.gallery.facts.get("recipe", {}).get("model", ""))
        return model if model and os.path.realpath(model) != os.path.realpath(self._folder) else None


def _folder(model: str | Path | None) -> Path:
    found = find_towers(model) if model is not None else None
    return found.folder if found else Path(str(model))
