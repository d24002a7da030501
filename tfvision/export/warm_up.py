"""Warm-up requests that TensorFlow Serving replays before a version serves its first real one."""

import typing
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvision.export.exportable import CLASSIFY, REGRESS, Signature

if typing.TYPE_CHECKING:
    from tensorflow_serving.apis import prediction_log_pb2

FILE_NAME = "tf_serving_warmup_requests"


def write_warm_up(extra: Path, model: str, signatures: Mapping[str, Signature]) -> None:
    """Writes PredictionLogs for each signature, as a TFRecord file, into `assets.extra`.

    Each signature is called with one row and with all of its sample rows, since the first call of a batch
    size is the slow one.
    """
    with tf.io.TFRecordWriter(str(extra / FILE_NAME)) as writer:
        for name, signature in signatures.items():
            rows = len(next(iter(signature.samples.values())))
            for count in sorted({1, rows}):
                log = prediction_log(model, name, signature.method, {key: values[:count] for key, values in signature.samples.items()})
                writer.write(log.SerializeToString())


def prediction_log(model: str, signature: str, method: str, inputs: Mapping[str, np.ndarray]) -> "prediction_log_pb2.PredictionLog":
    """One request as a tensorflow_serving PredictionLog."""
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    if method in (CLASSIFY, REGRESS):
        request = log.classify_log.request if method == CLASSIFY else log.regress_log.request
        (examples,) = inputs.values()
        for example in examples:
            request.input.example_list.examples.add().ParseFromString(example)
    else:
        request = log.predict_log.request
        for name, values in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    return log
