"""A picture in one pass, by a feed-forward network: a TensorFlow Hub module, an export or run of ours, or any alike.

The public module takes a photo [1, h, w, 3] and a painting [1, 256, 256, 3], float32 in [0, 1] (Ghiasi et al., "Exploring
the structure of a real-time, arbitrary neural artistic stylization network").
"""

import dataclasses
import functools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvision.apps.style.presets import Preset
from tfvision.apps.style.stylization import Stylization, as_picture
from tfvision.data.resizing import fitted_size, resized
from tfvision.errors import RunError
from tfvision.export.session import is_export, newest_version
from tfvision.losses.painting import PaintingLoss
from tfvision.models.perceptual import load_perceptual
from tfvision.models.programs import kaggle_handle, open_module

DEFAULT_MODULE = "https://tfhub.dev/google/magenta/arbitrary-image-stylization-v1-256/2"
KAGGLE_MODULE = "kaggle:google/arbitrary-image-stylization-v1/tensorFlow1/256/2"  # the same
_PAINTING_PX = 256  # a side of the square in which the public module expects a painting
_JUDGED_PX = 512
_TENSOR_SIGNATURE = "tensor"  # of our own exports


@dataclasses.dataclass(frozen=True)
class FastModule:
    """A loaded network.

    Attributes:
      name: for people and for the record of a picture.
      paint: (photo, painting), uint8 [h, w, 3] each -> uint8, about the photo's size.
      has_painting: whether it looks at the painting, or knows one by heart.
    """

    name: str
    paint: Callable[[np.ndarray, np.ndarray], np.ndarray]
    has_painting: bool = True


def stylize_fast(photo: np.ndarray, painting: np.ndarray, module: str | Path = "", size: int = 512) -> Stylization:
    """Renders a photo in the manner of a painting in one pass.

    Args:
      photo, painting: uint8 [height, width, 3].
      module: a handle of TensorFlow Hub or Kaggle, a folder of a module or of an export, or a run of `tfvision train stylizer`;
        "" = the public module.
      size: longer side of the picture.

    Returns:
      Stylization, whose seconds are those of the picture alone; its losses are those of the preset `default`, seen at no
      more than 512 px.

    Raises:
      WeightsError: the module cannot be had.
      RunError: a folder is none of these.
    """
    network = load_module(str(module or DEFAULT_MODULE))
    started = time.monotonic()
    height, width = fitted_size(*photo.shape[:2], size)
    photo = resized(photo, height, width)
    picture = resized(network.paint(photo, painting), height, width)
    seconds = time.monotonic() - started
    content, style = losses_of(picture, photo, painting)
    preset = Preset()
    total = preset.content_weight * content + preset.style_weight * style
    return Stylization(picture, 1, 1, content, style, total, seconds, network.name)


@functools.lru_cache(maxsize=2)
def load_module(handle: str) -> FastModule:
    """The FastModule behind a handle or a folder; kept, because loading takes seconds. Raises WeightsError, RunError."""
    folder = Path(handle)
    if (folder / "recipe.json").is_file():
        return _open_run(folder)
    if is_export(folder):
        return _open_saved_model(tf.saved_model.load(str(newest_version(folder))), folder.name)
    if "://" not in handle and not kaggle_handle(handle):
        raise RunError(f"{handle} is neither a TensorFlow Hub handle nor a folder with a module, an export or a stylizer run, nor of Kaggle ({KAGGLE_MODULE})")
    return _open_saved_model(_from_hub(handle), handle)


def losses_of(picture: np.ndarray, photo: np.ndarray, painting: np.ndarray) -> tuple[float, float]:
    """(content, style) of a picture, as the preset `default` counts them, all scaled down to 512 px where larger."""
    loss = _open_loss()
    picture, photo, painting = (tf.constant(_shrunk(pixels)[None], tf.float32) for pixels in (picture, photo, painting))
    values = loss(picture, photo, loss.targets(painting))
    return float(values["content"][0]), float(values["style"][0])


def _open_run(folder):
    from tfvision.trained.stylizer_network import load_stylizer, paint
    from tfvision.trained.stylizer_run import StylizerRun

    run = StylizerRun.open(folder)
    model = load_stylizer(run)
    return _by_heart(f"{folder.name}, of {run.facts['painting']}", lambda photo: paint(model, photo[None])[0])


def _open_saved_model(loaded, name):
    """A FastModule of what tf.saved_model.load or hub.load gave; told apart by signature."""
    own = loaded.signatures.get(_TENSOR_SIGNATURE)
    inputs = set(own.structured_input_signature[1]) if own else set()
    if inputs == {"pixels"}:
        return _by_heart(name, lambda photo: own(pixels=tf.constant(photo[None]))["pixels"][0].numpy())
    if inputs == {"pixels", "painting"}:
        both = lambda photo, painting: own(pixels=tf.constant(photo[None]), painting=tf.constant(painting[None]))["pixels"]
        return FastModule(name, lambda photo, painting: both(photo, painting)[0].numpy())
    call = _find_call(loaded, name)
    return FastModule(name, lambda photo, painting: _call_public(call, photo, painting))


def _by_heart(name, paint):
    print(f"{name} paints in the one manner that it was trained for, whatever PAINTING is given", file=sys.stderr)
    return FastModule(name, lambda photo, painting: paint(photo), has_painting=False)


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
    painting = tf.image.resize(tf.constant(painting, tf.float32), (_PAINTING_PX, _PAINTING_PX), antialias=True)
    picture = call(tf.constant(photo[None], tf.float32) / 255.0, painting[None] / 255.0)
    return as_picture(255.0 * np.asarray(picture)[0])


def _from_hub(handle):
    remedy = "Offline, give a folder with --module: the module unpacked, or a network of your own (`tfvision train stylizer PAINTING --photos DIR`)"
    if not kaggle_handle(handle):
        cache = os.environ.get("TFHUB_CACHE_DIR")
        where = f"its cache {cache} lacks it" if cache else "TFHUB_CACHE_DIR, a folder that keeps modules, is not set"
        remedy = f"Nor is it here: {where}. Kaggle has the public one too: --module {KAGGLE_MODULE}. {remedy}"
    return open_module(handle, remedy)[0]


@functools.lru_cache(maxsize=1)
def _open_loss():
    preset = Preset()
    taps = (preset.content_layer, *preset.style_layers)
    model, _, _ = load_perceptual(preset.network, taps, preset.pooling, preset.is_normalised, preset.edge)
    return PaintingLoss(model, preset)


def _shrunk(pixels):
    height, width = pixels.shape[:2]
    return resized(pixels, *fitted_size(height, width, min(_JUDGED_PX, max(height, width))))
