"""JSON values to arrays, by the rules of TensorFlow Serving's util/json_tensor.cc.

A list is checked whole, level by level, at the speed of C; only where that finds a fault are its values
walked one by one, to name the first wrong one in TensorFlow Serving's own words. It leaves that source in
these: an integer too large for a narrow type (300 for uint8) is refused, not wrapped; a tensor has as many
dimensions as numpy allows (32 or 64), not 254.
"""

import binascii
import re
from collections.abc import Sequence
from itertools import chain
from typing import Any

import grpc
import numpy as np
from tensorflow.core.framework import types_pb2

from tfvision.serving.errors import ServingError
from tfvision.serving.json_text import json_type, quote

TYPES = {  # DataType -> TensorFlow's name of it, numpy's type: what JSON can carry
    types_pb2.DT_FLOAT: ("float", np.float32),
    types_pb2.DT_DOUBLE: ("double", np.float64),
    types_pb2.DT_INT8: ("int8", np.int8),
    types_pb2.DT_INT16: ("int16", np.int16),
    types_pb2.DT_INT32: ("int32", np.int32),
    types_pb2.DT_INT64: ("int64", np.int64),
    types_pb2.DT_UINT8: ("uint8", np.uint8),
    types_pb2.DT_UINT32: ("uint32", np.uint32),
    types_pb2.DT_UINT64: ("uint64", np.uint64),
    types_pb2.DT_BOOL: ("bool", np.bool_),
    types_pb2.DT_STRING: ("string", object),
}
_MAX_DIMENSIONS = 254  # TensorFlow's
_BASE64 = re.compile(r"([A-Za-z0-9+/]*)([=.]*)")
_PADDING = {0: 0, 2: 2, 3: 1}  # characters in the last group of four -> what may pad them


class Unfit(Exception):
    """A value that is no dense tensor of its type; `explain` says why."""


def to_array(value: Any, dtype: int) -> np.ndarray:
    """A value or nested list -> array of a DataType; strings become bytes in an array of objects. Raises Unfit."""
    shape, items = [], [value]
    while items and type(items[0]) is list:
        size = len(items[0])
        if set(map(type, items)) != {list} or set(map(len, items)) != {size}:
            raise Unfit
        shape.append(size)
        items = list(chain.from_iterable(items))
    if dtype not in TYPES:
        raise Unfit
    try:
        return _leaves(items, TYPES[dtype][1]).reshape(shape)
    except (ServingError, ValueError):  # a string that cannot be decoded; more dimensions than numpy has
        raise Unfit from None


def explain(name: str, value: Any, dtype: int) -> list[int]:
    """Raises TensorFlow Serving's error for the first part of a value that is no dense tensor of its type, or gives its shape."""
    shape = _promised_shape(value)
    if len(shape) > _MAX_DIMENSIONS:  # by its own words, once all values are read; the walk would go too deep
        raise invalid(f"tensor parsing error: {name}: {len(shape)} dimensions are too many")
    _walk(value, dtype, shape)
    return shape


def decode_string(value: str | dict[str, str]) -> bytes:
    """A JSON string, or `{"b64": ...}`, -> bytes."""
    if not isinstance(value, dict):
        return value.encode("utf-8", "surrogateescape")
    if not is_base64(value):
        raise invalid(f"JSON Value: {quote(value)} not formatted correctly for base64 data")
    try:
        return _decode_base64(value["b64"])
    except ValueError:
        raise invalid("Unable to base64 decode") from None


def is_base64(value: Any) -> bool:
    """Whether a JSON value is `{"b64": "..."}`."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def invalid(message: str) -> ServingError:
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def _promised_shape(value: Any) -> list[int]:
    """The shape that the first element of every level promises."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return shape


def _walk(value: Any, dtype: int, shape: Sequence[int], level: int = 0) -> None:
    if isinstance(value, list):
        if level >= len(shape):
            raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
        if len(value) != shape[level]:
            raise invalid(f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}")
        for item in value:
            _walk(item, dtype, shape, level + 1)
    elif level != len(shape):
        where = f"found at incorrect level: {level + 1} in the JSON DOM. Expected at level: {len(shape)}"
        raise invalid(f"JSON Value: {quote(value)} {where}")
    else:
        _check_leaf(value, dtype)


def _leaves(items, dtype):
    found = set(map(type, items))
    if dtype is object:
        if found - {str, dict}:
            raise Unfit
        array = np.empty(len(items), object)
        array[:] = [decode_string(item) for item in items]
        return array
    if dtype is np.bool_:
        fits = not found - {bool}
    elif np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        fits = not found - {int} and (not items or limits.min <= min(items) <= max(items) <= limits.max)
    else:
        fits = not found - {int, float}
    if not fits:
        raise Unfit
    with np.errstate(over="ignore"):  # a decimal beyond float32 is infinite
        return np.array(items, dtype)


def _check_leaf(value, dtype):
    name, numpy_type = TYPES.get(dtype) or (types_pb2.DataType.Name(dtype).removeprefix("DT_").lower(), None)
    if isinstance(value, dict) and numpy_type is object:
        decode_string(value)
    elif numpy_type is None and not isinstance(value, dict):
        raise ServingError(grpc.StatusCode.UNIMPLEMENTED, f"Conversion of JSON Value: {quote(value)} to type: {name}")
    else:
        _check_type(value, name, numpy_type)


def _check_type(value, name, numpy_type):
    try:
        _leaves([value], numpy_type)
    except Unfit:
        raise invalid(f"JSON Value: {quote(value)} Type: {json_type(value)} is not of expected type: {name}") from None


def _decode_base64(text):
    """As absl::Base64Unescape: white space is skipped; the padding, of `=` or `.`, is whole or missing."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        match = _BASE64.fullmatch("".join(text.split()))
    if not match or len(match[1]) % 4 == 1 or len(match[2]) not in (0, _PADDING[len(match[1]) % 4]):
        raise ValueError("no base64")
    return binascii.a2b_base64(match[1] + "=" * (-len(match[1]) % 4))
