"""Results that are derived from a layer's vectors and kept in files: nearest neighbours of all, the map's coordinates."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from tfvision.apps.explorer.collection import Layer
from tfvision.apps.explorer.jobs import Tell
from tfvision.apps.explorer.projection import principal_plane
from tfvision.errors import DataError, FileError, UserError
from tfvision.files import parse_json, read_arrays, write_arrays

Arrays = dict[str, np.ndarray]
NEIGHBOURS = 16
_CHUNK_ROWS = 512


class Tables:
    """Derived results of a collection's layers.

    Args:
      folder: where they are kept.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    def neighbours(self, layer: Layer, tell: Tell = lambda share, stage: None) -> tuple[np.ndarray, np.ndarray]:
        """(neighbours int64 [pictures, 16], scores float32 [pictures, 16]) of all pictures: positions, -1 where there is none."""
        shape = (len(layer.row_of), NEIGHBOURS)

        def is_sound(arrays: Arrays) -> bool:
            return bool((arrays["places"] >= -1).all() and (arrays["places"] < len(layer.row_of)).all() and not np.isnan(arrays["scores"]).any())

        def make() -> Arrays:
            return dict(zip(("places", "scores"), all_neighbours(layer, NEIGHBOURS, tell), strict=True))

        arrays = kept_arrays(self._path(layer, "neighbours"), {"places": ("i", shape), "scores": ("f", shape)}, make, is_sound)
        return arrays["places"], arrays["scores"]

    def map(self, layer: Layer, method: str, tell: Tell = lambda share, stage: None) -> np.ndarray:
        """float32 [pictures, 2], NaN where a picture has no vector. Raises DataError, UserError where UMAP is not installed."""
        if method not in ("pca", "umap"):
            raise DataError(f"a map is pca or umap, got {method!r:.40}")
        there = layer.row_of >= 0

        def is_sound(arrays: Arrays) -> bool:
            return bool(np.isfinite(arrays["plane"][there]).all())

        def make() -> Arrays:
            return {"plane": _scattered(self._umap(layer, tell) if method == "umap" else _pca(layer, tell), np.flatnonzero(there), len(there))}

        return kept_arrays(self._path(layer, method), {"plane": ("f", (len(there), 2))}, make, is_sound)["plane"]

    def has_map(self, layer: Layer, method: str) -> bool:
        """Whether a map was made already."""
        return self._path(layer, method).exists()

    def _umap(self, layer, tell):
        check_umap()
        there = np.flatnonzero(layer.row_of >= 0)
        if len(there) < NEIGHBOURS + 2:
            raise DataError(f"UMAP needs {NEIGHBOURS + 2} pictures at least, this collection has {len(there)}: take PCA")
        positions, scores = self.neighbours(layer, lambda share, stage: tell(0.4 * share, stage))
        compact = np.full(len(layer.row_of) + 1, -1, np.int64)
        compact[there] = np.arange(len(there))
        path, vectors = self._path(layer, "umap-input"), principal_vectors(layer.compact_vectors()[0])
        write_arrays(path, {"neighbours": compact[positions[there]], "scores": scores[there], "vectors": vectors})
        return _run_umap(path, tell)

    def _path(self, layer, kind):
        safe = "".join(letter if letter.isalnum() else "-" for letter in layer.name)
        return self._folder / f"{safe}-{layer.fingerprint}-{kind}.npz"


def kept_arrays(
    path: Path, kinds: Mapping[str, tuple[str, tuple[int, ...]]], make: Callable[[], Arrays], is_sound: Callable[[Arrays], bool] = lambda arrays: True
) -> Arrays:
    """Arrays from an npz, or made and kept there where it is missing, is damaged or holds others.

    Args:
      kinds: as `files.read_arrays`.
      is_sound: whether the values of what was read can be.

    Raises:
      StorageError, and what `make` raises.
    """
    if os.path.lexists(path):
        try:
            arrays = read_arrays(path, kinds, "it is made again")
            if is_sound(arrays):
                return arrays
            print(f"{path} holds values that cannot be: it is made again", file=sys.stderr)
        except FileError as error:
            print(error, file=sys.stderr)
    arrays = make()
    write_arrays(path, arrays)
    return arrays


def all_neighbours(layer: Layer, k: int, tell: Tell = lambda share, stage: None) -> tuple[np.ndarray, np.ndarray]:
    """As `Tables.neighbours`, computed now."""
    there = np.flatnonzero(layer.row_of >= 0)
    positions, scores = np.full((len(layer.row_of), k), -1, np.int64), np.full((len(layer.row_of), k), -np.inf, np.float32)
    mask = None  # every live row
    if len(there) < len(layer.gallery.live):
        mask = np.zeros(layer.gallery.rows, bool)
        mask[layer.row_of[there]] = True
    asked = min(k + 1, len(there))
    for start in range(0, len(there), _CHUNK_ROWS):
        part = there[start : start + _CHUNK_ROWS]
        tell(start / len(there), f"nearest neighbours of {len(there)} pictures")
        rows, found = layer.gallery.nearest(layer.gallery.row_vectors[layer.row_of[part]], asked, mask)
        positions[part], scores[part] = without_self(layer.positions_of_rows(rows), found, part, k)
    return positions, scores


def without_self(positions: np.ndarray, scores: np.ndarray, own: np.ndarray, k: int) -> list[np.ndarray]:
    """Neighbours [n, k] of pictures that are not the pictures themselves: -1 and -inf where there are fewer."""
    is_own = (positions == own[:, None]) | (positions < 0)
    order = np.argsort(is_own, axis=1, kind="stable")
    is_own, positions, scores = (np.take_along_axis(array, order, axis=1) for array in (is_own, positions, scores))
    kept = [np.where(is_own, nothing, array)[:, :k] for array, nothing in ((positions, -1), (scores, -np.inf))]
    missing = k - kept[0].shape[1]
    return [np.pad(array, ((0, 0), (0, max(0, missing))), constant_values=nothing) for array, nothing in zip(kept, (-1, -np.inf), strict=True)]


def kept_rows(table: tuple[np.ndarray, np.ndarray], kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A table of neighbours (`Tables.neighbours`) in which the pictures that are not kept have none; they may still be another's."""
    return np.where(kept[:, None], table[0], -1), np.where(kept[:, None], table[1], -np.inf)


def principal_vectors(vectors: np.ndarray, dimension: int = 2) -> np.ndarray:
    """Where UMAP's points begin: the map by principal components, scaled as UMAP wants it."""
    plane = principal_plane(vectors)[0][:, :dimension]
    return (10 * plane / max(float(np.abs(plane).max(initial=0)), 1e-9)).astype(np.float32)


def check_umap() -> None:
    """Raises UserError where umap-learn is not installed."""
    if importlib.util.find_spec("umap") is None:
        raise UserError("UMAP is not installed: pip install 'tfvision[umap]', then ask again; the map by PCA needs nothing")


def _run_umap(path, tell):
    """UMAP in a process of its own: it holds the interpreter for seconds on end, and its memory goes with it."""
    command = [sys.executable, "-m", "tfvision.apps.explorer.umap_process", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            message = parse_json(line)
            tell(0.4 + 0.6 * message["share"], message["stage"])
        errors = process.stderr.read()
    if process.returncode:
        raise UserError(f"UMAP failed: {errors.strip().splitlines()[-1] if errors.strip() else f'exit code {process.returncode}'}")
    result = Path(path).with_suffix(".result.npy")
    plane = np.load(result)
    result.unlink(missing_ok=True)
    Path(path).unlink(missing_ok=True)
    return plane


def _pca(layer, tell):
    tell(0.1, "principal components")
    return principal_plane(layer.compact_vectors()[0])[0]


def _scattered(plane, there, count):
    whole = np.full((count, 2), np.nan, np.float32)
    whole[there] = plane
    return whole
