"""TensorFlow Serving's calls, whatever carries them: Predict, Classify, Regress, MultiInference, metadata and status of the models."""

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import grpc
import numpy as np
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_pb2,
    regression_pb2,
)

from tfvision.data.decoding import MAX_PIXELS
from tfvision.serving.errors import ServingError, as_serving_error
from tfvision.serving.examples import EXAMPLES_NAME, example_rows
from tfvision.serving.images import as_decodable
from tfvision.serving.metrics import ServingMetrics
from tfvision.serving.models import ModelStore
from tfvision.serving.versions import DEFAULT_SIGNATURE

_LARGE_BYTES = 32 * 1024  # from this size on parsing and conversion hold up other requests


@dataclasses.dataclass(frozen=True)
class RequestLimits:
    """What one request may ask for.

    Attributes:
      max_request_bytes: of a REST body or a gRPC message.
      max_held_bytes: of all REST bodies being read, and answers being sent, together.
      max_parsing_bytes: of memory that a large request may take while it is read.
      max_pixels: width x height of an encoded image.
      timeout_seconds: for a REST request; gRPC clients bring their own deadline.
    """

    max_request_bytes: int = 64 * 2**20
    max_held_bytes: int = 512 * 2**20
    max_parsing_bytes: int = 640 * 2**20
    max_pixels: int = MAX_PIXELS
    timeout_seconds: float = 30.0  # as TensorFlow Serving's --rest_api_timeout_in_ms


class Api:
    """Answers the calls; every one raises ServingError, and nothing else.

    Args:
      store: a started ModelStore.
    """

    def __init__(self, store: ModelStore, metrics: ServingMetrics) -> None:
        self.store, self._metrics = store, metrics

    @contextlib.contextmanager
    def measured(self, model_name: str, api: str, entrypoint: str) -> Iterator[None]:
        """Counts and times one request; turns what nobody foresaw into INTERNAL."""
        started, code = time.monotonic(), grpc.StatusCode.OK
        try:
            yield
        except ServingError as error:
            code = error.code
            raise
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED
            raise
        except Exception as error:
            logging.getLogger(__name__).exception("%s of model %s failed", api, model_name)
            code = grpc.StatusCode.INTERNAL
            raise as_serving_error(error, code) from error
        finally:
            known = model_name if model_name in self.store.names() else ""  # clients may invent any number of names
            self._metrics.request(known, api, entrypoint, code, time.monotonic() - started)

    def refusal(self, spec: model_pb2.ModelSpec, api: str, entrypoint: str) -> ServingError | None:
        """Why any request to a model would be refused now, if so, and counts it: under overload, refusing must cost little."""
        try:
            self.store.check_room(spec.name, *version_of(spec))
        except ServingError as error:
            self._metrics.request(spec.name, api, entrypoint, error.code, 0.0)
            return error
        return None

    async def predict(
        self, spec: model_pb2.ModelSpec, inputs: dict[str, np.ndarray], outputs: Sequence[str] = (), deadline: float | None = None
    ) -> tuple[int, dict[str, np.ndarray]]:
        """(version, {name: array}) of the signature that a ModelSpec names; the deadline is one of time.monotonic()."""
        inputs = await as_decodable(inputs)
        version, future = self.store.submit(spec.name, *version_of(spec), spec.signature_name, inputs, tuple(outputs), deadline)
        try:
            left = None if deadline is None else deadline - time.monotonic()
            return version, await asyncio.wait_for(asyncio.wrap_future(future), left)
        except TimeoutError:
            raise ServingError(grpc.StatusCode.DEADLINE_EXCEEDED, "The deadline passed before the model answered") from None

    async def classify(
        self, spec: model_pb2.ModelSpec, examples: Sequence[bytes], deadline: float | None = None
    ) -> tuple[int, classification_pb2.ClassificationResult]:
        """(version, ClassificationResult) for serialized Examples."""
        return await self._run_examples(CLASSIFY, spec, examples, deadline)

    async def regress(self, spec: model_pb2.ModelSpec, examples: Sequence[bytes], deadline: float | None = None) -> tuple[int, regression_pb2.RegressionResult]:
        """(version, RegressionResult) for serialized Examples."""
        return await self._run_examples(REGRESS, spec, examples, deadline)

    async def multi_inference(
        self, tasks: Sequence[inference_pb2.InferenceTask], examples: Sequence[bytes], deadline: float | None = None
    ) -> inference_pb2.MultiInferenceResponse:
        """Classify and Regress of one model on the same Examples (multi_inference.cc); all tasks run on one version."""
        spec = tasks[0].model_spec if tasks else model_pb2.ModelSpec()
        version, signatures = self.store.signatures(spec.name, *version_of(spec))
        calls = _checked_tasks(tasks, signatures)
        rows = example_rows(examples)
        specs = [model_pb2.ModelSpec(name=spec.name, signature_name=task.model_spec.signature_name, version={"value": version}) for task in tasks]
        runs = [self.predict(spec, {EXAMPLES_NAME: rows}, outputs, deadline) for spec, (_, outputs) in zip(specs, calls, strict=True)]
        response = inference_pb2.MultiInferenceResponse()
        for spec, (method, _), (_, values) in zip(specs, calls, await asyncio.gather(*runs), strict=True):
            response.results.add(model_spec=spec, **{method.result: method.make_result(values, len(rows))})
        return response

    def signatures(self, spec: model_pb2.ModelSpec) -> dict[str, SignatureDef] | ServingError:
        """{name: SignatureDef} of the version that a ModelSpec names, or why there is none."""
        try:
            return self.store.signatures(spec.name, *version_of(spec))[1]
        except ServingError as error:
            return error

    def metadata(self, spec: model_pb2.ModelSpec, fields: Sequence[str] = ("signature_def",)) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """GetModelMetadataResponse."""
        if not fields:
            raise _invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in fields:
            if field != "signature_def":
                raise _invalid(f"Metadata field {field} is not supported")
        version, signatures = self.store.signatures(spec.name, *version_of(spec))
        definitions = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in signatures.items():
            definitions.signature_def[name].CopyFrom(signature)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = spec.name
        response.model_spec.version.value = version
        response.metadata["signature_def"].Pack(definitions)
        return response

    def status(self, spec: model_pb2.ModelSpec) -> get_model_status_pb2.GetModelStatusResponse:
        """GetModelStatusResponse; as in get_model_status_impl.cc a label is passed over."""
        response = get_model_status_pb2.GetModelStatusResponse()
        for status in self.store.status(spec.name, version_of(spec)[0]):
            state = get_model_status_pb2.ModelVersionStatus.State.Value(status.state)
            entry = response.model_version_status.add(version=status.version, state=state)
            entry.status.error_code, entry.status.error_message = status.error_code, status.error_message
        return response

    async def _run_examples(self, method, spec, examples, deadline):
        _, signatures = self.store.signatures(spec.name, *version_of(spec))
        name = spec.signature_name or DEFAULT_SIGNATURE
        if name not in signatures:
            raise _invalid(f"No signature was found with the name: {name}")
        outputs = method.outputs_of(signatures[name])
        rows = example_rows(examples)
        version, values = await self.predict(spec, {EXAMPLES_NAME: rows}, outputs, deadline)
        return version, method.make_result(values, len(rows))


class _ExamplesMethod(NamedTuple):
    """What a signature on Examples is for."""

    outputs_of: Callable[[SignatureDef], Sequence[str]]  # names of the outputs that are asked for; raises ServingError
    make_result: Callable  # ({name: array}, rows) -> the result's message
    result: str  # its field in an InferenceResult


def _checked_tasks(tasks, signatures):
    """[(_ExamplesMethod, names of outputs)] of the tasks of a MultiInferenceRequest."""
    calls, seen, inputs = [], set(), set()
    for task in tasks:
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if not task.model_spec.name:
            raise _invalid("Found ModelSpec with an empty model name.")
        if task.model_spec.name != tasks[0].model_spec.name:
            raise _invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        if name in seen:
            raise _invalid(f"Duplicate evaluation of signature: {name}")
        if name not in signatures:
            raise _invalid(f"Requested signature not found in model graph: {name}")
        if task.method_name not in _EXAMPLES_METHODS:
            raise ServingError(grpc.StatusCode.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
        method = _EXAMPLES_METHODS[task.method_name]
        calls.append((method, method.outputs_of(signatures[name])))
        seen.add(name)
        inputs.add(signatures[name].inputs[EXAMPLES_NAME].name)
        if len(inputs) > 1:
            raise _invalid("Input tensor must be the same for all Signatures.")
    return calls


async def off_loop(size_bytes: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns for the arguments; in a thread where they are so large that it would hold up other requests."""
    return await asyncio.to_thread(function, *arguments) if size_bytes > _LARGE_BYTES else function(*arguments)


def version_of(spec: model_pb2.ModelSpec) -> tuple[int | None, str | None]:
    """(version, label) of a ModelSpec, None where it names none."""
    return spec.version.value if spec.HasField("version") else None, spec.version_label or None


def _check_examples_input(signature: SignatureDef, kind: str) -> None:
    if len(signature.inputs) != 1:
        raise _invalid("Expected one input Tensor.")
    if EXAMPLES_NAME not in signature.inputs:
        raise _failed(f"No {kind} inputs found in SignatureDef")


def _classification_outputs(signature: SignatureDef) -> list[str]:
    _check_examples_input(signature, "classification")
    names = [name for name in ("classes", "scores") if name in signature.outputs]
    if len(signature.outputs) > 2:
        raise _invalid(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if not names:
        raise _failed('Expected classification signature outputs to contain at least one of "classes" or "scores".')
    return names


def _regression_outputs(signature: SignatureDef) -> list[str]:
    _check_examples_input(signature, "regression")
    if len(signature.outputs) != 1:
        raise _invalid("Expected one output Tensor.")
    if "outputs" not in signature.outputs:
        raise _failed("No regression outputs found in SignatureDef")
    return ["outputs"]


def _classification(outputs: dict[str, np.ndarray], rows: int) -> classification_pb2.ClassificationResult:
    classes, scores = outputs.get("classes"), outputs.get("scores")
    for name, kind, array in (("classes", "STRING", classes), ("scores", "FLOAT", scores)):
        if array is None:
            continue
        if array.ndim != 2:
            raise _invalid(f"Expected Tensor shape: [batch_size num_classes] but got {_shape(array)}")
        if array.dtype != (object if kind == "STRING" else np.float32):
            raise _invalid(f"Expected {name} Tensor of DT_{kind}. Got: {array.dtype.name}")
        if len(array) != rows:
            raise _invalid(f"Expected {name} output batch size of {rows}. Got: {len(array)}")
    if classes is not None and scores is not None and classes.shape != scores.shape:
        message = f"Tensors class and score should match in dim_size(1). Got {classes.shape[1]} vs. {scores.shape[1]}"
        raise _invalid(message)
    shape = next(array.shape for array in (classes, scores) if array is not None)
    labels = [[""] * shape[1]] * rows if classes is None else classes.tolist()
    numbers = np.zeros(shape) if scores is None else scores
    result = classification_pb2.ClassificationResult()
    for row_labels, row_scores in zip(labels, numbers.tolist(), strict=True):
        row = result.classifications.add().classes
        row.extend(classification_pb2.Class(label=_text(label), score=score) for label, score in zip(row_labels, row_scores, strict=True))
    return result


def _regression(outputs: dict[str, np.ndarray], rows: int) -> regression_pb2.RegressionResult:
    values = outputs["outputs"]
    if not (values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1)):
        message = f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {_shape(values)}"
        raise _invalid(message)
    if len(values) != rows:
        raise _invalid(f"Input batch size did not match output batch size: {rows} vs. {len(values)}")
    if values.dtype != np.float32:
        raise _invalid(f"Expected output Tensor of DT_FLOAT.  Got: {values.dtype.name}")
    result = regression_pb2.RegressionResult()
    result.regressions.extend(regression_pb2.Regression(value=value) for value in values.ravel().tolist())
    return result


CLASSIFY = _ExamplesMethod(_classification_outputs, _classification, "classification_result")
REGRESS = _ExamplesMethod(_regression_outputs, _regression, "regression_result")
_EXAMPLES_METHODS = {"tensorflow/serving/classify": CLASSIFY, "tensorflow/serving/regress": REGRESS}


def _text(label: bytes | str) -> str:
    try:
        return label.decode() if isinstance(label, bytes) else label
    except UnicodeDecodeError:
        raise _invalid("A class label is no UTF-8 text, which a Classification must be") from None


def _shape(array: np.ndarray) -> str:
    return f"[{','.join(map(str, array.shape))}]"


def _invalid(message: str) -> ServingError:
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def _failed(message: str) -> ServingError:
    return ServingError(grpc.StatusCode.FAILED_PRECONDITION, message)
