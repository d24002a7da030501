"""A species export behind the server: REST = gRPC = Keras, by plain HTTP and by TensorFlow Serving's official stubs."""

import io

import grpc
import httpx
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tfvision.export.rest_sample import rest_request
from tfvision.export.verification import compare
from tfvision.serving.client import Client
from tfvision.serving.server import running_server

SIGNATURES = ["serving_default", "identify", "boxes", "embed"]


@pytest.fixture(scope="module")
def server(colour_export):
    with running_server(colour_export.parent.parent, rest_port=0, grpc_port=0) as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("signature", SIGNATURES)
def test_rest_answers_as_keras_does(server, colour_exportable, signature):
    inputs = colour_exportable.signatures[signature].samples
    body = {"signature_name": signature, **rest_request(inputs)}
    predictions = httpx.post(f"{server.rest_url}/v1/models/colours:predict", json=body, timeout=60).json()["predictions"]
    expected = colour_exportable.reference(signature, inputs)
    if len(expected) == 1:  # one output: bare values, as TensorFlow Serving writes them
        predictions = [{name: row} for name in expected for row in predictions]
    numbers = {name: values for name, values in expected.items() if values.dtype.kind == "f"}
    outputs = {name: np.float32([row[name] for row in predictions]) for name in numbers}
    assert compare(outputs, numbers, signature, tolerance=1e-5) <= 1e-5
    if "taxon" in expected:
        assert [row["taxon"].encode() for row in predictions] == expected["taxon"].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("signature", SIGNATURES)
def test_official_stubs_get_what_keras_gives(server, colour_exportable, signature):
    inputs = colour_exportable.signatures[signature].samples
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "colours", signature
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    with grpc.insecure_channel(server.grpc_address) as channel:
        response = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=60)
    outputs = {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}
    assert compare(outputs, colour_exportable.reference(signature, inputs), signature, tolerance=1e-5) <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("left_out", [["threshold"], ["within"], ["threshold", "within"]], ids=" ".join)
def test_what_identify_has_defaults_for_may_be_left_out(server, colour_exportable, left_out):
    inputs = colour_exportable.signatures["identify"].samples
    some = {name: values for name, values in inputs.items() if name not in left_out}
    body = {"signature_name": "identify", **rest_request(some)}
    predictions = httpx.post(f"{server.rest_url}/v1/models/colours:predict", json=body, timeout=60).json()["predictions"]
    rows = len(inputs["image_bytes"])
    defaults = {"threshold": np.full(rows, -1, np.float32), "within": np.array([""] * rows, object)}
    expected = colour_exportable.reference("identify", {name: defaults[name] if name in left_out else inputs[name] for name in inputs})
    assert [row["taxon"].encode() for row in predictions] == expected["taxon"].tolist()
    np.testing.assert_allclose([row["probability"] for row in predictions], expected["probability"], atol=1e-5)


@pytest.mark.parametrize("kind", ["REST", "gRPC"])
def test_a_webp_is_answered_as_the_png_of_its_pixels(server, kind):
    image = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 48, 3)).astype(np.uint8))
    turned = PIL.Image.Exif()
    turned[0x0112] = 6  # what a viewer shows is this file turned clockwise
    webp, webp_turned = _encoded(image, "WEBP", lossless=True), _encoded(image.rotate(90, expand=True), "WEBP", lossless=True, exif=turned)
    photos = [_encoded(image, "PNG"), webp] + [webp_turned] * (not hasattr(tf.io, "decode_webp"))
    with Client(server.rest_url if kind == "REST" else server.grpc_address) as client:
        answers = [client.predict("colours", {"image_bytes": [photo]}, signature="embed")["embedding"] for photo in photos]
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], atol=1e-5)


def _encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_a_damaged_webp_is_the_clients_error(server):
    encoded = _encoded(PIL.Image.new("RGB", (64, 64)), "WEBP", lossless=True)
    body = rest_request({"image_bytes": np.array([encoded[:-4]], object)})
    answer = httpx.post(f"{server.rest_url}/v1/models/colours:predict", json=body, timeout=60)
    assert answer.status_code == 400 and "\n" not in answer.json()["error"]


@pytest.mark.slow
def test_a_broken_photo_among_good_ones_fails_alone(server, colour_exportable):
    good = rest_request({"image_bytes": colour_exportable.signatures["serving_default"].samples["image_bytes"][:1]})
    broken = rest_request({"image_bytes": np.array([b"\xff\xd8\xff no photo"], object)})
    url = f"{server.rest_url}/v1/models/colours:predict"
    assert [httpx.post(url, json=body, timeout=60).status_code for body in (good, broken, good)] == [200, 400, 200]
