import json
import os
import threading

import pytest

from tfvision.apps.explorer import kept_file
from tfvision.apps.explorer.state import Notes
from tfvision.errors import DataError, RunError, StorageError


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


def test_a_question_that_was_forgotten_comes_back_once(tmp_path):
    notes = Notes(tmp_path)
    notes.mark("faces", "id:q", {"a": True})
    before = notes.read()["questions"]
    notes.drop_question("faces")
    notes.mark("faces", "id:other", {"b": True})  # it begins anew
    with pytest.raises(DataError, match="nothing was restored"):
        notes.restore_question("faces")
    notes.mark("faces", "id:other", {"b": None})  # which is taken back
    notes.restore_question("faces")
    assert notes.read()["questions"] == before
    with pytest.raises(DataError, match="nothing was restored"):
        notes.restore_question("faces")


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


@pytest.mark.parametrize(
    "change",
    [
        {"tags": {"one": "a"}},
        {"tags": {"one": [1]}},
        {"questions": {"wings": {"marks": {}}}},
        {"questions": {"wings": {"conclusion": "", "marks": {"id:a": {"b": "yes"}}}}},
        {"questions": []},
        {"version": None},
    ],
)
def test_marks_that_are_not_whole_are_refused_and_kept(tmp_path, change):
    notes = Notes(tmp_path)
    notes.tag("one", ["a"])
    path = tmp_path / "notes.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    before = path.read_bytes()
    with pytest.raises(RunError, match=rf"notes.json is no file of notes, its '{next(iter(change))}' cannot be: restore it from a copy, or move it away"):
        notes.tag("two", ["b"])
    assert path.read_bytes() == before


def test_notes_behind_a_link_that_leads_nowhere_are_not_begun_anew(tmp_path):
    (tmp_path / "notes.json").symlink_to(tmp_path / "a disk that is not mounted")
    with pytest.raises(RunError, match=r"notes.json does not exist"):
        Notes(tmp_path).tag("one", ["a"])
    assert (tmp_path / "notes.json").is_symlink()


def test_a_lock_that_cannot_be_had_is_named(tmp_path):
    (tmp_path / "notes.lock").mkdir()
    with pytest.raises(StorageError, match="notes.lock could not be written"):
        Notes(tmp_path).tag("one", ["a"])


def test_a_change_within_one_tick_of_the_files_clock_is_not_lost(tmp_path):
    ours, theirs, path = Notes(tmp_path), Notes(tmp_path), tmp_path / "notes.json"
    ours.tag("one", ["a"])
    ours.read()
    before = path.stat()
    theirs.tag("two", ["b"])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    ours.tag("six", ["c"])
    assert set(Notes(tmp_path).read()["tags"]) == {"one", "two", "six"}


def test_a_question_that_could_not_be_written_can_be_restored_later(tmp_path, monkeypatch):
    notes = Notes(tmp_path)
    notes.mark("faces", "id:q", {"a": True})
    before = notes.read()["questions"]
    notes.drop_question("faces")

    def full(path, value):
        raise StorageError("the disk is full")

    with monkeypatch.context() as patched, pytest.raises(StorageError):
        patched.setattr(kept_file, "write_json", full)
        notes.restore_question("faces")
    notes.restore_question("faces")
    assert notes.read()["questions"] == before
