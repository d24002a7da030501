import json
import threading

import pytest

from tfvision.apps.explorer.state import Notes
from tfvision.errors import DataError, RunError


def test_tags_are_kept_in_order_without_repeats(tmp_path):
    notes = Notes(tmp_path)
    notes.tag("good", ["b", "a", "b"])
    notes.tag("good", ["c", "a"])
    assert Notes(tmp_path).read()["tags"] == {"good": ["b", "c", "a"]}
    notes.tag("good", ["b", "c", "a"], is_tagged=False)
    assert notes.read()["tags"] == {} and notes.read()["version"] == 3


def test_marks_of_a_question_can_be_taken_back(tmp_path):
    notes = Notes(tmp_path)
    notes.mark("faces", "id:q", {"a": True, "b": False})
    notes.mark("faces", "id:q", {"a": None})
    notes.conclude("faces", "no, things")
    assert notes.read()["questions"] == {"faces": {"conclusion": "no, things", "marks": {"id:q": {"b": False}}}}
    notes.mark("faces", "id:q", {"b": None})
    assert notes.read()["questions"]["faces"]["marks"] == {}
    notes.drop_question("faces")
    assert notes.read()["questions"] == {}


def test_two_servers_write_without_losing_anything(tmp_path):
    def write(own):
        notes = Notes(tmp_path)
        for number in range(20):
            notes.tag(own, [f"{own} {number}"])

    threads = [threading.Thread(target=write, args=(name,)) for name in ("one", "two", "three")]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    notes = Notes(tmp_path).read()
    assert {tag: len(ids) for tag, ids in notes["tags"].items()} == {"one": 20, "two": 20, "three": 20} and notes["version"] == 60


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, None, 7])
def test_a_name_must_be_a_short_text(tmp_path, name):
    with pytest.raises(DataError, match="must be a text of 1 to 200 characters"):
        Notes(tmp_path).tag(name, ["a"])


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "notes.json").write_text(json.dumps({"version": "x"}))
    with pytest.raises(RunError, match="notes.json is no file of notes"):
        Notes(tmp_path).read()
