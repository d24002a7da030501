"""Named tensors in a file, read one by one: safetensors and npz. Nothing is ever unpickled."""

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from tfvision.errors import WeightsError
from tfvision.files import parse_json

PICKLES = (".pth", ".pt", ".pkl", ".pickle", ".bin", ".ckpt")
_SAFETENSORS_TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}
_MAX_HEADER_BYTES = 1 << 20


def open_tensors(path: Path | str) -> "TensorFile":
    """Opens a file of tensors.

    Args:
      path: a .safetensors or .npz file.

    Raises:
      WeightsError: another kind of file, or a damaged one; reading a tensor raises ValueError where it is damaged.
    """
    path = Path(path)
    refuse_pickle(path)
    if path.suffix not in _KINDS:
        raise WeightsError(f"{path} is not of a kind that is read: {', '.join(_KINDS)}")
    try:
        return _KINDS[path.suffix](path)
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path} is damaged or no {path.suffix} file ({str(error).splitlines()[0][:120]})") from error


def refuse_pickle(path: Path | str) -> None:
    """Raises WeightsError where a file is called like a pickle."""
    if Path(path).suffix in PICKLES:
        raise WeightsError(f"{path} is a pickle, which can run code when it is read: convert it to .safetensors elsewhere")


class TensorFile(Protocol):
    """Tensors by name; reading one raises ValueError where it is damaged."""

    def __iter__(self) -> Iterator[str]: ...

    def __contains__(self, name: object) -> bool: ...

    def __getitem__(self, name: str) -> np.ndarray: ...


class _Safetensors:
    """A length of 8 bytes, a JSON header of that length {name: dtype, shape, offsets}, the values."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _MAX_HEADER_BYTES:
                raise ValueError(f"its header claims {length} bytes")
            self._header = dict(parse_json(file.read(length)))
        self._begin = 8 + length
        self._header.pop("__metadata__", None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._header)

    def __contains__(self, name: object) -> bool:
        return name in self._header

    def __getitem__(self, name: str) -> np.ndarray:
        entry = self._header[name]
        low, high = entry["data_offsets"]
        dtype = np.dtype(_SAFETENSORS_TYPES[entry["dtype"]])
        if high - low != dtype.itemsize * np.prod(entry["shape"], dtype=object):
            raise ValueError(f"{name} of shape {entry['shape']} claims {high - low} bytes")
        with open(self._path, "rb") as file:
            file.seek(self._begin + low)
            values = np.frombuffer(file.read(high - low), dtype)
        if entry["dtype"] == "BF16":  # the upper half of a float32
            values = (values.astype(np.uint32) << 16).view(np.float32)
        return values.reshape(entry["shape"])


_KINDS: dict[str, Callable[[Path], TensorFile]] = {".safetensors": _Safetensors, ".npz": lambda path: np.load(path, allow_pickle=False)}
