import json
import os

import pytest

from tfvision.data.detections import Detection, Detections, DetectorLog, check_confidence, find_animals
from tfvision.errors import DataError

ANIMAL = {"category": "1", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]}
PERSON = {"category": "2", "conf": 0.5, "bbox": [0.5, 0.2, 0.3, 0.4]}
NAMES = {"1": "animal", "2": "person"}


def _file(tmp_path, images, **members):
    path = tmp_path / "md.json"
    content = {"info": {"detector": "md_v5a", "format_version": "1.3"}, "detection_categories": NAMES, "images": images, **members}
    path.write_text(json.dumps(content))
    return path


def _image(file, *detections):
    return {"file": file, "detections": list(detections)}


def test_animals_above_the_confidence_and_what_else_there_is(tmp_path):
    faint, outside = {**ANIMAL, "conf": 0.1}, {**ANIMAL, "bbox": [1.5, 0, 0.1, 0.1]}
    surer = {**ANIMAL, "conf": 0.95, "bbox": [0.8, 0.8, 0.3, 0.1]}
    found = find_animals("a.jpg", Detections.read(_file(tmp_path, [_image("a.jpg", ANIMAL, PERSON, faint, outside, surer)])))
    assert found.animals == [Detection("animal", 0.95, pytest.approx((0.8, 0.8, 0.2, 0.1))), Detection("animal", 0.9, (0.1, 0.2, 0.3, 0.4))]
    assert (found.counts, found.outside, found.problem) == ({"animal": 2, "person": 1}, 1, "")
    assert len(find_animals("a.jpg", Detections.read(tmp_path / "md.json"), 0.05).animals) == 3
    with pytest.raises(DataError, match="--detection-confidence must lie between 0 and 1, got 20"):
        check_confidence(20)


def test_speciesnets_predictions_are_read_as_megadetectors(tmp_path):
    of = {"classifications": {"classes": ["id;mammalia;;;;;mammal"], "scores": [0.9]}, "prediction": "id;mammalia;;;;;mammal", "model_version": "4.0.0a"}
    person = {**PERSON, "label": "human"}
    predictions = [{"filepath": "card/a.jpg", "detections": [{**ANIMAL, "label": "animal"}, person], **of}, {"filepath": "card/b.jpg", "detections": []}]
    predictions.append({"filepath": "card/c.jpg", "failures": ["CLASSIFIER", "DETECTOR"], "model_version": "4.0.0a"})
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps({"made_by": "a tool", "predictions": predictions}))
    read = Detections.read(path)
    assert find_animals("a.jpg", read)[1:3] == ([Detection("animal", 0.9, (0.1, 0.2, 0.3, 0.4))], {"animal": 1, "human": 1})
    assert (read.of("b.jpg"), read.of("c.jpg"), read.detector) == (([], ""), ([], "the detector failed: DETECTOR"), "SpeciesNet 4.0.0a")
    path.write_text(json.dumps({"predictions": [{"prediction": "x"}]}))
    with pytest.raises(DataError, match="one of its images names no file"):
        Detections.read(path)


@pytest.mark.parametrize(
    ("file", "photo"),
    [
        ("100/1.jpg", "/data/card/100/1.jpg"),
        ("100/1.jpg", "card/./100/1.jpg"),
        ("./100/1.jpg", "100/1.jpg"),
        ("/mnt/card/100/1.jpg", "100/1.jpg"),
        ("D:\\card\\100\\1.jpg", "100/1.jpg"),
        ("D:\\card\\100\\1.jpg", "/elsewhere/100/1.jpg"),
    ],
)
def test_a_photo_is_found_by_the_end_of_its_path(tmp_path, file, photo):
    folder = file.rpartition("100")[0]
    detections = Detections.read(_file(tmp_path, [_image(file, ANIMAL), _image(f"{folder}101/1.jpg", PERSON)]))
    assert [one.category for one in detections.of(photo)[0]] == ["animal"]


def test_a_photo_that_is_none_or_several_is_told(tmp_path):
    detections = Detections.read(
        _file(tmp_path, [_image("a/1.jpg", ANIMAL), _image("b/1.jpg"), {"file": "c/2.jpg", "failure": "no image", "detections": None}])
    )
    assert detections.of("c/1.jpg") == ([], f"{tmp_path}/md.json does not name it: run the detector on it, too")
    assert "names several files that it may be, a/1.jpg and b/1.jpg" in detections.of("1.jpg")[1]
    assert detections.of("c/2.jpg") == ([], "the detector failed: no image")
    assert detections.of("b/1.jpg") == ([], "")


def test_a_file_of_another_folder_names_no_photo_by_accident(tmp_path):
    detections = Detections.read(_file(tmp_path, [_image("1.jpg", ANIMAL), _image("2.jpg")]))
    detections.check(["card/a/1.jpg", "card/b/1.jpg", "card/b/2.jpg"])
    remedy = "give the folder that the detector was given"
    assert detections.of("card/a/1.jpg") == ([], f"{tmp_path}/md.json names 1.jpg, which may be card/b/1.jpg as well: {remedy}")
    assert detections.of("card/b/2.jpg") == ([], "")
    detections.check(["card/a/1.jpg", "./card/a/1.jpg", os.path.abspath("card/a/1.jpg")])  # one photo, given three times
    assert [len(detections.of(photo)[0]) for photo in ("card/a/1.jpg", "./card/a/1.jpg")] == [1, 1]
    with pytest.raises(DataError, match=rf"md.json names none of the photos, such as card/x.jpg; it names files such as 1.jpg: {remedy}, or run it on"):
        detections.check(["card/x.jpg"])
    alone = Detections.read(tmp_path / "md.json")
    with pytest.raises(DataError, match=r"card/a/1.jpg: .*md.json names 1.jpg, which may be card/b/1.jpg as well"):
        alone.check(["card/a/1.jpg", "card/b/1.jpg"])
    with pytest.raises(DataError, match="it names no file at all"):
        Detections.read(_file(tmp_path, [])).check(["card/x.jpg"])


def test_a_file_that_stands_there_twice_is_one(tmp_path):
    detections = Detections.read(_file(tmp_path, [_image("a.jpg", ANIMAL), _image("a.jpg", ANIMAL), _image("b.jpg", ANIMAL), _image("b.jpg")]))
    assert len(detections.of("a.jpg")[0]) == 1
    assert detections.of("b.jpg") == ([], f"{tmp_path}/md.json has two different answers to b.jpg: remove one of them")


def test_where_no_category_is_called_animal_all_but_people_and_vehicles_are(tmp_path):
    path = _file(tmp_path, [], detection_categories={"0": "person", "1": "bird", "2": "car", "3": "dog"})
    assert Detections.read(path).animals == {"bird", "dog"}


def test_what_is_read_is_written_unchanged(tmp_path):
    more = {"category": "1", "conf": 0.123456, "bbox": [0.1234, 0, 1, 1], "classifications": [["3", 0.9]], "frame_number": 3}
    path = _file(tmp_path, [_image("a.jpg", more), {"file": "b.jpg", "failure": "x", "detections": None}], classification_categories={"3": "fox"}, own=[1, {}])
    Detections.read(path).write(tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == json.loads(path.read_text())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "it has no detection_categories with names"),
        ('{"images": []}', "it has no detection_categories with names"),
        ('{"images": [], "detection_categories": {}}', "it has no detection_categories with names"),
        ('{"images": [{"detections": []}], "detection_categories": {"1": "animal"}}', "one of its images names no file"),
        ('{"images": [3], "detection_categories": {"1": "animal"}}', "one of its images names no file"),
        ('{"images": [', "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
    ],
)
def test_what_is_no_output_of_megadetector_is_told(tmp_path, text, message):
    (tmp_path / "md.json").write_text(text)
    with pytest.raises(DataError, match=f"md.json .*{message}"):
        Detections.read(tmp_path / "md.json")
    with pytest.raises(DataError, match=r"gone.json cannot be read \(No such file or directory\): name the JSON that MegaDetector wrote"):
        Detections.read(tmp_path / "gone.json")


def test_odd_values_are_problems_of_their_detection(tmp_path):
    odd = [{"category": 1, "conf": None, "bbox": [0, 0, 1, 1]}, {"conf": 0.5, "bbox": "x"}, {"category": "1", "conf": 0.5, "bbox": [0, 0, float("nan"), 1]}, 3]
    found, problem = Detections.read(_file(tmp_path, [_image("a.jpg", *odd)])).of("a.jpg")
    assert problem == "" and len(found) == 3 and all(one.problem for one in found)


def test_what_a_detector_found_is_written_as_megadetector_does(tmp_path):
    class Detector:
        name, categories, animals, asked = "tiny.tflite", NAMES, frozenset(["animal"]), 0

        def of(self, photo):
            self.asked += 1
            return ([], "broken.jpg is damaged") if photo == "broken.jpg" else ([Detection("animal", 0.98761, (0.1, 0.2, 1 / 3, 0.4))], "")

    log = DetectorLog(detector := Detector())
    for photo in ("a.jpg", "broken.jpg", "a.jpg"):
        log.of(photo)
    log.write(tmp_path / "out.json")
    read = Detections.read(tmp_path / "out.json")
    assert detector.asked == 2 and read.of("a.jpg")[0] == [Detection("animal", 0.9876, (0.1, 0.2, 0.3333, 0.4))]
    assert read.of("broken.jpg")[1] == "the detector failed: broken.jpg is damaged"
    assert json.loads((tmp_path / "out.json").read_text())["info"] == {"detector": "tiny.tflite", "format_version": "1.4"}
