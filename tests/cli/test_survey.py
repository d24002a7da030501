import csv
import json
import shutil

import PIL.Image
import pytest

pytestmark = pytest.mark.usefixtures("opened_once", "figures_once")


@pytest.fixture
def card(colour_photos, tmp_path):
    """Two deployments: three photos of a moment and one, and a video."""
    folder = tmp_path / "card"
    for place, name, number in (("ridge", "Rosa_rubra_0", 0), ("ridge", "Rosa_rubra_1", 1), ("ridge", "Rosa_rubra_2", 2), ("bank", "Viola_prima_0", 0)):
        exif = PIL.Image.Exif()
        exif[0x0110] = "HP2X"
        exif.get_ifd(0x8769)[0x9003] = f"2021:05:03 12:00:{number:02}"
        (folder / place).mkdir(parents=True, exist_ok=True)
        PIL.Image.open(colour_photos / f"{name}.png").save(folder / place / f"{number}.jpg", quality=95, exif=exif)
    (folder / "clip.mp4").write_bytes(b"video")
    return folder


@pytest.mark.slow
def test_a_card_is_surveyed_and_reviewed(run_command, card, colour_run, tmp_path):
    out = tmp_path / "survey"
    code, told, err = run_command("survey", card, "--model", colour_run, "--out", out, "--gap", "1m", "--shift", "ridge=+1h", "--zone", "+01:00", "--json")
    expected = {"photos": 4, "events": 2, "answered": 4, "blank": 0, "skipped": 1, "broken": 0}
    assert code == 0 and {key: value for key, value in json.loads(told).items() if key != "seconds"} == expected
    assert "left out  1: a video" in err and "leaves out deployments without a place: bank, ridge" in err
    with open(out / "observations.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["event"], row["start"]) for row in rows] == [("bank/0.jpg", "2021-05-03T12:00:00+01:00"), ("ridge/0.jpg", "2021-05-03T13:00:00+01:00")]
    assert {path.name for path in out.iterdir()} == {
        *("media.csv", "observations.csv", "camtrap-dp", "darwin-core", "megadetector.json", "report.html", "state"),
    }
    rows[1]["review"] = "Rosa rubra"
    with open(out / "observations.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    code, told, _ = run_command("survey", "--review", out / "observations.csv")
    assert code == 0 and told.startswith("right     100.0% of what was named") and "1 of 1 right" in told
    code, told, _ = run_command("survey", card, "--model", colour_run, "--out", out)
    assert code == 0 and told.splitlines()[0] == "photos    4 in 2 events: 4 answered, 0 blank, 0 broken"
    assert ",Rosa rubra\n" in (out / "observations.csv").read_text()
    shutil.rmtree(out / "state")
    code, told, _ = run_command("survey", "--review", out / "observations.csv", "--json")
    assert code == 0 and json.loads(told)["right"] == 1


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (("survey",), 2, "give CARD and --model RUN, or --review"),
        (("survey", "CARD"), 2, "give CARD and --model RUN"),
        (("survey", "CARD", "--review", "observations.csv"), 2, "leave out CARD and --model"),
        (("survey", "CARD", "--model", "RUN", "--gap", "soon"), 1, "--gap is a time such as 60s, 5m or 1h, got 'soon'"),
        (("survey", "CARD", "--model", "RUN", "--shift", "ridge"), 1, "--shift is CAMERA=+1h"),
        (("survey", "nowhere", "--model", "RUN"), 1, "nowhere does not exist: check the path of the card"),
        (("survey", "CARD", "--model", "nowhere"), 1, "nowhere/recipe.json does not exist"),
        (("survey", "CARD", "--model", "RUN", "--deployments", "nowhere.csv"), 1, "nowhere.csv cannot be read"),
        (("survey", "--review", "nowhere.csv"), 1, "nowhere.csv cannot be read"),
    ],
)
def test_what_cannot_be_is_one_line(run_command, card, colour_run, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    places = {"CARD": card, "RUN": colour_run}
    found, _, err = run_command(*(places.get(argument, argument) for argument in arguments))
    lines = [line for line in err.splitlines() if not line.startswith("left out")]
    assert found == code and message in err and (code == 2 or len(lines) == 1)
