"""The explorer's server: loopback only, behind a token; pictures by their number only.

explore(plan(["photos"]), print)
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tfvision.apps.explorer.plan import Plan
from tfvision.apps.explorer.routes import routes
from tfvision.apps.explorer.session import Session
from tfvision.serving.local_page import Door, guarded, listen, serve_until_interrupted, serving_page

if TYPE_CHECKING:  # it takes a while
    from starlette.applications import Starlette


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
        serve_until_interrupted("explorer", url, "this address holds the key: whoever has it sees the pictures; Ctrl-C ends it", say, is_opened)
    say("ended; what was indexed and marked is kept")


@contextlib.contextmanager
def running(plan: Plan, say: Callable[[str], object] = lambda line: None, port: int = 0, token: str | None = None, is_framed: bool = False) -> Iterator[str]:
    """Serves a Plan's collection until the block ends; yields the page's address with its token. Raises UserError.

    Args:
      is_framed: whether the page is for a frame in a notebook (local_page.Door).
    """
    with contextlib.closing(listen(port)) as listener:
        session = Session(plan, say)
        token, bound = token or secrets.token_urlsafe(18), listener.getsockname()[1]
        with serving_page(application(session, token, bound, is_framed), listener):
            session.start()
            try:
                yield f"{_door(token, bound, is_framed).url}{f'#{plan.opens_at}' if plan.opens_at else ''}"
            finally:
                session.stop()


def application(session: Session, token: str, port: int, is_framed: bool = False) -> Starlette:
    """The Starlette application of a Session; `is_framed` as in `running`."""
    return guarded(routes(session), _door(token, port, is_framed))


def _door(token, port, is_framed):
    return Door(token, port, "tfvision explore", is_framed)
