import csv
import io

import pytest

from tfvision.data.csv_table import CsvTable, csv_text, read_rows
from tfvision.errors import DataError


def write(folder, text):
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_columns_are_found_by_name_and_cells_stay_as_they_stand(tmp_path):
    table = CsvTable.read(write(tmp_path, "\ufeffimage , role\r\n a.png, probe \r\nb.png,\r\n"))
    assert table.header == ("image", "role")
    assert table.columns == {"image": (" a.png", "b.png"), "role": (" probe ", "")}


def test_a_row_may_be_shorter_or_longer_than_the_header(tmp_path):
    table = CsvTable.read(write(tmp_path, "a,b,c\n1\n1,2,3,4\n"))
    assert table.columns == {"a": ("1", "1"), "b": ("", "2"), "c": ("", "3")}


def test_a_column_that_is_not_there_is_empty_in_each_row(tmp_path):
    table = CsvTable.read(write(tmp_path, "a\n1\n2\n"))
    assert (table.texts("a"), table.texts("b"), len(table)) == (("1", "2"), ("", ""), 2)


def test_of_two_columns_of_one_name_the_last_counts(tmp_path):
    table = CsvTable.read(write(tmp_path, "a,b,a\n1,2,3\n"))
    assert (table.header, table.columns) == (("a", "b", "a"), {"a": ("3",), "b": ("2",)})


def test_rows_are_numbered_by_the_line_where_they_end_and_blank_lines_are_none(tmp_path):
    path = write(tmp_path, 'a,b\n\n1,"two\nlines"\n\n3,4\n')
    assert CsvTable.read(path).lines == (4, 6)
    assert list(read_rows(path)) == [(1, ["a", "b"]), (4, ["1", "two\nlines"]), (6, ["3", "4"])]


def test_an_empty_file_is_a_table_without_columns(tmp_path):
    table = CsvTable.read(write(tmp_path, ""))
    assert (table.header, table.columns, len(table)) == ((), {}, 0)


def test_a_text_that_stands_in_many_rows_is_kept_once(tmp_path):
    species = CsvTable.read(write(tmp_path, "species\n" + "Panthera leo\n" * 3)).columns["species"]
    assert len({id(text) for text in species}) == 1


def test_a_column_of_more_different_texts_than_are_looked_up_is_whole(tmp_path):
    texts = [f"{number}.jpg" for number in range(5000)] * 2
    assert CsvTable.read(write(tmp_path, "\n".join(["image", *texts]))).columns["image"] == tuple(texts)


@pytest.mark.parametrize("content", [None, b"a\n\xff\n", b'a\n"' + b"x" * 200_000 + b'"\n'], ids=["no file", "not UTF-8", "a cell without end"])
def test_what_cannot_be_read_is_named(tmp_path, content):
    limit = csv.field_size_limit(131_072)  # an import in this process may have raised it
    if content is not None:
        (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(DataError, match="table.csv cannot be read as a CSV"):
        CsvTable.read(tmp_path / "table.csv")
    csv.field_size_limit(limit)


def test_the_written_text_reads_back():
    rows = [["image", "note"], ["a.png", 'a "word", and\na line'], ["b.png", ""]]
    text = csv_text(rows)
    assert text.splitlines()[0] == "image,note" and "\r" not in text
    assert list(csv.reader(io.StringIO(text))) == rows
