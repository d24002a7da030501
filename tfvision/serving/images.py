"""Encoded images among the inputs: judged by their headers before any is decoded, and WebP where TensorFlow decodes none.

A JPEG of 5 MB can unpack to gigabytes, and one of 100 kB can take half a minute.
"""

import asyncio
from collections.abc import Sequence

import grpc
import numpy as np
import tensorflow as tf

from tfvision.data import jpeg_scans
from tfvision.data.decoding import MAX_PIXELS, check_photo, decode_photo, opened_header
from tfvision.data.gif_frames import first_gif_frame
from tfvision.data.shards.examples import IMAGE_FEATURE
from tfvision.errors import DataError
from tfvision.serving.errors import ServingError
from tfvision.serving.examples import EXAMPLES_NAME

INPUT_NAME = "image_bytes"  # inputs of this name hold encoded images, and tf.Examples in those of EXAMPLES_NAME may
_MAX_WEBP_PIXELS = 40_000_000
_HEADER_BYTES, _OTHER_HEADER_BYTES = 2**20, 2**16  # of PNG and GIF; of what Pillow may read byte by byte
_SLOW_PIXELS, _SLOW_JPEG_PIXELS = 16_000_000, 60_000_000  # of a large JPEG few pixels are made
_SLOW_SCANNED_PIXELS, _SLOW_BUFFERED_BYTES = 500_000_000, 4 * 2**20


def check_images(inputs: dict[str, np.ndarray], max_pixels: int = MAX_PIXELS) -> None:
    """Reads the header of each encoded image among the inputs of a request.

    Args:
      inputs: {name: array}; only string arrays named `image_bytes` are looked at.
      max_pixels: largest width x height.

    Raises:
      ServingError: INVALID_ARGUMENT, naming the first row that is no image, is too large or has too many scans.
    """
    for row, encoded in enumerate(_images(inputs)):
        try:
            _pixels(encoded, f"{INPUT_NAME}, row {row}", max_pixels)
        except DataError as error:
            raise _invalid(error) from None


def has_slow_image(inputs: dict[str, np.ndarray]) -> bool:
    """Whether an image of a request, of those within tf.Examples too, may take more than some tenths of a second."""
    return any(map(_is_slow, (*_images(inputs), *_images_in_examples(inputs))))


async def as_decodable(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inputs with each GIF cut behind its first frame, for graphs of older exports decode all, and each WebP as a PNG where
    graphs cannot decode it; in a thread, for a small file may hold many pixels.

    Raises:
      ServingError: INVALID_ARGUMENT, naming the first row that is damaged.
    """
    if not any(_is_gif(encoded) or _is_unknown_webp(encoded) for encoded in _images(inputs)):
        return inputs
    return await asyncio.to_thread(_transcoded, inputs)


def _pixels(encoded: bytes, name: str, max_pixels: int) -> int:
    if not (encoded[:2] == b"\xff\xd8" or _is_webp(encoded)):  # of a JPEG the segments are counted; a WebP is opened whole, in C
        encoded = encoded[: _HEADER_BYTES if encoded[:4] == b"\x89PNG" or _is_gif(encoded) else _OTHER_HEADER_BYTES]
    with opened_header(encoded, name, max_pixels) as image:
        return image.width * image.height


def _is_slow(encoded: bytes) -> bool:
    if encoded[:2] == b"\xff\xd8":
        scans = jpeg_scans.count_scans(encoded[:_HEADER_BYTES])
        if scans is None or not scans.is_buffered:
            return scans is None or scans.height * scans.width > _SLOW_JPEG_PIXELS
        return len(encoded) > _SLOW_BUFFERED_BYTES or scans.height * scans.width * scans.count > _SLOW_SCANNED_PIXELS
    try:
        return _pixels(encoded, INPUT_NAME, MAX_PIXELS) > _SLOW_PIXELS
    except DataError:
        return False  # which the model refuses by the header, too


def _transcoded(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    array = inputs[INPUT_NAME].copy()
    try:
        for row, encoded in enumerate(_images(inputs)):
            if _is_gif(encoded):
                array.flat[row] = first_gif_frame(encoded, f"{INPUT_NAME}, row {row}")
            elif _is_unknown_webp(encoded):
                array.flat[row] = _as_png(encoded, f"{INPUT_NAME}, row {row}")
    except DataError as error:
        raise _invalid(error) from None
    return inputs | {INPUT_NAME: array}


def _as_png(encoded: bytes, name: str) -> bytes:
    """Upright, for the PNG carries no EXIF."""
    with opened_header(encoded, name, _MAX_WEBP_PIXELS):
        pass
    return tf.io.encode_png(decode_photo(check_photo(encoded, name), name=name), compression=1).numpy()


def _images(inputs: dict[str, np.ndarray], name: str = INPUT_NAME) -> Sequence[bytes]:
    array = inputs.get(name)
    return () if array is None or array.dtype != object else array.ravel().tolist()


def _images_in_examples(inputs: dict[str, np.ndarray]) -> Sequence[bytes]:
    try:
        examples = [tf.train.Example.FromString(serialized) for serialized in _images(inputs, EXAMPLES_NAME)]
    except Exception:  # protobuf's DecodeError has a different home in each of its major versions
        return ()  # the model says what is wrong
    return [value for example in examples for value in example.features.feature[IMAGE_FEATURE].bytes_list.value]


def _is_gif(encoded: bytes) -> bool:
    return encoded[:4] == b"GIF8"


def _is_unknown_webp(encoded: bytes) -> bool:
    """Whether it is a WebP that graphs cannot decode: those of TensorFlow 2.15 cannot."""
    return _is_webp(encoded) and not hasattr(tf.io, "decode_webp")


def _is_webp(encoded: bytes) -> bool:
    return encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP"


def _invalid(error: Exception) -> ServingError:
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, str(error))
