"""A photo painted in tiles by a network that normalises each by its own statistics, without seams.

A network with instance normalisation paints a tile in other tones than the whole. So the whole is painted small first; each tile
gets the tones of that (what is left of it when looked at from afar), and tiles overlap and fade into each other.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np

from tfvision.data.resizing import fitted_size, resized

_OVERLAP_PX = 128  # more than such networks see on each side
_TONE_PX = 64  # below this size tones are the tile's own


def paint_tiles(photo: np.ndarray, paint_whole: Callable[[np.ndarray], np.ndarray], most_pixels: int) -> np.ndarray:
    """Paints a photo in one piece where it has no more than `most_pixels`, else in tiles.

    Args:
      photo: uint8 [height, width, 3].
      paint_whole: uint8 [h, w, 3] -> uint8, alike.
      most_pixels: of a piece, with its overlap.

    Returns:
      uint8 [height, width, 3].
    """
    height, width = photo.shape[:2]
    if height * width <= most_pixels:
        return paint_whole(photo)
    smaller = math.sqrt(most_pixels / (height * width))
    guide = paint_whole(resized(photo, *fitted_size(height, width, int(max(height, width) * smaller))))
    side = max(4 * _OVERLAP_PX, int(math.sqrt(most_pixels)))
    total, weights = np.zeros((height, width, 3), np.float32), np.zeros((height, width, 1), np.float32)
    for rows in _pieces(height, side):
        for columns in _pieces(width, side):
            here = slice(*rows), slice(*columns)
            piece = paint_whole(photo[here])
            share = (_fade(*rows, height)[:, None] * _fade(*columns, width))[..., None]
            total[here] += share * (piece + _tones(_part(guide, here, height, width)) - _tones(piece))
            weights[here] += share
    return np.clip(np.rint(total / weights), 0, 255).astype(np.uint8)


def _pieces(length: int, side: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of overlapping pieces of at most `side` pixels, alike in length."""
    count = 1 if length <= side else math.ceil((length - _OVERLAP_PX) / (side - _OVERLAP_PX))
    step = (length - _OVERLAP_PX) / count
    for number in range(count):
        yield round(number * step), min(length, round((number + 1) * step) + _OVERLAP_PX)


def _fade(start, stop, length):
    """float32 [stop - start] that rises from an inner edge over the overlap."""
    ramp = np.ones(stop - start, np.float32)
    rise = (np.arange(_OVERLAP_PX, dtype=np.float32) + 0.5) / _OVERLAP_PX
    if start > 0:
        ramp[:_OVERLAP_PX] = rise
    if stop < length:
        ramp[-_OVERLAP_PX:] *= rise[::-1]
    return ramp


def _part(guide, here, height, width):
    """The guide's part that shows what a piece shows, of the piece's size."""
    rows, columns = here
    down, across = guide.shape[0] / height, guide.shape[1] / width
    box = (columns.start * across, rows.start * down, columns.stop * across, rows.stop * down)
    return _stretched(guide, (columns.stop - columns.start, rows.stop - rows.start), box)


def _tones(pixels):
    """float32 of the same size: what is larger than strokes."""
    height, width = pixels.shape[:2]
    small = _stretched(pixels, (max(1, round(width / _TONE_PX)), max(1, round(height / _TONE_PX))))
    return _stretched(small, (width, height)).astype(np.float32)


def _stretched(pixels, size, box=None):
    import PIL.Image

    return np.asarray(PIL.Image.fromarray(pixels).resize(size, PIL.Image.Resampling.BICUBIC, box=box))
