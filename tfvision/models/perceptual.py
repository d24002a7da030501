"""The perceptual network by name: VGG19 where its weights can be had, else vgg19_slim, which tfvision ships.

VGG19's are looked for on this machine, then downloaded. Where neither is possible, "vgg19" ends in an error and "auto" takes vgg19_slim.
"""

import contextlib
import functools
import http.client
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np

from tfvision.errors import RecipeError, WeightsError
from tfvision.models.convolutions import read_convolutions
from tfvision.models.normalisation import normalise, unscale
from tfvision.models.vgg19 import CONTENT_LAYER, STYLE_LAYERS, build_vgg19, filters_of, plain_filters, set_convolutions
from tfvision.models.weights import SHIPPED, WEIGHTS_VARIABLE, cached_weights, import_folder, keras_cache, local_weights, refuse_offline

_HOW_TO_GET_VGG19 = (
    f"put vgg19.weights.h5 (no top) into a folder and set {WEIGHTS_VARIABLE} to it, or `tfvision weights import FILE --photos DIR` "
    "(`tfvision weights list` says where FILE is)"
)
_KERAS_HOST = "https://storage.googleapis.com/tensorflow/keras-applications/vgg19/"  # whence Keras downloads
_TIMEOUT_SECONDS = 5
_SPECIMENS = 12  # drawings on which VGG19 is normalised where it was not imported with photos
_SPECIMEN_SIZE_PX = 192


def load_perceptual(
    network: str = "auto", taps: Sequence[str] = (*STYLE_LAYERS, CONTENT_LAYER), pooling: str = "avg", is_normalised: bool = True, edge: str = "zero"
) -> tuple[keras.Model, str, str]:
    """Loads a perceptual network.

    Args:
      network: "vgg19" (of this machine, else downloaded by Keras), "auto" (VGG19 where it is on this machine or can be
        downloaded, else vgg19_slim), "vgg19_slim", or a path that `read_convolutions` reads.
      taps: names from models.vgg19.LAYERS.
      pooling: "avg" or "max".
      is_normalised: whether filters are scaled to a mean response of 1; weights that are not are normalised
        on a few of the built-in specimens, those that are have it undone.
      edge: "zero" or "repeat", as `build_vgg19`.

    Returns:
      (model, name, sentence): keras.Model as of `build_vgg19`, frozen; "vgg19", "vgg19_slim" or the file's
      name; one sentence for people on what was loaded and, where VGG19 could not be had, how to get it.

    Raises:
      RecipeError: an unknown network, tap or pooling.
      WeightsError: the weights cannot be had or do not fit.
    """
    path, name, sentence = find_weights(network)
    convolutions, facts = read_convolutions(path)
    if is_normalised and not facts["is_normalised"]:
        convolutions, _ = normalise(convolutions, specimens(), pooling)
        sentence += ", normalised on built-in drawings (`tfvision weights import` does it on photos)"
    elif facts["is_normalised"] and not is_normalised:
        convolutions = unscale(convolutions, facts["means"])
    filters = {**plain_filters(), **filters_of(convolutions)}  # layers that the file lacks are missed when weights are set
    model = build_vgg19(filters, pooling, taps, name=name.split(".")[0], edge=edge)
    set_convolutions(model, convolutions, str(path))
    model.trainable = False
    return model, name, sentence


def find_weights(network: str) -> tuple[Path, str, str]:
    """(path, name, sentence) of a network's weights, as `load_perceptual` chooses them. Raises as it does."""
    if network == "vgg19_slim":
        return SHIPPED["vgg19_slim"], network, "network vgg19_slim, shipped with tfvision"
    if network in ("auto", "vgg19"):
        path = _local_vgg19()
        if path:
            return path, "vgg19", f"network VGG19 ({path})"
        if path := _download() if network == "vgg19" else _download_if_possible():
            return path, "vgg19", f"network VGG19, downloaded to {path} (--network vgg19_slim is several times as fast)"
        reason = f"network vgg19_slim, since VGG19's weights are not on this machine and could not be downloaded: {_HOW_TO_GET_VGG19}"
        return SHIPPED["vgg19_slim"], "vgg19_slim", reason
    if Path(network).suffix:
        return Path(network), Path(network).name, f"network of {network}"
    raise RecipeError(f"network must be auto, vgg19, vgg19_slim or a file of weights, got {network!r}")


def import_path() -> Path:
    """Where `weights import` puts a VGG19 so that it is found: $TFVISION_WEIGHTS, else Keras's cache."""
    return import_folder() / "vgg19.npz"


def specimens(count: int = _SPECIMENS, size_px: int = _SPECIMEN_SIZE_PX) -> Iterator[np.ndarray]:
    """The centres of a few of the built-in drawings, always the same: uint8 [size, size, 3] each."""
    from tfvision.data.specimens import LINEAGES, draw_specimen

    names = list(LINEAGES)
    for number, species in enumerate(names[:: len(names) // count][:count], 1):
        drawn = draw_specimen(species, number)
        top = (len(drawn) - size_px) // 2
        yield drawn[top : top + size_px, top : top + size_px]


def _local_vgg19() -> Path | None:
    return local_weights("vgg19") or cached_weights("vgg19")


@functools.cache
def _download_if_possible() -> Path | None:
    """None where Keras's host does not answer in seconds, or the download fails; tried once, so that a machine without a connection waits once."""
    try:
        refuse_offline()
        urllib.request.urlopen(urllib.request.Request(_KERAS_HOST, method="HEAD"), timeout=_TIMEOUT_SECONDS).close()
    except urllib.error.HTTPError:
        pass  # it is there, and has no page
    except (OSError, http.client.HTTPException):
        return None
    try:
        return _download()
    except WeightsError:
        return None


def _download() -> Path:
    try:
        refuse_offline()
        with contextlib.redirect_stdout(sys.stderr):  # Keras prints what it downloads
            keras.applications.VGG19(weights="imagenet", include_top=False)
    except Exception as error:  # urllib, ssl and Keras raise many kinds
        raise WeightsError(
            f"VGG19's weights are not on this machine and could not be downloaded: {_HOW_TO_GET_VGG19}; or use vgg19_slim, which is "
            "shipped with tfvision: --network vgg19_slim"
        ) from error
    path = cached_weights("vgg19")
    if path is None:
        raise WeightsError(f"Keras did not put VGG19's weights into {keras_cache()}: give the file that it downloaded as the network")
    return path
