"""Requests that are large or have many values are read in a process of its own: Python reads JSON and messages in one step, in which
nobody else is answered, and a value of two bytes may become a hundred.

The process has an end of its memory, and is ended with the time of its request. It imports no TensorFlow.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import grpc

from tfvision.serving.errors import ServingError, TooLargeError, as_serving_error

LARGE_BYTES = 4 * 2**20
_MOST_VALUES = 100_000
_SLICE_BYTES = 2**18
_LENGTHS = struct.Struct("<QQ")


class ParsingProcess:
    """Reads one request after the other, in a process that is started when it is needed.

    Args:
      max_bytes: of memory that a request may take there.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = ThreadPoolExecutor(1, "parsing")
        self._is_free = asyncio.Lock()

    async def parse(self, function: Callable[..., Any], body: bytes | bytearray, arguments: tuple[Any, ...], deadline: float | None) -> Any:
        """What a function returns for the body and the arguments.

        Args:
          function: of a module that needs no TensorFlow but its messages.
          arguments: small, and to be pickled.
          deadline: of time.monotonic(), or None.

        Raises:
          ServingError: that of the function; RESOURCE_EXHAUSTED where it takes too much memory, DEADLINE_EXCEEDED.
        """
        try:
            async with asyncio.timeout(None if deadline is None else max(0.0, deadline - time.monotonic())), self._is_free:
                try:
                    is_read, result = await asyncio.get_running_loop().run_in_executor(self._thread, self._exchange, (function, arguments), body)
                except BaseException:
                    self._end()
                    raise
        except TimeoutError:
            raise ServingError(grpc.StatusCode.DEADLINE_EXCEEDED, "The deadline passed before the request was read") from None
        if not is_read:
            raise result
        return result

    def close(self) -> None:
        """Ends the process."""
        self._end()
        self._thread.shutdown()

    def _exchange(self, task, body):
        process = self._process = self._process or _started(self._max_bytes)
        try:
            _send(process.stdin, pickle.dumps(task), body)
            answer, is_last = _receive(process.stdout)
        except (OSError, EOFError):  # ended by the system, or by `_end`
            answer, is_last = pickle.dumps((False, _too_much(self._max_bytes))), b"last"
        if is_last:
            self._process = None
            process.kill()
            process.communicate()
        return pickle.loads(answer)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()


def is_large(body: bytes | bytearray) -> bool:
    """Whether reading the JSON would hold up other requests noticeably."""
    values = 0
    for start in range(0, len(body), _SLICE_BYTES) if len(body) <= LARGE_BYTES else ():
        values += sum(body.count(mark, start, start + _SLICE_BYTES) for mark in (b",", b"[", b"{"))
        if values > _MOST_VALUES:
            return True
    return len(body) > LARGE_BYTES


def main(max_bytes: int) -> None:
    """The process: reads from stdin and answers to stdout until stdin ends."""
    import resource

    tasks, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints shall not break an answer
    _have_messages_without_tensorflow()
    import tfvision.serving.grpc_messages
    import tfvision.serving.rest_json  # noqa: F401, before the memory is bounded

    at_start = _most_memory()
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + max_bytes,) * 2)
    while True:
        try:
            task, body = _receive(tasks)
            function, arguments = pickle.loads(task)
            answer = pickle.dumps((True, function(body, *arguments)), pickle.HIGHEST_PROTOCOL)
        except EOFError:
            return
        except MemoryError:
            answer = pickle.dumps((False, _too_much(max_bytes)))
        except Exception as error:
            answer = pickle.dumps((False, as_serving_error(error)))
        is_last = _most_memory() > at_start + max_bytes // 4  # which it gives back by its end
        _send(answers, answer, b"last" if is_last else b"")
        if is_last:
            return


def _most_memory():
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _have_messages_without_tensorflow():
    """`tensorflow.core` are its message classes; the rest takes seconds to import, and hundreds of megabytes."""
    import importlib.util
    import types

    package = types.ModuleType("tensorflow")
    package.__path__ = importlib.util.find_spec("tensorflow").submodule_search_locations  # type: ignore[union-attr,assignment]
    sys.modules["tensorflow"] = package


def _started(max_bytes):
    start = f"import sys; sys.path[:] = {sys.path!r}; from tfvision.serving.parsing_process import main; main({max_bytes})"
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-P", "-c", start], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def _send(file, first, second):
    file.write(_LENGTHS.pack(len(first), len(second)))
    file.write(first)
    file.write(second)
    file.flush()


def _receive(file: BinaryIO) -> tuple[bytes, bytes]:
    lengths = file.read(_LENGTHS.size)
    parts = [file.read(length) for length in _LENGTHS.unpack(lengths)] if len(lengths) == _LENGTHS.size else []
    if not parts or list(map(len, parts)) != list(_LENGTHS.unpack(lengths)):
        raise EOFError
    return parts[0], parts[1]


def _too_much(max_bytes):
    message = f"The request takes more than {max_bytes / 2**20:g} MiB of memory to be read: send fewer values in a request"
    return TooLargeError(grpc.StatusCode.RESOURCE_EXHAUSTED, message)
