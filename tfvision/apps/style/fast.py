"""A picture in one pass, by a feed-forward network: the public TFLite pair, a TensorFlow Hub module, an export or run of ours.

network = load_network("weights/")
paint_fast(network, photo, [painting], strength=0.8)
"""

import functools
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvision.apps.style.fast_networks import FastNetwork as FastNetwork
from tfvision.apps.style.fast_networks import Style as Style
from tfvision.apps.style.fast_networks import open_run, open_saved_model
from tfvision.apps.style.fast_pair import open_pair, pair_files
from tfvision.apps.style.presets import Preset
from tfvision.apps.style.regions import painting_shares, region_shares, within_masks
from tfvision.apps.style.scales import seen_size
from tfvision.apps.style.stylization import Stylization
from tfvision.data.resizing import fitted_size, resized
from tfvision.errors import DataError, RecipeError, RunError
from tfvision.export.session import is_export, newest_version
from tfvision.losses.painting import PaintingLoss
from tfvision.models.perceptual import load_perceptual
from tfvision.models.programs import kaggle_handle, open_module
from tfvision.models.vgg19 import SMALLEST_SIZE

DEFAULT_MODULE = "https://tfhub.dev/google/magenta/arbitrary-image-stylization-v1-256/2"
KAGGLE_MODULE = "kaggle:google/arbitrary-image-stylization-v1/tensorFlow1/256/2"  # the same
_JUDGE, _JUDGED_PX = "vgg19_slim", 512
_LARGEST_SCALE = 4
_FADE = 0.2  # of strength: below it the picture fades into the photo, whose own style the network does not paint exactly


def stylize_fast(
    photo: np.ndarray,
    painting: np.ndarray | Sequence[np.ndarray],
    module: str | Path = "",
    size: int = 512,
    *,
    blend: Sequence[float] | None = None,
    strength: float = 1.0,
    masks: Sequence[np.ndarray] | None = None,
    painting_scale: float = 1.0,
) -> Stylization:
    """Renders a photo in the manner of a painting, or of several, in one pass.

    Args:
      photo: uint8 [height, width, 3].
      painting: uint8 [height, width, 3], or a list of such.
      module: as of `load_network`.
      size: longer side of the picture.
      blend, strength, masks, painting_scale: as of `paint_fast`.

    Returns:
      Stylization, whose seconds are those of the picture alone; its losses are those of the preset `default` by vgg19_slim (which
      is at hand), seen at no more than 512 px.

    Raises:
      WeightsError: the network cannot be had.
      RunError: a folder is none of these.
      RecipeError: weights, strength, masks or scale that do not fit.
      DataError: a photo too small for the scale.
    """
    network = load_network(module)
    paintings = [painting] if isinstance(painting, np.ndarray) else list(painting)
    started = time.monotonic()
    photo = resized(photo, *fitted_size(*photo.shape[:2], size))
    picture = paint_fast(network, photo, paintings, blend=blend, strength=strength, masks=masks, painting_scale=painting_scale)
    seconds = time.monotonic() - started
    shares = painting_shares(blend, len(paintings))
    if masks is not None:
        shares = region_shares(masks, *photo.shape[:2], len(paintings)).mean(axis=(1, 2))
    content, style = losses_of(picture, photo, paintings, shares)
    preset = Preset()
    total = preset.content_weight * content + preset.style_weight * style
    return Stylization(picture, 1, 1, content, style, total, seconds, network.name)


def paint_fast(
    network: FastNetwork,
    photo: np.ndarray,
    paintings: Sequence[np.ndarray],
    *,
    blend: Sequence[float] | None = None,
    strength: float = 1.0,
    masks: Sequence[np.ndarray] | None = None,
    painting_scale: float = 1.0,
) -> np.ndarray:
    """Paints a photo in the manner of paintings.

    Args:
      network: of `load_network`.
      photo: uint8 [height, width, 3].
      paintings: uint8 [height, width, 3] each.
      blend: one weight a painting, how they mix; None = alike.
      strength: 0 is the photo, 1 the paintings' manner; between them lie the photo's own style and theirs, mixed.
      masks: float in 0-1 or uint8 [height, width] of any size, one a painting: where it rules; where none does, the photo stays.
      painting_scale: of strokes; below 1 finer, above 1 coarser.

    Returns:
      uint8 [height, width, 3].

    Raises:
      RecipeError: weights, strength, masks or scale that do not fit.
      DataError: a photo too small for the scale.
      WeightsError: the network fails.
    """
    shares = painting_shares(blend, len(paintings)).tolist()
    check_strength(strength)
    _check_scale(painting_scale, photo)
    if strength == 0:
        return photo
    if masks is None:
        return _in_one_manner(network, photo, paintings, shares, strength, painting_scale)
    regions = region_shares(masks, *photo.shape[:2], len(paintings))
    pictures = (_in_one_manner(network, photo, [painting], [1.0], strength, painting_scale) for painting in paintings)
    picture = sum(region[..., None] * picture for region, picture in zip(regions, pictures, strict=True))
    return within_masks(masks, np.rint(picture).astype(np.uint8), photo)


def check_strength(strength: float) -> None:
    """Raises RecipeError where it is none."""
    if not 0 <= strength <= 1:
        raise RecipeError(f"strength must lie between 0 (the photo) and 1, got {strength}")


@functools.lru_cache(maxsize=2)
def load_network(handle: str | Path = "") -> FastNetwork:
    """The network behind a handle; kept, because loading takes seconds.

    Args:
      handle: a folder with the public TFLite pair, or its two files with a comma between; a folder of a module or of an export; a
        run of `tfvision train stylizer`; a handle of TensorFlow Hub or Kaggle; "" = the public module.

    Raises:
      WeightsError: it cannot be had, or is damaged.
      RunError: a folder is none of these.
    """
    handle = str(handle) or DEFAULT_MODULE
    folder = Path(handle)
    if (folder / "recipe.json").is_file():
        return open_run(folder)
    if is_export(folder):
        return open_saved_model(tf.saved_model.load(str(newest_version(folder))), folder.name)
    if pair_files(handle):
        return open_pair(handle)
    if "://" not in handle and not kaggle_handle(handle):
        raise RunError(
            f"{handle} is neither a TensorFlow Hub handle nor a folder with a module, a TFLite pair, an export or a stylizer run, "
            f"nor of Kaggle ({KAGGLE_MODULE})"
        )
    return open_saved_model(_from_hub(handle), handle)


def network_files(handle: str) -> list[Path]:
    """The files of a network that lies here, which decide what it paints; [] of other handles."""
    folder = Path(handle)
    if not handle:
        return []
    if (folder / "recipe.json").is_file():
        return [path for path in (folder / "recipe.json", folder / "model.weights.h5") if path.is_file()]
    if is_export(folder):
        version = newest_version(folder)
        return [version / "saved_model.pb", *sorted((version / "variables").glob("*"))]
    return [path for path in pair_files(handle) if path.is_file()]


def losses_of(picture: np.ndarray, photo: np.ndarray, paintings: Sequence[np.ndarray], shares: Sequence[float]) -> tuple[float, float]:
    """(content, style) of a picture, as the preset `default` counts them by vgg19_slim, all scaled down to 512 px where larger.

    Args:
      shares: one a painting, which sum to 1: what each has in the style that is wanted.
    """
    loss = _open_loss()
    picture, photo, *paintings = (tf.constant(_shrunk(pixels)[None], tf.float32) for pixels in (picture, photo, *paintings))
    each = [loss.targets(painting) for painting in paintings]
    targets = {layer: tf.add_n([share * target[layer] for share, target in zip(shares, each, strict=True)]) for layer in each[0]}
    values = loss(picture, photo, targets)
    return float(values["content"][0]), float(values["style"][0])


def _check_scale(scale, photo):
    if not 1 / _LARGEST_SCALE <= scale <= _LARGEST_SCALE:
        raise RecipeError(f"painting_scale of a fast network must lie between {1 / _LARGEST_SCALE} and {_LARGEST_SCALE}, got {scale}")
    height, width = photo.shape[:2]
    if min(height, width) < SMALLEST_SIZE * max(1, scale):
        raise DataError(f"the photo is {width} x {height} pixels: at least {math.ceil(SMALLEST_SIZE * max(1, scale))} on each side are needed")


def _in_one_manner(network, photo, paintings, shares, strength, scale):
    """The picture of paintings that mix everywhere."""
    chosen = [(share, painting) for share, painting in zip(shares, paintings, strict=True) if share]
    if not network.has_painting:
        return _mixed([photo, _at_scale(network, photo, (), scale)], [1 - strength, strength])
    if not network.blends_styles:
        pictures = [_at_scale(network, photo, network.style_of(painting), scale) for _, painting in chosen]
        return _mixed([photo, *pictures], [1 - strength, *(strength * share for share, _ in chosen)])
    styles = [(strength * share, network.style_of(painting)) for share, painting in chosen]
    if strength < 1:
        styles.append((1 - strength, network.style_of(photo)))
    style = tuple(sum(share * part for (share, _), part in zip(styles, parts, strict=True)) for parts in zip(*(style for _, style in styles), strict=True))
    kept = max(0.0, 1 - strength / _FADE)
    return _mixed([photo, _at_scale(network, photo, style, scale)], [kept, 1 - kept])


def _at_scale(network, photo, style, scale):
    """The photo painted at another size: a network's strokes have a size in pixels. Coarse ones are painted over once more, for they were enlarged."""
    if scale == 1:
        return network.paint(photo, style)
    height, width = photo.shape[:2]
    picture = network.paint(resized(photo, *fitted_size(height, width, round(max(height, width) / scale))), style)
    picture = resized(picture, height, width)
    return network.paint(picture, style) if scale > 1 else picture


def _mixed(pictures, shares):
    """uint8 pictures added, each with its share."""
    if 1 in shares:
        return pictures[shares.index(1)]
    return np.rint(sum(np.float32(share) * picture for share, picture in zip(shares, pictures, strict=True))).clip(0, 255).astype(np.uint8)


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
    model, _, _ = load_perceptual(_JUDGE, taps, preset.pooling, preset.is_normalised, preset.edge)
    return PaintingLoss(model, preset)


def _shrunk(pixels):
    height, width = pixels.shape[:2]
    return resized(pixels, *seen_size(height, width, min(_JUDGED_PX, max(height, width))))
