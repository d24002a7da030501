"""The notebooks run from top to bottom on tiny settings, and were committed with the outputs of a real run."""

import json
import tempfile
from pathlib import Path

import pytest
from matplotlib import pyplot

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def _cells(notebook):
    return [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_it_runs_from_top_to_bottom(notebook, monkeypatch, tmp_path):
    monkeypatch.setenv("TFVISION_TINY", "1")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(notebook.parent)
    pyplot.switch_backend("agg")
    shown, names = [], {}
    monkeypatch.setattr(pyplot, "show", lambda: shown.extend(map(pyplot.figure, pyplot.get_fignums())) or pyplot.close("all"))
    for number, cell in enumerate(_cells(notebook), 1):
        exec(compile("".join(cell["source"]), f"{notebook.name}, code cell {number}", "exec"), names)
    assert names["TINY"] and len(shown) >= 2 and not pyplot.get_fignums()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_it_was_committed_with_outputs_in_order_and_without_places_of_a_machine(notebook):
    cells = _cells(notebook)
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data", "execute_result"}
    text = json.dumps([{**output, "data": {kind: value for kind, value in output.get("data", {}).items() if kind != "image/png"}} for output in outputs])
    assert not [folder for folder in ("/home/", "/root/", "/tmp/", "/work/", "site-packages") if folder in text]


def test_there_is_one_for_species_style_and_retrieval():
    assert [notebook.stem for notebook in NOTEBOOKS] == ["retrieval", "species", "style"]
