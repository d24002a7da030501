"""Frames that follow each other in time: what reads them, from a film, an animation or a folder, and what writes them.

Whoever paints frames knows these two protocols alone. Frames are written in parts, each whole or not at all, so that
work that was interrupted goes on after the last part; `join` makes the film of them.
"""

import typing
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from tfvision.data.decoding import read_pixels
from tfvision.data.picture_file import format_and_frames, photos_of_folder, read_frames
from tfvision.data.resizing import fitted_size, resized
from tfvision.errors import DataError

_FOLDER_RATE = 25  # frames a second that a folder counts as, should they become a film


class Frame(typing.NamedTuple):
    """A frame, and when it is shown.

    Attributes:
      pixels: uint8 RGB [height, width, 3], upright.
      start: seconds from the film's beginning.
      seconds: that it is shown.
      name: of its file, where each has one.
    """

    pixels: np.ndarray
    start: Fraction
    seconds: Fraction
    name: str = ""


class Part(typing.NamedTuple):
    """Frames that were written together: how many, and the seconds from the film's beginning at which they start and end."""

    frames: int
    start: Fraction
    end: Fraction


class FrameReader(typing.Protocol):
    """Reads frames, scaled so that their longer side has the size asked for.

    Attributes:
      path: of the film, the animation or the folder.
      count: how many frames there are, about: what shows progress trusts it, nothing else.
      faults: (path, reason) of each that could not be read, as far as `frames` has come.
    """

    path: Path
    count: int
    faults: list[tuple[str, str]]

    def frames(self, first: int = 0) -> Iterator[Frame]:
        """Yields the frames from number `first` on. Raises DataError where none can be read any more."""


class FrameWriter(typing.Protocol):
    """Writes frames part by part."""

    def write_part(self, number: int, frames: Iterable[Frame]) -> None:
        """Writes one part whole or not at all; parts are numbered from 0. Raises StorageError."""

    def join(self, parts: Sequence[Part]) -> None:
        """Makes the output of all parts, whole or not at all. Raises StorageError."""


class AnimationReader:
    """Reads a GIF, a WebP or an animated PNG.

    Args:
      path: of the file.
      size_px: longer side of the frames.

    Raises:
      DataError: it cannot be read.
    """

    def __init__(self, path: Path | str, size_px: int):
        self.path, self._size_px = Path(path), size_px
        self.count = format_and_frames(path)[1]
        self.faults: list[tuple[str, str]] = []

    def frames(self, first: int = 0) -> Iterator[Frame]:
        start = Fraction(0)
        for number, (pixels, shown) in enumerate(read_frames(self.path)):
            seconds = Fraction(round(1000 * shown), 1000)
            if number >= first:
                yield Frame(_fitted(pixels, self._size_px), start, seconds)
            start += seconds


class FolderReader:
    """Reads the photos of a folder in their order, as frames of one length.

    Args:
      path: of the folder.
      size_px: longer side of the frames.

    Raises:
      DataError: it holds none.
    """

    def __init__(self, path: Path | str, size_px: int):
        self.path, self._size_px = Path(path), size_px
        self._photos = photos_of_folder(path)
        self.count = len(self._photos)
        self.faults: list[tuple[str, str]] = []

    def frames(self, first: int = 0) -> Iterator[Frame]:
        read, seconds = 0, Fraction(1, _FOLDER_RATE)
        self.faults = []
        for photo in self._photos:
            try:
                pixels = read_pixels(photo)
            except DataError as error:
                self.faults.append((str(photo), str(error)))
                continue
            if read >= first:
                yield Frame(_fitted(pixels, self._size_px), read * seconds, seconds, photo.name)
            read += 1


def _fitted(pixels, size_px):
    return resized(pixels, *fitted_size(*pixels.shape[:2], size_px))
