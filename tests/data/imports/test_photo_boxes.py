"""Camera traps' COCO and MegaDetector's output, in the layout that their programs write."""

import pytest

from tfvision.data.imports.photo_boxes import turned
from tfvision.errors import DataError, DataWarning

# COCO Camera Traps


def _coco(annotations, **image):
    ids = sorted({id for id, _, _ in annotations})
    names = {0: "empty", 1: "Puma concolor", 2: "person", 3: "Lynx rufus"}
    images = [{"id": f"i{id}", "file_name": f"cct/{id}.jpg", "width": 640, "height": 480, "seq_id": f"s{id // 2}", "location": 26, **image} for id in ids]
    found = [
        {"id": f"a{row}", "image_id": f"i{id}", "category_id": label, **({"bbox": box} if box else {})} for row, (id, label, box) in enumerate(annotations)
    ]
    categories = [{"id": id, "name": name} for id, name in names.items()]
    return {"info": {"version": 1}, "images": images, "annotations": found, "categories": categories}


def test_each_box_of_a_camera_traps_photo_is_a_row_with_its_sequence_and_place(read_import, written):
    found = [
        (0, 1, [10.5, 20, 100, 80]),
        (0, 1, [200, 10, 20, 20]),
        (0, 3, [1, 2, 3, 4]),
        (1, 0, None),
        (2, 2, [600, 400, 60, 100]),
        (3, 1, None),
        (3, 1, None),
    ]
    kind, rows, photos = read_import(written("cct.json", _coco(found, datetime="2012-05-09 07:33:45")))
    assert kind == "competition" and rows == [
        ("cct/0.jpg", "Puma concolor", "10.5,20,100,80", ""),
        ("cct/0.jpg", "Puma concolor", "200,10,20,20", ""),
        ("cct/0.jpg", "Lynx rufus", "1,2,3,4", ""),
        ("cct/1.jpg", "empty", "", ""),
        ("cct/2.jpg", "person", "600,400,40,80", ""),
        ("cct/3.jpg", "Puma concolor", "", ""),
    ]
    assert [photo.observation for photo in photos] == ["s0"] * 4 + ["s1"] * 2
    assert {(photo.location, photo.date, photo.is_local) for photo in photos} == {("26", "2012-05-09 07:33:45", True)}


def test_what_is_no_box_of_its_photo_is_told_and_the_others_stay(read_import, written):
    odd = [[0, 0, 5, -1], [1, 2, float("nan"), 4], "1,2,3,4", [1, 2, 3], [None], [640, 10, 30, 30], [9e99, 0, 1, 1]]
    found = [*((0, 1, box) for box in odd), (0, 1, [1, 2, 3, 4]), (1, 1, [0, 0, 0, 0]), (1, 3, [0.1, 0.2, 0.3, 0.4]), (1, 3, None)]
    _, rows, _ = read_import(written("cct.json", _coco(found)))
    no_numbers = "a box that is none: its numbers are no place with a width and a height"
    assert rows == [
        ("cct/0.jpg", "Puma concolor", "", no_numbers),
        ("cct/0.jpg", "Puma concolor", "640,10,30,30", "a box that lies outside its photo"),
        ("cct/0.jpg", "Puma concolor", "1,2,3,4", ""),
        ("cct/1.jpg", "Lynx rufus", "0.1,0.2,0.3,0.4", ""),  # perhaps fractions: the table as a whole tells
        ("cct/1.jpg", "Puma concolor", "", "a category without a box, in a photo that has boxes of others"),
    ]
    with pytest.raises(DataError, match="no object with images, annotations and categories"):
        read_import(written("empty.json", {"images": [], "annotations": [], "categories": []}))


# MegaDetector


MEGADETECTOR = {
    "images": [
        {
            "file": "D:\\card\\100\\1.jpg",
            "max_detection_conf": 0.94,
            "detections": [{"category": "1", "conf": 0.94, "bbox": [0.1, 0.2, 0.3, 0.4]}, {"category": "2", "conf": 0.05, "bbox": [0.5, 0.2, 0.6, 0.4]}],
        },
        {"file": "card/2.jpg", "detections": [], "datetime": "2020:02:03 10:00:00"},
        {"file": "card/3.jpg", "failure": "Failure image access", "detections": None},
        {
            "file": "card/4.jpg",
            "detections": [{"category": "1", "conf": 0.5, "bbox": [1.2, 0, 0.1, 0.1]}, {"category": "7", "conf": "x", "bbox": [0, 0, 1, 1]}],
        },
        {"detections": []},
    ],
    "detection_categories": {"1": "animal", "2": "person", "3": "vehicle"},
    "info": {"detector": "md_v5a.0.0.pt", "format_version": "1.3"},
}


def test_detections_are_rows_with_their_confidence(read_import, written):
    with pytest.warns(DataWarning, match=r"md.json has no scientific names: its categories \(animal, person, vehicle, ...\) are labels"):
        kind, rows, photos = read_import(written("md.json", MEGADETECTOR))
    assert kind == "megadetector" and rows == [
        ("card/100/1.jpg", "animal", "0.1,0.2,0.3,0.4", ""),
        ("card/100/1.jpg", "person", "0.5,0.2,0.5,0.4", ""),
        ("card/2.jpg", "", "", "nothing is marked in it"),
        ("card/3.jpg", "", "", "the detector failed on it"),
        ("card/4.jpg", "animal", "1.2,0,0.1,0.1", "a box that lies outside its photo"),
        ("card/4.jpg", "7", "0,0,1,1", "a detection whose confidence is no number from 0 to 1"),
        ("", "", "", "an item of images that names no file"),
    ]
    assert [photo.confidence for photo in photos[:2]] == ["0.94", "0.05"] and photos[2].date == "2020-02-03 10:00:00"


def test_what_a_classifier_said_of_detections_is_their_label(read_import, written):
    image = {"file": "1.jpg", "detections": [{"category": "1", "conf": 0.9, "bbox": [0, 0, 1, 1], "classifications": [["0", 0.2], ["1", 0.7]]}]}
    image["detections"].append({"category": "1", "conf": 0.9, "bbox": [0, 0, 0.5, 1], "classifications": []})
    content = {"images": [image], "detection_categories": {"1": "animal"}, "classification_categories": {"0": "cow", "1": "deer"}}
    with pytest.warns(DataWarning):
        assert [row[1] for row in read_import(written("md.json", content))[1]] == ["deer", "animal"]


def test_a_detectors_file_without_categories_is_told(read_import, written):
    with pytest.raises(DataError, match=r"md.json is no output of MegaDetector: it has no detection_categories with names"):
        read_import(written("md.json", {"images": MEGADETECTOR["images"]}))


def test_a_turned_box_has_a_box_around_it():
    assert turned((10, 10, 20, 10), 90, (10, 10)) == pytest.approx((0, 10, 10, 20))
