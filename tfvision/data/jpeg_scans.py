"""How often a JPEG goes over its pixels: a progressive one in some ten scans, a hostile one in hundreds, each of a few bytes.

What is refused here, a served graph (`graph_headers`) refuses by the same rule.
"""

import re
import struct
import typing

import numpy as np

MAX_SCANNED_PIXELS = 2_000_000_000  # scans x pixels: a second of work; 26 scans of the largest progressive JPEG, 166 of 12 megapixels
MAX_BUFFERED_PIXELS = 75_000_000  # all coefficients of a progressive JPEG are held in memory, 6 bytes a pixel, 8 in CMYK, beside the pixels
MAX_SEGMENTS = 4096  # that are looked at to find the scans
_MOST_PADDING = 4096  # bytes between two segments before the first scan
_SLICE_BYTES = 2**20
LEAST_PIXELS = 65_536  # what a scan costs at least, in pixels
TOO_MANY_SCANS = "a JPEG of too many scans for its size: save it as one that is not progressive"
PADDED = "a JPEG with too many segments, or bytes between them that mean nothing: save it again"
TOO_LARGE_BUFFER = f"a progressive JPEG of more than {MAX_BUFFERED_PIXELS:,} pixels: save it as one that is not progressive, or scale it down"

SCAN, END = 0xDA, 0xD9
WITHOUT_LENGTH = (0xD8, END)
FRAMES = tuple(marker for marker in range(0xC0, 0xD0) if marker not in (0xC4, 0xC8, 0xCC))
PROGRESSIVE_FRAMES = (0xC2, 0xC6, 0xCA, 0xCE)
NO_MARKERS = (0x00, 0x01, *range(0xD0, 0xD8), 0xFF)  # what follows a 0xFF within a scan, or pads it
_MARKER = re.compile(b"\xff[^\\x00\\x01\\xd0-\\xd7\xff]", re.DOTALL)
_IS_MARKER = ~np.isin(np.arange(256), NO_MARKERS)


class Scans(typing.NamedTuple):
    """How a JPEG is stored.

    Attributes:
      count: of its scans; where they are too many, one more than are allowed.
      is_buffered: whether a decoder holds all coefficients until the last scan.
      height, width: in its header, 0 where there is none.
    """

    count: int
    is_buffered: bool
    height: int
    width: int


def why_refused(encoded: bytes) -> str | None:
    """What is wrong with how a JPEG is stored; None where nothing is, or where it is no JPEG at all."""
    scans = count_scans(encoded)
    if scans is None:
        return PADDED
    pixels = scans.height * scans.width
    if scans.is_buffered and pixels > MAX_BUFFERED_PIXELS:
        return TOO_LARGE_BUFFER
    return TOO_MANY_SCANS if scans.count > most_scans(pixels) else None


def most_scans(pixels: int) -> int:
    """How many scans a JPEG of so many pixels may have."""
    return MAX_SCANNED_PIXELS // max(pixels, LEAST_PIXELS)


def count_scans(encoded: bytes) -> Scans | None:
    """Walks from marker to marker, as a decoder does, up to the end of the first image, or to the one scan of a JPEG that is not buffered.

    Returns:
      None where bytes without meaning, or too many segments, are in the way.
    """
    place, components, scans = 0, 0, Scans(0, False, 0, 0)
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.search(encoded, place, place + _MOST_PADDING)
        if found is None and not scans.count and place + _MOST_PADDING < len(encoded):
            return None
        place = found.start() if found else _next_marker(encoded, place)
        if place >= len(encoded) - 1 or encoded[place + 1] == END or scans.count > most_scans(scans.height * scans.width):
            return scans
        marker, body = encoded[place + 1], encoded[place + 2 : place + 10]
        if marker in FRAMES:
            height, width, components = struct.unpack(">3xHHB", body.ljust(8, b"\0"))
            scans = scans._replace(height=height, width=width, is_buffered=marker in PROGRESSIVE_FRAMES)
        if marker == SCAN:
            scans = scans._replace(count=scans.count + 1, is_buffered=scans.is_buffered or int.from_bytes(body[2:3], "big") < components)
            if not scans.is_buffered:
                return scans
        place += 2 + (0 if marker in WITHOUT_LENGTH else int.from_bytes(body[:2], "big"))
    return None


def _next_marker(encoded, start):
    """Where the next marker stands, perhaps far behind a scan; the end of the file where there is none."""
    for low in range(start, len(encoded) - 1, _SLICE_BYTES):
        part = np.frombuffer(encoded[low : low + _SLICE_BYTES + 1], np.uint8)
        (places,) = np.nonzero(part[:-1] == 0xFF)
        places = places[_IS_MARKER[part[places + 1]]]
        if places.size:
            return low + int(places[0])
    return len(encoded)
