"""`tfvision weights import`: a file of weights -> a network of the catalogue, where it is found again.

VGG19 is normalised on photos on the way, as the style paper wants it; all others are converted as they are.
"""

import hashlib
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfvision import __version__
from tfvision.data.manifest import read_photos
from tfvision.data.pipeline import BrokenPhotos
from tfvision.errors import RecipeError, WeightsError
from tfvision.files import atomic_path
from tfvision.models.catalogue import Network, get_network
from tfvision.models.convolutions import read_convolutions, save_convolutions
from tfvision.models.normalisation import normalise, unscale, whole_photos
from tfvision.models.perceptual import import_path, specimens
from tfvision.models.tensor_file import refuse_pickle
from tfvision.models.torch_weights import SUFFIXES, TORCH_NAMES, load_torch_weights
from tfvision.models.weights import import_folder, load_keras_weights, save_weights
from tfvision.progress import progress_bar

NORMALISED = "vgg19"
LEAST_SIZE_PX = 32  # conv5_1 sees a sixteenth of it


def convert_weights(file: Path | str, network: str, out: Path | str | None = None) -> dict[str, Any]:
    """Writes a file of weights as the .weights.h5 of a network, which is built and run with them.

    Args:
      file: of PyTorch, Caffe or ONNX (torch_weights.SUFFIXES; networks of TORCH_NAMES), or Keras's .weights.h5 or .h5 of weights.
      network: a name that `get_network` takes.
      out: path of the .weights.h5; None = where `load_pretrained` finds it.

    Returns:
      dict: "out", "network", "weights" (how many arrays), "seconds".

    Raises:
      UserError: another kind of file (pickles are refused unread), other shapes, or answers that are no numbers.
    """
    started = time.monotonic()
    catalogued, file = get_network(network), Path(file)
    if out and not str(out).endswith(".weights.h5"):
        raise RecipeError(f"--out must end in .weights.h5, got {out}")
    refuse_pickle(file)
    if not file.is_file():
        raise WeightsError(f"{file} does not exist: give a file with the weights of {network}")
    base = catalogued.build(catalogued.image_size)
    if file.suffix in SUFFIXES:
        _load_tensors(base, network, file)
    elif file.suffix == ".h5":
        load_keras_weights(base, network, file)
    else:
        raise WeightsError(f"{file} is not of a kind that is read: {', '.join(SUFFIXES)}, .weights.h5, .h5")
    _check_answers(base, catalogued, file)
    out = Path(out or import_folder() / f"{network}.weights.h5")
    with atomic_path(out) as temporary:
        save_weights(base, temporary)
    return {"out": str(out), "network": network, "weights": len(base.get_weights()), "seconds": round(time.monotonic() - started, 1)}


def _load_tensors(base: keras.Model, network: str, file: Path) -> None:
    if network not in TORCH_NAMES:
        known = ", ".join(TORCH_NAMES)
        raise WeightsError(f"{network} is not read from {file.suffix}, but from Keras's .weights.h5; PyTorch's names are known of {known}")
    load_torch_weights(base, network, file)


def _check_answers(base: keras.Model, catalogued: Network, file: Path) -> None:
    """Raises WeightsError where the network's answers to two drawings are no numbers, or the same."""
    drawings = keras.layers.Resizing(catalogued.image_size, catalogued.image_size)(np.stack(list(specimens(2))).astype(np.float32))
    answers = np.asarray(base(drawings * catalogued.scale + catalogued.offset, training=False), np.float32)
    if not np.isfinite(answers).all() or np.ptp(answers, axis=0).max() == 0:
        raise WeightsError(f"with {file} the network does not tell two pictures apart: the file is damaged, or of another network")


def import_weights(
    file: Path | str, photos: Path | str, network: str = NORMALISED, out: Path | str | None = None, size_px: int = 256, count: int = 200
) -> dict[str, Any]:
    """Normalises a VGG19 on photos and writes it as an npz.

    Args:
      file: what `read_convolutions` reads.
      photos: a folder of photos, or a manifest CSV; labels are not needed.
      network: NORMALISED.
      out: path of the npz; None = where `load_perceptual` finds it.
      size_px: pixels a side to which the centres of photos are scaled.
      count: photos to use at most, spread evenly over the set; 0 = all.

    Returns:
      dict: "out", "network", "layers", "photos", "seconds".

    Raises:
      UserError: file, photos, settings or storage, each with the way out.
    """
    started = time.monotonic()
    _check(network, size_px, out)
    convolutions, facts = read_convolutions(file)
    if facts["is_normalised"]:
        convolutions = unscale(convolutions, facts["means"])
    manifest, broken = read_photos(photos), BrokenPhotos()
    step = max(1, len(manifest) // count) if count else 1
    manifest = manifest.select([row % step == 0 and (not count or row < step * count) for row in range(len(manifest))])
    with progress_bar("normalising", len(manifest)) as bar:
        convolutions, means = normalise(convolutions, whole_photos(manifest, size_px, broken), on_image=bar.advance)
    out = Path(out or import_path())
    used = len(manifest) - len(broken)
    facts = {
        "network": network,
        "made_by": f"tfvision {__version__}, tfvision weights import",
        "source": Path(file).name,
        "source_sha256": hashlib.sha256(Path(file).read_bytes()).hexdigest(),
        "pooling": "avg",
        "photos": used,
        "size_px": size_px,
    }
    save_convolutions(out, convolutions, facts, means, dtype="float32")
    return {
        "out": str(out),
        "network": network,
        "layers": len(convolutions),
        "photos": used,
        "broken": dict(broken),
        "seconds": round(time.monotonic() - started, 1),
    }


def _check(network: str, size_px: int, out: Path | str | None) -> None:
    if network != NORMALISED:
        raise RecipeError(f"photos are for --network {NORMALISED} alone, which is normalised on them, got {network!r}: leave --photos out")
    if size_px < LEAST_SIZE_PX:
        raise RecipeError(f"--size must be at least {LEAST_SIZE_PX}, got {size_px}: conv5_1 sees a sixteenth of it")
    if out and Path(out).suffix != ".npz":
        raise RecipeError(f"--out must end in .npz, got {out}")
