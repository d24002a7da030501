"""`--preview`: a small page on this machine alone that shows a picture growing, its losses and the time left.

with preview_page() as preview:
    preview.begin("photo.jpg", [photo, painting])
    preview.update(...)   # after each iteration
    preview.finish("photo-painting.jpg", picture)
"""

import asyncio
import contextlib
import io
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from tfvision.apps.style.preview_html import PAGE, SCRIPT
from tfvision.apps.style.stylization import Progress
from tfvision.errors import UserError

_SHOWN_PX = 1024  # longer side of what is sent to the page
_POINTS = 300  # of the curves
_SECONDS_BETWEEN_PICTURES = 0.5
_LARGEST_SHARE = 0.05  # of the time that goes into pictures for the page
_WATCHED_SECONDS = 5  # a page that has not asked for so long has been closed
_FAREWELL_SECONDS = 3  # how long a watched page is given to fetch the last picture


@contextlib.contextmanager
def preview_page(announce: Callable[[str], object] = print, is_opened: bool = True) -> Iterator["Preview"]:
    """A Preview whose page is served until the block ends.

    Args:
      announce: called with a line that has the page's address.
      is_opened: whether to open a browser.

    Raises:
      UserError: no port of this machine can be had.
    """
    preview = Preview()
    server = _Server(preview)
    announce(f"preview at {server.url}")
    if is_opened:
        import webbrowser

        threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
    try:
        yield preview
        preview.wait_for_farewell()
    finally:
        server.stop()


class Preview:
    """What the page shows. Written by the thread that paints, read by the one that serves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state: dict = {"title": "", "inputs": 0, "is_done": False, "version": 0}
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
            self._inputs, self._curve, self._began, self._next_picture = [_jpeg(pixels, 320) for pixels in inputs], [], time.monotonic(), 0.0
            self._state.update(title=title, inputs=len(inputs), is_done=False, started=self._state.get("started", 0) + 1, seconds_left=None)

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

    def finish(self, output: str | Path, picture: np.ndarray) -> None:
        """The picture is ready and written to `output`."""
        self._show(picture)
        with self._lock:
            self._farewell.clear()
            self._state.update(is_done=True, output=str(output), seconds=time.monotonic() - self._began, seconds_left=0)

    def wait_for_farewell(self) -> None:
        """Waits until a page that watches has the last picture."""
        if self._state["is_done"] and time.monotonic() - self._asked < _WATCHED_SECONDS:
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
            if self._state["is_done"]:
                self._farewell.set()
            return self._picture

    def input(self, number: int) -> bytes | None:
        """A JPEG of the photo (0) or a painting, or None."""
        with self._lock:
            return self._inputs[number] if 0 <= number < len(self._inputs) else None

    def _show(self, pixels):
        encoded = _jpeg(pixels, _SHOWN_PX)
        with self._lock:
            self._picture = encoded
            self._state["version"] += 1


class _Server:
    """Serves a Preview on a free port of 127.0.0.1, in a thread of its own."""

    def __init__(self, preview):
        import uvicorn

        self._socket = socket.socket()
        try:
            self._socket.bind(("127.0.0.1", 0))
            self._socket.listen()  # whoever asks from now on waits until the server runs
        except OSError as error:
            raise UserError(f"the preview cannot listen on 127.0.0.1 ({error.strerror}): leave out --preview") from error
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        self._server = uvicorn.Server(uvicorn.Config(_application(preview), log_config=None, access_log=False, lifespan="off"))
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve(sockets=[self._socket])), daemon=True)
        self._thread.start()

    def stop(self):
        self._server.should_exit = True
        self._thread.join(timeout=5)
        self._socket.close()


def _application(preview):
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import HTMLResponse, JSONResponse, Response
    from starlette.routing import Route

    def image(encoded):
        return Response(encoded, media_type="image/jpeg", headers={"Cache-Control": "no-store"}) if encoded else Response(status_code=404)

    async def page(request):
        policy = "default-src 'none'; img-src 'self'; connect-src 'self'; script-src 'self'; style-src 'unsafe-inline'"
        return HTMLResponse(PAGE, headers={"Content-Security-Policy": policy})

    routes = [
        Route("/", page),
        Route("/preview.js", _answer(lambda request: Response(SCRIPT, media_type="text/javascript"))),
        Route("/state", _answer(lambda request: JSONResponse(preview.state(), headers={"Cache-Control": "no-store"}))),
        Route("/picture", _answer(lambda request: image(preview.picture()))),
        Route("/input/{number:int}", _answer(lambda request: image(preview.input(request.path_params["number"])))),
    ]
    # Pages of other sites must not read this one through a name of their own for 127.0.0.1.
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])])


def _answer(function):
    async def answer(request):
        return function(request)

    return answer


def _jpeg(pixels, longer):
    import PIL.Image

    image = PIL.Image.fromarray(pixels)
    image.thumbnail((longer, longer))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
