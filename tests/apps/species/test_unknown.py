import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfvision.apps.species.answer_graph import AnswerGraph
from tfvision.apps.species.evaluation import evaluate_species
from tfvision.apps.species.identification import SpeciesIdentifier, careful_answers
from tfvision.apps.species.unknown import Seen, _at_most, open_unknown
from tfvision.cli.identify import _csv_printer, _show
from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import RecipeError, RunError
from tfvision.evaluation.novelty import NoveltyModel
from tfvision.evaluation.unknown_species import UnknownAnswers, UnknownRule
from tfvision.files import write_checksums
from tfvision.trained.species_run import SpeciesRun

pytestmark = pytest.mark.usefixtures("opened_once", "figures_once")

LINEAGES = (  # unbalanced: ranks are skipped
    ("A", "Aa", "Aaa", "one"),
    ("A", "Aa", "Aaa", "two"),
    ("A", "Aa", "", "three"),
    ("A", "", "Bee", "four"),
    ("B", "Ba", "Bee", "five"),
    ("B", "Ba", "Bee", "six"),
    ("C", "", "", "seven"),
)
TAXONOMY = Taxonomy.from_lineages(("order", "family", "genus", "species"), LINEAGES)


@pytest.fixture(scope="module")
def strangers(unknown_run):
    return SpeciesIdentifier.load(unknown_run)


@pytest.fixture
def noise(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 48, 3)).astype(np.uint8)).save(tmp_path / "noise.png")
    return tmp_path / "noise.png"


def answers_for(share=0.2, threshold=0.6):
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(7), 8)
    features = (2 * np.eye(7, 12)[labels] + random.normal(0, 0.5, (56, 12))).astype(np.float32)
    rule = UnknownRule((0.3, 0.2, 1.5, 0.01), -1.0, (5.0, 0.0, 0.9, 60.0), (1.0, 0.8, 0.6, 0.3, 0.0))
    return UnknownAnswers(NoveltyModel.fit(features, labels, 7), rule, share, 0.4, threshold)


@pytest.mark.parametrize("threshold", [-1.0, 0.2, 0.7])
@pytest.mark.parametrize("within", ["", "Aa", "Bee; C"])
def test_a_graph_answers_as_numpy_does(threshold, within):
    random, unknown = np.random.default_rng(1), answers_for()
    logits = random.normal(0, 3, (300, 7)).astype(np.float32)
    features = random.normal(0.2, 0.7, (300, 12)).astype(np.float32)
    graph = AnswerGraph(TAXONOMY, 1.7, 3, unknown)
    inside = graph.classes_within(tf.constant([within] * 300))
    got = {key: values.numpy() for key, values in graph.answer_to(tf.constant(logits), tf.constant([threshold]), inside, tf.constant(features)).items()}
    nodes = [node for name in within.split(";") if name for node in TAXONOMY.find(name.strip())]
    least = None if threshold < 0 else threshold
    expected = list(careful_answers(logits, TAXONOMY, 1.7, nodes, least, unknown, features))
    assert got["taxon"].tolist() == [TAXONOMY.names[answer.path[-1]].encode() for answer in expected]
    np.testing.assert_allclose(got["probability"], [answer.reached[-1] for answer in expected], atol=2e-6)
    np.testing.assert_allclose(got["unknown_probability"], [answer.unknown for answer in expected], atol=1e-6)
    assert len({len(answer.path) for answer in expected}) > 1  # answers of several depths were compared


@pytest.mark.slow
def test_a_photo_unlike_anything_trained_is_told_so(strangers, colour_photos, noise):
    green = noise.with_name("green.png")
    Image.new("RGB", (48, 40), (0, 255, 0)).save(green)
    red, *odd = strangers.identify([colour_photos / "Rosa_rubra_3.png", noise, green])
    assert not red["is_unknown"] and red["unknown_probability"] < 0.1
    assert max(answer["unknown_probability"] for answer in odd) > red["unknown_probability"]
    for answer in odd:
        assert answer["is_unknown"] == (answer["unknown_probability"] >= 0.1 and answer["rank"] != "species")


@pytest.mark.slow
def test_a_share_of_0_answers_as_a_run_without_it(strangers, identifier, colour_photos, noise):
    photos = [*sorted(colour_photos.glob("*.png"))[::7], noise]
    assert list(strangers.identify(photos, unknown_share=0)) == list(identifier.identify(photos))


def test_a_run_that_lacks_thresholds_says_so(identifier, colour_photos):
    with pytest.raises(RunError, match="has nothing fitted for species that it was not trained on.*train again with --unknown-share 0.1"):
        next(identifier.identify([colour_photos / "Rosa_rubra_3.png"], unknown_share=0.1))
    with pytest.raises(RecipeError, match="--unknown-share must lie between 0 and 0.5, got 0.7"):
        open_unknown(identifier.run, 0.7)


def test_between_two_shares_the_higher_one_counts(unknown_run):
    run = SpeciesRun.open(unknown_run)
    assert [open_unknown(run, share).share for share in (0.01, 0.05, 0.11, 0.3)] == [0.05, 0.05, 0.2, 0.5]
    assert open_unknown(run).share == 0.1 and open_unknown(run, 0) is None


@pytest.mark.parametrize("name", ["unknown.json", "novelty.npz"])
def test_changed_and_removed_files_are_named(unknown_run, tmp_path, name):
    run = SpeciesRun.open(shutil.copytree(unknown_run, tmp_path / "run"))
    write_checksums([path for path in run.kept_files if path.exists()])
    content = (run.folder / name).read_bytes()
    (run.folder / name).write_bytes(content.replace(b"0", b"1", 1))
    with pytest.raises(RunError, match=f"{name} is damaged or was changed"):
        open_unknown(SpeciesRun.open(run.folder))
    (run.folder / name).unlink()
    with pytest.raises(RunError, match=f"{name} does not exist"):
        open_unknown(SpeciesRun.open(run.folder))


def test_thresholds_that_cannot_be_are_refused(unknown_run, tmp_path):
    run = SpeciesRun.open(shutil.copytree(unknown_run, tmp_path / "run"))
    stored = json.loads(run.unknown_path.read_text())
    run.unknown_path.write_text(json.dumps({**stored, "rates": [1.0]}))
    with pytest.raises(RunError, match=r"unknown.json was changed: its thresholds, shares or rates cannot be"):
        open_unknown(run)
    groups = {"novelty_dependence": 1.0, "shares": [{**share, "species_threshold": 3} for share in stored["shares"]]}
    run.unknown_path.write_text(json.dumps({**stored, "groups": groups}))
    with pytest.raises(RunError, match=r"unknown.json was changed: its thresholds, shares or rates cannot be"):
        open_unknown(run)


@pytest.mark.slow
def test_an_export_answers_as_its_run_does(unknown_exportable, strangers, colour_photos, noise):
    photos = [*sorted(colour_photos.glob("*.png"))[::9], noise]
    signatures = unknown_exportable.signatures
    images = tf.constant([photo.read_bytes() for photo in photos])
    served = signatures["serving_default"].function(images)
    lower = signatures["identify"].function(images, tf.constant([0.05] * len(photos)), tf.constant(["Reds"] * len(photos)))
    for got, options in ((served, {}), (lower, {"threshold": 0.05, "within": ["Reds"]})):
        for row, answer in enumerate(strangers.identify(photos, **options)):
            assert (got["taxon"][row].numpy().decode(), got["rank"][row].numpy().decode()) == (answer["taxon"], answer["rank"])
            assert float(got["unknown_probability"][row]) == pytest.approx(answer["unknown_probability"], abs=2e-4)
            assert float(got["probability"][row]) == pytest.approx(answer["probability"], abs=2e-4)


@pytest.mark.slow
def test_an_evaluation_judges_photos_of_unknown_species_apart(unknown_run, colour_photos, tmp_path):
    rows = [f"{colour_photos}/Rosa_rubra_{number}.png,Reds,Rosa,Rosa rubra" for number in range(6)]
    rows += [f"{colour_photos}/Viola_prima_{number}.png,Blues,Viola,Viola nova" for number in range(6)]
    (tmp_path / "some.csv").write_text("\n".join(["image,order,genus,species", *rows]) + "\n")
    run = shutil.copytree(unknown_run, tmp_path / "run")
    (run / "photos.csv").write_text("image,bytes,split\n")  # none was trained on
    result = evaluate_species(run, tmp_path / "some.csv", out=tmp_path / "report")
    assert result["left_out"] == {"their species is not among the run's classes": 6}
    rows = result["unknown"]["by_share"]
    assert [row["share"] for row in rows] == [0, 0.05, 0.1, 0.2, 0.5] and rows[0]["unknown"] == rows[0]["today"]
    assert "6 photos of 1 species that the run was not trained on" in result["unknown"]["told"]
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Species never trained on" in page and page.count("unlike anything trained") == 1
    header, *lines = (tmp_path / "report" / "answers.csv").read_text().splitlines()
    assert header.endswith(",is_right,unknown") and len(lines) == 6


def test_the_command_line_tells_an_unknown_species(capsys):
    top = [{"name": "Vanessa cardui", "probability": 0.6}]
    answer = {"image": "a.jpg", "taxon": "Nymphalidae", "rank": "family", "probability": 0.95, "top": top, "unknown_probability": 0.97, "is_unknown": True}
    answer["lineage"] = [{"rank": "family", "name": "Nymphalidae", "probability": 0.95}]
    _show(answer)
    _show({**answer, "rank": "root", "taxon": "life", "lineage": []})
    first, _, _, second, _ = capsys.readouterr().out.splitlines()
    assert first == "a.jpg: no species of this run; family Nymphalidae, 95.0%, most like Vanessa cardui"
    assert second == "a.jpg: no species of this run; nothing that may be named, most like Vanessa cardui"
    show = _csv_printer()
    show(answer)
    show({"image": "b.jpg", "error": "broken"})
    header, line, broken = capsys.readouterr().out.splitlines()
    assert header.startswith("image,taxon,rank,probability,lineage,error,") and broken == "b.jpg,,,,,broken,,,"
    assert line == "a.jpg,Nymphalidae,family,0.95,Nymphalidae,,0.97,1,Vanessa cardui"


def test_of_many_photos_some_of_each_class_are_kept():
    labels = np.array([0] * 50 + [1] * 50 + [2])
    kept = _at_most(Seen(np.zeros((101, 3)), np.arange(101)[:, None], labels), 20, 0)
    assert 15 <= len(kept.labels) <= 20 and set(kept.labels) == {0, 1, 2}
    assert (labels[kept.features[:, 0]] == kept.labels).all()
