import os
import socket

import numpy as np
import PIL.Image
import pytest

from tfvision.data import image_formats
from tfvision.data.photo_files import account, noted_left_out, printable, walk_photos
from tfvision.errors import DataError


def write(folder, *names):
    """Photos, of the format that the end of a name says, else JPEGs."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        suffix = path.suffix.lower()
        format = {".ppm": "PPM", ".png": "PNG", ".avif": "AVIF"}.get(suffix, "JPEG")
        PIL.Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(path, format)


def reasons(folder, **how):
    return {one.path: one.reason for one in walk_photos(folder, **how).left_out}


def test_what_can_be_read_when_named_alone_is_read_in_a_folder(tmp_path):
    names = ["a/IMG.JPG", "a/b.jfif", "a/c.jpe", "a/d.ppm", "a/medium.jpeg?1444", "a/photo.jpg_large", "a/without", "b/e.avif", "b/jpeg.heic", "top.PNG"]
    write(tmp_path, *names)
    found = walk_photos(tmp_path)
    assert found.names == sorted(names, key=lambda name: ("/" in name, name)) and not found.left_out


def test_what_is_left_out_is_named_with_its_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(image_formats, "reads_raw", lambda: False)
    write(tmp_path, "a/1.jpg", "a/._1.jpg", "a/1.jpg_original", "a/2.jpg~", "@eaDir/1.jpg/thumb.jpg", ".trash/1.jpg")
    for name in ("notes.txt", "report.pdf", "old.cr2", "empty", "MVI_0001.MOV", "1.xmp", "Thumbs.db", "1.THM"):
        (tmp_path / "a" / name).write_bytes(b"" if name == "empty" else b"II*\0 of another kind")
    (tmp_path / "bare.jpg/inner").mkdir(parents=True)
    os.mkfifo(tmp_path / "a/pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "a/socket.jpg"))
    found = walk_photos(tmp_path)
    assert found.names == ["a/1.jpg"]
    told = {one.path: one.reason for one in found.left_out}
    assert told == {
        "a/._1.jpg": "hidden, the name begins with a dot",
        ".trash": "hidden, the name begins with a dot",
        "a/1.jpg_original": "a backup or an unfinished download",
        "a/2.jpg~": "a backup or an unfinished download",
        "@eaDir": "a folder that a system keeps for itself",
        "a/notes.txt": "no photo",
        "a/report.pdf": "no photo",
        "a/empty": "no photo",
        "a/old.cr2": image_formats.IS_RAW,
        "a/MVI_0001.MOV": "a video",
        "a/1.xmp": "a sidecar of a photo or a video",
        "a/1.THM": "a sidecar of a photo or a video",
        "a/Thumbs.db": "a file that a system keeps for itself",
        "a/pipe.jpg": "a pipe, a socket or a device",
        "a/socket.jpg": "a pipe, a socket or a device",
        "bare.jpg": "a folder of which no photo is read",
    }
    assert [one.path for one in found.left_out if one.is_photo] == ["a/old.cr2", "a/pipe.jpg", "a/socket.jpg"]


def test_links_are_followed_and_each_folder_is_read_once(tmp_path):
    write(tmp_path, "photos/b/1.jpg", "elsewhere/inner/2.jpg", "elsewhere/3.jpg")
    root = tmp_path / "photos"
    (root / "a").symlink_to("b")  # before the folder itself
    (root / "self").symlink_to(".")
    (root / "b/up").symlink_to("../..")
    (root / "b/itself").symlink_to("itself")
    (root / "c").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/back").symlink_to(root / "b")
    (root / "gone").symlink_to("/nowhere")
    (root / "b/gone.jpg").symlink_to("/nowhere/1.jpg")
    (root / "b/link.jpg").symlink_to(tmp_path / "elsewhere/3.jpg")
    assert walk_photos(root).names == ["b/1.jpg", "b/gone.jpg", "b/link.jpg", "c/3.jpg", "c/inner/2.jpg"]
    loop, nowhere = "a link to a folder that is read already or holds the link", "a link that leads nowhere"
    assert reasons(root) == {"a": loop, "self": loop, "b/up": loop, "c/back": loop, "b/itself": nowhere, "gone": nowhere}


def test_names_that_are_not_utf_8_are_left_out_printable(tmp_path):
    write(tmp_path, "a/1.jpg")
    os.mkdir(os.fsencode(tmp_path / "a") + b"/\xe9")
    for name in (b"/\xe9t\xe9.jpg", b"/\xe9/2.jpg"):
        os.link(tmp_path / "a/1.jpg", os.fsencode(tmp_path / "a") + name)
    found = walk_photos(tmp_path)
    assert found.names == ["a/1.jpg"]
    assert [(one.path, one.is_photo) for one in found.left_out] == [(r"a/\xe9", False), (r"a/\xe9/2.jpg", True), (r"a/\xe9t\xe9.jpg", True)]
    with pytest.raises(DataError, match=r"a/\\xe9: the name is not UTF-8"):
        walk_photos(os.fsdecode(os.fsencode(tmp_path / "a") + b"/\xe9"))
    assert printable("a\x1b[2J\nb é") == r"a\x1b[2J\nb é"


def test_folders_that_cannot_be_listed_are_left_out(tmp_path, monkeypatch):
    write(tmp_path, "a/1.jpg", "b/1.jpg")
    scandir = os.scandir

    def refuse(path):
        if os.path.basename(path) == "b":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert walk_photos(tmp_path).left_out == (("b", "cannot be read (Permission denied)", False),)


def test_without_the_extra_heic_is_named_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(image_formats, "formats", lambda: image_formats._FORMATS)
    write(tmp_path, "a/1.jpg", "a/2.avif")
    (tmp_path / "a/3.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert reasons(tmp_path) == {"a/2.avif": image_formats.NEEDS_HEIF, "a/3.HEIC": image_formats.NEEDS_HEIF}
    assert "tfvision[heif]" in image_formats.NEEDS_HEIF
    (tmp_path / "a/1.jpg").unlink()
    with pytest.raises(DataError, match=r"holds no photos \(left out 2: HEIC or AVIF: pip install .*, such as a/2.avif"):
        walk_photos(tmp_path)


def test_a_folder_alone_names_the_folders_in_it(tmp_path):
    write(tmp_path, "1.jpg", "later/2.jpg")
    assert walk_photos(tmp_path, is_deep=False) == (["1.jpg"], (("later", "a folder in the folder", False),))


def test_what_walks_leave_out_is_counted_by_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(image_formats, "reads_raw", lambda: False)
    write(tmp_path, "1.jpg", "x/2.jpg")
    for name in ("b.txt", "a.txt", "c.nef"):
        (tmp_path / name).write_text("text")
    walk_photos(tmp_path)
    with noted_left_out() as noted:
        walk_photos(tmp_path)
        walk_photos(tmp_path)
    assert account(noted.values()) == [f"2: no photo, such as {tmp_path}/a.txt", f"1: {image_formats.IS_RAW}, such as {tmp_path}/c.nef"]
