"""`tfvision train tattoo-matcher`, and what a user does with the run."""

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
    "photos_per_subject": "2",
    "stages": "[[1, 0.001]]",
    "warmup_steps": "0",
    "frozen": "",
    "rotations": "1",
    "is_augmented": "false",
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Six subject folders of two photos."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for subject in range(6):
        (folder / f"subject{subject}").mkdir()
        for number in range(2):
            pixels = random.normal(40 * subject, 20, (40, 48, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"subject{subject}" / f"{number}.png")
    return folder


@pytest.mark.slow
def test_training_indexing_and_searching(run_command, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    code, out, _ = run_command("train", "tattoo-matcher", photos, *settings, "--seed", "3", "--fold", "1", "--json")
    result = json.loads(out)
    assert code == 0
    assert {"run", "images", "held_out", "subjects", "crosses_media", "dimension", "seconds"} <= set(result)
    assert (result["run"], result["images"] + result["held_out"], result["dimension"]) == ("runs/tattoo-matcher", 12, 192)
    recipe = json.loads((tmp_path / "runs/tattoo-matcher/recipe.json").read_text())["recipe"]
    assert (recipe["seed"], recipe["fold"], recipe["name"]) == (3, 1, "small")

    code, _, _ = run_command("index", "build", photos, "--model", "runs/tattoo-matcher", "--out", "gallery", "--json")
    assert code == 0
    code, out, _ = run_command("search", "gallery", photos / "subject3" / "1.png", "-k", "2", "--json")
    (hit, _) = json.loads(out.splitlines()[0])["hits"]
    assert code == 0 and hit["image"].endswith("subject3/1.png") and hit["score"] > 0.999

    code, out, _ = run_command("train", "tattoo-matcher", "--run", "runs/tattoo-matcher", "--resume")
    assert code == 0 and "12 photos" not in out and "tfvision index build PHOTOS --model runs/tattoo-matcher" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "siamese"], "recipe must be one of small, contrastive, triplet, got 'siamese'"),
        (["--set", "margn=1"], "'margn' is no setting of a recipe; did you mean margin"),
        (["--fold", "7"], "fold must be one of"),
    ],
)
def test_mistakes_are_one_line(run_command, photos, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run_command("train", "tattoo-matcher", photos, *arguments)
    assert (code, out) == (1, "") and message in err and "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [["SOURCE", "--protocol", "mixed-media", "--folds"], ["--protocol=mixed-media", "--folds", "SOURCE"], ["--folds", "SOURCE", "--protocol", "mixed-media"]],
)
def test_folds_alone_trains_and_prints_a_table(run_command, monkeypatch, arguments):
    from tfvision.apps.tattoo_matching import folds

    row = {"cmc": {"1": 0.5, "10": 1.0}, "intervals": {"cmc": {"1": (0.25, 0.75)}}, "mated": 1200, "gallery": 55, "broken": {}}
    result = {"protocol": "mixed-media", "folds": 5, "rows": {"contrastive": row}, "published": {"MITRE": {"1": 0.077}}, "report": "runs/report.html"}
    asked = []
    monkeypatch.setattr(folds, "train_and_evaluate_folds", lambda *told: asked.append(told) or result)
    code, out, _ = run_command("evaluate", *arguments, "--recipe", "contrastive", "--set", "margin=2", "--rank", "3")
    assert code == 0 and asked == [("SOURCE", "mixed-media", ("contrastive",), {"margin": "2"}, None, None, None, None, (3,))]
    assert out.splitlines() == [
        "mixed-media, 5 folds, each searched for by a run that was trained on the others, the counterpart of table 4 of the paper",
        "                     probes  gallery  rank 1                   rank 10",
        "  contrastive        1,200   55       0.500  (0.250 to 0.750)  1.000",
        "  MITRE (published)                   0.077",
        "report    runs/report.html",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "source", "--protocol", "mixed-media", "--folds"), "--folds alone trains its own runs: give SOURCE and no RUN"),
        (("source", "--protocol", "mixed-media"), "Missing argument 'SOURCE'"),
        (("run", "source", "--protocol", "mixed-media", "--folds", "3", "--runs", "x"), "--recipe, --set and --runs are of --folds alone"),
        (("run", "source", "--protocol", "mixed-media", "--folds", "-1"), "Invalid value for '--folds'"),
    ],
)
def test_what_does_not_go_with_folds_is_wrong_usage(run_command, arguments, message):
    code, _, err = run_command("evaluate", *arguments)
    assert code == 2 and message in err


def test_folds_alone_needs_no_protocol(run_command, tmp_path):
    code, _, err = run_command("evaluate", tmp_path, "--folds", "--recipe", "large")
    assert code == 1 and "holds no photos" in err  # and not: is it a run folder?
