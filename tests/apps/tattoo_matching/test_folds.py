import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tfvision.apps.tattoo_matching import evaluation, folds
from tfvision.apps.tattoo_matching.folds import PAPERS_RECIPES, PUBLISHED, RANKS, table_rows, title, train_and_evaluate_folds
from tfvision.apps.tattoo_matching.recipes import RECIPES
from tfvision.apps.tattoo_matching.source import read_matching_source
from tfvision.apps.tattoo_matching.training import choose_training, matching_order
from tfvision.data.manifest import write_csv_text
from tfvision.errors import DataError, RecipeError, RunError
from tfvision.features.extractor import open_extractor
from tfvision.features.recipe import FeatureRecipe

SUBJECTS = 6


@pytest.fixture(scope="module")
def tattc(tmp_path_factory):
    """Tatt-C's mixed media and similarity: six subjects of two probes and a gallery image, in two lists."""
    folder, random = tmp_path_factory.mktemp("tattc"), np.random.default_rng(0)
    for use_case in ("mixed_media", "tattoo_similarity"):
        (folder / use_case / "images").mkdir(parents=True)
        for subject in range(SUBJECTS):
            for view in range(3):
                pixels = np.clip(random.normal(40 * subject, 30, (40, 40, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / use_case / "images" / f"{subject}_{view}.png")
        truth = "".join(f"{subject}_{view}.png {subject}_0.png\n" for subject in range(SUBJECTS) for view in (1, 2))
        (folder / use_case / "ground_truth.txt").write_text(truth)
        for fold in range(2):
            names = "".join(f"{subject}_{view}.png\n" for subject in range(SUBJECTS) if subject % 2 == fold for view in (1, 2))
            (folder / use_case / f"probe_list_{fold + 1}.txt").write_text(names)
    return folder


@pytest.fixture(scope="module")
def extractor(matcher_run):
    return open_extractor(FeatureRecipe(model=str(matcher_run)))


@pytest.fixture
def trained(matcher_run, extractor, monkeypatch):
    """What was trained, of runs that are copies of one: [(recipe, fold)]; each has the list of what it would have been trained on."""
    done = []

    def train(source=None, recipe=None, run=None, resume=False):
        if resume:
            return
        photos = read_matching_source(source)
        shutil.copytree(matcher_run, run)
        stored = json.loads((run / "recipe.json").read_text())
        (run / "recipe.json").write_text(json.dumps({**stored, "source": str(source), "recipe": {**vars(recipe), "precision": "float32"}}))
        splits = np.where(choose_training(photos, recipe), "train", "held-out")
        (run / "photos.csv").write_text(write_csv_text(photos.manifest.with_splits(splits)))
        done.append((recipe.name, recipe.fold))

    monkeypatch.setattr(folds, "train_matcher", train)
    monkeypatch.setattr(evaluation, "open_extractor", lambda recipe: extractor)  # that of all copies, built once
    return done


def _settings():
    return {"network": "small", "weights": "none", "image_size": 32, "tap": "", "loss_tap": "", "frozen": "", "rotations": 1, "is_normalised": True}


@pytest.mark.slow
def test_every_probe_is_asked_of_the_run_that_left_it_out(tattc, trained, tmp_path):
    result = train_and_evaluate_folds(tattc, "mixed-media", settings=_settings(), folder=tmp_path)
    assert trained == [("contrastive", 0), ("contrastive", 1)]
    row = result["rows"]["contrastive"]
    assert (result["folds"], row["mated"], row["gallery"]) == (2, 2 * SUBJECTS, 3)  # three gallery images a fold
    assert [one["mated"] for one in row["by_run"]] == [6, 6]
    assert {"1", "10", "20", "30"} <= row["cmc"].keys()
    assert result["published"]["Deep Tattoo"] == {"1": 0.122, "10": 0.569, "20": 0.873, "30": 1.0}
    assert json.loads((tmp_path / "report.json").read_text())["rows"]["contrastive"]["cmc"] == row["cmc"]
    page = (tmp_path / "report.html").read_text()
    assert "table 4 of the paper" in page and "MITRE (published)" in page


@pytest.fixture
def measured(monkeypatch):
    """What would have been measured: [names of the runs]; each row is the same."""
    asked = []
    row = {"cmc": dict.fromkeys(("1", "5", "10", "20", "30"), 0.5), "intervals": {"cmc": {}}, "mated": 12, "gallery": 3, "broken": {}}
    monkeypatch.setattr(folds, "evaluate_folds", lambda runs, *told: asked.append([run.name for run in runs]) or row)
    return asked


@pytest.mark.slow
def test_what_is_there_is_not_trained_again_and_nothing_else_is_taken_for_it(tattc, trained, measured, tmp_path):
    for _ in range(2):
        train_and_evaluate_folds(tattc, "mixed-media", settings=_settings(), folder=tmp_path)
    assert len(trained) == 2 and measured == [["contrastive-0", "contrastive-1"]] * 2
    with pytest.raises(RunError, match="contrastive-0 was trained by another recipe or on other photos: remove it, or choose another folder with --runs"):
        train_and_evaluate_folds(tattc, "mixed-media", settings={**_settings(), "margin": 0.5}, folder=tmp_path)


@pytest.mark.slow
def test_table_5_has_both_losses_beside_what_was_published(tattc, trained, measured, tmp_path):
    result = train_and_evaluate_folds(tattc, "similarity", settings=_settings(), folder=tmp_path)
    assert [name for name, _ in trained] == ["triplet"] * 2 + ["contrastive"] * 2
    header, rows = table_rows(result)
    assert header == ("", "probes", "gallery", "rank 1", "rank 5", "rank 10", "rank 20", "rank 30")
    assert [row[0] for row in rows] == ["triplet", "contrastive", *(f"{name} (published)" for name in PUBLISHED["similarity"])]
    assert rows[-1] == ("Deep Tattoo, non-triplet (published)", "", "", "0.017", "", "0.111", "0.155", "0.210")
    assert "table 5 of the paper" in title(result)


@pytest.mark.slow
def test_any_source_of_subjects_has_folds(tattoo_photos, trained, measured, tmp_path):
    result = train_and_evaluate_folds(tattoo_photos, settings={**_settings(), "folds": 2}, folder=tmp_path)
    assert trained == [("small", 0), ("small", 1)] and result["published"] == {} and result["folds"] == 2


def test_tattcs_pairs_are_a_probe_and_a_gallery_image(tattc):
    photos = read_matching_source(tattc, "mixed-media")
    for name in ("contrastive", "triplet"):
        order = matching_order(photos, RECIPES[name]())
        (rows,) = [chunk["index"] for chunk in order.positions(0, order.epoch_size)]
        together = 2 if name == "contrastive" else 3
        roles = np.array(photos.roles)[rows].reshape(-1, together)
        assert (roles[:, 0] != roles[:, 1]).all()
        assert (roles[:, 0] != roles[:, -1]).all()


def test_the_papers_numbers_are_complete():
    assert PUBLISHED.keys() == PAPERS_RECIPES.keys() == folds.TABLES.keys()
    assert all(len(shares) == len(RANKS) and list(shares) == sorted(shares) for rows in PUBLISHED.values() for shares in rows.values())


@pytest.mark.slow
def test_what_cannot_be_trained_is_told_first(tattc, trained, tmp_path, draw_tattoos):
    with pytest.raises(RecipeError, match="--recipe must be one of small, contrastive, triplet, got 'large'"):
        train_and_evaluate_folds(tattc, "mixed-media", ("large",), folder=tmp_path)
    with pytest.raises(RecipeError, match="'marge' is no setting of a recipe; did you mean margin"):
        train_and_evaluate_folds(tattc, "mixed-media", settings={"marge": 1}, folder=tmp_path)
    source = draw_tattoos(tmp_path)
    lines = (source / "manifest.csv").read_text().splitlines()
    (source / "manifest.csv").write_text("\n".join(["image,subject,split", *(f"{line},train" for line in lines[1:])]) + "\n")
    with pytest.raises(DataError, match="names splits, which decide what trains"):
        train_and_evaluate_folds(source, folder=tmp_path / "runs")
    assert trained == []
