"""Whether a picture fits into this machine's memory, foreseen before anything is computed."""

import dataclasses
import functools
import os
import sys

import numpy as np

from tfvision.apps.style.presets import Preset
from tfvision.apps.style.tiles import CONTEXT_PX, WINDOW_PX
from tfvision.data.resizing import fitted_size
from tfvision.errors import DataError

# Measured with vgg19_slim at 256 to 1536 px as the peak of the resident memory, and at 3000 px over the first iterations.
_BYTES_A_CHANNEL, _BYTES_A_CHANNEL_TILED = 92, 35  # of responses, their gradients and scratch, for each pixel and channel of conv1
_BYTES_A_VALUE = 91  # of the picture: itself, its gradient and copies, besides the optimiser's vectors
_BYTES_A_VALUE_CARRIED = 40  # of a picture that is carried up: ten arrays of float32 while it is enlarged; counted, and above what 2,024 px took
_BASE_BYTES = 624e6  # TensorFlow, SciPy and weights


def lbfgs_pairs(values: int) -> int:
    """How many pairs of vectors L-BFGS keeps: ten, as SciPy's default, until they take gigabytes."""
    return int(np.clip(100_000_000 // values, 3, 10))


def memory_needed(preset: Preset, channels: int, height: int, width: int) -> int:
    """Bytes that a stylization takes at its largest, about.

    Args:
      channels: of the network's first layer: 64 for VGG19.
      height, width: of the picture, in pixels.
    """
    limit = preset.carried_above
    if limit and max(height, width) > limit:
        painted = dataclasses.replace(preset, carried_above=0)
        return max(memory_needed(painted, channels, *fitted_size(height, width, limit)), _memory_carried(channels, height, width))
    tile_height, tile_width = (min(side, preset.tile + 2 * CONTEXT_PX) if preset.tile else side for side in (height, width))
    is_tiled = preset.tile and max(height, width) > preset.tile
    network = tile_height * tile_width * channels * (_BYTES_A_CHANNEL_TILED if is_tiled else _BYTES_A_CHANNEL)
    content = 4 * 8 * channels * height * width / 64
    values = 3 * height * width
    vectors = 2 * lbfgs_pairs(values) + 9 if preset.optimizer == "lbfgs" else 4
    return int(_BASE_BYTES + network + content + values * (8 * vectors + _BYTES_A_VALUE))


def _memory_carried(channels, height, width):
    window = min(height, WINDOW_PX + 48) * min(width, WINDOW_PX + 48)
    return int(_BASE_BYTES + window * channels * _BYTES_A_CHANNEL + 3 * height * width * _BYTES_A_VALUE_CARRIED)


def available_memory() -> int | None:
    """Bytes that this machine can still give, or None where it does not tell."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            facts = dict(line.split(":", 1) for line in file)
        return int(facts["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return None


@functools.cache
def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def check_memory(preset: Preset, channels: int, height: int, width: int) -> None:
    """Says on stderr, once for each size, what memory a picture takes; raises DataError where it would not fit. Arguments as `memory_needed`."""
    available = available_memory()
    needed = memory_needed(preset, channels, height, width)
    _tell(f"a picture of {width} x {height} pixels takes about {needed / 1e9:.1f} GB of memory")
    if available is None or needed <= available:
        return
    scales = (tenths / 10 for tenths in range(9, 0, -1))
    scale = next((s for s in scales if memory_needed(preset, channels, int(height * s), int(width * s)) <= available), 0.05)
    raise DataError(
        f"a picture of {width} x {height} pixels takes about {needed / 1e9:.1f} GB of memory, {available / 1e9:.1f} GB are free: "
        f"use --size {int(max(height, width) * scale)}" + ("" if preset.tile else ", or --tile 512")
    )
