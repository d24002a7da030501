"""YOLO's folders, as Ultralytics, Roboflow, Label Studio and CVAT lay them out."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from tfvision.data.imports.importing import import_photos
from tfvision.data.imports.yolo import yaml_names
from tfvision.data.manifest import read_source
from tfvision.errors import DataError

YAML = "path: ../data\ntrain: images/train\nval: images/val\n\nnames:\n  0: Vulpes vulpes  # red fox\n  1: 'Meles meles'\n  2: empty\n"


@pytest.fixture
def folder(tmp_path):
    """A function of {name: text}: writes them and tells their folder; photos get pixels."""

    def write(files):
        random = np.random.default_rng(0)
        for name, text in files.items():
            path = tmp_path / "set" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith((".jpg", ".png")):
                Image.fromarray(random.integers(0, 255, (40, 48, 3), np.uint8)).save(path)
            else:
                path.write_text(text)
        return tmp_path / "set"

    return write


def test_ultralytics_with_splits(read_import, folder, tmp_path):
    lines = "0 0.5 0.5 0.5 0.25\n1 0.9 0.5 0.4 0.2\n\n0 0.1 0.1 0.3 0.1 0.3 0.4 0.1 0.4\n"
    odd = "7 0.5 0.5 0.5 0.5\nx 1 1 1 1\n0 1.5 0.5 0.1 0.1\n0 0.5 0.5 0 0.5\n0 0.5 0.5\n1 nan 0.5 0.1 0.1\n0 0.5 0.5 0.2 0.2 0.93\n"
    names = ["images/train/a.jpg", "images/train/b.png", "images/val/c.jpg", "images/val/d.jpg"]
    files = {"data.yaml": YAML, **dict.fromkeys(names, ""), "labels/train/a.txt": lines, "labels/train/b.txt": odd, "labels/val/c.txt": ""}
    source = folder(files)
    kind, rows, photos = read_import(source)
    no_box = "a box that is none: its numbers are no place with a width and a height"
    assert kind == "yolo" and rows == [
        (names[0], "Vulpes vulpes", "0.25,0.375,0.5,0.25", ""),
        (names[0], "Meles meles", "0.7,0.4,0.3,0.2", ""),
        (names[0], "Vulpes vulpes", "0.1,0.1,0.2,0.3", ""),
        (names[1], "", "", "a class number that has no name"),
        (names[1], "", "", "a line that is no class number with a box"),
        (names[1], "Vulpes vulpes", "1.45,0.45,0.1,0.1", "a box that lies outside its photo"),
        (names[1], "Vulpes vulpes", "", no_box),
        (names[1], "Meles meles", "", no_box),
        (names[1], "Vulpes vulpes", "0.4,0.4,0.2,0.2", ""),
        (names[2], "", "", "nothing is marked in it"),
        (names[3], "", "", "nothing is marked in it"),
    ]
    assert [photo.split for photo in photos[::8]] == ["train", "train"] and photos[-1].split == "val"
    assert read_import(source / "data.yaml")[1] == rows
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:  # its photos are taken out of it
        for name in files:
            archive.write(source / name, f"export/{name}")
    import_photos(tmp_path / "set.zip", tmp_path / "of zip")
    report = import_photos(source, tmp_path / "out")
    assert report["photos"]["done"] == 2 and report["kept"] == {"photos": 2, "observations": 2, "species": 2, "boxes": 4, "rows": 4}
    columns = [[line.split(",")[7:9] for line in (tmp_path / out / "manifest.csv").read_text().splitlines()] for out in ("out", "of zip")]
    assert [line[0] for line in columns[0]] == [line[0] for line in columns[1]]
    assert {path.read_bytes() for path in (tmp_path / "of zip/photos").rglob("*.*")} == {(source / name).read_bytes() for name in names[:2]}
    records = read_source(tmp_path / "out").records
    assert [(record.lineage[-1], record.split) for record in records][::3] == [("Vulpes vulpes", "train")] * 2
    np.testing.assert_allclose([record.box for record in records][::3], [(12, 15, 24, 10), (19.2, 16, 9.6, 8)])


def test_roboflows_copies_of_one_photo_are_one_group(read_import, folder):
    copies = [f"traps_1_jpg.rf.{'0123456789abcdef' * 2}", f"traps_1_jpg.rf.{'abcdef0123456789' * 2}"]
    files = {f"train/images/{name}.jpg": "" for name in copies} | {f"train/labels/{name}.txt": "0 0.5 0.5 1 1\n" for name in copies}
    _, rows, photos = read_import(
        folder({**files, "valid/images/2.jpg": "", "valid/labels/2.txt": "1 .5 .5 1 1", "data.yaml": "nc: 2\nnames: ['a b', \"c\"]\n"})
    )
    assert [row[1] for row in rows] == ["a b", "a b", "c"] and {photo.observation for photo in photos[:2]} == {"train/images/traps_1_jpg"}
    assert [photo.split for photo in photos] == ["train", "train", "valid"]


def test_label_studio_and_cvat_lay_them_out_otherwise(read_import, folder, tmp_path):
    source = folder({"classes.txt": "Vulpes vulpes\nMeles meles\n", "images/a.jpg": "", "labels/a.txt": "1 0.5 0.5 1 1\n", "notes.json": "{}"})
    assert read_import(source)[1] == [("images/a.jpg", "Meles meles", "0,0,1,1", "")]
    with zipfile.ZipFile(tmp_path / "cvat.zip", "w") as archive:
        archive.writestr("obj.names", "Vulpes vulpes\n")
        archive.writestr("obj.data", "classes = 1\nnames = data/obj.names\n")
        archive.writestr("train.txt", "data/obj_train_data/a.jpg\n")
        archive.writestr("obj_train_data/a.txt", "0 0.5 0.5 1 1\n")
    assert read_import(tmp_path / "cvat.zip")[1] == [("obj_train_data/a.jpg", "Vulpes vulpes", "0,0,1,1", "")]


def test_of_poses_the_box_alone_is_read(read_import, folder):
    source = folder({"a.yaml": "names: {0: Lynx lynx}\nkpt_shape: [2, 3]\n", "images/a.jpg": "", "labels/a.txt": "0 0.5 0.5 0.5 0.5 0.1 0.1 2 0.2 0.2 2\n"})
    assert read_import(source)[1] == [("images/a.jpg", "Lynx lynx", "0.25,0.25,0.5,0.5", "")]


def test_labels_that_no_file_explains_are_told(read_import, folder):
    with pytest.raises(DataError, match=r"set has YOLO's files of labels, but no data.yaml, classes.txt or obj.names: put the one"):
        read_import(folder({"images/a.jpg": "", "labels/a.txt": "0 0.5 0.5 1 1\n"}))
    with pytest.raises(DataError, match=r"'data.yaml' of .*set has no names of classes: it needs `names:` with a list"):
        read_import(folder({"data.yaml": "nc: 3\n"}))
    with pytest.raises(DataError, match=r"'data.yaml' of .* is refused: a list of names"):
        read_import(folder({"data.yaml": "#" * (2**20 + 1)}))


def test_photos_with_texts_beside_them_are_no_labels(read_import, folder):
    with pytest.raises(DataError, match="several files could be meant"):
        read_import(folder({"a.jpg": "", "a.txt": "A fox.", "b.jpg": "", "b.txt": "A badger."}))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names:\n- a\n- 'it''s'\n- \"c\"\nnc: 3\n", {0: "a", 1: "it's", 2: "c"}),
        ("names:\n  - a  # one\n\n  # two\n  - b\n", {0: "a", 1: "b"}),
        ("nc: 2\nnames: [a b, 'c, d',\n  e]\n", {0: "a b", 1: "c, d", 2: "e"}),
        ("names: {0: a, 2: 'b'}\n", {0: "a", 2: "b"}),
        ("names:\n  0: a\n  '10': b c\n", {0: "a", 10: "b c"}),
        ("names: a.names\n", {}),
        ("nc: 2\n", {}),
    ],
)
def test_names_in_each_form_of_yaml(text, names):
    assert yaml_names(text) == names
