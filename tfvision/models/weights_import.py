"""`tfvision weights import`: any VGG19 and a set of photos -> the normalised network, where it is found again."""

import hashlib
import time
from pathlib import Path

from tfvision import __version__
from tfvision.data.manifest import read_photos
from tfvision.data.pipeline import BrokenPhotos
from tfvision.errors import RecipeError
from tfvision.models.convolutions import read_convolutions, save_convolutions
from tfvision.models.normalisation import normalise, unscale, whole_photos
from tfvision.models.perceptual import import_path
from tfvision.progress import progress_bar

IMPORTABLE = ("vgg19",)
LEAST_SIZE_PX = 32  # conv5_1 sees a sixteenth of it


def import_weights(file, photos, network="vgg19", out=None, size_px=256, count=200):
    """Normalises a VGG19 on photos and writes it as an npz.

    Args:
      file: what `read_convolutions` reads.
      photos: a folder of photos, or a manifest CSV; labels are not needed.
      network: of IMPORTABLE.
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
    manifest = manifest.select([place % step == 0 and (not count or place < step * count) for place in range(len(manifest))])
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
    return {"out": str(out), "network": network, "layers": len(convolutions), "photos": used, "broken": dict(broken), "seconds": round(time.monotonic() - started, 1)}


def _check(network, size_px, out):
    if network not in IMPORTABLE:
        raise RecipeError(f"--network must be {' or '.join(IMPORTABLE)}, got {network!r}")
    if size_px < LEAST_SIZE_PX:
        raise RecipeError(f"--size must be at least {LEAST_SIZE_PX}, got {size_px}: conv5_1 sees a sixteenth of it")
    if out and Path(out).suffix != ".npz":
        raise RecipeError(f"--out must end in .npz, got {out}")
