"""TensorFlow Serving's gRPC services, on the message classes of tensorflow-serving-api, and gRPC's health service."""

import asyncio
import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tfvision.serving.api import DEFAULT_SIGNATURE, Api, RequestLimits
from tfvision.serving.errors import ServingError
from tfvision.serving.images import check_images
from tfvision.serving.tensor_protos import to_array, to_proto

MAX_CONCURRENT_CALLS = 1024
MAX_PENDING_CALLS = 4096  # not yet accepted; gRPC ends those beyond as CANCELLED, by its default some from 1,000 on
_LARGE_BYTES = 32 * 1024  # from this size on, conversion would hold up other requests: a thread does it
_HEALTH_SECONDS = 1.0
_SERVICES = ("", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")


def build_server(api: Api, limits: RequestLimits) -> grpc.aio.Server:
    """A grpc.aio.Server without a port, not yet started; to be called in its event loop."""
    options = [
        ("grpc.max_receive_message_length", limits.max_request_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.server.max_pending_requests", MAX_PENDING_CALLS),
        ("grpc.server.max_pending_requests_hard_limit", MAX_PENDING_CALLS),
        ("grpc.so_reuseport", 0),  # or a second server would share the port, and its requests, unnoticed
    ]
    server = grpc.aio.server(options=options, maximum_concurrent_rpcs=MAX_CONCURRENT_CALLS)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_PredictionService(api, limits), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_ModelService(api), server)
    health_pb2_grpc.add_HealthServicer_to_server(_Health(api.store), server)
    return server


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, api, limits):
        self._api, self._limits = api, limits

    async def Predict(self, request, context):
        return await self._answer("Predict", self._predict, request, context)

    async def Classify(self, request, context):
        return await self._answer("Classify", self._classify, request, context)

    async def Regress(self, request, context):
        return await self._answer("Regress", self._regress, request, context)

    async def GetModelMetadata(self, request, context):
        return await _answer_at_once(lambda: self._api.metadata(_spec(request), request.metadata_field), context)

    async def MultiInference(self, request, context):
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "MultiInference is not served here: call Classify and Regress")

    async def _answer(self, name, call, request, context):
        try:
            with self._api.measured(request.model_spec.name, name, "GRPC"):
                spec = _spec(request)
                self._api.check_room(spec, spec.signature_name or DEFAULT_SIGNATURE)
                return await call(request, spec, _deadline(context))
        except ServingError as error:  # not by `abort`, whose exception makes a refusal a fifth dearer
            context.set_code(error.code)
            context.set_details(error.message)

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


class _ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, api):
        self._api = api

    async def GetModelStatus(self, request, context):
        return await _answer_at_once(lambda: self._api.status(_spec(request)), context)

    async def HandleReloadConfigRequest(self, request, context):
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Models are not reconfigured here: start the server anew")


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


async def _answer_at_once(call, context):
    try:
        return call()
    except ServingError as error:
        await context.abort(error.code, error.message)


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
