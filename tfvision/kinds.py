"""Of what kind a value is that was read from a file of JSON: what we wrote may have been damaged or changed since."""

import math
import types
import typing
from collections.abc import Collection, Mapping

_TYPES_ALONE = {str, bool, type(None)}  # of which every value is one that can be
_LARGEST_WHOLE = 2**63  # beyond it NumPy and TensorFlow have no whole numbers

Kind = typing.Any
"""A hint of a type (`float`, `str | None`, `tuple[int, ...]`, `dict[str, float]`); `[kind]`, a list of such; `{"name": kind}`, an object that has these parts
and perhaps others, one that is missing being None; `{str: kind}`, an object all of whose parts are such."""


def is_of(value: typing.Any, kind: Kind) -> bool:
    """Whether a value of JSON, its lists as lists or tuples, is of a kind; numbers are finite, whole ones below 2 ** 63."""
    if isinstance(kind, Mapping):
        return isinstance(value, dict) and wrong_part(value, kind) is None
    if isinstance(kind, list):
        return isinstance(value, (list, tuple)) and _are_of(value, kind[0])
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return any(is_of(value, one) for one in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        parts = typing.get_args(kind)
        if not isinstance(value, (list, tuple)):
            return False
        return _are_of(value, parts[0]) if parts[-1] is ... else len(value) == len(parts) and all(map(is_of, value, parts))
    if typing.get_origin(kind) is dict:
        return isinstance(value, dict) and _are_of(value.values(), typing.get_args(kind)[1])
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and _is_finite(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST_WHOLE
    return isinstance(value, kind)


def wrong_part(value: Mapping[str, typing.Any], kinds: Mapping[typing.Any, Kind]) -> str | None:
    """The name of the first part of an object that is missing or of another kind; None where there is none."""
    wanted = dict.fromkeys(value, kinds[str]) if str in kinds else kinds
    return next((name for name, kind in wanted.items() if not is_of(value.get(name), kind)), None)


def tuples(value: typing.Any) -> typing.Any:
    """Of JSON: its lists, and lists in these, as tuples."""
    return tuple(tuples(part) for part in value) if isinstance(value, list) else value


def _are_of(values: Collection[typing.Any], kind: Kind) -> bool:
    """Whether all are of a kind: of millions of texts, only their types are looked at."""
    allowed = (
        set(typing.get_args(kind) if typing.get_origin(kind) in (types.UnionType, typing.Union) else (kind,))
        if not isinstance(kind, (Mapping, list))
        else set()
    )
    if allowed and allowed <= _TYPES_ALONE:
        return set(map(type, values)) <= allowed
    return all(is_of(value, kind) for value in values)


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number that no float can be
        return False
