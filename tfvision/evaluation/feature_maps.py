"""Feature maps: what channels of a layer answer to a photo (tattoo-recognition, figure 3)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfvision.data.decoding import read_pixels
from tfvision.errors import RecipeError
from tfvision.evaluation.picture_sheet import Cell, picture_sheet, write_layer_pictures
from tfvision.features.layers import LayeredNetwork

_CELL_PX = 150
_MOST_COLUMNS = 6


def draw_feature_maps(network: LayeredNetwork, photo: Path | str, layers: Sequence[str] = (), count: int = 17, out: Path | str = ".") -> dict[str, Any]:
    """Writes a sheet a layer: the photo, and the maps of the channels that answer most, brighter where they answer more.

    Args:
      layers: as `LayeredNetwork.responses`; () = all taps with positions.
      count: maps of a layer.
      out: folder.

    Returns:
      dict: "image", "pictures" {layer: path}, "maps" {layer: [height, width, channels]}.

    Raises:
      DataError, RecipeError: a layer has no positions, or there is none of that name.
    """
    pixels = read_pixels(photo)
    responses = network.responses(pixels, layers)
    flat = [layer for layer, maps in responses.items() if maps.ndim != 3 or maps.shape[0] * maps.shape[1] == 1]
    if flat and (layers or len(flat) == len(responses)):
        raise RecipeError(f"--layer {flat[0]} of {network.name} has no positions, so nothing to show: choose an earlier one")
    shown = {layer: maps for layer, maps in responses.items() if layer not in flat}
    sheets = {layer: feature_map_sheet(pixels, maps, f"{layer} of {network.name}", count) for layer, maps in shown.items()}
    return {"image": str(photo), "pictures": write_layer_pictures(photo, sheets, out), "maps": {layer: list(maps.shape) for layer, maps in shown.items()}}


def feature_map_sheet(pixels: np.ndarray, maps: np.ndarray, title: str, count: int) -> np.ndarray:
    """A photo and its strongest maps, each from its least answer (black) to its greatest (white): uint8 [height, width, 3].

    Args:
      pixels: uint8 [height, width, 3].
      maps: float32 [h, w, channels].
    """
    height, width, channels = maps.shape
    strongest = np.argsort(-np.abs(maps).mean((0, 1)), kind="stable")[:count]
    cells = [
        Cell((_of_aspect(pixels, width / height),), "the photo, as seen"),
        *(Cell((_as_grey(maps[..., channel]),), f"channel {channel}") for channel in strongest),
    ]
    rows = [("", cells[start : start + _MOST_COLUMNS]) for start in range(0, len(cells), _MOST_COLUMNS)]
    told = "all" if len(strongest) == channels else f"the {len(strongest)} that answer most of"
    return picture_sheet(f"{title}: {told} {channels} maps of {height} x {width}", rows, _CELL_PX, is_smooth=False)


def _of_aspect(pixels: np.ndarray, aspect: float) -> np.ndarray:
    """The photo as squashed as its maps."""
    from PIL import Image

    side = max(pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).resize((round(side * min(1, aspect)), round(side * min(1, 1 / aspect)))))


def _as_grey(values: np.ndarray) -> np.ndarray:
    spread = values.max() - values.min()
    grey = (values - values.min()) / spread if spread > 0 else np.zeros_like(values)
    return np.repeat(np.round(255 * grey).astype(np.uint8)[..., None], 3, axis=2)
