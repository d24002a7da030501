import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from tfvision.apps.retrieval.recipes import RECIPES
from tfvision.apps.retrieval.source import choose_training, read_retrieval_source, read_trial
from tfvision.errors import DataError

RECIPE = dataclasses.replace(RECIPES["small"](), held_out_fraction=0.25)


def _photos(folder, names, size=(8, 6)):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(folder / name)


def _manifest(folder, header, *rows):
    _photos(folder, [row.split(",")[0] for row in rows])
    (folder / "manifest.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


def test_groups_are_labels_where_there_are_no_others(tmp_path):
    source = read_retrieval_source(_manifest(tmp_path, "image,group", "a1.png,a", "b1.png,b", "a2.png,a"))
    assert source.labels == source.groups == ("a", "b", "a")
    assert source.is_query is None


def test_class_folders_are_groups(tmp_path):
    _photos(tmp_path, [f"{group}/{number}.png" for group in "ab" for number in range(4)])
    trial = read_trial(tmp_path, "ukbench")
    assert [question.relevant.tolist() for question in trial.questions] == [[0, 1, 2, 3]] * 4 + [[4, 5, 6, 7]] * 4


def test_holidays_asks_with_the_first_of_each_group_or_with_those_of_the_role(tmp_path):
    rows = ("a0.png,a,gallery", "a1.png,a,query", "b0.png,b,query", "b1.png,b,gallery")
    first = read_trial(_manifest(tmp_path / "plain", "image,group", *(row.rsplit(",", 1)[0] for row in rows)), "holidays")
    assert [question.query for question in first.questions] == [0, 2]
    by_role = read_trial(_manifest(tmp_path / "roles", "image,group,role", *rows), "holidays")
    assert [question.query for question in by_role.questions] == [1, 2]
    assert by_role.questions[0].ignored.tolist() == [1]


def test_labels_asks_by_the_finest_rank_and_not_for_photos_without_one(tmp_path):
    folder = _manifest(tmp_path, "image,coarse,fine", "1.png,fruit,apple", "2.png,fruit,pear", "3.png,fruit,", "4.png,fruit,apple")
    trial = read_trial(folder, "labels")
    assert [(question.query, question.relevant.tolist()) for question in trial.questions] == [(0, [0, 3]), (1, [1]), (3, [0, 3])]
    assert len(read_trial(folder, "labels", ("coarse",)).questions[0].relevant) == 4


def test_training_leaves_out_queries_and_other_splits(tmp_path):
    source = read_retrieval_source(_manifest(tmp_path, "image,label,role", "1.png,a,query", "2.png,a,gallery", "3.png,b,probe", "4.png,b,gallery"))
    assert choose_training(source, RECIPE).tolist() == [False, True, False, True]
    assert choose_training(source, dataclasses.replace(RECIPE, protocol_split="paper")).all()
    source = read_retrieval_source(_manifest(tmp_path, "image,label,split", "1.png,a,train", "2.png,a,test", "3.png,b,val", "4.png,b,train"))
    assert choose_training(source, RECIPE).tolist() == [True, False, False, True]


def test_training_holds_out_whole_classes_or_photos_of_each(tmp_path):
    _photos(tmp_path, [f"class{group}/{number}.png" for group in range(8) for number in range(4)])
    source = read_retrieval_source(tmp_path)
    by_class = choose_training(source, RECIPE).reshape(8, 4)
    assert (by_class.all(1) | ~by_class.any(1)).all() and by_class.all(1).sum() == 6
    by_photo = choose_training(source, dataclasses.replace(RECIPE, held_out="photos")).reshape(8, 4)
    assert (by_photo.sum(1) == 3).all()
    other = choose_training(source, dataclasses.replace(RECIPE, seed=1)).reshape(8, 4)
    assert not np.array_equal(other, by_class)


@pytest.fixture
def oxford(tmp_path):
    """Five photos at a quarter of the official size, one landmark with one official query."""
    _photos(tmp_path, [f"images/{name}.png" for name in ("hall_1", "hall_2", "hall_3", "hall_4", "other")], (256, 192))
    landmark = {"good": ["hall_1", "hall_2", "missing"], "ok": ["hall_3"], "junk": ["hall_4"]}
    stored = {"groundtruth": {"hall": {**landmark, "official_queries_present": [["hall_1", 40.0, 80.0, 440.0, 480.0]]}}}
    (tmp_path / "groundtruth.json").write_text(json.dumps(stored))
    return tmp_path


def test_oxfords_queries_are_cropped_to_their_box_and_find_their_own_photo(oxford):
    trial = read_trial(oxford, "oxford")
    assert [record.name for record in trial.gallery.records] == [f"images/{name}.png" for name in ("hall_1", "hall_2", "hall_3", "hall_4", "other")]
    assert trial.queries.records[0].box == (10.0, 20.0, 100.0, 100.0)  # of 256 px where the box is of 1024
    (question,) = trial.questions
    assert (question.relevant.tolist(), question.ignored.tolist()) == ([0, 1, 2], [3])


def test_oxfords_good_photos_ask_the_rest(oxford):
    trial = read_trial(oxford, "oxford", queries="good")
    assert [question.ignored.tolist() for question in trial.questions] == [[3, 0], [3, 1]]
    assert [record.box for record in trial.queries.records] == [(0.0, 0.0, 0.0, 0.0)] * 2


def test_oxfords_official_files_are_read(oxford):
    (oxford / "groundtruth.json").unlink()
    folder = oxford / "gt"
    folder.mkdir()
    (folder / "hall_1_query.txt").write_text("oxc1_hall_1 40.0 80.0 440.0 480.0\n")
    for kind, names in {"good": "hall_1\nhall_2\n", "ok": "hall_3\n", "junk": "hall_4\n"}.items():
        (folder / f"hall_1_{kind}.txt").write_text(names)
    trial = read_trial(oxford, "oxford")
    assert trial.queries.records[0].box == (10.0, 20.0, 100.0, 100.0)
    assert trial.questions[0].relevant.tolist() == [0, 1, 2]
    assert read_retrieval_source(oxford).labels == ("hall",) * 3  # good and ok train, the rest has no label


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ("oxford", "needs a folder with groundtruth.json"),
        ("ukbench", "needs groups of 4: group 'a' has 2 photos"),
        ("paris", "--protocol must be one of ukbench, holidays, oxford, labels"),
    ],
)
def test_sources_that_do_not_fit_the_protocol_are_refused(tmp_path, protocol, message):
    folder = _manifest(tmp_path, "image,group", "a1.png,a", "a2.png,a")
    with pytest.raises(DataError, match=message):
        read_trial(folder, protocol)


def test_damaged_ground_truth_is_named(oxford):
    (oxford / "groundtruth.json").write_text("{")
    with pytest.raises(DataError, match="the ground truth in .* cannot be read"):
        read_trial(oxford, "oxford")


def test_a_table_of_windows_is_read(tmp_path):
    _photos(tmp_path, ["a/1.png", "a/2.png"])
    (tmp_path / "manifest.csv").write_bytes("Image;Group;Role\r\na\\1.png;Köln;Query\r\na\\2.png;Köln;\r\n;;\r\n".encode("utf-16"))
    source = read_retrieval_source(tmp_path)
    assert source.groups == ("Köln", "Köln") and source.is_query.tolist() == [True, False]


def test_folders_of_splits_hold_their_photos_out_and_stray_folders_are_no_labels(tmp_path):
    _photos(tmp_path, [f"{name}/{number}.png" for name in ("Train/a", "Train/a/New folder", "Train/b", "Val/a") for number in range(2)])
    source = read_retrieval_source(tmp_path)
    assert source.labels == ("a",) * 4 + ("b",) * 2 + ("a",) * 2
    assert choose_training(source, RECIPE).tolist() == [True] * 6 + [False] * 2


def test_folders_of_any_depth_are_labels(tmp_path):
    _photos(tmp_path, ["animals/cats/lion/1.png", "fungi/2.png"])
    assert read_retrieval_source(tmp_path).labels == ("lion", "fungi")
