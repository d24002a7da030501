"""Films, animations and folders of frames painted by a fast network: frame by frame, held together, part by part.

A part is a scene, or as many frames of one as are painted within a minute or two. After each, OUT.frames/ has all that it takes to
go on: the parts, and the last frame with what the next one follows from.
"""

import dataclasses
import importlib.metadata
import shutil
import time
import typing
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from tfvision.apps.style.flow import Motion, has_flow, motion_between, warp_error
from tfvision.apps.style.held import Held, detail_ratio
from tfvision.apps.style.scenes import is_cut
from tfvision.data.frames import Frame, FrameReader, FrameWriter, Part
from tfvision.errors import DataError, FileError
from tfvision.files import read_json, sole_process, write_json
from tfvision.progress import progress_bar

PART_FRAMES = 48  # at most
_KINDS = {"made_of": str, "parts": [{"frames": int, "start": str, "end": str}], "tally": dict[str, float]}


class FramePainter(typing.Protocol):
    """Paints the frames of a film, uint8 [height, width, 3] each."""

    def begin(self, photo: np.ndarray) -> None:
        """A scene begins with this photo."""

    def paint(self, photo: np.ndarray) -> np.ndarray:
        """The picture of a photo, whatever came before."""

    def finish(self, photo: np.ndarray, picture: np.ndarray) -> np.ndarray:
        """What is shown of a picture that was held to those before."""


@dataclasses.dataclass
class Tally:
    """What there is to tell of painted frames: sums, to which more can be added.

    Attributes:
      scenes: that began.
      seconds: of work.
      compared: frames that were compared with the one before.
      unsteadiness: their warp errors (flow.warp_error).
      unsteadiness_alone: those of the same frames had none been held.
      detail: their detail beside that of frames that are not held (held.detail_ratio).
    """

    scenes: int = 0
    seconds: float = 0.0
    compared: int = 0
    unsteadiness: float = 0.0
    unsteadiness_alone: float = 0.0
    detail: float = 0.0

    def compare(self, before: Held, now: Held, motion: Motion) -> None:
        """Counts a frame that followed from another."""
        if not motion.valid.any():
            return
        self.compared += 1
        self.unsteadiness += warp_error(before.shown, now.shown, motion)
        self.unsteadiness_alone += warp_error(before.painted, now.painted, motion)
        self.detail += detail_ratio(now.shown, now.painted)

    def means(self) -> dict:
        """The sums for people: what belongs to compared frames as their mean, None where there are none."""
        facts = dataclasses.asdict(self)
        compared = facts.pop("compared")
        return facts | {name: facts[name] / compared if compared else None for name in ("unsteadiness", "unsteadiness_alone", "detail")}


def paint_film(
    reader: FrameReader, writer: FrameWriter, painter: FramePainter, folder: Path, made_of: str, is_resumed: bool = False, label: str = "film"
) -> dict:
    """Paints all frames that a reader gives and has them written.

    Args:
      reader, writer, painter: FrameReader, FrameWriter, FramePainter.
      folder: for what is needed to go on; it is removed at the end.
      made_of: says what decides the film; what is left of another is not gone on with.
      is_resumed: whether to go on with what is left in the folder.
      label: of the progress bar.

    Returns:
      dict with "frames" and what Tally.means tells.

    Raises:
      DataError: there is no frame, or none can be read any more.
      StorageError: something could not be written.
    """
    with sole_process(folder):
        done = _Done(folder, f"{made_of} {_version()}", is_resumed)
        with progress_bar(label, reader.count, done.frames) as bar:
            frames = HeldFrames(reader.frames(done.frames), painter, done.tally, done.held())
            while not frames.is_at_end:
                written = _Written()
                writer.write_part(len(done.parts), written.watch(frames.part(), bar))
                done.add(written.part, frames.held)
        if not done.parts:
            folder.rmdir()
            raise DataError(f"{reader.path} has no frame that can be painted")
        writer.join(done.parts)
        facts = {"frames": done.frames, **done.tally.means()}
        shutil.rmtree(folder, ignore_errors=True)
    return facts


class HeldFrames:
    """The painted frames of a film, held together where OpenCV is installed.

    Args:
      frames: of the film, from the one on with which it goes on.
      painter: FramePainter.
      tally: in which they are counted.
      held: what the first of them follows from; None = it begins a scene.

    Attributes:
      is_at_end: whether there are no more.
      held: what the next frame would follow from.
    """

    def __init__(self, frames: Iterator[Frame], painter: FramePainter, tally: Tally, held: Held | None = None):
        self._frames, self._painter, self._tally, self.held = frames, painter, tally, held
        if held:
            painter.begin(held.opening)
        self._look()

    @property
    def is_at_end(self) -> bool:
        return self._next is None

    def part(self) -> Iterator[Frame]:
        """Yields painted frames to the end of the scene, or PART_FRAMES of it."""
        for number in range(PART_FRAMES):
            if self._next is None or (number and self._is_beginning):
                return
            started = time.monotonic()
            painted = self._paint(self._next)
            self._tally.seconds += time.monotonic() - started
            yield painted
            self._look()

    def _look(self):
        """Takes the next frame up, and looks whether a scene begins with it."""
        self._next, self._motion = next(self._frames, None), None
        if self._next is None:
            return
        photo, before = self._next.pixels, self.held
        self._is_beginning = before is None or before.photo.shape != photo.shape
        if not self._is_beginning and has_flow():
            self._motion = motion_between(before.photo, photo)
            self._is_beginning = is_cut(before.photo, photo, self._motion)

    def _paint(self, frame):
        photo, before = frame.pixels, self.held
        if self._is_beginning:
            self._painter.begin(photo)
            self._tally.scenes += 1
        painted = self._painter.paint(photo)
        if self._is_beginning or self._motion is None:
            opening = photo if self._is_beginning else before.opening
            self.held = dataclasses.replace(Held.begin(photo, painted), opening=opening)
        else:
            self.held = before.follow(photo, painted, self._motion)
            self._tally.compare(before, self.held, self._motion)
        return frame._replace(pixels=self._painter.finish(photo, self.held.shown))


class _Written:
    """Counts the frames that pass on their way to being written."""

    def __init__(self):
        self._count, self._start, self._end = 0, Fraction(0), Fraction(0)

    def watch(self, frames, bar):
        for frame in frames:
            self._start = self._start if self._count else frame.start
            self._count, self._end = self._count + 1, frame.start + frame.seconds
            yield frame
            bar.advance()

    @property
    def part(self):
        return Part(self._count, self._start, self._end)


class _Done:
    """What is finished of a film, as the folder keeps it: after each part its facts and the last frame."""

    def __init__(self, folder, made_of, is_resumed):
        self._folder, self._made_of = folder, made_of
        self.parts: list[Part] = []
        self.tally = Tally()
        if not is_resumed or not self._is_read():
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    @property
    def frames(self):
        return sum(part.frames for part in self.parts)

    def held(self):
        """The Held that the next frame follows from, or None at the beginning."""
        return Held.load(self._last(len(self.parts))) if self.parts else None

    def add(self, part, held):
        """Keeps a part: a process that is killed at any moment leaves the state before it or the one after."""
        held.save(self._last(len(self.parts) + 1))
        self.parts.append(part)
        parts = [{"frames": part.frames, "start": str(part.start), "end": str(part.end)} for part in self.parts]
        write_json(self._folder / "film.json", {"made_of": self._made_of, "parts": parts, "tally": dataclasses.asdict(self.tally)})
        self._last(len(self.parts) - 1).unlink(missing_ok=True)

    def _is_read(self):
        """Whether there was a part of this very film, and was read."""
        try:
            facts = read_json(self._folder / "film.json", _KINDS)
            parts = [Part(part["frames"], Fraction(part["start"]), Fraction(part["end"])) for part in facts["parts"]]
            tally = Tally(**facts["tally"])
        except (FileError, ValueError, TypeError, ZeroDivisionError):
            return False
        if facts["made_of"] != self._made_of:
            return False
        self.parts, self.tally = parts, tally
        return True

    def _last(self, number):
        return self._folder / f"last-{number:05d}.npz"


def _version():
    """Parts of one film are encoded by one version of PyAV."""
    try:
        return importlib.metadata.version("av")
    except importlib.metadata.PackageNotFoundError:
        return ""
