"""TensorFlow 2.21 writes notes on its build to the standard error while it is imported; no setting keeps them back."""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.util
import os
import re
import sys
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_NOTE = re.compile(rb"WARNING: All log messages before absl::|[IW]0000 ")


def keep_back_notes() -> None:
    """From now on the import of TensorFlow writes to the standard error only what is none of these notes."""
    if "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec and spec.loader:
            spec.loader.exec_module = _without_notes()(spec.loader.exec_module)
        return spec


@contextlib.contextmanager
def _without_notes() -> Iterator[None]:
    """The notes come from C++: they pass by sys.stderr."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as written:
        kept = os.dup(2)
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            written.seek(0)
            for line in written:
                if not _NOTE.match(line):
                    os.write(2, line)
