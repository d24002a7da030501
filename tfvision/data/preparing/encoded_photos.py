"""Photos as prepared data holds them: upright JPEGs of bounded size."""

import dataclasses
import typing

import numpy as np

from tfvision.data.decoding import JPEG_RATIOS, decode_photo, read_photo
from tfvision.data.manifest import Record
from tfvision.errors import DataError

# The crop view at evaluation is 0.875 x 0.5 of each side: of a photo of 3:2 with 1056 px on its longer side 308 px, and the
# species networks want 299. Photos of 1024 px, iNaturalist's largest, stay as they are.
DEFAULT_SIZE_PX = 1056
DEFAULT_QUALITY = 90
_BOX_PX = 299  # that the shorter side of a box keeps, where ...
_MOST_ENLARGED = 2  # ... the photo's bound grows to this many times at most


@dataclasses.dataclass(frozen=True)
class PreparedSettings:
    """How photos are prepared.

    Attributes:
      size_px: bound of the longer side; up to twice as much where a box would fall below 299 px.
      quality: of JPEG, 1 to 95, of photos that are encoded anew.
      seed: decides which photos share a shard.
    """

    size_px: int = DEFAULT_SIZE_PX
    quality: int = DEFAULT_QUALITY
    seed: int = 0


class EncodedPhoto(typing.NamedTuple):
    """A photo as it is stored: JPEG bytes, their pixels, and the (x, y) by which these were scaled."""

    encoded: bytes
    height: int
    width: int
    scale: tuple[float, float]


def encode_photo(record: Record, settings: PreparedSettings) -> EncodedPhoto | DataError:
    """A record's photo, upright and within the bound, as an EncodedPhoto; the DataError of a broken one."""
    import PIL.Image
    import tensorflow as tf

    try:
        photo = read_photo(record.path)
        scale = _scale(photo, record.box, settings.size_px)
        if scale == 1 and photo.orientation == 1 and photo.encoded[:2] == b"\xff\xd8":
            decode_photo(photo, JPEG_RATIOS[-1], name=record.name)  # whether its pixels are whole
            return EncodedPhoto(photo.encoded, photo.height, photo.width, (1.0, 1.0))
        height, width = (max(1, round(scale * side)) for side in (photo.height, photo.width))
        ratio = max(ratio for ratio in JPEG_RATIOS if ratio == 1 or (photo.height // ratio >= height and photo.width // ratio >= width))
        pixels = decode_photo(photo, ratio, name=record.name)
    except DataError as error:
        return error
    if pixels.shape[:2] != (height, width):
        pixels = np.asarray(PIL.Image.fromarray(pixels).resize((width, height), PIL.Image.Resampling.LANCZOS))
    encoded = tf.io.encode_jpeg(pixels, quality=settings.quality).numpy()
    return EncodedPhoto(encoded, height, width, (width / photo.width, height / photo.height))


def _scale(photo, box, size_px):
    longer, smallest = max(photo.height, photo.width), min(box[2:])
    bound = min(max(size_px, longer * _BOX_PX / smallest), _MOST_ENLARGED * size_px) if smallest > 0 else size_px
    return min(1.0, bound / longer)
