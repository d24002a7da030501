"""How often a JPEG goes over its pixels: a progressive one in some ten scans, a hostile one in hundreds, each of a few bytes.

What is refused here, a served graph (`graph_headers`) refuses by the same rule.
"""

import re
import typing

MAX_SCANNED_PIXELS = 2_000_000_000  # scans x pixels: a second of work; 26 scans of the largest progressive JPEG, 166 of 12 megapixels
MAX_BUFFERED_PIXELS = 75_000_000  # all coefficients of a progressive JPEG are held in memory, 6 bytes a pixel, 8 in CMYK, beside the pixels
MAX_SEGMENTS = 4096  # that are looked at to find the scans
LEAST_PIXELS = 65_536  # what a scan costs at least, in pixels
TOO_MANY_SCANS = "a JPEG of too many scans for its size: save it as one that is not progressive"
TOO_LARGE_BUFFER = f"a progressive JPEG of more than {MAX_BUFFERED_PIXELS:,} pixels: save it as one that is not progressive, or scale it down"

SCAN, END = 0xDA, 0xD9
WITHOUT_LENGTH = (0xD8, END)
FRAMES = tuple(marker for marker in range(0xC0, 0xD0) if marker not in (0xC4, 0xC8, 0xCC))
PROGRESSIVE_FRAMES = (0xC2, 0xC6, 0xCA, 0xCE)
NO_MARKERS = (0x00, 0x01, *range(0xD0, 0xD8), 0xFF)  # what follows a 0xFF within a scan, or pads it
_MARKER = re.compile(b"\xff[^" + b"".join(b"\\x%02x" % byte for byte in NO_MARKERS) + b"]", re.DOTALL)


class Scans(typing.NamedTuple):
    """How a JPEG is stored.

    Attributes:
      count: of its scans; one more than are allowed where it has more, or hides them behind too many segments.
      is_buffered: whether a decoder holds all coefficients until the last scan.
    """

    count: int
    is_buffered: bool


def why_refused(encoded: bytes, pixels: int) -> str | None:
    """What is wrong with a JPEG's scans; None where nothing is.

    Args:
      encoded: the file.
      pixels: width x height.
    """
    most = most_scans(pixels)
    if pixels <= MAX_BUFFERED_PIXELS and encoded.count(bytes([0xFF, SCAN])) <= most:
        return None  # without a look at what is a marker and what an attached film
    scans = count_scans(encoded, most)
    if scans.is_buffered and pixels > MAX_BUFFERED_PIXELS:
        return TOO_LARGE_BUFFER
    return TOO_MANY_SCANS if scans.count > most else None


def most_scans(pixels: int) -> int:
    """How many scans a JPEG of so many pixels may have."""
    return MAX_SCANNED_PIXELS // max(pixels, LEAST_PIXELS)


def count_scans(encoded: bytes, most: int) -> Scans:
    """Walks from marker to marker, as a decoder does, up to the end of the first image."""
    place, count, components, is_buffered = 0, 0, 0, False
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.search(encoded, place)
        if found is None or found[0][1] == END or count > most:
            return Scans(count, is_buffered)
        place = found.end()
        marker, body = found[0][1], encoded[place : place + 8]
        if marker in FRAMES:
            components = int.from_bytes(body[7:8], "big")
            is_buffered |= marker in PROGRESSIVE_FRAMES
        if marker == SCAN:
            count += 1
            is_buffered |= int.from_bytes(body[2:3], "big") < components
        place += 0 if marker in WITHOUT_LENGTH else int.from_bytes(body[:2], "big")
    return Scans(most + 1, is_buffered)
