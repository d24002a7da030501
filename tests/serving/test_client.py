"""The client, over both protocols, against the running server."""

import http.server
import json
import socket
import threading

import numpy as np
import pytest

from tfvision.errors import UserError
from tfvision.serving.client import Client, RequestError
from tfvision.serving.server import running_server


@pytest.fixture(scope="module")
def server(saved_models):
    with running_server(saved_models, rest_port=0, grpc_port=0) as server:
        yield server


@pytest.fixture(params=["REST", "gRPC", "gRPC without a scheme"])
def client(server, request):
    urls = {"REST": server.rest_url, "gRPC": f"grpc://{server.grpc_address}", "gRPC without a scheme": server.grpc_address}
    with Client(urls[request.param]) as client:
        yield client


@pytest.mark.parametrize(
    "x", [[[1, 2], [3.5, float("nan")]], np.float32([[1, 2], [3.5, np.nan]]), np.float64([[1, 2], [3.5, np.nan]]), [np.array([1, 2]), (3.5, np.nan)]]
)
def test_numbers_in_any_form_become_arrays(client, x):
    outputs = client.predict("double", {"x": x})
    assert outputs["y"].dtype == np.float32
    np.testing.assert_array_equal(outputs["y"], [[2, 4], [7, np.nan]])


def test_photos_go_in_and_text_comes_out(client, png):
    for photos in ([png("red"), png("blue")], np.array([png("red"), png("blue")], object)):
        outputs = client.predict("photos", {"image_bytes": photos})
        np.testing.assert_array_equal(outputs["mean"], [[255, 0, 0], [0, 0, 255]])
        assert outputs["mean"].dtype == np.float32
        assert outputs["name"].tolist() == ["red", "blue"]


def test_signature_and_version_are_chosen(client):
    total = client.predict("double", {"x": [[1, 2]]}, signature="total", version=1)["total"]
    assert (total.shape, total.item()) == ((), 3)


def test_rest_and_grpc_give_the_same_numbers(server):
    x = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    with Client(server.rest_url) as rest, Client(server.grpc_address) as grpc_client:
        np.testing.assert_array_equal(rest.predict("double", {"x": x})["y"], grpc_client.predict("double", {"x": x})["y"])


def test_status_and_metadata_are_plain(client):
    assert client.status("double") == [{"version": 1, "state": "AVAILABLE", "error": ""}]
    metadata = client.metadata("photos")
    assert metadata["version"] == 1
    assert metadata["signatures"]["serving_default"] == {
        "inputs": {"image_bytes": {"dtype": "string", "shape": [None]}},
        "outputs": {"mean": {"dtype": "float32", "shape": [None, 3]}, "name": {"dtype": "string", "shape": [None]}},
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing", {"x": [[1, 2]]}), "Servable not found for request: Latest(nothing)"),
        (("double", {"x": [[1, 2]]}, "serving_default", 7), "Servable not found for request: Specific(double, 7)"),
        (("double", {"x": [[1, 2]]}, "serving_default", "best"), "Unrecognized servable version label: best"),
        (("double", {"x": [[1, 2]]}, "embed"), "double has no signature 'embed', only"),
        (("double", {"x": [[1, 2, 3]]}), "input 'x' must have the shape"),
        (("double", {"y": [[1, 2]]}), "x"),
        (("photos", {"image_bytes": [b"no photo"]}), "image_bytes, row 0 is no image that can be read"),
    ],
)
def test_refusals_carry_the_servers_words_in_one_line(client, arguments, message):
    with pytest.raises(RequestError) as caught:
        client.predict(*arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_decimals_never_become_integers():
    from tfvision.serving.client import _as_array

    assert _as_array("n", [1, 2], {"dtype": "int32"}).dtype == np.int32
    with pytest.raises(RequestError, match="input n must be int32, got float64"):
        _as_array("n", [1.5], {"dtype": "int32"})


@pytest.mark.parametrize("scheme", ["http://", "grpc://", ""])
def test_nothing_that_listens_is_said_at_once(scheme):
    with socket.socket() as closed:  # bound, so that nobody else takes the port; it does not listen
        closed.bind(("127.0.0.1", 0))
        with Client(f"{scheme}127.0.0.1:{closed.getsockname()[1]}") as client:
            with pytest.raises(UserError, match="no server answers at .*: start one with `tfvision serve`") as caught:
                client.predict("double", {"x": [[1, 2]]})
            assert not isinstance(caught.value, RequestError)


@pytest.mark.parametrize("url", ["ftp://host:1", "http://", ""])
def test_urls_of_another_kind_are_refused(url):
    with pytest.raises(UserError, match="a server's URL must begin with http://, https:// or grpc://"):
        Client(url)


@pytest.fixture
def scripted():
    """A function: list of (status, body) -> URL of an HTTP server that answers so, the last one again and again; and its count.

    For a dict, {path: (status, body)}, it answers by path and may be changed meanwhile."""
    servers = []

    def start(answers):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.rfile.read(int(self.headers.get("content-length", 0)))
                default = {"error": f"{self.path} is not found"}
                status, body = answers.get(self.path, (404, json.dumps(default))) if isinstance(answers, dict) else answers[min(len(asked), len(answers) - 1)]
                asked.append(self.path)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body if isinstance(body, bytes) else body.encode())

            do_POST = do_GET

            def log_message(self, *arguments):
                pass

        asked = []
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


STATUS = json.dumps({"model_version_status": [{"version": "3", "state": "AVAILABLE", "status": {}}]})


def test_overload_is_tried_again(scripted):
    url, asked = scripted([(429, '{"error": "full"}'), (503, '{"error": "loading"}'), (200, STATUS)])
    assert Client(url).status("m") == [{"version": 3, "state": "AVAILABLE", "error": ""}]
    assert asked == ["/v1/models/m"] * 3


def test_lasting_overload_is_an_error_in_the_end(scripted):
    url, asked = scripted([(429, '{"error": "full"}')])
    with pytest.raises(RequestError, match=r"is overloaded or not ready yet \(full\): try again later"):
        Client(url).status("m")
    assert 2 <= len(asked) <= 6


def test_refusal_is_not_tried_again(scripted):
    url, asked = scripted([(400, '{"error": "bad\\nrequest"}')])
    with pytest.raises(RequestError, match="^bad$"):
        Client(url).status("m")
    assert len(asked) == 1


@pytest.mark.parametrize("answer", [(200, "<html>"), (404, "not here"), (200, "[]"), (500, "{}")])
def test_server_of_another_protocol_is_named(scripted, answer):
    url, _ = scripted([answer])
    with pytest.raises(UserError, match="does not speak TensorFlow Serving's protocol: it answered"):
        Client(url).status("m")


def _status(*versions):
    return 200, json.dumps({"model_version_status": [{"version": str(version), "state": "AVAILABLE", "status": {}} for version in versions]})


def _metadata(version, **outputs):
    signature = {"inputs": {"x": {"dtype": "DT_FLOAT"}}, "outputs": {name: {"dtype": dtype} for name, dtype in outputs.items()}}
    definitions = {"signature_def": {"signature_def": {"serving_default": signature}}}
    return 200, json.dumps({"model_spec": {"version": str(version)}, "metadata": definitions})


def _version(number, answer, **outputs):
    path = f"/v1/models/m/versions/{number}"
    return {"/v1/models/m": _status(number), f"{path}/metadata": _metadata(number, **outputs), f"{path}:predict": (200, json.dumps({"outputs": answer}))}


def test_answers_after_a_hot_swap_bear_the_new_versions_names(scripted):
    routes = _version(1, [1, 2], count="DT_INT32")
    url, asked = scripted(routes)
    client = Client(url)
    for _ in range(2):
        assert client.predict("m", {"x": 0})["count"].tolist() == [1, 2]
    assert asked.count("/v1/models/m/versions/1/metadata") == 1
    routes |= _version(2, [0.5], share="DT_FLOAT")
    outputs = client.predict("m", {"x": 0})
    assert (list(outputs), outputs["share"].tolist(), outputs["share"].dtype) == (["share"], [0.5], np.float32)


def test_version_that_goes_between_two_questions_is_asked_for_anew(scripted):
    routes = _version(1, [1], y="DT_FLOAT")
    url, asked = scripted(routes)
    client = Client(url)
    client.predict("m", {"x": 0})
    routes |= _version(2, [2], y="DT_FLOAT")
    routes["/v1/models/m"] = _status(1)  # as it was a moment ago
    del routes["/v1/models/m/versions/1:predict"]
    with pytest.raises(RequestError, match="is not found"):
        client.predict("m", {"x": 0})
    assert asked.count("/v1/models/m/versions/1:predict") == 3  # once again, and no more
    routes["/v1/models/m"] = _status(2)
    assert client.predict("m", {"x": 0})["y"].tolist() == [2]


def test_signature_that_no_longer_fits_its_version_is_dropped(scripted):
    routes = _version(1, {"a": 1, "b": 2}, a="DT_INT32", b="DT_INT32")
    url, _ = scripted(routes)
    client = Client(url)
    assert client.predict("m", {"x": 0})["b"] == 2
    routes |= _version(1, {"a": 1, "c": 2}, a="DT_INT32", c="DT_INT32")  # exported anew under its old number
    assert client.predict("m", {"x": 0})["c"] == 2


def test_label_is_asked_for_what_it_means_now(scripted):
    routes = _version(1, [1], y="DT_FLOAT") | _version(2, [2], z="DT_FLOAT")
    url, _ = scripted(routes)
    client = Client(url)
    for number, name in ((1, "y"), (2, "z")):
        routes["/v1/models/m/labels/best/metadata"] = _metadata(number, **{name: "DT_FLOAT"})
        assert client.predict("m", {"x": 0}, version="best")[name].tolist() == [number]


ODD_ANSWERS = [  # path below /v1/models/m, what is answered there
    ("", "{}"),
    ("", '{"model_version_status": 3}'),
    ("", '{"model_version_status": [3]}'),
    ("", '{"model_version_status": [{}]}'),
    ("", '{"model_version_status": [{"version": "one", "state": "AVAILABLE"}]}'),
    ("", '{"model_version_status": [{"version": "1", "state": "AVAILABLE", "status": "well"}]}'),
    ("", b"\xff\xfe"),
    ("", "[" * 100_000),
    ("", '{"model_version_status": null}'),
    ("/versions/1/metadata", "{}"),
    ("/versions/1/metadata", '{"model_spec": {}, "metadata": {"signature_def": {"signature_def": {}}}}'),
    ("/versions/1/metadata", '{"model_spec": {"version": "1"}, "metadata": []}'),
    ("/versions/1/metadata", '{"model_spec": {"version": "1"}, "metadata": {"signature_def": {"signature_def": {"serving_default": 3}}}}'),
    ("/versions/1/metadata", '{"model_spec": {"version": "1"}, "metadata": {"signature_def": {"signature_def": {"serving_default": {"outputs": {"y": 1}}}}}}'),
    ("/versions/1/metadata", _metadata(1, y=7)[1]),
    ("/versions/1/metadata", _metadata(1, y="DT_NOTHING")[1]),
    ("/versions/1:predict", "{}"),
    ("/versions/1:predict", '{"outputs": {"y": 1}}'),
    ("/versions/1:predict", '{"outputs": ["a"]}'),
    ("/versions/1:predict", '{"outputs": [[1], [2, 3]]}'),
    ("/versions/1:predict", '{"outputs": [null]}'),
    ("/versions/1:predict", '{"outputs": [1e999, {}]}'),
    ("/versions/1:predict", '{"predictions": [1]}'),
    ("/versions/1:predict", "[" * 100_000),
]


@pytest.mark.parametrize(("path", "body"), ODD_ANSWERS, ids=lambda value: str(value)[:60])
def test_odd_answer_is_the_servers_fault_in_one_line(scripted, path, body):
    url, _ = scripted(_version(1, [1], y="DT_FLOAT") | {f"/v1/models/m{path}": (200, body)})
    with pytest.raises(UserError, match="does not speak TensorFlow Serving's protocol") as caught:
        Client(url).predict("m", {"x": 0})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("output", [{"dtype": "DT_RESOURCE"}, {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": -1}]}}, {"dtype": "DT_INVALID"}])
def test_odd_tensor_is_the_servers_fault(output):
    from google.protobuf import json_format
    from tensorflow_serving.apis import predict_pb2

    client = Client("grpc://127.0.0.1:1")
    answer = json_format.ParseDict({"outputs": {"y": output}}, predict_pb2.PredictResponse())
    client._transport._ask = lambda *arguments: answer
    with pytest.raises(UserError, match="does not speak TensorFlow Serving's protocol"):
        client._transport.predict("m", "serving_default", 1, {}, {"inputs": {}, "outputs": {}}, 1)


def test_error_that_is_no_text_is_the_servers_fault(scripted):
    url, _ = scripted([(500, '{"error": {"code": 3}}')])
    with pytest.raises(UserError, match="does not speak TensorFlow Serving's protocol: it answered 500"):
        Client(url).status("m")


def test_names_are_quoted_in_the_path(scripted):
    url, asked = scripted([(200, STATUS)])
    Client(url + "/").status("a/b c", version="best one")
    assert asked == ["/v1/models/a%2Fb%20c/labels/best%20one"]


def test_slow_server_ends_in_a_clear_error():
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(UserError, match="did not answer in time"):
        Client(f"http://127.0.0.1:{silent.getsockname()[1]}").status("m", timeout_seconds=0.3)


def test_client_over_rest_needs_no_tensorflow(server, run_python):
    script = "import sys; from tfvision.serving.client import Client\n"
    script += "print(Client(sys.argv[1]).predict('double', {'x': [[1, 2]]})['y'].tolist(), 'tensorflow' in sys.modules)"
    assert run_python(script, server.rest_url).split() == ["[[2.0,", "4.0]]", "False"]
