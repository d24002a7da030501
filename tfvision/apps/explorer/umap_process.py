"""UMAP in a process of its own: `python -m tfvision.apps.explorer.umap_process INPUT.npz`.

INPUT.npz holds `neighbours` int64 [n, k], `scores` float32 [n, k] and `vectors` float32 [n, 2], where the points begin.
Progress goes to stdout, a JSON object a line; the result to INPUT.result.npy, float32 [n, 2].
"""

import json
import re
import sys
from pathlib import Path

import numpy as np

from tfvision.files import atomic_path


def main(path: str) -> None:
    """Lays out the points of a file."""
    _tell(0.02, "UMAP is being loaded")
    import umap

    with np.load(path) as arrays:
        neighbours, scores, start = arrays["neighbours"], arrays["scores"], arrays["vectors"]
    own = np.arange(len(neighbours))[:, None]  # UMAP counts a point as its own first neighbour
    indices = np.concatenate([own, np.where(neighbours < 0, own, neighbours)], axis=1)
    distances = np.concatenate([np.zeros_like(own, float), np.maximum(0, 1 - np.where(np.isfinite(scores), scores, -1))], axis=1).astype(np.float32)
    _tell(0.1, "UMAP begins")
    settings = {"n_neighbors": indices.shape[1], "metric": "euclidean", "init": start, "random_state": 0, "n_jobs": 1}
    epochs = {"tqdm_kwds": {"file": _Epochs(), "bar_format": "{n}/{total}\n", "disable": False}}
    reducer = umap.UMAP(**settings, precomputed_knn=(indices, distances, None), force_approximation_algorithm=True, **epochs)
    plane = reducer.fit_transform(start)
    with atomic_path(Path(path).with_suffix(".result.npy")) as temporary, open(temporary, "wb") as file:
        np.save(file, np.asarray(plane, np.float32))
    _tell(1.0, "done")


class _Epochs:
    """Reads tqdm's bar."""

    def write(self, text: str) -> None:
        found = re.search(r"(\d+)/(\d+)", text)
        if found:
            done, total = map(int, found.groups())
            _tell(0.1 + 0.88 * done / max(1, total), f"UMAP, round {done} of {total}")

    def flush(self) -> None:
        pass


def _tell(share, stage):
    print(json.dumps({"share": round(share, 3), "stage": stage}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
