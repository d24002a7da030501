"""TensorFlow Serving's gRPC services, on the message classes of tensorflow-serving-api, and gRPC's health service.

The handlers are put together here and not by the generated code: a message that cannot be parsed must be INTERNAL, as gRPC's C++
has it, and not end in a traceback.
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

from tfvision.serving.api import DEFAULT_SIGNATURE, Api, RequestLimits
from tfvision.serving.errors import ServingError
from tfvision.serving.images import check_images
from tfvision.serving.tensor_protos import to_array, to_proto

MAX_CONCURRENT_CALLS = 1024
MAX_PENDING_CALLS = 4096  # not yet accepted; gRPC ends those beyond as CANCELLED, by its default some from 1,000 on
_LARGE_BYTES = 32 * 1024  # from this size on, conversion would hold up other requests: a thread does it
_HEALTH_SECONDS = 1.0
_SERVICES = ("", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")


def build_server(api: Api, limits: RequestLimits, reload: Callable[[ModelServerConfig], None]) -> grpc.aio.Server:
    """A grpc.aio.Server without a port, not yet started; to be called in its event loop.

    Args:
      reload: serves other models; raises ServingError.
    """
    options = [
        ("grpc.max_receive_message_length", limits.max_request_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.server.max_pending_requests", MAX_PENDING_CALLS),
        ("grpc.server.max_pending_requests_hard_limit", MAX_PENDING_CALLS),
        ("grpc.so_reuseport", 0),  # or a second server would share the port, and its requests, unnoticed
    ]
    server = grpc.aio.server(options=options, maximum_concurrent_rpcs=MAX_CONCURRENT_CALLS)
    server.add_generic_rpc_handlers((_PredictionService(api, limits).handlers(), _ModelService(api, reload).handlers()))
    health_pb2_grpc.add_HealthServicer_to_server(_Health(api.store), server)
    return server


class _PredictionService:
    def __init__(self, api, limits):
        self._api, self._limits = api, limits

    def handlers(self):
        methods = {
            "Predict": (self._answer("Predict", self._predict), predict_pb2.PredictRequest),
            "Classify": (self._answer("Classify", self._classify), classification_pb2.ClassificationRequest),
            "Regress": (self._answer("Regress", self._regress), regression_pb2.RegressionRequest),
            "MultiInference": (self._multi_inference, inference_pb2.MultiInferenceRequest),
            "GetModelMetadata": (self._metadata, get_model_metadata_pb2.GetModelMetadataRequest),
        }
        return _handlers("tensorflow.serving.PredictionService", methods)

    def _answer(self, name, call):
        async def answer(request, context):
            with self._api.measured(request.model_spec.name, name, "GRPC"):
                spec = _spec(request)
                self._api.check_room(spec, spec.signature_name or DEFAULT_SIGNATURE)
                return await call(request, spec, _deadline(context))

        return answer

    async def _multi_inference(self, request, context):
        with self._api.measured(request.tasks[0].model_spec.name if request.tasks else "", "MultiInference", "GRPC"):
            return await self._api.multi_inference(request, _deadline(context))

    async def _metadata(self, request, context):
        return self._api.metadata(_spec(request), request.metadata_field)

    async def _predict(self, request, spec, deadline):
        inputs = await _off_loop(request.ByteSize(), self._inputs, request)
        version, outputs = await self._api.predict(spec, inputs, request.output_filter, deadline)
        size = sum(array.nbytes for array in outputs.values())
        response = await _off_loop(size, _predict_response, outputs)
        return _named(response, spec, version)

    def _inputs(self, request):
        inputs = {name: to_array(name, tensor) for name, tensor in request.inputs.items()}
        check_images(inputs, self._limits.max_pixels)
        return inputs

    async def _classify(self, request, spec, deadline):
        version, result = await self._api.classify(spec, request.input, deadline)
        return _named(classification_pb2.ClassificationResponse(result=result), spec, version)

    async def _regress(self, request, spec, deadline):
        version, result = await self._api.regress(spec, request.input, deadline)
        return _named(regression_pb2.RegressionResponse(result=result), spec, version)


class _ModelService:
    def __init__(self, api, reload):
        self._api, self._reload = api, reload

    def handlers(self):
        methods = {
            "GetModelStatus": (self._status, get_model_status_pb2.GetModelStatusRequest),
            "HandleReloadConfigRequest": (self._reload_config, model_management_pb2.ReloadConfigRequest),
        }
        return _handlers("tensorflow.serving.ModelService", methods)

    async def _status(self, request, context):
        return self._api.status(_spec(request))

    async def _reload_config(self, request, context):
        await asyncio.to_thread(self._reload, request.config)
        return model_management_pb2.ReloadConfigResponse(status={})


class _Health(health_pb2_grpc.HealthServicer):
    """SERVING when every model has a version that serves."""

    def __init__(self, store):
        self._store = store

    async def Check(self, request, context):
        if request.service not in _SERVICES:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"unknown service {request.service}")
        return health_pb2.HealthCheckResponse(status=self._status(request.service))

    async def Watch(self, request, context):
        told = None
        while True:
            status = self._status(request.service)
            if status != told:
                told = status
                yield health_pb2.HealthCheckResponse(status=status)
            await asyncio.sleep(_HEALTH_SECONDS)

    def _status(self, service):
        statuses = health_pb2.HealthCheckResponse
        if service not in _SERVICES:
            return statuses.SERVICE_UNKNOWN
        return statuses.SERVING if self._store.is_ready() else statuses.NOT_SERVING


def _handlers(service: str, methods: dict[str, tuple[Callable[..., Awaitable[Any]], Any]]) -> grpc.GenericRpcHandler:
    """The handler of a service: name of a method -> coroutine function (request, context), and its request's class."""
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(_told(answer), _parser(request_class), lambda response: response.SerializeToString())
        for name, (answer, request_class) in methods.items()
    }
    return grpc.method_handlers_generic_handler(service, handlers)


def _parser(request_class):
    def parse(data):
        try:
            return request_class.FromString(data)
        except Exception:  # protobuf's DecodeError has a different home in each of its major versions
            return ServingError(grpc.StatusCode.INTERNAL, f"The message is no {request_class.__name__}")

    return parse


def _told(answer):
    """The coroutine function, with its ServingErrors told to the client."""

    async def call(request, context):
        try:
            if isinstance(request, ServingError):
                raise request
            return await answer(request, context)
        except ServingError as error:  # not by `abort`, whose exception makes a refusal a fifth dearer
            context.set_code(error.code)
            context.set_details(error.message)

    return call


async def _off_loop(size, function, *arguments):
    return await asyncio.to_thread(function, *arguments) if size > _LARGE_BYTES else function(*arguments)


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
