"""The explorer in a notebook: a server in the background, its page in a frame of the cell.

tfvision.explorer.show("my-photos/")
"""

import contextlib
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from tfvision.apps.explorer.plan import plan
from tfvision.apps.explorer.server import running

_open: dict[tuple[object, ...], "Explorer"] = {}
_lock = threading.Lock()


class Explorer:
    """A page that is served until `close`, or until the process ends.

    Attributes:
      address: of the page, for this machine's browsers; who has it sees the pictures.
      height: of its frame, in pixels.
    """

    def __init__(self, key: tuple[object, ...], stack: contextlib.ExitStack, address: str, height: int) -> None:
        self._key, self._stack, self.address, self.height = key, stack, address, height
        self._shown_by: int | None = None  # the cell that `show` has put the frame into

    def close(self) -> None:
        """Ends the server; what was indexed and marked is kept."""
        with _lock:
            if _open.get(self._key) is self:
                del _open[self._key]
            self._stack.close()

    def __repr__(self) -> str:
        return self.address

    def _ipython_display_(self) -> None:
        """Shows the frame where the explorer is a cell's result; not again below the one of `show`."""
        if self._shown_by != _cell():
            self._draw()

    def _draw(self) -> None:
        from IPython.display import IFrame, display

        display(IFrame(self.address, "100%", self.height, extras=['allow="clipboard-write"', 'title="tfvision explorer"']))


def show(
    locations: str | Path | Sequence[str | Path],
    height: int = 760,
    models: Sequence[str] = (),
    layers: Sequence[str] = (),
    state: str | Path | None = None,
    weights: str | Path | None = None,
    text_model: str | Path | None = None,
) -> Explorer:
    """Shows a collection in a notebook; outside one it only serves the page, whose address is what is printed of the result.

    A second call on the same photos shows the server that is there. The browser must be on this machine, or reach its port.

    Args:
      locations: a folder or manifest of photos, a gallery, or galleries of the same pictures.
      height: of the frame, in pixels.
      models, layers, state, weights, text_model: as `tfvision explore` has them.

    Returns:
      An Explorer: `address`, `close()`.

    Raises:
      DataError, GalleryError, UserError: there is nothing to show.
    """
    places = [locations] if isinstance(locations, (str, Path)) else list(locations)
    key = (*map(_resolved, places), tuple(models), tuple(layers), state and _resolved(state), weights and str(weights), text_model and _resolved(text_model))
    with _lock:
        if key not in _open:
            stack = contextlib.ExitStack()
            address = stack.enter_context(running(plan(places, models, layers, state, weights, text_model), is_framed=True))
            _open[key] = Explorer(key, stack, address, height)
        explorer = _open[key]
    explorer.height = height
    if (cell := _cell()) is not None:
        explorer._shown_by = cell
        explorer._draw()
    return explorer


def _resolved(location: str | Path) -> str:
    return str(location) if "://" in str(location) else os.path.realpath(location)


def _cell() -> int | None:
    """The number of the notebook's cell that runs, or None outside a notebook."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell.execution_count if shell is not None and getattr(shell, "kernel", None) is not None else None
