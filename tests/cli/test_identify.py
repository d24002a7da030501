import csv
import io
import json
import os
import shutil

import pytest

from tfvision.data import image_formats

pytestmark = pytest.mark.usefixtures("opened_once")


@pytest.fixture
def holiday(colour_photos, tmp_path):
    """A folder as it comes from phones, cameras and other systems."""
    folder = tmp_path / "holiday"
    folder.mkdir()
    photo = colour_photos / "Rosa_rubra_0.png"
    for name in (b"a.png", b"b.jfif", b"._a.png", b"\xe9t\xe9.png"):
        shutil.copy(photo, os.fsencode(folder) + b"/" + name)
    (folder / "notes.txt").write_text("text")
    (folder / "c.CR3").write_bytes(b"raw")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "self").symlink_to(".")
    (folder / "gone.jpg").symlink_to("/nowhere/gone.jpg")
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(photo, tmp_path / "elsewhere/d.png")
    (folder / "more").symlink_to(tmp_path / "elsewhere")
    return folder


@pytest.mark.slow
def test_every_file_of_a_folder_has_an_answer_or_a_reason(run_command, colour_run, holiday, monkeypatch):
    monkeypatch.setattr(image_formats, "reads_raw", lambda: False)
    (holiday / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    code, out, err = run_command("identify", colour_run, holiday, "--csv")
    rows = {os.path.relpath(row["image"], holiday): row for row in csv.DictReader(io.StringIO(out))}
    assert code == 0
    assert {name for name, row in rows.items() if row["taxon"] and not row["error"]} == {"a.png", "b.jfif", "more/d.png"}
    assert {name for name, row in rows.items() if row["error"]} == {"gone.jpg", r"\xe9t\xe9.png", "c.CR3", "pipe.jpg"}
    assert "is not UTF-8" in rows[r"\xe9t\xe9.png"]["error"] and "No such file" in rows["gone.jpg"]["error"]
    told = sorted(line.removeprefix("left out  ").replace(f"{holiday}/", "") for line in err.splitlines() if line.startswith("left out"))
    assert told == sorted(
        [
            f"1: {image_formats.IS_RAW}, such as c.CR3",
            "1: a link to a folder that is read already or holds the link, such as self",
            "1: a pipe, a socket or a device, such as pipe.jpg",
            "1: a video, such as clip.mp4",
            "1: hidden, the name begins with a dot, such as ._a.png",
            "1: no photo, such as notes.txt",
            r"1: the name is not UTF-8: rename it, such as \xe9t\xe9.png",
        ]
    )


@pytest.mark.slow
def test_a_name_that_is_not_utf_8_is_an_error_row_also_alone(run_command, colour_run, holiday):
    code, out, _ = run_command("identify", colour_run, os.fsdecode(os.fsencode(holiday) + b"/\xe9t\xe9.png"), "--json")
    assert code == 1 and json.loads(out)["error"].endswith("the name is not UTF-8: rename it")


@pytest.mark.slow
def test_prepared_photos_are_told_by_their_names(run_command, colour_run, prepared_colours):
    code, out, _ = run_command("identify", colour_run, prepared_colours, "--csv")
    names = [row["image"] for row in csv.DictReader(io.StringIO(out))]
    manifest = [row["image"] for row in csv.DictReader((prepared_colours / "manifest.csv").open())]
    assert code == 0 and names == manifest


@pytest.fixture
def card(colour_photos, tmp_path):
    """A folder of two photos, and what MegaDetector wrote of it: two animals in the one, a person in the other."""
    (tmp_path / "card/100").mkdir(parents=True)
    for name, photo in (("1.png", "Rosa_rubra_0.png"), ("2.png", "Rosa_rubra_1.png")):
        shutil.copy(colour_photos / photo, tmp_path / "card/100" / name)
    found = [{"category": "1", "conf": 0.9, "bbox": [0.1, 0.1, 0.5, 0.5]}, {"category": "1", "conf": 0.6, "bbox": [0.5, 0.5, 0.5, 0.5]}]
    images = [{"file": "100/1.png", "detections": [*found, {"category": "1", "conf": 0.1, "bbox": [0, 0, 1, 1]}]}]
    images.append({"file": "100/2.png", "detections": [{"category": "2", "conf": 0.8, "bbox": [0.1, 0.1, 0.5, 0.5]}]})
    content = {"images": images, "detection_categories": {"1": "animal", "2": "person"}, "info": {"format_version": "1.3"}}
    (tmp_path / "md.json").write_text(json.dumps(content))
    return tmp_path / "card"


@pytest.mark.slow
def test_one_answer_an_animal(run_command, colour_run, card):
    file, out = card.parent / "md.json", card.parent / "out.json"
    code, text, _ = run_command("identify", colour_run, card, "--detections", file, "--json", "--detections-out", out)
    first, second = map(json.loads, text.splitlines())
    assert code == 0 and (first["counts"], second["counts"], second["animals"]) == ({"animal": 2}, {"person": 1}, [])
    assert json.loads(out.read_text()) == json.loads(file.read_text())
    animal, other = first["animals"]
    alone = json.loads(run_command("identify", colour_run, card / "100/1.png", "--box", "0.1,0.1,0.5,0.5", "--json")[1])
    assert animal == {**{key: value for key, value in alone.items() if key != "image"}, "box": [0.1, 0.1, 0.5, 0.5], "confidence": 0.9}
    assert other["top"] != animal["top"]
    code, text, _ = run_command("identify", colour_run, card, "--detections", file, "--csv", "--detection-confidence", "0.7")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(os.path.basename(row["image"]), row["box"], row["confidence"], row["counts"]) for row in rows] == [
        ("1.png", "0.1,0.1,0.5,0.5", "0.9", "1 x animal"),
        ("2.png", "", "", "1 x person"),
    ]
    code, text, _ = run_command("identify", colour_run, card, "--detections", file, "--pictures", card.parent / "pictures")
    assert [path.name for path in (card.parent / "pictures").iterdir()] == ["0001-1.jpg"]  # of the photo that has animals
    assert f"{card}/100/1.png: 2 x animal\n  1. " in text and "(box 0.1,0.1,0.5,0.5; detected 0.90)" in text


def test_what_does_not_go_with_detections_is_told(run_command, colour_run, card):
    file, photo = card.parent / "md.json", card / "100/1.png"
    for options, status, message in (
        (["--detections", file, "--box", "0,0,9,9"], 2, "--box and --detections exclude each other"),
        (["--detections", file, "--detector", "x.onnx"], 2, "--detections and --detector exclude each other"),
        (["--pictures", "x"], 2, "--pictures is for --detector or --detections"),
        (["--detections-out", "x.json"], 2, "--detections-out is for --detector or --detections"),
        (["--detections", file, "--detection-confidence", "20"], 1, "--detection-confidence must lie between 0 and 1, got 20"),
        (["--detections", "gone.json"], 1, "gone.json cannot be read (No such file or directory): name the JSON that MegaDetector wrote"),
        (["--detector", "gone.onnx"], 1, "gone.onnx does not exist: --detector takes a SavedModel's folder"),
    ):
        code, out, err = run_command("identify", colour_run, photo, *options)
        assert (code, out) == (status, "") and message in err, err
    code, out, err = run_command("identify", colour_run, card.parent / "md.json", "--detections", file)
    assert code == 1 and "md.json" in err


@pytest.mark.slow
def test_by_group_on_the_command_line(run_command, colour_run, colour_photos, tmp_path):
    for folder, names in (("first", ("Rosa_rubra_3.png", "Rosa_rubra_4.png")), ("second", ("Viola_prima_1.png",))):
        (tmp_path / "card" / folder).mkdir(parents=True)
        for name in names:
            shutil.copy(colour_photos / name, tmp_path / "card" / folder)
    (tmp_path / "card/first/cut.png").write_bytes(b"no photo")
    code, out, _ = run_command("identify", colour_run, tmp_path / "card", "--by-group", "--csv")
    first, second = csv.DictReader(io.StringIO(out))
    assert code == 0 and first["group"].endswith("card/first") and (first["count"], second["count"]) == ("2", "1")
    assert first["taxon"] and first["unreadable"].endswith("cut.png") and first["photos"].count("Rosa_rubra") == 2
    code, out, err = run_command("identify", colour_run, tmp_path / "card", "--by-group")
    assert code == 0 and "card/first (2 photos): " in out and "card/second (1 photo): " in out and "answered without 1 that could not be read" in err
    code, out, err = run_command("identify", colour_run, tmp_path / "card/first/cut.png", "--by-group", "--json")
    assert code == 1 and "is no image" in json.loads(out)["error"]
    code, _, err = run_command("identify", colour_run, tmp_path / "card", "--by-group", "--box", "0,0,1,1")
    assert code == 2 and "--by-group and --box exclude each other" in err
