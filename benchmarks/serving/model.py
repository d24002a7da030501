"""The model that is served: a copy of an export, or a tiny one made here; and its sample request."""

import concurrent.futures
import contextlib
import itertools
import multiprocessing
import shutil
import sys
import tempfile
from pathlib import Path

from tfvision.export.versions import version_folders


def add_model_options(parser):
    parser.add_argument("export", nargs="?", metavar="EXPORT_FOLDER", help="a model's folder of versions; none: a tiny model made here")
    parser.add_argument("--convolutions", type=int, default=1, help="of the tiny model")


@contextlib.contextmanager
def own_copy(export, convolutions=1):
    """The folder of version 1 of a copy, to change at will, of the newest version in `export`; None: of a tiny model made here."""
    with tempfile.TemporaryDirectory() as scratch:
        if export is None:
            yield in_new_process(write_tiny_export, Path(scratch), convolutions)
            return
        versions = list(version_folders(export).values())
        if not versions:
            sys.exit(f"{export} holds no version: give a model's folder, NAME of NAME/1/saved_model.pb")
        folder = Path(scratch, Path(export).resolve().name, "1")
        shutil.copytree(versions[-1], folder)
        yield folder


def write_tiny_export(folder, convolutions):
    """Exports a small image model: decoding, then convolutions of 64 x 64 pixels; returns its version's folder."""
    import tensorflow as tf

    from tfvision.data.graph_decoding import views_of_encoded
    from tfvision.export.exportable import Exportable, Signature
    from tfvision.export.samples import sample_images
    from tfvision.export.saved_model import write_saved_model

    depths = [3] + [16] * convolutions
    kernels = [tf.Variable(tf.random.stateless_normal([3, 3, a, b], (1, a), stddev=(9 * a) ** -0.5)) for a, b in itertools.pairwise(depths)]

    def decode(encoded):
        return tf.cast(views_of_encoded(encoded, tf.zeros([4]), ("whole",), 64)[0], tf.float32) / 255

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def predict(image_bytes):
        features = tf.map_fn(decode, image_bytes, fn_output_signature=tf.TensorSpec([64, 64, 3], tf.float32))
        for kernel in kernels:
            features = tf.nn.relu(tf.nn.conv2d(features, kernel, 1, "SAME"))
        return {"features": tf.reduce_mean(features, (1, 2))}

    signature = Signature(predict, {"image_bytes": sample_images()})
    return write_saved_model(Exportable("tiny", {"serving_default": signature}, kernels, {}, None, {}, {}, None, {}), folder)


def sample_requests(folder):
    """{protocol: bytes} of the export's sample request."""
    body = (folder / "assets.extra" / "sample_request.json").read_bytes()
    return {"REST": body, "gRPC": in_new_process(_grpc_request, folder, body)}


def in_new_process(function, *arguments):
    """The result of a function that needs TensorFlow, whose threads and memory shall not be the clients'."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _grpc_request(folder, body):
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = folder.parent.name
    for name, values in load(folder, body)[1].items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    return request.SerializeToString()


def load(folder, body):
    """The Servable, and the inputs of one row."""
    from tfvision.serving.rest_json import parse_predict_request
    from tfvision.serving.servable import Servable

    servable = Servable.load(folder, folder.parent.name, 1)
    inputs = parse_predict_request(body, lambda _: servable.signatures["serving_default"]).inputs
    return servable, {name: values[:1] for name, values in inputs.items()}
