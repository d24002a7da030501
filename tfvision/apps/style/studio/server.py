"""The studio's server: loopback only, behind a token; nothing is written to the disk.

open_studio(Session(), print)
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from tfvision.apps.style.growth import Growth
from tfvision.apps.style.studio.routes import studio_routes, watching_routes
from tfvision.apps.style.studio.session import Session
from tfvision.serving.local_page import Door, guarded, listen, open_browser, serve_until_interrupted, serving_page

if TYPE_CHECKING:  # it takes a while
    from starlette.applications import Starlette
    from starlette.routing import Route

_COMMAND = "tfvision studio"
_PREVIEW_COMMAND = "tfvision stylize --preview"


def open_studio(session: Session, say: Callable[[str], object], port: int = 0, is_opened: bool = True) -> None:
    """Serves a Session until Ctrl-C.

    Args:
      say: called with a line for people.
      port: of 127.0.0.1; 0 = any that is free.
      is_opened: whether to open a browser.

    Raises:
      UserError: the port is taken.
    """
    with running(session, port) as url:
        serve_until_interrupted("studio", url, "this address holds the key; Ctrl-C ends it, and with it what was not downloaded", say, is_opened)
    say("ended")


@contextlib.contextmanager
def running(session: Session, port: int = 0) -> Iterator[str]:
    """Serves a Session until the block ends; yields the page's address with its token. Raises UserError."""
    with _serving(studio_routes(session), port, _COMMAND) as url:
        session.start()
        try:
            yield url
        finally:
            session.stop()


@contextlib.contextmanager
def preview_page(announce: Callable[[str], object] = print, is_opened: bool = True) -> Iterator[Growth]:
    """A Growth whose page is served until the block ends: the studio's page, which only shows it.

    Args:
      announce: called with a line that has the page's address.
      is_opened: whether to open a browser.

    Raises:
      UserError: no port of this machine can be had.
    """
    growth = Growth()
    with _serving(watching_routes(growth), 0, _PREVIEW_COMMAND) as url:
        announce(f"preview at {url}")
        if is_opened:
            open_browser(url)
        yield growth
        growth.wait_for_farewell()


def application(session: Session, token: str, port: int) -> Starlette:
    """The Starlette application of a Session."""
    return guarded(studio_routes(session), Door(token, port, _COMMAND))


@contextlib.contextmanager
def _serving(routes: Sequence[Route], port: int, command: str) -> Iterator[str]:
    with contextlib.closing(listen(port)) as listener:
        door = Door(secrets.token_urlsafe(18), listener.getsockname()[1], command)
        with serving_page(guarded(routes, door), listener):
            yield door.url
