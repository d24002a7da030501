import json

import pytest

from tfvision.apps.survey.detected import box_of, detect, open_finder, text_of
from tfvision.apps.survey.state import FileState, SurveyState
from tfvision.data.boxes import OUTSIDE
from tfvision.data.detections import Detection
from tfvision.errors import DataError, DataWarning


class _Detector:
    name, identity, animals = "tiny.onnx", "1", frozenset(["animal"])

    def __init__(self):
        self.asked = []

    def of(self, photo):
        self.asked.append(photo.rpartition("/")[2])
        if photo.endswith("broken.jpg"):
            return [], f"{photo} is damaged"
        found = [("animal", 0.987654, (0.1, 0.2, 1 / 3, 0.4)), ("person", 0.5, (0, 0, 1, 1)), ("animal", 0.1, (0, 0, 1, 1)), ("animal", 0.01, (0, 0, 1, 1))]
        return [*(Detection(*one) for one in found), Detection("animal", 0.9, (2, 0, 1, 1), "", OUTSIDE)], ""


def test_a_detector_looks_at_each_photo_once(tmp_path):
    states, detector = {"a.jpg": FileState(3, 1), "broken.jpg": FileState(4, 1)}, _Detector()

    def ask(confidence):
        detector.asked = []
        with (
            SurveyState(tmp_path, "model", lambda: 1) as state,
            pytest.warns(DataWarning, match="1 of the detector's boxes is no place in the photo, such as in a.jpg: passed over"),
        ):
            return detect(detector, "card", states, state, confidence)

    told = ask(0.2)
    assert detector.asked == ["a.jpg", "broken.jpg"] and told.detector == "tiny.onnx" and told.found["broken.jpg"].problem == "broken.jpg is damaged"
    (animal,), (person,) = told.found["a.jpg"].animals, told.found["a.jpg"].others
    assert (animal.confidence, animal.box, person.category) == (0.9877, (0.1, 0.2, 0.3333, 0.4), "person")
    assert len(ask(0.05).found["a.jpg"].animals) == 2 and detector.asked == []  # what was kept says enough
    assert len(ask(0.005).found["a.jpg"].animals) == 3 and len(detector.asked) == 2
    assert len(ask(0.2).found["a.jpg"].animals) == 1 and detector.asked == []
    states["a.jpg"] = FileState(3, 2)
    assert ask(0.005).found and detector.asked == ["a.jpg"]
    detector.identity = "2"
    assert ask(0.005).found and len(detector.asked) == 2


def test_what_is_neither_animal_nor_person_is_told(tmp_path):
    detections = [{"category": id, "conf": 0.9, "bbox": [0, 0, 1, 1]} for id in ("1", "2", "7", "7")]
    told = {"detection_categories": {"1": "animal", "2": "person"}, "images": [{"file": "a.jpg", "detections": detections}]}
    (tmp_path / "md.json").write_text(json.dumps(told))
    finder = open_finder(tmp_path / "md.json", None, 0.2)
    with pytest.warns(DataWarning, match="what is no animal, person or vehicle is passed over: 2 x 7$"):
        (found,) = detect(finder, "card", {"a.jpg": FileState(1, 1)}, None, 0.2).found.values()
    assert (len(found.animals), [one.category for one in found.others]) == (1, ["person", "7", "7"])


def test_a_line_that_a_kill_cut_short_is_asked_for_again(tmp_path):
    detector = _Detector()
    for asked in (["a.jpg"], ["a.jpg"], []):
        with SurveyState(tmp_path, "model", lambda: 1) as state, pytest.warns(DataWarning):
            detect(detector, "card", {"a.jpg": FileState(3, 1)}, state, 0.2)
        assert detector.asked == asked
        content, detector.asked = (tmp_path / "state/found.csv").read_bytes(), []
        if asked and content.count(b"\n") == 2 and not (tmp_path / "cut").exists():
            (tmp_path / "cut").touch()
            (tmp_path / "state/found.csv").write_bytes(content[:-20])


@pytest.mark.parametrize("box", [(0.1, 0.2, 0.3, 0.4), (0.33333, 0.66666, 0.66667, 0.33334), (0, 0, 1, 1)])
def test_a_box_is_one_text_and_lies_in_its_photo(box):
    left, top, width, height = read = box_of(text_of(box))
    assert read == pytest.approx(box, abs=1e-4) and left + width <= 1 and top + height <= 1 and text_of(read) == text_of(box_of(text_of(read)))


def test_a_confidence_and_a_file_that_are_none_are_refused_first(tmp_path):
    with pytest.raises(DataError, match="--detection-confidence must lie between 0 and 1"):
        open_finder(None, None, 2)
    with pytest.raises(DataError, match="gone.json cannot be read"):
        open_finder(tmp_path / "gone.json", None, 0.2)
    assert open_finder(None, None, 0.2) is None
