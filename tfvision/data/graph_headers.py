"""What an encoded image says of itself before its pixels, read in a graph by TensorFlow's operations alone."""

import itertools
import typing

import numpy as np
import tensorflow as tf

from tfvision.data import jpeg_scans
from tfvision.data.gif_frames import EXTENSION, FRAME, TRAILER

HEAD_BYTES = 65536  # where an orientation is looked for: EXIF stands first in a file, in one segment of 64 KiB
_ORIENTATION_TAG = 0x0112
_MOST_TAGS = 64
_MAX_GIF_STEPS = 10_000
_SUB_BLOCKS_A_STEP = 1024


def is_jpeg_encoded(encoded: tf.Tensor) -> tf.Tensor:
    """Whether an encoded image is a JPEG: bool scalar."""
    return tf.strings.substr(encoded, 0, 2) == b"\xff\xd8"


def orientation_in(head: tf.Tensor, is_jpeg: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of a JPEG or PNG, int32 scalar, 1 where there is none.

    Args:
      head: string scalar, the file's first bytes.
      is_jpeg: bool scalar.
    """
    start = tf.where(is_jpeg, first_position(head, b"Exif\0\0") + 6, first_position(head, b"eXIf") + 4)
    return tf.cond(start > 0, lambda: _orientation_at(tf.io.decode_raw(head, tf.uint8), start), lambda: 1)


class _Format(typing.NamedTuple):
    """How a format's header tells a side: a number of bytes, the lowest first, of which `bits` count from `shift` on, and `more`."""

    start: int
    word: bytes  # that stands there in all files of the format
    height: tuple[int, ...]  # places of its bytes
    width: tuple[int, ...]
    shift: tuple[int, int] = (0, 0)
    bits: int = 32
    more: int = 0
    is_signed: bool = False


_NOTHING = 63  # a place behind the header, where a zero stands
_FORMATS = (
    _Format(0, b"\x89PNG", (23, 22, 21, 20), (19, 18, 17, 16)),
    _Format(0, b"GIF8", (8, 9), (6, 7)),
    _Format(0, b"BM", (22, 23, 24, 25), (18, 19, 20, 21), is_signed=True),
    _Format(8, b"WEBPVP8 ", (28, 29), (26, 27), bits=14),
    _Format(8, b"WEBPVP8L", (22, 23, 24), (21, 22), shift=(6, 0), bits=14, more=1),
    _Format(8, b"WEBPVP8X", (27, 28, 29), (24, 25, 26), more=1),
)


def size_in_header(head: tf.Tensor) -> tf.Tensor:
    """Height and width, int32 [2], of a PNG, GIF (its screen), BMP or WebP; zeros where it is none of them.

    Args:
      head: string scalar, the file's first bytes. All formats are read at once: a graph has few nodes so.
    """
    first = tf.cast(tf.concat([tf.io.decode_raw(tf.strings.substr(head, 0, 32), tf.uint8), tf.zeros([64], tf.uint8)], 0), tf.int32)
    places = [[(side + 4 * (_NOTHING,))[:4] for side in (this.height, this.width)] for this in _FORMATS]
    numbers = tf.reduce_sum(tf.gather(first, places) * _weights(4), -1)
    kept = np.array([[2**this.bits - 1] for this in _FORMATS]).astype(np.int32)
    sizes = tf.bitwise.bitwise_and(tf.bitwise.right_shift(numbers, [this.shift for this in _FORMATS]), kept) + [[this.more] for this in _FORMATS]
    sizes = tf.where([[this.is_signed] for this in _FORMATS], tf.abs(sizes), sizes)
    words = [(range(this.start, this.start + len(this.word)), this.word) for this in _FORMATS]
    where, which = ([list(itertools.islice(itertools.cycle(part), 8)) for part in parts] for parts in zip(*words, strict=True))
    is_this = tf.reduce_all(tf.gather(first, where) == which, 1)
    return tf.reduce_max(tf.where(is_this[:, None], sizes, 0), 0)


def first_position(head: tf.Tensor, word: bytes) -> tf.Tensor:
    """Where `word` first stands in `head`, a string scalar: int32 scalar; far below 0 where it does not."""
    parts = tf.raw_ops.StringSplitV2(input=[head], sep=word, maxsplit=1).values
    return tf.where(tf.size(parts) > 1, tf.strings.length(tf.gather(parts, 0)), -100)


def _weights(length):
    """Of the bytes of a number of so many, the lowest first."""
    return (256 ** np.arange(length)).astype(np.int32)


def count_scans(encoded: tf.Tensor, most: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """How many scans a JPEG has, and whether a decoder holds all coefficients until the last, as `jpeg_scans` finds it: int32, bool scalar.

    It stops at one more than `most`, which is also what too many segments count for.
    """
    data = tf.concat([tf.io.decode_raw(encoded, tf.uint8), tf.zeros([16], tf.uint8)], 0)
    behind = data[1:]
    is_marker = data[:-1] == 0xFF
    for byte in jpeg_scans.NO_MARKERS:
        is_marker &= behind != byte
    places = tf.concat([tf.where(is_marker)[:, 0], [tf.size(data, tf.int64) - 16]], 0)  # that no walk runs out of them

    def step(index, count, components, is_buffered):
        place = tf.gather(places, index)
        marker, high, low, scanned, framed = tf.unstack(tf.cast(tf.gather(data, place + [1, 2, 3, 4, 9]), tf.int32))
        length = tf.where(is_one_of(marker, *jpeg_scans.WITHOUT_LENGTH), 0, high * 256 + low)
        components = tf.where(is_one_of(marker, *jpeg_scans.FRAMES), framed, components)
        is_scan = marker == jpeg_scans.SCAN
        is_buffered |= is_one_of(marker, *jpeg_scans.PROGRESSIVE_FRAMES) | (is_scan & (scanned < components))
        following = tf.searchsorted(places, [place + 2 + tf.cast(length, tf.int64)])[0]
        return tf.minimum(following, tf.size(places) - 1), count + tf.cast(is_scan, tf.int32), components, is_buffered

    def goes_on(index, count, *_):
        return (tf.gather(data, tf.gather(places, index) + 1) != jpeg_scans.END) & (index < tf.size(places) - 1) & (count <= most)

    start = (0, 0, 0, tf.constant(False))
    index, count, _, is_buffered = tf.while_loop(goes_on, step, start, parallel_iterations=1, maximum_iterations=jpeg_scans.MAX_SEGMENTS)
    return tf.where(goes_on(index, count), most + 1, count), is_buffered


def is_one_of(value: tf.Tensor, *choices: int) -> tf.Tensor:
    """Whether an int32 scalar is one of the numbers: bool scalar."""
    return tf.reduce_any(tf.constant(choices) == value)


class GifFrame(typing.NamedTuple):
    """The first frame of a GIF.

    Attributes:
      encoded: a GIF of it alone, at the screen's corner.
      corner, size: int32 [2]; top and left on the screen, height and width.
    """

    encoded: tf.Tensor
    corner: tf.Tensor
    size: tf.Tensor


def first_gif_frame(encoded: tf.Tensor) -> GifFrame:
    """Cuts a GIF behind its first frame: TensorFlow would decode all of them to return the first.

    A string that holds no frame comes back as it is, and one of a multitude of tiny blocks fails.
    """
    data = tf.concat([tf.io.decode_raw(encoded, tf.uint8), tf.zeros([16], tf.uint8)], 0)
    end = tf.size(data) - 16

    def at(position):
        return tf.cast(tf.gather(data, tf.minimum(position, end + 15)), tf.int32)

    def table_bytes(flags):
        return tf.where(flags >= 128, 3 * tf.bitwise.left_shift(2, flags % 8), 0)

    def step(place, frame, is_inside):
        """From one block, or row of sub-blocks of one length, to the next."""
        first = at(place)
        rows = tf.gather(data, tf.minimum(place + (first + 1) * tf.range(_SUB_BLOCKS_A_STEP), end))
        alike = tf.argmin(tf.concat([tf.cast(rows == rows[0], tf.int32), [0]], 0), output_type=tf.int32)
        is_frame = ~is_inside & (first == FRAME)
        behind_start = place + tf.where(is_frame, 11 + table_bytes(at(place + 9)), 2)
        behind_row = place + tf.where(first == 0, 1, (first + 1) * alike)
        return tf.where(is_inside, behind_row, behind_start), tf.where(is_frame, place, frame), tf.where(is_inside, first != 0, True)

    def goes_on(place, frame, is_inside):
        is_block = (frame < 0) & is_one_of(at(place), EXTENSION, FRAME)
        return (place < end) & (is_inside | is_block)

    start = (13 + table_bytes(at(10)), -1, tf.constant(False))
    place, frame, is_inside = tf.while_loop(goes_on, step, start, parallel_iterations=1, maximum_iterations=_MAX_GIF_STEPS)
    is_short = tf.debugging.Assert(~goes_on(place, frame, is_inside), ["the GIF has too many blocks before the end of its first frame, save it as a PNG"])
    with tf.control_dependencies([is_short]):
        frame = tf.maximum(frame, 0)
    parts = [tf.strings.substr(encoded, 0, frame + 1), b"\0\0\0\0", tf.strings.substr(encoded, frame + 5, place - frame - 5), TRAILER]
    cut = tf.cond(frame > 0, lambda: tf.strings.join(parts), lambda: encoded)
    sides = tf.reduce_sum(tf.reshape(at(frame + tf.range(1, 9)), [4, 2]) * _weights(2), 1)  # left, top, width, height
    return GifFrame(cut, tf.gather(sides, [1, 0]), tf.gather(sides, [3, 2]))


def _orientation_at(head, start):
    """The orientation in the TIFF structure that begins at `start`; 1 where it is broken or has none."""
    read = _Reader(head, start)
    directory = read.number(4, 4)
    entries = directory + 2 + 12 * tf.range(tf.minimum(read.number(directory, 2), _MOST_TAGS))
    is_orientation = read.number(entries, 2) == _ORIENTATION_TAG
    values = tf.boolean_mask(read.number(entries + 8, 2), is_orientation)
    value = tf.concat([values, [1]], 0)[0]
    return tf.where((value >= 1) & (value <= 8), value, 1)


class _Reader:
    """Reads unsigned numbers of a TIFF structure in its own byte order; 0 beyond the end."""

    def __init__(self, head, start):
        self._bytes, self._start = tf.cast(head, tf.int32), start
        self._is_little = tf.constant(False)  # no matter, of one byte
        self._is_little = self.number(0, 1) == ord("I")

    def number(self, position, length):
        """The number of `length` bytes at `position` (int32, any shape)."""
        places = self._start + tf.expand_dims(position, -1) + tf.range(length)
        count = tf.size(self._bytes)
        values = tf.where((places >= 0) & (places < count), tf.gather(self._bytes, tf.clip_by_value(places, 0, count - 1)), 0)
        return tf.reduce_sum(values * tf.where(self._is_little, _weights(length), _weights(length)[::-1]), -1)
