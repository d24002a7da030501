"""Small real SavedModels to serve."""

import io
import os
import shutil

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory):
    """A folder with double/1 (float [batch, 2] times two; the signature `rows` tells each row how many ran with it, `add` has two
    inputs, `scale` multiplies `x` by `factor`, 3 where left out, the output of `total` has no batch), photos/1 (`image_bytes` -> `mean`
    [batch, 3] and `name`) and examples/1 (classify, regress and predict on tf.Example strings); photos and examples have warm-up requests."""
    folder = tmp_path_factory.mktemp("models")
    _save_double(folder / "double" / "1")
    _save_photos(folder / "photos" / "1")
    _save_examples(folder / "examples" / "1")
    return folder


@pytest.fixture
def png():
    """A function colour -> bytes of a PNG of 5 x 4 px in that colour."""
    return _encode_png


@pytest.fixture(scope="session")
def add_version(saved_models, tmp_path_factory):
    """A function (base path, version, factor=2.0): adds a version of `double` that multiplies by the factor, by renaming as exports do."""
    made = {2.0: saved_models / "double" / "1"}

    def add(base, version, factor=2.0):
        if factor not in made:
            made[factor] = tmp_path_factory.mktemp("doubles") / f"{factor}"
            _save_double(made[factor], factor)
        temporary = base / f".{version}.tmp"
        shutil.copytree(made[factor], temporary)
        temporary.rename(base / str(version))
        return base / str(version)

    return add


@pytest.fixture
def double_base(saved_models, tmp_path):
    """A model folder of its own with version 1 of `double`, to change at will."""
    shutil.copytree(saved_models / "double", tmp_path / "double")
    return tmp_path / "double"


@pytest.fixture
def predict_log():
    """A function ({input: array}, signature name="") -> PredictionLog."""
    return _predict_log


@pytest.fixture
def write_warm_up():
    """A function (path of a SavedModel, list of PredictionLogs or raw bytes) that writes its tf_serving_warmup_requests."""
    return _write_warm_up


def _encode_png(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (5, 4), colour).save(buffer, "PNG")
    return buffer.getvalue()


def _save_double(path, factor=2.0):
    import tensorflow as tf

    module = tf.Module()
    module.factor = tf.Variable(factor)
    pair, matrix, vector = (tf.TensorSpec(shape, tf.float32) for shape in ([None, 2], [None, None], [None]))
    scale = tf.function(lambda x, factor=tf.constant([3.0]): {"scaled": x * factor}, input_signature=[vector, vector], autograph=False)  # noqa: B008
    module.calls = {
        "serving_default": tf.function(lambda x: {"y": x * module.factor}, autograph=False).get_concrete_function(x=pair),
        "total": tf.function(lambda x: {"total": tf.reduce_sum(x)}, autograph=False).get_concrete_function(x=pair),
        "rows": tf.function(lambda x: {"rows": tf.fill(tf.shape(x)[:1], tf.shape(x)[0])}, autograph=False).get_concrete_function(x=matrix),
        "add": tf.function(lambda a, b: {"sum": a + b}, autograph=False).get_concrete_function(a=vector, b=vector),
        "scale": scale,
    }
    tf.saved_model.save(module, str(path), signatures=module.calls)


def _save_photos(path):
    import tensorflow as tf

    def mean(encoded):
        return tf.reduce_mean(tf.cast(tf.io.decode_image(encoded, 3, expand_animations=False), tf.float32), (0, 1))

    def photos(image_bytes):
        means = tf.ensure_shape(tf.map_fn(mean, image_bytes, fn_output_signature=tf.TensorSpec([3], tf.float32)), [None, 3])
        return {"mean": means, "name": tf.gather(tf.constant(["red", "green", "blue"]), tf.argmax(means, -1))}

    module = tf.Module()
    module.photos = tf.function(photos, input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")], autograph=False)
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.photos})
    _write_warm_up(path, [_predict_log({"image_bytes": np.array([_encode_png("red")], object)})] * 2)


def _save_examples(path):
    """As TensorFlow 1 wrote it: there two signatures can share their input, as MultiInference asks."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        inputs, other = (v1.placeholder(tf.string, [None], name) for name in ("inputs", "other"))
        x, y = (tf.io.parse_example(serialized, {"x": tf.io.FixedLenFeature([], tf.float32)})["x"] for serialized in (inputs, other))
        classified = {"classes": tf.tile([["small", "large"]], [tf.size(x), 1]), "scores": tf.stack([1 - tf.sigmoid(x), tf.sigmoid(x)], -1)}
        signatures = {
            "serving_default": _examples_signature(inputs, classified, "classify"),
            "regress": _examples_signature(inputs, {"outputs": 3 * x}, "regress"),
            "regress_other": _examples_signature(other, {"outputs": 5 * y}, "regress"),
        }
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()
    _write_warm_up(path, [_classify_log([0.5]), _regress_log([0.5, 1.0])])


def _examples_signature(inputs, outputs, method):
    import tensorflow as tf

    info = tf.compat.v1.saved_model.build_tensor_info
    outputs = {name: info(tensor) for name, tensor in outputs.items()}
    return tf.compat.v1.saved_model.build_signature_def({"inputs": info(inputs)}, outputs, f"tensorflow/serving/{method}")


def _predict_log(inputs, signature_name=""):
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.signature_name = signature_name
    for key, value in inputs.items():
        log.predict_log.request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return log


def _classify_log(values):
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    _add_examples(log.classify_log.request.input, values)
    return log


def _regress_log(values):
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    log.regress_log.request.model_spec.signature_name = "regress"
    _add_examples(log.regress_log.request.input, values)
    return log


def _add_examples(request_input, values):
    for value in values:
        request_input.example_list.examples.add().features.feature["x"].float_list.value.append(value)


def _write_warm_up(path, logs):
    import tensorflow as tf

    (path / "assets.extra").mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        for log in logs:
            writer.write(log if isinstance(log, bytes) else log.SerializeToString())
