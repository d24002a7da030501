"""`tfvision export`, as one function: write, verify, and only then let the new version appear."""

import sys
from pathlib import Path

from tfvision.export.conversion import write_onnx, write_tflite
from tfvision.export.exportable import Exportable
from tfvision.export.model_card import model_metadata
from tfvision.export.saved_model import write_saved_model
from tfvision.export.verification import TOLERANCE, verify_export

HALF_TOLERANCE = 0.02  # of probabilities, with weights rounded to 11 bits


def export_model(
    exportable: Exportable,
    to: str | Path = "savedmodels",
    name: str | None = None,
    version: int | None = None,
    verify: bool = True,
    half: bool = False,
    tflite: bool = False,
    onnx: bool = False,
    licence: str = "",
) -> dict:
    """Exports a model.

    Args:
      exportable: what an application made of a run.
      to, name, version: as `write_saved_model`.
      verify: whether every signature is compared with Keras first; a model that differs never appears.
      half: the exportable stores its weights in 16 bits, so that they are compared less closely.
      tflite, onnx: whether these formats are written and verified too; they carry labels, licence, preprocessing and model card.
      licence: of the model, for its card.

    Returns:
      dict with "path", "signatures", "megabytes", "differences" (what was compared -> largest difference).

    Raises:
      ExportError, StorageError, RunError.
    """
    differences: dict[str, float] = {}

    def finish(model, card):
        extra, metadata = model.folder / "assets.extra", model_metadata(exportable, card)
        if tflite:
            differences["tflite"] = write_tflite(exportable, extra / "model.tflite", metadata)
        if onnx:
            differences["onnx"] = write_onnx(exportable, extra / "model.onnx", metadata)
        if verify:
            print("verifying every signature against Keras", file=sys.stderr)
            differences.update(verify_export(model, exportable, HALF_TOLERANCE if half else TOLERANCE))

    path = write_saved_model(exportable, to, name, version, finish, licence)
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return {
        "path": str(path),
        "signatures": list(exportable.signatures),
        "megabytes": round(size / 1e6, 1),
        "differences": differences,
    }
