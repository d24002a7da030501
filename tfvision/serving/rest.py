"""TensorFlow Serving's REST API as an ASGI application, with its metrics page and two health pages.

POST /v1/models/NAME[/versions/N|/labels/L]:predict|classify|regress
OPTIONS /v1/..., as browsers ask before they send to another origin
GET  /v1/models/NAME[/versions/N|/labels/L][/metadata]
GET  /monitoring/prometheus/metrics, /healthz (the process lives), /readyz (every model serves)
"""

import asyncio
import re
import time
import urllib.parse
import zlib
from collections.abc import Awaitable, Callable

import grpc
from google.protobuf import json_format
from starlette.responses import Response
from tensorflow_serving.apis import get_model_metadata_pb2, model_pb2

from tfvision.serving import json_text, rest_json
from tfvision.serving import metrics as metrics_page
from tfvision.serving.api import Api, RequestLimits
from tfvision.serving.configuration import METRICS_PATH
from tfvision.serving.errors import ServingError
from tfvision.serving.images import check_images

# http_rest_api_util.cc; names are matched whatever their case, the methods exactly.
_MODEL = r"(?i:/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?"
_POST_PATH = re.compile(_MODEL + r":(classify|regress|predict))")
_GET_PATH = re.compile(_MODEL.replace("/([^/:]+)", "(?:/([^/:]+))?", 1) + r"(?:/(metadata))?)")
_LARGE_BYTES = 32 * 1024  # from this size on, parsing would hold up other requests: a thread does it


def build_app(api: Api, metrics: metrics_page.ServingMetrics, limits: RequestLimits) -> Callable[..., Awaitable[None]]:
    """The ASGI application, with its pages."""

    def healthz():
        return _json(200, {"status": "alive"})

    def readyz():
        waiting = [name for name in api.store.names() if not api.store.is_ready(name)]
        return _json(503 if waiting else 200, {"status": "waiting" if waiting else "ready", "waiting_for": waiting})

    def prometheus():
        return Response(metrics.text(), media_type=metrics_page.CONTENT_TYPE)

    return _RestApi(api, limits, {"/healthz": healthz, "/readyz": readyz, METRICS_PATH: prometheus})


class _RestApi:
    """Plain ASGI: a framework's handlers read bodies without a limit, and its routing costs two thirds of what a refusal does."""

    def __init__(self, api, limits, pages):
        self._api, self._limits, self._pages = api, limits, pages
        self._bytes_held = 0  # of all bodies being read and answered

    async def __call__(self, scope, receive, send):
        try:
            response = await self._answer(scope, receive)
        except ServingError as error:
            response = _json_bytes(rest_json.format_error(error.message), error.http_status)
        await response(scope, receive, send)

    async def _answer(self, scope, receive):
        method = scope["method"]
        path = scope.get("raw_path", scope["path"].encode()).split(b"?")[0].decode("latin-1")
        if path in self._pages and method in ("GET", "HEAD"):
            return self._pages[path]()
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
            return self._describe(spec, is_metadata=match[4] == "metadata")
        with self._api.measured(spec.name, match[4].capitalize(), "REST"):
            return await self._post(match[4], spec, scope, receive)

    def _describe(self, spec, is_metadata):
        if not spec.name:
            raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, "Missing model name in request.")
        if not is_metadata:
            return _json(200, _to_dict(self._api.status(spec)))
        response = self._api.metadata(spec)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        return _json(200, {"model_spec": _to_dict(response.model_spec), "metadata": {"signature_def": _to_dict(signatures)}})

    async def _post(self, method, spec, scope, receive):
        deadline = time.monotonic() + self._limits.timeout_seconds
        self._api.check_room(spec)  # uvicorn throws the body of a refused request away
        held = _Held(self)
        try:
            body = await _read_body(scope, receive, self._limits.max_request_bytes, held)
            self._api.check_room(spec)
            work = self._predict(spec, body, deadline) if method == "predict" else self._examples(method, spec, body, deadline)
            return await _while_connected(work, receive)
        finally:
            held.release()

    async def _predict(self, spec, body, deadline):
        request = await _off_loop(len(body), self._parse, spec, body)
        spec.signature_name = request.signature_name
        _, outputs = await self._api.predict(spec, request.inputs, deadline=deadline)
        size = sum(array.nbytes for array in outputs.values())
        return _json_bytes(await _off_loop(size, rest_json.format_predictions, outputs, request.is_row))

    def _parse(self, spec, body):
        request = rest_json.parse_predict_request(body, lambda signature: self._api.signature(spec, signature))
        check_images(request.inputs, self._limits.max_pixels)
        return request

    async def _examples(self, method, spec, body, deadline):
        spec.signature_name, examples = await _off_loop(len(body), rest_json.parse_examples_request, body)
        if method == "classify":
            return _json_bytes(rest_json.format_classifications((await self._api.classify(spec, examples, deadline))[1]))
        return _json_bytes(rest_json.format_regressions((await self._api.regress(spec, examples, deadline))[1]))

    def hold(self, size):
        if self._bytes_held + size > self._limits.max_held_bytes:
            raise ServingError(grpc.StatusCode.RESOURCE_EXHAUSTED, "Too many bytes of requests are being answered; try again")
        self._bytes_held += size

    def release(self, size):
        self._bytes_held -= size


class _Held:
    """The bytes that one request holds of what all together may hold."""

    def __init__(self, owner):
        self._owner, self._size = owner, 0

    def add(self, size):
        self._owner.hold(size)
        self._size += size

    def release(self):
        self._owner.release(self._size)


class _TooLarge(ServingError):
    """TensorFlow Serving has no limit, and so no status for it."""

    http_status = 413

    def __init__(self, max_bytes):
        message = f"The request is larger than {max_bytes / 2**20:g} MiB: send fewer rows in a request"
        super().__init__(grpc.StatusCode.INVALID_ARGUMENT, message)


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
    if size > max_bytes:
        raise _TooLarge(max_bytes)
    return _unzip(body, max_bytes, held) if headers.get(b"content-encoding", b"").lower() == b"gzip" else bytes(body)


def _unzip(body, max_bytes, held):
    unzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        plain = unzip.decompress(body, max_bytes + 1)
    except zlib.error:
        raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, "The body is not gzip, as its Content-Encoding says") from None
    if len(plain) > max_bytes:
        raise _TooLarge(max_bytes)
    if not unzip.eof or unzip.unused_data:
        raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, "The body's gzip is cut short, or something follows it")
    held.add(len(plain))
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


async def _off_loop(size, function, *arguments):
    return await asyncio.to_thread(function, *arguments) if size > _LARGE_BYTES else function(*arguments)


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
