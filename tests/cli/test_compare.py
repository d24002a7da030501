"""`tfvision compare`."""

import json

import pytest


@pytest.fixture
def runs(copy_frozen):
    folders = [copy_frozen("retriever", name) for name in ("cosface-0", "cosface-1", "softmax")]
    for folder, change in zip(folders, ({"seed": 0}, {"seed": 1}, {"loss": "softmax"}), strict=True):
        facts = json.loads((folder / "recipe.json").read_text())
        facts["recipe"].update(change)
        (folder / "recipe.json").write_text(json.dumps(facts))
    return folders


def test_tables_on_the_terminal_and_a_page_in_a_folder(run_command, runs, tmp_path):
    code, out, err = run_command("compare", *runs, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    for title in (
        "Table 1: MAP@R of single taps",
        "Table 2: MAP@R, trained with softmax",
        "Table 3: MAP@R, trained with cosface",
        "Table 4: mean norms of the taps",
    ):
        assert title in out
    assert "cosface   1.000 ± 0.000" in out and str(tmp_path / "out" / "comparison.html") in out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"table.md", "table.csv", "figure.png", "figure.svg", "comparison.html", "comparison.json"}


def test_json_and_names(run_command, runs):
    code, out, _ = run_command("compare", f"ours={runs[0]}", f"ours={runs[2]}", runs[1], "--json")
    result = json.loads(out)
    assert code == 0 and [row["name"] for row in result["rows"]] == ["ours", "cosface-1"]
    assert (result["application"], result["protocol"], result["files"], result["warnings"]) == ("retriever", "training", {}, [])


def test_mistakes_end_in_one_clear_line(run_command, runs, colour_run, tmp_path):
    mistakes = {
        (): (2, "Missing argument '[NAME=]RUN...'"),
        (runs[0], runs[0]): (2, "is given twice"),
        (runs[0], colour_run): (1, "runs of one application can be compared, these are of 2"),
        (runs[0], "--protocol", "ukbench"): (1, "was not judged by 'ukbench'"),
        (tmp_path / "none",): (1, "recipe.json does not exist"),
    }
    for arguments, (expected, message) in mistakes.items():
        code, out, err = run_command("compare", *arguments)
        assert (code, out) == (expected, "") and message in err


@pytest.mark.slow
def test_evaluate_judges_all_on_the_same_photos(run_command, runs, hue_photos):
    code, out, _ = run_command("compare", runs[0], runs[1], "--evaluate", hue_photos, "--protocol", "labels", "--json")
    result = json.loads(out)
    assert code == 0 and result["warnings"] == [] and result["rows"][0]["photos"] == [str(hue_photos)]
    assert run_command("compare", runs[0], runs[1])[0] == 0  # what was evaluated stays
