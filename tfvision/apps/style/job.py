"""Stylizing files: a photo, a folder of photos, a film, an animation or a folder of frames in; pictures and their records out.

Beside OUT lie OUT.json (its record), and for a while OUT.state.npz (an interrupted run's state) and OUT.frames/ (those of
a film or an animation). An optimised frame starts from the last one, moved along with the photo, and is held to it where the photo
stayed; those of a fast network are held together by `film`.
"""

import dataclasses
import functools
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tfvision.apps.style.flow import has_flow, moved_along
from tfvision.apps.style.frame_writers import frame_reader, frame_writer
from tfvision.apps.style.growth import Growth
from tfvision.apps.style.pictures import (
    ANIMATION_FORMATS,
    FORMATS,
    MOVING_FORMATS,
    check_film_suffix,
    check_suffix,
    film_suffix_for,
    finished,
    grey,
    in_colours,
    read_mask,
    suffix_for,
    write_picture,
)
from tfvision.apps.style.presets import with_strength
from tfvision.apps.style.sidecar import StyleJob, identity, made_before, sha256_of, write_sidecar
from tfvision.apps.style.watch import Watch
from tfvision.data.film import NEEDS_VIDEO, is_film_name
from tfvision.data.frames import Part
from tfvision.data.picture_file import format_and_frames, photos_of_folder, read_picture_file
from tfvision.data.resizing import resized
from tfvision.errors import DataError, RecipeError
from tfvision.models.vgg19 import SMALLEST_SIZE

COLOURS = ("", "luminance", "histogram")
_FILM_FACTS = ("frames", "scenes", "unsteadiness", "unsteadiness_alone", "detail")
_NO_PIXELS = np.zeros((0, 0, 3), np.uint8)
_LONGEST_NAME = 100
_PART = re.compile(r"film\.json|last-\d+\.npz|\d+\.(mp4|npz)|photo|picture|\..*")  # what may lie in OUT.frames/
_TOLD_FROM = 2  # times that a picture is enlarged


@dataclasses.dataclass(frozen=True)
class StudioOptions:
    """How the pictures of a job are made.

    Attributes:
      is_frames: whether the photos of a folder follow each other in time.
      save_every: iterations between the pictures kept on the way, in OUT.steps/; 0 = none.
      is_resumed: whether to keep what an interrupted run of the same job has made, and go on.
      command: as it was typed, for the record.
      preview: where pictures are shown while they grow.
    """

    is_frames: bool = False
    save_every: int = 0
    is_resumed: bool = False
    command: str = ""
    preview: Growth | None = None


DEFAULT_OPTIONS = StudioOptions()


def stylize_files(job: StyleJob, out: str | Path | None = None, options: StudioOptions = DEFAULT_OPTIONS) -> Iterator[dict]:
    """Makes the pictures of a job, one at a time.

    Args:
      job: StyleJob.
      out: path of the picture, or of a folder where the photo is one; None = named after photo and paintings.
      options: StudioOptions.

    Yields:
      dict with "output", "iterations", "content_loss", "style_loss" and "seconds"; or "photo" and "error" of a photo
      of a folder that cannot be made.

    Raises:
      DataError, RecipeError, WeightsError, RunError, StorageError: the job cannot be done at all.
    """
    studio = Studio(job, options)
    photo = Path(job.photo)
    if photo.is_dir():
        folder = _output_folder(job, out)
        yield from studio.make_film(folder) if job.is_fast and options.is_frames else studio.make_folder(photos_of_folder(photo), folder)
        return
    if options.is_frames:
        raise DataError(f"--frames needs a folder of frames, got {photo}")
    output = _output_file(job, out)
    if output.suffix.lower() in MOVING_FORMATS:
        yield from studio.make_film(output)
    else:
        yield studio.make(photo, output)


class Studio:
    """Makes the pictures of one job.

    Args:
      job: StyleJob.
      options: StudioOptions.

    Raises:
      DataError: a painting that cannot be read.
      RecipeError: masks, blend or colours that do not fit.
    """

    def __init__(self, job: StyleJob, options: StudioOptions = DEFAULT_OPTIONS):
        _check(job)
        self._job, self._options = job, options
        self._paintings = [_read_painting(path) for path in job.paintings]

    def make(self, photo: Path, output: Path, label: str = "", after: tuple[Path, Path] | None = None) -> dict:
        """Makes the picture of one photo: a dict as `stylize_files` yields.

        Args:
          photo, output: paths.
          label: of the progress bar; "" = the photo's name.
          after: (photo, picture) of the frame before, paths, or None.
        """
        job = dataclasses.replace(self._job, photo=str(photo))
        frame = {"after": sha256_of(after[1])} if after else None
        before = made_before(output, job, frame) if self._options.is_resumed else None
        if before:
            return result_of(output, before)
        _warn_of_twins(job)
        source = read_picture_file(photo)
        self._tell_of_enlarging(photo, source)
        try:
            made = self._paint(job, source, output, label or Path(photo).name, after)
        except DataError as error:
            raise DataError(f"{photo}: {error}") from error
        write_picture(output, made.picture, source.alpha, source.profile)
        height, width = made.picture.shape[:2]
        write_sidecar(output, job, {**made.facts, "height": height, "width": width}, self._options.command, frame)
        if self._options.preview:
            self._options.preview.finish(output, made.picture)
        return result_of(output, made.facts)

    def make_folder(self, photos: Sequence[Path], folder: Path) -> Iterator[dict]:
        """Yields the dicts of a folder's photos; frames, in order, follow from each other."""
        after, taken = None, set[str]()
        for number, photo in enumerate(photos, 1):
            try:
                output = _output_in(folder, photo, taken, self._options.is_frames)
                _refuse_inputs(self._job, output)
                if output.suffix in ANIMATION_FORMATS:
                    yield from Studio(dataclasses.replace(self._job, photo=str(photo)), self._options).make_film(output)
                    continue
                yield self.make(photo, output, f"{number} of {len(photos)}, {photo.name}", after)
            except DataError as error:
                yield {"photo": str(photo), "error": str(error)}
                continue
            if self._options.is_frames:
                after = photo, output

    def make_film(self, output: Path) -> Iterator[dict]:
        """Makes a film, an animation or a folder of frames: yields a dict as of one picture, and those of frames that could not be read."""
        before = made_before(output, self._job) if self._options.is_resumed and not output.is_dir() else None
        if before:
            yield result_of(output, before)
            return
        if self._options.preview and self._job.is_fast:
            print("--preview shows pictures that grow: frames of a film are painted at once", file=sys.stderr)
        folder = _working_folder(self._job, output)
        reader = frame_reader(Path(self._job.photo), self._job.preset.size)
        writer = frame_writer(output, folder, reader)
        facts = (self._make_held if self._job.is_fast else self._make_each)(reader, writer, folder)
        if not output.is_dir():
            write_sidecar(output, self._job, facts, self._options.command)
        yield result_of(output, facts)
        yield from ({"photo": photo, "error": error} for photo, error in reader.faults)

    def _make_held(self, reader, writer, folder):
        """The facts of a film by a fast network."""
        from tfvision.apps.style.film import paint_film
        from tfvision.apps.style.film_painter import FastPainter

        if not has_flow():
            print(f"the frames of {reader.path} are painted each by itself and will flicker: {NEEDS_VIDEO}", file=sys.stderr)
        painter = FastPainter(self._job, [painting.pixels for painting in self._paintings])
        facts = paint_film(reader, writer, painter, folder, identity(self._job), self._options.is_resumed, Path(self._job.photo).name)
        return {**facts, "iterations": facts["frames"], "content_loss": None, "style_loss": None}

    def _make_each(self, reader, writer, folder):
        """The facts of a film by the optimiser, by way of its frames as files."""
        if not self._options.is_resumed:
            shutil.rmtree(folder, ignore_errors=True)
        frames = _extract(reader, folder / "photo")
        studio = Studio(self._job, dataclasses.replace(self._options, is_frames=True, is_resumed=True))
        results = list(studio.make_folder([folder / "photo" / frame.name for frame in frames], folder / "picture"))
        for result in results:
            if "error" in result:
                raise DataError(f"{self._job.photo}: a frame could not be made ({result['error']})")
        pictures = (frame._replace(pixels=read_picture_file(result["output"]).pixels) for frame, result in zip(frames, results, strict=True))
        writer.write_part(0, pictures)
        writer.join([Part(len(frames), frames[0].start, frames[-1].start + frames[-1].seconds)])
        shutil.rmtree(folder, ignore_errors=True)
        facts = {name: sum(result[name] for result in results) for name in ("iterations", "seconds")}
        facts |= {name: float(np.mean([result[name] for result in results])) for name in ("content_loss", "style_loss")}
        return {**facts, "frames": len(results)}

    def _tell_of_enlarging(self, photo, source):
        size, scale = self._job.preset.size, self._job.preset.painting_scale
        paintings = [] if self._job.is_fast else zip(self._job.paintings, self._paintings, strict=True)
        for path, file, longer in [(photo, source, size), *((path, painting, size * scale) for path, painting in paintings)]:
            height, width = file.pixels.shape[:2]
            if longer > _TOLD_FROM * max(height, width):
                _tell(f"{path} has {width} x {height} pixels and is enlarged to {longer:.0f}: finer detail than its own is not to be had")

    def _paint(self, job, source, output, label, after):
        """The Stylization of a photo in the job's colours."""
        masks = _masks(job, source.pixels)
        photo, paintings = in_colours(job.colour, source, self._paintings)
        if self._options.preview:
            self._options.preview.begin(Path(job.photo).name, [source.pixels, *(p.pixels for p in self._paintings)])
        made = self._render(job, photo, paintings, masks, output, label, _last_frame(job, photo, after))
        return dataclasses.replace(made, picture=finished(job.colour, made.picture, source.pixels, None if job.is_fast else masks))

    def _render(self, job, photo, paintings, masks, output, label, previous):
        if job.is_fast:
            from tfvision.apps.style.fast import stylize_fast

            given = {"blend": job.blend or None, "strength": job.strength, "masks": masks, "painting_scale": job.preset.painting_scale}
            return stylize_fast(photo, paintings, job.module, job.preset.size, **given)
        from tfvision.apps.style.stylization import stylize

        initial, preset = None, with_strength(job.preset, job.strength)
        if previous:  # from where the last frame ended, no coarse scale is of use
            initial, preset = _moved(photo, *previous), dataclasses.replace(preset, scales=())
        with Watch(label, self._options.preview, f"{output}.steps", self._options.save_every) as watch:
            return stylize(
                photo,
                paintings,
                preset,
                weights=job.blend or None,
                masks=masks,
                initial=initial,
                previous=previous,
                on_iteration=watch,
                state_path=state_path(output, self._options.is_resumed),
            )


def result_of(output: Path, facts: dict) -> dict:
    """What is told of a picture: its path, iterations, losses and seconds; of a film also what holds its frames together."""
    told = {name: facts[name] for name in ("iterations", "content_loss", "style_loss", "seconds")}
    return {"output": str(output), **told, **{name: facts[name] for name in _FILM_FACTS if name in facts}}


def state_path(output: Path, is_resumed: bool) -> Path:
    """Where the state of a picture in the making lies; unless it is gone on with, what is left of an earlier one goes."""
    path = Path(f"{output}.state.npz")
    if not is_resumed:
        path.unlink(missing_ok=True)
    return path


def _check(job):
    count = len(job.paintings)
    if not count:
        raise RecipeError("give a painting: tfvision stylize PHOTO PAINTING")
    if job.colour not in COLOURS:
        raise RecipeError(f"colour must be one of {', '.join(map(repr, COLOURS))}, got {job.colour!r}")
    if job.masks and len(job.masks) != count:
        raise RecipeError(f"give one --mask a painting: {count} paintings, {len(job.masks)} masks")
    if job.blend and job.masks:
        raise RecipeError("--blend and --mask cannot go together: masks say where each painting rules")
    if job.blend and len(job.blend) != count:
        raise RecipeError(f"--blend must be {count} numbers, one a painting, got {','.join(map(str, job.blend))}")
    if job.module and not job.is_fast:
        raise RecipeError("--module is a network of --preset fast: add that, or leave --module out")
    if not 0 <= job.strength <= 1:
        raise RecipeError(f"--strength must lie between 0 (the photo) and 1 (the painting's manner), got {job.strength}")
    for path in (*job.paintings, *job.masks):
        if Path(path).is_dir():
            raise DataError(f"{path} is a folder: a painting or a mask is one file")


def _read_painting(path):
    painting = read_picture_file(path)
    height, width = painting.pixels.shape[:2]
    if min(height, width) < SMALLEST_SIZE:
        raise DataError(f"{path} is {width} x {height} pixels: a painting needs {SMALLEST_SIZE} on each side")
    return painting


@functools.cache
def _tell(line):
    """Says it once, of whatever many pictures of a folder."""
    print(line, file=sys.stderr)


def _warn_of_twins(job):
    twins = [path for path in job.paintings if sha256_of(path) == sha256_of(job.photo)]
    if twins:
        print(f"warning: {job.photo} is the painting as well: the picture will look like it", file=sys.stderr)


def _masks(job, photo):
    """float32 [height, width] of each painting, or None."""
    return [read_mask(path, *photo.shape[:2]) for path in job.masks] if job.masks else None


def _last_frame(job, photo, after):
    """(picture, photo) of the frame before in the colours that are painted with, moved along where OpenCV is installed, or ()."""
    if not after:
        return ()
    last_photo, last_picture = (read_picture_file(path).pixels for path in after)
    last_photo = resized(last_photo, *photo.shape[:2])
    if job.colour == "luminance":
        last_picture, last_photo = grey(last_picture), grey(last_photo)
    return moved_along(last_picture, last_photo, photo) if has_flow() else (last_picture, last_photo)


def _moved(photo, last_picture, last_photo):
    """The last picture with what has changed in the photo since."""
    height, width = last_picture.shape[:2]
    change = resized(photo, height, width).astype(np.int16) - resized(last_photo, height, width)
    return (last_picture + change).clip(0, 255).astype(np.uint8)


def _extract(reader, folder):
    """The frames of a film as PNG files: Frames with their names, and without their pixels."""
    frames = []
    for number, frame in enumerate(reader.frames(), 1):
        frames.append(frame._replace(pixels=_NO_PIXELS, name=f"{number:05d}.png"))
        write_picture(folder / frames[-1].name, frame.pixels)
    return frames


def _paintings_name(job):
    return "-".join(Path(painting).stem for painting in job.paintings)


def _output_file(job, out):
    """Where the picture of a single photo goes, or the film of a film. Raises DataError."""
    is_film = is_film_name(job.photo)
    format, frames = ("FILM", 1) if is_film else format_and_frames(job.photo)
    suffix = film_suffix_for(job.photo) if is_film else suffix_for(format, frames > 1)
    name = f"{Path(job.photo).stem}-{_paintings_name(job)}"[:_LONGEST_NAME] + suffix
    output = Path(out or name)
    output = output / name if output.is_dir() else output
    check_film_suffix(output) if is_film else check_suffix(output, is_animation=frames > 1)
    if frames > 1 and output.suffix.lower() in FORMATS:
        print(f"{job.photo} has {frames} frames, the first is taken: --out with .gif or .webp takes all", file=sys.stderr)
    _refuse_inputs(job, output)
    return output


def _output_folder(job, out):
    folder = Path(out or f"{Path(job.photo).resolve().name}-{_paintings_name(job)}"[:_LONGEST_NAME])
    if (folder.exists() and not folder.is_dir()) or folder.suffix.lower() in (*FORMATS, *ANIMATION_FORMATS):
        raise DataError(f"{job.photo} is a folder, so --out must be one too, got {folder}")
    if folder.resolve() == Path(job.photo).resolve():
        raise DataError(f"--out is the folder of the photos themselves, {folder}: give another one")
    return folder


def _working_folder(job, output):
    """OUT.frames/, for the parts of a film. Raises DataError where it is the frames themselves, or holds anything that no film has left there."""
    folder = Path(f"{output}.frames")
    strange = [path.name for path in folder.iterdir() if not _PART.fullmatch(path.name)] if folder.is_dir() else []
    if strange or folder.resolve() == Path(job.photo).resolve() or (folder.exists() and not folder.is_dir()):
        holds = f" ({', '.join(sorted(strange)[:3])})" if strange else ""
        raise DataError(f"{folder} is where the parts of the film would lie, and holds something else{holds}: give another --out")
    inside = [path for path in (*job.paintings, *job.masks) if output.is_dir() and Path(path).resolve().parent == output.resolve()]
    if inside:
        raise DataError(f"--out is the folder of {inside[0]}, which a frame might overwrite: give another one")
    return folder


def _output_in(folder, photo, taken, is_frame):
    """Where the picture of one photo of a folder goes: its own name, and the whole of it where two would clash."""
    format, frames = format_and_frames(photo)
    suffix = suffix_for(format, frames > 1 and not is_frame)
    name = photo.stem + suffix
    name = photo.name + suffix if name in taken else name
    taken.add(name)
    return folder / name


def _refuse_inputs(job, output):
    for path in (job.photo, *job.paintings, *job.masks):
        if output.exists() and os.path.exists(path) and os.path.samefile(path, output):
            raise DataError(f"--out would overwrite {path}: give another name")
