"""Photos of which nothing can be told: too dark, whited out, or blurred beyond any outline."""

import numpy as np

TOO_DARK, WHITED_OUT, BLURRED = "too dark", "whited out", "blurred"
_DARKEST, _BRIGHTEST = 32, 230  # grey levels: 99 % of the pixels lie below, or above
_FEW = 0.01  # of the pixels, that may be otherwise
_RED, _GREEN, _BLUE = 77, 150, 29  # their shares in grey, in 256ths
_LEAST_SIDE = 96  # pixels of a view of which the sharpness is judged
_LARGEST_SIDE = 256  # above, it is judged at half the scale
_TILES = 4  # a side: what is sharp in one of them is sharp
_DETAIL, _DETAIL_SHARE = 4.0, 0.15  # grey levels; of the photo's contrast


def why_unusable(view: np.ndarray, is_enlarged: bool = False) -> str:
    """Why nothing can be told of a photo; "" where something can.

    Sharp photos of five sets have details of 7.9 grey levels and more, and 0.2 of their contrast; blurred by 2 % of their side, at most
    3.5 and 0.14 (99 of 100).

    Args:
      view: uint8 [size, size, 3], all of the photo or nearly so.
      is_enlarged: whether the photo has fewer pixels than the view, which therefore says nothing of its sharpness.
    """
    wide = view.astype(np.uint16)
    grey = (_RED * wide[..., 0] + _GREEN * wide[..., 1] + _BLUE * wide[..., 2]) >> 8
    counts = np.bincount(grey.ravel(), minlength=256)
    if counts[_DARKEST:].sum() < _FEW * grey.size:
        return TOO_DARK
    if counts[: _BRIGHTEST + 1].sum() < _FEW * grey.size:
        return WHITED_OUT
    return BLURRED if min(grey.shape) >= _LEAST_SIDE and not is_enlarged and _is_blurred(grey.astype(np.float32)) else ""


def _is_blurred(grey):
    if min(grey.shape) > _LARGEST_SIDE:
        height, width = (side // 2 * 2 for side in grey.shape)
        grey = grey[:height, :width].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    detail = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    sharpest = max(tile.std() for row in np.array_split(detail, _TILES) for tile in np.array_split(row, _TILES, axis=1))
    return sharpest < _DETAIL and sharpest < _DETAIL_SHARE * (grey.std() + 1)
