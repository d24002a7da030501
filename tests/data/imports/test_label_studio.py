"""Label Studio's exports, JSON and JSON-MIN, as version 1 writes them."""

import pytest

from tfvision.errors import DataError, DataWarning

PLACE = {"original_width": 200, "original_height": 100, "image_rotation": 0}


def _result(x, y, width, height, label, kind="rectanglelabels", **more):
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, kind: [label]}
    return {**PLACE, "value": value, "id": "a", "from_name": "label", "to_name": "image", "type": kind, "origin": "manual", **more}


def _task(id, image, *results, **annotation):
    return {"id": id, "annotations": [{"id": 1, "was_cancelled": False, "result": list(results), **annotation}], "predictions": [], "data": {"image": image}}


def test_rectangles_of_each_task_are_rows(read_import, written):
    choice = {"value": {"choices": ["empty"]}, "from_name": "choice", "to_name": "image", "type": "choices"}
    turned = _result(50, 50, 10, 40, "Vulpes vulpes")
    turned["value"]["rotation"] = 90  # about its upper left corner: 40 x 20 of 200 x 100 pixels becomes 40 wide to the left
    tasks = [
        _task(1, "/data/upload/3/8f3a1b2c-fox.jpg", _result(10, 20, 30, 40, "Vulpes vulpes"), _result(50, 20, 60, 40, "Meles meles"), turned),
        _task(2, "/data/local-files/?d=traps/a%20b.jpg", choice),
        _task(3, "https://x.org/3.jpg", _result(110, 0, 10, 10, "Meles meles"), _result(0, 0, 5, 5, "Meles meles", kind="brushlabels")),
        _task(4, "s3://bucket/traps/4.jpg"),
        _task(5, "5.jpg", _result(1, 1, 1, 1, "x"), was_cancelled=True),
        _task(6, "6.jpg", _result(1, 1, 1, 1, "Meles meles", image_rotation=90), _result(None, 1, 1, 1, "Meles meles")),
        {"id": 7, "annotations": [], "data": {"text": "no photo"}},
    ]
    kind, rows, photos = read_import(written("project-1.json", tasks))
    assert kind == "label-studio" and rows == [
        ("3/8f3a1b2c-fox.jpg", "Vulpes vulpes", "0.1,0.2,0.3,0.4", ""),
        ("3/8f3a1b2c-fox.jpg", "Meles meles", "0.5,0.2,0.5,0.4", ""),
        ("3/8f3a1b2c-fox.jpg", "Vulpes vulpes", "0.3,0.5,0.2,0.2", ""),
        ("traps/a b.jpg", "empty", "", ""),
        ("https://x.org/3.jpg", "Meles meles", "1.1,0,0.1,0.1", "a box that lies outside its photo"),
        ("https://x.org/3.jpg", "", "", "a shape that is no rectangle"),
        ("bucket/traps/4.jpg", "", "", "nothing is marked in it"),
        ("5.jpg", "", "", "nothing is marked in it"),
        ("6.jpg", "Meles meles", "", "the photo was turned while it was labelled, so that its boxes lie in another"),
        ("6.jpg", "Meles meles", "", "a box that is none: its numbers are no place with a width and a height"),
        ("", "", "", "a task without a photo"),
    ]
    assert [photo.is_local for photo in photos[3:6]] == [True, False, False] and photos[0].source_id == "1"


def test_json_min(read_import, written):
    label = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["Red fox"], "original_width": 200, "original_height": 100}
    tasks = [{"image": "/data/upload/1/a.jpg", "id": 1, "label": [label], "annotator": 1, "annotation_id": 5, "lead_time": 2.5}]
    tasks.append({"image": "/data/upload/1/b.jpg", "id": 2, "choice": "empty", "annotator": 1, "annotation_id": 6})
    tasks.append({"image": "/data/upload/1/c.jpg", "id": 3, "label": [{**label, "rectanglelabels": ["Badger"]}], "annotator": 1, "annotation_id": 7})
    with pytest.warns(DataWarning, match=r"has no scientific names: its categories \(Badger, Red fox, empty, ...\) are labels"):
        _, rows, _ = read_import(written("min.json", tasks))
    assert rows == [("1/a.jpg", "Red fox", "0.1,0.2,0.3,0.4", ""), ("1/b.jpg", "empty", "", ""), ("1/c.jpg", "Badger", "0.1,0.2,0.3,0.4", "")]


@pytest.mark.parametrize("content", [[], [1], [{"id": 1}], [{"data": {}}], [[[]]], "[" * 100_000, '[{"id": 1, "data": {}, "annotations": []}, '])
def test_what_is_no_export_is_told(read_import, written, content):
    with pytest.raises(DataError, match=r"a.json"):
        read_import(written("a.json", content))


def test_odd_values_end_nothing(read_import, written):
    tasks = [{"data": {"image": 3}, "annotations": [3, {"result": 3}, {"result": [3, {"value": 3}, {"value": {"rectanglelabels": 3, "choices": [3]}}]}]}, 7]
    tasks.append(_task(None, "a.jpg", {"value": {"x": 1e308, "y": 1, "width": 5, "height": 5, "rotation": 1e999, "rectanglelabels": ["a"]}, **PLACE}))
    rows = read_import(written("a.json", tasks))[1]
    assert [row[3][:20] for row in rows] == ["a task without a pho", "a box that is none: "]
