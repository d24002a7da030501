"""Networks that paint in one pass: what they have in common, and those that TensorFlow runs.

The public module takes a photo [1, h, w, 3] and a painting [1, 256, 256, 3], float32 in [0, 1] (Ghiasi et al., "Exploring
the structure of a real-time, arbitrary neural artistic stylization network").
"""

import abc
import sys
import typing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvision.apps.style.fast_tiles import paint_tiles
from tfvision.apps.style.stylization import as_picture
from tfvision.data.resizing import resized
from tfvision.errors import RunError

Style = tuple[np.ndarray, ...]  # what a network knows of a manner

PAINTING_PX = 256  # a side of the square in which arbitrary-style networks see a painting
_TENSOR_SIGNATURE = "tensor"  # of our own exports


class FastNetwork(abc.ABC):
    """A loaded network.

    Attributes:
      name: for people and for the record of a picture.
      has_painting: whether it looks at the painting, or knows one by heart.
      blends_styles: whether styles may be added, element by element, each with a weight; else only the pictures can.
      whole_pixels: of a photo that is painted in one piece; above it is painted in tiles.
    """

    name: str
    has_painting: bool = True
    blends_styles: bool = False
    whole_pixels: int = 4_000_000  # some 2 GB, at a stylizer's 500 bytes a pixel

    @abc.abstractmethod
    def style_of(self, painting: np.ndarray) -> Style:
        """What the network sees in a painting, uint8 [height, width, 3]."""

    def paint(self, photo: np.ndarray, style: Style) -> np.ndarray:
        """Paints a photo, uint8 [height, width, 3] of any size: uint8, alike."""
        return paint_tiles(photo, lambda pixels: self._paint_whole(pixels, style), self.whole_pixels)

    @abc.abstractmethod
    def _paint_whole(self, photo: np.ndarray, style: Style) -> np.ndarray:
        """`paint` in one piece."""


class ByHeart(FastNetwork):
    """A network that knows one manner, whatever painting is given.

    Args:
      name: for people.
      call: uint8 [height, width, 3] -> uint8, about its size.
    """

    has_painting = False

    def __init__(self, name: str, call: Callable[[np.ndarray], np.ndarray]):
        self.name, self._call = name, call
        print(f"{name} paints in the one manner that it was trained for, whatever PAINTING is given", file=sys.stderr)

    def style_of(self, painting: np.ndarray) -> Style:
        return ()

    def _paint_whole(self, photo, style):
        return resized(self._call(photo), *photo.shape[:2])


class OfPaintings(FastNetwork):
    """A network that takes photo and painting, and shows nothing between the two: its style is the painting itself.

    Args:
      name: for people.
      call: (photo, painting), uint8 [height, width, 3] each -> uint8, about the photo's size.
    """

    def __init__(self, name: str, call: Callable[[np.ndarray, np.ndarray], np.ndarray]):
        self.name, self._call = name, call

    def style_of(self, painting: np.ndarray) -> Style:
        return (painting,)

    def _paint_whole(self, photo, style):
        return resized(self._call(photo, *style), *photo.shape[:2])


def open_run(folder: Path) -> FastNetwork:
    """The network of a run of `tfvision train stylizer`. Raises RunError."""
    from tfvision.trained.stylizer_network import load_stylizer, paint
    from tfvision.trained.stylizer_run import StylizerRun

    run = StylizerRun.open(folder)
    model = load_stylizer(run)
    return ByHeart(f"{folder.name}, of {run.facts['painting']}", lambda photo: paint(model, photo[None])[0])


def open_saved_model(loaded: typing.Any, name: str) -> FastNetwork:
    """The network of what tf.saved_model.load or hub.load gave; told apart by signature. Raises RunError."""
    own = loaded.signatures.get(_TENSOR_SIGNATURE)
    inputs = set(own.structured_input_signature[1]) if own else set()
    if inputs == {"pixels"}:
        return ByHeart(name, lambda photo: own(pixels=tf.constant(photo[None]))["pixels"][0].numpy())
    if inputs == {"pixels", "painting"}:
        both = lambda photo, painting: own(pixels=tf.constant(photo[None]), painting=tf.constant(painting[None]))["pixels"]
        return OfPaintings(name, lambda photo, painting: both(photo, painting)[0].numpy())
    call = _find_call(loaded, name)
    return OfPaintings(name, lambda photo, painting: _call_public(call, photo, painting))


def seen_painting(painting: np.ndarray) -> np.ndarray:
    """The square in which an arbitrary-style network sees a painting: uint8 -> float32 [1, 256, 256, 3] in [0, 1]."""
    return tf.image.resize(tf.constant(painting, tf.float32), (PAINTING_PX, PAINTING_PX), antialias=True)[None].numpy() / 255.0


def _find_call(loaded, name):
    """(photo, painting) -> the picture, from a module that can be called or has one signature of two images."""
    if callable(loaded):
        return lambda photo, painting: tf.nest.flatten(loaded(photo, painting))[0]
    signature = loaded.signatures.get("serving_default")
    names = sorted(signature.structured_input_signature[1]) if signature else ()
    if len(names) != 2:
        raise RunError(f"{name} is no style module: it should take a photo and a painting")
    return lambda photo, painting: tf.nest.flatten(signature(**dict(zip(names, (photo, painting), strict=True))))[0]


def _call_public(call, photo, painting):
    picture = call(tf.constant(photo[None], tf.float32) / 255.0, tf.constant(seen_painting(painting)))
    return as_picture(255.0 * np.asarray(picture)[0])
