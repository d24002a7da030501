"""What the C library does with freed memory."""

import contextlib
import ctypes
import functools

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # glibc's malloc.h
_LARGEST_KEPT = 32 * 2**20  # the most that glibc takes
_MOST_KEPT = 256 * 2**20
_STEP = 16 * 2**20


@functools.cache
def keep_freed_memory() -> None:
    """Lets freed memory of arrays up to 32 MB stay with the process for the next array; does nothing without glibc.

    A photo passes through arrays of some megabytes. By default each of them is asked of the system and given back, and the
    system fills it with zeros page by page, which takes time, most in virtual machines. Up to 256 MB stay unused then.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT)
        mallopt(_TRIM_THRESHOLD, _MOST_KEPT)
        mallopt(_TOP_PAD, _STEP)
