"""The core of a model, image tensors in and numbers out, for other runtimes: TFLite and ONNX."""

import contextlib
import io
import os
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import tensorflow as tf

from tfvision import __version__
from tfvision.errors import ExportError, in_one_line
from tfvision.export.exportable import Exportable
from tfvision.export.verification import compare

TOLERANCE = 1e-4  # other runtimes fuse and order operations differently


def write_tflite(exportable: Exportable, path: Path, metadata: Mapping[str, str] = MappingProxyType({})) -> float:
    """Writes a TFLite model and compares it with the core.

    Args:
      metadata: key -> text, the files of a zip behind the model, as TensorFlow Lite's own metadata have it: `unzip model.tflite`.

    Returns:
      The largest difference. Raises ExportError.
    """
    concrete = exportable.core.get_concrete_function()
    holder = tf.Module()
    holder.variables_held = exportable.variables
    try:
        with _without_compiler_notes():
            content = tf.lite.TFLiteConverter.from_concrete_functions([concrete], holder).convert()
    except Exception as error:  # the converter raises many kinds
        raise ExportError(f"TFLite cannot express this model ({in_one_line(error)}): leave --tflite out") from error
    with zipfile.ZipFile(file := io.BytesIO(content), "a") as archive:
        for key, text in metadata.items():
            archive.writestr(f"{key}.json" if text[:1] in "[{" else f"{key}.txt", text)
    path.write_bytes(content := file.getvalue())
    return compare(_run_tflite(content, exportable.core_samples), _core_outputs(exportable), "TFLite", TOLERANCE)


def write_onnx(exportable: Exportable, path: Path, metadata: Mapping[str, str] = MappingProxyType({})) -> float:
    """Writes an ONNX model and compares it with the core, by onnxruntime.

    Args:
      metadata: key -> text, the model's metadata_props.

    Returns:
      The largest difference. Raises ExportError.
    """
    try:
        import onnx
        import onnxruntime
        import tf2onnx
    except ImportError:
        raise ExportError("--onnx needs tf2onnx and onnxruntime: pip install 'tfvision[onnx]'") from None
    signature = exportable.core.input_signature
    try:
        model, _ = tf2onnx.convert.from_function(exportable.core, input_signature=signature, opset=17)
    except Exception as error:  # the converter raises many kinds
        raise ExportError(f"ONNX cannot express this model ({in_one_line(error)}): leave --onnx out") from error
    model.producer_name, model.producer_version = "tfvision", __version__
    onnx.helper.set_model_props(model, dict(metadata))
    path.write_bytes(model.SerializeToString())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, exportable.core_samples), strict=True))
    return compare(outputs, _core_outputs(exportable), "ONNX", TOLERANCE)


@contextlib.contextmanager
def _without_compiler_notes():
    """Keeps what the converter's C++ code writes to stderr from users: pages of its inner types."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _core_outputs(exportable):
    inputs = {name: tf.constant(values) for name, values in exportable.core_samples.items()}
    return {name: values.numpy() for name, values in exportable.core(inputs).items()}


def _run_tflite(content, inputs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it advises another package, which TensorFlow 2.15 does not know
        interpreter = tf.lite.Interpreter(model_content=content)
    runner = interpreter.get_signature_runner()
    outputs = [runner(**{name: values[row : row + 1] for name, values in inputs.items()}) for row in range(len(next(iter(inputs.values()))))]
    return {name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]}
