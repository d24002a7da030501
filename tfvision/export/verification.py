"""Whether an export answers as Keras does: by the session loader of TensorFlow Serving, and by saved_model_cli."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tfvision.data.decoding import check_photo, decode_photo
from tfvision.errors import DataError, ExportError
from tfvision.export.exportable import Exportable
from tfvision.export.session import LoadedModel

TOLERANCE = 1e-5


def verify_export(model: LoadedModel, exportable: Exportable, tolerance: float = TOLERANCE) -> dict[str, float]:
    """Calls every signature with its samples and compares with the exportable's reference.

    Args:
      model: what was written.
      exportable: Exportable.
      tolerance: largest difference of a float output, unless the signature has its own; text must be equal.

    Returns:
      dict of signature -> largest difference; "saved_model_cli" -> the same, as that tool computes it.

    Raises:
      ExportError: an output is missing or differs.
    """
    differences = verify_signatures(model, exportable, tolerance)
    name = _first_with_numbers(exportable)
    by_tool = run_saved_model_cli(model.folder, name, exportable.signatures[name].samples)
    differences["saved_model_cli"] = _compare_signature(by_tool, exportable, name, tolerance, "saved_model_cli")
    return differences


def verify_signatures(model: LoadedModel, exportable: Exportable, tolerance: float = TOLERANCE) -> dict[str, float]:
    """The part of `verify_export` that needs no other process: signature -> largest difference."""
    return {name: _compare_signature(model.run(name, signature.samples), exportable, name, tolerance) for name, signature in exportable.signatures.items()}


def _compare_signature(outputs, exportable, name, tolerance, label=None):
    signature = exportable.signatures[name]
    expected = exportable.reference(name, signature.samples)
    if label:  # a tool that gives the numbers only
        expected = {key: values for key, values in expected.items() if key in outputs}
    outputs, expected = (_with_pixels(values, signature.pictures) for values in (outputs, expected))
    return compare(outputs, expected, label or name, tolerance if signature.tolerance is None else signature.tolerance)


def _first_with_numbers(exportable):
    """The first signature with an output that is no text: saved_model_cli would print text, and cannot save it."""
    for name, signature in exportable.signatures.items():
        if any(spec.dtype.name != "string" for spec in signature.function.get_concrete_function().structured_outputs.values()):
            return name
    return "serving_default"


def _with_pixels(outputs, pictures):
    """Outputs with encoded pictures replaced by pixels, float32 "NAME, row N" [h, w, 3]."""
    plain = {name: values for name, values in outputs.items() if name not in pictures}
    for name in set(outputs) - set(plain):
        plain |= {f"{name}, row {row}": _pixels(encoded, name) for row, encoded in enumerate(outputs[name])}
    return plain


def _pixels(encoded, name):
    try:
        return decode_photo(check_photo(encoded)).astype(np.float32)
    except DataError as error:
        raise ExportError(f"{name} is no picture: {error}") from error


def compare(outputs: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], name: str, tolerance: float) -> float:
    """The largest difference of the float outputs. Raises ExportError where something differs."""
    if set(outputs) != set(expected):
        raise ExportError(f"{name} gives {sorted(outputs)}, expected {sorted(expected)}")
    largest = 0.0
    for key, wanted in expected.items():
        got, wanted = np.asarray(outputs[key]), np.asarray(wanted)
        if got.shape != wanted.shape:
            raise ExportError(f"{name}: {key} has the shape {got.shape}, Keras gives {wanted.shape}")
        if wanted.dtype.kind == "u":  # pixels
            got, wanted = got.astype(np.float32), wanted.astype(np.float32)
        if wanted.dtype.kind != "f":
            if (got != wanted).any():
                raise ExportError(f"{name}: {key} differs from what Keras gives: {got[got != wanted][0]!r}, {wanted[got != wanted][0]!r}")
        elif wanted.size:
            largest = max(largest, float(np.abs(got - wanted).max()))
    if not largest <= tolerance:
        raise ExportError(f"{name} differs from Keras by {largest:.2g}, more than {tolerance:.2g}")
    return largest


def run_saved_model_cli(folder: str | Path, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Calls a signature through TensorFlow's own saved_model_cli; the numbers among its outputs.

    Raises:
      ExportError: the tool fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        arguments = ["run", "--dir", str(Path(folder).resolve()), "--tag_set", "serve", "--signature_def", signature]
        given = [f"{name}={_save(Path(scratch, f'{name}.npy'), values)}" for name, values in inputs.items()]
        answers = Path(scratch, "answers")  # an output may be called as an input is
        answers.mkdir()
        arguments += ["--inputs", ";".join(given), "--outdir", str(answers)]
        done = subprocess.run(
            [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        if done.returncode:
            raise ExportError(f"saved_model_cli cannot run {signature}: {(done.stderr.strip() or 'no reason given').splitlines()[-1][:200]}")
        return {path.stem: np.load(path) for path in answers.glob("*.npy") if not _is_text(path)}


def _save(path, values):
    # Fixed-width bytes: object arrays would be pickled. No image ends in zero bytes, which would be lost.
    np.save(path, values.astype(bytes) if values.dtype == object else values)
    return path


def _is_text(path):
    with open(path, "rb") as file:
        np.lib.format.read_magic(file)
        return np.lib.format.read_array_header_1_0(file)[2].hasobject
