import json
import shutil
import types

import numpy as np
import pytest
import tensorflow as tf

from tfvision.apps.species.evaluation import evaluate_species
from tfvision.apps.species.evidence import ExportWitness, RunWitness
from tfvision.apps.species.export import _Reference
from tfvision.apps.species.group_answers import Answering, Evidence
from tfvision.apps.species.group_evaluation import GroupEvaluation, in_groups
from tfvision.apps.species.groups import Seen, fit_groups, group_threshold
from tfvision.apps.species.identification import SpeciesIdentifier
from tfvision.data.manifest import Manifest, Record, find_photos, group_names, groups_of
from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import RecipeError, RunError
from tfvision.evaluation import specificity
from tfvision.evaluation.groups import GroupRule
from tfvision.evaluation.report import groups_told
from tfvision.export.verification import compare
from tfvision.trained.species_run import SpeciesRun

pytestmark = pytest.mark.usefixtures("opened_once")


@pytest.fixture(scope="module")
def export(unknown_exportable, tmp_path_factory):
    """An ExportWitness of what would be written of unknown_run, its signatures called as they are."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "assets").mkdir()
    (folder / "saved_model.pb").write_bytes(b"")
    for name, text in unknown_exportable.assets.items():
        (folder / "assets" / name).write_text(text)

    def run(name, inputs):
        outputs = unknown_exportable.signatures[name].function(
            **{key: tf.constant(value.tolist(), value.dtype if value.dtype != object else tf.string) for key, value in inputs.items()}
        )
        return {key: value.numpy() for key, value in outputs.items()}

    shapes = unknown_exportable.signatures["evidence"].function.get_concrete_function().structured_outputs
    outputs = {name: types.SimpleNamespace(tensor_shape=spec.shape.as_proto()) for name, spec in shapes.items()}
    return ExportWitness(folder, types.SimpleNamespace(run=run, signatures={"evidence": types.SimpleNamespace(outputs=outputs)}))


@pytest.fixture
def groups(colour_photos):
    return {"one": [colour_photos / "Rosa_rubra_3.png"], "two": [colour_photos / f"Viola_prima_{number}.png" for number in (1, 4, 2)]}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["identify_group", "evidence"])
def test_signatures_answer_as_keras_does(unknown_exportable, name):
    signature = unknown_exportable.signatures[name]
    outputs = {
        key: value.numpy() for key, value in signature.function(**{key: tf.constant(value.tolist()) for key, value in signature.samples.items()}).items()
    }
    assert compare(outputs, unknown_exportable.reference(name, signature.samples), name, 1e-3) < 1e-3
    rows = {len(value) for value in outputs.values()}
    assert rows == {1 if name == "identify_group" else 3}


@pytest.mark.slow
def test_a_server_joins_no_requests_of_groups_and_a_group_has_photos(unknown_exportable):
    outputs = unknown_exportable.signatures["identify_group"].function.get_concrete_function().structured_outputs
    with pytest.raises(tf.errors.InvalidArgumentError, match="a group has a photo at least"):
        unknown_exportable.signatures["identify_group"].function(tf.constant([], tf.string))
    assert {spec.shape[0] for spec in outputs.values()} == {1}  # serving/batching.py joins and cuts what has no fixed number of rows


def test_a_threshold_of_0_is_a_threshold():
    taxonomy = Taxonomy.from_lineages(("order", "species"), [("A", "a"), ("B", "b")])
    run = types.SimpleNamespace(taxonomy=taxonomy, unknown=None, calibration={"temperature": 1.0, "threshold": 0.0, "target": 0.9})
    seen = Evidence(np.array([[0, 1], [0, 2]], np.float32), np.eye(2, dtype=np.float32))
    answer = _Reference(run, None)._answer_group(seen, {"within": [b""]})
    assert (answer["threshold"].tolist(), answer["taxon"].tolist()) == ([0], [b"b"])


@pytest.mark.slow
def test_run_export_and_signature_give_a_group_one_answer(unknown_run, export, unknown_exportable, groups):
    own = list(SpeciesIdentifier.load(unknown_run).identify_groups(groups))
    assert [(one["group"], len(one["photos"]), one["unreadable"]) for one in own] == [("one", 1, {}), ("two", 3, {})]
    (alone,) = SpeciesIdentifier.load(unknown_run).identify(groups["one"])
    assert {**own[0], "image": str(groups["one"][0])}.items() >= alone.items()
    signature = unknown_exportable.signatures["identify_group"].function
    for expected, told, photos in zip(own, export.answer_groups(groups), groups.values(), strict=True):
        served = signature(tf.constant([photo.read_bytes() for photo in photos]))
        assert (told["taxon"], told["rank"], told["is_unknown"]) == (expected["taxon"], expected["rank"], expected["is_unknown"])
        assert served["taxon"].numpy() == [expected["taxon"].encode()]
        for key in ("probability", "unknown_probability"):
            assert told[key] == pytest.approx(expected[key], abs=2e-4) and float(served[key][0]) == pytest.approx(expected[key], abs=2e-4)
    (within,) = export.answer_groups({"two": groups["two"]}, within=["Reds"])
    served = signature(tf.constant([photo.read_bytes() for photo in groups["two"]]), within=tf.constant(["Reds"]))
    assert within["lineage"][0]["name"] == "Reds" and served["taxon"].numpy() == [within["taxon"].encode()]
    assert export.width == RunWitness(unknown_run).width + 1


@pytest.mark.slow
def test_an_export_knows_one_share_and_one_target(export, tmp_path):
    with pytest.raises(RecipeError, match="--unknown-share of this export is 0.1, got 0.2"):
        export.check((), None, 0.2)
    with pytest.raises(RecipeError, match="--target-accuracy of this export is 0.9, got 0.8"):
        export.check((), 0.8)
    old = shutil.copytree(export._folder, tmp_path / "old")
    calibration = json.loads((old / "assets/calibration.json").read_text())
    (old / "assets/calibration.json").write_text(json.dumps({key: value for key, value in calibration.items() if key != "groups"}))
    with pytest.raises(RunError, match="exported by an older tfvision for a share of 0.1 .* export the run again"):
        ExportWitness(old)
    for changed in ({"temperature": None}, {"target": "high"}, {"unknown": {**calibration["unknown"], "groups": [1]}}):
        (old / "assets/calibration.json").write_text(json.dumps(calibration | changed))
        with pytest.raises(RunError, match="calibration.json was changed: its thresholds, temperature, class_sizes or groups cannot be"):
            ExportWitness(old)


@pytest.mark.slow
def test_a_group_is_answered_from_the_photos_that_can_be_read(unknown_run, groups, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no photo")
    photos = groups["two"]
    asked = {"": [*photos[:2], tmp_path / "broken.png"], "gone": [tmp_path / "broken.png"], "none": [], "again": [photos[0]] * 5, "long": photos * 20}
    named, gone, none, again, long = SpeciesIdentifier.load(unknown_run).identify_groups(asked)
    assert named["photos"] == list(map(str, photos[:2])) and "is no image" in named["unreadable"][str(tmp_path / "broken.png")]
    assert named["rank"] != "root" and "is no image" in gone["error"] and none["error"] == "the group has no photo"
    (alone,) = SpeciesIdentifier.load(unknown_run).identify(photos[:1])
    assert again["probability"] <= alone["probability"] + 1e-3  # copies of one photo make no answer surer
    assert len(long["photos"]) == 60 and long["taxon"]


def test_groups_are_those_of_a_column_or_folders(colour_photos, tmp_path):
    names = ["Rosa_rubra_3.png", "Rosa_rubra_4.png", "Viola_prima_1.png"]
    rows = "".join(f"{colour_photos}/{name},{group}\n" for name, group in zip(names, ("7", "7", ""), strict=True))
    (tmp_path / "list.csv").write_text("image,group\n" + rows)
    found = find_photos([tmp_path / "list.csv"])
    assert group_names(found) == ["7", "7", found.records[2].name]  # a photo without a group is alone
    assert {name: len(records) for name, records in groups_of(found)[0].items()} == {"7": 2, found.records[2].name: 1}
    assert set(group_names(find_photos([colour_photos]))) == {str(colour_photos)}
    assert group_names(Manifest(("photo",), (Record("a.jpg", "a.jpg", ("",), "a.jpg"),))) == ["."]


def test_what_is_fitted_keeps_the_promise_on_the_other_half(unknown_run):
    run, random = SpeciesRun.open(unknown_run), np.random.default_rng(0)
    classes = len(run.taxonomy)
    labels = np.arange(60 * classes) % classes
    logits = (2 * np.eye(classes)[labels] + random.normal(0, 1, (len(labels), classes))).astype(np.float32)
    photos = Manifest(("species",), tuple(Record(str(number), str(number), ("",), str(number)) for number in range(len(labels))))
    fitted = fit_groups(run, Seen(logits, random.normal(0, 1, (len(labels), 64)), labels), photos, 0.5, 0.6, 0.9)
    assert not fitted["is_real"] and 0 <= fitted["dependence"] < 0.5
    measured = fitted["measured"]
    assert measured["interval"][1] >= 0.9 and measured["depth"] > measured["photos"]["depth"]
    assert fit_groups(run, Seen(logits[:8], logits[:8], labels[:8]), photos.select(np.arange(len(labels)) < 8), 0.5, 0.6, 0.9) is None


def test_a_groups_threshold_is_never_below_a_photos():
    calibration = {"target": 0.9, "groups": {"depth_curve": [{"target": 0.9, "threshold": 0.3}, {"target": 0.95, "threshold": 0.7}]}}
    assert [group_threshold(calibration, target, 0.5) for target in (None, 0.95, 0.99)] == [0.5, 0.7, 0.5]
    assert group_threshold({"target": 0.9}, None, 0.4) == 0.4  # of a run of before


def test_groups_are_judged_as_their_photos_come():
    taxonomy = Taxonomy.from_lineages(("order", "species"), [("A", "a"), ("A", "b"), ("B", "c"), ("B", "d")])
    answering = Answering(taxonomy, 1.0, (), 0.5, None, GroupRule(0.0), 0.6, None)
    names = ["right", "right", "alone", "wrong", "wrong", "mixed", "mixed", "unread", "part", "part"]
    labels = np.array([0, 0, 1, 2, 2, 0, 3, 1, 3, 3])
    seen = np.array([0, 0, 1, 0, 0, 0, 3, 1, 3, 3])  # what the network takes them for
    logits, features = (4 * np.eye(4)[seen]).astype(np.float32), np.eye(10, dtype=np.float32)
    logits[:2, 1] = 3.9  # each unsure, b nearly as likely as a
    evaluation = GroupEvaluation(answering, names, labels)
    read = np.array([0, 1, 2, 3, 4, 5, 6, 8])  # of "unread" none, of "part" one of two
    for start in range(0, len(read), 3):
        rows = read[start : start + 3]
        evaluation(rows, logits[rows], features[rows])
    result = evaluation.result()
    assert (result["groups"], result["photos"], result["mixed"], result["unread"]) == (4, 6, ["mixed"], ["unread"])
    assert (result["accuracy"], result["right"], result["depth"]) == (3 / 4, 3 / 4, (1 + 2 + 2 + 2) / 4)
    assert result["interval"] == list(specificity.clopper_pearson(3, 4))
    assert [(row["smallest"], row["groups"], row["right"]) for row in result["by_size"]] == [(1, 2, 1.0), (2, 2, 0.5)]
    header, first, *_ = evaluation.answers()
    assert dict(zip(header, first, strict=True)) | {"group": "right", "photos": 2, "taxon": "A", "is_right": 1} == dict(zip(header, first, strict=True))
    result = {"by_group": result, "accuracy": 0.6, "specificity": {"target": 0.9, "accuracy": 0.8, "depth": 1.5}}
    told, mixed, unread = groups_told(result)
    assert told.startswith("4 groups of 6 photos. The right species for 75.0") and "photo by photo for 80.0" in told
    assert "1 group of photos of several species, which have no one answer: mixed" in mixed and unread.endswith(": unread")
    assert in_groups(["x", "y", "x"]).tolist() == [0, 2, 1]


@pytest.mark.slow
def test_an_evaluation_by_group_stands_beside_that_of_the_photos(unknown_run, colour_photos, tmp_path):
    rows = [f"{colour_photos}/{name}_{number}.png,{lineage},{number % 2}" for name, lineage in (("Rosa_rubra", "Reds,Rosa,Rosa rubra"),) for number in range(6)]
    rows += [f"{colour_photos}/Viola_prima_1.png,Blues,Viola,Viola prima,1"]
    (tmp_path / "some.csv").write_text("\n".join(["image,order,genus,species,group", *rows]) + "\n")
    run = shutil.copytree(unknown_run, tmp_path / "run")
    (run / "photos.csv").write_text("image,bytes,split\n")  # none was trained on
    result = evaluate_species(run, tmp_path / "some.csv", out=tmp_path / "report", by_group=True)
    assert (result["by_group"]["groups"], result["by_group"]["photos"], result["by_group"]["mixed"]) == (1, 3, ["1"])
    assert "Several photos, one answer" in (tmp_path / "report/report.html").read_text()
    assert (tmp_path / "report/groups.csv").read_text().splitlines()[1].startswith("0,3,Rosa rubra,")
