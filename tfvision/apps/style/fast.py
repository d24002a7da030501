"""A picture in one pass, by a feed-forward network: the public TFLite pair, a TensorFlow Hub module, an export or run of ours.

network = load_network("weights/")
paint_fast(network, photo, [painting], strength=0.8)
"""

import functools
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvision.apps.style.fast_networks import FastNetwork as FastNetwork
from tfvision.apps.style.fast_networks import Style as Style
from tfvision.apps.style.fast_networks import open_run, open_saved_model
from tfvision.apps.style.fast_pair import is_pair, open_pair
from tfvision.apps.style.presets import Preset
from tfvision.apps.style.regions import painting_shares, region_shares, within_masks
from tfvision.apps.style.stylization import Stylization
from tfvision.data.resizing import fitted_size, resized
from tfvision.errors import RecipeError, RunError
from tfvision.export.session import is_export, newest_version
from tfvision.losses.painting import PaintingLoss
from tfvision.models.perceptual import load_perceptual
from tfvision.models.programs import kaggle_handle, open_module

DEFAULT_MODULE = "https://tfhub.dev/google/magenta/arbitrary-image-stylization-v1-256/2"
KAGGLE_MODULE = "kaggle:google/arbitrary-image-stylization-v1/tensorFlow1/256/2"  # the same
_JUDGED_PX = 512
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
) -> Stylization:
    """Renders a photo in the manner of a painting, or of several, in one pass.

    Args:
      photo: uint8 [height, width, 3].
      painting: uint8 [height, width, 3], or a list of such.
      module: as of `load_network`.
      size: longer side of the picture.
      blend, strength, masks: as of `paint_fast`.

    Returns:
      Stylization, whose seconds are those of the picture alone; its losses are those of the preset `default`, seen at no
      more than 512 px.

    Raises:
      WeightsError: the network cannot be had.
      RunError: a folder is none of these.
      RecipeError: weights, strength or masks that do not fit.
    """
    network = load_network(module)
    paintings = [painting] if isinstance(painting, np.ndarray) else list(painting)
    started = time.monotonic()
    photo = resized(photo, *fitted_size(*photo.shape[:2], size))
    picture = paint_fast(network, photo, paintings, blend=blend, strength=strength, masks=masks)
    seconds = time.monotonic() - started
    content, style = losses_of(picture, photo, paintings[0])
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
) -> np.ndarray:
    """Paints a photo in the manner of paintings.

    Args:
      network: of `load_network`.
      photo: uint8 [height, width, 3].
      paintings: uint8 [height, width, 3] each.
      blend: one weight a painting, how they mix; None = alike.
      strength: 0 is the photo, 1 the paintings' manner; between them lie the photo's own style and theirs, mixed.
      masks: float in 0-1 or uint8 [height, width] of any size, one a painting: where it rules; where none does, the photo stays.

    Returns:
      uint8 [height, width, 3].

    Raises:
      RecipeError: weights, strength or masks that do not fit.
      WeightsError: the network fails.
    """
    check_strength(strength)
    shares = painting_shares(blend, len(paintings)).tolist()
    if strength == 0:
        return photo
    if masks is not None:
        regions = region_shares(masks, *photo.shape[:2], len(paintings))
        pictures = (_in_one_manner(network, photo, [painting], [1.0], strength) for painting in paintings)
        picture = sum(region[..., None] * picture for region, picture in zip(regions, pictures, strict=True))
        return within_masks(masks, np.rint(picture).astype(np.uint8), photo)
    return _in_one_manner(network, photo, paintings, shares, strength)


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
    if is_pair(handle):
        return open_pair(handle)
    if "://" not in handle and not kaggle_handle(handle):
        raise RunError(
            f"{handle} is neither a TensorFlow Hub handle nor a folder with a module, a TFLite pair, an export or a stylizer run, "
            f"nor of Kaggle ({KAGGLE_MODULE})"
        )
    return open_saved_model(_from_hub(handle), handle)


def losses_of(picture: np.ndarray, photo: np.ndarray, painting: np.ndarray) -> tuple[float, float]:
    """(content, style) of a picture, as the preset `default` counts them, all scaled down to 512 px where larger."""
    loss = _open_loss()
    picture, photo, painting = (tf.constant(_shrunk(pixels)[None], tf.float32) for pixels in (picture, photo, painting))
    values = loss(picture, photo, loss.targets(painting))
    return float(values["content"][0]), float(values["style"][0])


def _in_one_manner(network, photo, paintings, shares, strength):
    """The picture of paintings that mix everywhere."""
    if not network.has_painting:
        return _mixed([photo, network.paint(photo, ())], [1 - strength, strength])
    chosen = [(share, painting) for share, painting in zip(shares, paintings, strict=True) if share]
    if not network.blends_styles:
        pictures = [network.paint(photo, network.style_of(painting)) for _, painting in chosen]
        return _mixed([photo, *pictures], [1 - strength, *(strength * share for share, _ in chosen)])
    styles = [(strength * share, network.style_of(painting)) for share, painting in chosen]
    if strength < 1:
        styles.append((1 - strength, network.style_of(photo)))
    style = tuple(sum(share * part for (share, _), part in zip(styles, parts, strict=True)) for parts in zip(*(style for _, style in styles), strict=True))
    kept = max(0.0, 1 - strength / _FADE)
    return _mixed([photo, network.paint(photo, style)], [kept, 1 - kept])


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
    model, _, _ = load_perceptual(preset.network, taps, preset.pooling, preset.is_normalised, preset.edge)
    return PaintingLoss(model, preset)


def _shrunk(pixels):
    height, width = pixels.shape[:2]
    return resized(pixels, *fitted_size(height, width, min(_JUDGED_PX, max(height, width))))
