"""The family of user errors: each is one clear line that names the cause and the way out, exit code 1."""

import contextlib
import errno
import os
import sys
import typing
import warnings
from collections.abc import Callable, Iterator

_OTHER_RESOURCES = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)
_OUT_OF_MEMORY = ("MemoryError", "out of memory", "OUT_OF_MEMORY", "ailed to allocate", "ALLOC_FAILED")  # in other errors of TensorFlow


class UserError(Exception):
    """What a user can put right; its text is shown as it is, without a traceback."""

    exit_code = 1


class DataError(UserError):
    """A photo, a manifest or a folder that cannot be used as asked."""


class RecipeError(UserError):
    """A recipe or a setting that does not exist or does not fit."""


class WeightsError(UserError):
    """Pretrained weights that are missing or do not fit the network."""


class FileError(UserError):
    """A file of ours that is missing, damaged or not of the kind asked for."""


class RunError(FileError):
    """A run folder of which this is true."""


class StorageError(UserError):
    """A file that could not be written; what was there before is still there."""


class ExportError(UserError):
    """An export that cannot be made, or does not answer as its model does."""


class GalleryError(UserError):
    """A gallery that is missing, damaged, in use or made otherwise than asked for."""


class DataWarning(UserWarning):
    """What was found in a user's data and not taken as it stands; its text names the file and the line, and is shown as it is."""


@contextlib.contextmanager
def noted_warnings(tell: Callable[[str], object] | None = None) -> Iterator[list[str]]:
    """Gives a list that gets the text of each DataWarning within the block, once.

    Args:
      tell: told each text once, instead of whoever showed warnings before; None = they are shown as ever.
    """
    told: list[str] = []
    show = warnings.showwarning

    def note(message: Warning | str, category: type[Warning], *place: typing.Any, **more: typing.Any) -> None:
        is_ours = issubclass(category, DataWarning)
        if not is_ours or tell is None:
            show(message, category, *place, **more)
        if is_ours and str(message) not in told:
            told.append(str(message))
            if tell:
                tell(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always", DataWarning)
        warnings.showwarning = note
        yield told


def in_one_line(error: BaseException) -> str:
    """What Python, the system or a library says, for a line of ours; its class where it says nothing."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join((reason.strip() or type(error).__name__).splitlines()[0].split())[:160]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python's or TensorFlow's memory was exhausted; TensorFlow calls a full disk and too many open files alike."""
    if isinstance(error, MemoryError):
        return True
    tensorflow = sys.modules.get("tensorflow")  # it raised the error, if it was imported
    if tensorflow is None or not isinstance(error, tensorflow.errors.OpError) or any(os.strerror(number) in str(error) for number in _OTHER_RESOURCES):
        return False
    return isinstance(error, tensorflow.errors.ResourceExhaustedError) or any(word in str(error) for word in _OUT_OF_MEMORY)
