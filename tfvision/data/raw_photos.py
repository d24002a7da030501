"""Cameras' raw files: developed by LibRaw (`pip install "tfvision[raw]"`), or the preview that the camera put into them."""

import contextlib
import io
import re

from tfvision.data.exif import exif_of_raw
from tfvision.errors import DataError, in_one_line

_QUALITY = 95
_ORIENTATION = 0x0112
_JPEG_START = re.compile(b"\xff\xd8\xff[\xc0-\xfe]", re.DOTALL)
_MOST_PREVIEWS = 64


def developed(encoded: bytes, name: str, max_pixels: int) -> bytes:
    """A raw file -> a JPEG of the photo: developed and upright, or its largest preview where LibRaw does not know the camera.

    Raises:
      DataError: it has more than max_pixels, or cannot be developed and has no preview.
    """
    import PIL.Image
    import rawpy

    try:
        with rawpy.imread(io.BytesIO(encoded)) as raw:
            if raw.sizes.raw_width * raw.sizes.raw_height > max_pixels:
                raise DataError(f"{name} declares more than {max_pixels:,} pixels: scale it down")
            pixels = raw.postprocess(use_camera_wb=True, output_bps=8, demosaic_algorithm=rawpy.DemosaicAlgorithm.LINEAR)
    except DataError:
        raise
    except Exception as error:  # LibRaw's errors are many, and its wrapper's as well
        if preview := _largest_preview(encoded):
            return _turned(preview, exif_of_raw(encoded).main.get(_ORIENTATION))
        raise DataError(f"{name} is no raw file that can be developed ({_told(error)}), and holds no preview") from error
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return buffer.getvalue()


def _told(error):
    told = error.args[0] if error.args else ""
    return told.decode(errors="replace") if isinstance(told, bytes) else in_one_line(error)


def _largest_preview(encoded):
    """The largest JPEG in a file, with what follows it; None where there is none."""
    import PIL.Image

    best, most = None, 0
    for _, found in zip(range(_MOST_PREVIEWS), _JPEG_START.finditer(encoded), strict=False):
        with contextlib.suppress(Exception), PIL.Image.open(io.BytesIO(encoded[found.start() :]), formats=("JPEG",)) as image:
            if image.width * image.height > most:
                best, most = found.start(), image.width * image.height
    return None if best is None else encoded[best:]


def _turned(jpeg, orientation):
    """A JPEG that says how it is to be turned, where it does not do so itself."""
    import PIL.Image

    with PIL.Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
        if image.getexif().get(_ORIENTATION) or orientation not in range(2, 9):
            return jpeg
    exif = PIL.Image.Exif()
    exif[_ORIENTATION] = orientation
    block = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
    return jpeg[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + jpeg[2:]
