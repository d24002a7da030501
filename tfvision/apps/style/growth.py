"""A picture as it grows, for who watches: the picture itself, its losses and the time left.

growth.begin("photo.jpg", [photo, painting])
growth.update(...)   # after each iteration
growth.finish("photo-painting.jpg", picture)
"""

import math
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfvision.apps.style.pictures import shown_jpeg
from tfvision.apps.style.stylization import Progress

WAITING, PAINTING, DONE, STOPPED, FAILED = "waiting", "painting", "done", "stopped", "failed"  # stages
_NOTHING_YET: dict = {"iteration": None, "share": 0.0, "seconds": 0.0, "seconds_left": None, "output": None, "error": None, "has_picture": False}
_SHOWN_PX = 1024  # longer side of what is sent to the page
_INPUT_PX = 320
_POINTS = 300  # of the curves
_SECONDS_BETWEEN_PICTURES = 0.5
_LARGEST_SHARE = 0.05  # of the time that goes into pictures for the page
_WATCHED_SECONDS = 5  # a page that has not asked for so long has been closed
_FAREWELL_SECONDS = 3  # how long a watched page is given to fetch the last picture


class Growth:
    """What a page shows of one picture after the other. Written by the thread that paints, read by those that serve."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state: dict = {"stage": WAITING, "title": "", "inputs": 0, "started": 0, "version": 0, **_NOTHING_YET}
        self._inputs: list[bytes] = []
        self._picture: bytes | None = None
        self._curve: list[tuple[float, float]] = []
        self._asked, self._farewell = -math.inf, threading.Event()
        self._next_picture, self._began = 0.0, time.monotonic()

    def begin(self, title: str, inputs: Sequence[np.ndarray]) -> None:
        """A new picture begins.

        Args:
          title: of the page.
          inputs: the photo and the paintings, uint8 RGB, shown small.
        """
        with self._lock:
            self._inputs, self._curve, self._began, self._next_picture = [shown_jpeg(pixels, _INPUT_PX) for pixels in inputs], [], time.monotonic(), 0.0
            self._state.update(stage=PAINTING, title=title, inputs=len(inputs), started=self._state["started"] + 1, **_NOTHING_YET)

    def update(self, progress: Progress, share: float = 0.0, seconds_left: float | None = None) -> None:
        """Shows an iteration; the picture itself now and then, and only while somebody watches.

        Args:
          progress: stylization.Progress.
          share: of the work that is done.
          seconds_left: until the picture is ready, or None.
        """
        began = time.monotonic()
        is_shown = began >= self._next_picture and began - self._asked < _WATCHED_SECONDS
        picture = progress.picture() if is_shown else None
        with self._lock:
            for key in ("scale", "scales", "iteration", "iterations", "content_loss", "style_loss"):
                self._state[key] = getattr(progress, key)
            self._curve.append((progress.content_loss, progress.style_loss))
            self._state.update(share=share, seconds_left=seconds_left, seconds=began - self._began)
        if is_shown:
            self._show(picture)
            took = time.monotonic() - began
            self._next_picture = began + max(_SECONDS_BETWEEN_PICTURES, took / _LARGEST_SHARE)

    def finish(self, output: str | Path, picture: np.ndarray, stage: str = DONE) -> None:
        """The picture is ready and called `output`, or STOPPED on its way."""
        self._show(picture)
        with self._lock:
            self._farewell.clear()
            self._state.update(stage=stage, output=str(output), seconds=time.monotonic() - self._began, seconds_left=0)

    def fail(self, error: str, output: str = "") -> None:
        """There will be no picture, for a reason; where the one so far is kept, `output` is its name."""
        with self._lock:
            self._state.update(stage=FAILED, error=error, output=output or None, seconds_left=None)

    def wait_for_farewell(self) -> None:
        """Waits until a page that watches has the last picture."""
        if self._state["stage"] == DONE and time.monotonic() - self._asked < _WATCHED_SECONDS:
            self._farewell.wait(_FAREWELL_SECONDS)

    def state(self) -> dict:
        """What the page asks for again and again, as a dict."""
        self._asked = time.monotonic()
        with self._lock:
            step = -(-len(self._curve) // _POINTS) or 1
            return {**self._state, "curve": self._curve[::-1][::step][::-1]}  # with the newest point

    def picture(self) -> bytes | None:
        """A JPEG of the picture as it is, or None."""
        with self._lock:
            if self._state["stage"] == DONE:
                self._farewell.set()
            return self._picture

    def input(self, number: int) -> bytes | None:
        """A JPEG of the photo (0) or a painting, or None."""
        with self._lock:
            return self._inputs[number] if 0 <= number < len(self._inputs) else None

    def _show(self, pixels):
        encoded = shown_jpeg(pixels, _SHOWN_PX)
        with self._lock:
            self._picture = encoded
            self._state.update(version=self._state["version"] + 1, has_picture=True)
