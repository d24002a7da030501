"""TensorFlow Serving's REST API as an ASGI application, with its metrics page and two health pages.

POST /v1/models/NAME[/versions/N|/labels/L]:predict|classify|regress
OPTIONS /v1/..., as browsers ask before they send to another origin
GET  /v1/models/NAME[/versions/N|/labels/L][/metadata]
GET  /monitoring/prometheus/metrics, /healthz (the process lives), /readyz (every model serves)
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import time
import urllib.parse
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf import json_format
from starlette.responses import Response
from tensorflow_serving.apis import get_model_metadata_pb2, model_pb2

from tfvision.serving import json_text, rest_json
from tfvision.serving import metrics as metrics_page
from tfvision.serving.api import Api, RequestLimits, off_loop, version_of
from tfvision.serving.configuration import METRICS_PATH
from tfvision.serving.errors import ServingError, TooLargeError
from tfvision.serving.images import check_images
from tfvision.serving.parsing_process import ParsingProcess, is_large

# http_rest_api_util.cc; names are matched whatever their case, the methods exactly.
_MODEL = r"(?i:/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?"
_POST_PATH = re.compile(_MODEL + r":(classify|regress|predict))")
_GET_PATH = re.compile(_MODEL.replace("/([^/:]+)", "(?:/([^/:]+))?", 1) + r"(?:/(metadata))?)")
_METRICS_SECONDS = 0.1  # between two texts of the metrics
_SENT_AT_ONCE = 64 * 1024
_STALLED_SECONDS = 1.0  # without a byte: so long others wait for the place of an upload that does not go on


class RestApi:
    """The ASGI application: a framework's handlers read bodies without a limit, and its routing costs two thirds of what a refusal does."""

    def __init__(self, api: Api, metrics: metrics_page.ServingMetrics, limits: RequestLimits, parsing: ParsingProcess) -> None:
        self._api, self._metrics, self._limits = api, metrics, limits
        self._pages: dict[str, Callable[[], Awaitable[Response]]] = {"/healthz": self._healthz, "/readyz": self._readyz, METRICS_PATH: self._metrics_page}
        self._held: dict[_Held, None] = {}  # of all requests, the one that has waited longest for bytes first
        self._bytes_held = 0
        self._next_metrics: asyncio.Future[bytes] | None = None
        self._metrics_since = 0.0
        self._parsing = parsing

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        held = _Held(self)
        try:
            try:
                response = await self._answer(scope, receive, held)
                held.release()
                if len(response.body) > _SENT_AT_ONCE:
                    held.add(len(response.body))
                    return await _send_in_parts(response, send)
            except ServingError as error:
                response = _json_bytes(rest_json.format_error(error.message), error.http_status)
            await response(scope, receive, send)
        finally:
            held.release()

    def refuse(self, method: str, path: bytes) -> tuple[int, bytes] | None:
        """(HTTP status, JSON) for a request to a model whose queue is full, before its body is read."""
        match = _POST_PATH.fullmatch(path.decode("latin-1")) if method == "POST" else None
        if match is None:
            return None
        with contextlib.suppress(ServingError):  # a path that is refused for another reason
            error = self._api.refusal(_model_spec(*match.groups()[:3]), match[4].capitalize(), "REST")
            return error and (error.http_status, rest_json.format_error(error.message))
        return None

    async def _healthz(self):
        return _json(200, {"status": "alive"})

    async def _readyz(self):
        waiting = [name for name in self._api.store.names() if not self._api.store.is_ready(name)]
        return _json(503 if waiting else 200, {"status": "waiting" if waiting else "ready", "waiting_for": waiting})

    async def _metrics_page(self):
        if self._next_metrics is None:
            self._next_metrics = asyncio.ensure_future(self._metrics_text())
        return Response(await asyncio.shield(self._next_metrics), media_type=metrics_page.CONTENT_TYPE)

    async def _metrics_text(self):
        """The metrics for all who ask meanwhile: so many of them cost no more than one."""
        await asyncio.sleep(self._metrics_since + _METRICS_SECONDS - time.monotonic())
        self._next_metrics, self._metrics_since = None, time.monotonic()
        return await asyncio.to_thread(self._metrics.text)

    async def _answer(self, scope, receive, held):
        method = scope["method"]
        path = scope.get("raw_path", scope["path"].encode()).split(b"?")[0].decode("latin-1")
        if path in self._pages and method in ("GET", "HEAD"):
            return await self._pages[path]()
        if not path.lower().startswith("/v1/"):
            raise ServingError(grpc.StatusCode.NOT_FOUND, f"Not found: {path}; models are at /v1/models/NAME")
        if method == "OPTIONS":
            return _preflight(scope)
        if scope["query_string"]:
            path += f"?{scope['query_string'].decode('latin-1')}"  # a part of the name, for TensorFlow Serving
        match = (_POST_PATH if method == "POST" else _GET_PATH).fullmatch(path) if method in ("POST", "GET") else None
        if not match or (method == "POST" and match[4] != match[4].lower()):
            raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, f"Malformed request: {method} {path}")
        spec = _model_spec(*match.groups()[:3])
        if method == "GET":
            return await asyncio.to_thread(self._describe, spec, match[4] == "metadata")
        with self._api.measured(spec.name, match[4].capitalize(), "REST"):
            return await self._post(match[4], spec, scope, receive, held)

    def _describe(self, spec, is_metadata):
        if not spec.name:
            raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, "Missing model name in request.")
        if not is_metadata:
            return _json(200, _to_dict(self._api.status(spec)))
        response = self._api.metadata(spec)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        return _json(200, {"model_spec": _to_dict(response.model_spec), "metadata": {"signature_def": _to_dict(signatures)}})

    async def _post(self, method, spec, scope, receive, held):
        deadline = time.monotonic() + self._limits.timeout_seconds
        body = await _read_body(scope, receive, self._limits.max_request_bytes, held)
        self._api.store.check_room(spec.name, *version_of(spec))
        work = self._predict(spec, body, deadline) if method == "predict" else self._examples(method, spec, body, deadline)
        return await _while_connected(work, receive)

    async def _predict(self, spec, body, deadline):
        find_signature = functools.partial(rest_json.named_signature, self._api.signatures(spec))
        request = await self._parse(rest_json.parse_predict_request, body, find_signature, deadline=deadline)
        await off_loop(len(body), check_images, request.inputs, self._limits.max_pixels)
        spec.signature_name = request.signature_name
        del body
        _, outputs = await self._api.predict(spec, request.inputs, deadline=deadline)
        size = sum(array.nbytes for array in outputs.values())
        return _json_bytes(await off_loop(size, rest_json.format_predictions, outputs, request.is_row))

    async def _examples(self, method, spec, body, deadline):
        spec.signature_name, examples = await self._parse(rest_json.parse_serialized_examples, body, deadline=deadline)
        if method == "classify":
            return _json_bytes(rest_json.format_classifications((await self._api.classify(spec, examples, deadline))[1]))
        return _json_bytes(rest_json.format_regressions((await self._api.regress(spec, examples, deadline))[1]))

    async def _parse(self, function, body, *arguments, deadline):
        if is_large(body):
            return await self._parsing.parse(function, body, arguments, deadline)
        return await off_loop(len(body), function, body, *arguments)

    def hold(self, held: _Held, size: int) -> None:
        if self._bytes_held + size > self._limits.max_held_bytes:
            self._make_room(held)
        if self._bytes_held + size > self._limits.max_held_bytes:
            raise ServingError(grpc.StatusCode.RESOURCE_EXHAUSTED, "Too many bytes of requests are being answered; try again")
        self._bytes_held += size
        self._held.pop(held, None)
        self._held[held] = None

    def release(self, held: _Held, size: int) -> None:
        self._bytes_held -= size
        self._held.pop(held, None)

    def _make_room(self, asking):
        """Drops the upload whose next byte has been waited for longest, if that is long."""
        longest = next((held for held in self._held if held.reader and held is not asking), None)
        if longest is not None and time.monotonic() - longest.since > _STALLED_SECONDS:
            longest.drop()


class _Held:
    """The bytes that one request, or its answer, holds of what all together may hold."""

    def __init__(self, owner):
        self._owner, self._size, self.since = owner, 0, 0.0
        self.reader = None  # the task that waits for more of a body
        self.is_dropped = False

    def add(self, size):
        self._owner.hold(self, size)
        self._size, self.since = self._size + size, time.monotonic()

    def release(self):
        self._owner.release(self, self._size)
        self._size = 0

    def drop(self):
        """Ends the reading, for others."""
        self.is_dropped = True
        self.release()
        self.reader.cancel()


def _too_large(max_bytes):
    message = f"The request is larger than {max_bytes / 2**20:g} MiB: send fewer rows in a request"
    return TooLargeError(grpc.StatusCode.INVALID_ARGUMENT, message)


def _client_gone():
    return ServingError(grpc.StatusCode.CANCELLED, "The client is gone")


def _preflight(scope):
    """http_server.cc: a browser's question before it sends; without an origin, 400. Neither answer has a body."""
    origin = dict(scope["headers"]).get(b"origin", b"")
    return Response(status_code=200 if re.search(rb"https?://", origin) else 400)


async def _read_body(scope, receive, max_bytes, held):
    """The request's body. What is too large is read to the end, within reason, and thrown away: a client that still sends
    would see a broken connection and not the answer."""
    headers = dict(scope["headers"])
    body, size, more = bytearray(), 0, True
    held.reader = asyncio.current_task()
    try:
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _client_gone()
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            if size > max_bytes:
                body.clear()
                if size > 2 * max_bytes:
                    break
                continue
            held.add(len(part))
            body += part
    except asyncio.CancelledError:
        if not held.is_dropped:
            raise
        held.reader.uncancel()
        raise ServingError(grpc.StatusCode.RESOURCE_EXHAUSTED, "The request did not come in time, and others need its place") from None
    finally:
        held.reader = None
    if size > max_bytes:
        raise _too_large(max_bytes)
    if headers.get(b"content-encoding", b"").lower() == b"gzip":
        body = await off_loop(max_bytes, _unzip, body, max_bytes)
        held.add(len(body))
    return body


def _unzip(body, max_bytes):
    unzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        plain = unzip.decompress(body, max_bytes + 1)
    except zlib.error:
        raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, "The body is not gzip, as its Content-Encoding says") from None
    if len(plain) > max_bytes:
        raise _too_large(max_bytes)
    if not unzip.eof or unzip.unused_data:
        raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, "The body's gzip is cut short, or something follows it")
    return plain


async def _while_connected(work, receive):
    """The result of `work`, which is cancelled when the client goes away: what waits in the queue then never runs."""
    work, gone = asyncio.ensure_future(work), asyncio.ensure_future(receive())
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise _client_gone()
        return work.result()
    finally:
        gone.cancel()
        if not work.done():
            work.cancel()
            await asyncio.wait((work,))


async def _send_in_parts(response, send):
    """A large answer as fast as the client reads it."""
    body = memoryview(response.body)
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    for start in range(0, len(body), _SENT_AT_ONCE):
        end = start + _SENT_AT_ONCE
        await send({"type": "http.response.body", "body": bytes(body[start:end]), "more_body": end < len(body)})


def _model_spec(name, version, label):
    spec = model_pb2.ModelSpec(name=urllib.parse.unquote(name or ""))
    if version:
        if len(version) > 19 or int(version) >= 2**63:
            raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, f"Failed to convert version: {version} to numeric.")
        spec.version.value = int(version)
    if label:
        spec.version_label = urllib.parse.unquote(label)
    return spec


def _to_dict(message):
    """A message as TensorFlow Serving prints it: names as in the .proto, defaults too, 64-bit integers as strings."""
    options = {"preserving_proto_field_name": True}
    try:
        return json_format.MessageToDict(message, always_print_fields_with_no_presence=True, **options)
    except TypeError:  # protobuf before 5
        return json_format.MessageToDict(message, including_default_value_fields=True, **options)


def _json(status, document):
    return _json_bytes(json_text.dump(document).encode(), status)


def _json_bytes(content, status=200):
    return Response(content, status, media_type="application/json")
