"""What a studio is given: photos and paintings as bytes, checked, with a small copy to look at; and masks that were painted on the page."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from tfvision.apps.style.pictures import encoded_picture, luminance, mask_of, shown_jpeg
from tfvision.data.decoding import check_photo, decode_photo, opened_header
from tfvision.data.image_formats import is_raw_name
from tfvision.data.photo_files import printable
from tfvision.data.picture_file import PictureFile, picture_file_of
from tfvision.data.resizing import fitted_size, resized
from tfvision.errors import DataError
from tfvision.models.vgg19 import SMALLEST_SIZE

MOST_PIXELS = 60_000_000
SEEN_PX = 1024  # longer side of the copy that is looked at, and that the quick result is made of
_MASK_PX = 2048
_LEAST_CONTRAST = 2.0  # standard deviation in grey levels: below it a painting has one colour
_LONGEST_NAME = 80
_JPEG_RATIOS = (8, 4, 2, 1)


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """A photo or a painting.

    Attributes:
      name: of its file, fit to be a file's name anywhere.
      encoded: the file's bytes.
      height, width: of the whole picture, upright.
      seen: uint8 RGB of at most SEEN_PX on its longer side.
    """

    name: str
    encoded: bytes
    height: int
    width: int
    seen: np.ndarray

    @functools.cached_property
    def is_plain(self) -> bool:
        """Whether it has one colour, and so no strokes to take."""
        return bool(self.seen.reshape(-1, 3).std(axis=0).max() < _LEAST_CONTRAST)

    @functools.cached_property
    def shown(self) -> bytes:
        """A JPEG for the page."""
        return shown_jpeg(self.seen, SEEN_PX)

    def whole(self) -> PictureFile:
        """The picture as `stylize` reads it from a file."""
        return picture_file_of(self.encoded, self.name)

    def small(self, longer: int) -> PictureFile:
        """The picture with at most so many pixels on its longer side, quickly."""
        height, width = self.seen.shape[:2]
        pixels = resized(self.seen, *fitted_size(height, width, longer)) if longer < max(height, width) else self.seen
        return PictureFile(pixels, None, None, "PNG", 1)


def read_picture(encoded: bytes, name: str, what: str = "photo") -> Picture:
    """A Picture of a file that was sent.

    Args:
      encoded: bytes from anywhere.
      name: that the sender gave it.
      what: "photo" or "painting".

    Raises:
      DataError: no picture, too small or too large.
    """
    name = _file_name(name, what)
    if is_raw_name(name):
        raise DataError(f"{name} is a camera's raw file, of which the studio would see the thumbnail: give a JPEG or TIFF of it, or use `tfvision stylize`")
    with opened_header(encoded, name) as header:  # before anything is decoded
        height, width = header.height, header.width
    if height * width > MOST_PIXELS:
        raise DataError(f"{name} has {height * width / 1e6:.0f} million pixels, the studio takes {MOST_PIXELS // 10**6}: scale it down")
    photo = check_photo(encoded, name)
    if min(photo.height, photo.width) < SMALLEST_SIZE:
        raise DataError(f"{name} is {photo.width} x {photo.height} pixels: a {what} needs {SMALLEST_SIZE} on each side")
    longer = max(photo.height, photo.width)
    pixels = decode_photo(photo, next(ratio for ratio in _JPEG_RATIOS if longer / ratio >= SEEN_PX or ratio == 1), name)
    seen = resized(pixels, *fitted_size(photo.height, photo.width, min(SEEN_PX, longer)))
    if min(seen.shape[:2]) < SMALLEST_SIZE:
        raise DataError(f"{name} is {photo.width} x {photo.height} pixels, too narrow: cut a part out of it")
    return Picture(name, encoded, photo.height, photo.width, seen)


def read_mask_png(encoded: bytes, photo: Picture) -> np.ndarray | None:
    """A mask that was painted on the page, uint8 [height, width], white where a painting rules; None where it is black all over.

    Raises:
      DataError: no picture, of another shape than the photo, or larger than a page's.
    """
    with opened_header(encoded, "the mask") as header:
        height, width = header.height, header.width
    if max(height, width) > _MASK_PX:
        raise DataError(f"the mask is {width} x {height} pixels, the studio takes {_MASK_PX} on a side")
    pixels = decode_photo(check_photo(encoded, "the mask"), name="the mask")
    mask_of(pixels, "the mask", photo.height, photo.width)  # which refuses another shape
    mask = luminance(pixels).round().astype(np.uint8)
    return mask if mask.any() else None


def rules_of(masks: Sequence[np.ndarray | None]) -> list[np.ndarray] | None:
    """The masks of all paintings, uint8 of one shape: those without share what the others leave. None where none has one.

    Args:
      masks: uint8 [height, width] or None, one a painting.
    """
    painted = [mask for mask in masks if mask is not None]
    if not painted:
        return None
    shape = painted[0].shape
    same = [None if mask is None else resized(mask, *shape) for mask in masks]
    rest = 255 - np.clip(sum(mask.astype(np.int32) for mask in same if mask is not None), 0, 255).astype(np.uint8)
    return [rest if mask is None else mask for mask in same]


def mask_png(mask: np.ndarray) -> bytes:
    """A mask uint8 [height, width] as the PNG that `stylize --mask` reads."""
    return encoded_picture("PNG", np.repeat(mask[..., None], 3, axis=-1))


def _file_name(name, what):
    """The last part of a name, without what a file system or a shell takes for something else."""
    name = printable(PurePosixPath(name.replace("\\", "/")).name)
    name = "".join(letter if letter.isalnum() or letter in " .-_()" else "_" for letter in name).strip(" .-")
    stem, dot, suffix = name.rpartition(".")
    name = f"{(stem if dot else suffix)[: _LONGEST_NAME - 8]}{dot}{suffix[:7] if dot else ''}"
    return name or f"{what}.png"
