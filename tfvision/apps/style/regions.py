"""How paintings share a picture: by weights everywhere, or by masks, each in its region."""

from collections.abc import Sequence

import numpy as np

from tfvision.data.resizing import resized
from tfvision.errors import RecipeError


def painting_shares(weights: Sequence[float] | None, count: int) -> np.ndarray:
    """One share a painting, float [paintings], which sum to 1, of weights; None = alike. Raises RecipeError."""
    weights = np.ones(count) if weights is None else np.asarray(weights, float)
    if len(weights) != count or (weights < 0).any() or (count and not 0 < weights.sum() < np.inf):
        raise RecipeError(f"give one weight above 0 for each of the {count} paintings, got {weights.tolist()}")
    return weights / weights.sum() if count else weights


def region_shares(masks: Sequence[np.ndarray], height: int, width: int, count: int) -> np.ndarray:
    """What each painting has of each pixel: float32 [paintings, height, width] that sum to 1; alike where no mask is white.

    Args:
      masks: float in 0-1 or uint8 [h, w] or [h, w, 3] of any size, one a painting.

    Raises:
      RecipeError: their number.
    """
    if len(masks) != count:
        raise RecipeError(f"give one mask for each of the {count} paintings, got {len(masks)}")
    stacked = np.stack([_share(mask, height, width) for mask in masks])
    total = stacked.sum(axis=0, keepdims=True)
    return np.where(total > 0, stacked / np.maximum(total, 1e-6), 1 / count).astype(np.float32)


def within_masks(masks: Sequence[np.ndarray], picture: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """The picture where any mask is white, the photo elsewhere: uint8 of the picture's size."""
    height, width = picture.shape[:2]
    share = np.clip(sum(_share(mask, height, width) for mask in masks), 0, 1)[..., None]
    outside = resized(photo, height, width).astype(np.float32)
    return (outside + share * (picture - outside)).round().clip(0, 255).astype(np.uint8)


def _share(mask, height, width):
    """float32 [height, width] in 0-1."""
    share = (mask if mask.ndim == 2 else mask.mean(axis=2)).astype(np.float32) / (255 if mask.dtype == np.uint8 else 1)
    if share.shape == (height, width):
        return share
    return resized((255 * share.clip(0, 1)).round().astype(np.uint8), height, width).astype(np.float32) / 255
