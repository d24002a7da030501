"""What a source says of a photo, made plain: its address, suffix, date and place."""

import datetime
import functools
import re

from tfvision.data.image_formats import PHOTO_SUFFIXES
from tfvision.data.imports.photo_records import Photo

SIZES = ("original", "large", "medium", "small")  # of iNaturalist: 2048, 1024, 500 and 240 px at most
_LONGEST_URL = 8000
_INATURALIST = re.compile(
    r"(https?://(?:inaturalist-open-data\.s3\.amazonaws\.com|(?:\w+\.)?inaturalist\.org)/photos/(\d+)/)"
    r"(?:original|large|medium|small|square|thumb)(\.\w+)(?:\?.*)?"
)
_DRIVE = re.compile(r"^(?:file:/+)?[a-zA-Z]:[\\/]+")  # of Windows
_URL = re.compile(r"https?://[^\s/?#]+\S*", re.IGNORECASE)
_SUFFIX = re.compile(r"(\.[a-z0-9]{2,5})$")
_OTHER_SUFFIXES = frozenset(
    [
        ".svg",
        ".pdf",
        ".heic",
        ".heif",
        ".dng",
        ".cr2",
        ".nef",
        ".psd",
        ".mp3",
        ".wav",
        ".m4a",
        ".ogg",
        ".flac",
        ".mp4",
        ".mov",
        ".avi",
        ".webm",
        ".mpg",
        ".mpeg",
        ".doc",
        ".docx",
        ".zip",
        ".json",
        ".xml",
        ".txt",
    ]
)
_SUFFIX_OF_FORMAT = {"image/png": ".png", "image/gif": ".gif", "image/bmp": ".bmp", "image/webp": ".webp", "image/tiff": ".tif"}
_WHOLE_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:$|[T /])")
_DATE = re.compile(r"(\d{4})(?:[-/](\d{1,2})(?:[-/](\d{1,2}))?)?(?:$|[T /])")


def plain_date(text: str) -> str:
    """The beginning of a date or a range as YYYY-MM-DD, YYYY-MM or YYYY; "" where it is none."""
    text = text.strip()
    if _WHOLE_DATE.match(text):
        return _checked_date(text[:10])
    match = _DATE.match(text)
    if not match:
        return ""
    year, month, day = (int(part) if part else None for part in match.groups())
    try:
        whole = datetime.date(year, month or 1, day or 1).isoformat()
    except ValueError:
        return ""
    return whole[: 10 if day else 7 if month else 4]


@functools.lru_cache(50_000)
def _checked_date(text):
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        return ""


def is_web_address(text: str) -> bool:
    """Whether a text is an address on the web."""
    return _URL.fullmatch(text.strip()) is not None


def as_local(text: str) -> str:
    """A path as one below the folder of the photos: with "/", without a drive or the root of the machine that wrote it."""
    return _DRIVE.sub("", text.strip()).replace("\\", "/").lstrip("/").removeprefix("./")


def local_name(text: str) -> str:
    """A file's name or relative path, with "/", where a text is one that ends as photos do; else ""."""
    name = _DRIVE.sub("", text.strip()).replace("\\", "/").removeprefix("./")
    found = _SUFFIX.search(name.lower())
    is_file = found and found.group() in PHOTO_SUFFIXES | _OTHER_SUFFIXES and not name.startswith(("/", "www."))
    return name if is_file and ":" not in name and ".." not in name.split("/") and name.isprintable() else ""


def photo_address(photo: Photo, size: str) -> tuple[str, str, str]:
    """(address or "", the photo's number at iNaturalist or "", suffix or "" where it is no photo).

    Args:
      photo: a photo_records.Photo.
      size: of SIZES, for iNaturalist's photos.
    """
    url, number = photo.url.strip().replace(" ", "%20"), ""
    if photo.is_local:
        url = photo.url.replace("\\", "/")
        is_usable = url and not url.startswith("/") and ":" not in url and ".." not in url.split("/") and url.isprintable()
    elif match := _INATURALIST.fullmatch(url):
        start, number, suffix = match.groups()
        url, is_usable = f"{start}{size}{suffix}", True
    elif is_web_address(url):
        is_usable = url.isprintable()
    else:
        url = is_usable = local_name(photo.url)
    return url if is_usable and len(url) <= _LONGEST_URL else "", number, _suffix(url, photo.format.strip().lower())


def _suffix(url, format):
    if format.startswith(("audio", "video", "sound", "movingimage", "text/", "application/pdf")):
        return ""
    found = _SUFFIX.search(url.lower().partition("?")[0].partition("#")[0])
    if found and found.group() in PHOTO_SUFFIXES:
        return found.group()
    if found and found.group() in _OTHER_SUFFIXES:
        return ""
    return _SUFFIX_OF_FORMAT.get(format, ".jpg")


def plain_coordinates(latitude: str, longitude: str) -> tuple[str, str]:
    """(latitude, longitude) as they are, both "" where they are no place on Earth."""
    latitude, longitude = latitude.strip(), longitude.strip()
    if latitude.count(",") == longitude.count(",") == 1:  # as Excel writes decimals in much of Europe
        latitude, longitude = latitude.replace(",", "."), longitude.replace(",", ".")
    try:
        if -90 <= float(latitude) <= 90 and -180 <= float(longitude) <= 180:
            return latitude, longitude
    except ValueError:
        pass
    return "", ""
