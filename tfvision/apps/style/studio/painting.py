"""The optimiser at work on one picture, in a thread of its own; it can be stopped at its next iteration."""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable

import numpy as np

from tfvision.apps.style.growth import STOPPED, Growth
from tfvision.apps.style.presets import with_strength
from tfvision.apps.style.studio import versions
from tfvision.apps.style.studio.order import Order
from tfvision.apps.style.stylization import Progress, stylize
from tfvision.apps.style.watch import Clock
from tfvision.data.resizing import fitted_size, resized
from tfvision.errors import UserError, is_out_of_memory

Keep = Callable[[str, Order, np.ndarray, dict], str]
"""(kind, order, picture, facts) -> the file's name of the version that was kept."""


class PaintingJob:
    """A picture in the making.

    Args:
      order: what is made.
      growth: where it is seen.
      keep: called with the picture at its end, or where it was stopped.
    """

    def __init__(self, order: Order, growth: Growth, keep: Keep):
        self._order, self._growth, self._keep = order, growth, keep
        self._stop, self._began = threading.Event(), time.monotonic()
        self._last: Progress | None = None
        growth.begin(order.title, [order.photo.seen, *(painting.seen for painting in order.paintings)])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether it is at work."""
        return self._thread.is_alive()

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop and has not yet."""
        return self._stop.is_set() and self.is_running

    def stop(self) -> None:
        """Stops it at its next iteration; the picture so far is kept."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> None:
        """Waits for its end, so long at most."""
        self._thread.join(seconds)

    def _run(self):
        try:
            self._make()
        except UserError as error:
            self._give_up(str(error))
        except Exception as error:
            if is_out_of_memory(error):
                return self._give_up("memory is exhausted: choose a smaller size")
            self._give_up(f"this should not have happened: {type(error).__name__}: {error}")
            raise
        finally:
            self._last = None  # which holds the whole picture

    def _give_up(self, why):
        """Says why there will be no picture; the one so far is kept, where there is one."""
        output = ""
        if self._last:
            with contextlib.suppress(Exception):  # what ended the painting may end this, too
                output, _ = self._keep_so_far()
        self._growth.fail(why, output)

    def _make(self):
        order, photo = self._order, self._order.photo.whole()
        preset = with_strength(order.changed_preset(), order.look.strength)
        seen = order.photo.seen
        clock, seen_masks, made = Clock(), order.masks_of(seen), None

        def watch(progress):
            self._last = progress
            shown = dataclasses.replace(progress, picture=lambda: order.finished(progress.picture(), seen, seen_masks))
            self._growth.update(shown, *clock.read(progress))
            if self._stop.is_set():
                raise _Stopped

        def paint(pixels, paintings, masks):
            nonlocal made
            made = stylize(pixels, paintings, preset, weights=order.blend or None, masks=masks, on_iteration=watch)
            return made.picture

        try:
            picture = order.painted(paint, photo, [painting.whole() for painting in order.paintings])
            self._growth.finish(self._keep(versions.PAINTED, order, picture, made.facts), picture)
        except _Stopped:
            self._growth.finish(*self._keep_so_far(), STOPPED)

    def _keep_so_far(self):
        """Keeps the picture of the last iteration: (its file's name, uint8 [height, width, 3])."""
        order, last, photo = self._order, self._last, self._order.photo.whole()
        picture = resized(last.picture(), *fitted_size(*photo.pixels.shape[:2], order.look.size))
        picture = order.finished(picture, photo.pixels, order.masks_of(photo.pixels))
        facts = {"iterations": last.iteration, "evaluations": last.evaluations, "content_loss": last.content_loss, "style_loss": last.style_loss}
        facts["seconds"] = time.monotonic() - self._began
        return self._keep(versions.STOPPED, order, picture, facts), picture


class _Stopped(Exception):
    """The user has seen enough."""
