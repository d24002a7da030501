"""Sizes of pictures, and pictures of another size."""

import numpy as np


def fitted_size(height: int, width: int, longer: int) -> tuple[int, int]:
    """(height, width) of the same shape whose longer side is `longer` pixels."""
    scale = longer / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def resized(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resamples uint8 [h, w, 3] or [h, w] to [height, width, ...], with Lanczos's filter."""
    import PIL.Image

    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(PIL.Image.fromarray(pixels).resize((width, height), PIL.Image.Resampling.LANCZOS))
