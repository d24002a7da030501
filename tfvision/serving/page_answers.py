"""What a page's server answers: JSON, bytes, files of the page, and a user's error as its one line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfvision.errors import DataError, UserError
from tfvision.files import parse_json
from tfvision.kinds import Kind, wrong_part

if TYPE_CHECKING:  # it takes a while
    from starlette.requests import Request
    from starlette.responses import Response

PAGE = Path(__file__).with_name("page")  # what all pages have: colours, buttons, functions of the document
MAX_UPLOAD_BYTES = 64 * 1024 * 1024
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def answering(answer: Callable[..., Any], has_body: bool = False) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint: the work is done in a thread, a user's error becomes its one line.

    Args:
      answer: takes the request, and its body where `has_body`; returns a response or what becomes JSON.
    """

    async def endpoint(request):
        from starlette.requests import ClientDisconnect
        from starlette.responses import JSONResponse, Response

        try:
            found = await asyncio.to_thread(answer, request, *([await _body(request)] if has_body else ()))
        except UserError as error:
            return JSONResponse({"error": str(error)}, 400)
        except ClientDisconnect:
            return Response(status_code=400)  # which nobody reads
        if isinstance(found, Response):
            return found
        return Response(json.dumps(found, default=str), media_type="application/json", headers={"Cache-Control": "no-store"})

    return endpoint


def in_bytes(data: bytes, media_type: str = "application/octet-stream", cache: str = "no-store", headers: dict[str, str] | None = None) -> Response:
    """A response of bytes."""
    from starlette.responses import Response

    return Response(data, media_type=media_type, headers={"Cache-Control": cache, **(headers or {})})


def missing(text: str) -> Response:
    """404, with a line that says what is not there."""
    from starlette.responses import JSONResponse

    return JSONResponse({"error": text}, 404)


def page_file(name: str, folders: Sequence[Path]) -> Response:
    """A file of the page, from the first of these folders that has it; no name of a request leads anywhere else."""
    known = {path.name: path for folder in reversed(folders) for path in folder.iterdir() if path.suffix in _TYPES}
    return in_bytes(known[name].read_bytes(), _TYPES[known[name].suffix], "no-cache") if name in known else missing("there is no such file")


def json_of(body: bytes, kinds: dict[str, Kind]) -> dict[str, Any]:
    """An object that has parts of these kinds (kinds.is_of). Raises DataError."""
    try:
        value = parse_json(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise DataError("this question must be a JSON object")
    if wrong := wrong_part(value, kinds):
        raise DataError(f"this question's {wrong!r} is missing or of another kind, got {value.get(wrong)!r:.60}")
    return value


async def _body(request):
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_UPLOAD_BYTES:
            raise DataError(f"a picture may have {MAX_UPLOAD_BYTES // 2**20} MiB at most: scale it down")
        parts.append(part)
    return b"".join(parts)
