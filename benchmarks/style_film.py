"""How steady a film is that is painted frame by frame and held together by optical flow, and what that costs.

    python benchmarks/style_film.py PHOTOS PAINTING... --module FOLDER [--size 256 --size 384]

The film is made of photos of the folder PHOTOS, for want of a real one: a pan with a thing that flies through it, a cut, a zoom with a turn, both with
sensor noise. Content and textures are photographic, motion is known and smooth; nothing is blurred by motion, and nobody walks.
The error is that of the frame before, moved along by the flow of the photos, where that is valid (tfvision/apps/style/flow.py): of the
held film, and of the same frames each painted by itself. Seconds are the processor's, all cores together. Detail is the strength of what a
Gaussian of 2 px takes away, held beside fresh: below 1 steadiness would be won by blur.
"""

import os
import tempfile
import time
from pathlib import Path

import click

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

_RATE = 24
_NOISE_LEVELS = 2.0


def views(photo, count, height, width, ways, angle):
    """Photos of a camera that moves over a picture: from (x, y, zoom) to (x, y, zoom), the first two as shares, and turns by an angle in degrees."""
    import cv2
    import numpy as np

    fit = 1.6 * max(width / photo.shape[1], height / photo.shape[0])
    photo = cv2.resize(photo, None, fx=fit, fy=fit, interpolation=cv2.INTER_AREA)  # else fine texture would flicker in the film itself
    for number in range(count):
        share = number / max(1, count - 1)
        x, y, zoom = np.array(ways[0]) + share * (np.array(ways[1]) - ways[0])
        centre = x * photo.shape[1], y * photo.shape[0]
        turn = cv2.getRotationMatrix2D(centre, angle * share, zoom)
        turn[:, 2] += np.array([width / 2, height / 2]) - centre
        yield share, cv2.warpAffine(photo, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT).astype(np.float32)


def frames_of(photos, count, height, width):
    """The film: `count` frames of each of two scenes, uint8 [height, width, 3]."""
    import cv2
    import numpy as np

    random = np.random.default_rng(0)
    side = height // 3
    thing = cv2.resize(photos[2], (side, side), interpolation=cv2.INTER_AREA)
    y, x = np.indices((side, side)) - side / 2
    shape = cv2.GaussianBlur((np.hypot(x, y) < side / 2 - 2).astype(np.float32), (0, 0), 1)[..., None]
    for share, view in views(photos[0], count, height, width, ((0.38, 0.5, 1.0), (0.6, 0.5, 1.2)), 0):
        left, top = int((0.05 + 0.6 * share) * width), int(height * (0.45 + 0.1 * np.sin(6 * share)))
        under = view[top : top + side, left : left + side]
        under += shape * (thing - under)
        yield _with_noise(view, random)
    for _, view in views(photos[1], count, height, width, ((0.5, 0.45, 1.0), (0.5, 0.55, 1.5)), 4):
        yield _with_noise(view, random)


def write_film(path, photos, count, height, width):
    """Writes the film, silent."""
    import shutil
    from fractions import Fraction

    from tfvision.data.film import FilmWriter
    from tfvision.data.frames import Frame, Part

    folder, seconds = path.with_suffix(".frames"), Fraction(1, _RATE)
    writer = FilmWriter(path, folder)
    frames = (Frame(pixels, number * seconds, seconds) for number, pixels in enumerate(frames_of(photos, count, height, width)))
    writer.write_part(0, frames)
    writer.join([Part(2 * count, Fraction(0), 2 * count * seconds)])
    shutil.rmtree(folder)


@click.command()
@click.argument("photos", type=click.Path(exists=True, file_okay=False))
@click.argument("paintings", nargs=-1, required=True)
@click.option("--module", default="", help="The network, as of `tfvision stylize --preset fast`.")
@click.option("--size", "sizes", multiple=True, type=int, default=(256, 384), show_default=True)
@click.option("--frames", "count", default=24, show_default=True, help="Of each of the two scenes.")
@click.option("--keep", type=click.Path(file_okay=False), help="Keep the films and a sheet of frames in this folder: photo, by itself, held.")
def main(photos, paintings, module, sizes, count, keep):
    """Print a table: seconds a frame and those of the network alone, errors held and not and their ratio, detail, scenes found."""
    import PIL.Image

    from tfvision.apps.style.film_painter import FastPainter
    from tfvision.apps.style.sidecar import StyleJob
    from tfvision.data.decoding import read_pixels
    from tfvision.data.picture_file import photos_of_folder

    names = {path.stem: path for path in photos_of_folder(photos)}
    chosen = [names.get(name, path) for name, path in zip(("golden_gate", "tubingen", "sailboat"), names.values(), strict=False)]
    pictures = [read_pixels(path) for path in chosen]
    print(f"film of {', '.join(path.name for path in chosen)}: {2 * count} frames, 2 scenes")
    print(f"{'painting':<16}{'px':>5}{'s a frame':>11}{'network':>10}{'held':>8}{'alone':>8}{'ratio':>7}{'detail':>8}{'scenes':>8}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(keep or scratch)
        for size in sizes:
            film = folder / f"film-{size}.mp4"
            write_film(film, pictures, count, size * 2 // 3, size)
            for painting in paintings:
                job = StyleJob(str(film), (painting,), is_fast=True, module=module)
                painter = _Kept(FastPainter(job, [read_pixels(painting)]))
                facts, seconds = _painted(film, folder / f"{Path(painting).stem}-{size}.mp4", painter, size)
                held, alone = facts["unsteadiness"], facts["unsteadiness_alone"]
                print(
                    f"{Path(painting).stem:<16}{size:>5}{seconds / facts['frames']:>11.2f}{painter.seconds / facts['frames']:>10.2f}{held:>8.2f}{alone:>8.2f}"
                    f"{held / alone:>7.2f}{facts['detail']:>8.2f}{facts['scenes']:>8}",
                    flush=True,
                )
                if keep:
                    PIL.Image.fromarray(painter.sheet(6)).save(folder / f"{Path(painting).stem}-{size}.png")


def _painted(film, out, painter, size):
    """(facts, seconds) of a film, as `tfvision stylize` makes it."""
    from tfvision.apps.style.film import paint_film
    from tfvision.apps.style.frame_writers import frame_reader, frame_writer

    folder, reader = out.with_suffix(".frames"), frame_reader(film, size)
    started = time.process_time()
    facts = paint_film(reader, frame_writer(out, folder, reader), painter, folder, "")
    return facts, time.process_time() - started


class _Kept:
    """A painter that counts the network's seconds and keeps what it painted, for a sheet."""

    def __init__(self, painter):
        self._painter, self.seconds, self._rows = painter, 0.0, []

    def begin(self, photo):
        self._painter.begin(photo)

    def paint(self, photo):
        started = time.process_time()
        self._fresh = self._painter.paint(photo)
        self.seconds += time.process_time() - started
        return self._fresh

    def finish(self, photo, picture):
        shown = self._painter.finish(photo, picture)
        self._rows.append((photo, self._fresh, shown))
        return shown

    def sheet(self, columns):
        """Every nth frame: the photo, painted by itself, held."""
        import numpy as np

        step = max(1, len(self._rows) // columns)
        return np.concatenate([np.concatenate(row, axis=0) for row in self._rows[step - 1 :: step][:columns]], axis=1)


def _with_noise(view, random):
    import numpy as np

    return (view + random.normal(0, _NOISE_LEVELS, view.shape)).round().clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
