"""Pretrained weights: where they are looked for, and what to do when they are not there."""

import contextlib
import os
import sys
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfvision.errors import WeightsError, in_one_line
from tfvision.files import check_room
from tfvision.models.catalogue import NETWORKS, get_network
from tfvision.models.convolutions import read_convolutions
from tfvision.models.normalisation import unscale
from tfvision.models.tensor_file import refuse_pickle
from tfvision.models.torch_weights import SUFFIXES, TORCH_NAMES, load_torch_weights
from tfvision.models.vgg19 import set_convolutions
from tfvision.models.weight_sources import SOURCES

WEIGHTS_VARIABLE = "TFVISION_WEIGHTS"
OFFLINE_VARIABLE = "TFVISION_OFFLINE"
_OF_HDF5_BYTES = 4096  # for each array, besides it
SHIPPED = {"vgg19_slim": Path(__file__).with_name("vgg19_slim.npz")}  # trained by this project: docs/style-network.md


def load_pretrained(base: keras.Model, network: str, weights: str, needed: Collection[str] = ()) -> str:
    """Loads weights into a network without top.

    Args:
      base: keras.Model of the catalogue's network, changed in place.
      network: its name.
      weights: "none", "imagenet" (what tfvision ships, the folder in $TFVISION_WEIGHTS, Keras's cache, then
        its download), "auto" (as "imagenet" where it can be had, else none), or a path: to a .weights.h5, to an npz of
        `tfvision weights import`, or to a file of PyTorch, Caffe or ONNX (torch_weights), perhaps not of all layers.
      needed: names of layers that may not stay random.

    Returns:
      One sentence that says which weights were loaded.

    Raises:
      WeightsError: they cannot be had, or do not fit; the message says what to do offline.
    """
    if weights == "none":
        return "random weights"
    if weights not in ("imagenet", "auto"):
        return _load_file(base, network, Path(weights), needed)
    path = SHIPPED.get(network) or local_weights(network)
    if path:
        return _load_file(base, network, path, needed)
    try:
        return _download(base, network)
    except WeightsError:
        if weights == "imagenet":
            raise
        return f"random weights: no ImageNet weights for {network} here, and they could not be downloaded"


def save_weights(model: keras.Model, path: Path) -> None:
    """Writes NAME.weights.h5 where there is room for it: HDF5 ends the process where a disk becomes full. Raises OSError."""
    arrays = model.get_weights()
    check_room(path.parent, sum(array.nbytes for array in arrays) + _OF_HDF5_BYTES * (len(arrays) + 8))
    model.save_weights(path)


def local_weights(network: str) -> Path | None:
    """The path of NETWORK.npz or NETWORK.weights.h5 in $TFVISION_WEIGHTS or in Keras's cache, or None where there is none."""
    paths = [folder / f"{network}{suffix}" for folder in (import_folder(), keras_cache()) for suffix in (".npz", ".weights.h5")]
    return next((path for path in paths if path.is_file()), None)


def import_folder() -> Path:
    """Where `weights import` puts what it makes, so that it is found: $TFVISION_WEIGHTS, else Keras's cache."""
    folder = os.environ.get(WEIGHTS_VARIABLE)
    return Path(folder) if folder else keras_cache()


def cached_weights(network: str) -> Path | None:
    """The path of what Keras downloaded for a network, or None."""
    cache = keras_cache()
    return next(cache.glob(f"{network}*no*top*.h5"), None) if cache.is_dir() else None


def known_weights() -> dict[str, str | None]:
    """Where the weights of each network lie, as a dict; None where they would be downloaded, or must be imported."""
    found = {}
    for network in NETWORKS:
        if NETWORKS[network].application or network in SHIPPED or network in TORCH_NAMES:
            path = SHIPPED.get(network) or local_weights(network) or cached_weights(network)
            found[network] = str(path) if path else None
    return found


def weights_facts() -> dict[str, dict[str, Any]]:
    """Of each network of `known_weights`: "path" (or None), "is_downloaded" (by Keras, when it is needed) and "sources" (weight_sources)."""
    return {network: {"path": path, "is_downloaded": has_download(network), "sources": SOURCES.get(network, ())} for network, path in known_weights().items()}


def has_download(network: str) -> bool:
    """Whether Keras can download the weights of a network."""
    return get_network(network).application is not None


def refuse_offline() -> None:
    """Raises ConnectionError where the user wants no weights to be downloaded, by TFVISION_OFFLINE=1."""
    if os.environ.get(OFFLINE_VARIABLE):
        raise ConnectionError(f"{OFFLINE_VARIABLE} is set")


def keras_cache() -> Path:
    """The folder where Keras keeps the weights that it downloads."""
    return Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models"


def _load_file(base: keras.Model, network: str, path: Path, needed: Collection[str]) -> str:
    if not path.is_file():
        raise WeightsError(f"{path} does not exist: give a file with the weights of {network}, `imagenet` or `none`")
    refuse_pickle(path)
    if network in TORCH_NAMES and path.suffix in SUFFIXES:
        return _with_gaps(path, load_torch_weights(base, network, path, is_partial_allowed=True, needed=needed))
    if path.suffix in SUFFIXES and network.startswith("vgg19"):
        return _load_convolutions(base, path)
    if not path.name.endswith(".weights.h5"):
        others = f"; of {network} are also read: {', '.join(SUFFIXES)}" if network in TORCH_NAMES or network.startswith("vgg19") else ""
        raise WeightsError(f"{path} is not a Keras .weights.h5 file (whole models are not loaded: they can run code){others}")
    load_keras_weights(base, network, path)
    return f"weights of {path}"


def load_keras_weights(base: keras.Model, network: str, path: Path) -> None:
    """Loads a file of Keras's, .weights.h5 or .h5, into a network without top: arrays alone, whatever else it holds. Raises WeightsError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras 3 warns of containers that files of others lack; a layer without weights is an error
            base.load_weights(path)
    except Exception as error:  # Keras raises whatever h5py or the layout leads it to
        raise WeightsError(f"{path} does not fit {network} without its top ({in_one_line(error)})") from error
    for layer in base.layers:
        if not all(np.isfinite(values).all() for values in layer.get_weights()):
            raise WeightsError(f"{path} is damaged: {layer.name} holds values that are not finite")


def _with_gaps(path: Path, missing: Sequence[str]) -> str:
    if not missing:
        return f"weights of {path}"
    return f"weights of {path}, which lacks {', '.join(missing)}: these stay random, and their block starts switched off"


def _load_convolutions(base: keras.Model, path: Path) -> str:
    """Of a VGG19, as they were before they were normalised."""
    convolutions, facts = read_convolutions(path)
    set_convolutions(base, unscale(convolutions, facts["means"]) if facts["is_normalised"] else convolutions, str(path))
    return f"weights of {path}"


def _download(base: keras.Model, network: str) -> str:
    application = get_network(network).application
    if application is None and network in TORCH_NAMES:
        raise WeightsError(
            f"{network} cannot be downloaded: `tfvision weights import FILE --network {network}`, or --weights FILE of train, explore, index build and "
            f"feature-maps; FILE is {SOURCES[network][0].url}, say (`tfvision weights list` has more). --weights none takes random ones"
        )
    if application is None:
        raise WeightsError(f"{network} has no ImageNet weights: use --weights none")
    build = getattr(keras.applications, application)
    try:
        refuse_offline()
        with contextlib.redirect_stdout(sys.stderr):  # Keras prints what it downloads
            pretrained = build(weights="imagenet", include_top=False, input_shape=base.input_shape[1:])
    except Exception as error:  # urllib, ssl and Keras raise many kinds
        raise WeightsError(
            f"the ImageNet weights of {network} could not be downloaded. Offline, put {network}.weights.h5 (no top) "
            f"into a folder and set {WEIGHTS_VARIABLE} to it, or train from scratch with --weights none"
        ) from error
    base.set_weights(pretrained.get_weights())
    return f"ImageNet weights of {network}"
