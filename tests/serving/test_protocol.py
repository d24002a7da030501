"""TensorFlow Serving's own tests as requests: a row a case, with the file and the test that it comes from.

`python -m pytest tests/serving/test_protocol.py -q` counts them: passed are equal, xfailed are different, with the reason.
"""

import gzip
import http.client
import json

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tfvision.serving.errors import ServingError
from tfvision.serving.rest_json import format_classifications, format_predictions, format_regressions, parse_examples_request, parse_predict_request
from tfvision.serving.server import running_server

INF, NAN = float("inf"), float("nan")
FLOAT, DOUBLE, INT32, UINT8, STRING = {"x": "FLOAT"}, {"x": "DOUBLE"}, {"x": "INT32"}, {"x": "UINT8"}, {"x": "STRING"}
MIXED = {"int": "INT32", "str": "STRING", "float": "FLOAT", "dbl": "DOUBLE"}
PAIR = {"int": "INT32", "str": "STRING"}
DEEP = "[" * 2_000 + "]" * 2_000
ELEMENT = "Failed to process element: {} of 'instances' list. Error: INVALID_ARGUMENT: "


def different(*row, reason):
    return pytest.param(*row, marks=pytest.mark.xfail(strict=True, reason=reason))


J, T, RAPID, BASE64 = "util/json_tensor.cc", "util/json_tensor_test.cc", "rapidjson 1.1.0, reader.h", "absl/strings/escaping.cc"
PREDICT = [  # source, input types, body, {name: values} or the error's words
    (f"{T} SingleUnnamedTensor", INT32, '{"instances": [[1,2],[3,4],[5,6]]}', {"x": [[1, 2], [3, 4], [5, 6]]}),
    (f"{T} MixedInputForFloatTensor", FLOAT, '{"instances": [1, 2.0, 3, 4, 5.003, 0.007, 0.0]}', {"x": [1, 2, 3, 4, 5.003, 0.007, 0]}),
    (f"{T} MixedInputForDoubleTensor", DOUBLE, '{"instances": [1.0, 2, 3, 4, 0.662, 0, 0.0]}', {"x": [1, 2, 3, 4, 0.662, 0, 0]}),
    (f"{T} SingleUnnamedTensorWithSignature", INT32, '{"signature_name": "predict_images", "instances": [[1,2]]}', {"x": [[1, 2]]}),
    (f"{T} TensorFromNonNullTerminatedBuffer", INT32, '{"instances": [[1,2],[3,4],[5,6]]}X', {"x": [[1, 2], [3, 4], [5, 6]]}),
    (f"{T} SingleUnnamedTensorBase64Scalars", STRING, '{"instances": [{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}]}', {"x": [b"hello", b"world"]}),
    (f"{T} SingleUnnamedTensorBase64Lists", STRING, '{"instances": [[{"b64": "aGVsbG8="}], [{"b64": "d29ybGQ="}]]}', {"x": [[b"hello"], [b"world"]]}),
    (f"{T} SingleNamedTensorBase64", STRING, '{"instances": [{"x": [[{"b64": "aGVsbG8="}], [{"b64": "d29ybGQ="}]]}]}', {"x": [[[b"hello"], [b"world"]]]}),
    (
        f"{T} MultipleNamedTensor",
        MIXED,
        '{"instances": [{"int": [[1,2],[3,4]], "str": ["foo", "bar"], "float": [1.0, NaN], "dbl": [NaN]},'
        ' {"int": [[7,8],[9,0]], "str": ["baz", "bat"], "float": [2.0, Infinity], "dbl": [2.0]}]}',
        {"int": [[[1, 2], [3, 4]], [[7, 8], [9, 0]]], "str": [[b"foo", b"bar"], [b"baz", b"bat"]], "float": [[1, NAN], [2, INF]], "dbl": [[NAN], [2]]},
    ),
    (f"{T} SingleUnnamedTensorColumnarFormat", INT32, '{"inputs": {"x": [[[1,2],[3,4]]]}}', {"x": [[[1, 2], [3, 4]]]}),
    (f"{T} SingleUnnamedTensorColumnarFormat, unnamed", INT32, '{"inputs": [[[1,2],[3,4]]]}', {"x": [[[1, 2], [3, 4]]]}),
    (
        f"{T} MultipleNamedTensorColumnarFormat",
        {"int": "INT32", "str": "STRING", "bin": "STRING"},
        '{"inputs": {"int": [[[1,2]]], "str": ["foo", "bar"], "bin": {"b64": "aGVsbG8="}}}',
        {"int": [[[1, 2]]], "str": [b"foo", b"bar"], "bin": b"hello"},
    ),
    (f"{T} SingleUnnamedTensorErrors, empty", INT32, "", "JSON Parse error: The document is empty"),
    (f"{T} SingleUnnamedTensorErrors, signature", INT32, '{"signature_name": 5, "instances": [1]}', "must be a string value"),
    (f"{T} SingleUnnamedTensorErrors, both keys", INT32, '{"instances": [[1,2]], "inputs": [[1,2]]}', "Not formatted correctly"),
    (f"{T} SingleUnnamedTensorErrors, size", INT32, '{"instances": [[1,2],[3,4],[5,6,7]]}', f"{ELEMENT.format(2)}Expecting tensor size: 2 but got: 3"),
    (f"{T} SingleUnnamedTensorErrors, shape", INT32, '{"instances": [[1,2],[3,4],[[5,6]]]}', f"{ELEMENT.format(2)}Expecting shape [2] but got: [1,2]"),
    (f"{T} SingleUnnamedTensorErrors, scalar", INT32, '{"instances": [1, [1]]}', f"{ELEMENT.format(1)}Expecting shape [] but got: [1]"),
    (
        f"{T} SingleUnnamedTensorErrors, type",
        INT32,
        '{"instances": [[1,2],["a","b"]]}',
        f'{ELEMENT.format(1)}JSON Value: "a" Type: String is not of expected type',
    ),
    (f"{T} MultipleNamedTensorErrors, shape", PAIR, '{"instances": [{"int": [[1]], "str": "a"}, {"int": [[[1]]], "str": "b"}]}', "Expecting shape"),
    (f"{T} MultipleNamedTensorErrors, size", PAIR, '{"instances": [{"int": [1,2], "str": "a"}, {"int": [1], "str": "b"}]}', "Expecting tensor size"),
    (f"{T} MultipleNamedTensorErrors, list", PAIR, '{"instances": [{"int": 1, "str": "a"}, [1, 20, 30]]}', "Expecting object but got list"),
    (f"{T} MultipleNamedTensorErrors, object", STRING, '{"instances": [["baz", "bar"], {"x": ["baz", "bat"]}]}', "Expecting value/list but got object"),
    # What its tests do not ask: json_tensor.cc itself, since 2.5 and since 2.18.
    (f"{J} AddValueToTensor, integer", FLOAT, '{"instances": [16777217, 9007199254740993]}', {"x": [16777216, 9007199254740992]}),
    (f"{J} AddValueToTensor, integer as double", DOUBLE, '{"instances": [9007199254740993]}', {"x": [9007199254740992]}),
    (f"{J} AddValueToTensor, beyond float", FLOAT, '{"instances": [1e39, -1e300, 3.5e38]}', {"x": [INF, -INF, INF]}),
    (f"{J} AddValueToTensor, whole decimal", INT32, '{"instances": [1.0]}', "JSON Value: 1.0 Type: Number is not of expected type: int32"),
    (f"{J} AddValueToTensor, half", {"x": "HALF"}, '{"inputs": [1]}', "Conversion of JSON Value: 1 to type: half"),
    (f"{J} ParseJson, bytes after the document", FLOAT, '{"instances": [1]} {"instances": 2', {"x": [1]}),
    (f"{J} ParseJson, deep under an unused key", FLOAT, f'{{"unused": {DEEP}, "instances": [1]}}', {"x": [1]}),
    (f"{J} ParseJson, deep under a used key", FLOAT, f'{{"instances": {DEEP}}}', "tensor parsing error: x"),
    (f"{J} ParseJson, not an object", FLOAT, "[1.5]", "JSON Value: [\n    1.5\n] Is not object"),
    (f"{J} FillPredictRequestFromJson, no list", FLOAT, '{"instances": 1}', "JSON Value: {\n    \"instances\": 1\n} Expecting 'instances' to be an list/array"),
    (f"{J} FillPredictRequestFromJson, empty", FLOAT, '{"instances": []}', "No values in 'instances' array"),
    (f"{J} FillPredictRequestFromJson, neither", FLOAT, "{}", "Missing 'inputs' or 'instances' key"),
    (f"{J} FillTensorMapFromInputsMap, missing", PAIR, '{"inputs": {"int": 1}}', "Missing named input: str in 'inputs' object."),
    (f"{J} FillTensorMapFromInstancesList, keys", PAIR, '{"instances": [{"int": 1}]}', "keys must be equal to: int,str"),
    (f"{J} FindMember, the first of equal keys", FLOAT, '{"instances": [1], "instances": [2]}', {"x": [1]}),
    (f"{J} FindMember, the first of equal inputs", FLOAT, '{"inputs": {"x": 1, "x": 2}}', {"x": 1}),
    (f"{J} TypeError, spelling in six digits", INT32, '{"inputs": [9000000.0]}', "JSON Value: 9e+06 Type: Number"),
    (f"{J} TypeError, spelling in nine digits", INT32, '{"inputs": [0.3333333333]}', "JSON Value: 0.333333343 Type: Number"),
    (f"{J} TypeError, spelling beyond float", INT32, '{"inputs": [1e39]}', "JSON Value: 1e+39 Type: Number"),
    (f"{J} TypeError, spelling in 17 digits", INT32, '{"inputs": [1.234567890123e39]}', "JSON Value: 1.234567890123e+39 Type: Number"),
    (f"{J} TypeError, infinity", INT32, '{"inputs": [-Inf]}', "JSON Value: -Infinity Type: Number"),
    (f"{J} FormatError, RapidJSON's spelling", FLOAT, "[1e20, 1e22, 0.00001, 1e-7]", "100000000000000000000.0,\n    1e22,\n    0.00001,\n    1e-7\n]"),
    (f"{J} FormatError, RapidJSON's escapes", FLOAT, '["\\u001f\\u000a\\\\u001f\u00e9/"]', '[\n    "\\u001F\\n\\\\u001f\u00e9/"\n] Is not object'),
    (f"{BASE64} padded with a dot", STRING, '{"inputs": [{"b64": "YQ.."}, {"b64": "YWI."}]}', {"x": [b"a", b"ab"]}),
    (f"{BASE64} not padded", STRING, '{"inputs": [{"b64": "YQ"}, {"b64": " Y W I "}]}', {"x": [b"a", b"ab"]}),
    (f"{BASE64} padded in part", STRING, '{"inputs": {"b64": "YQ="}}', "Unable to base64 decode"),
    (f"{BASE64} of the web", STRING, '{"inputs": {"b64": "_-8="}}', "Unable to base64 decode"),
    (f"{RAPID} Inf", FLOAT, '{"instances": [Inf, -Inf, Infinity, -Infinity, NaN, -NaN]}', {"x": [INF, -INF, INF, -INF, NAN, NAN]}),
    (f"{RAPID} a word cut short", FLOAT, '{"a": tru}', "JSON Parse error: Invalid value. at offset: 9"),
    (f"{RAPID} a comma at the end", FLOAT, '{"a": [1,]}', "JSON Parse error: Invalid value. at offset: 9"),
    (f"{RAPID} a comma at the end of an object", FLOAT, '{"a": 1,}', "JSON Parse error: Missing a name for object member. at offset: 8"),
    (f"{RAPID} no colon", FLOAT, '{"a" 1}', "JSON Parse error: Missing a colon after a name of object member. at offset: 5"),
    (f"{RAPID} no comma", FLOAT, '{"a": [1 2]}', "JSON Parse error: Missing a comma or ']' after an array element. at offset: 9"),
    (f"{RAPID} cut short", FLOAT, '{"a": 1', "JSON Parse error: Missing a comma or '}' after an object member. at offset: 7"),
    (f"{RAPID} an open string", FLOAT, '{"a', "JSON Parse error: Missing a closing quotation mark in string. at offset: 3"),
    (f"{RAPID} an escape", FLOAT, '{"\\x": 1}', "JSON Parse error: Invalid escape character in string. at offset: 2"),
    (f"{RAPID} a control character", FLOAT, '{"a\n": 1}', "JSON Parse error: Invalid escape character in string. at offset: 3"),
    (f"{RAPID} hex", FLOAT, '{"\\u12": 1}', "JSON Parse error: Incorrect hex digit after \\u escape in string. at offset: 2"),
    (f"{RAPID} half a pair", FLOAT, '{"\\ud800": 1}', "JSON Parse error: The surrogate pair in string is invalid. at offset: 2"),
    (f"{RAPID} the low half", STRING, '{"inputs": "\\udc00"}', {"x": b"\xed\xb0\x80"}),
    (f"{RAPID} fraction", FLOAT, '{"a": 1.}', "JSON Parse error: Miss fraction part in number. at offset: 8"),
    (f"{RAPID} exponent", FLOAT, '{"a": 1e+}', "JSON Parse error: Miss exponent in number. at offset: 9"),
    (f"{RAPID} too big", FLOAT, '{"a": 1e309}', "JSON Parse error: Number too big to be stored in double. at offset: 6"),
    (f"{RAPID} too many digits", FLOAT, '{"a": ' + "9" * 5000 + "}", "JSON Parse error: Number too big to be stored in double. at offset: 6"),
    (f"{RAPID} a zero ends the document", FLOAT, '{"a": 1\0}', "JSON Parse error: Missing a comma or '}' after an object member. at offset: 7"),
    (f"{RAPID} offsets are in bytes", FLOAT, '{"\u00e9" 1}', "JSON Parse error: Missing a colon after a name of object member. at offset: 6"),
    (f"{RAPID} white space only", FLOAT, "  ", "JSON Parse error: The document is empty. at offset: 2"),
    different(
        f"{J} AddValueToTensor, a narrow type", UINT8, '{"instances": [300]}', {"x": [44]}, reason="refused, not wrapped: a wrong pixel is worse than an error"
    ),
    different(f"{RAPID} a fraction of NaN", FLOAT, '{"inputs": NaN.5}', {"x": 0.5}, reason="RapidJSON's slip"),
    different(
        f"{J} AddInstanceItem, equal names",
        FLOAT,
        '{"instances": [{"x": 1, "x": 2}, {"x": 3}]}',
        {"x": [1, 2]},
        reason="both are added, and so shift the rows behind",
    ),
    different(f"{J} FormatError, NaN within", FLOAT, "[1, NaN]", "[\n    1,\n     Is not", reason="RapidJSON's writer stops at NaN; here it is printed"),
    different(f"{J} FormatError, long", FLOAT, f'["{"a" * 600}"]', f'["{"a" * 600}"]'.replace("[", "[\n    "), reason="500 characters of a value are told"),
]
EXAMPLES = [  # source, body, features of each example or the error's words
    (
        f"{T} RequestNoContext",
        '{"examples": [{"names": ["foo", "bar"], "ratings": [8.0, 9.0], "age": 20}, {"names": ["baz"], "ratings": 6.0}]}',
        [{"names": [b"foo", b"bar"], "ratings": [8.0, 9.0], "age": [20]}, {"names": [b"baz"], "ratings": [6.0]}],
    ),
    (
        f"{T} RequestWithContextAndSignature",
        '{"signature_name": "c", "context": {"query": "pizza"},'
        ' "examples": [{"ratings": [8.0, Infinity], "mix": [1, true, false], "names": ["a", {"b64": "aGVsbG8="}]}]}',
        [{"ratings": [8.0, INF], "mix": [1, 1, 0], "names": [b"a", b"hello"]}],
    ),
    (f"{T} JsonErrors, signature", '{"signature_name": ["hello"], "examples": [{}]}', "'signature_name' key must be a string"),
    (f"{T} JsonErrors, context", '{"context": [{"names": ["foo"]}]}', "Example must be JSON object but got JSON Array"),
    (f"{T} JsonErrors, no list", '{"examples": {"names": ["foo", "bar"]}}', "Expecting 'examples' value to be an list/array"),
    (f"{T} JsonErrors, list of lists", '{"examples": [[{"names": ["foo", "bar"]}]]}', "Example must be JSON object"),
    (f"{T} JsonErrors, null", '{"examples": [{"names": [10, null]}]}', "names has element with unexpected JSON type: Null"),
    (f"{T} JsonErrors, mixed", '{"examples": [{"names": [10, 10.0]}]}', "feature: names expecting type: int64"),
    (f"{T} JsonErrors, object", '{"examples": [{"names": [10, {"test": 10}]}]}', "names has element with unexpected JSON type: Object"),
    (f"{T} JsonErrors, array", '{"examples": [{"names": [[10], 20]}]}', "names has element with unexpected JSON type: Array"),
    (f"{T} JsonErrors, uint64", '{"examples": [{"names": [20, 18446744073709551603]}]}', "uint64_t element. Only int64_t is supported"),
    (f"{J} AddValueToFeature, beyond float", '{"examples": [{"names": [1e39]}]}', [{"names": [INF]}]),
    (f"{J} AddValueToFeature, beyond 64 bits", '{"examples": [{"names": [18446744073709551616]}]}', [{"names": [2.0**64]}]),
    (f"{J} MakeExampleFromJsonObject, the last of equal names", '{"examples": [{"a": 1, "a": 2}]}', [{"a": [2]}]),
]
ROWS = {"i": np.int32([[1, 2], [7, 8]]), "d": np.float64([8, 9]), "f": np.float32([[1], [2]]), "s_bytes": np.array([b"tf", b"\xff"], object)}
PRINTED = [  # source, outputs, is_row, text or the error's words
    (f"{T} FromJsonSingleTensor", {"i": ROWS["i"]}, True, '{"predictions":[[1,2],[7,8]]}'),
    (f"{T} FromJsonSingleTensor, columns", {"i": ROWS["i"]}, False, '{"outputs":[[1,2],[7,8]]}'),
    (f"{T} FromJsonSingleScalarTensor", {"i": np.int32([1, 2, 3])}, True, '{"predictions":[1,2,3]}'),
    (f"{T} FromJsonSingleBytesTensor", {"s_bytes": np.array([[b"hello"], [b"tf"]], object)}, True, '{"predictions":[[{"b64":"aGVsbG8="}],[{"b64":"dGY="}]]}'),
    (
        f"{T} FromJsonSingleFloatTensorSixDigitPrecision",
        {"f": np.float32([[9000000, 999999, 0.5], [0.0003, 0.00003, 555557.5]])},
        True,
        '{"predictions":[[9e+06,999999.0,0.5],[0.0003,3e-05,555557.5]]}',
    ),
    (f"{T} FromJsonSingleFloatTensorNonFinite", {"f": np.float32([[NAN, INF], [3, -INF]])}, True, '{"predictions":[[NaN,Infinity],[3.0,-Infinity]]}'),
    (f"{T} FromJsonSingleTensorErrors, none", {}, True, "empty tensor map"),
    (f"{T} FromJsonSingleTensorErrors, type", {"c": np.complex64([1, 2])}, True, "tensor type: complex64"),
    (f"{T} FromJsonSingleTensorErrors, shape", {"i": np.int32(1)}, True, "no shape information"),
    (
        f"{T} FromJsonMultipleNamedTensors",
        ROWS,
        True,
        '{"predictions":[{"i":[1,2],"d":8.0,"f":[1.0],"s_bytes":{"b64":"dGY="}},{"i":[7,8],"d":9.0,"f":[2.0],"s_bytes":{"b64":"/w=="}}]}',
    ),
    (
        f"{T} FromJsonMultipleNamedTensors, columns",
        ROWS,
        False,
        '{"outputs":{"i":[[1,2],[7,8]],"d":[8.0,9.0],"f":[[1.0],[2.0]],"s_bytes":[{"b64":"dGY="},{"b64":"/w=="}]}}',
    ),
    (f"{T} FromJsonMultipleNamedTensorsErrors", {"i": np.int32([[1], [2]]), "s": np.array([b"a"], object)}, True, "inconsistent batch size"),
    (f"{J} WriteDecimal, double", {"d": np.float64([0.1, 1 / 3, 1e22])}, True, '{"predictions":[0.1,0.33333333333333331,1e+22]}'),
    (f"{J} AddSingleValueAndAdvance, half", {"h": np.float16([1])}, True, "Failed to write JSON value for tensor type: half"),
    (f"{J} AddSingleValueAndAdvance, uint16", {"h": np.uint16([1])}, True, "Failed to write JSON value for tensor type: uint16"),
    (f"{J} MakeRowFormatJsonFromTensors, no row", {"f": np.zeros((0, 2), np.float32)}, True, '{"predictions":[]}'),
    different(
        f"{J} AddSingleValueAndAdvance, no UTF-8", {"s": np.array([b"\xff"], object)}, True, '{"predictions":["\xff"]}', reason="an error, not broken JSON"
    ),
]


def _sources(rows):
    return [(row.values if isinstance(row, type(pytest.param())) else row)[0] for row in rows]


@pytest.mark.parametrize(("source", "types", "body", "expected"), PREDICT, ids=_sources(PREDICT))
def test_predict_request(source, types, body, expected):
    inputs = {name: meta_graph_pb2.TensorInfo(dtype=types_pb2.DataType.Value(f"DT_{kind}")) for name, kind in types.items()}
    signature = meta_graph_pb2.SignatureDef(inputs=inputs)
    if isinstance(expected, str):
        with pytest.raises(ServingError) as caught:
            parse_predict_request(body.encode(), lambda _: signature)
        assert expected in caught.value.message
        return
    inputs = parse_predict_request(body.encode(), lambda _: signature).inputs
    assert inputs.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(inputs[name], np.array(values, inputs[name].dtype))


@pytest.mark.parametrize(("source", "body", "expected"), EXAMPLES, ids=_sources(EXAMPLES))
def test_classify_or_regress_request(source, body, expected):
    if isinstance(expected, str):
        with pytest.raises(ServingError) as caught:
            parse_examples_request(body.encode())
        assert expected in caught.value.message
        return
    _, request = parse_examples_request(body.encode())
    assert request.WhichOneof("kind") == ("example_list_with_context" if "context" in body else "example_list")
    for example, values in zip(getattr(request, request.WhichOneof("kind")).examples, expected, strict=True):
        assert {name: _values(feature) for name, feature in example.features.feature.items()} == values


def _values(feature):
    return list(getattr(feature, feature.WhichOneof("kind")).value)


@pytest.mark.parametrize(("source", "outputs", "is_row", "expected"), PRINTED, ids=_sources(PRINTED))
def test_answer_is_printed(source, outputs, is_row, expected):
    if expected.startswith("{"):
        assert format_predictions(outputs, is_row).decode() == expected
        return
    with pytest.raises(ServingError, match=expected):
        format_predictions(outputs, is_row)


def test_results_are_printed():
    """util/json_tensor_test.cc JsonFromClassificationResult, JsonFromRegressionResult, JsonFromRegressionResultWithNonFinite."""
    classes = [classification_pb2.Class(label=label, score=score) for label, score in (("car", 0.2), ("bike", 0.7))]
    result = classification_pb2.ClassificationResult(classifications=[classification_pb2.Classifications(classes=classes)])
    assert format_classifications(result) == b'{"results":[[["car",0.2],["bike",0.7]]]}'
    values = [regression_pb2.Regression(value=value) for value in (0.2, INF, 1, -INF, NAN, 9e6)]
    assert format_regressions(regression_pb2.RegressionResult(regressions=values)) == b'{"results":[0.2,Infinity,1.0,-Infinity,NaN,9e+06]}'


@pytest.fixture(scope="module")
def server(saved_models):
    with running_server(saved_models, rest_port=0, grpc_port=0) as server:
        yield server


HANDLER, UTIL, HTTP = "model_servers/http_rest_api_handler_test.cc", "model_servers/http_rest_api_util_test.cc", "model_servers/http_server.cc"
ODD = "modelname%21%23%24%25%26%27%28%29%2A%2B%2C%2F%3A%3B%3D%3F%40%5B%5D"
PLAIN = "modelname!#$%&'()*+,/:;=?@[]"
STATUS = {"model_version_status": [{"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]}
X = '{"inputs": [[1, 2]]}'
REST = [  # source, method, path, body, headers, status, document or a part of the error's words
    *(
        (f"{HANDLER} UnsupportedApiCalls", method, path, "", {}, 400, words)
        for method, path, words in (
            ("GET", "/v1/foo", "Malformed request: GET /v1/foo"),
            ("POST", "/v1/foo", "Malformed request: POST /v1/foo"),
            ("GET", "/v1/models", "Missing model name"),
            ("GET", "/v1/models/debug/model_name", "Malformed request"),
            ("POST", "/v1/models", "Malformed request"),
            ("GET", "/v1/models/foo:predict", "Malformed request"),
            ("GET", "/v1/models/foo/version/50:predict", "Malformed request"),
            ("POST", "/v1/models/foo/version/50:regress", "Malformed request"),
            ("POST", "/v1/models/foo/versions/HELLO:regress", "Malformed request"),
            ("POST", f"/v1/models/foo/versions/{2**64 - 1}:regress", "Failed to convert version"),
            ("POST", "/v1/models/foo/metadata", "Malformed request"),
            ("POST", "/v1/models/foo/label/some_label:regress", "Malformed request"),
            ("POST", "/v1/models/foo/versions/50/labels/some_label:regress", "Malformed request"),
            ("POST", "/v1/models/foo/versions/some_label:regress", "Malformed request"),
        )
    ),
    (f"{HANDLER} PredictModelNameVersionErrors", "POST", "/v1/models/foo:predict", '{"instances": [1]}', {}, 404, "Servable not found"),
    (f"{HANDLER} PredictModelNameVersionErrors", "POST", "/v1/models/foo/versions/50:predict", '{"instances": [1]}', {}, 404, "Servable not found"),
    (f"{HANDLER} PredictModelNameVersionErrors", "POST", "/v1/models/double99:predict", '{"instances": [1]}', {}, 404, "Servable not found"),
    (f"{HANDLER} PredictRequestErrors", "POST", "/v1/models/double:predict", "", {}, 400, "JSON Parse error: The document is empty"),
    (f"{HANDLER} PredictRequestErrors", "POST", "/v1/models/double:predict", "instances = [1, 2]", {}, 400, "JSON Parse error: Invalid value"),
    (f"{HANDLER} PredictRequestErrors", "POST", "/v1/models/double:predict", '{"instances": ["x", "y"]}', {}, 400, "not of expected type: float"),
    (f"{HANDLER} PredictRequestErrors", "POST", "/v1/models/double/labels/no:predict", '{"instances": [1]}', {}, 400, "Unrecognized servable version label"),
    (f"{HANDLER} PredictRequestErrors", "POST", "/v1/models/double:predict", '{"signature_name": 100}', {}, 400, "key must be a string value."),
    (f"{HANDLER} Predict", "POST", "/v1/models/double:predict", '{"instances": [[1.0, 2.0], [3.0, 4.0]]}', {}, 200, {"predictions": [[2, 4], [6, 8]]}),
    (f"{HANDLER} Predict", "POST", "/v1/models/double/versions/1:predict", '{"instances": [[1, 2]]}', {}, 200, {"predictions": [[2, 4]]}),
    (
        f"{HANDLER} Predict",
        "POST",
        "/v1/models/double/versions/1:predict",
        '{"signature_name": "serving_default", "inputs": [[1, 2]]}',
        {},
        200,
        {"outputs": [[2, 4]]},
    ),
    (f"{HANDLER} Regress", "POST", "/v1/models/examples:regress", '{"signature_name": "regress", "examples": [{"x": 80.0}]}', {}, 200, {"results": [240]}),
    (
        f"{HANDLER} Regress",
        "POST",
        "/v1/models/examples/versions/1:regress",
        '{"signature_name": "regress", "examples": [{"x": 1.0}]}',
        {},
        200,
        {"results": [3]},
    ),
    (f"{HANDLER} Classify", "POST", "/v1/models/examples:classify", '{"examples": [{"x": 0.0}]}', {}, 200, {"results": [[["small", 0.5], ["large", 0.5]]]}),
    (f"{HANDLER} GetStatus", "GET", "/v1/models/double", None, {}, 200, STATUS),
    (f"{HANDLER} GetStatus", "GET", "/v1/models/double/versions/1", None, {}, 200, STATUS),
    ("model_servers/get_model_status_impl.cc a label is passed over", "GET", "/v1/models/double/labels/no", None, {}, 200, STATUS),
    (f"{HANDLER} GetModelMetadata", "GET", "/v1/models/double/metadata", None, {}, 200, None),
    (f"{UTIL} TestParseModelInfoForGet", "GET", f"/v1/models/{ODD}", None, {}, 404, f"Could not find any versions of model {PLAIN}"),
    (f"{UTIL} TestParseModelInfoForGet", "GET", "/v1/models/double/versions/99", None, {}, 404, "Could not find version 99 of model double"),
    (f"{UTIL} TestParseModelInfoForGet", "GET", f"/v1/models/double/labels/{ODD}/metadata", None, {}, 400, f"Unrecognized servable version label: {PLAIN}"),
    (f"{UTIL} TestParseModelInfoForPost", "POST", f"/v1/models/{ODD}:predict", X, {}, 404, f"Servable not found for request: Latest({PLAIN})"),
    (f"{UTIL} TestParseModelInfoForPost", "POST", "/v1/models/modelname/versions/99:predict", X, {}, 404, "Specific(modelname, 99)"),
    (f"{UTIL} TestParseModelInfoForPost", "POST", f"/v1/models/double/labels/{ODD}:predict", X, {}, 400, f"Unrecognized servable version label: {PLAIN}"),
    ("net_http/server/internal/evhttp_request.cc the query is in the path", "GET", "/v1/models/double?a=1", None, {}, 404, "of model double?a=1"),
    (
        "net_http/server/internal/evhttp_request.cc the query is in the path",
        "POST",
        "/v1/models/double:predict?a=1",
        X,
        {},
        400,
        "Malformed request: POST /v1/models/double:predict?a=1",
    ),
    (
        "net_http/server/internal/evhttp_request.cc gzip",
        "POST",
        "/v1/models/double:predict",
        gzip.compress(X.encode()),
        {"Content-Encoding": "gzip"},
        200,
        {"outputs": [[2, 4]]},
    ),
    (
        "net_http/server/internal/evhttp_request.cc gzip cut",
        "POST",
        "/v1/models/double:predict",
        gzip.compress(X.encode())[:-9],
        {"Content-Encoding": "gzip"},
        400,
        "gzip",
    ),
    (
        "net_http/server/internal/evhttp_request.cc gzip trailed",
        "POST",
        "/v1/models/double:predict",
        gzip.compress(X.encode()) + b"x",
        {"Content-Encoding": "gzip"},
        400,
        "gzip",
    ),
    (f"{HTTP} OPTIONS with an origin", "OPTIONS", "/v1/models/double:predict", None, {"Origin": "https://a.example"}, 200, ""),
    (f"{HTTP} OPTIONS without", "OPTIONS", "/v1/models/double:predict", None, {}, 400, ""),
    (f"{HTTP} other methods", "PUT", "/v1/models/double", "", {}, 400, "Malformed request: PUT /v1/models/double"),
]


@pytest.mark.parametrize(("source", "method", "path", "body", "headers", "status", "expected"), REST, ids=_sources(REST))
def test_rest_request(server, source, method, path, body, headers, status, expected):
    host, port = server.rest_url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    assert response.status == status
    if expected == "":
        assert text == b""
    elif isinstance(expected, str):
        assert expected in json.loads(text)["error"]
    elif expected is not None:
        assert json.loads(text) == expected
    else:
        assert json.loads(text)["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]["x"]["dtype"] == "DT_FLOAT"


def _predict(model="double", signature="", filters=(), version=None, **inputs):
    request = predict_pb2.PredictRequest(output_filter=filters)
    request.model_spec.name, request.model_spec.signature_name = model, signature
    if version is not None:
        request.model_spec.version.value = version
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(value if isinstance(value, tensor_pb2.TensorProto) else tf.make_tensor_proto(value))
    return request


def _tensor(kind="FLOAT", dims=(1, 2), **values):
    return tensor_pb2.TensorProto(dtype=types_pb2.DataType.Value(f"DT_{kind}"), tensor_shape={"dim": [{"size": size} for size in dims]}, **values)


def _examples(request, values=(2.0,), model="examples", signature=None):
    request.model_spec.name = model
    if signature:
        request.model_spec.signature_name = signature
    return _with_examples(request, values)


def _with_examples(request, values=(2.0,)):
    for value in values:
        request.input.example_list.examples.add().features.feature["x"].float_list.value.append(value)
    return request


def _multi(*tasks, values=(2.0,)):
    request = inference_pb2.MultiInferenceRequest()
    for model, signature, method in tasks:
        request.tasks.add(model_spec={"name": model, "signature_name": signature}, method_name=f"tensorflow/serving/{method}")
    return _with_examples(request, values)


def _metadata(*fields, model="double"):
    return get_model_metadata_pb2.GetModelMetadataRequest(model_spec={"name": model}, metadata_field=fields)


A, B = np.float32([[1, 2]]), ("examples", "regress", "regress")
IMPL, PUTIL, MULTI = "servables/tensorflow/predict_impl_test.cc", "servables/tensorflow/predict_util.cc", "servables/tensorflow/multi_inference_test.cc"
CLASSIFIER, REGRESSOR = "servables/tensorflow/classifier_test.cc", "servables/tensorflow/regressor_test.cc"
META, STATE, SERVICE = (
    "servables/tensorflow/get_model_metadata_impl_test.cc",
    "model_servers/get_model_status_impl_test.cc",
    "model_servers/model_service_impl.cc",
)
GRPC = [  # source, method, request, code, a part of the words or of the answer's text
    (f"{IMPL} MissingOrEmptyModelSpec", "Predict", predict_pb2.PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
    (f"{IMPL} MissingOrEmptyModelSpec, no name", "Predict", _predict(""), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    (f"{IMPL} MissingOrEmptyModelSpec, wrong name", "Predict", _predict("test"), "NOT_FOUND", "Servable not found for request: Latest(test)"),
    (f"{IMPL} EmptyInputList", "Predict", _predict(version=1), "INVALID_ARGUMENT", "input size does not match signature: 0!=1"),
    (f"{IMPL} InputTensorsDontMatchModelSpecInputs", "Predict", _predict(key=[b"any_key"]), "INVALID_ARGUMENT", "key"),
    (
        f"{IMPL} OutputFiltersDontMatchModelSpecOutputs",
        "Predict",
        _predict(filters=["no"], x=A),
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: no",
    ),
    (f"{IMPL} OutputFiltersDontMatchModelSpecOutputs", "Predict", _predict(filters=["y", "y"], x=A), "INVALID_ARGUMENT", "duplicate output tensor alias: y"),
    (f"{IMPL} OutputFiltersDontMatchModelSpecOutputs", "Predict", _predict(filters=["y"], x=A), "OK", "float_val: 4"),
    (f"{IMPL} InputTensorsHaveWrongType", "Predict", _predict(x=[[b"a", b"b"]]), "INVALID_ARGUMENT", ""),
    (f"{IMPL} ModelMissingSignatures", "Predict", _predict(signature="no", x=A), "FAILED_PRECONDITION", 'Serving signature key "no" not found.'),
    (f"{IMPL} PredictionSuccess", "Predict", _predict(version=1, x=A), "OK", "float_val: 2"),
    (f"{IMPL} PredictionWithNamedRegressionSignature", "Predict", _predict("examples", "regress", inputs=[b""]), "INVALID_ARGUMENT", ""),
    (f"{PUTIL} FromProto, fewer values than the shape", "Predict", _predict(x=_tensor(float_val=[3])), "OK", "float_val: 6\n    float_val: 6"),
    (f"{PUTIL} FromProto, more values than the shape", "Predict", _predict(x=_tensor(float_val=[1, 2, 3])), "OK", "float_val: 2\n    float_val: 4"),
    (f"{PUTIL} FromProto, content that does not fit", "Predict", _predict(x=_tensor(tensor_content=b"123")), "INVALID_ARGUMENT", "tensor parsing error: x"),
    (f"{PUTIL} FromProto, no type", "Predict", _predict(x=_tensor("INVALID")), "INVALID_ARGUMENT", "tensor parsing error: x"),
    (f"{PUTIL} FromProto, a resource", "Predict", _predict(x=_tensor("RESOURCE")), "INVALID_ARGUMENT", "tensor parsing error: x"),
    (f"{PUTIL} FromProto, a variant", "Predict", _predict(x=_tensor("VARIANT")), "INVALID_ARGUMENT", "tensor parsing error: x"),
    (f"{PUTIL} FromProto, a negative size", "Predict", _predict(x=_tensor(dims=(-1, 2))), "INVALID_ARGUMENT", "tensor parsing error: x"),
    (f"{PUTIL} FromProto, 33 dimensions", "Predict", _predict(x=_tensor(dims=(1,) * 33)), "INVALID_ARGUMENT", "x"),
    (f"{PUTIL} FromProto, 255 dimensions", "Predict", _predict(x=_tensor(dims=(1,) * 255)), "INVALID_ARGUMENT", "tensor parsing error: x"),
    (f"{CLASSIFIER} EmptyExampleList", "Classify", _examples(classification_pb2.ClassificationRequest(), ()), "INVALID_ARGUMENT", "Input is empty"),
    (
        f"{CLASSIFIER} MissingSignature",
        "Classify",
        _examples(classification_pb2.ClassificationRequest(), signature="no"),
        "INVALID_ARGUMENT",
        "No signature was found with the name: no",
    ),
    (f"{CLASSIFIER} ValidNamedSignature", "Classify", _examples(classification_pb2.ClassificationRequest(), (0.0,)), "OK", "score: 0.5"),
    (
        f"{CLASSIFIER} InvalidNamedSignature",
        "Classify",
        _examples(classification_pb2.ClassificationRequest(), model="double"),
        "FAILED_PRECONDITION",
        "No classification inputs found",
    ),
    (f"{REGRESSOR} EmptyExampleList", "Regress", _examples(regression_pb2.RegressionRequest(), (), signature="regress"), "INVALID_ARGUMENT", "Input is empty"),
    (f"{REGRESSOR} MissingSignature", "Regress", _examples(regression_pb2.RegressionRequest(), signature="no"), "INVALID_ARGUMENT", "No signature was found"),
    (f"{REGRESSOR} BasicExampleList", "Regress", _examples(regression_pb2.RegressionRequest(), signature="regress"), "OK", "value: 6"),
    (f"{REGRESSOR} InvalidNamedSignature", "Regress", _examples(regression_pb2.RegressionRequest()), "INVALID_ARGUMENT", "Expected one output Tensor."),
    (f"{MULTI} MissingInputTest", "MultiInference", _multi(B, values=()), "INVALID_ARGUMENT", "Input is empty"),
    (f"{MULTI} UndefinedSignatureTest", "MultiInference", _multi(("examples", "no", "regress")), "INVALID_ARGUMENT", "signature not found in model graph: no"),
    (
        f"{MULTI} InconsistentModelSpecsInRequestTest",
        "MultiInference",
        _multi(B, ("no", "regress", "regress")),
        "INVALID_ARGUMENT",
        "must access the same model name",
    ),
    (f"{MULTI} EvaluateDuplicateSignaturesTest", "MultiInference", _multi(B, B), "INVALID_ARGUMENT", "Duplicate evaluation of signature: regress"),
    (
        f"{MULTI} UsupportedSignatureTypeTest",
        "MultiInference",
        _multi(("examples", "", "predict")),
        "UNIMPLEMENTED",
        "Unsupported signature method_name: tensorflow/serving/predict",
    ),
    (f"{MULTI} ValidSingleSignatureTest", "MultiInference", _multi(B), "OK", "value: 6"),
    (
        f"{MULTI} SignaturesWithDifferentInputsTest",
        "MultiInference",
        _multi(B, ("examples", "regress_other", "regress")),
        "INVALID_ARGUMENT",
        "Input tensor must be the same",
    ),
    (f"{MULTI} RegressAndClassifySignaturesTest", "MultiInference", _multi(B, ("examples", "", "classify"), values=(0.0,)), "OK", "score: 0.5"),
    (
        "servables/tensorflow/multi_inference.cc empty name",
        "MultiInference",
        _multi(B, ("", "", "classify")),
        "INVALID_ARGUMENT",
        "Found ModelSpec with an empty model name.",
    ),
    ("servables/tensorflow/multi_inference_helper.cc no task", "MultiInference", _multi(), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    ("servables/tensorflow/multi_inference_helper.cc no model", "MultiInference", _multi(("no", "", "classify")), "NOT_FOUND", "Latest(no)"),
    (f"{META} EmptyOrInvalidMetadataFieldList", "GetModelMetadata", _metadata(), "INVALID_ARGUMENT", "must specify at least one metadata_field"),
    (f"{META} EmptyOrInvalidMetadataFieldList", "GetModelMetadata", _metadata("some_stuff"), "INVALID_ARGUMENT", "some_stuff is not supported"),
    (
        f"{META} MissingOrEmptyModelSpec",
        "GetModelMetadata",
        get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"]),
        "INVALID_ARGUMENT",
        "Missing ModelSpec",
    ),
    (f"{META} MissingOrEmptyModelSpec", "GetModelMetadata", _metadata("signature_def", model=""), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    (f"{META} ReturnsSignaturesForValidModel", "GetModelMetadata", _metadata("signature_def"), "OK", 'key: "signature_def"'),
    (f"{STATE} MissingModelSpec", "GetModelStatus", get_model_status_pb2.GetModelStatusRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
    (
        f"{STATE} InvalidModelName",
        "GetModelStatus",
        get_model_status_pb2.GetModelStatusRequest(model_spec={"name": "no"}),
        "NOT_FOUND",
        "Could not find any versions of model no",
    ),
    (
        f"{STATE} InvalidVersion",
        "GetModelStatus",
        get_model_status_pb2.GetModelStatusRequest(model_spec={"name": "double", "version": {"value": 7}}),
        "NOT_FOUND",
        "version 7",
    ),
    (f"{STATE} AllModelVersionStatuses", "GetModelStatus", get_model_status_pb2.GetModelStatusRequest(model_spec={"name": "double"}), "OK", "AVAILABLE"),
    (
        f"{SERVICE} HandleReloadConfigRequest",
        "HandleReloadConfigRequest",
        model_management_pb2.ReloadConfigRequest(),
        "INVALID_ARGUMENT",
        "Only ModelConfigList is currently supported",
    ),
    *(
        (f"grpc's C++, method_handler.h {method}", method, b"\xff\xff\xff", "INTERNAL", "")
        for method in ("Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata", "GetModelStatus", "HandleReloadConfigRequest")
    ),
    different(
        f"{PUTIL} FromProto, strings in tensor_content",
        "Predict",
        _predict("examples", inputs=_tensor("STRING", (1,), tensor_content=b"\x00")),
        "OK",
        "",
        reason="no client packs strings so",
    ),
    different(
        f"{PUTIL} FromProto, 1 GiB", "Predict", _predict(x=_tensor(dims=(2**29, 2), float_val=[1])), "OK", "", reason="a few bytes must not take gigabytes"
    ),
]


@pytest.mark.parametrize(("source", "method", "request_", "code", "words"), GRPC, ids=_sources(GRPC))
def test_grpc_request(server, source, method, request_, code, words):
    service = "ModelService" if method in ("GetModelStatus", "HandleReloadConfigRequest") else "PredictionService"
    with grpc.insecure_channel(server.grpc_address) as channel:
        if isinstance(request_, bytes):
            call = channel.unary_unary(f"/tensorflow.serving.{service}/{method}")
        else:
            stub = model_service_pb2_grpc.ModelServiceStub if service == "ModelService" else prediction_service_pb2_grpc.PredictionServiceStub
            call = getattr(stub(channel), method)
        try:
            answer, got = str(call(request_, timeout=60)), "OK"
        except grpc.RpcError as error:
            answer, got = error.details(), error.code().name
    assert got == code
    assert words in answer
