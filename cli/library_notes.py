"""What libraries in C write to the standard error without the name of a photo, or on their own build, is held back.

libjpeg within TensorFlow tells of "Corrupt JPEG data" and no file, and TensorFlow 2.21 writes notes while it is imported; no setting
keeps either back. What matters of a photo is an error of ours, with its name.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from typing import NoReturn

_NOTE = re.compile(
    rb"WARNING: All log messages before absl::|[IW]0000 "
    rb"|Corrupt JPEG data|Premature end of (JPEG|input) file|Bogus |Unsupported (marker type|JPEG|color conversion)|Not a JPEG file"
    rb"|(Quantization|Huffman|Arithmetic) (table|code)|Missing Huffman|Inconsistent progression|Invalid (SOS|progressive|component|JPEG|crop)"
    rb"|Unknown Adobe color|Unrecognized component|Unexpected marker|Warning: (unknown JFIF|thumbnail image)|Empty (JPEG image|input file)"
    rb"|Maximum supported image dimension|Sampling factors too large|Too many color components|Fractional sampling|Sorry, "
    rb"|Image too wide|IDCT output block|Requested feature"
)


def keep_back_notes() -> None:
    """From now on the standard error of C passes a filter; Python's goes to where it went.

    The filter is a process of its own, so that the last words of one that crashes come through.
    """
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError):  # no process can be had: no filter
        sys.stderr.flush()
        reading, writing = os.pipe()
        stderr = os.dup(2)
        if not os.fork():
            os.close(writing)
            _pass_on(reading, stderr)
        os.dup2(writing, 2)
        os.close(reading)
        os.close(writing)
        sys.stderr = open(stderr, "w", buffering=1, encoding=sys.stderr.encoding, errors=sys.stderr.errors)


def _pass_on(reading: int, stderr: int) -> NoReturn:
    """Copies what is no note until the last writer is gone."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # they are for the command, whose end is awaited
            signal.signal(number, signal.SIG_IGN)
        for descriptor in (0, 1, 2):
            os.close(descriptor)
        with open(reading, "rb") as lines:
            for line in lines:
                if not _NOTE.match(line):
                    os.write(stderr, line)
    finally:
        os._exit(0)
