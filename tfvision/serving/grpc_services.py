"""TensorFlow Serving's gRPC services, on the message classes of tensorflow-serving-api, and gRPC's health service.

The handlers are put together here and not by the generated code: a message that cannot be parsed must be INTERNAL, as gRPC's C++
has it, and not end in a traceback; and what is received, and for how long, has bounds.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from tfvision.serving.api import Api, RequestLimits, off_loop, version_of
from tfvision.serving.connections import ConnectionLimits
from tfvision.serving.errors import ServingError
from tfvision.serving.grpc_messages import input_arrays, is_intricate, read_examples, read_message, read_predict
from tfvision.serving.images import check_images
from tfvision.serving.parsing_process import ParsingProcess
from tfvision.serving.tensor_protos import to_proto
from tfvision.serving.versions import DEFAULT_SIGNATURE

MAX_CONCURRENT_CALLS = 256  # so many wait in the event loop at most, before the next is refused by gRPC's core
MAX_PENDING_CALLS = 4096  # not yet accepted; gRPC ends those beyond as CANCELLED, by its default some from 1,000 on
_MOST_SMALL_BYTES = 2**18  # of messages that hold no tensors
_SLOW_SECONDS = 1.0
_HEALTH_SECONDS = 1.0
_MOST_WATCHERS = 64  # each is a call that does not end
_SERVICES = ("", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")


def build_server(
    api: Api, limits: RequestLimits, connections: ConnectionLimits, parsing: ParsingProcess, reload: Callable[[ModelServerConfig], None]
) -> grpc.aio.Server:
    """A grpc.aio.Server without a port, not yet started; to be called in its event loop.

    Args:
      reload: serves other models; raises ServingError.
    """
    options = [
        ("grpc.max_receive_message_length", limits.max_request_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.server.max_pending_requests", MAX_PENDING_CALLS),
        ("grpc.server.max_pending_requests_hard_limit", MAX_PENDING_CALLS),
        ("grpc.max_allowed_incoming_connections", connections.max_connections),
        ("grpc.server_handshake_timeout_ms", round(1000 * connections.head_seconds)),
        ("grpc.max_connection_idle_ms", round(1000 * connections.head_seconds)),  # clients connect again of themselves
        ("grpc.keepalive_time_ms", round(1000 * connections.idle_seconds)),  # whoever is gone is noticed, also in the midst of a call
        ("grpc.keepalive_timeout_ms", round(1000 * connections.unread_seconds)),
        ("grpc.max_concurrent_streams", MAX_PENDING_CALLS),
        ("grpc.max_metadata_size", connections.max_head_bytes),
        ("grpc.absolute_max_metadata_size", connections.max_head_bytes),
        ("grpc.so_reuseport", 0),  # or a second server would share the port, and its requests, unnoticed
    ]
    server = grpc.aio.server(options=options, maximum_concurrent_rpcs=MAX_CONCURRENT_CALLS)
    uploads = _Uploads(limits.max_held_bytes // limits.max_request_bytes, connections.body_seconds)
    prediction, models = _PredictionService(api, limits, parsing).methods(), _ModelService(api, reload).methods()
    server.add_generic_rpc_handlers((_handlers(_SERVICES[1], prediction, uploads), _handlers(_SERVICES[2], models, uploads)))
    health_pb2_grpc.add_HealthServicer_to_server(_Health(api.store), server)
    return server


class _PredictionService:
    def __init__(self, api, limits, parsing):
        self._api, self._limits, self._parsing = api, limits, parsing

    def methods(self):
        return {
            "Predict": (self._predict, predict_pb2.PredictRequest),
            "Classify": (self._answer_examples("Classify", self._classify), classification_pb2.ClassificationRequest),
            "Regress": (self._answer_examples("Regress", self._regress), regression_pb2.RegressionRequest),
            "MultiInference": (self._multi_inference, inference_pb2.MultiInferenceRequest),
            "GetModelMetadata": (self._metadata, get_model_metadata_pb2.GetModelMetadataRequest),
        }

    async def _predict(self, data, request_class, context):
        deadline, inputs = _deadline(context), None
        if is_intricate(data, request_class.DESCRIPTOR):
            request, inputs = await self._parsing.parse(read_predict, data, (), deadline or self._latest())
        else:
            request = read_message(data, request_class)
        del data
        with self._api.measured(request.model_spec.name, "Predict", "GRPC"):
            spec = self._spec_with_room(request)
            inputs = inputs or await off_loop(request.ByteSize(), input_arrays, request)
            await off_loop(sum(array.nbytes for array in inputs.values()), check_images, inputs, self._limits.max_pixels)
            version, outputs = await self._api.predict(spec, inputs, request.output_filter, deadline)
            size = sum(array.nbytes for array in outputs.values())
            return _named(await off_loop(size, _predict_response, outputs), spec, version)

    def _answer_examples(self, name, call):
        async def answer(data, request_class, context):
            request, examples = await self._examples(data, request_class, context)
            with self._api.measured(request.model_spec.name, name, "GRPC"):
                return await call(examples, self._spec_with_room(request), _deadline(context))

        return answer

    async def _examples(self, data, request_class, context):
        if is_intricate(data, request_class.DESCRIPTOR):
            return await self._parsing.parse(read_examples, data, (request_class,), _deadline(context) or self._latest())
        return read_examples(data, request_class)

    def _spec_with_room(self, request):
        spec = _spec(request)
        self._api.store.check_room(spec.name, *version_of(spec), spec.signature_name or DEFAULT_SIGNATURE)
        return spec

    def _latest(self):
        return time.monotonic() + self._limits.timeout_seconds

    async def _multi_inference(self, data, request_class, context):
        request, examples = await self._examples(data, request_class, context)
        with self._api.measured(request.tasks[0].model_spec.name if request.tasks else "", "MultiInference", "GRPC"):
            return await self._api.multi_inference(request.tasks, examples, _deadline(context))

    async def _metadata(self, data, request_class, context):
        request = _read_small(data, request_class)
        return self._api.metadata(_spec(request), request.metadata_field)

    async def _classify(self, examples, spec, deadline):
        version, result = await self._api.classify(spec, examples, deadline)
        return _named(classification_pb2.ClassificationResponse(result=result), spec, version)

    async def _regress(self, examples, spec, deadline):
        version, result = await self._api.regress(spec, examples, deadline)
        return _named(regression_pb2.RegressionResponse(result=result), spec, version)


class _ModelService:
    def __init__(self, api, reload):
        self._api, self._reload = api, reload

    def methods(self):
        return {
            "GetModelStatus": (self._status, get_model_status_pb2.GetModelStatusRequest),
            "HandleReloadConfigRequest": (self._reload_config, model_management_pb2.ReloadConfigRequest),
        }

    async def _status(self, data, request_class, context):
        return self._api.status(_spec(_read_small(data, request_class)))

    async def _reload_config(self, data, request_class, context):
        await asyncio.to_thread(self._reload, _read_small(data, request_class).config)
        return model_management_pb2.ReloadConfigResponse(status={})


class _Uploads:
    """The requests that are being received. gRPC's core holds what has come of each, and has no bound of time or of memory for them.

    Args:
      most_slow: how many may take longer than a second; beyond it the oldest is ended.
      seconds: for one of them.
    """

    def __init__(self, most_slow: int, seconds: float) -> None:
        self._most_slow, self._seconds = most_slow, seconds
        self._slow: dict[asyncio.Task[Any], None] = {}
        self._dropped: set[asyncio.Task[Any]] = set()

    async def receive(self, context: Any) -> bytes:
        """The request of a call."""
        task: Any = asyncio.current_task()
        timer = asyncio.get_running_loop().call_later(_SLOW_SECONDS, self._is_slow, task)
        try:
            async with asyncio.timeout(self._seconds):
                data = await context.read()
        except TimeoutError:
            raise ServingError(grpc.StatusCode.DEADLINE_EXCEEDED, "The request did not come in time") from None
        except asyncio.CancelledError:
            if task not in self._dropped:
                raise
            task.uncancel()
            raise ServingError(grpc.StatusCode.RESOURCE_EXHAUSTED, "The request did not come in time, and others need its place") from None
        finally:
            timer.cancel()
            self._slow.pop(task, None)
            self._dropped.discard(task)
        if data is grpc.aio.EOF:
            raise ServingError(grpc.StatusCode.INTERNAL, "The call has no request")
        return data

    def _is_slow(self, task):
        self._slow[task] = None
        if len(self._slow) > self._most_slow:
            oldest = next(iter(self._slow))
            del self._slow[oldest]
            self._dropped.add(oldest)
            oldest.cancel()


class _Health(health_pb2_grpc.HealthServicer):
    """SERVING when every model has a version that serves."""

    def __init__(self, store):
        self._store, self._watchers = store, 0

    async def Check(self, request, context):
        if request.service not in _SERVICES:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"unknown service {request.service}")
        return health_pb2.HealthCheckResponse(status=self._status(request.service))

    async def Watch(self, request, context):
        if self._watchers >= _MOST_WATCHERS:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{_MOST_WATCHERS} clients watch already; ask with Check")
        told, self._watchers = None, self._watchers + 1
        try:
            while True:
                status = self._status(request.service)
                if status != told:
                    told = status
                    yield health_pb2.HealthCheckResponse(status=status)
                await asyncio.sleep(_HEALTH_SECONDS)
        finally:
            self._watchers -= 1

    def _status(self, service):
        statuses = health_pb2.HealthCheckResponse
        if service not in _SERVICES:
            return statuses.SERVICE_UNKNOWN
        return statuses.SERVING if self._store.is_ready() else statuses.NOT_SERVING


def _handlers(service: str, methods: dict[str, tuple[Callable[..., Awaitable[Any]], Any]], uploads: _Uploads) -> grpc.GenericRpcHandler:
    """The handler of a service: name of a method -> coroutine function (bytes, request's class, context), and the class.

    For gRPC the requests are streams, of one message: so they are received here, within bounds, and not before a handler is asked.
    """
    handlers = {
        name: grpc.stream_unary_rpc_method_handler(_told(answer, request_class, uploads), None, lambda response: response.SerializeToString())
        for name, (answer, request_class) in methods.items()
    }
    return grpc.method_handlers_generic_handler(service, handlers)


def _told(answer, request_class, uploads):
    """The coroutine function, with its ServingErrors told to the client."""

    async def call(_, context):
        try:
            return await answer(await uploads.receive(context), request_class, context)
        except ServingError as error:  # not by `abort`, whose exception makes a refusal a fifth dearer
            context.set_code(error.code)
            context.set_details(error.message)

    return call


def _read_small(data, request_class):
    if len(data) > _MOST_SMALL_BYTES:
        raise ServingError(grpc.StatusCode.RESOURCE_EXHAUSTED, f"A {request_class.__name__} may have {_MOST_SMALL_BYTES} bytes")
    return read_message(data, request_class)


def _spec(request):
    if not request.HasField("model_spec"):
        raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")
    return request.model_spec


def _deadline(context):
    left = context.time_remaining()
    return None if left is None else time.monotonic() + left


def _predict_response(outputs):
    response = predict_pb2.PredictResponse()
    for name, array in outputs.items():
        response.outputs[name].CopyFrom(to_proto(array))
    return response


def _named(response, spec, version):
    """The response, with what answered: model, version and signature."""
    response.model_spec.name = spec.name
    response.model_spec.version.value = version
    response.model_spec.signature_name = spec.signature_name or DEFAULT_SIGNATURE
    return response
