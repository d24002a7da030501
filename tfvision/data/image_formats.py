"""Which files are images that can be read: told by the end of a name, else by the content. Pillow is set up here."""

import contextlib
import functools
import importlib.util
import logging
import re
import typing
import warnings
from pathlib import Path

PHOTO_SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"]
    + [".heic", ".heif", ".hif", ".avif"]
)
NEEDS_HEIF = 'HEIC or AVIF: pip install "tfvision[heif]" reads it'
IS_RAW = 'a camera\'s raw file: pip install "tfvision[raw]" reads it'  # Pillow would take its thumbnail for the photo
NO_PHOTO = "no photo"
_OTHER_FILES = {  # what cameras, phones and systems put beside photos -> the ends of its names, or whole names
    "a video": (".mp4", ".mov", ".avi", ".m4v", ".mts", ".m2ts", ".3gp", ".mkv", ".wmv", ".mpg", ".mpeg", ".webm", ".insv", ".lrv"),
    "a sound": (".wav", ".mp3", ".m4a", ".aac", ".ogg", ".flac"),
    "a sidecar of a photo or a video": (".xmp", ".aae", ".thm", ".pp3", ".dop", ".on1", ".srt", ".gpx", ".ctg", ".mrk", ".vrd"),
    "a file that a system keeps for itself": ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "indexervolumeguid", "wpsettings.dat"),
}
_REASONS = {end: reason for reason, ends in _OTHER_FILES.items() for end in ends}

_RAW_SUFFIXES = frozenset([".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".sr2", ".srw"])
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
_EXTRA_FORMATS = {".heic": "HEIF", ".heif": "HEIF", ".hif": "HEIF", ".avif": "AVIF"}
_HEIF_START = re.compile(rb".{4}ftyp(hei|hev|mif1|msf1|avi[fs])", re.DOTALL)
_START_BYTES = 16


@functools.cache
def formats() -> tuple[str, ...]:
    """Pillow's names of all formats that are read: HEIF (HEIC) where pillow-heif is installed, AVIF where Pillow was built with it.

    They are named, because Pillow would hand an EPS to Ghostscript whatever its suffix; PPM is what many face sets use.
    """
    import PIL.features

    found = list(_FORMATS)
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
        found.append("HEIF")
    return (*found, "AVIF") if PIL.features.check("avif") else tuple(found)


@functools.cache
def reads_raw() -> bool:
    """Whether cameras' raw files are read: where rawpy is installed."""
    return importlib.util.find_spec("rawpy") is not None


def is_photo_name(name: str) -> bool:
    """Whether a file's name ends as a photo's does, one that can be read or not."""
    return Path(name).suffix.lower() in PHOTO_SUFFIXES | _RAW_SUFFIXES


def is_raw_name(name: str) -> bool:
    """Whether a file's name ends as a camera's raw files do."""
    return Path(name).suffix.lower() in _RAW_SUFFIXES


def needs_heif(encoded: bytes | Path) -> bool:
    """Whether these bytes, or a file, begin as a HEIC or an AVIF does, and what reads it is not installed."""
    if isinstance(encoded, Path):
        with open(encoded, "rb") as file:
            encoded = file.read(_START_BYTES)
    brand = _HEIF_START.match(encoded)
    return brand is not None and ("AVIF" if brand[1].startswith(b"avi") else "HEIF") not in formats()


def why_no_photo(path: str) -> str | None:
    """Why a file is none that can be read, or None. It is opened only where its name does not tell.

    What has a photo's name and is damaged, or no image, is told when it is read.
    """
    suffix = Path(path).suffix.lower()
    if suffix in _RAW_SUFFIXES:
        return None if reads_raw() else IS_RAW
    if reason := _REASONS.get(suffix) or _REASONS.get(Path(path).name.lower()):
        return reason
    if suffix in PHOTO_SUFFIXES and (suffix not in _EXTRA_FORMATS or _EXTRA_FORMATS[suffix] in formats()):
        return None
    try:
        with open(path, "rb") as file:
            if _is_image(file):
                return None
            return NEEDS_HEIF if suffix in _EXTRA_FORMATS or needs_heif(Path(path)) else NO_PHOTO
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _is_image(file: typing.IO[bytes]) -> bool:
    import PIL.Image

    quiet_pillow()
    try:
        with PIL.Image.open(file, formats=formats()):
            return True
    except PIL.Image.DecompressionBombError:
        return True
    except Exception:  # Pillow's plug-ins raise whatever a file leads them to
        return False


def quiet_pillow() -> None:
    """Holds back what Pillow and libtiff say of a photo without its name; what matters becomes an error that has it.

    Pillow's warning of many pixels is among it: sizes are judged by our own limit.
    """
    _quiet_logs()
    silence = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
    if silence not in warnings.filters:  # which blocks such as pytest's restore
        warnings.filterwarnings("ignore", module=r"PIL\.")


@functools.cache
def _quiet_logs() -> None:
    import ctypes

    import PIL._imaging

    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    with contextlib.suppress(OSError, AttributeError):  # a Pillow without libtiff
        libraries = ctypes.CDLL(PIL._imaging.__file__)
        libraries.TIFFSetErrorHandler(None)
        libraries.TIFFSetWarningHandler(None)
