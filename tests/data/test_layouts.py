import os

import numpy as np
import pytest
from PIL import Image

from tfvision.data.layouts import LAYOUTS, recognise
from tfvision.data.manifest import read_source
from tfvision.data.photo_files import walk_photos
from tfvision.errors import DataError, DataWarning

pytestmark = pytest.mark.filterwarnings("ignore::tfvision.errors.DataWarning")


def _photos(folder, names):
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 40), (number, 0, 0)).save(folder / name, "JPEG")
    return folder


def _rows(manifest):
    return [(record.name, "/".join(record.lineage), record.split) for record in manifest.records]


def sop(folder):
    _photos(folder, ["bicycle_final/111_0.JPG", "bicycle_final/111_1.JPG", "chair_final/222_0.JPG", "chair_final/222_1.JPG"])
    header = "image_id class_id super_class_id path\n"
    (folder / "Ebay_train.txt").write_text(header + "1 1 1 bicycle_final/111_0.JPG\n2 1 1 bicycle_final/111_1.JPG\n")
    (folder / "Ebay_test.txt").write_text(header + "3 11319 2 chair_final/222_0.JPG\n4 11319 2 chair_final/222_1.JPG\n")
    return folder


def cub(folder):
    photos = ["001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg", "001.Black_footed_Albatross/B_2.jpg", "004.Groove_billed_Ani/G_1.jpg"]
    _photos(folder / "images", photos)
    for name, texts in {
        "images.txt": photos,
        "image_class_labels.txt": (1, 1, 4),
        "train_test_split.txt": (1, 0, 1),
        "bounding_boxes.txt": ("6.0 7.0 40.0 30.0", "0.0 0.0 60.0 40.0", "1.5 2.5 10.0 20.0"),
    }.items():
        (folder / name).write_text("".join(f"{id} {text}\n" for id, text in enumerate(texts, 1)))
    return folder


def test_ukbench_has_four_consecutive_numbers_to_an_object(tmp_path):
    _photos(tmp_path, [f"ukbench{number:05d}.jpg" for number in (0, 1, 2, 3, 4, 5, 10199)])
    manifest = read_source(tmp_path)
    assert [record.lineage for record in manifest.records] == [("0000",)] * 4 + [("0001",)] * 2 + [("2549",)]
    assert (manifest.layout, manifest.ranks, manifest.columns["group"][-1]) == ("ukbench", ("object",), "2549")


def test_ukbenchs_thumbnails_are_no_photos(tmp_path):
    names = [f"{place}/ukbench0000{number}{suffix}.jpg" for place, suffix in (("full", ""), ("thumbnails", ".th")) for number in range(4)]
    manifest = read_source(_photos(tmp_path / "a", names))
    assert [record.name for record in manifest.records] == names[:4]
    assert {one.path for one in manifest.left_out} == set(names[4:])
    same = _photos(tmp_path / "b", [name.replace(".th", "") for name in names])  # the thumbnails are called as the photos
    assert [record.name for record in read_source(same).records] == names[:4]


def test_shrunk_copies_may_be_of_another_kind_of_file(tmp_path):
    assert [record.group for record in read_source(_photos(tmp_path / "a", ["ukbench00000.png", "ukbench00001.JPG", "ukbench00004.webp"])).records] == [
        *("0000", "0000", "0001"),
    ]
    assert [record.group for record in read_source(_photos(tmp_path / "b", ["100000.png", "100001.png"])).records] == ["1000", "1000"]


def test_holidays_groups_have_a_query_that_ends_in_00(tmp_path):
    manifest = read_source(_photos(tmp_path, ["jpg/100000.jpg", "jpg/100001.jpg", "jpg/100002.jpg", "jpg/149900.jpg", "jpg/149901.jpg"]))
    assert [record.lineage[0] for record in manifest.records] == ["1000"] * 3 + ["1499"] * 2
    assert manifest.texts("role") == ("query", "gallery", "gallery", "query", "gallery")
    assert manifest.layout == "holidays"


def test_holidays_in_its_two_archives(tmp_path):
    manifest = read_source(_photos(tmp_path, ["jpg1/100000.jpg", "jpg1/100001.jpg", "jpg2/120000.jpg", "jpg2/120001.jpg"]))
    assert [record.group for record in manifest.records] == ["1000", "1000", "1200", "1200"]


@pytest.mark.parametrize("below", ["", "Stanford_Online_Products"])
def test_stanfords_lists_name_products_and_splits(tmp_path, below):
    sop(tmp_path / below)
    expected = [
        ("bicycle_final/111_0.JPG", "bicycle/1", "train"),
        ("bicycle_final/111_1.JPG", "bicycle/1", "train"),
        ("chair_final/222_0.JPG", "chair/11319", "test"),
        ("chair_final/222_1.JPG", "chair/11319", "test"),
    ]
    assert _rows(read_source(tmp_path)) == [(os.path.join(below, name), label, split) for name, label, split in expected]
    assert _rows(read_source(tmp_path, ("category",)))[0][1] == "bicycle"


@pytest.mark.parametrize("below", ["", "CUB_200_2011"])
def test_cubs_lists_name_classes_splits_and_boxes(tmp_path, below):
    cub(tmp_path / below)
    manifest = read_source(tmp_path)
    assert [row[1:] for row in _rows(manifest)] == [
        ("001.Black_footed_Albatross", "train"),
        ("001.Black_footed_Albatross", "test"),
        ("004.Groove_billed_Ani", "train"),
    ]
    assert [record.box for record in manifest.records] == [(6, 7, 40, 30), (0, 0, 60, 40), (1.5, 2.5, 10, 20)]
    assert all(os.path.isfile(record.path) for record in manifest.records)


def test_cubs_classes_are_called_as_its_list_says(tmp_path):
    cub(tmp_path)
    (tmp_path / "classes.txt").write_text("1 001.Albatross\n4 004.Ani\n")
    assert [row[1] for row in _rows(read_source(tmp_path))] == ["001.Albatross", "001.Albatross", "004.Ani"]


def test_cub_without_boxes_shows_whole_photos(tmp_path):
    cub(tmp_path)
    (tmp_path / "bounding_boxes.txt").unlink()
    (tmp_path / "train_test_split.txt").unlink()
    assert {(record.box, record.split) for record in read_source(tmp_path).records} == {((0, 0, 0, 0), "")}


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: _photos(folder, [f"ukbench{number:05d}.jpg" for number in range(8)]), "UKBench: 8 of its 10,200 photos, 2 of its 2,550 groups"),
        (lambda folder: _photos(folder, ["100000.jpg", "100001.jpg"]), "INRIA Holidays: 2 of its 1,491 photos, 1 of its 500 groups"),
        (sop, "Stanford Online Products: 4 of its 120,053 photos, 2 of its 22,634 classes"),
        (cub, "CUB-200-2011: 3 of its 11,788 photos, 2 of its 200 classes"),
    ],
)
def test_a_partial_copy_is_told_with_both_numbers_and_read(tmp_path, make, told):
    with pytest.warns(DataWarning, match=f"is read as {told}; scores are not those of the whole set"):
        assert len(read_source(make(tmp_path))) > 1


def test_a_whole_copy_is_no_warning(tmp_path, recwarn, capsys):
    LAYOUTS["ukbench"].check(tmp_path, 10_200, 2_550)
    assert not recwarn and "is read as UKBench: 10,200 photos, 2,550 groups" in capsys.readouterr().err


def test_another_set_in_the_same_form_is_told(tmp_path):
    with pytest.warns(DataWarning, match="is read as CUB-200-2011: 48,562 photos, 555 classes, more than its 11,788 and 200: another set in the same form"):
        LAYOUTS["cub"].check(tmp_path, 48_562, 555)  # NABirds


def test_lists_of_other_photos_leave_class_folders_what_they_are(tmp_path):
    _photos(tmp_path, ["a/1.jpg", "b/2.jpg"])
    for name in ("images.txt", "image_class_labels.txt", "Ebay_train.txt", "Ebay_test.txt"):
        (tmp_path / name).write_text("something else\n")
    assert [record.lineage for record in read_source(tmp_path).records] == [("a",), ("b",)]


def test_photos_that_a_list_names_and_the_copy_lacks_are_left_out(tmp_path):
    cub(tmp_path)
    (tmp_path / "images/001.Black_footed_Albatross/B_2.jpg").unlink()
    _photos(tmp_path, ["images/009.Other/x.jpg"])
    manifest = read_source(tmp_path)
    assert [row[1] for row in _rows(manifest)] == ["001.Black_footed_Albatross", "004.Groove_billed_Ani"]
    assert "images/009.Other/x.jpg" in manifest.ignored


@pytest.mark.parametrize(
    "names",
    [
        ["cats/ukbench00000.jpg", *(f"dogs/{number}.jpg" for number in range(9))],  # one by chance
        [f"{folder}/{number}.jpg" for folder in "ab" for number in (100000, 100001)],  # class folders
        [f"{number}.jpg" for number in range(100000, 100100)],  # a camera's
        [f"{number}.jpg" for number in range(200000, 200005)],
        ["100001.jpg", "100002.jpg"],  # no query
    ],
)
def test_what_only_looks_like_a_benchmark_is_none(tmp_path, names):
    assert recognise(tmp_path, names) is None


def test_a_named_layout_is_taken_although_it_would_not_be_recognised(tmp_path):
    _photos(tmp_path, ["a/100001.jpg", "b/100002.jpg", "b/x.jpg"])
    assert [record.group for record in read_source(tmp_path, layout="holidays").records] == ["1000", "1000"]


def test_folders_are_class_folders_where_that_is_said(tmp_path):
    _photos(tmp_path, [f"{folder}/ukbench0000{number}.jpg" for number, folder in enumerate("aabb")])
    assert read_source(tmp_path).layout == "ukbench"
    assert [record.lineage for record in read_source(tmp_path, layout="folders").records] == [("a",), ("a",), ("b",), ("b",)]
    assert read_source(tmp_path, ("colour",)).ranks == ("colour",)  # ranks that the benchmark has not


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("ukbench", "has none of the photos of --layout ukbench: expected ukbench00000.jpg"),
        ("holidays", "has none of the photos of --layout holidays: expected 100000.jpg"),
        ("sop", "--layout sop needs Ebay_train.txt and Ebay_test.txt: .* has no such files"),
        ("cub", "--layout cub needs images.txt and image_class_labels.txt"),
        ("flickr", "--layout must be one of ukbench, holidays, sop, cub, oxford, paris, roxford, rparis, folders, got 'flickr'"),
    ],
)
def test_a_layout_that_the_folder_has_not_is_refused(tmp_path, layout, message):
    with pytest.raises(DataError, match=message):
        read_source(_photos(tmp_path, ["a/1.jpg"]), layout=layout)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("images.txt", "1\n", "images.txt, line 1: expected 2 fields, got '1'"),
        ("image_class_labels.txt", "1 1\n", "image_class_labels.txt does not list image 2, images/001.Black_footed_Albatross/B_2.jpg: restore"),
        ("bounding_boxes.txt", "1 1 2 x 4\n2 1 2 3 4\n3 1 2 3 4\n", "bounding_boxes.txt, line 1: a box is left,top,width,height"),
        ("bounding_boxes.txt", "1 500 500 40 30\n2 1 2 3 4\n3 1 2 3 4\n", "bounding_boxes.txt: 1 of 3 boxes cannot be used; line 1: .* lies outside"),
    ],
)
def test_damaged_lists_are_told_with_the_line(tmp_path, name, text, message):
    (cub(tmp_path) / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_source(tmp_path)


def test_lists_without_any_of_the_photos(tmp_path):
    sop(tmp_path)
    for path in [*tmp_path.glob("*/*.JPG")]:
        path.rename(path.with_name(f"other_{path.name}"))
    with pytest.raises(DataError, match="has none of the photos of --layout sop: expected the photos that Ebay_train.txt"):
        read_source(tmp_path)


def test_a_manifest_goes_before_a_layout(tmp_path):
    _photos(tmp_path, [f"ukbench0000{number}.jpg" for number in range(2)])
    (tmp_path / "manifest.csv").write_text("image,label\nukbench00000.jpg,a\nukbench00001.jpg,b\n")
    assert [record.lineage for record in read_source(tmp_path).records] == [("a",), ("b",)]
    assert [record.lineage for record in read_source(tmp_path, layout="ukbench").records] == [("0000",), ("0000",)]  # but for one that is named
    with pytest.raises(DataError, match="--layout ukbench is of a folder, and .*manifest.csv is a file: leave it out"):
        read_source(tmp_path / "manifest.csv", layout="ukbench")


def test_recognising_needs_no_photo_to_be_opened(tmp_path):
    for number in range(4):
        (tmp_path / f"UKBENCH0000{number}.JPG").write_bytes(b"")
    assert recognise(tmp_path, walk_photos(tmp_path).names) == "ukbench"
    assert np.unique([record.group for record in read_source(tmp_path).records]).tolist() == ["0000"]
