"""Pictures in rows on one labelled sheet: feature maps of a layer, mistakes of a search."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfvision.data.decoding import encode_jpeg, read_pixels
from tfvision.data.resizing import fitted_size, resized
from tfvision.files import atomic_path

if TYPE_CHECKING:
    import PIL.Image

_MARGIN_PX, _GAP_PX, _TEXT_PX, _TITLE_PX = 16, 10, 13, 17
_INK, _NOTE = (36, 48, 60), (90, 100, 110)
_FRAMES = ((204, 51, 17), (0, 92, 175), (0, 125, 90), (150, 60, 150), (120, 85, 0))  # of boxes in one picture, each dark enough for white letters


@dataclasses.dataclass(frozen=True)
class Cell:
    """Pictures that belong together, side by side, with a line of text below.

    Attributes:
      pictures: uint8 [height, width, 3], or None for one that cannot be read.
      caption: is shortened where it is wider than they are.
    """

    pictures: tuple[np.ndarray | None, ...]
    caption: str = ""


def picture_sheet(title: str, rows: Sequence[tuple[str, Sequence[Cell]]], cell_px: int, is_smooth: bool = True) -> np.ndarray:
    """A sheet: a title, then rows of cells, each row under its own heading.

    Args:
      rows: (heading or "", cells).
      cell_px: of the square in which each picture lies, its aspect kept.
      is_smooth: whether small pictures are magnified smoothly, else by whole pixels, as of feature maps.

    Returns:
      uint8 [height, width, 3].
    """
    from PIL import Image, ImageDraw, ImageFont

    text, large = ImageFont.load_default(_TEXT_PX), ImageFont.load_default(_TITLE_PX)
    line_px = round(1.6 * _TEXT_PX)
    widths = [sum(_cell_width(cell, cell_px) + 2 * _GAP_PX for cell in cells) for _, cells in rows]
    heights = [line_px * bool(heading) + cell_px + (line_px if any(cell.caption for cell in cells) else 0) + _GAP_PX for heading, cells in rows]
    width = 2 * _MARGIN_PX + max([round(large.getlength(title)), *(round(text.getlength(heading)) for heading, _ in rows), *widths])
    sheet = Image.new("RGB", (width, 2 * _MARGIN_PX + 2 * _TITLE_PX + sum(heights)), "white")
    draw, top = ImageDraw.Draw(sheet), _MARGIN_PX
    draw.text((_MARGIN_PX, top), title, _INK, large)
    top += 2 * _TITLE_PX
    for (heading, cells), height in zip(rows, heights, strict=True):
        draw.text((_MARGIN_PX, top), heading, _INK, text)
        left, below = _MARGIN_PX, top + line_px * bool(heading)
        for cell in cells:
            for number, picture in enumerate(cell.pictures):
                _paste(sheet, picture, left + number * (cell_px + 2), below, cell_px, is_smooth)
            own = _cell_width(cell, cell_px)
            draw.text((left, below + cell_px + 3), _shortened(cell.caption, own + _GAP_PX, text.getlength), _NOTE, text)
            left += own + 2 * _GAP_PX
        top += height
    return np.asarray(sheet)


def with_boxes(picture: np.ndarray, boxes: Sequence[Sequence[float]], captions: Sequence[str] = ()) -> np.ndarray:
    """A picture with frames around things in it.

    Args:
      picture: uint8 [height, width, 3].
      boxes: left, top, width, height of each, as fractions of the picture's sides.
      captions: a text for each frame, or none.

    Returns:
      uint8, of the same shape.
    """
    from PIL import Image, ImageDraw, ImageFont

    image, (height, width) = Image.fromarray(picture), picture.shape[:2]
    draw, line_px = ImageDraw.Draw(image), max(1, round(max(height, width) / 300))
    text = ImageFont.load_default(max(_TEXT_PX, round(max(height, width) / 50)))
    for number, (left, top, wide, high) in enumerate(boxes):
        colour = _FRAMES[number % len(_FRAMES)]
        corners = [left * width, top * height, (left + wide) * width - 1, (top + high) * height - 1]
        corners[2:] = max(corners[0], corners[2]), max(corners[1], corners[3])
        draw.rectangle(corners, outline=colour, width=line_px)
        caption = captions[number] if number < len(captions) else ""
        if caption:
            caption = _shortened(caption, width, text.getlength)
            _, _, right, bottom = text.getbbox(caption)
            place = min(corners[0], max(0, width - right)), max(0, corners[1] - bottom - 2)  # above the frame where there is room, else within it
            draw.rectangle((*place, place[0] + right, place[1] + bottom + 1), fill=colour)
            draw.text(place, caption, "white", text)
    return np.asarray(image)


def boxed_photo(photo: Path | str, boxes: Sequence[Sequence[float]], captions: Sequence[str], size_px: int) -> bytes:
    """A photo with frames around things in it, as `with_boxes`: a JPEG of at most size_px on its longer side. Raises DataError."""
    pixels = read_pixels(photo)
    height, width = fitted_size(pixels.shape[0], pixels.shape[1], size_px)
    return encode_jpeg(with_boxes(resized(pixels, height, width), boxes, captions))


def write_layer_pictures(photo: Path | str, pictures: Mapping[str, np.ndarray], out: Path | str) -> dict[str, str]:
    """Writes a PNG a layer, OUT/PHOTO-LAYER.png; returns {layer: path}. Raises StorageError."""
    paths = {layer: Path(out) / f"{Path(photo).stem}-{layer.replace('/', '-')}.png" for layer in pictures}
    for layer, picture in pictures.items():
        write_picture(paths[layer], picture)
    return {layer: str(path) for layer, path in paths.items()}


def write_picture(path: Path | str, picture: np.ndarray) -> None:
    """Writes uint8 [height, width, 3] as a PNG. Raises StorageError."""
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


def _cell_width(cell: Cell, cell_px: int) -> int:
    return len(cell.pictures) * (cell_px + 2) - 2


def _paste(sheet: "PIL.Image.Image", picture: np.ndarray | None, left: int, top: int, side: int, is_smooth: bool) -> None:
    """Lays a picture into the middle of its square."""
    from PIL import Image, ImageDraw

    if picture is None:
        ImageDraw.Draw(sheet).rectangle((left, top, left + side - 1, top + side - 1), outline=_NOTE)
        return
    image = Image.fromarray(picture)
    share = side / max(image.size)
    size = (max(1, round(share * image.width)), max(1, round(share * image.height)))
    shown = image.resize(size, Image.Resampling.LANCZOS if is_smooth or share < 1 else Image.Resampling.NEAREST)
    sheet.paste(shown, (left + (side - size[0]) // 2, top + (side - size[1]) // 2))


def _shortened(text: str, width: float, length: Callable[[str], float]) -> str:
    """The text with its middle left out where it is too long."""
    if length(text) <= width:
        return text
    kept = len(text)
    while kept > 2 and length(_without_middle(text, kept)) > width:
        kept -= 1
    return _without_middle(text, kept)


def _without_middle(text: str, kept: int) -> str:
    return f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
