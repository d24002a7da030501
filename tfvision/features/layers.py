"""The responses of any layer of any network to a photo: of the catalogue, or of a run."""

import dataclasses
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfvision.applications import APPLICATIONS
from tfvision.data.views import as_pixels
from tfvision.errors import RecipeError
from tfvision.models.catalogue import get_network
from tfvision.models.weights import load_pretrained
from tfvision.training.run import application_of


class Part(typing.NamedTuple):
    """A model within a network, and what it takes.

    Attributes:
      taken: what is fed to it.
      start: the symbolic tensor in whose place that comes; None = the model's input. Of a model that is cut from another, its
        layers' outputs are that one's.
    """

    model: keras.Model
    taken: tf.Tensor
    start: Any = None


@dataclasses.dataclass(frozen=True)
class LayeredNetwork:
    """A network that is asked for its layers.

    Attributes:
      name: as users call it.
      parts: float32 RGB 0-255 [1, height, width, 3] -> its models in order; the first one that has a layer is asked for it.
      size_px: of a side, to which photos are squashed; 0 = as they are.
      taps: name -> layer, shallow to deep: what is shown where none is named.
    """

    name: str
    parts: Callable[[tf.Tensor], Iterator[Part]]
    size_px: int
    taps: Mapping[str, str]

    def responses(self, pixels: np.ndarray, layers: Sequence[str] = ()) -> dict[str, np.ndarray]:
        """{layer: float32 [height, width, channels], or [channels] of a layer without positions}.

        Args:
          pixels: uint8 RGB [height, width, 3].
          layers: taps, any layers by Keras's name, or PART/LAYER where two parts have layers of one name; () = all taps.

        Raises:
          RecipeError: there is no such layer.
        """
        images = tf.cast(network_pixels(pixels, self.size_px), tf.float32)
        parts = list(self.parts(images))
        return {name: self._response(name, parts) for name in layers or self.taps}

    def _response(self, name: str, parts: Sequence[Part]) -> np.ndarray:
        wanted, _, layer = name.rpartition("/")
        for model, taken, start in parts:
            own = layer_name(self.taps, layer)
            if wanted in ("", model.name) and own in {known.name for known in model.layers}:
                asked = keras.Model(model.input if start is None else start, model.get_layer(own).output)
                return asked(taken, training=False)[0].numpy().astype(np.float32)
        raise unknown_layer(name, self.taps, self.name)


def open_layers(model: Path | str, weights: str = "imagenet") -> LayeredNetwork:
    """Opens a run, or a network of the catalogue.

    Args:
      weights: of a network of the catalogue, as `load_pretrained` takes them.

    Raises:
      RecipeError, WeightsError, RunError.
    """
    if (Path(model) / "recipe.json").is_file():
        folder = Path(model)
        return APPLICATIONS[application_of(folder, "layers")].part("layers").open_layers(folder)
    network = get_network(str(model))
    base = network.build(network.image_size)
    load_pretrained(base, str(model), weights)
    return layers_of_base(base, str(model), network.image_size)


def layers_of_base(base: keras.Model, network: str, size_px: int) -> LayeredNetwork:
    """Of a network of the catalogue that is built already."""
    catalogued = get_network(network)
    return LayeredNetwork(network, lambda images: iter([Part(base, catalogued.scale * images + catalogued.offset)]), size_px, catalogued.taps)


def network_pixels(pixels: np.ndarray, size_px: int) -> tf.Tensor:
    """A photo as a network sees it: uint8 [1, size, size, 3], squashed; 0 = as it is."""
    return as_pixels(tf.image.resize(pixels[None], [size_px] * 2, antialias=True)) if size_px else tf.constant(pixels[None])


def layer_name(taps: Mapping[str, str], name: str) -> str:
    """Keras's name of a tap; of what is no tap its own."""
    return taps.get(name, name)


def unknown_layer(name: str, taps: Iterable[str], network: str) -> RecipeError:
    """What to tell whoever names a layer that a network lacks."""
    return RecipeError(f"--layer must be one of {', '.join(taps)}, or any layer of {network} by Keras's name, got {name!r}")
