"""Tiles: parts of a picture that together give the network's responses to the whole, exactly.

A tile is computed with enough of its surroundings that the responses in its core are those of the whole picture. Cores
begin at multiples of 16 pixels, where all poolings align.
"""

import math
import typing

from tfvision.models.vgg19 import block_of

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


def _cut_side(length, tile):
    count = math.ceil(length / tile) if tile else 1
    step = math.ceil(length / count / STRIDE_PX) * STRIDE_PX
    # A rest too short to have a response of its own belongs to the tile before.
    starts = [start for start in range(0, length, step) if start == 0 or length - start >= STRIDE_PX]
    stops = [*starts[1:], length]
    return [
        Tile(max(0, start - CONTEXT_PX), length if stop == length else min(length, stop + CONTEXT_PX), start, stop)
        for start, stop in zip(starts, stops, strict=True)
    ]
