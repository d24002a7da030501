import csv
import io
import warnings

import pytest

from tfvision.data.csv_table import CsvTable, Dialect, column_names, csv_text, read_rows, read_text
from tfvision.errors import DataError, DataWarning


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


@pytest.mark.parametrize(
    "content", [None, b"\x89PNG\r\n\x1a\n" + bytes(range(32)) * 9, b"PK\x03\x04" + bytes(range(32)) * 9], ids=["no file", "an image", "a workbook"]
)
def test_what_is_no_table_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(DataError, match="table.csv (cannot be read as a CSV|is no table of text( but a zip or an Excel workbook: save the sheet as CSV)?)"):
        CsvTable.read(tmp_path / "table.csv")


def warned(call):
    """(what the call returns, the texts of its warnings without the path)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call()
    assert all(issubclass(one.category, DataWarning) for one in caught)
    return result, [str(one.message).partition("table.csv")[2].lstrip(",: ") for one in caught]


TABLE = "image,species\n1.jpg,Parus major\n2.jpg,Pyrrhula pyrrhula\n"


@pytest.mark.parametrize(
    "encoded",
    [
        TABLE.encode(),
        TABLE.encode("utf-8-sig"),
        TABLE.encode("utf-16"),
        TABLE.encode("utf-16-le"),
        TABLE.encode("utf-16-be"),
        TABLE.encode("utf-32"),
        TABLE.replace(",", ";").replace("\n", "\r\n").encode(),
        TABLE.replace(",", "\t").encode(),
        TABLE.replace(",", "|").encode(),
        TABLE.replace("\n", "\r").encode(),
        TABLE.replace(",", "\t").replace("\n", "\r").encode(),
        ("sep=;\r\n" + TABLE.replace(",", ";")).encode(),
        TABLE.replace("image", "Image ").replace("species", " SPECIES").encode(),
        ("\n" + TABLE + ",\n  , \n\n").encode(),
        TABLE.replace("\n", ",,\n").encode(),
        TABLE.replace(",", "\t").replace("Parus major", '"Parus major"').encode(),
        TABLE.replace(",", ', "').replace("\n", '"\n').encode(),
        (TABLE + "\x1a").encode(),
        TABLE.replace("image", '"image"').replace("species", '"species"').encode(),
    ],
)
def test_a_table_is_read_however_it_was_written(tmp_path, encoded):
    (tmp_path / "table.csv").write_bytes(encoded)
    table, told = warned(lambda: CsvTable.read(tmp_path / "table.csv", ("image", "species")))
    assert (table.texts("image"), table.texts("species"), told) == (("1.jpg", "2.jpg"), ("Parus major", "Pyrrhula pyrrhula"), [])


@pytest.mark.parametrize(
    ("header", "row", "delimiter"),
    [
        ("image;note, free, text", "1.jpg;hello", ";"),
        ("Date, time;species;image", "2024;x;1.jpg", ";"),
        ("image;box (left,top,width,height)", "1.jpg;1,2,3,4", ";"),
        ("image,habitat; remarks", "1.jpg,meadow", ","),
        ('"a;b",c', "1,2", ","),
        ("image", "1,2", ","),
        ("image species\tlocality", "1\t2", "\t"),
        ("", "", ","),
    ],
)
def test_the_delimiter_is_the_headers_first_that_parts_the_rows_too(header, row, delimiter):
    assert Dialect.of("\n".join([header, *[row] * 5, ""]).encode(), "x").delimiter == delimiter


def test_a_quote_that_swallows_rows_is_told_with_their_number(tmp_path):
    text = 'image,species,place\n1,a,x\n2,a,"Old quarry\n3,a,x\n4,"a, b",x\n5,b,House"\n6,b,NSG "Ponds"\n'
    rows, told = warned(lambda: list(read_rows(write(tmp_path, text))))
    assert [line for line, _ in rows] == [1, 2, 5, 6, 7] and rows[-1][1] == ["6", "b", 'NSG "Ponds"']
    assert told[0] == "line 3 has a quoted field that runs on to line 5; 2 lines that look like rows went into it: remove the stray quote"


def test_a_field_that_rightly_runs_over_lines_is_told_once(tmp_path):
    text = 'image,note\n1,"two\nlines"\n2,"three\nmore\nlines"\n'
    rows, told = warned(lambda: list(read_rows(write(tmp_path, text))))
    assert [cells for _, cells in rows[1:]] == [["1", "two\nlines"], ["2", "three\nmore\nlines"]]
    assert told == ["line 2 has a quoted field that runs on to line 3, as does 1 more; none looks like a row"]


@pytest.mark.parametrize("end", ["3,b\n4,c\n", "", "3,b"])
def test_a_quote_that_is_never_closed_swallows_nothing(tmp_path, end):
    rows, told = warned(lambda: list(read_rows(write(tmp_path, f'image,place\n1,"a, b"\n2,"Old quarry\n{end}'))))
    assert [cells for _, cells in rows[1:]] == [["1", "a, b"], ["2", "Old quarry"], *(line.split(",") for line in end.split())]
    assert [line for line, _ in rows] == list(range(1, len(rows) + 1))
    assert told == ["line 3 opens a quote that is never closed: it is passed over; remove it"]


def test_a_field_beyond_all_measure_is_read_as_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("tfvision.data.csv_table.MAX_LINE_CHARACTERS", 500)
    rows, told = warned(lambda: list(read_rows(write(tmp_path, 'a,b\n1,"x\n' + "2,y\n" * 300))))
    assert len(rows) == 302 and told == ["line 2 opens a quote that is never closed: it is passed over; remove it"]


def test_a_long_cell_is_read(tmp_path):
    assert CsvTable.read(write(tmp_path, f"a,b\n1,{'x' * 200_000}\n")).texts("b") == ("x" * 200_000,)


@pytest.mark.parametrize(
    ("content", "cells", "told"),
    [
        (b"a,b\n1,M\xe4lar \x80\n2,M\xc3\xa4lar\n", ["Mälar €", "Mälar"], "line 2 is not in UTF-8: its bytes are read as Windows' (cp1252)"),
        (b"a,b\n1,x\0\0y\n\0\0\0\n2,z\n", ["xy", "z"], "line 2 has characters of value zero, which are left out (1 more such line)"),
        (b"a,b\n1,x, y\n2,z,,\n", ["x", "z"], "line 2 has 3 cells, the header 2: what is beyond is left out; put quotes around a cell that holds ','"),
        (b"a,b,b\n1,x,y\n2,,z\n", ["y", "z"], "the column 'b' stands twice: the last one counts"),
    ],
)
def test_what_is_not_taken_as_it_stands_is_told(tmp_path, content, cells, told):
    (tmp_path / "table.csv").write_bytes(content)
    table, warnings = warned(lambda: CsvTable.read(tmp_path / "table.csv"))
    assert (table.texts("b"), warnings) == (tuple(cells), [told])


def test_tables_with_tabs_keep_their_lines_apart(tmp_path):
    rows, told = warned(lambda: list(read_rows(write(tmp_path, 'id\tplace\n1\t"Anegado, Bajo\n2\t"a ""b"""\n3\tx"\n'))))
    assert [cells for _, cells in rows[1:]] == [["1", '"Anegado, Bajo'], ["2", 'a "b"'], ["3", 'x"']] and told == []


def test_names_of_columns_are_known_in_any_case(tmp_path):
    assert column_names(["Image ", "Rights Holder", "Note", ""], ("image", "rights_holder")) == ("image", "rights_holder", "Note", "")
    assert column_names(["image", "Image", "IMAGE"], ("image",)) == ("image", "Image", "IMAGE")
    assert column_names(["Species", "SPECIES"], ("species",)) == ("Species", "SPECIES")


def test_the_text_of_a_list_in_any_encoding(tmp_path):
    for encoding in ("utf-8-sig", "utf-16", "cp1252"):
        (tmp_path / "list.txt").write_bytes("Mälar\nx\n".encode(encoding))
        assert warned(lambda: read_text(tmp_path / "list.txt"))[0].splitlines() == ["Mälar", "x"]
    with pytest.raises(DataError, match="gone.txt cannot be read"):
        read_text(tmp_path / "gone.txt")


def test_the_written_text_reads_back():
    rows = [["image", "note"], ["a.png", 'a "word", and\na line'], ["b.png", ""]]
    text = csv_text(rows)
    assert text.splitlines()[0] == "image,note" and "\r" not in text
    assert list(csv.reader(io.StringIO(text))) == rows
