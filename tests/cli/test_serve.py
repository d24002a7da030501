"""`tfvision serve` and `tfvision predict` as a user runs them."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

import numpy as np
import pytest
from PIL import Image


def _png(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (5, 4), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with photos/1 (`image_bytes` -> `mean` [batch, 3], `name`) and broken/1."""
    import tensorflow as tf

    def mean(encoded):
        return tf.reduce_mean(tf.cast(tf.io.decode_image(encoded, 3, expand_animations=False), tf.float32), (0, 1))

    def photos(image_bytes):
        means = tf.ensure_shape(tf.map_fn(mean, image_bytes, fn_output_signature=tf.TensorSpec([3], tf.float32)), [None, 3])
        return {"mean": means, "name": tf.gather(tf.constant(["red", "green", "blue"]), tf.argmax(means, -1))}

    folder = tmp_path_factory.mktemp("models")
    module = tf.Module()
    module.photos = tf.function(photos, input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")], autograph=False)
    tf.saved_model.save(module, str(folder / "photos" / "1"), signatures={"serving_default": module.photos})
    (folder / "broken" / "1").mkdir(parents=True)
    (folder / "broken" / "1" / "saved_model.pb").write_bytes(b"no model")
    return folder


STOPPING = "stopping: what has come in is answered first"


class _Serving:
    """`tfvision serve` in a process of its own; reads stderr until the URLs are there."""

    def __init__(self, *arguments):
        script = "from tfvision.cli.main import main; main()"
        command = [sys.executable, "-c", script, "serve", *map(str, arguments), "--rest-port", "0", "--grpc-port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        watchdog = threading.Timer(400, self.process.kill)
        watchdog.start()
        self.lines = []
        for line in self.process.stderr:
            self.lines.append(line.rstrip())
            if line.startswith("gRPC "):
                break
        watchdog.cancel()
        self.text = "\n".join(self.lines)

    def stop(self, number):
        """(exit code, stdout, the rest of stderr)."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=300)
        return self.process.returncode, out, err


@pytest.fixture(scope="module")
def serving(models):
    serving = _Serving(models)
    yield serving
    serving.process.kill()
    serving.process.communicate()


@pytest.fixture(scope="module")
def urls(serving):
    """The server's URL by protocol."""
    rest = re.search(r"REST  (http://127\.0\.0\.1:\d+)/v1/models/photos", serving.text)[1]
    return {"REST": rest, "gRPC": "grpc://" + re.search(r"gRPC  (127\.0\.0\.1:\d+)", serving.text)[1]}


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "red.png").write_bytes(_png("red"))
    (tmp_path / "blue.png").write_bytes(_png("blue"))
    (tmp_path / "notes.txt").write_text("no photo")
    return tmp_path


def test_serve_says_what_it_serves_and_what_it_could_not_load(serving, urls):
    assert "loaded photos, version 1" in serving.lines
    assert any(line.startswith("error: broken could not be loaded: version 1: ") for line in serving.lines)
    assert "warning" not in serving.text
    with urllib.request.urlopen(urls["REST"] + "/v1/models/photos") as response:
        assert json.load(response)["model_version_status"][0]["state"] == "AVAILABLE"


@pytest.mark.parametrize("kind", ["REST", "gRPC"])
def test_predict_prints_a_line_of_json_a_photo_and_errors_by_name(run_command, urls, photos, kind):
    names = ["red.png", "notes.txt", "nowhere.png", "blue.png"]
    code, out, _ = run_command("predict", "--server", urls[kind], "photos", *names, "--json")
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert answers[0] == {"image": "red.png", "mean": [255.0, 0.0, 0.0], "name": "red"}
    assert answers[1]["image"] == "notes.txt" and answers[1]["error"].startswith("notes.txt: image_bytes, row 0 is no image")
    assert answers[2] == {"image": "nowhere.png", "error": "nowhere.png cannot be read (No such file or directory)"}
    assert answers[3]["name"] == "blue"


def test_predict_prints_for_people(run_command, urls, photos):
    code, out, err = run_command("predict", "--server", urls["REST"], "photos", "red.png", "notes.txt")
    assert (code, out) == (1, "red.png: mean [255, 0, 0], name red\n")
    assert err.startswith("error: notes.txt: ")


@pytest.fixture
def strange_server(monkeypatch):
    """A function that makes `predict` get these outputs: {name: array}."""
    from tfvision.serving.client import Client

    return lambda outputs: monkeypatch.setattr(Client, "predict", lambda *arguments: outputs)


def test_names_of_outputs_lead_nowhere(run_command, photos, strange_server, tmp_path):
    canary = tmp_path / "pwned.png"
    names = ("../../pwned", "x/../../../pwned", str(canary.with_suffix("")), "image", "error", "..")
    strange_server({name: np.array([(photos / "red.png").read_bytes()], object) for name in names})
    code, out, err = run_command("predict", "../../m", "red.png", "--out", "a/b/c", "--json")
    assert (code, err) == (0, "")
    answer = json.loads(out)
    assert answer.pop("image") == "red.png"
    folder = (photos / "a/b/c").resolve()
    assert all((photos / path).resolve().parent == folder for path in answer.values())
    assert len(set(answer.values())) == len(list(folder.iterdir())) == len(names)
    assert not canary.exists()


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_what_a_server_says_cannot_command_the_terminal(run_command, photos, strange_server, options):
    strange_server({"na\x1b[2Jme": np.array(["a\x1b]0;title\x07\x9b31m\r\nred.png: all is well"], object)})
    code, out, _ = run_command("predict", "m", "red.png", *options)
    assert code == 0
    assert not set(out) & set("\x1b\x07\x9b\r")
    assert len(out.splitlines()) == 1
    if options:
        assert json.loads(out)["na\x1b[2Jme"] == "a\x1b]0;title\x07\x9b31m\r\nred.png: all is well"


def test_errors_of_a_server_cannot_command_the_terminal(run_command, photos, monkeypatch):
    from tfvision.serving.client import Client, RequestError

    def refuse(*arguments):
        raise RequestError("\x1b[2Jno")

    monkeypatch.setattr(Client, "predict", refuse)
    assert run_command("predict", "m", "red.png")[::2] == (1, "error: red.png: \\u001b[2Jno\n")


def test_answer_without_a_row_is_an_error(run_command, photos, strange_server):
    strange_server({"mean": np.zeros((0, 3))})
    assert run_command("predict", "m", "red.png") == (1, "", "error: red.png: the model answered with no row for it\n")


def test_predict_of_broken_photos_only_exits_with_one(run_command, urls, photos):
    code, out, err = run_command("predict", "--server", urls["REST"], "photos", "notes.txt", "nowhere.png")
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 2


def test_serve_warns_of_open_hosts_and_stops_at_sigterm(run_command, models, monkeypatch):
    """In this process, which sends itself the signal once the model is loaded."""
    from tfvision.serving.server import RunningServer

    wait = RunningServer.wait_until_loaded

    def wait_and_terminate(server, *given):
        is_loaded = wait(server, *given)
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL  # which would end all tests
        os.kill(os.getpid(), signal.SIGTERM)
        return is_loaded

    monkeypatch.setattr(RunningServer, "wait_until_loaded", wait_and_terminate)
    code, out, err = run_command("serve", models / "photos", "--host", "0.0.0.0", "--rest-port", 0, "--grpc-port", 0)
    assert (code, out) == (0, "")
    assert "warning: 0.0.0.0 can be reached from other machines, without a password: put a proxy before it" in err.splitlines()
    assert err.splitlines()[-2].startswith("gRPC ") and err.splitlines()[-1] == STOPPING


@pytest.mark.slow
def test_serve_stops_cleanly_at_ctrl_c(serving):
    """The last test that uses this server."""
    assert serving.stop(signal.SIGINT) == (0, "", STOPPING + "\n")


def test_serve_with_no_model_that_loads_exits_with_one(run_command, models):
    code, out, err = run_command("serve", models / "broken", "--rest-port", 0, "--grpc-port", 0)
    assert (code, out) == (1, "")
    assert "error: broken could not be loaded: version 1: " in err
    assert err.splitlines()[-1] == "error: no model could be loaded"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["serve", "nowhere"], 1, "error: nowhere does not exist: give a folder of exports, or make one with `tfvision export RUN`"),
        (["serve", "."], 1, "holds no model NAME/VERSION/saved_model.pb"),
        (["serve", "--rest-port", "70000"], 2, "70000 is not in the range"),
        (["predict", "species"], 2, "Missing argument"),
        (["predict", "--server", "ftp://x", "species", "photo.jpg"], 1, "error: a server's URL must begin with http://"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_end_in_one_clear_line(run_command, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    got, out, err = run_command(*arguments)
    assert (got, out) == (code, "")
    assert message in err and "Traceback" not in err


def test_port_that_is_taken_is_named(run_command, models):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = run_command("serve", models, "--rest-port", port, "--grpc-port", 0)
    assert code == 1
    assert f"error: port {port} of 127.0.0.1 is taken" in err and "--rest-port" in err


def test_predict_without_a_server_is_one_line(run_command, photos):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        code, out, err = run_command("predict", "--server", f"http://127.0.0.1:{closed.getsockname()[1]}", "species", "red.png", "blue.png")
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "no server answers at" in err


@pytest.mark.slow
@pytest.mark.parametrize("command", ["serve", "predict"])
def test_help_has_an_example(run_command, command):
    code, out, _ = run_command(command, "--help")
    assert code == 0
    assert f"\n  tfvision {command} " in out
