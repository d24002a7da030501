import pytest

from tfvision.data.csv_table import CsvTable
from tfvision.data.label_columns import choose_label_columns
from tfvision.errors import DataError


def chosen(tmp_path, **columns):
    names = list(columns)
    lines = [",".join(names), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    return choose_label_columns(CsvTable.read(tmp_path / "manifest.csv"), names)


BIRDS = ["robin", "robin", "wren", "wren", "owl", "owl"] * 4


def test_columns_that_are_known_to_be_no_labels_are_not_taken(tmp_path):
    others = {name: [0, 1] * 12 for name in ("is_val", "observer", "recordedBy", "Event Date", "notes", "sequence", "BBox")}
    assert chosen(tmp_path, common_name=BIRDS, **others) == ("common_name",)


def test_a_chain_of_columns_with_one_parent_for_a_name_is_taken_whatever_they_are_called(tmp_path):
    of = {"robin": "songbird", "wren": "songbird", "owl": "raptor"}
    assert chosen(tmp_path, coarse=[of[bird] for bird in BIRDS], fine=BIRDS) == ("coarse", "fine")


def test_one_wrong_parent_in_a_chain_is_a_mistake_and_no_reason_to_ask(tmp_path):
    fine = [f"bird {number // 2 % 8}" for number in range(48)]
    coarse = ["a" if number // 2 % 8 < 4 else "b" for number in range(48)]
    coarse[0] = "b"
    assert chosen(tmp_path, coarse=coarse, fine=fine) == ("coarse", "fine")


@pytest.mark.parametrize("names", [("weather", "common_name"), ("common_name", "weather"), ("label", "weather")])
def test_a_column_called_like_a_label_is_taken_where_another_is_no_rank(tmp_path, names):
    columns = {"weather": ["sun", "rain"] * 12, "common_name": BIRDS, "label": BIRDS}
    assert chosen(tmp_path, **{name: columns[name] for name in names}) == tuple(name for name in names if name != "weather")


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (["sun", "rain"] * 12, "'second' is no rank below 'bird', as 'sun' stands under 3 names of it"),
        ([f"text {number}" for number in range(24)], "'second' is another one for nearly every photo"),
        (["x"] + [""] * 23, "'second' is empty for 23 of 24 photos"),
    ],
)
def test_where_it_cannot_be_told_the_user_is_asked(tmp_path, second, reason):
    with pytest.raises(DataError, match=f"manifest.csv: {reason}; name the columns that are labels, coarsest first, such as --ranks bird$"):
        chosen(tmp_path, bird=BIRDS, second=second)


def test_the_only_column_is_the_label_whatever_it_is_called(tmp_path):
    assert chosen(tmp_path, sex=["f", "m"] * 12) == ("sex",)
    with pytest.raises(DataError, match="has no label column; its columns are sex, observer: name them with --ranks"):
        chosen(tmp_path, sex=["f", "m"] * 12, observer=["x"] * 24)
