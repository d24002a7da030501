"""The plain data of a pickle, without unpickling it: lists, dicts, texts, numbers, and NumPy's arrays of numbers.

The benchmarks of retrieval publish their ground truth as pickles, which can run any code when they are loaded. Here their instructions are
read one by one (`pickletools.genops` only lists them) and followed where they build plain data. No name in the file is ever imported or
called: NumPy's five (and two of bytes) are known by their spelling, and their bytes become an array here. Whatever else a file names is refused.
"""

import pickletools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfvision.errors import DataError

MOST_BYTES = 1 << 26  # the largest ground truth has about one megabyte
MOST_VALUES = 1 << 20  # a file can name the same list again and again
_NUMBERS = "biuf"  # kinds of dtype
_MARK = object()
_NAMES = {
    **{f"numpy.{core}.multiarray {name}": name for core in ("core", "_core") for name in ("_reconstruct", "scalar")},
    **{f"numpy.{core}.numeric _frombuffer": "_frombuffer" for core in ("core", "_core")},
    "numpy dtype": "dtype",
    "numpy ndarray": "ndarray",
    "_codecs encode": "encode",
    "__builtin__ bytes": "bytes",
    "builtins bytes": "bytes",
}


class _Name(str):
    """A name that NumPy's arrays are made by, of which nothing is imported."""


class _Dtype:
    def __init__(self, code: str) -> None:
        self.code, self.order = code, "="

    def numpy(self) -> np.dtype:
        dtype = np.dtype(self.code).newbyteorder(self.order)
        if dtype.kind not in _NUMBERS:
            raise ValueError(f"an array of {dtype}")
        return dtype


class _Array:
    def __init__(self) -> None:
        self.values = np.zeros(0)

    def fill(self, content: Any, dtype: _Dtype, shape: Any, order: str) -> None:
        self.values = np.frombuffer(_bytes(content), dtype.numpy()).reshape(shape, order="F" if order == "F" else "C")


def read_plain_pickle(path: Path | str) -> Any:
    """What a pickle of plain data holds; arrays come as lists. Raises DataError where it is damaged or holds anything else."""
    try:
        data = Path(path).read_bytes() if Path(path).stat().st_size <= MOST_BYTES else b""
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error})") from error
    try:
        return _value(data)
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, MemoryError, RecursionError) as error:
        raise DataError(
            f"{path} is a pickle that is not read: {error}. Only lists, dicts, texts, numbers and NumPy's arrays of numbers are, since a pickle "
            "can run code when it is loaded: save it as JSON elsewhere"
        ) from error


def _value(data: bytes) -> Any:
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        if name == "STOP":
            return _plain(stack.pop())
        if name in ("PROTO", "FRAME"):
            continue
        if name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in _SCALARS:
            stack.append(argument)
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            stack.append(_known(argument if name == "GLOBAL" else " ".join(_popped(stack, 2))))
        elif name in _FOLLOWED:
            _FOLLOWED[name](stack)
        else:
            raise ValueError(f"it holds the instruction {name}")
    raise ValueError("it ends too early")


def _popped(stack: list[Any], count: int) -> list[Any]:
    values = stack[-count:]
    if len(values) < count or any(value is _MARK for value in values):
        raise IndexError("it is damaged")
    del stack[-count:]
    return values


def _marked(stack: list[Any]) -> list[Any]:
    """What lies above the last mark, which is taken away with it."""
    start = next((row for row in reversed(range(len(stack))) if stack[row] is _MARK), None)
    if start is None:
        raise IndexError("it is damaged")
    values = stack[start + 1 :]
    del stack[start:]
    return values


def _known(name: str) -> _Name:
    if name not in _NAMES:
        raise ValueError(f"it names {name}")
    return _Name(_NAMES[name])


def _reduce(stack: list[Any]) -> None:
    name, arguments = _popped(stack, 2)
    if not isinstance(name, _Name) or not isinstance(arguments, tuple):
        raise ValueError("it calls what is no name")
    if name == "bytes" and not arguments:
        stack.append(b"")
    elif name == "encode":
        stack.append(arguments[0].encode("latin-1"))
    elif name == "dtype":
        stack.append(_Dtype(_text(arguments[0])))
    elif name == "scalar":
        stack.append(np.frombuffer(_bytes(arguments[1]), arguments[0].numpy(), count=1)[0].item())
    elif name == "_reconstruct":
        stack.append(_Array())
    elif name == "_frombuffer":
        stack.append(_Array())
        stack[-1].fill(*arguments)
    else:
        raise ValueError(f"it calls {name}")


def _build(stack: list[Any]) -> None:
    made, state = _popped(stack, 2)
    if isinstance(made, _Dtype):
        made.order = _text(state[1]).replace("|", "=")
    elif isinstance(made, _Array):
        _, shape, dtype, is_fortran, content = state
        made.fill(content, dtype, shape, "F" if is_fortran else "C")
    else:
        raise ValueError("it sets the state of an object")
    stack.append(made)


def _extend(stack: list[Any], values: list[Any]) -> None:
    if not isinstance(stack[-1], list):
        raise ValueError("it adds to what is no list")
    stack[-1].extend(values)


def _set(stack: list[Any], values: list[Any]) -> None:
    if not isinstance(stack[-1], dict):
        raise ValueError("it adds to what is no dict")
    stack[-1].update(zip(values[::2], values[1::2], strict=True))


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _bytes(value: Any) -> bytes:
    """Of an array; Python 2 wrote them as a text."""
    return value.encode("latin-1") if isinstance(value, str) else value


def _plain(value: Any, depth: int = 0, seen: Iterator[int] | None = None) -> Any:
    """The value with texts for bytes and lists for arrays and tuples."""
    seen = seen or iter(range(MOST_VALUES))
    if depth > 8 or next(seen, None) is None:  # a list may hold itself
        raise ValueError("it is nested too deeply, or holds too many values")
    if isinstance(value, dict):
        return {_plain(key, depth + 1, seen): _plain(one, depth + 1, seen) for key, one in value.items()}
    if isinstance(value, _Array):
        value = value.values.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(one, depth + 1, seen) for one in value]
    if isinstance(value, (bytes, bytearray)):
        return value.decode()
    if isinstance(value, (str, int, float, type(None))) and not isinstance(value, _Name):
        return value
    raise ValueError("it holds an object")


_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "MARK": lambda: _MARK,
}
_SCALARS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *(
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
        "UNICODE",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE8",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
    ),
}
_FOLLOWED: dict[str, Callable[[list[Any]], None]] = {
    "POP": lambda stack: stack.pop() and None,
    "POP_MARK": lambda stack: _marked(stack) and None,
    "LIST": lambda stack: stack.append(_marked(stack)),
    "TUPLE": lambda stack: stack.append(tuple(_marked(stack))),
    "TUPLE1": lambda stack: stack.append(tuple(_popped(stack, 1))),
    "TUPLE2": lambda stack: stack.append(tuple(_popped(stack, 2))),
    "TUPLE3": lambda stack: stack.append(tuple(_popped(stack, 3))),
    "DICT": lambda stack: stack.append(dict(zip((values := _marked(stack))[::2], values[1::2], strict=True))),
    "APPEND": lambda stack: _extend(stack, _popped(stack, 1)),
    "APPENDS": lambda stack: _extend(stack, _marked(stack)),
    "SETITEM": lambda stack: _set(stack, _popped(stack, 2)),
    "SETITEMS": lambda stack: _set(stack, _marked(stack)),
    "REDUCE": _reduce,
    "BUILD": _build,
}
