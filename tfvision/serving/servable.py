"""One version of a model in memory, loaded by the session loader that TensorFlow Serving uses."""

import contextlib
import ctypes
import gc
import os
import re
from collections.abc import Sequence
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

from tfvision.export.session import load_session
from tfvision.serving.errors import ServingError, code_of_number
from tfvision.serving.examples import EXAMPLES_NAME, example_rows, serialized_examples

WARM_UP_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")
MAX_WARM_UP_RECORDS = 1000


class Servable:
    """A loaded version; `run` may be called from several threads at once.

    Attributes:
      name, version: what was loaded.
      signatures: {name: SignatureDef}, without those that only initialise the model.
    """

    def __init__(self, name: str, version: int, path: str, session: tf.compat.v1.Session, signatures: dict[str, SignatureDef]) -> None:
        self.name, self.version, self.signatures = name, version, signatures
        self._path, self._session = path, session
        self._callables = {key: _make_callable(session, signature) for key, signature in signatures.items()}
        self._defaults = {key: _defaults(signature) for key, signature in signatures.items()}

    @classmethod
    def load(cls, path: str | Path, name: str, version: int) -> "Servable":
        """Loads the SavedModel in the folder `path` (tag "serve") into a session of its own.

        Raises:
          ServingError: no SavedModel, or one that cannot be loaded; NOT_FOUND, DATA_LOSS or TensorFlow's own code.
        """
        path = str(path)
        try:
            session, signatures = load_session(path, _session_config())
        except Exception as error:
            raise _loading_error(error, path) from error
        return cls(name, int(version), path, session, signatures)

    def run(self, signature_name: str, inputs: dict[str, np.ndarray], outputs: Sequence[str] = ()) -> dict[str, np.ndarray]:
        """Runs one signature.

        Args:
          signature_name: "" means serving_default.
          inputs: {name: array}, strings as object arrays of bytes; those with a default may be left out.
          outputs: names of the outputs wanted; empty means all of them.

        Returns:
          {name: array}.

        Raises:
          ServingError: FAILED_PRECONDITION for an unknown signature, INVALID_ARGUMENT for names, dtypes and shapes that do
            not fit it, and whatever code the model's own operations fail with.
        """
        signature_name = signature_name or tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY
        self.check(signature_name, inputs, outputs)
        values = self.run_checked(signature_name, inputs)
        return {key: values[key] for key in outputs} if outputs else values

    def check(self, signature_name: str, inputs: dict[str, np.ndarray], outputs: Sequence[str] = ()) -> None:
        """Raises the ServingError that `run` would raise before the model itself runs."""
        signature = self.signatures.get(signature_name)
        if signature is None:
            raise ServingError(grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{signature_name}" not found.')
        _check_names(signature, inputs, outputs)
        for position, key in enumerate(sorted(signature.inputs)):
            if key in inputs:
                _check_array(position, key, signature.inputs[key], inputs[key])

    def run_checked(self, signature_name: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """`run` for inputs that `check` has passed: {name: array} of every output."""
        signature, inputs = self.signatures[signature_name], self._defaults[signature_name] | inputs
        try:
            values = self._callables[signature_name](*(inputs[key] for key in sorted(signature.inputs)))
        except tf.errors.OpError as error:
            raise ServingError(code_of_number(error.error_code), _one_line(error.message)) from error
        return {key: _as_array(value) for key, value in zip(sorted(signature.outputs), values, strict=True)}

    def warm_up(self) -> int:
        """Replays the requests in assets.extra/tf_serving_warmup_requests.

        Returns:
          The number of requests replayed; 0 where there is no such file.

        Raises:
          ServingError: a damaged file, a request that the model fails, or more than MAX_WARM_UP_RECORDS of them.
        """
        path = os.path.join(self._path, WARM_UP_FILE)
        if not os.path.exists(path):
            return 0
        count = 0
        for signature_name, inputs, outputs in _warm_up_requests(path):
            self.run(signature_name, inputs, outputs)
            count += 1
        return count

    def close(self) -> None:
        """Frees the model; nothing may run on it any more."""
        self._callables.clear()
        self._session.close()
        self._session = None
        gc.collect()  # graph, operations and session refer to each other in circles
        return_freed_memory()


def return_freed_memory() -> None:
    """Has glibc hand freed memory back to the system, which it does not do of itself after a large model; elsewhere nothing."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _session_config():
    # One thread more than a picture that takes long to decode keeps busy.
    config = tf.compat.v1.ConfigProto(allow_soft_placement=True, inter_op_parallelism_threads=max(2, os.cpu_count() or 2))
    config.gpu_options.allow_growth = True  # two versions live side by side during a swap
    return config


def _make_callable(session, signature):
    from tensorflow.core.protobuf import config_pb2

    options = config_pb2.CallableOptions()
    options.feed.extend(signature.inputs[key].name for key in sorted(signature.inputs))
    options.fetch.extend(signature.outputs[key].name for key in sorted(signature.outputs))
    return session._make_callable_from_options(options)


def _defaults(signature):
    return {key: tf.make_ndarray(tensor) for key, tensor in signature.defaults.items()}


def _as_array(value):
    if isinstance(value, np.ndarray):
        return value
    return np.array(value, dtype=object if isinstance(value, bytes) else None)  # the session returns scalars bare


def _check_names(signature, inputs, outputs):
    """predict_util.cc's VerifyRequestInputsSize and PreProcessPrediction, saved_model/util.cc's GetInputValues."""
    known, sent = sorted(signature.inputs), sorted(inputs)
    if len(sent) > len(known) or (len(sent) < len(known) and not signature.defaults):
        extra, missing = sorted(set(sent) - set(known)), sorted(set(known) - set(sent))
        _refuse(
            f"input size does not match signature: {len(sent)}!={len(known)} len({_braces(sent)}) != len({_braces(known)}). "
            f"Sent extra: {_braces(extra)}. Missing but required: {_braces(missing)}."
        )
    for key in known:
        if key not in inputs and key not in signature.defaults:
            where = f"{key}(feed name: {signature.inputs[key].name}) not found in request and no default value provided"
            sets = f"in the request {_braces(sent)}, or default input alias set: {','.join(sorted(signature.defaults))}"
            _refuse(f"Signature input alias: {where}. Inputs expected to be {sets}")
    used = [key for key in sent if key in signature.inputs]
    if used != sent:
        _refuse(f"Inputs contains invalid name. Used request inputs: {','.join(used)}, request input: {','.join(sent)}")
    for position, key in enumerate(outputs):
        if key not in signature.outputs:
            known = sorted(signature.outputs)
            _refuse(f"output tensor alias not found in signature: {key} Outputs expected to be in the set {_braces(known)}.")
        if key in outputs[:position]:
            _refuse(f"duplicate output tensor alias: {key}")


def _check_array(position, key, info, array):
    wanted, sent = tf.as_dtype(info.dtype), _dtype(array)
    if sent != wanted:
        _refuse(f"Expects arg[{position}] to be {wanted.name} but {sent.name} is provided (input '{key}')")
    if info.tensor_shape.unknown_rank:
        return
    shape = [dim.size for dim in info.tensor_shape.dim]
    if len(shape) != array.ndim or any(size not in (-1, given) for size, given in zip(shape, array.shape, strict=True)):
        text = ",".join("?" if size < 0 else str(size) for size in shape)
        _refuse(f"input '{key}' must have the shape [{text}], got {list(array.shape)}")


def _dtype(array):
    return tf.string if array.dtype.kind in "OSU" else tf.as_dtype(array.dtype)


def _refuse(message):
    raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def _braces(keys):
    return "{" + ",".join(keys) + "}"


def _one_line(message):
    lines = [line.strip() for line in str(message).splitlines() if line.strip()] or ["The model failed without a message"]
    if "root error(s) found" in lines[0] and len(lines) > 1:
        lines = [re.sub(r"^\(0\) (\w+: )?", "", lines[1])]
    return re.sub(r"\{\{function_node [^}]*\}\} ?", "", lines[0])


def _loading_error(error, path):
    if isinstance(error, ServingError):
        return error
    if isinstance(error, tf.errors.OpError):
        return ServingError(code_of_number(error.error_code), _one_line(error.message))
    if not any(os.path.exists(os.path.join(path, name)) for name in ("saved_model.pb", "saved_model.pbtxt")):
        message = f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {path}"
        return ServingError(grpc.StatusCode.NOT_FOUND, message)
    if isinstance(error, RuntimeError) and "tags" in str(error):
        message = "Could not find meta graph def matching supplied tags: { serve }"
        return ServingError(grpc.StatusCode.NOT_FOUND, message)
    return ServingError(grpc.StatusCode.DATA_LOSS, f"cannot load {path}: {_one_line(error)}")


def _warm_up_requests(path):
    from tensorflow_serving.apis import prediction_log_pb2

    for count, record in enumerate(_records(path), start=1):
        if count > MAX_WARM_UP_RECORDS:
            _refuse(f"Number of warmup records exceeds the maximum ({MAX_WARM_UP_RECORDS}) at {path}")
        try:
            log = prediction_log_pb2.PredictionLog.FromString(record)
        except Exception:  # protobuf's DecodeError has a different home in each of its major versions
            _refuse(f"Failed to parse warmup record {count} from {path}")
        yield _warm_up_request(log, path)


def _records(path):
    try:
        for record in tf.data.TFRecordDataset(path):
            yield record.numpy()
    except tf.errors.DataLossError as error:
        message = f"{_one_line(error.message)}. Please verify your warmup data is in TFRecord format."
        raise ServingError(grpc.StatusCode.DATA_LOSS, message) from error


def _warm_up_request(log, path):
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        request = log.predict_log.request
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        return request.model_spec.signature_name, inputs, tuple(request.output_filter)
    if kind in ("classify_log", "regress_log"):
        request = getattr(log, kind).request
        return request.model_spec.signature_name, {EXAMPLES_NAME: example_rows(serialized_examples(request.input))}, ()
    raise ServingError(grpc.StatusCode.UNIMPLEMENTED, f"Unsupported log_type for warmup: {kind} in {path}")
