"""The one place where an image is decoded: header first, then pixels, upright, uint8 RGB.

`read_photo` reads a file (or a photo's part of a shard of prepared data) and its header and refuses
what is too large or is no image before any pixel is allocated; `decode_photo` makes pixels, JPEGs at
a reduced scale where the target is small. JPEGs and PNGs go to TensorFlow as they are; all else
(WebP, TIFF, GIF, BMP, alpha, ...) passes through Pillow, once, into a lossless PNG, and a camera's raw file
through LibRaw into a JPEG.
"""

import contextlib
import io
import os
import stat
import threading
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tfvision.data import image_formats, jpeg_scans
from tfvision.data.image_formats import IS_RAW, NEEDS_HEIF, formats, is_raw_name, needs_heif, quiet_pillow
from tfvision.data.photo_files import NOT_UTF8, is_utf8, printable
from tfvision.data.raw_photos import developed
from tfvision.data.shards.slices import checked_slice, read_slice, slice_of
from tfvision.errors import DataError

if typing.TYPE_CHECKING:
    import PIL.Image

MAX_PIXELS = 150_000_000  # 450 MB as uint8 RGB; the largest cameras make 100 to 150 megapixels
MAX_FILE_BYTES = 512 * 1024 * 1024
JPEG_RATIOS = (1, 2, 4, 8)

_DIRECT = {  # format -> modes; an MPO is a JPEG with another behind it
    "JPEG": {"RGB", "L", "CMYK"},
    "MPO": {"RGB", "L", "CMYK"},
    "PNG": {"RGB", "L", "P", "I;16", "I"},
}
_EXIF_ORIENTATION = 0x0112
_LARGE_PIXELS = 40_000_000  # from here on, one photo at a time is transcoded
_one_large_photo = threading.Lock()
_TAIL_BYTES = 64
_MARGIN_PX = 8
_STRIP_ROWS = 256
_TIFF_BITS, _TIFF_COMPRESSION, _TIFF_PLANES = 258, 259, 284


class Photo(typing.NamedTuple):
    """An encoded photo whose header was checked.

    Attributes:
      encoded: bytes of a JPEG or PNG.
      height, width: pixels of the upright image, EXIF orientation applied.
      orientation: EXIF orientation, 1 to 8.
    """

    encoded: bytes
    height: int
    width: int
    orientation: int


def read_photo(path: Path | str, encoded: bytes = b"") -> Photo:
    """Reads a photo's bytes and header.

    Args:
      encoded: the bytes, where they were read from its shard with others'.

    Raises:
      DataError: no image, empty, unreadable or larger than MAX_PIXELS; the message names the file.
    """
    return check_photo(read_encoded(path, encoded), name=path)


def read_encoded(path: Path | str, encoded: bytes = b"") -> bytes:
    """The bytes of a photo's file, or of its part of a shard of prepared data; of a camera's raw file a JPEG of it.

    Args:
      encoded: as `read_photo`.

    Raises:
      DataError: they cannot be read, are damaged, or too many.
    """
    path = os.fspath(path)
    if not is_utf8(path):
        raise DataError(f"{printable(path)}: {NOT_UTF8}")
    location = slice_of(path)
    try:
        size = location.bytes if location else _file_bytes(path)
        if size > MAX_FILE_BYTES:
            raise DataError(f"{path} is larger than {MAX_FILE_BYTES // 2**20} MiB: scale it down, or save it as JPEG")
        if location:
            return checked_slice(path, location, encoded) if encoded else read_slice(path, location)
        with open(path, "rb") as file:
            encoded = file.read()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error
    if is_raw_name(path):
        with _one_large_photo:
            return developed(encoded, path, MAX_PIXELS)
    return encoded


def _file_bytes(path):
    """The size of a photo's own file. Raises DataError where it is none that can be read: opening a pipe would wait for its writer."""
    found = os.stat(path)
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise DataError(f"{path} is a pipe, a socket or a device: save the photo to a file")
    if is_raw_name(path) and not image_formats.reads_raw():
        raise DataError(f"{path} is {IS_RAW}")
    return found.st_size


def check_photo(encoded: bytes, name: Path | str = "the image") -> Photo:
    """Checks the header of an encoded JPEG, PNG, GIF, BMP, WebP, TIFF, PPM, HEIC or AVIF; returns a Photo.

    Raises:
      DataError: as `read_photo`.
    """
    with opened_header(encoded, name) as image:
        if image.mode not in _DIRECT.get(image.format, ()) or "transparency" in image.info:
            encoded = _transcode(image)
        # Only now: Pillow turns a TIFF upright while it reads the pixels, and forgets its orientation.
        (width, height), orientation = image.size, _orientation(image)
    if orientation >= 5:
        height, width = width, height
    return Photo(encoded, height, width, orientation)


def photo_size(path: Path | str) -> tuple[int, int]:
    """Width and height of an upright photo, of whose file only the header is read. Raises DataError."""
    with opened_header(read_encoded(path) if slice_of(path) or is_raw_name(path) else Path(path), path) as image:
        # Pillow looks for the EXIF of a PNG behind its pixels too, and reads them for it.
        is_turned = (image.format != "PNG" or "exif" in image.info) and _orientation(image) >= 5
        width, height = image.size
    return (height, width) if is_turned else (width, height)


@contextlib.contextmanager
def opened_header(encoded: bytes | Path, name: Path | str = "the image", max_pixels: int = MAX_PIXELS) -> Iterator["PIL.Image.Image"]:
    """The Pillow image of which no pixel is read yet; whatever Pillow raises in the block becomes a DataError.

    Args:
      encoded: a photo's bytes, or the file of which Pillow reads what it needs.

    Raises:
      DataError: as `read_photo`; a JPEG of too many scans, where its bytes are given.
    """
    import PIL.Image

    if not encoded:
        raise DataError(f"{name} is empty (0 bytes)")
    if isinstance(encoded, bytes) and encoded[:2] == b"\xff\xd8" and (refusal := jpeg_scans.why_refused(encoded)):
        raise DataError(f"{name} is {refusal}")
    PIL.Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow raises from twice its limit on
    quiet_pillow()
    try:
        with PIL.Image.open(encoded if isinstance(encoded, Path) else io.BytesIO(encoded), formats=formats()) as image:
            if image.width * image.height > max_pixels:
                raise PIL.Image.DecompressionBombError
            yield image
    except DataError:
        raise
    except PIL.Image.DecompressionBombError:
        raise DataError(f"{name} declares more than {max_pixels:,} pixels: scale it down") from None
    except PIL.UnidentifiedImageError:
        if needs_heif(encoded):
            raise DataError(f"{name} is {NEEDS_HEIF}") from None
        if _first_bytes(encoded) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            raise DataError(f"{name} is a damaged TIFF, or one of a kind that is not read: save it with 8 or 16 bits a channel, or as JPEG") from None
        raise DataError(f"{name} is no image that can be read: expected {', '.join(formats())}") from None
    except Exception as error:  # Pillow's plug-ins raise whatever a broken file leads them to
        raise DataError(f"{name} is no image that can be read ({_first_line(error)})") from error


def decode_photo(photo: Photo, ratio: int = 1, name: Path | str = "the image", window: Sequence[int] | None = None) -> np.ndarray:
    """Decodes a checked photo to uint8 RGB [height / ratio, width / ratio, 3], upright.

    Args:
      photo: what `read_photo` returned.
      ratio: 1, 2, 4 or 8: a JPEG is decoded at this fraction of its size; others at full size.
      window: top, left, height, width of the part of all these pixels that is wanted, within them; the others of a JPEG cost
        little then.

    Raises:
      DataError: the pixels cannot be decoded (a truncated file, say).
    """
    import tensorflow as tf

    try:
        if window is not None and _has_end(photo.encoded) and photo.orientation == 1:
            return _decode_window(photo, ratio, window)
        if photo.encoded[:2] == b"\xff\xd8":
            pixels = tf.io.decode_jpeg(photo.encoded, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")
        else:
            pixels = tf.io.decode_png(photo.encoded, channels=3)
    except tf.errors.OpError:  # its text tells of kernels and devices
        raise DataError(f"{name} is damaged: its header is whole, its pixels are not; it may be cut short") from None
    pixels = upright(pixels.numpy(), photo.orientation)
    if window is not None:
        top, left, height, width = window
        pixels = pixels[top : top + height, left : left + width]
    return np.ascontiguousarray(pixels)


def decoded_size(photo: Photo, ratio: int) -> tuple[int, int]:
    """Height and width of what `decode_photo` makes of a photo without a window."""
    ratio = ratio if photo.encoded[:2] == b"\xff\xd8" else 1
    return -(-photo.height // ratio), -(-photo.width // ratio)


def _has_end(encoded):
    """Whether it is a JPEG that is not cut short: what lies below a window is not read, so its absence would go unseen."""
    return encoded[:2] == b"\xff\xd8" and encoded[-_TAIL_BYTES:].rstrip(b"\0").endswith(b"\xff\xd9")


def _decode_window(photo, ratio, window):
    import tensorflow as tf

    height, width = decoded_size(photo, ratio)
    # At the window's edges colours are interpolated without their neighbours: a margin keeps these.
    top, left = (max(0, low - _MARGIN_PX) for low in window[:2])
    bottom, right = (min(end, low + length + _MARGIN_PX) for end, low, length in zip((height, width), window[:2], window[2:], strict=True))
    widened = (top, left, bottom - top, right - left)
    pixels = tf.image.decode_and_crop_jpeg(photo.encoded, widened, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE").numpy()
    top, left = window[0] - top, window[1] - left
    return np.ascontiguousarray(pixels[top : top + window[2], left : left + window[3]])


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turns pixels [height, width, channels] as the EXIF orientation (1 to 8) asks."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def read_pixels(path: Path | str, ratio: int = 1) -> np.ndarray:
    """Reads and decodes a file: uint8 RGB [height, width, 3]. Raises DataError."""
    return decode_photo(read_photo(path), ratio, name=path)


def servable_bytes(path: Path | str) -> bytes:
    """A photo as a JPEG or PNG that a served graph (graph_decoding) turns upright itself. Raises DataError."""
    import tensorflow as tf

    photo = read_photo(path)
    if photo.orientation == 1 or photo.encoded[:2] == b"\xff\xd8":
        return photo.encoded
    return tf.io.encode_png(decode_photo(photo, name=path)).numpy()


def thumbnail_jpeg(path: Path | str, size_px: int = 160) -> bytes | None:
    """A JPEG of at most size_px on its longer side, as bytes; None where the file cannot be read.

    By Pillow, of a JPEG at a reduced scale: a page of pictures does not wait for TensorFlow.
    """
    try:
        photo = read_photo(path)
        with opened_header(photo.encoded, path) as image:
            image.draft(image.mode, (size_px, size_px))
            small = _in_eight_bits(image).convert("RGB")
            small.thumbnail((size_px, size_px))
    except DataError:
        return None
    return encode_jpeg(np.ascontiguousarray(upright(np.asarray(small), photo.orientation)))


def encode_jpeg(pixels: np.ndarray) -> bytes:
    """A JPEG for a page, of uint8 [height, width, 3]."""
    import PIL.Image

    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _first_bytes(encoded):
    if isinstance(encoded, bytes):
        return encoded[:4]
    with open(encoded, "rb") as file:
        return file.read(4)


def _orientation(image):
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # many a good photo carries broken EXIF; the pixels are judged when they are decoded
        return 1
    return orientation if orientation in range(1, 9) else 1


def _transcode(image):
    """First frame -> lossless PNG, transparent parts on white."""
    import PIL.Image

    if image.format == "TIFF" and _is_misread(image.tag_v2):
        raise ValueError("more than 8 bits in separate planes: save it with interleaved channels, compressed, or as PNG")
    with _one_large_photo if image.width * image.height > _LARGE_PIXELS else contextlib.nullcontext():
        image = _in_eight_bits(image)
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            layer = image.convert("RGBA")
            image = PIL.Image.new("RGBA", layer.size, "white")
            image.alpha_composite(layer)
        buffer = io.BytesIO()
        (image if image.mode == "RGB" else image.convert("RGB")).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()


def _is_misread(tags):
    """Whether Pillow takes the bytes of a TIFF for pixels that they are not: planes of 16 bits that are not compressed."""
    return tags.get(_TIFF_PLANES) == 2 and tags.get(_TIFF_COMPRESSION, 1) == 1 and max(tags.get(_TIFF_BITS, (8,))) > 8


def _in_eight_bits(image):
    """A Pillow image of integers or floats as one of bytes; others as they are."""
    import PIL.Image

    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    is_deep = image.mode.startswith("I;16") or values.max(initial=0) > 255
    pixels = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), _STRIP_ROWS):  # floats of all pixels would take four times their memory
        strip = values[top : top + _STRIP_ROWS].astype(np.float32)
        pixels[top : top + _STRIP_ROWS] = (strip / (256 if is_deep else 1)).clip(0, 255)
    return PIL.Image.fromarray(pixels)


def _first_line(error):
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:120]
