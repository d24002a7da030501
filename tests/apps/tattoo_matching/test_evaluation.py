import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, roc_curve

from tfvision.apps.tattoo_matching.evaluation import evaluate_folds, evaluate_matcher, judge_trial, untrained
from tfvision.apps.tattoo_matching.protocols import make_trial
from tfvision.apps.tattoo_matching.source import read_matching_source
from tfvision.data.pipeline import BrokenPhotos
from tfvision.errors import DataError
from tfvision.evaluation.identification import pooled
from tfvision.evaluation.likelihood import load_calibration
from tfvision.features.extraction import extract
from tfvision.features.extractor import open_extractor
from tfvision.features.recipe import FeatureRecipe

pytestmark = pytest.mark.usefixtures("figures_once", "opened_once")

RECIPE = FeatureRecipe("small", weights="none", image_size=32)
SUBJECTS = 12


@pytest.fixture(scope="module")
def custody(tmp_path_factory):
    """A folder with manifest.csv: 12 subjects of a colour and a pattern each, one gallery photo and three probes; two probes of strangers."""
    folder, random = tmp_path_factory.mktemp("custody"), np.random.default_rng(0)
    with open(folder / "manifest.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "subject", "role", "box"])
        for subject in range(SUBJECTS + 2):
            pattern = random.integers(0, 200, (4, 4, 3)).repeat(10, 0).repeat(10, 1)
            for view in range(4):
                name, role = f"{subject}_{view}.png", "probe" if view else "gallery"
                if subject >= SUBJECTS and view != 1:
                    continue
                pixels = np.clip(pattern + random.normal(0, 25, pattern.shape), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / name)
                writer.writerow([name, f"s{subject}", role, "4,4,30,30" if view == 1 else ""])
    return folder


@pytest.fixture(scope="module")
def result(custody, tmp_path_factory):
    return evaluate_matcher(RECIPE, custody, out=tmp_path_factory.mktemp("report"), ranks=(2,))


def _vectors(source, is_wanted):
    photos = read_matching_source(source)
    photos = photos.select(photos.is_role(is_wanted))
    _, vectors = zip(*extract(photos.manifest, open_extractor(RECIPE)), strict=True)
    return np.concatenate(vectors), np.array(photos.subjects)


@pytest.mark.slow
def test_figures_equal_a_direct_computation(result, custody):
    (probes, own), (gallery, names) = _vectors(custody, "probe"), _vectors(custody, "gallery")
    scores, is_mate = probes @ gallery.T, own[:, None] == names[None]
    mated = is_mate.any(axis=1)
    ranks = np.array([1 + np.count_nonzero(row[~mate] >= row[mate].max()) for row, mate in zip(scores[mated], is_mate[mated], strict=True)])
    assert (result["probes"], result["mated"], result["gallery"]) == (38, 36, 12)
    assert result["cmc"] == {str(rank): pytest.approx(np.mean(ranks <= rank)) for rank in (1, 2, 5, 10, 20, 30)}
    assert result["cmc_curve"] == pytest.approx([np.mean(ranks <= rank) for rank in range(1, 13)])
    assert result["map"] == pytest.approx(np.mean([average_precision_score(*pair) for pair in zip(is_mate[mated], scores[mated], strict=True)]))
    fmr, hit_rate, _ = roc_curve(is_mate.ravel(), scores.ravel(), drop_intermediate=False)
    assert result["fnmr"]["0.01"] == pytest.approx((1 - hit_rate)[fmr <= 0.01].min())
    row = np.argmax(fmr >= 1 - hit_rate)
    assert fmr[row - 1] <= result["eer"] <= fmr[row]


@pytest.mark.slow
def test_two_strangers_measure_false_alarms(result):
    assert (result["unmated"], result["has_unmated"]) == (2, True)
    assert result["fnir"] == {}  # two probes tell no rate below one half


@pytest.mark.slow
def test_intervals_hold_their_figures(result):
    intervals = result["intervals"]
    for rank, (low, high) in intervals["cmc"].items():
        assert low <= result["cmc"][rank] <= high
    assert intervals["map"][0] <= result["map"] <= intervals["map"][1]
    assert intervals["eer"][0] <= result["eer"] <= intervals["eer"][1]


@pytest.mark.slow
def test_folds_are_given_each(result):
    assert [fold["fold"] for fold in result["by_fold"]] == [0, 1, 2, 3, 4]
    assert sum(fold["mated"] for fold in result["by_fold"]) == 36
    mean = sum(fold["cmc"]["1"] * fold["mated"] for fold in result["by_fold"] if fold["mated"]) / 36
    assert mean == pytest.approx(result["cmc"]["1"])


@pytest.mark.slow
def test_the_report_has_curves_and_matches(result):
    page = open(result["report"], encoding="utf-8").read()
    for text in ("Cumulative match characteristic", "Detection error trade-off", "Scores of pairs", "Folds", "Found most surely", "never an identification"):
        assert text in page
    stored = json.loads(open(result["report"].replace(".html", ".json"), encoding="utf-8").read())
    assert stored["cmc"] == result["cmc"]


@pytest.mark.slow
def test_folds_with_galleries_of_their_own(custody, result, tmp_path):
    whole, parts = result, evaluate_matcher(RECIPE, custody, galleries="folds", folds=3, out=tmp_path)
    assert parts["gallery"] in (3, 4, 5) and parts["galleries"] == "folds"
    assert parts["cmc"]["1"] >= whole["cmc"]["1"]  # fewer photos that could confuse
    assert parts["genuine"] == whole["genuine"] == 36 and parts["impostor"] < whole["impostor"]


@pytest.mark.slow
def test_euclidean_distances_rank_by_vectors_as_they_are(custody, tmp_path):
    result = evaluate_matcher(RECIPE, custody, distance="euclidean", out=tmp_path)
    extractor = open_extractor(FeatureRecipe("small", weights="none", image_size=32, is_normalised=False))
    photos = read_matching_source(custody)
    tables = []
    for role in ("probe", "gallery"):
        chosen = photos.select(photos.is_role(role))
        _, vectors = zip(*extract(chosen.manifest, extractor), strict=True)
        tables += [np.concatenate(vectors).astype(float), np.array(chosen.subjects)]
    probes, own, gallery, names = tables
    distances = ((probes[:, None] - gallery[None]) ** 2).sum(axis=2)
    nearest = names[np.argmin(distances, axis=1)]
    assert result["cmc"]["1"] == pytest.approx(np.mean((nearest == own)[np.isin(own, names)]))
    assert result["calibration"] is None and result["distance"] == "euclidean"


@pytest.mark.slow
def test_regions_of_interest_are_cut_out(custody, tmp_path):
    result = evaluate_matcher(RECIPE, custody, "roi", out=tmp_path)
    assert (result["probes"], result["mated"], result["gallery"]) == (14, 12, 12)


@pytest.mark.slow
def test_broken_photos_are_named_and_neither_ask_nor_are_found(custody, tmp_path):
    folder = shutil.copytree(custody, tmp_path / "photos")
    (folder / "3_1.png").write_text("This is a text.")
    (folder / "5_0.png").write_bytes(b"")
    result = evaluate_matcher(RECIPE, folder, out=tmp_path / "report")
    assert sorted(path.rsplit("/", 1)[1] for path in result["broken"]) == ["3_1.png", "5_0.png"]
    assert (result["probes"], result["mated"], result["gallery"]) == (37, 36 - 1 - 3, 11)
    assert "3_1.png" in open(result["report"], encoding="utf-8").read()


@pytest.mark.slow
def test_no_probe_that_can_be_read(custody, tmp_path):
    folder = shutil.copytree(custody, tmp_path / "photos")
    for path in folder.glob("*_[123].png"):
        path.write_text("This is a text.")
    with pytest.raises(DataError, match="none of the probes could be read"):
        evaluate_matcher(RECIPE, folder, out=tmp_path / "report")


@pytest.mark.slow
def test_subjects_with_one_photo_are_strangers_to_all(tmp_path):
    for name in ("a/1", "a/2", "b/1"):
        path = tmp_path / "photos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(len(name)).integers(0, 256, (40, 40, 3), np.uint8)).save(path)
    result = evaluate_matcher(RECIPE, tmp_path / "photos", out=tmp_path / "report")
    assert (result["probes"], result["mated"], result["unmated"]) == (3, 2, 1)


@pytest.mark.slow
def test_tattcs_files_are_evaluated_with_the_galleries_of_their_folds(custody, tmp_path):
    folder = tmp_path / "TATTC" / "mixed_media"
    shutil.copytree(custody, folder / "images", ignore=shutil.ignore_patterns("*.csv"))
    (folder / "ground_truth.txt").write_text("".join(f"{subject}_{view}.png {subject}_0.png\n" for subject in range(SUBJECTS) for view in (1, 2)))
    for fold in range(3):
        names = [f"{subject}_{view}.png\n" for subject in range(SUBJECTS) if subject % 3 == fold for view in (1, 2)]
        (folder / f"probe_list_{fold + 1}.txt").write_text("".join(names))
    result = evaluate_matcher(RECIPE, tmp_path / "TATTC", "mixed-media", out=tmp_path / "report")
    assert [(fold["fold"], fold["probes"], fold["gallery"]) for fold in result["by_fold"]] == [(1, 8, 4), (2, 8, 4), (3, 8, 4)]
    assert (result["probes"], result["mated"], result["gallery"], result["galleries"]) == (24, 24, 4, "folds")
    assert not result["has_unmated"] and result["unmated"] == 24  # each stands in, without its mates
    assert result["fnir"].keys() == {"0.1"}


def test_an_unknown_distance(custody):
    with pytest.raises(DataError, match="--distance must be one of cosine, euclidean, got 'manhattan'"):
        evaluate_matcher(RECIPE, custody, distance="manhattan")


@pytest.mark.slow
def test_parts_of_several_models_are_pooled(custody):
    trial = make_trial(read_matching_source(custody), "identification")
    extractor = open_extractor(RECIPE)
    whole = pooled([part for _, part in judge_trial(trial, extractor, broken=BrokenPhotos())])
    parts = judge_trial(trial, extractor)
    again = pooled([part for _, part in reversed(parts)])
    assert sorted(zip(again.probes, again.positions, strict=True)) == sorted(zip(whole.probes, whole.positions, strict=True))


def test_subjects_that_were_trained_on_do_not_ask(custody, tmp_path):
    (tmp_path / "photos.csv").write_text(
        "image,bytes,split\n" + "".join(f"{name},{(custody / name).stat().st_size},train\n" for name in ("0_0.png", "1_2.png"))
    )
    trial, left_out = untrained(make_trial(read_matching_source(custody), "identification"), tmp_path)
    assert left_out == 6 and len(trial.questions) == 32 and len(trial.gallery) == 12
    assert not {"s0", "s1"} & {trial.subjects[question.query] for question in trial.questions}


@pytest.mark.slow
def test_runs_of_folds_are_judged_as_one(matcher_run, custody, tmp_path):
    runs = []
    for fold, trained in enumerate((range(6), range(6, SUBJECTS + 2))):
        runs.append(shutil.copytree(matcher_run, tmp_path / f"fold{fold}"))
        rows = [f"{number}_1.png,{(custody / f'{number}_1.png').stat().st_size},train\n" for number in trained]
        (runs[-1] / "photos.csv").write_text("image,bytes,split\n" + "".join(rows))
    result = evaluate_folds(runs, custody)
    assert (result["probes"], result["mated"], [run["mated"] for run in result["by_run"]]) == (38, 36, [18, 18])
    assert result["cmc"]["1"] == pytest.approx(np.mean([run["cmc"]["1"] for run in result["by_run"]]))
    with pytest.raises(DataError, match="asked of two of the runs"):
        evaluate_folds([runs[0], runs[0]], custody)


def test_a_run_that_saw_all_subjects_is_refused(colour_run, colour_photos, tmp_path):
    with pytest.raises(DataError, match="was trained on the subjects of all probes"):
        evaluate_matcher(str(colour_run), colour_photos, out=tmp_path)


@pytest.mark.slow
def test_searching_tells_likelihoods_after_an_evaluation(matcher_run, custody, tmp_path, capsys):
    from tfvision.cli.main import main
    from tfvision.index.making import build_gallery

    def run(*arguments):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            assert not stop.code
        return capsys.readouterr().out

    model = shutil.copytree(matcher_run, tmp_path / "run", ignore=shutil.ignore_patterns("match_calibration.json"))
    build_gallery(custody, tmp_path / "gallery", FeatureRecipe(model=str(model)))
    search = ("search", tmp_path / "gallery", custody / "0_1.png", "-k", "3", "--json")
    assert "likelihood" not in run(*search)
    result = json.loads(run("evaluate", model, custody, "--protocol", "identification", "--json"))
    calibration = load_calibration(model)
    assert result["calibration"] == str(model / "match_calibration.json") and calibration.protocol == "identification"
    hits = json.loads(run(*search))["hits"]
    for hit in hits:
        assert hit["likelihood"] == pytest.approx(10 ** calibration.log10_ratio(hit["score"]), rel=0.06)
    assert hits[0]["likelihood"] >= hits[-1]["likelihood"]
    assert "likelihood ratio" in run(*search[:-1], "--html", tmp_path / "page.html")
    assert "no probability of a match" in (tmp_path / "page.html").read_text()
    assert "likelihood" not in run(*search, "--expand", "2")  # scores of another kind


def test_the_command_line_tells_figures(custody, tmp_path, capsys, monkeypatch):
    from tfvision.cli.main import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFVISION_WEIGHTS", str(tmp_path))
    for arguments, text in {
        ("--protocol", "identification", "--queries", "good"): "--queries is for runs of retriever; this one is of tattoo-matcher",
        ("--protocol", "identification", "--ranks", "a,b"): "--ranks is for runs of",
    }.items():
        with pytest.raises(SystemExit) as stop:
            main(["evaluate", "small", str(custody), *arguments])
        assert stop.value.code == 2 and text in capsys.readouterr().err
