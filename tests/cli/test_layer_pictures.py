"""`tfvision feature-maps`, and what it shares with `tfvision grad-cam`."""

import json

import numpy as np
import pytest
from PIL import Image


def _photo(path, size=(48, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)).save(path)
    return path


@pytest.mark.slow
def test_feature_maps_of_a_network_and_of_a_run(run_command, retriever_run, tmp_path):
    photo = _photo(tmp_path / "dog.png")
    code, out, _ = run_command("feature-maps", "small", photo, "--weights", "none", "--layer", "stage1", "--maps", "5", "-o", tmp_path / "out", "--json")
    result = json.loads(out)
    assert code == 0 and result["pictures"] == {"stage1": str(tmp_path / "out" / "dog-stage1.png")} and result["maps"] == {"stage1": [20, 20, 48]}
    assert Image.open(result["pictures"]["stage1"]).width > 5 * 150
    code, out, _ = run_command("feature-maps", "--model", retriever_run, photo, "-o", tmp_path / "run")
    assert code == 0 and sorted(path.name for path in (tmp_path / "run").iterdir()) == [f"dog-stage{number}.png" for number in (1, 2, 3)]


def test_photos_of_one_name_do_not_overwrite_each_other(run_command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        _photo(tmp_path / folder / "1.png")
    (tmp_path / "a" / "broken.png").write_text("text")
    code, _, err = run_command("feature-maps", "small", "a", "b", "--weights", "none", "--layer", "stage3", "-o", "out")
    assert code == 0 and "broken.png" in err
    assert sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "out").rglob("*.png")) == ["out/a/1-stage3.png", "out/b/1-stage3.png"]


def test_mistakes_end_in_one_clear_line(run_command, tmp_path):
    photo = _photo(tmp_path / "dog.png")
    mistakes = {
        ("small",): (2, "at least one PHOTO"),
        ("smal", photo): (1, "network must be one of"),
        ("small", photo, "--weights", "none", "--layer", "conv9"): (1, "--layer must be one of stage1, stage2, stage3"),
        ("siamese", photo, "--weights", "none", "--layer", "ip2"): (1, "has no positions"),
        ("small", tmp_path / "cat.png", "--weights", "none"): (1, "cat.png does not exist"),
    }
    for arguments, (expected, message) in mistakes.items():
        code, _, err = run_command("feature-maps", *arguments)
        assert code == expected and message in err, (arguments, err)
