"""Frames written as an animation or as the pictures of a folder; `data.film` writes films."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from tfvision.apps.style.pictures import ANIMATION_FORMATS, FORMATS, write_animation, write_picture
from tfvision.data.film import FILM_FORMATS, FilmReader, FilmWriter, check_video_extra, is_film_name
from tfvision.data.frames import AnimationReader, FolderReader, Frame, FrameReader, FrameWriter, Part
from tfvision.files import read_arrays, write_arrays

_KINDS = {"pixels": ("u", (None, None, None, 3)), "seconds": ("f", (None,))}


def frame_reader(path: Path, size_px: int) -> FrameReader:
    """What reads a film, an animation or a folder of frames. Raises DataError."""
    if path.is_dir():
        return FolderReader(path, size_px)
    return FilmReader(path, size_px) if is_film_name(path) else AnimationReader(path, size_px)


def frame_writer(out: Path, folder: Path, reader: FrameReader) -> FrameWriter:
    """What writes to a path, by its suffix, what a reader gave; its parts lie in `folder`. Raises DataError."""
    suffix = out.suffix.lower()
    if suffix in ANIMATION_FORMATS:
        return AnimationWriter(out, folder)
    if suffix not in FILM_FORMATS:
        return FolderWriter(out)
    check_video_extra()
    return FilmWriter(out, folder, reader if isinstance(reader, FilmReader) else None)


class AnimationWriter:
    """Writes a GIF or a WebP; all its frames are in memory at the end.

    Args:
      out: path.
      folder: where the parts lie until they are joined.
    """

    def __init__(self, out: Path, folder: Path):
        self._out, self._folder = out, folder

    def write_part(self, number: int, frames: Iterable[Frame]) -> None:
        pixels, seconds = zip(*((frame.pixels, float(frame.seconds)) for frame in frames), strict=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        write_arrays(self._path(number), {"pixels": np.stack(pixels), "seconds": np.array(seconds)}, is_compressed=True)

    def join(self, parts: Sequence[Part]) -> None:
        read = [read_arrays(self._path(number), _KINDS, "begin anew, without --resume") for number in range(len(parts))]
        write_animation(self._out, [pixels for part in read for pixels in part["pixels"]], [s for part in read for s in part["seconds"].tolist()])

    def _path(self, number):
        return self._folder / f"{number:05d}.npz"


class FolderWriter:
    """Writes each frame as a picture of a folder, under the name of its photo.

    Args:
      folder: path.
    """

    def __init__(self, folder: Path):
        self._folder = folder

    def write_part(self, number: int, frames: Iterable[Frame]) -> None:
        for frame in frames:
            write_picture(frame_path(self._folder, frame.name), frame.pixels)

    def join(self, parts: Sequence[Part]) -> None:
        """There is nothing to join."""


def frame_path(folder: Path, name: str) -> Path:
    """Where the picture of a frame's photo goes: under its name, with .png behind it where such a picture is not written."""
    return folder / (name if Path(name).suffix.lower() in FORMATS else f"{name}.png")
