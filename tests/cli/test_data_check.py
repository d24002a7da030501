import csv
import json
import shutil

import PIL.Image
import pytest


@pytest.fixture
def photos(colour_photos, tmp_path):
    """A copy of colour_photos with a text among them, a copy and a photo under two labels."""
    folder = shutil.copytree(colour_photos, tmp_path / "photos")
    (folder / "Rosa_rubra_0.png").write_text("no image")
    shutil.copy(folder / "Viola_prima_0.png", folder / "Viola_prima_1.png")
    shutil.copy(folder / "Rosa_rubra_2.png", folder / "Caerula_alta_2.png")
    return folder


def test_json_has_the_fields_others_rely_on(run_command, photos, tmp_path):
    code, out, _ = run_command("data", "check", photos, "--out", tmp_path / "out", "--min-size", "20", "--fix", tmp_path / "clean.csv", "--json")
    result = json.loads(out)
    assert code == 0 and (result["images"], result["classes"]) == (48, 4)
    assert (result["unreadable"], result["truncated"], result["duplicates"], result["contradictions"], result["tiny"]) == (1, 0, 1, 2, 0)
    assert result["report"] == str(tmp_path / "out" / "report.html")
    assert result["fix"]["images"] == 44 and result["fix"]["left_out"] == {"unreadable": 1, "duplicate": 1, "contradictory labels": 2}
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["unreadable"][0]["image"] == "Rosa_rubra_0.png" and report["fix"] == result["fix"]
    with open(tmp_path / "clean.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 44


def test_the_counts_are_printed_and_the_report_lies_beside(run_command, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run_command("data", "check", photos, "--ranks", "genus")
    lines = out.splitlines()
    assert code == 0 and lines[0].startswith("48 photos of 3 classes: 1 cannot be read, 2 stand under two labels and 1 is a copy of another")
    assert "  tiny                  47" in lines and "  truncated             none" in lines
    assert lines[-1] == "report    photos-check/report.html" and (tmp_path / "photos-check" / "report.html").is_file()


def test_prepared_data_is_compared_with_its_checksums(run_command, photos, tmp_path):
    code, _, err = run_command("data", "prepare", photos, tmp_path / "prepared", "--shards", "2")
    assert code == 0, err
    sound = json.loads(run_command("data", "check", tmp_path / "prepared", "--out", tmp_path / "out", "--json")[1])
    assert (sound["images"], sound["unreadable"]) == (47, 0)
    assert json.loads((tmp_path / "out" / "report.json").read_text())["prepared"]["is_sound"]
    code, _, err = run_command("data", "check", tmp_path / "prepared", "--out", tmp_path / "out", "--fix", tmp_path / "clean.csv")
    assert code == 1 and f"a list of prepared photos must lie beside their shards: write it to {tmp_path / 'prepared' / 'clean.csv'}" in err
    with open(tmp_path / "prepared" / "manifest.csv", newline="") as file:
        row = list(csv.DictReader(file))[5]
    shard = tmp_path / "prepared" / row["shard"]
    content = bytearray(shard.read_bytes())
    content[int(row["offset"]) + int(row["bytes"]) // 2] ^= 1
    shard.write_bytes(content)
    result = json.loads(
        run_command("data", "check", tmp_path / "prepared", "--out", tmp_path / "out", "--fix", tmp_path / "prepared" / "clean.csv", "--json")[1]
    )
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    (damaged,) = report["prepared"]["damaged"]
    assert (damaged["shard"], damaged["records_lost"]) == (row["shard"], 1) and not report["prepared"]["is_sound"]
    assert result["unreadable"] == 1 and report["unreadable"][0]["image"] == row["image"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Prepared data is damaged" in page and row["shard"] in page
    with open(tmp_path / "prepared" / "clean.csv", newline="") as file:
        assert row["image"] not in {kept["image"] for kept in csv.DictReader(file)}
    assert run_command("data", "check", tmp_path / "prepared" / "clean.csv", "--out", tmp_path / "again")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 1, "error: nowhere is neither a folder of class folders nor a manifest CSV: it does not exist"),
        (["photos", "--near", "40"], 2, "--near"),
        (["photos", "--fix", "photos/manifest.csv"], 1, "is the source's own list: give the cleaned one another name"),
        ([], 2, "Missing argument 'SOURCE'"),
    ],
)
def test_mistakes_end_in_one_clear_line(run_command, photos, monkeypatch, arguments, code, message):
    monkeypatch.chdir(photos.parent)
    got, out, err = run_command("data", "check", *arguments)
    assert got == code and message in err and "Traceback" not in err and out == ""


def test_what_a_table_would_lose_is_one_line_on_stderr(run_command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("1.png", "2.png", "3.png"):
        PIL.Image.effect_noise((70, 70), int(name[0]) * 30).save(name)
    (tmp_path / "list.csv").write_text('image;species;place\n1.png;a;x\n2.png;a;"Old quarry\n3.png;a;x"\n')
    code, out, err = run_command("data", "check", "list.csv", "--fix", "clean.csv")  # which reads the table twice
    assert code == 0 and out.startswith("2 photos of 1 class: the list of photos gives 1 warning.")
    assert err == "warning: list.csv, line 3 has a quoted field that runs on to line 4; 1 line that looks like a row went into it: remove the stray quote\n"
