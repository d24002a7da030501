"""The EXIF of a photo or of a camera's raw file, by its three directories; what is broken in it is as good as absent."""

import contextlib
import io
import struct
import typing
from collections.abc import Mapping

from tfvision.data.image_formats import quiet_pillow

if typing.TYPE_CHECKING:
    import PIL.Image

_PHOTO_DIRECTORY, _GPS_DIRECTORY = 0x8769, 0x8825
_TIFF_MAGICS = (b"II*\0", b"MM\0*")
_OWN_TIFF_MAGICS = (b"IIRO", b"IIRS", b"IIU\0")  # of Olympus (ORF) and Panasonic (RW2): a TIFF but for its first bytes
_FUJI, _FUJI_PREVIEW = b"FUJIFILMCCD-RAW", 84  # where a RAF says where its preview lies
_CANON_BOXES = (b"CMT1", b"CMT2", b"CMT4")  # of a CR3: the three directories, each a TIFF
_CANON_BOXES_WITHIN = 2**20


class ExifDirectories(typing.NamedTuple):
    """Tags and their values.

    Attributes:
      main: camera, orientation and the like (IFD0).
      photo: when and how it was taken (Exif).
      gps: where (GPSInfo).
    """

    main: Mapping[int, typing.Any] = {}
    photo: Mapping[int, typing.Any] = {}
    gps: Mapping[int, typing.Any] = {}


def exif_of_image(image: "PIL.Image.Image") -> ExifDirectories:
    """Of an image that Pillow opened."""
    with contextlib.suppress(Exception):  # many a good photo carries broken EXIF
        return _directories(image.getexif())
    return ExifDirectories()


def exif_of_raw(encoded: bytes) -> ExifDirectories:
    """Of a raw file, or of its beginning, where most have it."""
    import PIL.Image

    quiet_pillow()
    with contextlib.suppress(Exception):
        if encoded[:4] in _TIFF_MAGICS:
            return _directories(_of_tiff(encoded))
        if encoded[:4] in _OWN_TIFF_MAGICS:
            return _directories(_of_tiff(b"II*\0" + encoded[4:]))
        if encoded.startswith(_FUJI):
            start, length = struct.unpack_from(">II", encoded, _FUJI_PREVIEW)
            with PIL.Image.open(io.BytesIO(encoded[start : start + length]), formats=("JPEG",)) as image:
                return exif_of_image(image)
        return ExifDirectories(*(dict(_of_tiff(_canon_box(encoded, box))) for box in _CANON_BOXES))
    return ExifDirectories()


def _directories(exif):
    main, photo, gps = dict(exif), {}, {}
    with contextlib.suppress(Exception):
        photo = dict(exif.get_ifd(_PHOTO_DIRECTORY))
    with contextlib.suppress(Exception):
        gps = dict(exif.get_ifd(_GPS_DIRECTORY))
    return ExifDirectories(main, photo, gps)


def _of_tiff(encoded):
    import PIL.Image

    exif = PIL.Image.Exif()
    if encoded:
        exif.load(b"Exif\0\0" + encoded)
    return exif


def _canon_box(encoded, name):
    place = encoded.find(name, 0, _CANON_BOXES_WITHIN)
    return encoded[place + 4 : place - 4 + int.from_bytes(encoded[place - 4 : place], "big")] if place >= 4 else b""
