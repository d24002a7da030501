import datetime
import json

import numpy as np
import pytest

from tfvision.apps.explorer.collection import Pictures
from tfvision.apps.explorer.corrections import Corrections, ranks_above
from tfvision.errors import DataError, RunError


def test_corrections_are_kept_with_who_and_when_and_can_be_restored(tmp_path):
    corrections = Corrections(tmp_path)
    assert corrections.correct({"species": {"a": " bee ", "b": "bee"}}, "Jo") == {"species": {"a": None, "b": None}}
    kept = Corrections(tmp_path).read()
    entry = kept["columns"]["species"]["a"]
    assert (entry["label"], entry["who"], kept["version"]) == ("bee", "Jo", 1)
    assert abs(datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(entry["when"])) < datetime.timedelta(minutes=1)
    before = corrections.correct({"species": {"a": "wasp", "b": None}}, "Mo")
    assert corrections.read()["columns"] == {"species": {"a": {**corrections.read()["columns"]["species"]["a"], "label": "wasp", "who": "Mo"}}}
    corrections.restore(before)
    assert corrections.read()["columns"] == kept["columns"]
    corrections.correct({"species": {"a": None, "b": None}}, "Jo")
    assert corrections.read()["columns"] == {}


@pytest.mark.parametrize(
    "label, who, message", [("", "Jo", "a label must be"), ("two\nlines", "Jo", "one line"), ("x" * 201, "Jo", "200"), ("bee", " ", "your name")]
)
def test_a_label_and_a_name_are_short_lines(tmp_path, label, who, message):
    with pytest.raises(DataError, match=message):
        Corrections(tmp_path).correct({"species": {"a": label}}, who)
    assert not (tmp_path / "corrections.json").exists()


def test_a_damaged_file_is_named_and_kept(tmp_path):
    (tmp_path / "corrections.json").write_text(json.dumps({"version": 1, "columns": {"species": {"a": "bee"}}}))
    with pytest.raises(RunError, match="corrections.json is no file of corrected labels"):
        Corrections(tmp_path).correct({"species": {"a": "wasp"}}, "Jo")
    with pytest.raises(DataError, match="a label, a name and a time"):
        Corrections(tmp_path / "new").restore({"species": {"a": {"label": "wasp"}}})


@pytest.fixture
def pictures():
    """Six pictures with two ranks, a split that is none, and a place that follows no label."""
    columns = {
        "genus": (["Apis", "Vespa"], np.int32([0, 0, 0, 1, 1, -1])),
        "species": (["mellifera", "cerana", "crabro"], np.int32([0, 0, 1, 2, 2, -1])),
        "split": (["train", "test"], np.int32([0, 0, 0, 1, 1, 1])),
        "place": (["here", "there"], np.int32([0, 1, 0, 1, 0, 1])),
    }
    return Pictures(list("abcdef"), lambda position: f"/photos/{position}.jpg", columns)


def test_corrected_labels_are_shown_in_the_place_of_the_sources(pictures):
    entry = {"who": "Jo", "when": ""}
    pictures.correct(
        {"version": 3, "columns": {"species": {"a": {"label": "crabro", **entry}, "f": {"label": "new", **entry}, "gone": {"label": "x", **entry}}, "x": {}}}
    )
    values, codes = pictures.columns["species"]
    assert [values[code] for code in codes] == ["crabro", "mellifera", "cerana", "crabro", "crabro", "new"] and pictures.corrections == 3
    assert pictures.given["species"][1].tolist() == [0, 0, 1, 2, 2, -1] and "new" not in pictures.given["species"][0]
    pictures.correct({"version": 4, "columns": {}})
    assert pictures.columns == pictures.given


def test_the_ranks_above_a_label_are_those_of_which_it_has_one_name(pictures):
    assert ranks_above(pictures.given, "species") == ["genus"] and ranks_above(pictures.given, "genus") == []
    with pytest.raises(DataError, match="no column 'kind': take one of genus, species"):
        ranks_above(pictures.given, "kind")


def test_what_is_said_more_keeps_the_corrections(pictures):
    entry = {"label": "crabro", "who": "Jo", "when": ""}
    pictures.correct({"version": 3, "columns": {"species": {"a": entry}, "answer": {"b": {**entry, "label": "no"}}}})
    before = pictures.changes
    pictures.say_more({"a": {"answer": "yes"}, "b": {"answer": "yes"}})
    assert list(pictures.columns) == ["answer", "genus", "species", "split", "place"] and pictures.answers == {"answer"}
    shown = {name: [values[code] for code in codes[:2]] for name, (values, codes) in pictures.columns.items()}
    assert (shown["species"], shown["answer"], pictures.corrections) == (["crabro", "mellifera"], ["yes", "no"], 3) and pictures.changes > before


def test_scales_are_of_the_columns_that_are_told_with_them(pictures):
    columns, scales = pictures.with_scales()
    assert columns is pictures.columns and scales == [None] * 4
    pictures.say_more({id: {"score": str(number)} for number, id in enumerate("abcdef")})
    columns, scales = pictures.with_scales()
    assert [(name, scale and scale.kind) for name, scale in zip(columns, scales, strict=True)][:2] == [("score", "number"), ("genus", None)]
    pictures.correct({"version": 1, "columns": {"species": {"a": {"label": "crabro", "who": "Jo", "when": ""}}}})
    assert pictures.with_scales()[1][0] is scales[0]  # of a column that is the same


@pytest.mark.parametrize("change", [{"label": "two\nlines"}, {"label": "x" * 201}, {"who": " "}, {"when": "x" * 201}])
def test_what_is_restored_is_short_lines_too(tmp_path, change):
    with pytest.raises(DataError):
        Corrections(tmp_path).restore({"species": {"a": {"label": "wasp", "who": "Jo", "when": "now", **change}}})
    assert not (tmp_path / "corrections.json").exists()
