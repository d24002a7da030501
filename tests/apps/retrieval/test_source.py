import dataclasses
import json
import pickle

import numpy as np
import pytest
from PIL import Image

from tfvision.apps.retrieval.recipes import RECIPES
from tfvision.apps.retrieval.source import choose_training, read_retrieval_source, read_trial, share_of
from tfvision.errors import DataError, DataWarning

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
    assert read_retrieval_source(oxford, train_on="all").labels == ("hall", "hall", "hall", "hall", "other")  # junk and others by the word in their names


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


def _official(folder, *queries):
    """Oxford as it is distributed: a text file a list, each query (landmark, number, photo, box, good, ok, junk)."""
    (folder / "gt_files_170407").mkdir(parents=True)
    for landmark, number, photo, box, *lists in queries:
        path = folder / "gt_files_170407" / f"{landmark}_{number}"
        path.with_name(f"{path.name}_query.txt").write_text(f"{photo} {box}\n")
        for kind, names in zip(("good", "ok", "junk"), lists, strict=True):
            path.with_name(f"{path.name}_{kind}.txt").write_text("".join(f"{name}\n" for name in names.split()))
    return folder


def test_oxfords_whole_photos_have_boxes_as_they_stand(tmp_path):
    _photos(tmp_path / "images", ["all_souls_000013.jpg", "oxford_002985.jpg"], (1024, 768))
    _photos(tmp_path / "images", ["all_souls_000026.jpg"], (640, 480))  # some official photos are smaller
    query = ("100.5 50 400.5 700", "all_souls_000013 all_souls_000026", "", "oxford_002985")
    _official(tmp_path, ("all_souls", 1, "oxc1_all_souls_000013", *query), ("all_souls", 2, "oxc1_all_souls_000026", *query))
    with pytest.warns(DataWarning, match="is read as Oxford buildings: 3 of its 5,063 photos, 2 of its 55 queries"):
        trial = read_trial(tmp_path)
    assert trial.protocol == "oxford"
    assert [record.box for record in trial.queries.records] == [(100.5, 50.0, 300.0, 650.0)] * 2


def test_paris_is_told_by_its_landmarks(tmp_path):
    _photos(tmp_path, [f"paris/{place}/paris_{place}_00000{number}.jpg" for place in ("defense", "general") for number in range(2)])
    _official(tmp_path, ("defense", 1, "paris_defense_000000", "0 0 8 6", "paris_defense_000000 paris_defense_000001", "", ""))
    with pytest.warns(DataWarning, match="is read as Paris: 4 of its 6,392 photos, 1 of its 55 queries"):
        assert read_trial(tmp_path).questions[0].relevant.tolist() == [0, 1]
    assert read_retrieval_source(tmp_path, train_on="all").labels == ("defense", "defense", "general", "general")


REVISED = {
    "imlist": ["all_souls_000001", "all_souls_000002", "oxford_000001", "oxford_000002", "keble_000001"],
    "qimlist": ["all_souls_000000", "oxford_000000", "keble_000000"],
    "gnd": [
        {"bbx": [1.0, 2.0, 5.0, 6.0], "easy": [0, 1], "hard": [2], "junk": [3]},
        {"bbx": [0, 0, 4, 3], "easy": np.array([1]), "hard": np.array([2]), "junk": []},
        {"bbx": [0, 0, 4, 3], "easy": [], "hard": [4], "junk": []},
    ],
}


@pytest.fixture(params=["pkl", "json"])
def revised(tmp_path, request):
    """Revisited Oxford: five photos of the gallery and three queries that are no part of it."""
    _photos(tmp_path / "jpg", [f"{name}.jpg" for name in (*REVISED["imlist"], *REVISED["qimlist"])], (1024, 768))
    path = tmp_path / f"gnd_roxford5k.{request.param}"
    path.write_bytes(pickle.dumps(REVISED, 2) if request.param == "pkl" else json.dumps(REVISED, default=np.ndarray.tolist).encode())
    return tmp_path


@pytest.mark.filterwarnings("ignore::tfvision.errors.DataWarning")
@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ("revisited-easy", [([0, 1], [2, 3]), ([1], [2]), ([], [4])]),
        ("revisited-medium", [([0, 1, 2], [3]), ([1, 2], []), ([4], [])]),
        ("revisited-hard", [([2], [0, 1, 3]), ([2], [1]), ([4], [])]),
        (None, [([0, 1, 2], [3]), ([1, 2], []), ([4], [])]),
    ],
)
def test_the_revisited_protocols_take_out_what_is_easier_or_harder(revised, protocol, expected):
    trial = read_trial(revised, protocol)
    names = [record.name.removeprefix("jpg/").removesuffix(".jpg") for record in trial.gallery.records]
    assert names == REVISED["imlist"] and len(trial.queries) == 3  # the queries are not searched
    named = [tuple(sorted(REVISED["imlist"].index(names[row]) for row in rows) for rows in (q.relevant, q.ignored)) for q in trial.questions]
    assert named == expected
    assert trial.protocol == protocol or (protocol is None and trial.protocol == "revisited-medium")
    assert trial.queries.records[0].box == (1.0, 2.0, 4.0, 4.0)


def test_revisited_counts_are_checked_and_landmarks_are_named_by_most_of_their_photos(revised):
    with pytest.warns(DataWarning, match="revisited Oxford: 5 of its 4,993 photos, 3 of its 70 queries"):
        read_trial(revised)
    source = read_retrieval_source(revised)
    labels = {record.name.removeprefix("jpg/").removesuffix(".jpg"): label for record, label in zip(source.manifest.records, source.labels, strict=True)}
    assert labels == {"all_souls_000001": "all_souls", "all_souls_000002": "all_souls", "oxford_000001": "all_souls", "keble_000001": "keble"}


@pytest.mark.filterwarnings("ignore::tfvision.errors.DataWarning")
def test_a_protocol_of_another_ground_truth_is_refused(revised):
    with pytest.raises(DataError, match="--protocol oxford goes by good, ok, but the ground truth of .* has easy, hard, junk: --protocol revisited-easy or"):
        read_trial(revised, "oxford")


def test_the_revisited_protocols_are_refused_for_oxfords_own_files(oxford):
    with pytest.raises(DataError, match="--protocol revisited-easy goes by easy, but the ground truth of .* has good, junk, ok: --protocol oxford"):
        read_trial(oxford, "revisited-easy")


def test_a_pickle_that_would_run_something_is_refused_unread(tmp_path):
    _photos(tmp_path, ["a.jpg"])
    (tmp_path / "gnd_roxford5k.pkl").write_bytes(pickle.dumps({"imlist": print}))
    with pytest.raises(DataError, match="gnd_roxford5k.pkl is a pickle that is not read: it names builtins print"):
        read_trial(tmp_path, "revisited-hard")


@pytest.mark.filterwarnings("ignore::tfvision.errors.DataWarning")
def test_benchmarks_are_asked_by_their_own_protocol(tmp_path):
    _photos(tmp_path / "ukbench", [f"ukbench{number:05d}.jpg" for number in range(10)])
    trial = read_trial(tmp_path / "ukbench")
    assert trial.protocol == "ukbench"
    assert [question.relevant.tolist() for question in trial.questions] == [[0, 1, 2, 3]] * 4 + [[4, 5, 6, 7]] * 4  # two photos of the third object do not ask
    _photos(tmp_path / "holidays", ["100000.jpg", "100001.jpg", "100100.jpg", "100101.jpg", "100102.jpg"])
    trial = read_trial(tmp_path / "holidays")
    assert trial.protocol == "holidays"
    assert [(q.query, q.relevant.tolist(), q.ignored.tolist()) for q in trial.questions] == [(0, [0, 1], [0]), (2, [2, 3, 4], [2])]
    assert read_trial(tmp_path / "holidays", "labels").protocol == "labels"


@pytest.mark.filterwarnings("ignore::tfvision.errors.DataWarning")
def test_holidays_queries_and_the_test_splits_of_lists_are_held_out(tmp_path):
    _photos(tmp_path / "holidays", ["100000.jpg", "100001.jpg", "100100.jpg", "100101.jpg"])
    source = read_retrieval_source(tmp_path / "holidays")
    assert choose_training(source, RECIPE).tolist() == [False, True, False, True]
    assert choose_training(source, dataclasses.replace(RECIPE, protocol_split="paper")).all()
    _photos(tmp_path / "sop", ["chair_final/1_0.JPG", "chair_final/1_1.JPG", "sofa_final/2_0.JPG", "sofa_final/2_1.JPG"])
    for split, label, kind in (("train", 1, "chair"), ("test", 2, "sofa")):
        rows = "".join(f"{number} {label} {label} {kind}_final/{label}_{number}.JPG\n" for number in range(2))
        (tmp_path / "sop" / f"Ebay_{split}.txt").write_text("image_id class_id super_class_id path\n" + rows)
    assert choose_training(read_retrieval_source(tmp_path / "sop"), RECIPE).tolist() == [True, True, False, False]
    trial = read_trial(tmp_path / "sop")
    assert trial.protocol == "labels" and [record.name for record in trial.gallery.records] == ["sofa_final/2_0.JPG", "sofa_final/2_1.JPG"]
    assert [(q.relevant.tolist(), q.ignored.tolist()) for q in trial.questions] == [([0, 1], [0]), ([0, 1], [1])]


@pytest.mark.filterwarnings("ignore::tfvision.errors.DataWarning")
def test_somebodys_ground_truth_beside_holidays_is_no_landmarks(tmp_path):
    _photos(tmp_path, ["images/100000.jpg", "images/100001.jpg"])
    (tmp_path / "groundtruth.json").write_text('{"100000.jpg": ["100001.jpg"]}')
    assert read_trial(tmp_path).protocol == "holidays"
    assert read_retrieval_source(tmp_path).labels == ("1000", "1000")


@pytest.mark.parametrize("layout", ["oxford", "paris", "roxford", "rparis"])
def test_a_named_layout_needs_its_ground_truth(tmp_path, layout):
    _photos(tmp_path, ["a/1.png"])
    with pytest.raises(DataError, match=f"--layout {layout} needs Oxford's ground-truth files .NAME_query.txt, .... or gnd_{layout}"):
        read_retrieval_source(tmp_path, layout=layout)


@pytest.mark.parametrize("layout", ["ukbench", "holidays"])
def test_a_named_layout_goes_before_a_ground_truth(oxford, layout):
    with pytest.raises(DataError, match=f"none of the photos of --layout {layout}"):
        read_retrieval_source(oxford, layout=layout)


def test_the_command_line_knows_all_layouts_and_protocols():
    from tfvision.apps.retrieval.commands import evaluate, train
    from tfvision.apps.retrieval.report import SCORES
    from tfvision.data.layouts import LAYOUT_NAMES
    from tfvision.evaluation.retrieval import PROTOCOLS

    options = {option.name: option for option in (*train.params, *evaluate.params)}
    assert options["layout"].type.choices == LAYOUT_NAMES
    assert set(options["protocol"].type.choices) == set(PROTOCOLS) == set(SCORES)


def test_a_share_of_the_groups_is_always_the_same_one(tmp_path):
    lines = [f"{group}-{number}.png,{group}" for group in range(20) for number in range(4)]
    manifest = _manifest(tmp_path, "image,group", *lines)
    source = read_retrieval_source(manifest)
    tenth = share_of(source, 0.1)
    assert len(set(tenth.groups)) == 2 and len(tenth.manifest) == 8 and tenth.groups == share_of(source, 0.1).groups
    assert set(tenth.groups) <= set(share_of(source, 0.5).groups) and share_of(source, 1.0) is source
    assert len(read_trial(manifest, "ukbench", share=0.1).questions) == 8
    with pytest.raises(DataError, match="--share must be above 0 and at most 1, got 2"):
        share_of(source, 2)
    with pytest.raises(DataError, match="--share is of groups or labels, which --protocol oxford does not go by"):
        read_trial(tmp_path, "oxford", share=0.1)
