"""A client of TensorFlow Serving's protocol, REST and gRPC, for the local server and for TensorFlow Serving itself.

    client = Client("http://localhost:8501")
    answer = client.predict("species", {"image_bytes": [open("photo.jpg", "rb").read()]})

Over REST nothing imports TensorFlow; over gRPC its message classes do.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import random
import time
import urllib.parse
from typing import TYPE_CHECKING

import numpy as np

from tfvision.errors import UserError
from tfvision.files import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

RETRIES = 5
_FIRST_DELAY_SECONDS = 0.1
_NUMPY_NAMES = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_HALF": "float16", "DT_STRING": "string"}


class RequestError(UserError):
    """The server answered, and would not or could not do what this one request asks."""


class _Overloaded(Exception):
    """Worth another try a little later."""


class _Replaced(RequestError):
    """The version is gone, or is another than its signature was asked of: worth asking anew."""


class _Strange(UserError):
    """An answer that no server of the protocol gives."""


class Client:
    """Asks a server for predictions; may be used by several threads at once.

    Args:
      url: http://HOST:PORT or https://... for REST; grpc://HOST:PORT or HOST:PORT for gRPC.

    Raises:
      UserError: a URL of another kind.
    """

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.rpartition("://")
        if scheme not in ("http", "https", "grpc", "") or not rest:
            raise UserError(f"a server's URL must begin with http://, https:// or grpc://, got {url!r}")
        self.url = url
        self._transport = _Rest(url.rstrip("/")) if scheme.startswith("http") else _Grpc(rest.rstrip("/"))
        self._signatures: dict[tuple[Any, ...], Any] = {}

    def predict(
        self, model: str, inputs: dict[str, Any], signature: str = "serving_default", version: int | str | None = None, timeout_seconds: float = 60
    ) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
          model: the model's name.
          inputs: {name: array, list or scalar}; strings as str or bytes.
          version: a number, or a label as str; None is the newest.
          timeout_seconds: for all of it; an overloaded server is asked again until then, a few times.

        Returns:
          {name: array}; strings are arrays of str, or of bytes where the name ends in `_bytes`.

        Raises:
          RequestError: the server refused the request, or is overloaded.
          UserError: nothing answers at the URL.
        """
        deadline = time.monotonic() + timeout_seconds
        try:
            return self._predict(model, inputs, signature, version, deadline)
        except _Replaced:
            return self._predict(model, inputs, signature, version, deadline)

    def status(self, model: str, version: int | str | None = None, timeout_seconds: float = 10) -> list[dict[str, Any]]:
        """A list of {"version", "state", "error"}, as the server orders them; state is AVAILABLE where it serves."""
        answer = _retry(lambda left: self._transport.status(model, version, left), time.monotonic() + timeout_seconds, self.url)
        with _understood(self.url):
            return [
                {"version": int(item.get("version", 0)), "state": str(item["state"]), "error": str(item.get("status", {}).get("error_message", ""))}
                for item in answer["model_version_status"]
            ]

    def metadata(self, model: str, version: int | str | None = None, timeout_seconds: float = 10) -> dict[str, Any]:
        """{"version": int, "signatures": {name: {"inputs": {name: {"dtype", "shape"}}, "outputs": ...}}}.

        A dtype is numpy's name or "string"; an unknown size is None, a shape of unknown rank too.
        """
        answer = _retry(lambda left: self._transport.metadata(model, version, left), time.monotonic() + timeout_seconds, self.url)
        with _understood(self.url):
            definitions = answer["metadata"]["signature_def"]["signature_def"]
            return {
                "version": int(answer["model_spec"]["version"]),
                "signatures": {
                    name: {side: {key: _tensor(info) for key, info in definition.get(side, {}).items()} for side in ("inputs", "outputs")}
                    for name, definition in definitions.items()
                },
            }

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _predict(self, model, inputs, signature, version, deadline):
        """Asks the version whose signature it knows: REST's answers do not say which version gave them."""
        number = self._number(model, version, deadline)
        types = self._signature(model, signature, number, deadline)
        try:
            outputs = _retry(lambda left: self._transport.predict(model, signature, number, inputs, types, left), deadline, self.url)
            with _understood(self.url):
                if outputs.keys() != types["outputs"].keys():
                    raise _Replaced(f"{model} answered with {', '.join(sorted(outputs))}; its signature promises {', '.join(sorted(types['outputs']))}")
                return {name: _readable(name, array) for name, array in outputs.items()}
        except (RequestError, _Strange):
            self._signatures.pop((model, signature, number), None)
            raise

    def _number(self, model, version, deadline):
        """The number of the version that a label, or None for the newest, means now; None where none serves."""
        if isinstance(version, int):
            return version
        if version is not None:
            return self.metadata(model, version, deadline - time.monotonic())["version"]
        try:
            statuses = self.status(model, timeout_seconds=deadline - time.monotonic())
        except RequestError:  # which the prediction then says in its own words
            return None
        return max((status["version"] for status in statuses if status["state"] == "AVAILABLE"), default=None)

    def _signature(self, model, signature, number, deadline):
        """The signature's types, asked for once a version."""
        key = (model, signature, number)
        if key not in self._signatures:
            signatures = self.metadata(model, number, deadline - time.monotonic())["signatures"]
            if signature not in signatures:
                raise RequestError(f"{model} has no signature {signature!r}, only {', '.join(sorted(signatures))}")
            self._signatures[key] = signatures[signature]
        return self._signatures[key]


@functools.cache
def _trusted(trust_env):
    """The certificates that are trusted, which take longer to read than a request takes; read once for all clients."""
    import httpx

    return httpx.create_ssl_context(trust_env=trust_env)


class _Rest:
    def __init__(self, url):
        import httpx

        self._url = url
        is_far = not _is_loopback(urllib.parse.urlsplit(url).hostname)
        self._http = httpx.Client(trust_env=is_far, verify=_trusted(is_far))

    def predict(self, model, signature, version, inputs, types, timeout_seconds):
        body = {"signature_name": signature, "inputs": {name: _to_json(value) for name, value in inputs.items()}}
        answer = self._ask("POST", f"{_path(model, version)}:predict", timeout_seconds, body)
        names = list(types["outputs"])
        with _understood(self._url):
            outputs = {names[0]: answer["outputs"]} if len(names) == 1 else dict(answer["outputs"])  # a single output comes bare
            return {name: _from_json(value, types["outputs"].get(name)) for name, value in outputs.items()}

    def status(self, model, version, timeout_seconds):
        return self._ask("GET", _path(model, version), timeout_seconds)

    def metadata(self, model, version, timeout_seconds):
        return self._ask("GET", f"{_path(model, version)}/metadata", timeout_seconds)

    def close(self):
        self._http.close()

    def _ask(self, method, path, timeout_seconds, body=None):
        import json

        import httpx

        content = None if body is None else json.dumps(body)  # httpx's own `json=` refuses NaN
        try:
            response = self._http.request(method, self._url + path, content=content, timeout=timeout_seconds)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise _unreachable(self._url) from None
        except httpx.TimeoutException:
            raise _too_slow(self._url) from None
        except httpx.TransportError as error:  # the connection broke: the server is stopping, or full
            raise _Overloaded(f"the connection broke: {error}") from None
        except (httpx.HTTPError, UnicodeError) as error:
            raise _strange(self._url, f"its answer to {path} cannot be read ({error})") from None
        try:
            answer = parse_json(response.content)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or (response.status_code != 200 and not isinstance(answer.get("error"), str)):
            raise _strange(self._url, f"it answered {response.status_code} to {path}")
        if response.status_code in (429, 503):
            raise _Overloaded(answer["error"])
        if response.status_code == 404:
            raise _Replaced(_one_line(answer["error"]))
        if response.status_code != 200:
            raise RequestError(_one_line(answer["error"]))
        return answer


class _Grpc:
    def __init__(self, address):
        import grpc
        from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

        host = urllib.parse.urlsplit(f"//{address}").hostname
        limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._url = f"grpc://{address}"
        self._channel = grpc.insecure_channel(address, limits + [("grpc.enable_http_proxy", int(not _is_loopback(host)))])
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def predict(self, model, signature, version, inputs, types, timeout_seconds):
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest(model_spec=_model_spec(model, version, signature))
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(_as_array(name, value, types["inputs"].get(name))))
        answer = self._ask(self._predictions.Predict, request, timeout_seconds)
        with _understood(self._url):
            return {name: tf.make_ndarray(tensor) for name, tensor in answer.outputs.items()}

    def status(self, model, version, timeout_seconds):
        from tensorflow_serving.apis import get_model_status_pb2

        request = get_model_status_pb2.GetModelStatusRequest(model_spec=_model_spec(model, version))
        return _to_dict(self._ask(self._models.GetModelStatus, request, timeout_seconds))

    def metadata(self, model, version, timeout_seconds):
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=_model_spec(model, version), metadata_field=["signature_def"])
        return _to_dict(self._ask(self._predictions.GetModelMetadata, request, timeout_seconds))

    def close(self):
        self._channel.close()

    def _ask(self, method, request, timeout_seconds):
        import grpc

        try:
            return method(request, timeout=timeout_seconds)
        except grpc.RpcError as error:
            code, text = error.code(), _one_line(error.details() or "")
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            raise _too_slow(self._url)
        if code == grpc.StatusCode.UNAVAILABLE and ("connect" in text.lower() or "resolution" in text):
            raise _unreachable(self._url)
        if code == grpc.StatusCode.UNAVAILABLE or (code == grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" not in text):
            raise _Overloaded(text)
        raise _Replaced(text) if code == grpc.StatusCode.NOT_FOUND else RequestError(text)


@contextlib.contextmanager
def _understood(url: str) -> Iterator[None]:
    """A block that takes an answer apart; one of another form than the protocol's is the server's fault, and told so."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise _strange(url, f"its answer has not the form of one ({type(error).__name__}: {_one_line(str(error))})") from None


def _strange(url, what):
    return _Strange(f"{url} does not speak TensorFlow Serving's protocol: {what}")


def _retry(ask, deadline, url):
    """Calls `ask(seconds left)`; again where the server is overloaded, each time after twice as long a pause."""
    for attempt in range(RETRIES + 1):
        left = deadline - time.monotonic()
        if left <= 0:
            raise _too_slow(url)
        try:
            return ask(left)
        except _Overloaded as error:
            reason = str(error)
        delay = _FIRST_DELAY_SECONDS * 2**attempt * random.uniform(0.5, 1)  # clients turned away together must not come back together
        if attempt == RETRIES or delay > deadline - time.monotonic():
            break
        time.sleep(delay)
    raise RequestError(f"{url} is overloaded or not ready yet ({_one_line(reason)}): try again later")


def _path(model, version):
    part = "" if version is None else f"/labels/{_quote(version)}" if isinstance(version, str) else f"/versions/{int(version)}"
    return f"/v1/models/{_quote(model)}{part}"


def _quote(text):
    return urllib.parse.quote(text, safe="")


def _model_spec(model, version, signature=""):
    from tensorflow_serving.apis import model_pb2

    spec = model_pb2.ModelSpec(name=model, signature_name=signature)
    if isinstance(version, str):
        spec.version_label = version
    elif version is not None:
        spec.version.value = int(version)
    return spec


def _to_dict(message):
    """A message as the REST protocol prints it: names as in the .proto, the metadata's Any without its type."""
    from google.protobuf import json_format

    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _tensor(info):
    dtype, shape = info.get("dtype", "DT_INVALID"), info.get("tensor_shape", {})
    sizes = [int(dim.get("size", 0)) for dim in shape.get("dim", ())]
    return {
        "dtype": _NUMPY_NAMES.get(dtype) or dtype.removeprefix("DT_").lower(),
        "shape": None if shape.get("unknown_rank") else [None if size < 0 else size for size in sizes],
    }


def _as_array(name, value, info):
    """An input -> array of the type that the signature asks for; decimals never become integers."""
    dtype = info["dtype"] if info else None
    if dtype == "string":
        return np.asarray(value, object)
    array = np.asarray(value)
    if dtype is None or array.dtype.kind in "OSU":
        return array  # the server says what is wrong
    try:
        return array.astype(dtype, casting="same_kind")
    except TypeError:
        raise RequestError(f"input {name} must be {dtype}, got {array.dtype}") from None


def _to_json(value):
    """An input -> what json prints; bytes as {"b64": ...}."""
    if isinstance(value, (np.ndarray, np.generic)):
        is_number, value = value.dtype.kind in "iufb", value.tolist()
        if is_number:
            return value
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value] if _needs_help(value) else value
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _needs_help(value):
    """Whether a nested list holds anything that json does not print itself."""
    foreign = (bytes, np.generic, np.ndarray)
    return any(_needs_help(item) if isinstance(item, (list, tuple)) else isinstance(item, foreign) for item in value)


def _from_json(value, info):
    """A value -> array of the output's type; one that the signature does not have is refused by its name."""
    if info is None:
        return np.empty(0, object)
    if info["dtype"] == "string":
        return np.asarray(_strings(value), object)
    array = np.asarray(value)
    if array.dtype.kind not in "iufb" and array.size:
        raise TypeError(f"{info['dtype']} expected")
    return array.astype(info["dtype"])


def _strings(value):
    if isinstance(value, list):
        return [_strings(item) for item in value]
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value


def _readable(name, array):
    """bytes -> str, unless the name says that they are bytes, or they are no text."""
    if array.dtype != object or name.endswith("_bytes"):
        return array
    return np.vectorize(_decode, otypes=[object])(array) if array.size else array


def _decode(value):
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


def _is_loopback(host):
    return host in ("localhost", "::1") or (host or "").startswith("127.")


def _one_line(text):
    return text.splitlines()[0] if text else "no reason given"


def _unreachable(url):
    return UserError(f"no server answers at {url}: start one with `tfvision serve`, or check the address")


def _too_slow(url):
    return UserError(f"{url} did not answer in time: give it longer, or look at its load")
