import os

import pytest

from tfvision.data.imports.scratch import MOST_KEYS, Lookup, scratch_database
from tfvision.errors import DataError, StorageError


def test_the_first_row_of_a_key_counts_and_values_come_back_as_they_were(tmp_path):
    with scratch_database(tmp_path) as database:
        table = Lookup(database, "things")
        table.fill([("b", "1", ""), ("a", "x\x1fy", "é\n"), ("b", "2", "3"), *((str(number), str(number), "") for number in range(2000))])
        assert table.get("b") == ["1", ""] and table.get("a") == ["x y", "é\n"] and table.get("c") is None and len(table) == 2003
        keys = [str(number) for number in range(MOST_KEYS)]
        assert table.get_all(keys) == {key: [key, ""] for key in keys}


def test_nothing_is_left_whatever_happens(tmp_path):
    folder = tmp_path / "new"
    with pytest.raises(DataError, match="mine"), scratch_database(folder) as database:
        database.execute("CREATE TABLE t (a)")
        assert len(os.listdir(folder)) == 1
        raise DataError("mine")
    assert os.listdir(folder) == []


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="could not be written"), scratch_database(tmp_path / "file" / "inner"):
        pass


def test_a_full_disk_is_told(tmp_path):
    with pytest.raises(StorageError, match="could not be written .*full"), scratch_database(tmp_path) as database:
        database.execute("PRAGMA max_page_count = 10")
        Lookup(database, "things").fill((str(number), "x" * 1000) for number in range(1000))
    assert os.listdir(tmp_path) == []
