"""JSON as TensorFlow Serving prints it: numbers by util/json_tensor.cc's WriteDecimal, values in errors by RapidJSON's PrettyWriter.

It leaves its source in these: answers carry no white space; a string output that is no UTF-8 is an error, not broken JSON; of a long
value in an error only the beginning is ever made, and NaN in it is printed, where RapidJSON's writer gives up.
"""

import base64
import json
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import grpc
import numpy as np

from tfvision.serving.errors import ServingError

_MAX_QUOTED_CHARACTERS = 500
_MOST_AT_ONCE = 50_000  # values that are printed in one step
_LARGEST_SINGLE = float(np.finfo(np.float32).max)
_USUAL = 1e-13, 1e6  # the sizes of float32 that Python prints in the same digits
_NAMES = {"float16": "half"}  # numpy's name of a type -> TensorFlow's, where it is another
_PRINTED = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint32, np.uint64, np.bool_)


def dump(document: Any) -> str:
    """A document -> JSON; NaN, Infinity and -Infinity stand bare, as TensorFlow Serving prints them."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def tensor_texts(name: str, array: np.ndarray, is_row: bool) -> list[str]:
    """An output -> JSON: one text a row, or one in all; `{"b64": ...}` for strings where its name ends in `_bytes`.

    Raises:
      ServingError: INVALID_ARGUMENT for a type that JSON cannot carry.
    """
    array = np.asarray(array, object if isinstance(array, bytes) else None)
    if array.size > _MOST_AT_ONCE:
        if len(array) == 1:
            texts = tensor_texts(name, array[0], False)
        else:
            texts = [text for part in _parts(array) for text in tensor_texts(name, part, True)]
        return texts if is_row else [f"[{','.join(texts)}]"]
    if array.dtype.kind in "OS":
        array = _each(array, lambda value: _string_to_json(name, value))
    elif array.dtype == np.float32 and not _has_unusual(array):
        array = short_decimals(array)
    elif array.dtype in (np.float32, np.float64):
        is_single = array.dtype == np.float32
        array = _each(array, lambda value: decimal_text(value, is_single))
        return [_joined(part) for part in (array if is_row else [array])]
    elif array.dtype not in _PRINTED:
        type_name = _NAMES.get(array.dtype.name, array.dtype.name)
        raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, f"Failed to write JSON value for tensor type: {type_name}")
    values = array.tolist()
    return [dump(value) for value in (values if is_row else [values])]


def decimal_text(value: float, is_single: bool = True) -> str:
    """A float32 or a double in six digits, or in all where six read back as another number; never without a point or an exponent."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    text = f"{value:.6g}"
    if (np.float32(text) != np.float32(value)) if is_single else float(text) != value:
        text = f"{value:.9g}" if is_single else f"{value:.17g}"
    return text if "." in text or "e" in text else text + ".0"


def short_decimals(array: np.ndarray) -> np.ndarray:
    """float32 of the usual sizes, 0, NaN or infinite -> float64 that Python prints as `decimal_text` does, many at once.

    0.1 would print as 0.10000000149011612 otherwise. A decimal is an integer and a power of ten that double
    holds exactly, so that the quotient is the double nearest to it.
    """
    exact = array.astype(np.float64)
    decimals, todo = exact.copy(), np.isfinite(array) & (array != 0)
    with np.errstate(all="ignore"):
        exponent = np.floor(np.log10(np.abs(exact)))
        for digits in (6, 9):
            power = digits - 1 - exponent
            scale = 10.0 ** np.abs(power)
            rounded = np.where(power >= 0, np.rint(exact * scale) / scale, np.rint(exact / scale) * scale)
            fits = todo & (rounded.astype(np.float32) == array)
            decimals, todo = np.where(fits, rounded, decimals), todo & ~fits
    return decimals


def quote(value: Any) -> str:
    """A JSON value as errors print it."""
    if isinstance(value, float):
        is_single = abs(value) <= _LARGEST_SINGLE
        return decimal_text(float(np.float32(value)) if is_single else value, is_single)
    text = ""
    for part in _pretty(value, "\n"):
        text += part
        if len(text) > _MAX_QUOTED_CHARACTERS:
            return text[:_MAX_QUOTED_CHARACTERS] + "..."
    return text


def json_type(value: Any) -> str:
    """RapidJSON's name of a value's type."""
    if value is None or isinstance(value, bool):
        return "Null" if value is None else str(value)
    return next(name for kind, name in ((dict, "Object"), (list, "Array"), (str, "String"), ((int, float), "Number")) if isinstance(value, kind))


def _parts(array):
    """Along the first axis, so that a large output is made in steps, between which other threads have their turn."""
    rows = max(1, _MOST_AT_ONCE * len(array) // array.size)
    return (array[start : start + rows] for start in range(0, len(array), rows))


def _has_unusual(array):
    sizes = np.abs(array[np.isfinite(array) & (array != 0)])
    return bool(sizes.size) and not _USUAL[0] <= sizes.min() <= sizes.max() < _USUAL[1]


def _each(array, function):
    texts = np.empty(array.size, object)
    texts[:] = [function(value) for value in array.ravel().tolist()]
    return texts.reshape(array.shape)


def _joined(texts):
    return texts if isinstance(texts, str) else texts.item() if not texts.ndim else f"[{','.join(map(_joined, texts))}]"


def _string_to_json(name, value):
    if name.endswith("_bytes"):
        return {"b64": base64.b64encode(value).decode()}
    try:
        return value.decode()
    except UnicodeDecodeError:
        message = f"Output {name} holds bytes that are no UTF-8 text; named {name}_bytes, it would be sent as base64"
        raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, message) from None


def _pretty(value: Any, line: str) -> Iterator[str]:
    """The parts of a value's text, whose lines begin with `line`."""
    inner = line + 4 * " "
    if isinstance(value, dict):
        yield "{"
        for position, (name, member) in enumerate(value.items()):
            yield f"{',' if position else ''}{inner}{_string(name)}: "
            yield from _pretty(member, inner)
        yield f"{line}}}" if value else "}"
    elif isinstance(value, list):
        yield "["
        for position, item in enumerate(value):
            yield f"{',' if position else ''}{inner}"
            yield from _pretty(item, inner)
        yield f"{line}]" if value else "]"
    elif isinstance(value, float):
        yield _shortest(value)
    else:
        yield _string(value) if isinstance(value, str) else json.dumps(value)


def _string(text: str) -> str:
    """RapidJSON writes the hex digits of control characters as capitals."""
    return re.sub(r"\\\\|\\u[0-9a-f]{4}", lambda match: match[0][:2] + match[0][2:].upper(), json.dumps(text, ensure_ascii=False))


def _shortest(value: float) -> str:
    """A double in RapidJSON's own spelling (internal/dtoa.h)."""
    if not math.isfinite(value):
        return decimal_text(value)
    sign, figures, exponent = Decimal(repr(value)).normalize().as_tuple()
    digits, point = "".join(map(str, figures)), len(figures) + int(exponent)
    if value == 0:
        text = "0.0"
    elif 0 < point <= 21:
        text = f"{digits[:point]:0<{point}}.{digits[point:] or 0}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        text = f"{digits[0]}{'.' if len(digits) > 1 else ''}{digits[1:]}e{point - 1}"
    return f"{'-' if sign else ''}{text}"
