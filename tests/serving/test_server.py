"""The running server: what it serves, when it is full, how it starts and stops."""

import http.client
import json
import shutil
import socket
import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tfvision.errors import UserError
from tfvision.serving.batching import BatchingSettings
from tfvision.serving.server import find_models, running_server

FREE_PORTS = {"rest_port": 0, "grpc_port": 0}


def _ask(server, path, body=None):
    """(status, document or text)."""
    connection = http.client.HTTPConnection(*_address(server), timeout=60)
    connection.request("POST" if body else "GET", path, body)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, json.loads(text) if "json" in response.headers["content-type"] else text


def _address(server):
    host, port = server.rest_url.removeprefix("http://").split(":")
    return host, int(port)


@pytest.fixture
def waiting_model(tmp_path):
    """A folder with waiter/1, whose every run waits for an event; the event; and a list that grows by each run."""
    release, runs = threading.Event(), []

    def wait(x):
        runs.append(x)
        release.wait(60)
        return x

    module = tf.Module()  # the function lives as long as the module
    spec = [tf.TensorSpec([None], tf.float32, "x")]
    module.wait = tf.function(lambda x: {"y": tf.ensure_shape(tf.numpy_function(wait, [x], tf.float32), [None])}, input_signature=spec, autograph=False)
    tf.saved_model.save(module, str(tmp_path / "waiter" / "1"), signatures={"serving_default": module.wait})
    yield tmp_path, release, runs
    release.set()


def _send(server):
    """Sends a request to the waiter and returns its connection."""
    connection = socket.create_connection(_address(server), timeout=60)
    body = b'{"instances": [1]}'
    connection.sendall(b"POST /v1/models/waiter:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    return connection


def _status(connection):
    response = http.client.HTTPResponse(connection)
    response.begin()
    response.read()
    return response.status


def _wait_until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.01)


def _counted(server, status):
    return f'request_count{{model_name="waiter",status="{status}"}}' in _ask(server, "/monitoring/prometheus/metrics")[1]


@pytest.mark.slow
def test_request_that_takes_too_long_is_504(waiting_model):
    folder, release, _ = waiting_model
    with running_server(folder, **FREE_PORTS, limits={"timeout_seconds": 0.1}) as server:
        answer = _ask(server, "/v1/models/waiter:predict", '{"instances": [1]}')
        release.set()
    assert answer == (504, {"error": "The deadline passed before the model answered"})


@pytest.mark.slow
def test_deadline_of_a_grpc_client_ends_the_wait(waiting_model):
    folder, release, _ = waiting_model
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "waiter"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.float32([1])))
    with running_server(folder, **FREE_PORTS) as server, grpc.insecure_channel(server.grpc_address) as channel:

        def is_told():
            with pytest.raises(grpc.RpcError) as caught:
                prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=0.5)
            assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            return _counted(server, "CANCELLED") or _counted(server, "DEADLINE_EXCEEDED")

        _wait_until(is_told)  # on a busy machine the first may pass before the server has it
        release.set()


@pytest.mark.slow
def test_full_queue_is_429_and_a_client_that_left_is_not_run(waiting_model):
    folder, release, runs = waiting_model
    batching = BatchingSettings(max_batch_size=1, batch_timeout_micros=0, max_enqueued_batches=2, num_batch_threads=1)
    with running_server(folder, **FREE_PORTS, batching=batching) as server:
        first = _send(server)
        _wait_until(lambda: runs)
        waiting = []
        while not _counted(server, "RESOURCE_EXHAUSTED"):  # one of them waits behind the first
            waiting.append(_send(server))
        for connection in waiting:
            connection.close()
        _wait_until(lambda: _counted(server, "CANCELLED"))
        release.set()
        assert first.recv(1000).startswith(b"HTTP/1.1 200")
        assert _send(server).recv(1000).startswith(b"HTTP/1.1 200")
    assert len(runs) == 2


def test_full_server_refuses_before_it_has_the_body(waiting_model):
    folder, release, runs = waiting_model
    batching = BatchingSettings(max_batch_size=1, batch_timeout_micros=0, max_enqueued_batches=2, num_batch_threads=1)
    with running_server(folder, **FREE_PORTS, batching=batching) as server:
        held = [_send(server)]
        _wait_until(lambda: runs)
        while not _counted(server, "RESOURCE_EXHAUSTED"):
            held.append(_send(server))
        with socket.create_connection(_address(server), timeout=60) as connection:
            connection.sendall(b"POST /v1/models/waiter:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 18\r\n\r\n")
            assert _status(connection) == 429
            release.set()
            _wait_until(lambda: _ask(server, "/v1/models/waiter:predict", '{"instances": [1]}')[0] == 200)
            # The body that nobody waited for is passed over, and the connection goes on.
            body = b'{"instances": [1]}'
            connection.sendall(body + b"POST /v1/models/waiter:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 18\r\n\r\n" + body)
            assert _status(connection) == 200


@pytest.mark.slow
def test_stopping_answers_what_has_come_in(waiting_model):
    folder, release, runs = waiting_model
    with running_server(folder, **FREE_PORTS) as server:
        connection = _send(server)
        _wait_until(lambda: runs)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        _wait_until(lambda: _refuses(server))
        release.set()
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        stopping.join()


def _refuses(server):
    try:
        socket.create_connection(_address(server), timeout=1).close()
    except OSError:
        return True
    return False


@pytest.mark.slow
def test_new_version_is_served_beside_requests(double_base, add_version):
    with running_server(double_base, **FREE_PORTS, poll_seconds=0.05) as server:
        assert _ask(server, "/v1/models/double:predict", '{"instances": [[1, 2]]}')[1] == {"predictions": [[2, 4]]}
        add_version(double_base, 2, factor=10.0)
        answers = []
        while not answers or answers[-1] == (200, {"predictions": [[2, 4]]}):
            answers.append(_ask(server, "/v1/models/double:predict", '{"instances": [[1, 2]]}'))
        assert answers[-1] == (200, {"predictions": [[10, 20]]})


@pytest.mark.slow
def test_model_that_cannot_be_loaded_leaves_the_others(saved_models, tmp_path):
    shutil.copytree(saved_models / "double", tmp_path / "double")
    (tmp_path / "broken" / "1").mkdir(parents=True)
    (tmp_path / "broken" / "1" / "saved_model.pb").write_bytes(b"no model")
    with running_server(tmp_path, **FREE_PORTS) as server:
        assert _ask(server, "/v1/models/double:predict", '{"instances": [[1, 2]]}')[0] == 200
        (status,) = _ask(server, "/v1/models/broken")[1]["model_version_status"]
        assert (status["state"], status["version"]) == ("END", "1")
        assert status["status"]["error_code"] != "OK" and status["status"]["error_message"]
        assert _ask(server, "/v1/models/broken:predict", '{"instances": [1]}')[0] == 404
        assert _ask(server, "/readyz") == (503, {"status": "waiting", "waiting_for": ["broken"]})
        assert _ask(server, "/healthz")[0] == 200


@pytest.mark.slow
def test_models_config_names_models_versions_and_labels(saved_models, double_base, add_version, tmp_path):
    add_version(double_base, 2, factor=10.0)
    config = tmp_path / "models.config"
    config.write_text(
        f"""model_config_list {{ config {{
            name: "twice" base_path: "{double_base}" model_platform: "tensorflow"
            model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
            version_labels {{ key: "stable" value: 1 }}
        }} }}"""
    )
    with running_server(config, **FREE_PORTS) as server:
        answers = [_ask(server, f"/v1/models/twice{part}:predict", '{"instances": [[1, 2]]}') for part in ("", "/versions/1", "/labels/stable")]
    assert [answer["predictions"][0][0] for _, answer in answers] == [10, 2, 2]


def test_batching_config_is_taken_as_tensorflow_serving_takes_it(saved_models, tmp_path):
    config = tmp_path / "batching.config"
    config.write_text("max_batch_size { value: 4 } allowed_batch_sizes: 2 allowed_batch_sizes: 4 enable_large_batch_splitting { value: true }")
    with running_server(saved_models / "double", **FREE_PORTS, batching=config) as server:
        rows = [[number, 0] for number in range(9)]
        status, answer = _ask(server, "/v1/models/double:predict", json.dumps({"instances": rows}))
    assert (status, [row[0] for row in answer["predictions"]]) == (200, [2.0 * number for number in range(9)])


def test_answers_do_not_wait_for_acknowledgements(saved_models):
    with running_server(saved_models / "double", **FREE_PORTS) as server:
        assert server._socket.proto == socket.IPPROTO_TCP  # what asyncio looks at before it sets TCP_NODELAY


def test_models_are_found_by_their_version_folders(saved_models, tmp_path):
    assert [model.name for model in find_models(saved_models)] == ["double", "examples", "photos"]
    assert [model.name for model in find_models(saved_models / "double")] == ["double"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "nowhere", "nowhere does not exist: give a folder of exports"),
        (lambda folder: folder, "holds no model NAME/VERSION/saved_model.pb"),
        (lambda folder: _one_version(folder / "double" / "1"), "is one version of a model: give the folder that holds it"),
    ],
)
def test_folders_without_models_are_refused(tmp_path, make, message):
    with pytest.raises(UserError, match=message):
        find_models(make(tmp_path))


def _one_version(path):
    path.mkdir(parents=True)
    (path / "saved_model.pb").touch()
    return path


@pytest.mark.parametrize("kind", ["REST", "gRPC"])
def test_port_that_is_taken_is_named_with_a_way_out(saved_models, kind):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = FREE_PORTS | {f"{kind.lower()}_port": port}
        told = f"port {port} of 127.0.0.1 is taken, {kind} cannot use it: try `tfvision serve --{kind.lower()}-port"
        with pytest.raises(UserError, match=told), running_server(saved_models, **ports):
            pass


@pytest.mark.slow
def test_two_servers_never_share_a_port(saved_models):
    with running_server(saved_models / "double", **FREE_PORTS) as server:
        ports = {"rest_port": 0, "grpc_port": int(server.grpc_address.rsplit(":")[-1])}
        with pytest.raises(UserError, match="is taken, gRPC cannot use it"), running_server(saved_models / "double", **ports):
            pass


def test_address_that_is_not_this_machines_is_refused(saved_models):
    with pytest.raises(UserError, match="cannot listen on 192.0.2.1, port 0"), running_server(saved_models, host="192.0.2.1", **FREE_PORTS):
        pass


def test_server_listens_on_ipv6_too(saved_models):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        with running_server(saved_models / "double", host="::1", **FREE_PORTS) as server:
            connection = http.client.HTTPConnection("::1", int(server.rest_url.rsplit(":", 1)[1]), timeout=60)
            connection.request("GET", "/v1/models/double")
            assert connection.getresponse().status == 200
            assert server.rest_url.startswith("http://[::1]:")
            assert server.grpc_address.startswith("[::1]:")
    except UserError as error:
        assert "::1" in str(error)
        pytest.skip("no IPv6 here")
