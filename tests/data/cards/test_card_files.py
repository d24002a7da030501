import os

import PIL.Image
import pytest

from tfvision.data import image_formats
from tfvision.data.cards.card_files import CardFile, files_of_card
from tfvision.errors import DataError


def write(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".jpg":
            PIL.Image.new("RGB", (8, 8), "red").save(path)
        else:
            path.write_bytes(b"of another kind")


def test_every_file_of_a_card_is_told_once(tmp_path, monkeypatch):
    monkeypatch.setattr(image_formats, "reads_raw", lambda: False)
    card = tmp_path / "card"
    write(card, "DCIM/100EOS_R/IMG_0001.JPG", "DCIM/100EOS_R/IMG_0002.CR3", "DCIM/100EOS_R/MVI_0003.MP4", "DCIM/100EOS_R/._IMG_0001.JPG")
    write(card, "DCIM/Thumbs.db", "DCIM/empty/notes.txt", ".Trashes/501/IMG_0009.JPG", ".Trashes/501/list", "MISC/@eaDir/IMG_0001.JPG/thumb.jpg")
    (card / "nothing in it").mkdir()
    (card / "self").symlink_to(".")
    found = files_of_card(card)
    assert found[0] == ("DCIM/100EOS_R/IMG_0001.JPG", "")
    hidden, system = "hidden, the name begins with a dot", "a folder that a system keeps for itself"
    assert dict(found[1:]) == {
        "DCIM/100EOS_R/IMG_0002.CR3": image_formats.IS_RAW,
        "DCIM/100EOS_R/MVI_0003.MP4": "a video",
        "DCIM/100EOS_R/._IMG_0001.JPG": hidden,
        "DCIM/Thumbs.db": "a file that a system keeps for itself",
        "DCIM/empty/notes.txt": "no photo",
        ".Trashes/501/IMG_0009.JPG": f"in a folder that is left out: {hidden}",
        ".Trashes/501/list": f"in a folder that is left out: {hidden}",
        "MISC/@eaDir/IMG_0001.JPG/thumb.jpg": f"in a folder that is left out: {system}",
        "self": "a link to a folder that is read already or holds the link",
    }
    files = [os.path.relpath(os.path.join(parent, name), card) for parent, _, names in os.walk(card) for name in names]
    assert sorted([*files, "self"]) == sorted(file.name for file in found)


def test_the_folder_of_the_results_is_none_of_the_card(tmp_path):
    write(tmp_path, "a.jpg", "survey/report.html", "survey/photos/b.jpg", "survey of mine/c.jpg")
    assert files_of_card(tmp_path, tmp_path / "survey") == [CardFile("a.jpg"), CardFile("survey of mine/c.jpg")]
    assert len(files_of_card(tmp_path / "survey", tmp_path)) == 2  # the card lies within the results


@pytest.mark.parametrize("name, message", [("empty", "empty is empty: it holds no file"), ("gone", "gone does not exist"), ("a.jpg", "a.jpg is a file: give")])
def test_what_is_no_card_is_refused(tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    write(tmp_path, "a.jpg")
    with pytest.raises(DataError, match=message):
        files_of_card(tmp_path / name)


def test_a_card_without_photos_is_told_all_the_same(tmp_path):
    write(tmp_path, "clip.avi")
    assert files_of_card(tmp_path) == [("clip.avi", "a video")]
