"""Large requests, in the process that reads them."""

import asyncio
import functools
import time

import grpc
import numpy as np
import pytest
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
from tensorflow_serving.apis import classification_pb2, predict_pb2

from tfvision.serving.errors import ServingError
from tfvision.serving.grpc_messages import is_intricate, read_examples, read_predict
from tfvision.serving.parsing_process import LARGE_BYTES, ParsingProcess, is_large
from tfvision.serving.rest_json import named_signature, parse_predict_request, parse_serialized_examples


@pytest.fixture(scope="module")
def process():
    """A ParsingProcess with 64 MiB."""
    process = ParsingProcess(2**26)
    yield process
    process.close()


def _parse(process, function, body, *arguments, seconds=60):
    return asyncio.run(process.parse(function, body, arguments, time.monotonic() + seconds))


def _find_signature(dtype=types_pb2.DT_FLOAT):
    signature = SignatureDef()
    signature.inputs["x"].dtype = dtype
    return functools.partial(named_signature, {"serving_default": signature})


def test_requests_are_read_as_they_are_here(process):
    body, find_signature = b'{"instances": [[1, 2], [NaN, 0.5]]}', _find_signature()
    there, here = _parse(process, parse_predict_request, body, find_signature), parse_predict_request(body, find_signature)
    np.testing.assert_array_equal(there.inputs["x"], here.inputs["x"])
    assert there.inputs["x"].dtype == np.float32 and there[::2] == here[::2] == ("", True)
    strings = _parse(process, parse_predict_request, b'{"inputs": [{"b64": "/w=="}]}', _find_signature(types_pb2.DT_STRING))
    assert strings.inputs["x"].tolist() == [b"\xff"]
    body = b'{"signature_name": "c", "examples": [{"a": 1}]}'
    assert _parse(process, parse_serialized_examples, body) == parse_serialized_examples(body)


def test_messages_are_read_as_they_are_here(process):
    request = predict_pb2.PredictRequest(output_filter=["y"])
    request.inputs["x"].dtype, request.inputs["x"].float_val[:] = types_pb2.DT_FLOAT, [0.5]
    request.inputs["x"].tensor_shape.dim.add(size=3)
    left, inputs = _parse(process, read_predict, request.SerializeToString())
    assert left == predict_pb2.PredictRequest(output_filter=["y"])
    np.testing.assert_array_equal(inputs["x"], np.float32([0.5, 0.5, 0.5]))
    examples = classification_pb2.ClassificationRequest()
    examples.input.example_list.examples.add().features.feature["x"].int64_list.value.append(1)
    (example,) = examples.input.example_list.examples
    _, serialized = _parse(process, read_examples, examples.SerializeToString(), classification_pb2.ClassificationRequest)
    assert serialized == [example.SerializeToString()]


@pytest.mark.parametrize(
    ("function", "body", "arguments", "code", "message"),
    [
        (parse_predict_request, b"[", (_find_signature(),), grpc.StatusCode.INVALID_ARGUMENT, "JSON Parse error: Invalid value. at offset: 1"),
        (read_predict, b"\xff", (), grpc.StatusCode.INTERNAL, "The message is no PredictRequest"),
    ],
)
def test_errors_come_back(process, function, body, arguments, code, message):
    with pytest.raises(ServingError) as caught:
        _parse(process, function, body, *arguments)
    assert (caught.value.code, caught.value.message) == (code, message)


def test_request_that_takes_too_much_memory_is_413_and_the_next_is_read(process):
    with pytest.raises(ServingError, match="^The request takes more than 64 MiB of memory to be read: send fewer values") as caught:
        _parse(process, parse_predict_request, b'{"inputs": [' + b"[]," * 2_000_000 + b"[]]}", _find_signature())
    assert caught.value.http_status == 413
    assert _parse(process, parse_predict_request, b'{"inputs": 1}', _find_signature()).inputs["x"] == 1


def test_request_whose_time_has_passed_ends_the_process_and_the_next_is_read(process):
    with pytest.raises(ServingError, match="before the request was read") as caught:
        _parse(process, parse_predict_request, b'{"inputs": [' + b"0," * 2_000_000 + b"0]}", _find_signature(), seconds=0.05)
    assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert _parse(process, parse_predict_request, b'{"inputs": 1}', _find_signature()).inputs["x"] == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"instances": [{"b64": "' + b"A" * 3_000_000 + b'"}]}', False),
        (b"A" * (LARGE_BYTES + 1), True),
        (b'{"instances": [' + b"0," * 110_000 + b"0]}", True),
        (b"[" * 110_000, True),
        (b'{"a":' * 110_000, True),
    ],
    ids=["photo", "large", "numbers", "lists", "objects"],
)
def test_bodies_of_many_values_are_large(body, expected):
    assert is_large(body) is expected


def _tensor(**fields):
    request = predict_pb2.PredictRequest()
    for field, values in fields.items():
        getattr(request.inputs["x"], field).extend(values)
    return request


def _named(count):
    request = predict_pb2.PredictRequest()
    for number in range(count):
        request.inputs[f"{number}"].dtype = 1
    return request


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (_tensor(string_val=[b"a" * 3_000_000]).SerializeToString(), False),
        (_tensor(float_val=[0.5] * 4000).SerializeToString(), False),
        (_tensor(float_val=[0.5] * 6000).SerializeToString(), True),
        (_tensor(int_val=[1] * 10_000).SerializeToString(), True),
        (_tensor(string_val=[b""] * 6000).SerializeToString(), True),
        (_named(2000).SerializeToString(), True),
        (predict_pb2.PredictRequest(output_filter=[""] * 6000).SerializeToString(), True),
        (b"\xa0\x3f\x01" * 6000, True),
        (b"\xff" * 10_000, True),
        (b"\x0a\xff\xff\xff\x7f" + b"a" * 10_000, True),
        (b"\xa3\x3f" * 10_000, True),
    ],
    ids=["photo", "few decimals", "decimals", "integers", "strings", "inputs", "outputs", "unknown", "no varint", "cut short", "groups"],
)
def test_messages_of_many_values_are_intricate(message, expected):
    assert is_intricate(message, predict_pb2.PredictRequest.DESCRIPTOR) is expected
