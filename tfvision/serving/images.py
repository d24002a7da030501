"""Encoded images among the inputs: judged by their headers before any is decoded, and WebP where TensorFlow decodes none.

A JPEG of 5 MB can unpack to gigabytes.
"""

import asyncio
from collections.abc import Sequence

import grpc
import numpy as np
import tensorflow as tf

from tfvision.data.decoding import MAX_PIXELS, check_photo, decode_photo, opened_header
from tfvision.errors import DataError
from tfvision.serving.errors import ServingError

INPUT_NAME = "image_bytes"  # inputs of this name hold encoded images
_MAX_WEBP_PIXELS = 40_000_000
_IS_WEBP_DECODED = hasattr(tf.io, "decode_webp")  # by graphs; TensorFlow 2.15 cannot


def check_images(inputs: dict[str, np.ndarray], max_pixels: int = MAX_PIXELS) -> None:
    """Reads the header of each encoded image among the inputs of a request.

    Args:
      inputs: {name: array}; only string arrays named `image_bytes` are looked at.
      max_pixels: largest width x height.

    Raises:
      ServingError: INVALID_ARGUMENT, naming the first row that is no image or is too large.
    """
    for row, encoded in enumerate(_images(inputs)):
        try:
            with opened_header(encoded, f"{INPUT_NAME}, row {row}", max_pixels):
                pass
        except DataError as error:
            raise _invalid(error) from None


async def as_decodable(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inputs with each WebP as a PNG, where graphs cannot decode it; in a thread, for a small file may hold many pixels.

    Raises:
      ServingError: INVALID_ARGUMENT, naming the first row that is damaged.
    """
    if _IS_WEBP_DECODED or not any(map(_is_webp, _images(inputs))):
        return inputs
    return await asyncio.to_thread(_transcoded, inputs)


def _transcoded(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    array = inputs[INPUT_NAME].copy()
    try:
        for row, encoded in enumerate(_images(inputs)):
            if _is_webp(encoded):
                array.flat[row] = _as_png(encoded, f"{INPUT_NAME}, row {row}")
    except DataError as error:
        raise _invalid(error) from None
    return inputs | {INPUT_NAME: array}


def _as_png(encoded: bytes, name: str) -> bytes:
    """Upright, for the PNG carries no EXIF."""
    with opened_header(encoded, name, _MAX_WEBP_PIXELS):
        pass
    return tf.io.encode_png(decode_photo(check_photo(encoded, name), name=name), compression=1).numpy()


def _images(inputs: dict[str, np.ndarray]) -> Sequence[bytes]:
    array = inputs.get(INPUT_NAME)
    return () if array is None or array.dtype != object else array.ravel().tolist()


def _is_webp(encoded: bytes) -> bool:
    return encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP"


def _invalid(error: Exception) -> ServingError:
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, str(error))
