"""`tfvision train stylizer`, and what a user does with the run."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image


@pytest.mark.slow
def test_training_prints_the_fields_others_rely_on_names_broken_photos_and_the_run_paints(
    run_command, colour_photos, striped_painting, tiny_stylizer, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    photos = shutil.copytree(colour_photos, tmp_path / "photos", ignore=shutil.ignore_patterns("*.csv"))
    (photos / "Rosa_rubra_0.png").write_bytes(b"")
    settings = [part for key, value in {**tiny_stylizer, "stages": "[[1, 0.01]]"}.items() for part in ("--set", f"{key}={value}")]
    code, out, _ = run_command("train", "stylizer", striped_painting, "--photos", photos, *settings, "--seed", "3", "--json")
    result = json.loads(out)
    assert code == 0
    assert set(result) == {"run", "images", "seconds", "before", "after"}
    assert (result["run"], result["images"]) == ("runs/stylizer", 46)
    assert json.loads((tmp_path / "runs/stylizer/recipe.json").read_text())["recipe"]["seed"] == 3
    broken = json.loads((tmp_path / "runs/stylizer/metrics.json").read_text())["broken"]
    assert [Path(path).name for path in broken] == ["Rosa_rubra_0.png"]
    assert "Rosa_rubra_0.png is empty" in (tmp_path / "runs/stylizer/report.html").read_text()
    photo = photos / "Rosa_rubra_1.png"
    arguments = ["stylize", photo, striped_painting, "--preset", "fast", "--module", "runs/stylizer", "--size", "40", "-o", "out.png", "--json"]
    code, out, err = run_command(*arguments)
    assert code == 0 and json.loads(out)["output"] == "out.png"
    assert "paints in the one manner" in err
    assert Image.open("out.png").size == (40, 33)  # of 48 x 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "stylizer"], "needs PAINTING and --photos DIR"),
        (["train", "stylizer", "nowhere.jpg", "--photos", "."], "nowhere.jpg cannot be read"),
        (["train", "stylizer", "--resume"], "--resume needs --run DIR"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_end_in_one_clear_line(run_command, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run_command(*arguments)
    assert (code, out) == (1, "") and message in err and len(err.strip().splitlines()) == 1


def test_help_has_an_example(run_command):
    assert "tfvision train stylizer starry_night.jpg" in run_command("train", "stylizer", "--help")[1]
