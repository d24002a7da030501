"""The public arbitrary-style network as two TFLite files: a painting to a style vector, a photo and the vector to a picture.

Source: Ghiasi, Lee, Kudlur, Dumoulin and Shlens, "Exploring the structure of a real-time, arbitrary neural artistic stylization network".
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfvision.apps.style.fast_networks import FastNetwork, Style
from tfvision.apps.style.stylization import as_picture
from tfvision.data.resizing import resized
from tfvision.errors import WeightsError
from tfvision.models.tflite import TFLiteNetwork

SUFFIX = ".tflite"
_STRIDE_PX = 4  # the network halves the photo twice
_SMALLEST_PX = 16
_REMEDY = "give the folder with the two files, or both: --module PREDICT.tflite,TRANSFER.tflite"


def pair_files(handle: str) -> list[Path]:
    """The TFLite files that a handle names: those of a folder, or a list with commas; [] of other handles."""
    folder = Path(handle)
    if folder.is_dir():
        return sorted(folder.glob(f"*{SUFFIX}"))
    return [Path(path.strip()) for path in handle.split(",")] if handle.lower().endswith(SUFFIX) else []


def open_pair(handle: str) -> FastNetwork:
    """Opens the pair, told apart by what each takes and gives; what else lies in a folder is passed over. Raises WeightsError."""
    networks, faults = [], []
    for path in pair_files(handle):
        try:
            networks.append(TFLiteNetwork(path))
        except WeightsError as fault:
            faults.append(fault)
    predictors, painters = [n for n in networks if _is_predictor(n)], [n for n in networks if _is_painter(n)]
    if len(predictors) == len(painters) == 1:
        return StylePair(Path(handle.split(",")[0]).name, predictors[0], painters[0])
    if faults:
        raise faults[0]
    found = f"{len(predictors)} networks from a painting to a style and {len(painters)} from photo and style to a picture"
    raise WeightsError(f"{handle} has {found}, expected one of each: {_REMEDY}")


class StylePair(FastNetwork):
    """The pair as one network.

    Args:
      name: for people.
      predictor: [1, side, side, 3] in [0, 1] -> a style.
      painter: a photo [1, height, width, 3] in [0, 1] and a style, in any order -> the picture, alike.

    Raises:
      WeightsError: the style of one is not that of the other.
    """

    blends_styles = True
    whole_pixels = 12_000_000  # 1.8 GB: 150 bytes a pixel

    def __init__(self, name: str, predictor: TFLiteNetwork, painter: TFLiteNetwork):
        self.name, self._predictor, self._painter = name, predictor, painter
        self._takes_photo_first = _is_picture(painter.inputs[0].shape)
        self._style_shape = painter.inputs[1 if self._takes_photo_first else 0].shape
        if predictor.outputs[0].shape != self._style_shape:
            raise WeightsError(f"{predictor.path} makes styles of the shape {predictor.outputs[0].shape}, {painter.path} takes {self._style_shape}: {_REMEDY}")

    def style_of(self, painting: np.ndarray) -> Style:
        _, height, width, _ = self._predictor.inputs[0].shape
        return (self._predictor.run([resized(painting, height, width)[None].astype(np.float32) / 255]),)

    def _paint_whole(self, photo, style):
        height, width = photo.shape[:2]
        grown = [max(_SMALLEST_PX, -side % _STRIDE_PX + side) - side for side in (height, width)]
        pixels = np.pad(photo, [(0, grown[0]), (0, grown[1]), (0, 0)], "symmetric")[None].astype(np.float32) / 255
        feeds: Sequence[np.ndarray] = (pixels, *style) if self._takes_photo_first else (*style, pixels)
        return as_picture(255 * self._painter.run(feeds)[0, :height, :width])


def _is_predictor(network):
    inputs, outputs = network.inputs, network.outputs
    return len(inputs) == len(outputs) == 1 and _is_picture(inputs[0].shape) and _is_style(outputs[0].shape) and inputs[0].is_float and outputs[0].is_float


def _is_painter(network):
    shapes = sorted((tensor.shape for tensor in network.inputs), key=_is_picture)
    is_of_two = len(shapes) == 2 and _is_style(shapes[0]) and _is_picture(shapes[1])
    outputs = network.outputs
    return is_of_two and len(outputs) == 1 and outputs[0].shape == shapes[1] and all(tensor.is_float for tensor in (*network.inputs, *outputs))


def _is_picture(shape):
    return len(shape) == 4 and shape[0] == 1 and shape[1] == shape[2] and shape[1] % _STRIDE_PX == 0 and _SMALLEST_PX <= shape[1] <= 4096 and shape[3] == 3


def _is_style(shape):
    return len(shape) == 4 and shape[:3] == (1, 1, 1) and 1 <= shape[3] <= 4096
