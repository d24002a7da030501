import csv
import json

import numpy as np
import PIL.Image
import pytest

from tfvision.apps.retrieval.evaluation import evaluate_retriever
from tfvision.apps.retrieval.grad_cam import draw_grad_cams
from tfvision.apps.retrieval.indices import Taps, index_vectors, read_taps, tap_extractor
from tfvision.data.manifest import read_source
from tfvision.errors import DataError, RecipeError
from tfvision.features.extraction import extract
from tfvision.features.extractor import open_extractor
from tfvision.features.recipe import FeatureRecipe
from tfvision.trained.retriever_network import load_retriever
from tfvision.trained.retriever_run import RetrieverRun

pytestmark = pytest.mark.usefixtures("opened_once")


def _unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_norms_and_additions_of_taps_by_hand():
    taps = Taps(np.float32([[3, 4, 0, 5], [0, 0, 0, 0], [6, 8, 12, 0]]), {"a": 2, "b": 2}, np.array([True, False, True]))
    assert taps.norms() == {"a": 7.5, "b": 8.5}  # the second photo is broken
    np.testing.assert_allclose(taps.index("b", {}, slice(0, 1)), [[0, 1]])
    np.testing.assert_allclose(taps.index("addition", {}, slice(0, 2)), [np.array([3, 4, 0, 5]) / 50**0.5, np.zeros(4)], rtol=1e-6)
    np.testing.assert_allclose(taps.index("normalised_addition", {}, slice(2, 3)), [np.array([0.6, 0.8, 1, 0]) / 2**0.5], rtol=1e-6)


@pytest.fixture(scope="module")
def result(retriever_run, hue_photos):
    return evaluate_retriever(str(retriever_run), str(hue_photos), "labels")


@pytest.mark.slow
def test_photos_that_trained_the_run_do_not_ask(result, retriever_run):
    assert (result["queries"], result["left_out"], result["trained_queries"]) == (8, 24, 0)
    assert (result["images"], result["protocol_split"]) == (32, "held-out")
    assert result["map"] == result["by_layer"]["tuned3"]
    stored = json.loads((retriever_run / "evaluation-labels" / "report.json").read_text())
    assert stored["by_layer"] == result["by_layer"] and stored["tap_norms"].keys() == {"stage1", "stage2", "stage3"}


@pytest.mark.slow
def test_mistakes_of_each_index_are_counted_and_shown(result, retriever_run):
    assert {index: one["count"] for index, one in result["mistakes"].items()} == dict.fromkeys(result["by_layer"], 0) | {
        "tuned3": result["mistakes"]["tuned3"]["count"]
    }
    (pair,) = result["mistakes"]["tuned3"]["pairs"]
    assert pair["query"].split("_")[0] != pair["found"].split("_")[0] and result["mistaken_by_all_taps"] == 0
    assert result["recall"]["tuned3"]["1"] == 1 - result["mistakes"]["tuned3"]["count"] / result["queries"]
    assert (retriever_run / "evaluation-labels" / "mistakes.png").is_file()
    assert "Mistakes" in (retriever_run / "evaluation-labels" / "report.html").read_text()


@pytest.mark.slow
def test_evaluating_repeats_what_training_found(result, retriever_run):
    metrics = json.loads((retriever_run / "metrics.json").read_text())
    assert result["by_layer"] == pytest.approx(metrics["by_layer"], abs=1e-6)


@pytest.mark.slow
def test_an_extractor_of_the_run_gives_its_indices(untraced, retriever_run, hue_photos):
    run, manifest = RetrieverRun.open(retriever_run), read_source(hue_photos).select([True] * 3 + [False] * 29)
    retriever = load_retriever(retriever_run, run.recipe.size_px)
    taps = read_taps(manifest, tap_extractor(retriever, run.recipe, "the run"))
    settings = {  # index -> how others ask for it
        "tuned3": {},
        "tuned6": {"layers": ("tuned6",)},
        "stage2": {"layers": ("stage2",)},
        "addition": {"layers": ("stage1", "stage2", "stage3")},
        "normalised_addition": {"layers": ("normalised_addition",)},
    }
    for name, setting in settings.items():
        ((_, vectors),) = extract(manifest, open_extractor(FeatureRecipe(model=str(retriever_run), **setting)))
        with index_vectors(taps, name, retriever.tuned) as expected:
            np.testing.assert_allclose(vectors, expected, atol=1e-4, err_msg=name)
    with pytest.raises(RecipeError, match="layers of .* are stage1, .*tuned6, got conv9"):
        open_extractor(FeatureRecipe(model=str(retriever_run), layers=("conv9",)))


@pytest.mark.slow
def test_oxfords_protocol_crops_queries(retriever_run, hue_photos):
    landmark = {"good": ["hue0_0", "hue0_1"], "ok": ["hue0_2"], "junk": ["hue0_3"], "official_queries_present": [["hue0_0", 0, 0, 512, 512]]}
    with open(retriever_run / "photos.csv", newline="") as file:
        held_out = next(row["image"] for row in csv.DictReader(file) if row["split"] == "held-out").split("_")[0]
    text = json.dumps({"groundtruth": {"hall": landmark}}).replace("hue0", held_out)
    (hue_photos / "groundtruth.json").write_text(text)
    try:
        boxes = evaluate_retriever(str(retriever_run), str(hue_photos), "oxford")
        good = evaluate_retriever(str(retriever_run), str(hue_photos), "oxford", queries="good")
    finally:
        (hue_photos / "groundtruth.json").unlink()
    assert (boxes["queries"], good["queries"]) == (1, 2)
    assert 0 < boxes["map"] <= 1 and "recall" not in boxes


def test_a_source_that_trained_the_run_whole_is_refused(retriever_run, hue_photos):
    with open(retriever_run / "photos.csv", newline="") as file:
        trained = [row for row in csv.DictReader(file) if row["split"] == "train"]
    source = hue_photos / "trained.csv"
    source.write_text("image,label\n" + "".join(f"{row['image']},{row['label']}\n" for row in trained))
    with pytest.raises(DataError, match="trained on every query of .*trained.csv: .*--protocol-split paper"):
        evaluate_retriever(str(retriever_run), str(source), "labels")


@pytest.mark.slow
def test_grad_cam_of_taps_and_of_any_layer(retriever_run, hue_photos, tmp_path):
    photo = hue_photos / "hue0_0.png"
    result = draw_grad_cams(str(retriever_run), str(photo), (), None, str(tmp_path))
    assert list(result["pictures"]) == ["stage1", "stage3"]
    assert result["label"] in RetrieverRun.open(retriever_run).classes
    with pytest.raises(RecipeError, match="--layer must be one of stage1, stage2, stage3, or any layer"):
        draw_grad_cams(str(retriever_run), str(photo), ("conv9",), None, str(tmp_path))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::tfvision.errors.DataWarning")
def test_a_benchmark_is_evaluated_by_its_own_protocol(retriever_run, hue_photos, tmp_path):
    for number, path in enumerate(sorted(hue_photos.glob("*.png"))[:10]):
        PIL.Image.open(path).rotate(90).save(tmp_path / f"ukbench{number:05d}.png")
    result = evaluate_retriever(str(retriever_run), str(tmp_path), out=tmp_path / "report")
    assert (result["protocol"], result["queries"], result["images"]) == ("ukbench", 8, 10)
    assert 1 <= result["ns_score"] <= 4
    assert "NS-score by index" in (tmp_path / "report" / "report.html").read_text()
