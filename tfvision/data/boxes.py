"""Boxes: where in its photo a thing is, as users give it, and in pixels of the upright photo once both were held side by side.

Pixels are what a box is given in. Where all boxes of a table (or the one of a command) lie within 0 and 1, they are fractions of
their photo's width and height, as MegaDetector and Camtrap DP write them: in pixels such a box would show nothing.
"""

import concurrent.futures
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from tfvision.data.decoding import photo_size, read_pixels
from tfvision.errors import DataError

Box = tuple[float, float, float, float]
NO_BOX: Box = (0.0, 0.0, 0.0, 0.0)
LEAST_SHOWN = 0.5  # of a box, within the photo: one that is drawn wide reaches over the edge, and is cut there
_ROUNDING_SHARE, _ROUNDING_PX = 0.02, 2  # of a side, by which a box that lies within the photo may reach over its edge
FRACTION_ROUNDING = 0.001
_READINGS: dict[str, Callable[[Box], Box]] = {  # what else four numbers are in other programs -> left, top, width, height
    "left,top,right,bottom": lambda box: (box[0], box[1], box[2] - box[0], box[3] - box[1]),
    "centre x,centre y,width,height": lambda box: (box[0] - box[2] / 2, box[1] - box[3] / 2, box[2], box[3]),
}
_NAMED_FAULTS = 5
FRACTION = (1.0, 1.0)  # the size of a photo of which boxes are fractions
NO_NUMBERS = "a box that is none: its numbers are no place with a width and a height"
OUTSIDE = "a box that lies outside its photo"
_LARGEST_SIDE = 1e9


def parse_box(text: str | None, where: str = "--box") -> Box:
    """Parses "left,top,width,height", brackets allowed; empty = zeros. Raises DataError."""
    text = (text or "").strip()
    if not text:
        return NO_BOX
    try:
        left, top, width, height = map(float, text.strip("[]()").split(","))
    except ValueError:
        raise DataError(f"{where}: a box is left,top,width,height in pixels, got {text!r}") from None
    if not (width > 0 and height > 0 and np.isfinite([left, top, width, height]).all()):
        raise DataError(f"{where}: a box has a positive width and height, got {text!r}")
    return left, top, width, height


def are_fractions(boxes: Sequence[Box]) -> bool:
    """Whether there are boxes, and all lie within 0 and 1."""
    given = np.array([box for box in boxes if box[2]]).reshape(-1, 4)
    return len(given) > 0 and bool((given >= -FRACTION_ROUNDING).all() and (given <= 1 + FRACTION_ROUNDING).all())


def box_in_photo(box: Box, path: Path | str) -> Box:
    """The one box of a command, in pixels of the photo at `path`.

    Raises:
      DataError: the photo cannot be read, or the box does not lie in it; the message names the photo.
    """
    if not box[2]:
        return NO_BOX
    size = photo_size(path)
    (fitted,), (fault,) = _fitted([box], [size])
    if fault:
        raise DataError(f"{path}: {fault}")
    return fitted


def boxes_in_photos(table: Path, lines: Sequence[int], paths: Sequence[str], boxes: Sequence[Box]) -> list[Box]:
    """The boxes of a table in pixels of their photos, of which only the headers are read; what is a fraction is told on stderr.

    Args:
      table: for messages.
      lines: the number of each row's line, for messages.
      paths: of each row's photo; where it cannot be read, its box stays as it is: whoever reads the photo says so.
      boxes: of each row; NO_BOX = none.

    Raises:
      DataError: boxes that do not lie in their photos, by line.
    """
    rows = [row for row, box in enumerate(boxes) if box[2]]
    if not rows:
        return list(boxes)
    sizes = _sizes(paths[row] for row in rows)
    rows = [row for row in rows if sizes[paths[row]]]
    given = [boxes[row] for row in rows]
    fitted, faults = _fitted(given, [sizes[paths[row]] for row in rows])
    wrong = [f"line {lines[row]}: {fault}" for row, fault in zip(rows, faults, strict=True) if fault]
    if wrong:
        more = f"; and {len(wrong) - _NAMED_FAULTS} more" if len(wrong) > _NAMED_FAULTS else ""
        raise DataError(f"{table}: {len(wrong)} of {len(given)} boxes cannot be used; {'; '.join(wrong[:_NAMED_FAULTS])}{more}. Correct or empty them")
    if are_fractions(given):
        print(f"{table}: its {len(given)} boxes are read as fractions of their photos' widths and heights", file=sys.stderr)
    placed = dict(zip(rows, fitted, strict=True))
    return [placed.get(row, box) for row, box in enumerate(boxes)]


def box_faults(paths: Sequence[str], boxes: Sequence[Box]) -> list[str]:
    """What is wrong with each box of a table, held against its photo's header, or ""; so too where the photo cannot be read."""
    sizes = _sizes(path for path, box in zip(paths, boxes, strict=True) if box[2])
    rows = [row for row, path in enumerate(paths) if boxes[row][2] and sizes[path]]
    _, faults = _fitted([boxes[row] for row in rows], [size for row in rows if (size := sizes[paths[row]])])
    found = dict(zip(rows, faults, strict=True))
    return [found.get(row, "") for row in range(len(paths))]


def scaled_box(box: Box, scale: Sequence[float]) -> Box:
    """A box in a photo whose width and height are so many times as long."""
    left, top, width, height = (float(value * factor) for value, factor in zip(box, (*scale, *scale), strict=True))
    return left, top, width, height


def read_box(path: Path | str, box: Box) -> np.ndarray:
    """What a photo shows within a box, the whole photo for NO_BOX: uint8 RGB [height, width, 3]. Raises DataError."""
    pixels = read_pixels(path)
    left, top, width, height = (round(value) for value in box)
    return pixels[max(top, 0) : top + height, max(left, 0) : left + width] if width else pixels


def _fitted(boxes: Sequence[Box], sizes: Sequence[tuple[int, int]]) -> tuple[list[Box], list[str]]:
    """Boxes in pixels, and for each what is wrong with it, or ""."""
    scales = list(sizes) if are_fractions(boxes) else [(1, 1)] * len(boxes)
    placed = [scaled_box(box, scale) for box, scale in zip(boxes, scales, strict=True)]
    is_within = [_is_within(box, size) for box, size in zip(placed, sizes, strict=True)]
    reading = "" if all(is_within) else _other_reading(boxes, scales, sizes)
    readings = ["" if within else reading for within in is_within]
    return placed, list(map(_fault, boxes, placed, sizes, readings))


def _fault(box: Box, pixels: Box, size: tuple[int, int], reading: str) -> str:
    told, photo = f"the box {','.join(f'{value:g}' for value in box)}", f"its photo of {size[0]} x {size[1]} pixels"
    if max(pixels[2:]) <= 1 or min(pixels[2:]) < 1:
        are_mixed = "; fractions of the photo are understood where all boxes are such" if are_fractions([box]) and pixels == box else ""
        return f"{told} is {'less than a' if min(pixels[2:]) < 1 else 'a single'} pixel of {photo}{are_mixed}"
    if reading:
        return f"{told} reaches out of {photo}; is it {reading}? A box is left,top,width,height"
    shown = shown_share(pixels, size)
    if shown < LEAST_SHOWN:
        return f"{told} lies {'for the most part ' if shown else ''}outside {photo}"
    return ""


def _other_reading(boxes: Sequence[Box], scales: Sequence[tuple[int, int]], sizes: Sequence[tuple[int, int]]) -> str:
    """What the numbers are if by that reading, and not as left,top,width,height, all boxes lie in their photos; else ""."""
    for name, read in _READINGS.items():
        others = [scaled_box(read(box), scale) for box, scale in zip(boxes, scales, strict=True)]
        if all(min(box[2:]) > 0 and _is_within(box, size) for box, size in zip(others, sizes, strict=True)):
            return name
    return ""


def _is_within(box: Box, size: tuple[int, int]) -> bool:
    edges = (max(_ROUNDING_PX, _ROUNDING_SHARE * side) for side in size)
    return all(low >= -edge and low + length <= side + edge for low, length, side, edge in zip(box[:2], box[2:], size, edges, strict=True))


def cut_box(box: Sequence[object], size: Sequence[float] | None) -> tuple[Box, str]:
    """The box that a program wrote, cut at the edge of its photo, and what is wrong with it, NO_NUMBERS or OUTSIDE, else "".

    Args:
      box: left, top, width, height, if it is one.
      size: width and height of the photo; FRACTION where boxes are fractions; None where it is not known.
    """
    numbers = [float(value) for value in box if isinstance(value, (int, float)) and abs(value) < _LARGEST_SIDE]
    if len(numbers) != 4 or len(box) != 4 or not min(numbers[2:]) > 0:
        return NO_BOX, NO_NUMBERS
    left, top, width, height = numbers
    if size is None:
        return (left, top, width, height), ""
    if shown_share((left, top, width, height), size) < LEAST_SHOWN:
        return (left, top, width, height), OUTSIDE
    (left, width), (top, height) = (_cut(low, length, side) for low, length, side in zip((left, top), (width, height), size, strict=True))
    return (left, top, width, height), ""


def _cut(low: float, length: float, side: float) -> tuple[float, float]:
    if low >= 0 and low + length <= side:
        return low, length
    return max(low, 0.0), min(low + length, side) - max(low, 0.0)


def shown_share(box: Box, size: Sequence[float]) -> float:
    """The share of a box that lies in its photo of this width and height."""
    share = 1.0
    for low, length, side in zip(box[:2], box[2:], size, strict=True):
        share *= max(0.0, min(low + length, side) - max(low, 0.0)) / length
    return share


def _sizes(paths: Iterable[str]) -> dict[str, tuple[int, int] | None]:
    """Width and height of each photo, None of one that cannot be read."""
    names = list(dict.fromkeys(paths))
    with concurrent.futures.ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as threads:
        return dict(zip(names, threads.map(_size_or_none, names), strict=True))


def _size_or_none(path: str) -> tuple[int, int] | None:
    try:
        return photo_size(path)
    except DataError:
        return None
