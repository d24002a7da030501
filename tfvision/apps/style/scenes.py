"""Where a film cuts from one scene to the next."""

import numpy as np

from tfvision.apps.style.flow import Motion

_BINS = 8  # of each colour
_COLOURS_APART = 0.3  # half the sum of the histograms' differences: 0 = alike, 1 = no colour in common
_FOUND_AGAIN = 0.4  # share of a photo that is found again in the one before


def is_cut(before: np.ndarray, now: np.ndarray, motion: Motion) -> bool:
    """Whether a scene begins with a photo: its colours are others, and what was to be seen before is not found again.

    Args:
      before, now: uint8 RGB [height, width, 3].
      motion: from `now` back to `before`.
    """
    return colours_apart(before, now) > _COLOURS_APART and motion.valid.mean() < _FOUND_AGAIN


def colours_apart(before: np.ndarray, now: np.ndarray) -> float:
    """How far apart the histograms of two photos are, from 0 to 1."""
    return float(np.abs(_histogram(before) - _histogram(now)).sum() / 2)


def _histogram(photo):
    bins = (photo.reshape(-1, 3) // (256 // _BINS)).astype(np.int32) @ np.int32([_BINS * _BINS, _BINS, 1])
    return np.bincount(bins, minlength=_BINS**3) / bins.size
