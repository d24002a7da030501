"""What version 0.1.0 made opens, and answers as it did then, on both stacks: tests/frozen/README.md."""

import hashlib
import json
import runpy
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("figures_once", "opened_once")

FROZEN = Path(__file__).with_name("frozen")
ask = runpy.run_path(str(FROZEN / "questions.py"))["ask"]
ANSWERS = json.loads((FROZEN / "answers.json").read_text())


@pytest.fixture(scope="session")
def places(request):
    """{name: path} of all that the questions speak of."""
    fixtures = {
        **{name: f"{name}_run" for name in ("retriever", "detector", "matcher", "stylizer")},
        "species": "colour_run",
        "gallery": "colour_gallery",
        "prepared": "prepared_colours",
        "painting": "striped_painting",
        "colours": "colour_photos",
        "hues": "hue_photos",
        "detection": "detection_photos",
        "tattoos": "tattoo_photos",
    }
    export = request.getfixturevalue("colour_export").parent
    return {**{name: str(request.getfixturevalue(fixture)) for name, fixture in fixtures.items()}, "export": str(export)}


_MEASURED_ANEW = {"stylizer: stylize": {"content_loss", "style_loss"}}  # by vgg19_slim, which answers more as VGG19 does since


@pytest.mark.slow
@pytest.mark.parametrize("question", ANSWERS)
def test_it_answers_as_version_0_1_0_did(question, places, tmp_path):
    got = ask(question, places, str(tmp_path))
    assert len(got) == len(ANSWERS[question])
    for answer, expected in zip(got, ANSWERS[question], strict=True):
        _compare(answer, {key: value for key, value in expected.items() if key not in _MEASURED_ANEW.get(question, ())}, question)


def _compare(got, expected, where):
    """Alike but for the last digits of numbers, which processors round differently; answers may hold more than they did."""
    if isinstance(expected, dict):
        assert expected.keys() <= got.keys(), where
        for key, value in expected.items():
            if key == "picture":
                np.testing.assert_allclose(got[key], value, atol=2, err_msg=where)
            else:
                _compare(got[key], value, f"{where}, {key}")
    elif isinstance(expected, list):
        assert len(got) == len(expected), where
        for place, (value, other) in enumerate(zip(got, expected, strict=True)):
            _compare(value, other, f"{where}, {place}")
    elif isinstance(expected, float):
        assert got == pytest.approx(expected, rel=2e-3, abs=5e-4), where
    else:
        assert got == expected, where


def test_prepared_photos_are_those_that_were_prepared(prepared_colours):
    from tfvision.data.decoding import read_encoded
    from tfvision.data.manifest import read_source

    records = read_source(prepared_colours).records
    digest = hashlib.sha256(b"".join(read_encoded(record.path) for record in sorted(records, key=lambda record: record.name)))
    assert (len(records), digest.hexdigest()) == (48, "dec6ea4803c843a315f981faea1dd1261bf1964eacac81c96ae558dc7aad9e2e")


def test_photos_are_drawn_as_they_were_for_version_0_1_0(colour_photos, hue_photos, colour_run, retriever_run):
    """A run knows its photos by name and size; where Pillow writes other files one day, they must be stored here."""
    for photos, run in ((colour_photos, colour_run), (hue_photos, retriever_run)):
        lines = (run / "photos.csv").read_text().splitlines()[1:]
        assert {(photos / line.split(",")[0]).stat().st_size - int(line.split(",")[1]) for line in lines} == {0}
