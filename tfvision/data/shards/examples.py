"""A prepared photo as a tf.train.Example, as any reader of TFRecords parses it.

Features: image/encoded, image/format ("jpeg"), image/name, image/height, image/width; label (the class in labels.json, -1 where
the lineage ends above a class) and label/RANK (the name) for each rank; group, split, box (left, top, width, height; empty where
there is none).
"""

import typing
from collections.abc import Sequence

import tensorflow as tf

IMAGE_FEATURE = "image/encoded"


class DescribedPhoto(typing.Protocol):
    """What an Example says of a photo beside its pixels: as a manifest's record has it."""

    @property
    def name(self) -> str: ...

    @property
    def lineage(self) -> tuple[str, ...]: ...

    @property
    def group(self) -> str: ...

    @property
    def split(self) -> str: ...

    @property
    def box(self) -> tuple[float, float, float, float]: ...


def serialize(image: bytes, height: int, width: int, record: DescribedPhoto, ranks: Sequence[str], label: int) -> bytes:
    """The bytes of an Example, the image's last: so a record's end is known from where its image lies.

    Args:
      image: bytes of a JPEG.
      height, width: of the image.
      record: its box in pixels of the image.
      ranks: of the record's lineage.
      label: its class.
    """
    features = {
        "image/format": _text("jpeg"),
        "image/name": _text(record.name),
        "image/height": _integer(height),
        "image/width": _integer(width),
        "label": _integer(label),
        "group": _text(record.group),
        "split": _text(record.split),
        "box": tf.train.Feature(float_list=tf.train.FloatList(value=record.box if record.box[2] else ())),
        **{f"label/{rank}": _text(name) for rank, name in zip(ranks, record.lineage, strict=True)},
    }
    others = tf.train.Features(feature=features).SerializeToString(deterministic=True)
    # A protocol buffer may give its fields in any order, and a map is a repeated field of (1: key, 2: value).
    value = _field(1, _field(1, image))  # Feature.bytes_list, BytesList.value
    return _field(1, others + _field(1, _field(1, IMAGE_FEATURE.encode()) + _field(2, value)))  # Example.features, Features.feature


def _text(text):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode()]))


def _integer(value):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def _field(number, content):
    """A field of a protocol buffer whose content has a length."""
    length, size = bytearray(), len(content)
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes((number << 3 | 2,)) + bytes(length) + bytes((size,)) + content
