"""Findings and the cleaned manifest, on one small set that has every trouble."""

import csv

import numpy as np
import pytest
from PIL import Image

from tfvision.data.checks.checking import CheckSettings, check_source, counts
from tfvision.data.checks.cleaning import write_cleaned
from tfvision.data.checks.findings import is_contradictory
from tfvision.data.manifest import Record, read_csv
from tfvision.errors import DataError, DataWarning, RecipeError
from tfvision.evaluation.data_report import headline

COLUMNS = ["image", "family", "species", "group", "split", "box", "licence"]


def scene(seed, size=(96, 80)):
    patches = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC)


def write(folder, rows):
    with open(folder / "manifest.csv", "w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def troubled(tmp_path_factory):
    """A folder with manifest.csv of 22 photos."""
    folder = tmp_path_factory.mktemp("troubled")
    rows = []

    def add(name, image, species="alba", split="train", group="", box=""):
        if isinstance(image, bytes):
            (folder / name).write_bytes(image)
        else:
            image.save(folder / name)
        rows.append([name, "Rosaceae", species, group, split, box, f"licence of {name}"])

    for number in range(6):
        add(f"good{number}.png", scene(number), split="test" if number == 5 else "train")
    add("text.jpg", b"This is no image.")
    add("cut.png", (folder / "good0.png").read_bytes()[:-3000])
    add("tiny.png", scene(10, (60, 30)))
    add("blank.png", Image.new("RGB", (96, 80), (10, 200, 30)))
    add("copy.bmp", scene(1))  # of good1.png, packed otherwise
    add("copy_of_test.png", scene(5))  # in train, of good5.png in test
    add("coarse.png", scene(2), species="")  # of good2.png, and says less
    add("one_name.png", scene(11), species="alba")
    add("other_name.png", scene(11), species="nigra")
    add("left.png", scene(12), species="alba", box="1,1,30,30")  # two animals in one photo
    add("right.png", scene(12), species="nigra", box="50,40,30,30")
    add("walk1.png", scene(13), group="walk", split="train")
    add("walk2.png", scene(14), group="walk", split="validation")
    add("walk3.png", scene(15), group="walk", split="validation")
    add("near.png", scene(3, (90, 75)), split="validation")  # of good3.png, smaller
    add("near_in_train.png", scene(4, (90, 75)))  # of good4.png
    write(folder, rows)
    return folder


@pytest.fixture(scope="module")
def check(troubled, tmp_path_factory):
    return check_source(troubled, tmp_path_factory.mktemp("out"))


def names(check, group):
    return {check.manifest.records[row].name for row in group}


def test_every_trouble_is_found_and_nothing_else(check):
    found = check.findings
    assert names(check, found.unreadable) == {"text.jpg"} and names(check, found.truncated) == {"cut.png"}
    assert names(check, found.tiny) == {"tiny.png"} and names(check, found.blank) == {"blank.png"}
    assert [names(check, group) for group in found.duplicates] == [{"good1.png", "copy.bmp"}, {"good2.png", "coarse.png"}, {"good5.png", "copy_of_test.png"}]
    assert [names(check, group) for group in found.contradictions] == [{"one_name.png", "other_name.png"}]
    assert [names(check, group) for group in found.near_duplicates] == [{"good3.png", "near.png"}, {"good4.png", "near_in_train.png"}]
    assert [names(check, group) for group in found.straddling_groups] == [{"walk1.png", "walk2.png", "walk3.png"}]
    assert [names(check, group) for group in found.straddling_duplicates] == [{"good3.png", "near.png"}, {"good5.png", "copy_of_test.png"}]
    assert counts(check) == {
        "unreadable": 1, "truncated": 1, "contradictions": 2, "duplicates": 3, "straddling_groups": 1, "straddling_duplicates": 2,
        "near_duplicates": 2, "two_parents": 0, "spellings": 0, "blank": 1, "tiny": 1,
    }  # fmt: skip


def test_the_result_tells_by_name(check):
    result = check.result()
    assert result["images"] == 22 and result["counts"] == counts(check) and tuple(result["ranks"]) == ("family", "species")
    assert result["tiny"] == [{"image": "tiny.png", "width": 60, "height": 30}] and result["blank"] == [{"image": "blank.png", "spread": 0.0}]
    assert result["truncated"][0]["image"] == "cut.png" and result["truncated"][0]["reason"].startswith("cut.png is ")
    assert result["contradictions"] == [
        [
            {"image": "one_name.png", "label": "Rosaceae / alba", "split": "train", "group": "one_name.png"},
            {"image": "other_name.png", "label": "Rosaceae / nigra", "split": "train", "group": "other_name.png"},
        ]
    ]
    assert [row["split"] for row in result["splits"]] == ["test", "train", "validation"]
    assert {row["format"]: row["photos"] for row in result["formats"]} == {"PNG": 20, "BMP": 1} and result["prepared"] is None


def test_a_wider_distance_and_a_higher_bound_find_more(troubled, check, tmp_path):
    strict = check_source(troubled, tmp_path, settings=CheckSettings(min_size_px=81, near_distance=12))
    assert len(strict.findings.tiny) == 20 and len(strict.findings.near_duplicates) >= 2
    assert not check_source(troubled, tmp_path, settings=CheckSettings(min_size_px=30)).findings.tiny
    with pytest.raises(RecipeError, match="near_distance is 0 to 12 bits of 64, got 20"):
        CheckSettings(near_distance=20)


@pytest.mark.parametrize(
    ("lineages", "expected"),
    [
        ([("a", "x"), ("a", "x")], False),
        ([("a", "x"), ("a", "y")], True),
        ([("a", ""), ("a", "y")], False),
        ([("a", ""), ("b", "")], True),
        ([("", "x"), ("b", "x"), ("b", "")], False),
    ],
)
def test_a_label_that_says_less_is_no_contradiction(lineages, expected):
    records = [Record("", str(row), lineage, "") for row, lineage in enumerate(lineages)]
    assert is_contradictory(records, range(len(records))) is expected


class TestCleaning:
    OUT = {"text.jpg", "cut.png", "copy.bmp", "coarse.png", "copy_of_test.png", "one_name.png", "other_name.png"}

    def test_the_cleaned_manifest_keeps_every_other_line_and_column(self, check, troubled, tmp_path):
        fixed = write_cleaned(check, tmp_path / "lists" / "clean.csv")
        before, after = read(troubled / "manifest.csv"), read(tmp_path / "lists" / "clean.csv")
        kept = [row for row in before if row["image"] not in self.OUT]
        assert list(after[0]) == COLUMNS and len(after) == fixed["images"] == 15
        for old, new in zip(kept, after, strict=True):
            moved = {"split": "validation"} if old["image"] == "walk1.png" else {}
            assert new == {**old, "image": new["image"], **moved}
            assert (tmp_path / "lists" / new["image"]).resolve() == (troubled / old["image"]).resolve()
        assert len(read_csv(tmp_path / "lists" / "clean.csv")) == 15

    def test_what_changed_is_listed_with_its_reason(self, check, tmp_path):
        fixed = write_cleaned(check, tmp_path / "clean.csv")
        assert fixed["left_out"] == {"unreadable": 1, "truncated": 1, "duplicate": 3, "contradictory labels": 2} and fixed["moved"] == 1
        changes = {row["image"]: (row["change"], row["detail"]) for row in read(fixed["changes"])}
        assert set(changes) == self.OUT | {"walk1.png"}
        assert changes["copy_of_test.png"] == ("duplicate", "of good5.png") and changes["coarse.png"] == ("duplicate", "of good2.png")
        assert changes["one_name.png"] == ("contradictory labels", "also labelled Rosaceae / nigra")
        assert changes["walk1.png"] == ("moved to another split", "train to validation, as its group walk")
        assert changes["text.jpg"][0] == "unreadable" and "is no image that can be read" in changes["text.jpg"][1]

    def test_a_second_check_finds_nothing_to_clean(self, check, tmp_path):
        write_cleaned(check, tmp_path / "clean.csv")
        again = counts(check_source(tmp_path / "clean.csv", tmp_path / "out"))
        assert {kind: again[kind] for kind in ("unreadable", "truncated", "contradictions", "duplicates", "straddling_groups")} == dict.fromkeys(
            ("unreadable", "truncated", "contradictions", "duplicates", "straddling_groups"), 0
        )
        assert again["near_duplicates"] == 2 and again["straddling_duplicates"] == 1  # those are the user's to judge

    def test_beside_its_source_paths_stay_as_they_were(self, check, troubled):
        write_cleaned(check, troubled / "clean.csv")
        assert {row["image"] for row in read(troubled / "clean.csv")} == {row["image"] for row in read(troubled / "manifest.csv")} - self.OUT

    def test_the_sources_own_list_is_not_replaced(self, check, troubled):
        before = (troubled / "manifest.csv").read_bytes()
        with pytest.raises(DataError, match="is the source's own list: give the cleaned one another name"):
            write_cleaned(check, troubled / "manifest.csv")
        assert (troubled / "manifest.csv").read_bytes() == before

    def test_class_folders_become_a_manifest(self, tmp_path):
        for number, name in enumerate(["a/1.png", "a/2.png", "b/3.png"]):
            (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
            scene(number % 2).save(tmp_path / "photos" / name)  # b/3.png is a/1.png
        (tmp_path / "photos" / "b" / "4.png").write_bytes(b"")
        scene(9).save(tmp_path / "photos" / "b" / "5.png")
        check = check_source(tmp_path / "photos", tmp_path / "out")
        fixed = write_cleaned(check, tmp_path / "clean.csv")
        assert fixed["left_out"] == {"unreadable": 1, "contradictory labels": 2}
        assert read(tmp_path / "clean.csv") == [{"image": "photos/a/2.png", "species": "a"}, {"image": "photos/b/5.png", "species": "b"}]

    def test_where_nothing_would_be_left_nothing_is_written(self, tmp_path):
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "1.png").write_bytes(b"")
        with pytest.raises(DataError, match="none of the 1 photos"):
            write_cleaned(check_source(tmp_path / "a" / "..", tmp_path / "out"), tmp_path / "clean.csv")
        assert not (tmp_path / "clean.csv").exists()


def test_a_list_that_loses_rows_is_not_sound(tmp_path):
    for name in "123":
        scene(int(name)).save(tmp_path / f"{name}.png")
    (tmp_path / "manifest.csv").write_text('image,species,place\n1.png,a,x\n2.png,a,"Old quarry\n3.png,a,x"\n')
    with pytest.warns(DataWarning, match="line 3 has a quoted field that runs on to line 4; 1 line that look"):
        result = check_source(tmp_path, tmp_path / "out").result()
    assert len(result["warnings"]) == 1 and headline(result) == "2 photos of 1 class: the list of photos gives 1 warning."
