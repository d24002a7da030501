"""TensorFlow Serving's util/json_tensor.cc, rule by rule, with its words; its own tests are rows of test_protocol.py."""

import json

import grpc
import numpy as np
import pytest
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import classification_pb2, regression_pb2

from tfvision.serving.errors import ServingError
from tfvision.serving.rest_json import (
    format_classifications,
    format_error,
    format_predictions,
    format_regressions,
    parse_examples_request,
    parse_predict_request,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT
SIGNATURES = {  # name -> {input: type}; "" stands for the default one
    "": {"x": "FLOAT"},
    "int": {"x": "INT32"},
    "two": {"a": "FLOAT", "b": "STRING"},
    "default": {"a": "FLOAT", "b": "FLOAT"},
    "none": {},
} | {name.lower(): {"x": name} for name in ("DOUBLE", "INT8", "UINT8", "INT64", "UINT32", "UINT64", "BOOL", "STRING", "HALF")}


def _find_signature(signature_name):
    types = SIGNATURES[signature_name]
    inputs = {name: meta_graph_pb2.TensorInfo(dtype=types_pb2.DataType.Value(f"DT_{kind}")) for name, kind in types.items()}
    defaults = {"b": tensor_pb2.TensorProto()} if signature_name == "default" else {}
    return meta_graph_pb2.SignatureDef(inputs=inputs, defaults=defaults)


def _parse(body, signature_name=""):
    """`body`: the text after the signature's name, or bytes."""
    if isinstance(body, str):
        body = (f'{{"signature_name": "{signature_name}", ' + body + "}").encode()
    return parse_predict_request(body, _find_signature)


ACCEPTED = [  # signature, request, input, values, dtype
    ("", '"instances": [1.5, 2]', "x", [1.5, 2.0], np.float32),
    ("", '"instances": [[1, 2], [3, 4.5]]', "x", [[1, 2], [3, 4.5]], np.float32),
    ("", '"instances": [{"x": 1}, {"x": 2}]', "x", [1, 2], np.float32),
    ("", '"instances": [[], []]', "x", [[], []], np.float32),
    ("", '"instances": [NaN, Infinity, -Infinity]', "x", [np.nan, np.inf, -np.inf], np.float32),
    ("", '"instances": [16777217, 3e38, 1e39, -1e39]', "x", [16777216, 3e38, np.inf, -np.inf], np.float32),
    ("", '"instances": [100000000000000000000]', "x", [1e20], np.float32),
    ("", '"inputs": 3', "x", 3, np.float32),
    ("", '"inputs": [[1], [2]]', "x", [[1], [2]], np.float32),
    ("", '"inputs": []', "x", [], np.float32),
    ("", '"inputs": {"x": [1, 2], "unknown": "is passed over"}', "x", [1, 2], np.float32),
    ("", '"inputs": [1], "unknown": {"is": ["passed over"]}', "x", [1], np.float32),
    ("double", '"inputs": [0.1, 9007199254740993]', "x", [0.1, 9007199254740992], np.float64),
    ("int", '"instances": [-2147483648, 2147483647]', "x", [-(2**31), 2**31 - 1], np.int32),
    ("int8", '"instances": [-128, 127]', "x", [-128, 127], np.int8),
    ("uint8", '"instances": [[0, 255]]', "x", [[0, 255]], np.uint8),
    ("int64", '"instances": [9223372036854775807, -9223372036854775808]', "x", [2**63 - 1, -(2**63)], np.int64),
    ("uint32", '"instances": [4294967295]', "x", [2**32 - 1], np.uint32),
    ("uint64", '"instances": [18446744073709551615]', "x", [2**64 - 1], np.uint64),
    ("bool", '"instances": [true, false]', "x", [True, False], np.bool_),
    ("string", '"instances": ["a", "\\u00e9", ""]', "x", [b"a", "é".encode(), b""], object),
    ("string", '"instances": [{"b64": "AAH/"}, "plain"]', "x", [b"\x00\x01\xff", b"plain"], object),
    ("string", '"instances": [{"x": {"b64": "AAH/"}}]', "x", [b"\x00\x01\xff"], object),
    ("string", '"instances": [[{"b64": "YQ=="}, "b"]]', "x", [[b"a", b"b"]], object),
    ("string", '"instances": [{"b64": "Y Q"}, {"b64": ""}]', "x", [b"a", b""], object),
    ("string", '"inputs": {"b64": "YQ=="}', "x", b"a", object),
    ("string", '"instances": [{"b64": "YQ.."}, {"b64": "YQ=."}, {"b64": "YWI"}]', "x", [b"a", b"a", b"ab"], object),
    ("", '"inputs": {"x": 1, "x": 2}', "x", 1, np.float32),
    ("", '"inputs": 1, "inputs": [2]', "x", 1, np.float32),
    ("", '"instances": [{"x": 1, "x": 2}, {"x": 3}]', "x", [1, 3], np.float32),
    ("string", '"inputs": {"x": "a scalar"}', "x", b"a scalar", object),
    ("two", '"instances": [{"a": 1, "b": "p"}, {"b": "q", "a": 2}]', "b", [b"p", b"q"], object),
    ("two", '"inputs": {"a": [[1, 2]], "b": "of another shape"}', "a", [[1, 2]], np.float32),
]


@pytest.mark.parametrize(("signature_name", "request_text", "name", "values", "dtype"), ACCEPTED, ids=lambda value: str(value)[:60])
def test_request_becomes_arrays(signature_name, request_text, name, values, dtype):
    request = _parse(request_text, signature_name)
    array = request.inputs[name]
    assert request.signature_name == signature_name
    assert request.is_row == ("instances" in request_text)
    assert set(request.inputs) == set(SIGNATURES[signature_name])
    assert array.dtype == dtype
    expected = np.array(values, dtype)
    assert array.shape == expected.shape
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize(
    ("request_text", "names"),
    [
        ('"instances": [{"a": 1}, {"a": 2}]', {"a"}),
        ('"instances": [{"a": 1, "b": 3}, {"a": 2, "b": 4}]', {"a", "b"}),
        ('"inputs": {"a": [1, 2]}', {"a"}),
        ('"inputs": {"a": [1, 2], "b": 3}', {"a", "b"}),
    ],
)
def test_input_with_a_default_may_be_left_out(request_text, names):
    inputs = _parse(request_text, "default").inputs
    assert set(inputs) == names
    assert inputs["a"].tolist() == [1, 2]


ELEMENT = "Failed to process element: {} of 'instances' list. Error: INVALID_ARGUMENT: "
REFUSED = [  # signature, request, the error's words
    ("", b"", "JSON Parse error: The document is empty"),
    ("", b"[1]", "JSON Value: [\n    1\n] Is not object"),
    ("", b'"text"', 'JSON Value: "text" Is not object'),
    ("", b'{"instances": [1,}', "JSON Parse error: Invalid value. at offset: 17"),
    ("", '"instances": [1], "é" 2'.encode(), 'JSON Value: "instances" Is not object'),
    ("", '{"é" 2}'.encode(), "JSON Parse error: Missing a colon after a name of object member. at offset: 6"),
    ("", b"{instances: [1]}", "JSON Parse error: Missing a name for object member. at offset: 1"),
    ("", b'{"inputs": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "JSON Parse error: Lists are nested too deeply. at offset: 0"),
    ("", b'{"inputs": ' + b"[" * 5_000 + b"1" + b"]" * 5_000 + b"}", "tensor parsing error: x: 5000 dimensions are too many"),
    ("", b'{"signature_name": 3, "inputs": 1}', "not formatted correctly. 'signature_name' key must be a string value."),
    ("none", '"inputs": 1', "Failed to get input map for signature: none"),
    ("", '"input": 1', "Missing 'inputs' or 'instances' key"),
    ("", '"inputs": 1, "instances": [1]', "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "),
    ("", '"instances": 1', "Expecting 'instances' to be an list/array"),
    ("", '"instances": []', "No values in 'instances' array"),
    ("", '"instances": ["a"]', ELEMENT.format(0) + 'JSON Value: "a" Type: String is not of expected type: float'),
    ("", '"instances": [1, true]', ELEMENT.format(1) + "JSON Value: true Type: True is not of expected type: float"),
    ("", '"instances": [null]', ELEMENT.format(0) + "JSON Value: null Type: Null is not of expected type: float"),
    ("", '"instances": [{"b64": "YQ=="}]', "Type: Object is not of expected type: float"),
    ("int", '"instances": [1, 1.0]', ELEMENT.format(1) + "JSON Value: 1.0 Type: Number is not of expected type: int32"),
    ("int", '"instances": [2147483648]', "JSON Value: 2147483648 Type: Number is not of expected type: int32"),
    ("int", '"instances": [true]', "JSON Value: true Type: True is not of expected type: int32"),
    ("int", '"instances": [NaN]', "JSON Value: NaN Type: Number is not of expected type: int32"),
    ("uint8", '"instances": [256]', "JSON Value: 256 Type: Number is not of expected type: uint8"),
    ("uint64", '"instances": [-1]', "JSON Value: -1 Type: Number is not of expected type: uint64"),
    ("bool", '"instances": [1]', "JSON Value: 1 Type: Number is not of expected type: bool"),
    ("string", '"instances": [1]', "JSON Value: 1 Type: Number is not of expected type: string"),
    ("string", '"instances": ["a", {"b64": "Y*"}]', ELEMENT.format(1) + "Unable to base64 decode"),
    ("string", '"inputs": {"x": {"b64": "YQ==", "more": 1}}', "not formatted correctly for base64 data"),
    ("string", '"inputs": {"x": {"b64": 1}}', "not formatted correctly for base64 data"),
    ("", '"instances": [[1, 2], [3]]', ELEMENT.format(1) + "Expecting tensor size: 2 but got: 1"),
    ("", '"instances": [[[1, 2]], [[3], [4]]]', ELEMENT.format(1) + "Expecting shape [1,2] but got: [2,1]"),
    ("", '"instances": [[[1, 2], [3]]]', ELEMENT.format(0) + "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
    ("", '"instances": [[1, [2]]]', ELEMENT.format(0) + "Encountered list at unexpected level: 1 expected < 1"),
    ("", '"instances": [[[1], 2]]', ELEMENT.format(0) + "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
    ("", '"inputs": [[1, 2], [3]]', "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
    ("", '"inputs": {"y": 1}', "Missing named input: x in 'inputs' object."),
    ("", '"inputs": ' + "[" * 70 + "]" * 70, "tensor parsing error: x: more dimensions than this server's numpy has"),
    ("string", '"instances": [{"b64": "YQ=="}, {"b64": "YQ="}]', ELEMENT.format(1) + "Unable to base64 decode"),
    ("string", '"inputs": {"x": {"b64": "YQ==", "b64": "YQ=="}}', "not formatted correctly for base64 data"),
    ("", '"instances": [1, {"x": 1}]', "Expecting value/list but got object at item 1 of input list"),
    ("", '"instances": [{"x": 1}, 1]', "Expecting object but got list at item 1 of input list"),
    (
        "",
        '"instances": [{"y": 1}]',
        "Failed to process element: 0 key: y of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have named input: y",
    ),
    (
        "two",
        '"instances": [{"a": 1}]',
        "Failed to process element: 0 of 'instances' list. JSON object: {\n    \"a\": 1\n} keys must be equal to: a,b",
    ),
    ("default", '"instances": [{"a": 1}, {"a": 1, "b": 2}]', "keys must be equal to: a"),
    ("default", '"instances": [{"a": 1, "b": 2}, {"a": 1}]', "keys must be equal to: a,b"),
    ("default", '"instances": [{"b": 1}]', "keys must be equal to: a,b"),
    ("default", '"inputs": {"b": 1}', "Missing named input: a in 'inputs' object."),
    ("default", '"instances": [1]', "instances is a plain list, but expecting list of objects"),
    ("two", '"instances": [{"a": 1, "b": 2}]', "key: b of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: 2 Type: Number"),
    ("two", '"instances": [1, 2]', "instances is a plain list, but expecting list of objects as multiple input tensors required"),
    ("two", '"inputs": [1, 2]', "inputs is a plain value/list, but expecting an object as multiple input tensors required"),
]


@pytest.mark.parametrize(("signature_name", "request_text", "message"), REFUSED, ids=lambda value: str(value)[:60])
def test_request_is_refused_in_tensorflow_servings_words(signature_name, request_text, message):
    with pytest.raises(ServingError) as caught:
        _parse(request_text, signature_name)
    assert caught.value.code == INVALID
    assert message in caught.value.message


def test_type_that_json_does_not_carry_is_unimplemented():
    with pytest.raises(ServingError, match="Conversion of JSON Value: 1.5 to type: half") as caught:
        _parse('"inputs": [1.5]', "half")
    assert caught.value.http_status == 501


def test_strings_that_are_no_utf8_pass_as_they_are():
    request = parse_predict_request(b'{"signature_name": "string", "inputs": "\xff\xfe"}', _find_signature)
    assert request.inputs["x"].item() == b"\xff\xfe"


def test_byte_order_mark_is_passed_over():
    assert parse_predict_request(b'\xef\xbb\xbf{"inputs": 1}', _find_signature).inputs["x"] == 1


def test_error_quotes_a_long_value_in_part():
    with pytest.raises(ServingError) as caught:
        _parse('"inputs": "' + "a" * 100_000 + '"')
    assert len(caught.value.message) < 700


ANSWERS = [  # outputs, is_row, document
    ({"y": np.float32([0.1, 1])}, True, {"predictions": [0.1, 1.0]}),
    ({"y": np.float32([[0.1], [1]])}, True, {"predictions": [[0.1], [1.0]]}),
    ({"y": np.int64([1]), "z": np.array([True])}, True, {"predictions": [{"y": 1, "z": True}]}),
    ({"y": np.zeros((0, 2), np.float32)}, True, {"predictions": []}),
    ({"y": np.float32(0.25)}, False, {"outputs": 0.25}),
    ({"y": np.float64([0.1]), "z": np.int32(3)}, False, {"outputs": {"y": [0.1], "z": 3}}),
    ({"y": np.array(["é".encode(), b""], object)}, False, {"outputs": ["é", ""]}),
    ({"y_bytes": np.array([b"\xff", b"a"], object)}, True, {"predictions": [{"b64": "/w=="}, {"b64": "YQ=="}]}),
    ({"y_bytes": np.array([[b"\xff"]], object)}, False, {"outputs": [[{"b64": "/w=="}]]}),
    ({"y_bytes": np.float32([1])}, False, {"outputs": [1.0]}),
]


@pytest.mark.parametrize(("outputs", "is_row", "document"), ANSWERS)
def test_outputs_become_json(outputs, is_row, document):
    assert json.loads(format_predictions(outputs, is_row)) == document


def test_numbers_that_are_none_are_printed_bare():
    outputs = {"y": np.float32([np.nan, np.inf, -np.inf, 2])}
    assert format_predictions(outputs, is_row=True) == b'{"predictions":[NaN,Infinity,-Infinity,2.0]}'


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "Cannot convert empty tensor map to JSON"),
        ({"y": np.float32(1)}, "Tensor name: y has no shape information "),
        ({"y": np.zeros(2), "z": np.zeros(3)}, "Tensor name: z has inconsistent batch size: 3 expecting: 2"),
        ({"y": np.zeros(2, np.float16)}, "Failed to write JSON value for tensor type: half"),
        ({"y": np.zeros(2, np.uint16)}, "Failed to write JSON value for tensor type: uint16"),
        ({"y": np.array([b"\xff"], object)}, "Output y holds bytes that are no UTF-8 text"),
    ],
)
def test_outputs_that_rows_cannot_hold_are_refused(outputs, message):
    with pytest.raises(ServingError, match=message) as caught:
        format_predictions(outputs, is_row=True)
    assert caught.value.code == INVALID


def test_float32_is_printed_as_tensorflow_serving_prints_it():
    random = np.random.default_rng(0)
    patterns = random.integers(0, 2**32, 2_000, dtype=np.uint32).view(np.float32)
    array = np.concatenate([patterns[np.isfinite(patterns)], random.random(2_000, np.float32), np.float32([0, -0.0, 1e-45, 3.4028235e38])])
    for values in (array, array[(np.abs(array) > 1e-12) & (np.abs(array) < 1e6)]):  # the second has no number but the usual
        for value, text in zip(values, json.loads(format_predictions({"y": values}, True), parse_float=str)["predictions"], strict=True):
            six, nine = f"{value:.6g}", f"{value:.9g}"
            expected = six if np.float32(six) == value else nine
            assert text == (expected if set(expected) & set(".e") else f"{expected}.0")


def test_numbers_have_tensorflow_servings_spelling():
    array = [0.1, 0.3, 1 / 3, 16777216, 9000000, 999999, 0.00003]
    texts = ["0.1", "0.3", "0.333333343", "16777216.0", "9e+06", "999999.0", "3e-05"]
    assert format_predictions({"y": np.float32(array)}, False).decode() == f'{{"outputs":[{",".join(texts)}]}}'
    assert format_predictions({"y": np.float64([[0.1, 1 / 3], [1e6, 2]])}, True) == b'{"predictions":[[0.1,0.33333333333333331],[1e+06,2.0]]}'
    answer = format_predictions({"y": np.float32([[1e7], [0.5]]), "z": np.int64([1, 2])}, True)
    assert answer == b'{"predictions":[{"y":[1e+07],"z":1},{"y":[0.5],"z":2}]}'
    assert format_predictions({"y": np.zeros((0, 2), np.float64)}, False) == b'{"outputs":[]}'


def _features(body):
    _, request = parse_examples_request(body)
    return [dict(example.features.feature.items()) for example in request.example_list.examples]


def test_examples_become_features_of_one_kind():
    (features,) = _features(b'{"examples": [{"i": [1, true], "f": 0.5, "s": ["a", {"b64": "/w=="}], "none": []}]}')
    assert list(features["i"].int64_list.value) == [1, 1]
    assert list(features["f"].float_list.value) == [0.5]
    assert list(features["s"].bytes_list.value) == [b"a", b"\xff"]
    assert features["none"].WhichOneof("kind") is None


def test_decimal_beyond_float32_is_infinite_and_the_last_of_equal_features_counts():
    (features,) = _features(b'{"examples": [{"f": [0.5, 1e39], "a": 1, "a": 2}]}')
    assert list(features["f"].float_list.value) == [0.5, np.inf]
    assert list(features["a"].int64_list.value) == [2]


def test_context_stands_beside_the_examples():
    name, request = parse_examples_request(b'{"signature_name": "c", "context": {"a": 1}, "examples": [{"b": 2}, {"b": 3}]}')
    assert name == "c"
    assert request.example_list_with_context.context.features.feature["a"].int64_list.value == [1]
    assert len(request.example_list_with_context.examples) == 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{}", "When method is classify, key 'examples' is expected and was not found"),
        (b'{"examples": {}}', "Expecting 'examples' value to be an list/array"),
        (b'{"examples": []}', "'examples' value is an empty array"),
        (b'{"examples": [1]}', "Example must be JSON object but got JSON Number"),
        (b'{"context": [], "examples": [{}]}', "Example must be JSON object but got JSON Array"),
        (b'{"examples": [{"a": null}]}', "Feature: a has element with unexpected JSON type: Null"),
        (b'{"examples": [{"a": [[1]]}]}', "Feature: a has element with unexpected JSON type: Array"),
        (b'{"examples": [{"a": {"b": 1}}]}', "Feature: a has element with unexpected JSON type: Object"),
        (b'{"examples": [{"a": [1, 0.5]}]}', "Unexpected element type in feature: a expecting type: int64"),
        (b'{"examples": [{"a": ["x", 1]}]}', "Unexpected element type in feature: a expecting type: bytes"),
        (b'{"examples": [{"a": 9223372036854775808}]}', "Feature: a has uint64_t element. Only int64_t is supported."),
    ],
)
def test_examples_are_refused_in_tensorflow_servings_words(body, message):
    with pytest.raises(ServingError) as caught:
        parse_examples_request(body)
    assert message in caught.value.message and caught.value.code == INVALID


def test_classifications_and_regressions_become_results():
    classes = [classification_pb2.Class(label="a", score=0.1), classification_pb2.Class(label="b", score=float("nan"))]
    result = classification_pb2.ClassificationResult(classifications=[classification_pb2.Classifications(classes=classes)])
    assert format_classifications(result) == b'{"results":[[["a",0.1],["b",NaN]]]}'
    result = regression_pb2.RegressionResult(regressions=[regression_pb2.Regression(value=value) for value in (0.3, 2)])
    assert format_regressions(result) == b'{"results":[0.3,2.0]}'


def test_results_without_rows_are_an_error():
    with pytest.raises(ServingError, match="Cannot convert empty ClassificationResults to JSON"):
        format_classifications(classification_pb2.ClassificationResult())
    with pytest.raises(ServingError, match="Cannot convert empty RegressionResults to JSON"):
        format_regressions(regression_pb2.RegressionResult())


def test_error_body_is_json_whatever_the_message_holds():
    assert json.loads(format_error('says "no"\n\udcff')) == {"error": 'says "no"\n?'}
