"""The REST API over plain HTTP, as curl would speak to it."""

import base64
import gzip
import http.client
import json
import select
import socket
import struct
import zlib

import numpy as np
import pytest

from tfvision.serving import json_text, parsing_process, rest
from tfvision.serving.server import running_server


@pytest.fixture(scope="module")
def server(saved_models):
    limits = {"max_request_bytes": 200_000, "max_held_bytes": 500_000}
    with running_server(saved_models, rest_port=0, grpc_port=0, limits=limits) as server:
        yield server


def _ask(server, method, path, body=None, headers=None):
    """(status, document or text)."""
    host, port = server.rest_url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    body = json.dumps(body) if isinstance(body, dict) else body
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, json.loads(text) if "json" in response.headers["content-type"] else text


@pytest.mark.parametrize("path", ["/v1/models/double", "/v1/models/double/versions/1", "/V1/Models/double"])
def test_predict_answers_in_the_format_it_was_asked_in(server, path):
    assert _ask(server, "POST", f"{path}:predict", {"instances": [[1, 2], [3, 4.5]]}) == (200, {"predictions": [[2.0, 4.0], [6.0, 9.0]]})
    assert _ask(server, "POST", f"{path}:predict", {"instances": [{"x": [1, 2]}]}) == (200, {"predictions": [[2.0, 4.0]]})
    assert _ask(server, "POST", f"{path}:predict", {"inputs": {"x": [[1, 2]]}}) == (200, {"outputs": [[2.0, 4.0]]})


def test_predict_takes_photos_as_base64_and_answers_with_objects(server, png):
    photo = {"b64": base64.b64encode(png((200, 10, 20))).decode()}
    status, answer = _ask(server, "POST", "/v1/models/photos:predict", {"instances": [photo, {"b64": base64.b64encode(png("blue")).decode()}]})
    assert status == 200
    assert answer == {"predictions": [{"mean": [200.0, 10.0, 20.0], "name": "red"}, {"mean": [0.0, 0.0, 255.0], "name": "blue"}]}


def test_not_a_number_goes_in_and_out(server):
    host, port = server.rest_url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port))
    connection.request("POST", "/v1/models/double:predict", '{"instances": [[NaN, -Infinity]]}')
    assert connection.getresponse().read() == b'{"predictions":[[NaN,-Infinity]]}'


def test_other_signatures_are_asked_by_name(server):
    request = {"signature_name": "total", "inputs": [[1, 2], [3, 4]]}
    assert _ask(server, "POST", "/v1/models/double:predict", request) == (200, {"outputs": 10.0})
    status, answer = _ask(server, "POST", "/v1/models/double:predict", {"signature_name": "total", "instances": [[1, 2]]})
    assert (status, answer) == (400, {"error": "Tensor name: total has no shape information "})


def test_inputs_with_a_default_may_be_left_out(server):
    path = "/v1/models/double:predict"
    for left_out, given in (
        ({"instances": [{"x": 1}, {"x": 2}]}, {"instances": [{"x": 1, "factor": 5}]}),
        ({"inputs": {"x": [1, 2]}}, {"inputs": {"x": [1], "factor": [5]}}),
    ):
        answer = "predictions" if "instances" in left_out else "outputs"
        assert _ask(server, "POST", path, {"signature_name": "scale", **left_out}) == (200, {answer: [3.0, 6.0]})
        assert _ask(server, "POST", path, {"signature_name": "scale", **given}) == (200, {answer: [5.0]})


def test_classify_and_regress_answer_with_results(server):
    examples = {"examples": [{"x": 0.0}, {"x": [1.5]}]}
    status, answer = _ask(server, "POST", "/v1/models/examples:classify", examples)
    assert status == 200
    assert answer["results"][0] == [["small", 0.5], ["large", 0.5]]
    np.testing.assert_allclose(answer["results"][1][1][1], 1 / (1 + np.exp(-1.5)), rtol=1e-6)
    shared = {"signature_name": "regress", "context": {"x": 2.0}, "examples": [{}, {}]}
    assert _ask(server, "POST", "/v1/models/examples:regress", shared) == (200, {"results": [6.0, 6.0]})


def test_status_has_tensorflow_servings_shape(server):
    expected = {"model_version_status": [{"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]}
    assert _ask(server, "GET", "/v1/models/double") == (200, expected)
    assert _ask(server, "GET", "/v1/models/double/versions/1") == (200, expected)


def test_metadata_has_tensorflow_servings_shape(server):
    status, answer = _ask(server, "GET", "/v1/models/double/metadata")
    assert status == 200
    assert answer["model_spec"] == {"name": "double", "signature_name": "", "version": "1"}
    signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT"
    shape = {"dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}], "unknown_rank": False}
    assert signature["inputs"]["x"]["tensor_shape"] == shape


ERRORS = [  # method, path, body, status, the error's words
    ("POST", "/v1/models/double", "{}", 400, "Malformed request: POST /v1/models/double"),
    ("POST", "/v1/models/double:Predict", "{}", 400, "Malformed request: POST /v1/models/double:Predict"),
    ("POST", "/v1/models/double:explain", "{}", 400, "Malformed request: POST /v1/models/double:explain"),
    ("POST", "/v1/models/double/versions/x:predict", "{}", 400, "Malformed request: POST /v1/models/double/versions/x:predict"),
    ("POST", "/v1/models/:predict", "{}", 400, "Malformed request: POST /v1/models/:predict"),
    ("GET", "/v1/models/double:predict", None, 400, "Malformed request: GET /v1/models/double:predict"),
    ("GET", "/v1/models/double/nothing", None, 400, "Malformed request: GET /v1/models/double/nothing"),
    ("PUT", "/v1/models/double", "{}", 400, "Malformed request: PUT /v1/models/double"),
    ("GET", "/v1/models", None, 400, "Missing model name in request."),
    ("GET", "/v1/models/double/versions/9999999999999999999", None, 400, "Failed to convert version: 9999999999999999999 to numeric."),
    ("GET", "/v1/models/nothing", None, 404, "Could not find any versions of model nothing"),
    ("GET", "/v1/models/double/versions/7", None, 404, "Could not find version 7 of model double"),
    ("GET", "/v1/models/nothing/metadata", None, 404, "Servable not found for request: Latest(nothing)"),
    ("POST", "/v1/models/nothing:predict", '{"inputs": 1}', 404, "Servable not found for request: Latest(nothing)"),
    ("POST", "/v1/models/double/versions/7:predict", '{"inputs": 1}', 404, "Servable not found for request: Specific(double, 7)"),
    ("POST", "/v1/models/double/labels/best:predict", '{"inputs": 1}', 400, "Unrecognized servable version label: best"),
    ("POST", "/v1/models/nothing:predict", "[", 400, "JSON Parse error: Invalid value. at offset: 1"),
    ("POST", "/v1/models/double:predict", "", 400, "JSON Parse error: The document is empty"),
    ("POST", "/v1/models/double:predict", '{"instances": [[1]]}', 400, "input 'x' must have the shape [?,2], got [1, 1]"),
    (
        "POST",
        "/v1/models/double:predict",
        '{"signature_name": "no", "inputs": 1}',
        400,
        'Serving signature name: "no" not found in signature def',
    ),
    ("POST", "/v1/models/double:classify", '{"examples": [{}]}', 400, "No classification inputs found in SignatureDef"),
    ("POST", "/v1/models/examples:regress", '{"examples": [{}]}', 400, "Expected one output Tensor."),
    (
        "POST",
        "/v1/models/examples:classify",
        '{"signature_name": "no", "examples": [{}]}',
        400,
        "No signature was found with the name: no",
    ),
    ("GET", "/favicon.ico", None, 404, "Not found: /favicon.ico; models are at /v1/models/NAME"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "message"), ERRORS, ids=lambda value: str(value)[:50])
def test_errors_have_tensorflow_servings_status_and_words(server, method, path, body, status, message):
    assert _ask(server, method, path, body) == (status, {"error": message})


def test_query_is_a_part_of_the_path_and_percent_encoding_is_understood(server):
    assert _ask(server, "GET", "/v1/models/doub%6ce")[0] == 200
    assert _ask(server, "GET", "/v1/models/double?pretty=1") == (404, {"error": "Could not find any versions of model double?pretty=1"})
    path = "/v1/models/double:predict?pretty=1"
    assert _ask(server, "POST", path, "{}") == (400, {"error": f"Malformed request: POST {path}"})


def test_gzipped_bodies_are_unpacked_within_the_limit(server):
    path, headers = "/v1/models/double:predict", {"Content-Encoding": "gzip"}
    assert _ask(server, "POST", path, gzip.compress(b'{"instances": [[1, 2]]}'), headers)[1] == {"predictions": [[2.0, 4.0]]}
    assert _ask(server, "POST", path, gzip.compress(b" " * 300_000), headers)[0] == 413
    for body in (b"no gzip", gzip.compress(b'{"inputs": [[1, 2]]}')[:-9], gzip.compress(b'{"inputs": [[1, 2]]}') + b"more"):
        assert _ask(server, "POST", path, body, headers)[0] == 400


def test_body_over_the_limit_is_refused_while_it_streams(server):
    message = {"error": "The request is larger than 0.190735 MiB: send fewer rows in a request"}
    assert _ask(server, "POST", "/v1/models/double:predict", b" " * 250_000) == (413, message)
    chunks = (b" " * 50_000 for _ in range(5))  # without a Content-Length
    assert _ask(server, "POST", "/v1/models/double:predict", chunks) == (413, message)
    assert _ask(server, "POST", "/v1/models/double:predict", {"instances": [[1, 2]]})[0] == 200


def test_bodies_held_together_are_bounded(server):
    host, port = server.rest_url.removeprefix("http://").split(":")
    head = b"POST /v1/models/double:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 190000\r\n\r\n"
    sockets = [socket.create_connection((host, int(port))) for _ in range(3)]
    for connection in sockets:
        connection.sendall(head + b" " * 189_999)
    (refused,), _, _ = select.select(sockets, [], [], 60)
    status, answer = _read(refused)
    assert (status, answer) == (429, {"error": "Too many bytes of requests are being answered; try again"})
    for connection in set(sockets) - {refused}:
        connection.sendall(b" ")
        assert _read(connection)[0] == 400  # read to its end, and no JSON
    for connection in sockets:
        connection.close()


def test_upload_that_does_not_go_on_gives_its_place_to_others(server, monkeypatch):
    monkeypatch.setattr(rest, "_STALLED_SECONDS", 0.0)
    host, port = server.rest_url.removeprefix("http://").split(":")
    head = b"POST /v1/models/double:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 190000\r\n\r\n"
    first, second, third = (socket.create_connection((host, int(port))) for _ in range(3))
    for connection in (first, second):
        connection.sendall(head + b" " * 189_999)
    _ask(server, "GET", "/healthz")  # by then the others have been read
    third.sendall(head + b" " * 190_000)
    assert _read(third)[0] == 400  # read to its end, and no JSON
    (dropped,), _, _ = select.select([first, second], [], [], 60)
    assert _read(dropped) == (429, {"error": "The request did not come in time, and others need its place"})
    assert _ask(server, "POST", "/v1/models/double:predict", {"instances": [[1, 2]]})[0] == 200
    for connection in (first, second, third):
        connection.close()


def test_requests_of_many_values_and_their_answers_are_made_in_parts(server, monkeypatch):
    monkeypatch.setattr(parsing_process, "_MOST_VALUES", 50)
    monkeypatch.setattr(json_text, "_MOST_AT_ONCE", 50)
    monkeypatch.setattr(rest, "_SENT_AT_ONCE", 1000)
    rows = [[number, 0.5] for number in range(400)]
    doubled = [[2.0 * number, 1.0] for number in range(400)]
    assert _ask(server, "POST", "/v1/models/double:predict", {"instances": rows}) == (200, {"predictions": doubled})
    assert _ask(server, "POST", "/v1/models/double:predict", {"inputs": rows}) == (200, {"outputs": doubled})
    status, answer = _ask(server, "POST", "/v1/models/nothing:predict", {"instances": rows})
    assert (status, answer) == (404, {"error": "Servable not found for request: Latest(nothing)"})
    examples = {"signature_name": "regress", "examples": [{"x": 1.0 * number} for number in range(60)]}
    assert _ask(server, "POST", "/v1/models/examples:regress", examples) == (200, {"results": [3.0 * number for number in range(60)]})


def _read(connection):
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, json.loads(response.read())


def _png_that_declares(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        (_png_that_declares(20_000, 10_000), "image_bytes, row 0 declares more than 150,000,000 pixels"),
        (_png_that_declares(60_000, 60_000), "image_bytes, row 0 declares more than 150,000,000 pixels"),
        (b"", "image_bytes, row 0 is empty (0 bytes)"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "image_bytes, row 0 is no image that can be read: expected JPEG, PNG"),
    ],
)
def test_photos_are_judged_by_their_header_before_they_are_decoded(server, encoded, message):
    photo = {"b64": base64.b64encode(encoded).decode()}
    status, answer = _ask(server, "POST", "/v1/models/photos:predict", {"instances": [photo]})
    assert status == 400
    assert answer["error"].startswith(message)


def test_photo_that_is_cut_short_is_the_clients_error(server, png):
    photo = {"b64": base64.b64encode(png("red")[:-20]).decode()}
    status, answer = _ask(server, "POST", "/v1/models/photos:predict", {"instances": [photo]})
    assert status == 400
    assert "\n" not in answer["error"]


def test_health_and_metrics_pages(server):
    assert _ask(server, "GET", "/healthz") == (200, {"status": "alive"})
    assert _ask(server, "GET", "/readyz") == (200, {"status": "ready", "waiting_for": []})
    _ask(server, "POST", "/v1/models/double:predict", {"instances": [[1, 2]]})
    _ask(server, "POST", "/v1/models/invented:predict", {"instances": [[1, 2]]})
    status, text = _ask(server, "GET", "/monitoring/prometheus/metrics")
    assert status == 200
    assert ':tensorflow:serving:request_count{model_name="double",status="OK"}' in text
    assert ':tensorflow:serving:request_latency_count{API="Predict",entrypoint="REST",model_name="double"}' in text
    assert "invented" not in text
