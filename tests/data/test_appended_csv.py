import os

import pytest

from tfvision.data.appended_csv import AppendedCsv, one_line, read_appended
from tfvision.errors import DataError, StorageError

COLUMNS = ("name", "note")


def rows(path):
    return list(read_appended(path, COLUMNS))


def test_what_is_appended_is_read(tmp_path):
    path = tmp_path / "new" / "list.csv"
    with AppendedCsv(path, COLUMNS) as book:
        book.append(("a", 'a "quoted", text'), ("b", "two\nlines\0and a null"))
    with AppendedCsv(path, COLUMNS) as book:
        book.append(("ü", 1))
    assert rows(path) == [["a", 'a "quoted", text'], ["b", "two lines and a null"], ["ü", "1"]]
    assert path.read_bytes().count(b"\n") == 4


@pytest.mark.parametrize("lost", [1, 3, 8, 70_000])
def test_a_half_line_is_cut_off_before_the_next(tmp_path, lost):
    path = tmp_path / "list.csv"
    with AppendedCsv(path, COLUMNS) as book:
        book.append(("a", "1"))
        book.append(("b", "x" * 80_000 if lost > 100 else "12345"))
    os.truncate(path, path.stat().st_size - lost)
    assert rows(path) == [["a", "1"]]
    with AppendedCsv(path, COLUMNS) as book:
        book.append(("c", "3"))
    assert rows(path) == [["a", "1"], ["c", "3"]] and path.read_text() == "name,note\na,1\nc,3\n"


def test_a_file_of_a_header_cut_short_begins_anew(tmp_path):
    (tmp_path / "list.csv").write_text("nam")
    with AppendedCsv(tmp_path / "list.csv", COLUMNS):
        pass
    assert (tmp_path / "list.csv").read_text() == "name,note\n"


def test_only_one_may_write(tmp_path):
    with AppendedCsv(tmp_path / "list.csv", COLUMNS), pytest.raises(DataError, match="another process works on"):
        AppendedCsv(tmp_path / "list.csv", COLUMNS)
    AppendedCsv(tmp_path / "list.csv", COLUMNS).close()


@pytest.mark.parametrize("text", ["name,price\na,1\nb", "nome", "\n"])
def test_another_table_is_named_and_left_as_it_is(tmp_path, text):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(DataError, match="is another table than the one that is kept there, of name, note: move it away"):
        AppendedCsv(tmp_path / "list.csv", COLUMNS)
    assert (tmp_path / "list.csv").read_text() == text


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_full_disk_is_told():
    with pytest.raises(StorageError, match="/dev/full could not be written .No space left on device.: free some space"):
        AppendedCsv("/dev/full", COLUMNS)


def test_one_line():
    assert one_line(" a\r\nb\tc\ud800 ") == "a  b c" and one_line(7) == "7" and one_line("größe 🦋") == "größe 🦋"
