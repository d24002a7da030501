"""Figure 3: five growing subsets of style layers by four ratios of alpha to beta, on one labelled sheet."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from tfvision.apps.style.presets import Preset, paper
from tfvision.apps.style.reconstruction import style_subset
from tfvision.apps.style.stylization import Stylization, stylize
from tfvision.models.vgg19 import STYLE_LAYERS

RATIOS = (1e-5, 1e-4, 1e-3, 1e-2)
_GAP_PX, _TEXT_SHARE = 6, 0.06


def style_sheet(
    photo: np.ndarray,
    painting: np.ndarray,
    preset: Preset | None = None,
    ratios: Sequence[float] = RATIOS,
    subsets: Sequence[str] = STYLE_LAYERS,
    on_picture: Callable[[int, int, Stylization], object] | None = None,
) -> tuple[np.ndarray, dict[tuple[str, float], Stylization]]:
    """Renders figure 3 for a photo and a painting.

    Args:
      photo, painting: uint8 [height, width, 3].
      preset: Preset; None = the paper's. Its style layers and content weight are replaced.
      ratios: alpha / beta, one a column.
      subsets: the last layer of each row's subset.
      on_picture: called with (row, column, Stylization) after each picture.

    Returns:
      The sheet, uint8 [height, width, 3], and a dict {(last layer, ratio): Stylization}.

    Raises:
      What `stylize` raises.
    """
    preset, made = preset or paper(), {}
    for row, layer in enumerate(subsets):
        for column, ratio in enumerate(ratios):
            own = dataclasses.replace(preset, style_layers=style_subset(layer), content_weight=ratio * preset.style_weight)
            made[layer, ratio] = stylize(photo, [painting], own)
            if on_picture:
                on_picture(row, column, made[layer, ratio])
    rows = [[made[layer, ratio].picture for ratio in ratios] for layer in subsets]
    return labelled_sheet(rows, list(subsets), [f"{ratio:.0e}".replace("e-0", "e-") for ratio in ratios]), made


def labelled_sheet(rows: Sequence[Sequence[np.ndarray]], row_labels: Sequence[str], column_labels: Sequence[str]) -> np.ndarray:
    """Pictures of one size in a grid, labels at the left and above.

    Args:
      rows: list of lists of uint8 [height, width, 3].

    Returns:
      uint8 [height, width, 3].
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = rows[0][0].shape[:2]
    text_px = max(12, round(_TEXT_SHARE * height))
    font = ImageFont.load_default(text_px)
    left, top = round(max(font.getlength(label) for label in row_labels)) + 2 * _GAP_PX, text_px + 2 * _GAP_PX
    sheet = Image.new("RGB", (left + len(rows[0]) * (width + _GAP_PX), top + len(rows) * (height + _GAP_PX)), "white")
    draw = ImageDraw.Draw(sheet)
    for column, label in enumerate(column_labels):
        draw.text((left + column * (width + _GAP_PX) + width / 2, top / 2), label, "black", font, anchor="mm")
    for row, (label, pictures) in enumerate(zip(row_labels, rows, strict=True)):
        draw.text((_GAP_PX, top + row * (height + _GAP_PX) + height / 2), label, "black", font, anchor="lm")
        for column, picture in enumerate(pictures):
            sheet.paste(Image.fromarray(picture), (left + column * (width + _GAP_PX), top + row * (height + _GAP_PX)))
    return np.asarray(sheet)
