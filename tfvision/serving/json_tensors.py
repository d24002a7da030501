"""JSON values to arrays and back, by the rules of TensorFlow Serving's util/json_tensor.cc.

A list is checked whole, level by level, at the speed of C; only where that finds a fault are its values
walked one by one, to name the first wrong one in TensorFlow Serving's own words. It leaves that source in
these: an integer too large for a narrow type (300 for uint8) is refused, not wrapped; a string output that
is no UTF-8 is an error, not broken JSON; values quoted in errors are cut at 500 characters.
"""

import base64
import binascii
import json
import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

import grpc
import numpy as np
from tensorflow.core.framework import types_pb2

from tfvision.serving.errors import ServingError

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
_JSON_TYPES = {type(None): "Null", dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}
_EXACT_INTEGERS: dict[type, int] = {np.float32: 2**24 - 1, np.float64: 2**53 - 1}
_LARGEST: dict[type, float] = {dtype: float(np.finfo(dtype).max) for dtype in (np.float32, np.float64)}
_MAX_QUOTED_CHARACTERS = 500


class Unfit(Exception):
    """A value that is no dense tensor of its type; `walk` says why."""


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


def walk(value: Any, dtype: int, shape: Sequence[int], level: int = 0) -> None:
    """Raises TensorFlow Serving's error for the first part of a value that does not fit its type and shape."""
    if isinstance(value, list):
        if level >= len(shape):
            raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
        if len(value) != shape[level]:
            raise invalid(f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}")
        for item in value:
            walk(item, dtype, shape, level + 1)
    elif level != len(shape):
        where = f"found at incorrect level: {level + 1} in the JSON DOM. Expected at level: {len(shape)}"
        raise invalid(f"JSON Value: {quote(value)} {where}")
    else:
        _check_leaf(value, dtype)


def promised_shape(value: Any) -> list[int]:
    """The shape that the first element of every level promises."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return shape


def to_json(name: str, array: np.ndarray) -> Any:
    """An output -> nested lists that json prints; `{"b64": ...}` for strings where its name ends in `_bytes`."""
    array = np.asarray(array, object if isinstance(array, bytes) else None)
    if array.dtype == np.float32:
        return short_decimals(array).tolist()
    if array.dtype == np.float64 or array.dtype.kind in "iub":
        return array.tolist()
    if array.dtype.kind not in "OS":
        type_name = {"float16": "half"}.get(array.dtype.name, array.dtype.name)
        raise invalid(f"Failed to write JSON value for tensor type: {type_name}")
    values = np.empty(array.size, object)
    values[:] = [_string_to_json(name, value) for value in array.ravel().tolist()]
    return values.reshape(array.shape).tolist()


def short_decimals(array: np.ndarray | np.floating) -> np.ndarray:
    """float32 -> float64 that prints with the fewest digits, 6 or 9, that read back as the same float32.

    0.1 would print as 0.10000000149011612 otherwise. A decimal is an integer and a power of ten that double
    holds exactly, so that the quotient is the double nearest to it; other numbers are printed one by one.
    """
    array = np.asarray(array, np.float32)
    exact = array.astype(np.float64)
    decimals, todo = exact.copy(), np.isfinite(array) & (array != 0)
    with np.errstate(all="ignore"):
        exponent = np.floor(np.log10(np.abs(exact)))
        for digits in (6, 9):
            power = digits - 1 - exponent
            scale = 10.0 ** np.abs(power)
            rounded = np.where(power >= 0, np.rint(exact * scale) / scale, np.rint(exact / scale) * scale)
            fits = todo & (np.abs(power) <= 22) & (rounded.astype(np.float32) == array)
            decimals, todo = np.where(fits, rounded, decimals), todo & ~fits
    for index in np.argwhere(todo):
        decimals[tuple(index)] = float(str(array[tuple(index)]))
    return decimals


def decode_string(value: str | dict[str, str]) -> bytes:
    """A JSON string, or `{"b64": ...}`, -> bytes."""
    if not isinstance(value, dict):
        try:
            return value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise invalid("JSON Parse error: The surrogate pair in string is invalid.") from None
    if not is_base64(value):
        raise invalid(f"JSON Value: {quote(value)} not formatted correctly for base64 data")
    try:
        return _decode_base64(value["b64"])
    except ValueError:
        raise invalid("Unable to base64 decode") from None


def is_base64(value: Any) -> bool:
    """Whether a JSON value is `{"b64": "..."}`."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def is_lossless(value: float, dtype: type) -> bool:
    """Whether a number fits np.float32 or np.float64 (IsLosslessDecimal there)."""
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return abs(value) <= _EXACT_INTEGERS[dtype]
    try:
        value = float(value)  # RapidJSON reads longer integers as doubles
    except OverflowError:
        return False
    return not math.isfinite(value) or abs(value) <= _LARGEST[dtype]


def quote(value: Any) -> str:
    """A JSON value as errors print it; of a long one only the beginning is ever made."""
    if isinstance(value, float):
        return json.dumps(short_decimals(np.float32(value)).item() if abs(value) <= _LARGEST[np.float32] else value)
    text = ""
    for part in json.JSONEncoder(indent=4, ensure_ascii=False).iterencode(value):
        text += part
        if len(text) > _MAX_QUOTED_CHARACTERS:
            return text[:_MAX_QUOTED_CHARACTERS] + "..."
    return text


def json_type(value: Any) -> str:
    """RapidJSON's name of a value's type."""
    return str(value) if isinstance(value, bool) else _JSON_TYPES[type(value)]


def invalid(message: str) -> ServingError:
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


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
        fits = not found - {int, float} and _are_lossless(items, int in found, dtype)
    if not fits:
        raise Unfit
    return np.array(items, dtype)


def _are_lossless(items, has_integers, dtype):
    try:
        sizes = np.abs(np.array(items, np.float64))
    except OverflowError:
        return False
    limit = _EXACT_INTEGERS[dtype] if has_integers else _LARGEST[dtype]
    if not np.any(sizes[np.isfinite(sizes)] > limit):
        return True
    return all(is_lossless(item, dtype) for item in items)  # seldom: large numbers, some of them written as integers


def _check_leaf(value, dtype):
    name, numpy_type = TYPES.get(dtype) or (types_pb2.DataType.Name(dtype).removeprefix("DT_").lower(), None)
    if isinstance(value, dict) and numpy_type is object:
        decode_string(value)
    elif numpy_type is None and not isinstance(value, dict):
        raise ServingError(grpc.StatusCode.UNIMPLEMENTED, f"Conversion of JSON Value: {quote(value)} to type: {name}")
    else:
        _check_type(value, name, numpy_type)


def _check_type(value, name, numpy_type):
    is_number = type(value) in (int, float)
    if numpy_type in _EXACT_INTEGERS and is_number and not is_lossless(value, numpy_type):
        raise invalid(f"Cannot convert JSON value: {quote(value)} to {name} without loss of precision.")
    try:
        _leaves([value], numpy_type)
    except Unfit:
        raise invalid(f"JSON Value: {quote(value)} Type: {json_type(value)} is not of expected type: {name}") from None


def _string_to_json(name, value):
    if name.endswith("_bytes"):
        return {"b64": base64.b64encode(value).decode()}
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise invalid(f"Output {name} holds bytes that are no UTF-8 text; named {name}_bytes, it would be sent as base64") from None


def _decode_base64(text):
    """As absl::Base64Unescape: white space is skipped, padding may be missing."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        text = "".join(text.split())
        return binascii.a2b_base64(text if "=" in text else text + "=" * (-len(text) % 4), strict_mode=True)
