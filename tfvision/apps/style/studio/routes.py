"""The studio's addresses: each parses its request, asks one function of the session, and answers in JSON or bytes."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfvision.apps.style.growth import Growth
from tfvision.apps.style.studio.look import KINDS, Look
from tfvision.apps.style.studio.quick import Outdated
from tfvision.apps.style.studio.samples import sample_png
from tfvision.apps.style.studio.session import Session
from tfvision.serving.page_answers import PAGE, answering, in_bytes, json_of, missing, page_file

if TYPE_CHECKING:  # it takes a while
    from starlette.routing import Route

STATIC = Path(__file__).with_name("static")
_JPEG = "image/jpeg"
_KEPT = "private, max-age=600"  # of samples alone: numbers of pictures begin anew with each studio, and none shall lie on a disk


def watching_routes(growth: Growth) -> list[Route]:
    """The routes of a page that only shows a picture growing."""
    get = {"/api/status": lambda request: {"is_watching": True, "growth": growth.state()}, **_page(growth)}
    return _routes(get, {})


def studio_routes(session: Session) -> list[Route]:
    """The routes of a studio."""
    one = _Studio(session)
    get = {
        "/api/status": lambda request: session.status(),
        "/picture/{kind}/{key}": one.picture,
        "/sample/{kind}/{name}": one.sample,
        "/version/{key}/{part}": one.version,
        **_page(session.growth),
    }
    post = {
        "/api/photo": one.receive_photo,
        "/api/painting": one.receive_painting,
        "/api/sample": one.take_sample,
        "/api/remove-painting": one.remove_painting,
        "/api/mask": one.receive_mask,
        "/api/quick": one.quick,
        "/api/keep": one.keep,
        "/api/paint": one.paint,
        "/api/stop": one.stop,
        "/api/drop": one.drop,
        "/api/restore": one.restore,
    }
    return _routes(get, post)


class _Studio:
    """What answers a request; each function takes it (and its body) and returns a response or what becomes JSON."""

    def __init__(self, session):
        self._session = session

    def picture(self, request):
        return _image(self._session.picture(request.path_params["kind"], request.path_params["key"]))

    def sample(self, request):
        kind, name = request.path_params["kind"], request.path_params["name"]
        return _image(sample_png(kind, name), _KEPT)

    def version(self, request):
        version, part = self._session.version(request.path_params["key"]), request.path_params["part"]
        if version is None or part not in _PARTS:
            return missing("there is no such version")
        read, media_type, suffix = _PARTS[part]
        name = version.file_name.removesuffix(".png") + suffix if suffix else ""
        return in_bytes(read(version), media_type, headers=_as_file(name) if name else None)

    def receive_photo(self, request, body):
        self._session.set_photo(body, request.query_params.get("name", ""))
        return self._session.status()

    def receive_painting(self, request, body):
        self._session.add_painting(body, request.query_params.get("name", ""))
        return self._session.status()

    def take_sample(self, request, body):
        asked = json_of(body, {"kind": str, "name": str})
        self._session.take_sample(asked["kind"], asked["name"])
        return self._session.status()

    def remove_painting(self, request, body):
        self._session.remove_painting(json_of(body, {"key": str})["key"])
        return self._session.status()

    def receive_mask(self, request, body):
        self._session.set_mask(request.query_params.get("painting", ""), body)
        return self._session.status()

    def quick(self, request, body):
        try:
            return _image(self._session.glance(_look(body)))
        except Outdated:
            return in_bytes(b"")

    def keep(self, request, body):
        self._session.keep(_look(body))
        return self._session.status()

    def paint(self, request, body):
        self._session.paint(_look(body))
        return self._session.status()

    def stop(self, request, body):
        self._session.stop_painting()
        return self._session.status()

    def drop(self, request, body):
        self._session.drop(json_of(body, {"key": str})["key"])
        return self._session.status()

    def restore(self, request, body):
        self._session.restore()
        return self._session.status()


_PARTS: dict[str, tuple[Callable[[Any], bytes], str, str]] = {  # of a version -> how it is had, its type, and how its file ends
    "shown": (lambda version: version.shown, _JPEG, ""),
    "thumbnail": (lambda version: version.thumbnail, _JPEG, ""),
    "picture": (lambda version: version.png, "image/png", ".png"),
    "record": (lambda version: version.record, "application/json", ".png.json"),
    "all": (lambda version: version.archive(), "application/zip", ".zip"),
}


def _page(growth):
    """What both pages have."""
    return {
        "/": lambda request: page_file("index.html", [STATIC]),
        "/static/{name}": lambda request: page_file(request.path_params["name"], [STATIC, PAGE]),
        "/growth/picture": lambda request: _image(growth.picture()),
        "/growth/input/{number:int}": lambda request: _image(growth.input(request.path_params["number"])),
    }


def _routes(get, post):
    from starlette.routing import Route

    read = [Route(path, answering(answer), methods=["GET"]) for path, answer in get.items()]
    return read + [Route(path, answering(answer, has_body=True), methods=["POST"]) for path, answer in post.items()]


def _look(body):
    return Look(**{name: value for name, value in json_of(body, KINDS).items() if name in KINDS})


def _image(encoded, cache="no-store"):
    if not encoded:
        return missing("there is no such picture")
    return in_bytes(encoded, "image/png" if encoded[:4] == b"\x89PNG" else _JPEG, cache)


def _as_file(name):
    """The header with which a browser saves an answer under a name; in any script."""
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{urllib.parse.quote(name)}"}
