"""Runs side by side: which are one row, what their figures are, and what is said where their photos differ."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfvision.applications import APPLICATIONS, names_with
from tfvision.errors import RunError
from tfvision.evaluation.compared_runs import compare_runs, photos_digest, write_comparison
from tfvision.evaluation.comparison import Estimate, JudgedRun, Measure, Row, Table, mean_and_margin, mean_curve

FROZEN_RUNS = {"species": "species", "retriever": "retriever", "tattoo-detector": "tattoo-detector", "stylizer": "stylizer"}


@pytest.fixture
def make_run(copy_frozen):
    """A function (application, name, recipe={}, metrics=None, photos=None): a copy of a frozen run with another recipe."""

    def make(application, name, recipe=(), metrics=None, photos=None):
        folder = copy_frozen(application, name)
        _edit(folder / "recipe.json", lambda facts: facts["recipe"].update(recipe))
        if metrics:
            _edit(folder / "metrics.json", metrics)
        if photos:
            (folder / "photos.csv").write_text((folder / "photos.csv").read_text().replace(*photos))
        return str(folder)

    return make


def _edit(path, change):
    stored = json.loads(path.read_text())
    change(stored)
    path.write_text(json.dumps(stored))


def _accurate(value):
    return lambda metrics: metrics["validation"].update(accuracy=value)


def test_the_interval_of_a_mean_is_students():
    mean, margin = mean_and_margin([1, 2, 3])  # standard deviation 1, and Student's t of 2 degrees of freedom is 4.3027
    assert (mean, margin) == pytest.approx((2, 4.3027 / 3**0.5), abs=1e-4)
    assert np.isnan(mean_and_margin([0.5])[1])
    curve, interval = mean_curve([[1, 5], [2, 5], [3, 5]])
    np.testing.assert_allclose(curve, [2, 5])
    np.testing.assert_allclose(interval, [[2 - margin, 5], [2 + margin, 5]], atol=1e-12)
    assert mean_curve([[1, 2]])[1] is None


def test_an_estimate_tells_its_interval():
    assert str(Estimate.of([0.8123])) == "0.812"
    assert str(Estimate.of([0.8123], (0.79, 0.834))) == "0.812 (0.790 to 0.834)"
    assert str(Estimate.of([1, 2, 3], (0, 9), digits=1)) == "2.0 ± 2.5"  # that over photos is of one run


def test_a_table_as_markdown_and_csv():
    rows = [Row("a|b", (JudgedRun("a", {}, {"x": 1}),)), Row("c", (JudgedRun("c", {}, {"x": 2, "y": 0.5}), JudgedRun("d", {}, {"x": 4, "y": 0.5})))]
    table = Table("T", {"x": Measure(lambda result: result["x"], lambda result: (0, 2), 1), "y": Measure(lambda result: result.get("y"))}, rows)
    margin = mean_and_margin([2, 4])[1]
    assert table.markdown().splitlines() == [
        "T",
        "",
        "| | x | y |",
        "|---|---|---|",
        "| a\\|b | 1.0 (0.0 to 2.0) |  |",
        f"| c | 3.0 ± {margin:.1f} | 0.500 ± 0.000 |",
    ]
    assert table.csv_rows()[0] == ["run", "runs", "x", "x low", "x high", "y", "y low", "y high"]
    assert table.csv_rows()[1] == ["a|b", 1, 1.0, 0.0, 2.0, "", "", ""]


def test_runs_that_differ_in_the_seed_alone_are_one_row(make_run):
    runs = [make_run("species", f"wide-{seed}", {"seed": seed}, _accurate(value)) for seed, value in ((3, 0.8), (5, 0.9))]
    runs.append(make_run("species", "narrow", {"views": ["whole"]}, _accurate(0.5)))
    comparison = compare_runs(runs)
    assert [(row.name, [run.run for run in row.runs]) for row in comparison.rows] == [("wide", runs[:2]), ("narrow", runs[2:])]
    cells = comparison.to_json()["tables"][0]["rows"]
    assert cells["wide"]["accuracy"]["values"] == (0.8, 0.9) and cells["wide"]["accuracy"]["mean"] == pytest.approx(0.85)
    low, high = json.loads((Path(runs[2]) / "metrics.json").read_text())["validation"]["accuracy_interval"]
    assert cells["narrow"]["accuracy"]["interval"] == (low, high)  # of one run, over photos
    assert comparison.warnings == () and comparison.protocol == "training"


def test_runs_of_one_name_are_one_row_and_rows_of_one_name_tell_what_differs(make_run):
    runs = [
        make_run("species", "run", {"dropout": 0.1}),
        make_run("species", "run", {"dropout": 0.3}),
        make_run("species", "run", {"dropout": 0.3, "mixup": 0.0}),
    ]
    assert [row.name for row in compare_runs(runs).rows] == ["run (dropout=0.1, mixup=0.2)", "run (dropout=0.3, mixup=0.2)", "run (dropout=0.3, mixup=0.0)"]
    named = compare_runs(runs, names={runs[0]: "ours", runs[1]: "ours"})
    assert [(row.name, len(row.runs)) for row in named.rows] == [("ours", 2), ("run", 1)]


def test_other_photos_are_told(make_run):
    runs = [make_run("species", "one"), make_run("species", "two", {"dropout": 0.5}, photos=("validation", "train"))]
    with pytest.warns(UserWarning, match="one .* and two .* were judged on different photos"):
        (sentence,) = compare_runs(runs).warnings
    assert "--evaluate SOURCE evaluates all on the same" in sentence


def test_seeds_may_split_the_photos_each_in_its_way_if_all_rows_do(make_run):
    other = ("Rosa_rubra_0.png,5292,train", "Rosa_rubra_0.png,5292,validation")
    runs = [
        make_run("species", name, {"seed": seed, "dropout": dropout}, photos=other if seed else None)
        for name, dropout in (("a", 0.1), ("b", 0.2))
        for seed in (0, 1)
    ]
    assert compare_runs(runs).warnings == ()
    with pytest.warns(UserWarning, match="different photos"):
        compare_runs(runs[:3])


def test_other_rules_of_judging_are_told(make_run):
    runs = [make_run("species", "one"), make_run("species", "two", {"dropout": 0.5}, lambda metrics: metrics["validation"]["specificity"].update(target=0.8))]
    with pytest.warns(UserWarning, match="judged by different rules: the target of answers is 0.9 there and 0.8 here"):
        compare_runs(runs)


def test_what_cannot_be_compared_is_refused_in_one_line(make_run, tmp_path):
    species, matcher, retriever = make_run("species", "s"), make_run("tattoo-matcher", "m"), make_run("retriever", "r")
    with pytest.raises(RunError, match=r"runs of one application can be compared, these are of 2: .* of species, .* of retriever"):
        compare_runs([species, retriever])
    with pytest.raises(RunError, match="never judged.*--evaluate SOURCE"):
        compare_runs([matcher])
    with pytest.raises(RunError, match="was not judged by 'ukbench' .it was judged by training.: .*--evaluate SOURCE"):
        compare_runs([retriever], "ukbench")
    with pytest.raises(RunError, match="recipe.json does not exist"):
        compare_runs([tmp_path])
    for protocol in ("ukbench", "labels"):
        folder = Path(retriever) / f"evaluation-{protocol}"
        folder.mkdir()
        metrics = json.loads((Path(retriever) / "metrics.json").read_text())
        (folder / "report.json").write_text(json.dumps({**metrics, "protocol": protocol}))
    with pytest.raises(RunError, match="judged by labels and by ukbench: choose with --protocol"):
        compare_runs([retriever])
    assert compare_runs([retriever], "ukbench").tables[0].title == "Table 1: NS-score of single taps"
    (Path(species) / "metrics.json").unlink()
    with pytest.raises(RunError, match="is not finished"):
        compare_runs([species])


def test_every_application_that_trains_can_be_compared():
    assert names_with("comparison") == list(APPLICATIONS)


@pytest.mark.parametrize("application", FROZEN_RUNS)
def test_every_application_has_tables_and_a_figure(application, make_run, tmp_path):
    runs = [make_run(application, f"a-{seed}", {"seed": seed}) for seed in (0, 1)] + [make_run(application, "b", {"batch_size": 6})]
    comparison = compare_runs(runs)
    written = write_comparison(tmp_path, comparison)
    assert [row.name for row in comparison.rows] == ["a", "b"]
    for table in comparison.tables:
        assert table.title in (tmp_path / "table.md").read_text() and all(len(cells) == len(table.measures) for _, cells in table.cells())
    assert set(written) == {"md", "csv", "json", "html", "png", "svg"}
    assert Image.open(written["png"]).width >= 700
    assert len(list(csv.reader(io.StringIO((tmp_path / "table.csv").read_text())))) == sum(1 + len(table.rows) for table in comparison.tables)
    page = (tmp_path / "comparison.html").read_text()
    assert "data:image/svg+xml" in page and all(str(run) in page for run in runs)
    json.loads((tmp_path / "comparison.json").read_text())


@pytest.mark.slow
def test_matchers_are_compared_by_cmc_and_det_also_with_models_that_are_no_runs(make_run, tmp_path):
    det = {"pairs": [[1, 0], [0.5, 0.1], [0.1, 0.4], [0, 1]], "gallery": []}
    report = {"application": "tattoo-matcher", "protocol": "identification", "model": "plain", "galleries": "whole", "cmc": {"1": 0.5, "10": 1.0}}
    report |= {"cmc_curve": [0.5, 0.8, 1.0], "map": 0.6, "eer": 0.2, "fnir": {"0.1": 0.3}, "det": det, "images": 9, "intervals": {"cmc": {"1": [0.4, 0.6]}}}
    report["judged_on"] = {"source": "tattoos", "digest": "abc"}
    runs = [Path(make_run("tattoo-matcher", f"fold-{fold}", {"fold": fold})) for fold in (0, 1)]
    for folder in [*(run / "evaluation-identification" for run in runs), tmp_path / "plain"]:
        folder.mkdir()
        (folder / "report.json").write_text(json.dumps(report))
    comparison = compare_runs([*runs, tmp_path / "plain"])
    assert [(row.name, len(row.runs)) for row in comparison.rows] == [("fold", 2), ("plain", 1)]
    assert [panel.title for panel in comparison.panels] == ["CMC", "DET of pairs"]
    assert [[*table.measures] for table in comparison.tables] == [["rank 1", "rank 10", "mAP"], ["EER", "FNIR at FPIR 0.1"]]
    write_comparison(tmp_path / "out", comparison)


def test_vgg19_slim_is_compared_by_its_teachers():
    comparison = APPLICATIONS["vgg19-slim"].part("comparison").COMPARISON
    rows = [Row("a", (JudgedRun("a", {}, comparison.of_training({"correlation": {"small": {"conv1_1": 0.9, "conv2_1": 0.5}}})),))]
    (table,) = comparison.tables(rows)
    assert [*table.cells()] == [("a", [Estimate(0.9, None, (0.9,)), Estimate(0.5, None, (0.5,))])] and len(comparison.panels(rows)) == 1


def test_a_digest_tells_photos_by_name_size_and_role_in_any_order(colour_photos):
    from tfvision.data.manifest import read_source

    records = read_source(colour_photos).records
    assert photos_digest(photos=records) == photos_digest(photos=records[::-1])
    assert len({photos_digest(photos=records), photos_digest(photos=records[1:]), photos_digest(gallery=records), photos_digest()}) == 4


def test_photos_that_another_run_was_trained_on_do_not_count_either(retriever_run, hue_photos, tmp_path):
    from tfvision.apps.retrieval.evaluation import asked_trial
    from tfvision.errors import DataError
    from tfvision.trained.retriever_run import RetrieverRun

    run = RetrieverRun.open(retriever_run)
    other = shutil.copytree(retriever_run, tmp_path / "other")
    trial, _, left_out = asked_trial(run, hue_photos, "labels")
    (other / "photos.csv").write_text(
        (other / "photos.csv").read_text().replace("held-out", "swapped").replace("train", "held-out").replace("swapped", "train")
    )
    assert len(trial.questions) == 8 and left_out == 24
    with pytest.raises(DataError, match="trained on every query"):
        asked_trial(run, hue_photos, "labels", beside=[other])


def _rows_of(*seeds_of_rows):
    return [
        Row(name, tuple(JudgedRun(f"{name}{seed}", {"seed": seed, "fold": 0}, {}) for seed in seeds)) for name, seeds in zip("ab", seeds_of_rows, strict=False)
    ]


def test_seeds_are_held_to_each_others_photos_by_pairs():
    from tfvision.evaluation.compared_runs import _beside

    paired, unlike = _rows_of((0, 1), (0, 1)), _rows_of((0, 1), (2,))
    assert _beside("a0", paired, ("seed",)) == ["b0"] and _beside("b1", paired, ("seed",)) == ["a1"]
    assert _beside("a0", unlike, ("seed",)) == ["b2"] and _beside("b2", unlike, ("seed",)) == ["a0", "a1"]
    assert _beside("a0", _rows_of((0, 1)), ("seed",)) == []
