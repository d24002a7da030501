"""Named tensors in a file, read one by one: safetensors, npz and Caffe's. Nothing is ever unpickled."""

import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from tfvision.errors import WeightsError, in_one_line
from tfvision.files import parse_json
from tfvision.models.protobuf_tensors import CaffeModel

PICKLES = (".pth", ".pt", ".pkl", ".pickle", ".bin", ".ckpt", ".tar")
_SAFETENSORS_TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}
_MAX_HEADER_BYTES = 1 << 20
_MAX_NPZ_BYTES = 1 << 30  # of one array, which a few bytes can claim
DAMAGE = (OSError, ValueError, KeyError, TypeError, IndexError, EOFError, MemoryError, OverflowError, zipfile.BadZipFile, zlib.error)  # what reading one raises


def open_tensors(path: Path | str) -> "TensorFile":
    """Opens a file of tensors.

    Args:
      path: a .safetensors, .npz or .caffemodel file.

    Raises:
      WeightsError: another kind of file, or a damaged one; reading a tensor raises ValueError where it is damaged.
    """
    path = Path(path)
    refuse_pickle(path)
    if path.suffix not in _KINDS:
        raise WeightsError(f"{path} is not of a kind that is read: {', '.join(_KINDS)}")
    try:
        return _KINDS[path.suffix](path)
    except DAMAGE as error:
        raise WeightsError(f"{path} is damaged or no {path.suffix} file ({in_one_line(error)})") from error


def refuse_pickle(path: Path | str) -> None:
    """Raises WeightsError where a file is called like a pickle."""
    if Path(path).suffix in PICKLES:
        raise WeightsError(f"{path} is a pickle, which can run code when it is read: convert it to .safetensors{how_to_convert(path)}")


def how_to_convert(path: Path | str) -> str:
    """The words after "convert it": how a pickle of PyTorch becomes a .safetensors."""
    old, new = Path(path).name, Path(path).with_suffix(".safetensors").name
    command = f"import torch, safetensors.torch as s; s.save_file(torch.load('{old}', weights_only=True), '{new}')"
    return f', where PyTorch and safetensors are, by: python -c "{command}"'


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
            size = os.fstat(file.fileno()).st_size - self._begin
        self._header.pop("__metadata__", None)
        for name, entry in self._header.items():
            low, high = entry["data_offsets"]
            if not 0 <= low <= high <= size:
                raise ValueError(f"{name} lies at {low} to {high} of {size} bytes: was it downloaded whole?")

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


class _Npz:
    """A zip archive of arrays; none may claim more values than it holds."""

    def __init__(self, path: Path) -> None:
        self._arrays = np.load(path, allow_pickle=False)
        if not isinstance(self._arrays, np.lib.npyio.NpzFile):
            raise ValueError("one array without a name")

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays.files)

    def __contains__(self, name: object) -> bool:
        return name in self._arrays.files

    def __getitem__(self, name: str) -> np.ndarray:
        held = self._arrays.zip.getinfo(f"{name}.npy").file_size
        with self._arrays.zip.open(f"{name}.npy") as file:
            read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[np.lib.format.read_magic(file)]
            shape, _, dtype = read_header(file)
        if not dtype.itemsize * np.prod(shape, dtype=object) <= held <= _MAX_NPZ_BYTES:
            raise ValueError(f"{name} of shape {shape} claims to lie in {held} bytes")
        return self._arrays[name]


_KINDS: dict[str, Callable[[Path], TensorFile]] = {".safetensors": _Safetensors, ".npz": _Npz, ".caffemodel": CaffeModel}
