"""Writing, verifying and numbering exports, with a model of one multiplication."""

import dataclasses

import numpy as np
import pytest

from tfvision.errors import ExportError, RunError, StorageError
from tfvision.export import verification
from tfvision.export.export import export_model
from tfvision.export.session import LoadedModel

ROWS = np.float32([[1], [2], [3]])


def with_error(exportable, size):
    return dataclasses.replace(exportable, reference=lambda signature, inputs: {"doubled": 2 * inputs["number"] + np.float32(size)})


@pytest.fixture
def tool(monkeypatch):
    """Instead of saved_model_cli, which starts TensorFlow anew and takes part in tests/apps/species/test_export.py: the model, called here."""

    def run(folder, name, inputs):
        with LoadedModel(folder) as model:
            return model.run(name, inputs)

    monkeypatch.setattr(verification, "run_saved_model_cli", run)


def test_what_is_verified_is_told_and_what_was_written_answers(doubling, tool, tmp_path):
    result = export_model(doubling, tmp_path)
    assert result["path"] == str(tmp_path / "doubling" / "1") and result["signatures"] == ["serving_default"]
    assert result["differences"] == {"serving_default": 0, "saved_model_cli": 0}
    with LoadedModel(result["path"]) as model:
        np.testing.assert_array_equal(model.run("serving_default", {"number": ROWS})["doubled"], 2 * ROWS)


def test_versions_count_up_and_are_never_overwritten(doubling, tmp_path):
    assert export_model(doubling, tmp_path, "m", verify=False)["path"].endswith("m/1")
    assert export_model(doubling, tmp_path, "m", version=7, verify=False)["path"].endswith("m/7")
    with pytest.raises(RunError, match=r"exists already.*leave --version out for 8"):
        export_model(doubling, tmp_path, "m", version=7, verify=False)
    with pytest.raises(RunError, match="--version must be a whole number above 0, got 0"):
        export_model(doubling, tmp_path, "m", version=0, verify=False)


def test_a_model_that_differs_from_keras_never_appears(doubling, tmp_path):
    with pytest.raises(ExportError, match=r"serving_default differs from Keras by 0.001"):
        export_model(with_error(doubling, 0.001), tmp_path, "m")
    assert list(tmp_path.glob("m/*")) == []


def test_half_weights_are_compared_less_closely(doubling, tool, tmp_path):
    differences = export_model(with_error(doubling, 0.01), tmp_path, "m", half=True)["differences"]
    assert differences["serving_default"] == pytest.approx(0.01, rel=1e-3)
    with pytest.raises(ExportError, match=r"serving_default differs from Keras by 0.03, more than 0.02"):
        export_model(with_error(doubling, 0.03), tmp_path, "m", half=True)
    assert [path.name for path in tmp_path.glob("m/*")] == ["1"]


def test_a_folder_that_cannot_be_written(doubling, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="could not be written"):
        export_model(doubling, tmp_path / "file", verify=False)


def test_remains_of_killed_exports_go_with_the_next_one_and_a_failed_one_leaves_no_folder(doubling, tmp_path):
    for name in (".partial-abc", ".partial-tfvision-abc"):  # as tfvision 0.2 named them, and as this one does
        (tmp_path / "m" / name / "variables").mkdir(parents=True)
    export_model(doubling, tmp_path, "m", verify=False)
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["1"]
    with pytest.raises(ExportError):
        export_model(with_error(doubling, 1), tmp_path / "new", "m")
    assert not (tmp_path / "new").exists()
