"""The explorer's server: loopback only, behind a token; pictures by their number only.

explore(plan(["photos"]), print)
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tfvision.apps.explorer.plan import Plan
from tfvision.apps.explorer.routes import routes
from tfvision.apps.explorer.session import Session
from tfvision.errors import UserError

if TYPE_CHECKING:  # it takes a while
    from starlette.applications import Starlette

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


def explore(plan: Plan, say: Callable[[str], object], port: int = 8080, is_opened: bool = True) -> None:
    """Serves a Plan's collection until Ctrl-C.

    Args:
      say: called with a line for people.
      port: of 127.0.0.1; 0 = any that is free.
      is_opened: whether to open a browser.

    Raises:
      UserError: the port is taken, or there is nothing to show.
    """
    with running(plan, say, port) as url:
        say(f"explorer  {url}")
        say("          this address holds the key: whoever has it sees the pictures; Ctrl-C ends it")
        if is_opened:
            import webbrowser

            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
    say("ended; what was indexed and marked is kept")


@contextlib.contextmanager
def running(plan: Plan, say: Callable[[str], object] = lambda line: None, port: int = 0, token: str | None = None, is_framed: bool = False) -> Iterator[str]:
    """Serves a Plan's collection until the block ends; yields the page's address with its token. Raises UserError.

    Args:
      is_framed: whether the page is for a frame in a notebook: browsers keep no cookies of frames, so that its address holds the token
        as a folder.
    """
    from tfvision.serving.connections import BoundedServer, ConnectionLimits, max_connections

    listener = listen(port)
    try:
        session = Session(plan, say)
        token = token or secrets.token_urlsafe(18)
        bound = listener.getsockname()[1]
        server = BoundedServer(application(session, token, bound, is_framed), ConnectionLimits(max_connections=max_connections(_MOST_CONNECTIONS)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        session.start()
        try:
            place = f"{token}/" if is_framed else f"?token={token}"
            yield f"http://{HOST}:{bound}/{place}{f'#{plan.opens_at}' if plan.opens_at else ''}"
        finally:
            session.stop()
            server.should_exit = True
            thread.join(timeout=5)
    finally:
        listener.close()


def listen(port: int) -> socket.socket:
    """A listening socket of the loopback. Raises UserError, one line, where the port is taken."""
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)  # whoever asks from now on waits until the server runs
    except OSError as error:
        listener.close()
        raise UserError(f"port {port} of {HOST} cannot be had ({error.strerror}): another program has it; choose another with --port, or 0 for any") from error
    return listener


def application(session: Session, token: str, port: int, is_framed: bool = False) -> Starlette:
    """The Starlette application of a Session; `is_framed` as in `running`."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    # Pages of other sites must not read this one through a name of their own for 127.0.0.1.
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"], www_redirect=False)
    return Starlette(routes=routes(session), middleware=[hosts, Middleware(_Guard, token=token, port=port, is_framed=is_framed)])


class _Guard:
    """Asks for the token, refuses what other sites send, and sets the headers of every answer."""

    def __init__(self, app, token, port, is_framed):
        self._app, self._token, self._cookie = app, token, f"tfvision-{port}"  # a cookie holds for all ports of a host
        self._is_framed, self._headers = is_framed, {**_HEADERS, "Content-Security-Policy": _POLICY.format(ancestors=_NOTEBOOKS if is_framed else "'none'")}

    async def __call__(self, scope, receive, send):
        from starlette.requests import Request
        from starlette.responses import PlainTextResponse, RedirectResponse

        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        folder, _, rest = scope["path"][1:].partition("/")
        is_inside = self._is_framed and self._is_equal(folder)
        if is_inside:
            scope = {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode()}
        request = Request(scope)
        if self._is_equal(request.query_params.get("token")) and request.method == "GET" and request.url.path == "/":
            response = RedirectResponse("/", 303)  # the browser keeps what stands behind the #
            response.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
        elif not is_inside and not self._is_equal(request.cookies.get(self._cookie)) and not self._is_equal(request.headers.get("x-token")):
            response = PlainTextResponse("This page needs the address that `tfvision explore` printed, with its token.\n", 403)
        elif request.method not in ("GET", "HEAD") and not _is_from_here(request):
            response = PlainTextResponse("Another site must not change anything here.\n", 403)
        else:
            response = self._app
        await response(scope, receive, _with_headers(send, self._headers))

    def _is_equal(self, given):
        return given is not None and hmac.compare_digest(given.encode(), self._token.encode())


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
