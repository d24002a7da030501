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
