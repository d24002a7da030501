"""`tfvision train retriever`, and what a user does with the run."""

import json

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.usefixtures("opened_once")

TINY = {
    "network": "small",
    "weights": "none",
    "image_size": "32",
    "batch_size": "8",
    "stages": "[[1, 0.02]]",
    "tuning_stages": "[[1, 0.01]]",
    "tuning": "[3]",
    "warmup_steps": "0",
    "is_augmented": "false",
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Five class folders of four photos."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for label in range(5):
        (folder / f"label{label}").mkdir()
        for number in range(4):
            pixels = random.normal(50 * label, 20, (40, 48, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"label{label}" / f"{label}-{number}.png")
    return folder


@pytest.mark.slow
def test_training_evaluating_and_looking_inside(run_command, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    code, out, _ = run_command("train", "retriever", photos, *settings, "--seed", "3", "--json")
    result = json.loads(out)
    assert code == 0
    assert set(result) == {"run", "images", "held_out", "classes", "map", "by_layer", "protocol_split", "seconds"}
    assert (result["run"], result["images"], result["held_out"], result["classes"]) == ("runs/retriever", 16, 4, 4)
    assert json.loads((tmp_path / "runs/retriever/recipe.json").read_text())["recipe"]["seed"] == 3

    code, out, _ = run_command("evaluate", "runs/retriever", photos, "--protocol", "ukbench", "--json")
    result = json.loads(out)
    assert code == 0
    assert (result["protocol"], result["queries"], result["left_out"]) == ("ukbench", 4, 16)
    assert 1 <= result["ns_score"] <= 4 and result["ns_score"] == result["by_layer"]["whitened"]
    code, out, _ = run_command("evaluate", "runs/retriever", photos, "--protocol", "holidays")
    assert code == 0
    assert "mAP of 1 queries in 20 photos. No query was trained on." in out and "normalised_addition" in out

    code, out, _ = run_command(
        "grad-cam", "runs/retriever", photos / "label0" / "0-0.png", "--layer", "stage1", "--layer", "stage2_conv1", "-o", "figures", "--json"
    )
    result = json.loads(out)
    assert code == 0 and set(result["pictures"]) == {"stage1", "stage2_conv1"}
    assert Image.open(result["pictures"]["stage1"]).size == (48, 40)

    (photos / "label0" / "notes.png").write_text("text")
    code, out, err = run_command("grad-cam", "runs/retriever", photos / "label0", "--layer", "stage1", "-o", "figures", "--json")
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and len(answers) > 1 and ["pictures" in answer for answer in answers] == ["error" not in answer for answer in answers]
    assert [answer["image"] for answer in answers if "error" in answer] == [str(photos / "label0" / "notes.png")]

    mistakes = {
        ("evaluate", "runs/retriever", photos, "--target-accuracy", "0.9"): (2, "--target-accuracy is for runs of species"),
        ("evaluate", "runs/retriever", photos, "--protocol", "oxford"): (1, "needs a folder with groundtruth.json"),
        ("grad-cam", "runs/retriever", photos / "label0" / "0-0.png", "--layer", "conv9"): (1, "--layer must be one of stage1, stage2, stage3"),
        ("grad-cam", "runs/retriever", photos / "label0" / "0-0.png", "--label", "cat"): (1, "--label must be one of the run's 4 classes"),
    }
    for arguments, (expected, message) in mistakes.items():
        code, out, err = run_command(*arguments)
        assert (code, out) == (expected, "") and message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "retriever"], "a training needs SOURCE"),
        (["train", "retriever", "nowhere"], "nowhere does not exist"),
        (["train", "retriever", "--resume"], "--resume needs --run DIR"),
        (["train", "retriever", ".", "--recipe", "large"], "recipe must be one of small, paper, got 'large'"),
        (["evaluate", "nowhere", "."], "nowhere/recipe.json does not exist"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_end_in_one_clear_line(run_command, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run_command(*arguments)
    assert (code, out) == (1, "") and message in err and len(err.strip().splitlines()) == 1


def test_help_has_examples(run_command):
    assert "--protocol-split paper" in run_command("train", "retriever", "--help")[1]
    assert "tfvision evaluate runs/retriever" in run_command("evaluate", "--help")[1]
    assert "tfvision grad-cam runs/retriever" in run_command("grad-cam", "--help")[1]
