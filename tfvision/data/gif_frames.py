"""The first frame of a GIF, found without decoding; a served graph (`graph_headers`) finds it in the same way."""

from tfvision.errors import DataError

_MOST_BLOCKS = 1_000_000
EXTENSION, FRAME, TRAILER = 0x21, 0x2C, b"\x3b"


def first_gif_frame(encoded: bytes, name: str = "the image") -> bytes:
    """A GIF that ends behind its first frame; as it is where it holds none, or is cut short before.

    Raises:
      DataError: it consists of a multitude of tiny blocks.
    """
    place, is_frame, is_inside = 13 + _table_bytes(encoded[10:11]), False, False
    for _ in range(_MOST_BLOCKS):
        block = encoded[place : place + 1]
        if not block or not (is_inside or is_frame or block[0] in (EXTENSION, FRAME)):
            return encoded
        if is_inside:
            place, is_inside = place + 1 + block[0], block[0] > 0
        elif is_frame:
            return encoded[:place] + TRAILER
        else:
            is_frame, is_inside = block[0] == FRAME, True
            place += 11 + _table_bytes(encoded[place + 9 : place + 10]) if is_frame else 2
    raise DataError(f"{name} is a GIF of too many blocks before the end of its first frame: save it as a PNG")


def _table_bytes(flags: bytes) -> int:
    return 3 * 2 ** (flags[0] % 8 + 1) if flags and flags[0] >= 128 else 0
