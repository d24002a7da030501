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
    """A function: list of (status, body) -> URL of an HTTP server that answers so, the last one again and again; and its count."""
    servers = []

    def start(answers):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.rfile.read(int(self.headers.get("content-length", 0)))
                status, body = answers[min(len(asked), len(answers) - 1)]
                asked.append(self.path)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

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
