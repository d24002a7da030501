import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tfvision.apps.species.evaluation import evaluate_species
from tfvision.apps.species.identification import SpeciesIdentifier
from tfvision.errors import DataError
from tfvision.trained.species_run import SpeciesRun

pytestmark = pytest.mark.usefixtures("figures_once", "opened_once")


@pytest.fixture(scope="module")
def result(colour_run, colour_photos, tmp_path_factory):
    return evaluate_species(str(colour_run), str(colour_photos), out=str(tmp_path_factory.mktemp("report")))


@pytest.mark.slow
def test_training_photos_are_left_out_and_counted(result, colour_run):
    rows = list(csv.DictReader(SpeciesRun(colour_run).photos_path.open()))
    trained = sum(row["split"] == "train" for row in rows)
    assert result["images"] == len(rows) - trained
    assert result["left_out"] == {"the run was trained on them": trained}


@pytest.mark.slow
def test_photos_are_recognised_in_another_folder(result, colour_run, colour_photos, tmp_path):
    shutil.copytree(colour_photos, tmp_path / "elsewhere")
    moved = evaluate_species(str(colour_run), str(tmp_path / "elsewhere"), out=str(tmp_path / "report"))
    assert moved["images"] == result["images"]
    assert moved["accuracy"] == result["accuracy"]


@pytest.mark.slow
def test_accuracy_equals_what_identification_names(result, colour_run, colour_photos):
    rows = [row for row in csv.DictReader(SpeciesRun(colour_run).photos_path.open()) if row["split"] == "validation"]
    identifier = SpeciesIdentifier.load(str(colour_run))
    answers = identifier.identify([colour_photos / row["image"] for row in rows])
    right = [answer["top"][0]["name"] == row["species"] for answer, row in zip(answers, rows, strict=True)]
    assert result["accuracy"] == pytest.approx(np.mean(right))


@pytest.mark.slow
def test_the_report_holds_the_result(result):
    stored = json.loads(open(result["report"].replace(".html", ".json")).read())
    assert stored["accuracy"] == result["accuracy"]
    assert set(stored) >= {"images", "accuracy", "top5", "accuracy_by_rank", "specificity", "by_class_size", "calibration_error"}
    assert set(stored["specificity"]) >= {"target", "threshold", "accuracy", "depth"}
    assert list(stored["accuracy_by_rank"]) == ["order", "genus", "species"]


@pytest.mark.slow
def test_prior_taxa_condition_every_answer_and_leave_other_photos_out(colour_run, colour_photos, result, tmp_path):
    reds = evaluate_species(str(colour_run), str(colour_photos), out=str(tmp_path), within=["Reds"])
    assert reds["images"] == result["images"] / 2
    assert reds["left_out"]["they lie outside the prior taxa"] == result["images"] / 2
    assert reds["accuracy_by_rank"]["order"] == 1.0


@pytest.mark.slow
def test_species_that_the_model_does_not_know_are_left_out_and_counted(colour_run, colour_photos, tmp_path):
    manifest = colour_photos / "mixed.csv"
    text = (colour_photos / "manifest.csv").read_text().replace("Viola prima", "Viola secunda")
    manifest.write_text(text)
    result = evaluate_species(str(colour_run), str(manifest), out=str(tmp_path))
    manifest.unlink()
    assert result["left_out"]["their species is not among the run's classes"] == 2
    assert result["names"] == ["of no class of the run: 'Blues / Viola / Viola secunda' (2 photos, the nearest is 'Viola prima')"]


@pytest.mark.slow
def test_names_in_another_spelling_are_the_runs_own_and_are_said(colour_run, colour_photos, result, tmp_path):
    manifest = colour_photos / "spelled.csv"
    text = (colour_photos / "manifest.csv").read_text()
    manifest.write_text(text.replace("Viola prima", "Viola_prima").replace("Rosa rubra", '"ROSA RUBRA (Linnaeus, 1758)"'))
    spelled = evaluate_species(str(colour_run), str(manifest), out=str(tmp_path))
    manifest.unlink()
    assert (spelled["images"], spelled["accuracy"]) == (result["images"], result["accuracy"])
    (told,) = spelled["names"]
    assert told.startswith("names in another spelling, read as the run's: ") and "'Viola_prima' as 'Viola prima'" in told


@pytest.mark.slow
def test_a_flat_folder_is_matched_to_a_run_of_several_ranks(colour_run, colour_photos, result, tmp_path):
    assert SpeciesRun(colour_run).facts["ranks"] == ["order", "genus", "species"]  # as asked for, which a flat folder does not have
    for path in colour_photos.glob("*.png"):
        folder = tmp_path / "flat" / path.name.rpartition("_")[0].upper()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / path.name).write_bytes(path.read_bytes())
    flat = evaluate_species(str(colour_run), str(tmp_path / "flat"), out=str(tmp_path / "report"))
    assert (flat["images"], flat["accuracy"]) == (result["images"], result["accuracy"])


def test_no_photo_left_is_one_clear_line(colour_run, colour_photos, tmp_path):
    rows = [row for row in csv.DictReader(SpeciesRun(colour_run).photos_path.open()) if row["split"] == "train"]
    manifest = colour_photos / "trained.csv"
    lines = [",".join(row[key] for key in ("image", "order", "genus", "species")) for row in rows]
    manifest.write_text("\n".join(["image,order,genus,species", *lines]))
    with pytest.raises(DataError, match="no photo is left to evaluate on .* the run was trained on them"):
        evaluate_species(str(colour_run), str(manifest), out=str(tmp_path))
    manifest.unlink()


@pytest.mark.slow
def test_what_the_run_will_do_comes_before_what_a_refit_would(colour_run, colour_photos, tmp_path, capsys):
    """All photos are grey: nothing can be told, and the run's own threshold must not be judged by one that was fitted on them."""
    from tfvision.cli.main import main

    rows = list(csv.DictReader((colour_photos / "manifest.csv").open()))
    lines = ["image,order,genus,species"]
    for row in rows:
        name = f"grey_{row['image']}"
        Image.open(colour_photos / row["image"]).convert("L").convert("RGB").save(tmp_path / name)
        lines.append(f"{name},{row['order']},{row['genus']},{row['species']}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    main(["evaluate", str(colour_run), str(tmp_path), "--out", str(tmp_path / "report")])
    out = capsys.readouterr().out
    answers = list(SpeciesIdentifier.load(colour_run).identify([tmp_path / f"grey_{row['image']}" for row in rows]))
    right = [answer["rank"] == "root" or row[answer["rank"]] == answer["taxon"] for answer, row in zip(answers, rows, strict=True)]
    result = json.loads((tmp_path / "report" / "report.json").read_text())
    standing, refitted = result["as_it_stands"], result["specificity"]
    assert standing["accuracy"] == pytest.approx(np.mean(right)) and standing["accuracy"] < refitted["accuracy"]
    assert standing["depth"] == pytest.approx(np.mean([len(answer["lineage"]) for answer in answers]))
    assert standing["threshold"] == SpeciesRun(colour_run).calibration["threshold"] and standing["is_apart"]
    assert out.index("as it stands: threshold") < out.index("refitted: threshold") < out.index("These photos are not like those it was trained on")
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.index("As it stands") < page.index("Refitted on these photos") and "not like those it was trained on" in page
    assert str(tmp_path) not in page.replace(f"<td>{tmp_path}</td>", "") and "grey_" in page  # names, where they can be read
    told = list(csv.DictReader((tmp_path / "report" / "answers.csv").open()))
    assert [(row["image"], row["taxon"], row["rank"]) for row in told] == [
        (f"grey_{row['image']}", answer["taxon"], answer["rank"]) for row, answer in zip(rows, answers, strict=True)
    ]
    assert [row["is_right"] == "1" for row in told] == right


@pytest.mark.slow
def test_photos_like_those_of_the_training_are_not_said_to_be_others(result):
    assert not result["as_it_stands"]["is_apart"] and result["unlikeness"] == ""
    assert result["headline"].index("as it stands") < result["headline"].index("is right for")
