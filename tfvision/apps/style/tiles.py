"""Tiles: parts of a picture that together give the network's responses to the whole, exactly.

A tile is computed with enough of its surroundings that the responses in its core are those of the whole picture. Cores
begin at multiples of 16 pixels, where all poolings align.
"""

import itertools
import math
import typing

import numpy as np

from tfvision.models.vgg19 import block_of

WINDOW_PX = 512  # a side of what a window rules
_RAMP_PX = 32  # over which two windows share the rule
CONTEXT_PX = 96  # the receptive field of conv5_1 reaches 78 pixels
STRIDE_PX = 16  # of the deepest layer


class Tile(typing.NamedTuple):
    """One side of a tile: pixels [start, stop) of the picture, of which [core_start, core_stop) count.

    Only the last tile of a side ends with its core.
    """

    start: int
    stop: int
    core_start: int
    core_stop: int


class Window(typing.NamedTuple):
    """One side of a part that is changed by itself: pixels [start, stop) of the picture's `length`.

    Windows overlap by 32 px, in which the rule of one rises as that of its neighbour falls: no seam can be.
    """

    start: int
    stop: int
    length: int

    def rule(self) -> np.ndarray:
        """How far each pixel is this window's, float32 [stop - start]; over all windows that is 1."""
        share = (np.arange(_RAMP_PX, dtype=np.float32) + 0.5) / _RAMP_PX
        rise, rule = share**2 * (3 - 2 * share), np.ones(self.stop - self.start, np.float32)
        if self.start:
            rule[:_RAMP_PX] = rise
        if self.stop < self.length:
            rule[-_RAMP_PX:] = 1 - rise
        return rule


def layer_stride(layer: str) -> int:
    """Pixels a position: 1 for conv1_1, 2 for conv2_1, ... 16 for conv5_1."""
    return 2 ** (block_of(layer) - 1)


def cut_picture(height: int, width: int, tile: int) -> list[tuple[Tile, Tile]]:
    """All tiles of a picture: list of (Tile of rows, Tile of columns).

    Args:
      height, width: of the picture, in pixels.
      tile: pixels a core has at most on each side, or up to 15 more; 0 = all in one.
    """
    return [(rows, columns) for rows in _cut_side(height, tile) for columns in _cut_side(width, tile)]


def cut_windows(height: int, width: int, tile: int) -> list[tuple[Window, Window]]:
    """All windows of a picture: list of (Window of rows, Window of columns).

    Args:
      height, width: of the picture, in pixels.
      tile: pixels a window rules at most on each side, or up to 15 more; 0 = 512, which is also the limit.
    """
    side = min(WINDOW_PX, tile or WINDOW_PX)
    return [(rows, columns) for rows in _cut_windows(height, side) for columns in _cut_windows(width, side)]


def _cut_windows(length, side):
    edges, half = _edges(length, side), _RAMP_PX // 2
    return [Window(start - half if start else 0, min(length, stop + half), length) for start, stop in itertools.pairwise(edges)]


def _edges(length, side):
    """Multiples of 16, evenly apart, from 0 to the length, between which parts lie."""
    count = math.ceil(length / side) if side else 1
    step = math.ceil(length / count / STRIDE_PX) * STRIDE_PX
    # A rest too short to have a response of its own belongs to the part before.
    return [start for start in range(0, length, step) if start == 0 or length - start >= STRIDE_PX] + [length]


def _cut_side(length, tile):
    return [
        Tile(max(0, start - CONTEXT_PX), length if stop == length else min(length, stop + CONTEXT_PX), start, stop)
        for start, stop in itertools.pairwise(_edges(length, tile))
    ]
