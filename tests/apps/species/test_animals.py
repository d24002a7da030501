import pytest

from tfvision.apps.species import animals
from tfvision.apps.species.animals import identify_animals
from tfvision.data.detections import Detection
from tfvision.errors import DataError


class _Finder:
    animals = frozenset(["animal"])
    found = {
        "two.jpg": ([Detection("animal", 0.5, (0, 0, 0.5, 1)), Detection("person", 0.9, (0, 0, 1, 1)), Detection("animal", 0.9, (0.5, 0, 0.5, 1))], ""),
        "none.jpg": ([Detection("animal", 0.1, (0, 0, 1, 1)), Detection("person", 0.9, (0, 0, 1, 1))], ""),
        "unknown.jpg": ([], "md.json does not name it"),
        "broken.jpg": ([Detection("animal", 0.9, (0, 0, 1, 1))], ""),
        "odd.jpg": ([Detection("animal", 0.9, (2, 0, 1, 1), "", "a box that lies outside its photo")], ""),
    }

    def of(self, photo):
        return self.found[photo]


class _Identifier:
    """Answers by the box."""

    def identify(self, photos, within, box, threshold, target_accuracy, unknown_share, boxes):
        assert (within, box, threshold, target_accuracy, unknown_share) == (("Insecta",), None, 0.5, None, None)
        for photo, own in zip(photos, boxes, strict=True):
            yield {"image": photo, "error": f"{photo} is damaged"} if photo == "broken.jpg" else {"image": photo, "taxon": f"at {own[0]}"}


@pytest.mark.parametrize("at_once", [1, 2, 256])
def test_each_animal_has_an_answer_and_each_photo_its_counts(monkeypatch, at_once):
    monkeypatch.setattr(animals, "_PHOTOS_AT_ONCE", at_once)
    answers = list(identify_animals(_Identifier(), [*_Finder.found], _Finder(), within=("Insecta",), threshold=0.5))
    assert answers == [
        {
            "image": "two.jpg",
            "animals": [{"taxon": "at 0.5", "box": [0.5, 0, 0.5, 1], "confidence": 0.9}, {"taxon": "at 0", "box": [0, 0, 0.5, 1], "confidence": 0.5}],
            "counts": {"person": 1, "animal": 2},
        },
        {"image": "none.jpg", "animals": [], "counts": {"person": 1}},
        {"image": "unknown.jpg", "error": "unknown.jpg: md.json does not name it"},
        {"image": "broken.jpg", "error": "broken.jpg is damaged"},
        {"image": "odd.jpg", "animals": [], "counts": {}, "outside": 1},
    ]


def test_a_confidence_that_is_none_is_told():
    with pytest.raises(DataError, match="--detection-confidence must lie between 0 and 1, got 20"):
        next(identify_animals(_Identifier(), ["two.jpg"], _Finder(), 20))
