"""The gRPC services, asked by the official stubs of tensorflow-serving-api."""

import asyncio
import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tfvision.serving import grpc_messages, grpc_services
from tfvision.serving.errors import ServingError
from tfvision.serving.server import running_server
from tfvision.serving.tensor_protos import to_array, to_proto

StatusCode = grpc.StatusCode


@pytest.fixture(scope="module")
def server(saved_models):
    with running_server(saved_models, rest_port=0, grpc_port=0, limits={"max_request_bytes": 200_000}) as server:
        yield server


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.grpc_address) as channel:
        yield channel


@pytest.fixture(scope="module")
def predictions(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def _request(kind, model="double", signature="", version=None, **inputs):
    request = kind()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    if version is not None:
        request.model_spec.version.value = version
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def _predict_request(*arguments, **options):
    return _request(predict_pb2.PredictRequest, *arguments, **options)


def _examples(request, values, context=None):
    examples = request.input.example_list.examples
    if context is not None:
        request.input.example_list_with_context.context.features.feature["x"].float_list.value.append(context)
        examples = request.input.example_list_with_context.examples
    for value in values:
        example = examples.add()
        if value is not None:
            example.features.feature["x"].float_list.value.append(value)
    return request


@pytest.mark.slow
def test_predict_answers_with_values_and_says_who_answered(predictions):
    response = predictions.Predict(_predict_request(x=np.float32([[1, 2], [3, 4.5]])), timeout=60)
    assert list(response.outputs["y"].float_val) == [2, 4, 6, 9]  # the field that many clients read
    assert tf.make_ndarray(response.outputs["y"]).shape == (2, 2)
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("double", 1, "serving_default")


def test_predict_by_version_signature_and_output(predictions, png):
    response = predictions.Predict(_predict_request(signature="total", version=1, x=np.float32([[1, 2]])), timeout=60)
    assert tf.make_ndarray(response.outputs["total"]) == 3
    request = _predict_request("photos", image_bytes=[png("red")])
    request.output_filter.append("name")
    response = predictions.Predict(request, timeout=60)
    assert set(response.outputs) == {"name"}
    assert response.outputs["name"].string_val == [b"red"]


def test_inputs_with_a_default_may_be_left_out(predictions):
    x = np.float32([1, 2])
    for inputs, scaled in (({"x": x}, [3, 6]), ({"x": x, "factor": x}, [1, 4])):
        response = predictions.Predict(_predict_request(signature="scale", **inputs), timeout=60)
        assert tf.make_ndarray(response.outputs["scaled"]).tolist() == scaled


def test_classify_and_regress(predictions):
    response = predictions.Classify(_examples(_request(classification_pb2.ClassificationRequest, "examples"), [0.0, 1.5]), timeout=60)
    rows = [[(item.label, item.score) for item in row.classes] for row in response.result.classifications]
    assert rows[0] == [("small", 0.5), ("large", 0.5)]
    np.testing.assert_allclose(rows[1][1][1], 1 / (1 + np.exp(-1.5)), rtol=1e-6)
    assert response.model_spec.version.value == 1
    request = _examples(_request(regression_pb2.RegressionRequest, "examples", "regress"), [None, None], context=2.0)
    response = predictions.Regress(request, timeout=60)
    assert [regression.value for regression in response.result.regressions] == [6, 6]
    assert response.model_spec.signature_name == "regress"


def test_metadata_carries_the_signatures(predictions):
    request = _request(get_model_metadata_pb2.GetModelMetadataRequest)
    request.metadata_field.append("signature_def")
    response = predictions.GetModelMetadata(request, timeout=60)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert {"serving_default", "total"} <= set(signatures.signature_def)
    assert response.model_spec.version.value == 1


def test_status_of_a_model(channel):
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    response = models.GetModelStatus(_request(get_model_status_pb2.GetModelStatusRequest), timeout=60)
    (status,) = response.model_version_status
    assert (status.version, status.state, status.status.error_code) == (1, get_model_status_pb2.ModelVersionStatus.AVAILABLE, 0)


def test_health_follows_the_models(channel):
    health = health_pb2_grpc.HealthStub(channel)
    for service in ("", "tensorflow.serving.PredictionService"):
        assert health.Check(health_pb2.HealthCheckRequest(service=service), timeout=60).status == health_pb2.HealthCheckResponse.SERVING
    watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=60)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()
    with pytest.raises(grpc.RpcError) as caught:
        health.Check(health_pb2.HealthCheckRequest(service="other"), timeout=60)
    assert caught.value.code() == StatusCode.NOT_FOUND


def _filtered(*names):
    request = _predict_request(x=np.float32([[1, 2]]))
    request.output_filter.extend(names)
    return request


def _shapeless():
    request = _predict_request()
    request.inputs["x"].dtype = tf.float32.as_datatype_enum
    request.inputs["x"].tensor_shape.unknown_rank = True
    return request


ERRORS = [  # method, request, code, words
    ("Predict", lambda: predict_pb2.PredictRequest(), StatusCode.INVALID_ARGUMENT, "Missing ModelSpec"),
    ("Predict", lambda: _predict_request("nothing"), StatusCode.NOT_FOUND, "Servable not found for request: Latest(nothing)"),
    ("Predict", lambda: _predict_request(version=7), StatusCode.NOT_FOUND, "Servable not found for request: Specific(double, 7)"),
    ("Predict", lambda: _predict_request(signature="no"), StatusCode.FAILED_PRECONDITION, 'Serving signature key "no" not found.'),
    ("Predict", lambda: _predict_request(), StatusCode.INVALID_ARGUMENT, "Missing but required: {x}"),
    ("Predict", lambda: _predict_request(x=[[1, 2]]), StatusCode.INVALID_ARGUMENT, "to be float32 but int32 is provided"),
    ("Predict", lambda: _filtered("z"), StatusCode.INVALID_ARGUMENT, "output tensor alias not found in signature: z"),
    ("Predict", lambda: _filtered("y", "y"), StatusCode.INVALID_ARGUMENT, "duplicate output tensor alias: y"),
    ("Predict", _shapeless, StatusCode.INVALID_ARGUMENT, "tensor parsing error: x: its shape must be known"),
    ("Predict", lambda: _predict_request("photos", image_bytes=[b"no photo"]), StatusCode.INVALID_ARGUMENT, "image_bytes, row 0 is no image"),
    ("Predict", lambda: _predict_request(x=np.zeros((30_000, 2), np.float32)), StatusCode.RESOURCE_EXHAUSTED, "larger than max"),
    ("Classify", lambda: _request(classification_pb2.ClassificationRequest, "examples"), StatusCode.INVALID_ARGUMENT, "Input is empty."),
    (
        "GetModelMetadata",
        lambda: _request(get_model_metadata_pb2.GetModelMetadataRequest),
        StatusCode.INVALID_ARGUMENT,
        "GetModelMetadataRequest must specify at least one metadata_field",
    ),
    ("MultiInference", lambda: inference_pb2.MultiInferenceRequest(), StatusCode.INVALID_ARGUMENT, "ModelSpec has no name specified."),
]


@pytest.mark.parametrize(("method", "make_request", "code", "message"), ERRORS, ids=[message for *_, message in ERRORS])
def test_errors_have_tensorflow_servings_codes_and_words(predictions, method, make_request, code, message):
    with pytest.raises(grpc.RpcError) as caught:
        getattr(predictions, method)(make_request(), timeout=60)
    assert caught.value.code() == code
    assert message in caught.value.details()


def test_status_of_an_unknown_model_is_not_found(channel):
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        models.GetModelStatus(_request(get_model_status_pb2.GetModelStatusRequest, "nothing"), timeout=60)
    assert (caught.value.code(), caught.value.details()) == (StatusCode.NOT_FOUND, "Could not find any versions of model nothing")


@pytest.mark.slow
def test_models_are_reloaded_within_what_is_served(double_base, add_version, saved_models):
    add_version(double_base, 2, factor=10.0)

    def reload(*configs):
        request = model_management_pb2.ReloadConfigRequest()
        request.config.model_config_list.SetInParent()
        for name, path, policy in configs:
            config = request.config.model_config_list.config.add(name=name, base_path=str(path), model_platform="tensorflow")
            config.model_version_policy.specific.versions.extend(policy)
            config.version_labels.update({"oldest": policy[0]})
        return models.HandleReloadConfigRequest(request, timeout=60)

    with running_server(double_base.parent, rest_port=0, grpc_port=0) as server, grpc.insecure_channel(server.grpc_address) as channel:
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)

        def answer(**spec):
            request = _predict_request(x=np.float32([[1, 2]]))
            request.model_spec.MergeFrom(model_pb2.ModelSpec(**spec))
            return list(predictions.Predict(request, timeout=60).outputs["y"].float_val)

        assert answer() == [10, 20]
        assert reload(("double", double_base, [1])).status.error_code == 0
        assert answer() == answer(version_label="oldest") == [2, 4]  # 1 instead of 2
        reload(("double", double_base, [1, 2]), ("other", double_base, [2]))
        assert answer(name="other") == answer() == [10, 20]
        assert answer(version_label="oldest") == [2, 4]
        for config, code in (
            (("double", saved_models / "double", [1]), StatusCode.PERMISSION_DENIED),
            (("double", double_base / ".." / ".." / "double", [1]), StatusCode.PERMISSION_DENIED),
            (("a/b", double_base, [1]), StatusCode.INVALID_ARGUMENT),
            (("empty", double_base / "nothing", [1]), StatusCode.UNKNOWN),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                reload(config)
            assert caught.value.code() == code
        reload()  # no model at all
        with pytest.raises(grpc.RpcError) as caught:
            answer()
        assert caught.value.code() == StatusCode.NOT_FOUND


@pytest.mark.slow
def test_calls_that_wait_to_be_accepted_are_not_cancelled(server, channel):
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    server._loop.call_soon_threadsafe(time.sleep, 2)  # accepts none meanwhile; from 1,000 on gRPC would end some
    calls = [models.GetModelStatus.future(_request(get_model_status_pb2.GetModelStatusRequest), timeout=300) for _ in range(2500)]
    assert {call.code() for call in calls} <= {StatusCode.OK, StatusCode.RESOURCE_EXHAUSTED}


def test_many_threads_get_their_own_answers(predictions):
    def ask(number):
        response = predictions.Predict(_predict_request(x=np.float32([[number, -number]])), timeout=60)
        answers[number] = tf.make_ndarray(response.outputs["y"]).tolist()

    answers = {}
    for start in range(0, 64, 8):
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(start, start + 8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {number: [[2.0 * number, -2.0 * number]] for number in range(64)}


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"])
def test_tensor_protos_hold_every_type(dtype):
    array = np.array([[0, 1], [3, 100]]).astype(dtype)
    for value in (array, array[0, 1], array[:0]):
        proto = to_proto(value)
        assert proto == tf.compat.v1.make_tensor_proto(value) or tf.make_ndarray(proto).dtype == value.dtype
        np.testing.assert_array_equal(to_array("x", proto), value)


@pytest.mark.slow
def test_tensor_proto_that_unpacks_to_gigabytes_is_refused():
    proto = tf.make_tensor_proto(np.float32([1]))
    proto.tensor_shape.dim[0].size = 2**40
    with pytest.raises(ServingError, match="takes more than 1073741824 bytes"):
        to_array("x", proto)


def test_messages_of_many_values_are_read_elsewhere(predictions, monkeypatch):
    monkeypatch.setattr(grpc_messages, "_SURELY_SMALL_BYTES", 100)
    monkeypatch.setattr(grpc_messages, "_MOST_VALUES", 50)
    rows = np.arange(200, dtype=np.float32).reshape(100, 2)
    request = _predict_request()
    request.inputs["x"].CopyFrom(to_proto(rows))
    np.testing.assert_array_equal(tf.make_ndarray(predictions.Predict(request, timeout=60).outputs["y"]), 2 * rows)
    classify = _examples(_request(classification_pb2.ClassificationRequest, "examples"), [0.0] * 60)
    assert len(predictions.Classify(classify, timeout=60).result.classifications) == 60


class _Context:
    """Of a call whose request does not come."""

    async def read(self):
        await asyncio.sleep(60)


async def _receive_five():
    """The codes of five requests that do not come."""
    uploads = grpc_services._Uploads(most_slow=2, seconds=0.2)
    errors = await asyncio.gather(*(uploads.receive(_Context()) for _ in range(5)), return_exceptions=True)
    return [error.code for error in errors]


def test_requests_that_do_not_come_are_ended():
    assert asyncio.run(_receive_five()) == [StatusCode.DEADLINE_EXCEEDED] * 5


def test_beyond_a_few_slow_requests_the_oldest_gives_way(monkeypatch):
    monkeypatch.setattr(grpc_services, "_SLOW_SECONDS", 0.01)
    assert asyncio.run(_receive_five()) == [StatusCode.RESOURCE_EXHAUSTED] * 3 + [StatusCode.DEADLINE_EXCEEDED] * 2


def test_a_call_without_a_request_is_told(channel):
    call = channel.stream_unary("/tensorflow.serving.PredictionService/Predict")
    with pytest.raises(grpc.RpcError) as caught:
        call(iter(()), timeout=60)
    assert (caught.value.code(), caught.value.details()) == (StatusCode.INTERNAL, "The call has no request")


def test_watchers_are_few(channel, monkeypatch):
    monkeypatch.setattr(grpc_services, "_MOST_WATCHERS", 1)
    watch = health_pb2_grpc.HealthStub(channel).Watch
    first = watch(health_pb2.HealthCheckRequest())
    next(first)
    with pytest.raises(grpc.RpcError) as caught:
        next(watch(health_pb2.HealthCheckRequest()))
    assert caught.value.code() == StatusCode.RESOURCE_EXHAUSTED
    first.cancel()
