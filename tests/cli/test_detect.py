"""`tfvision train tattoo-detector`, `tfvision detect`, and `tfvision evaluate` of a detector."""

import json

import pytest
from PIL import Image

pytestmark = pytest.mark.usefixtures("opened_once")


@pytest.mark.slow
def test_training_and_the_table_of_folds(run_command, detection_photos, tiny_detector, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = [part for key, value in tiny_detector.items() for part in ("--set", f"{key}={value}")]
    code, out, _ = run_command("train", "tattoo-detector", detection_photos, *settings, "--seed", "2", "--json")
    result = json.loads(out)
    assert code == 0
    assert set(result) == {"run", "images", "tattoos", "subjects", "folds", "tattoo", "non_tattoo", "overall", "seconds"}
    assert (result["run"], result["images"], len(result["folds"])) == ("runs/tattoo-detector", 24, 3)
    code, out, err = run_command("train", "tattoo-detector", "--run", "runs/tattoo-detector", "--resume")
    assert code == 0 and "is finished already" in err
    assert out.splitlines()[0].split() == ["list", "non-tattoo", "tattoo", "overall"]
    assert out.splitlines()[4].split()[0] == "all" and "next      tfvision detect runs/tattoo-detector" in out


@pytest.mark.slow
def test_a_line_a_photo_and_errors_in_their_place(run_command, detector_run, detection_photos, tmp_path):
    (tmp_path / "broken.jpg").write_text("This is a text.")
    photos = [detection_photos / "0.png", tmp_path / "broken.jpg", detection_photos / "1.png", tmp_path / "nowhere.png"]
    code, out, _ = run_command("detect", detector_run, *photos, "--json", "--where", tmp_path / "where")
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [answer["image"] for answer in answers] == [str(photo) for photo in photos]
    assert set(answers[0]) == {"image", "is_tattoo", "score", "probability", "where"} and answers[0]["is_tattoo"] is True
    assert set(answers[2]) == {"image", "is_tattoo", "score", "probability"} and answers[2]["is_tattoo"] is False
    assert set(answers[1]) == set(answers[3]) == {"image", "error"}
    assert Image.open(answers[0]["where"]).size == (48, 40)


@pytest.mark.slow
def test_folders_and_text(run_command, detector_run, detection_photos):
    code, out, _ = run_command("detect", detector_run, detection_photos)
    assert code == 0 and len(out.splitlines()) == 24
    assert ": tattoo, score +" in out and ": other, score -" in out


@pytest.mark.slow
def test_nothing_readable_ends_with_1(run_command, detector_run, tmp_path):
    code, out, err = run_command("detect", detector_run, tmp_path / "nowhere.png")
    assert (code, out) == (1, "") and "nowhere.png cannot be read (No such file or directory)" in err
    code, out, err = run_command("detect", detector_run, tmp_path)
    assert (code, out) == (1, "") and "holds no photos" in err
    code, out, err = run_command("detect", tmp_path / "no-run", tmp_path / "nowhere.png")
    assert (code, out) == (1, "") and "does not exist: is" in err


@pytest.mark.slow
def test_detecting_with_an_export(run_command, detector_export, detection_photos):
    code, out, _ = run_command("detect", detector_export.parent, detection_photos / "0.png", "--json")
    assert code == 0 and json.loads(out)["is_tattoo"] is True


@pytest.mark.slow
def test_evaluating(run_command, detector_run, detection_photos, tmp_path):
    for name, photo in (("tattoos", "0.png"), ("others", "1.png")):
        (tmp_path / name).mkdir()
        Image.open(detection_photos / photo).rotate(180).save(tmp_path / name / "turned.png")
    code, out, _ = run_command("evaluate", detector_run, tmp_path / "tattoos", "--non-tattoos", tmp_path / "others", "--out", tmp_path / "out")
    assert code == 0 and "overall  " in out and "tattoo  1/1" in out
    code, out, _ = run_command(
        "evaluate", detector_run, tmp_path / "tattoos", "--non-tattoos", tmp_path / "others", "--protocol", "detection", "--out", tmp_path / "out", "--json"
    )
    result = json.loads(out)
    assert (result["protocol"], result["images"]) == ("detection", 2) and set(result["overall"]) == {"right", "photos", "accuracy", "interval"}
    code, _, err = run_command("evaluate", detector_run, tmp_path, "--target-accuracy", "0.9")
    assert code == 2 and "--target-accuracy is for runs of species" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "tattoo-detector"], "a training needs SOURCE"),
        (["train", "tattoo-detector", "nowhere"], "nowhere does not exist"),
        (["train", "tattoo-detector", ".", "--recipe", "large"], "recipe must be one of small, paper, got 'large'"),
        (["train", "tattoo-detector", "--resume"], "--resume needs --run DIR"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_end_in_one_clear_line(run_command, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run_command(*arguments)
    assert (code, out) == (1, "") and message in err and len(err.strip().splitlines()) == 1


def test_help_has_examples(run_command):
    assert "tfvision detect runs/tattoo-detector" in run_command("detect", "--help")[1]
    assert "--non-tattoos others/" in run_command("train", "tattoo-detector", "--help")[1]
    assert "tfvision evaluate runs/tattoo-detector" in run_command("evaluate", "--help")[1]
