"""A page for who sits at this machine: on the loopback alone, behind a token, under a strict policy.

with serving_page(guarded(routes, Door("secret", port, "tfvision explore")), listener):
    ...
"""

from __future__ import annotations

import contextlib
import hmac
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tfvision.errors import UserError

if TYPE_CHECKING:  # it takes a while
    from starlette.applications import Starlette
    from starlette.routing import Route

HOST = "127.0.0.1"
_MOST_CONNECTIONS = 256  # a browser has six
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
)
_NOTEBOOKS = "http://localhost:* http://127.0.0.1:* https://localhost:* https://127.0.0.1:* vscode-webview:"  # whose pages may frame it
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Door(NamedTuple):
    """Who comes in to a page.

    Attributes:
      token: that its address holds.
      port: where it is served.
      command: that prints the address, for who lacks the token.
      is_framed: whether the page is for a frame in a notebook: browsers keep no cookies of frames, so that its address holds the token
        as a folder.
    """

    token: str
    port: int
    command: str
    is_framed: bool = False

    @property
    def url(self) -> str:
        """The page's address with its token."""
        return f"http://{HOST}:{self.port}/{f'{self.token}/' if self.is_framed else f'?token={self.token}'}"


def listen(port: int) -> socket.socket:
    """A listening socket of the loopback; port 0 = any that is free. Raises UserError, one line, where the port is taken."""
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)  # whoever asks from now on waits until the server runs
    except OSError as error:
        listener.close()
        raise UserError(f"port {port} of {HOST} cannot be had ({error.strerror}): another program has it; choose another with --port, or 0 for any") from error
    return listener


@contextlib.contextmanager
def serving_page(application: Starlette, listener: socket.socket) -> Iterator[None]:
    """Serves an application on a listening socket, in a thread of its own, until the block ends."""
    from tfvision.serving.connections import BoundedServer, ConnectionLimits, max_connections

    server = BoundedServer(application, ConnectionLimits(max_connections=max_connections(_MOST_CONNECTIONS)))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=5)


def serve_until_interrupted(name: str, url: str, warning: str, say: Callable[[str], object], is_opened: bool) -> None:
    """Tells a page's address, opens it in a browser where `is_opened`, and waits for Ctrl-C."""
    say(f"{name:<9} {url}")
    say(f"          {warning}")
    if is_opened:
        open_browser(url)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


def open_browser(url: str) -> None:
    """Opens an address in the user's browser, without waiting for it."""
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


def guarded(routes: Sequence[Route], door: Door) -> Starlette:
    """The Starlette application of routes behind a Door."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    # Pages of other sites must not read this one through a name of their own for 127.0.0.1.
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"], www_redirect=False)
    return Starlette(routes=list(routes), middleware=[hosts, Middleware(_Guard, door=door)])


class _Guard:
    """Asks for the token, refuses what other sites send, and sets the headers of every answer."""

    def __init__(self, app, door):
        self._app, self._door, self._cookie = app, door, f"tfvision-{door.port}"  # a cookie holds for all ports of a host
        self._headers = {**_HEADERS, "Content-Security-Policy": _POLICY.format(ancestors=_NOTEBOOKS if door.is_framed else "'none'")}

    async def __call__(self, scope, receive, send):
        from starlette.requests import Request
        from starlette.responses import PlainTextResponse, RedirectResponse

        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        folder, _, rest = scope["path"][1:].partition("/")
        is_inside = self._door.is_framed and self._is_equal(folder)
        if is_inside:
            scope = {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode()}
        request = Request(scope)
        if self._is_equal(request.query_params.get("token")) and request.method == "GET" and request.url.path == "/":
            response = RedirectResponse("/", 303)  # the browser keeps what stands behind the #
            response.set_cookie(self._cookie, self._door.token, httponly=True, samesite="strict", path="/")
        elif not is_inside and not self._is_equal(request.cookies.get(self._cookie)) and not self._is_equal(request.headers.get("x-token")):
            response = PlainTextResponse(f"This page needs the address that `{self._door.command}` printed, with its token.\n", 403)
        elif request.method not in ("GET", "HEAD") and not _is_from_here(request):
            response = PlainTextResponse("Another site must not change anything here.\n", 403)
        else:
            response = self._app
        await response(scope, receive, _with_headers(send, self._headers))

    def _is_equal(self, given):
        return given is not None and hmac.compare_digest(given.encode(), self._door.token.encode())


def _is_from_here(request):
    origin = request.headers.get("origin")
    return origin is None or origin == f"http://{request.headers.get('host')}"


def _with_headers(send, headers):
    async def send_with_headers(message):
        if message["type"] == "http.response.start":
            known, more = {name.lower() for name, _ in message["headers"]}, ((name.lower().encode(), value.encode()) for name, value in headers.items())
            message["headers"] = [*message["headers"], *((name, value) for name, value in more if name not in known)]
        await send(message)

    return send_with_headers
