"""What an image file holds beside its RGB pixels: transparency, colour profile, format, frames.

`decoding` makes the pixels; this is for applications that write a picture back as it came.
"""

import contextlib
import io
import re
import typing
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfvision.data.decoding import check_photo, decode_photo, read_encoded, upright
from tfvision.data.image_formats import formats
from tfvision.data.photo_files import walk_photos
from tfvision.errors import DataError

_ANIMATIONS = ("GIF", "WEBP", "PNG")  # a TIFF has pages, and an MPO two views: no frames
_DEFAULT_FRAME_SECONDS = 0.1  # what browsers take for "as fast as you can"


class PictureFile(typing.NamedTuple):
    """A decoded image file.

    Attributes:
      pixels: uint8 RGB [height, width, 3], upright; transparent parts lie on white.
      alpha: uint8 [height, width], upright; None where nothing is transparent.
      profile: its ICC profile where that speaks of RGB, else None.
      format: "JPEG", "PNG", "TIFF", "GIF", ...
      frames: 1, or how many an animation has.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None
    profile: bytes | None
    format: str
    frames: int


def read_picture_file(path: Path | str) -> PictureFile:
    """Reads an image file with all that it holds; of an animation the pixels of its first frame. Raises DataError."""
    return picture_file_of(read_encoded(path), path)


def picture_file_of(encoded: bytes, name: Path | str) -> PictureFile:
    """As `read_picture_file`, of the bytes of a file that is called `name`."""
    photo = check_photo(encoded, name)
    pixels = decode_photo(photo, name=name)
    with _opened(encoded, name) as image:
        return PictureFile(pixels, _alpha(image, photo.orientation), _rgb_profile(image), _format(image), _frames(image))


def format_and_frames(path: Path | str) -> tuple[str, int]:
    """(format, number of frames) as of PictureFile, from the header alone. Raises DataError."""
    encoded = read_encoded(path)
    check_photo(encoded, path)
    with _opened(encoded, path) as image:
        return _format(image), _frames(image)


def read_frames(path: Path | str) -> Iterator[tuple[np.ndarray, float]]:
    """Yields the frames of an animation one at a time: (uint8 RGB [height, width, 3], seconds that it is shown).

    Raises:
      DataError: a frame that cannot be read.
    """
    encoded = read_encoded(path)
    orientation = check_photo(encoded, path).orientation  # refuses what is too large
    with _opened(encoded, path) as image:
        for number in range(_frames(image)):
            image.seek(number)
            pixels = upright(_on_white(image), orientation)
            seconds = (image.info.get("duration") or 0) / 1000  # known to Pillow only now, of a WebP
            yield np.ascontiguousarray(pixels), seconds or _DEFAULT_FRAME_SECONDS


def photos_of_folder(folder: Path | str) -> list[Path]:
    """The image files in a folder itself, numbers in their names counted as people count: frame 9 before frame 10.

    Returns:
      List of paths.

    Raises:
      DataError: there are none.
    """
    return [Path(folder, name) for name in sorted(walk_photos(folder, is_deep=False).names, key=lambda name: (_counted(name), name))]


def _counted(name):
    return [int(part) if part.isdecimal() else part.lower() for part in re.split(r"(\d+)", name)]


@contextlib.contextmanager
def _opened(encoded, name):
    """A file's bytes as Pillow opens them; its errors become a DataError."""
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(encoded), formats=formats()) as image:
            yield image
    except DataError:
        raise
    except Exception as error:  # Pillow's plug-ins raise whatever a broken file leads them to
        raise DataError(f"{name} is damaged: {str(error).splitlines()[0][:120] if str(error) else type(error).__name__}") from error


def _format(image):
    return "JPEG" if image.format == "MPO" else image.format


def _frames(image):
    return getattr(image, "n_frames", 1) if image.format in _ANIMATIONS else 1


def _rgb_profile(image):
    profile = image.info.get("icc_profile")
    return profile if profile and profile[16:20] == b"RGB " else None  # the colour space in an ICC header


def _alpha(image, orientation):
    if image.mode not in ("RGBA", "LA", "PA", "RGBa", "La") and "transparency" not in image.info:
        return None
    alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    return None if alpha.min(initial=255) == 255 else np.ascontiguousarray(upright(alpha[..., None], orientation)[..., 0])


def _on_white(image):
    import PIL.Image

    layer = image.convert("RGBA")
    white = PIL.Image.new("RGBA", layer.size, "white")
    white.alpha_composite(layer)
    return np.asarray(white.convert("RGB"))
