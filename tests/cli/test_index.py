import json
import os
import shutil

import numpy as np
import PIL.Image
import pytest

from tfvision.features.recipe import FeatureRecipe
from tfvision.index import making
from tfvision.index.folder_gallery import FolderGallery

pytestmark = pytest.mark.usefixtures("opened_once")

SMALL = ("--model", "small", "--set", "weights=none", "--set", "image_size=32")  # opened faster than a run


@pytest.mark.slow
def test_build_prints_the_fields_others_rely_on(run_command, colour_photos, colour_run, tmp_path):
    code, out, _ = run_command("index", "build", colour_photos, "--out", tmp_path / "g", "--model", colour_run, "--json")
    result = json.loads(out)
    assert code == 0 and set(result) == {"gallery", "images", "failed", "dimension", "seconds"}
    assert (result["gallery"], result["images"], result["failed"]) == (str(tmp_path / "g"), 48, 0)
    gallery = FolderGallery.open(tmp_path / "g")
    assert gallery.dimension == result["dimension"]
    place = list(gallery.ids).index("Rosa_rubra_3.png")
    assert gallery.metadata[place] == {"order": "Reds", "genus": "Rosa", "species": "Rosa rubra"}
    np.testing.assert_allclose(np.linalg.norm(gallery.vectors, axis=1), 1, atol=1e-5)


@pytest.mark.slow
def test_weights_of_a_file_make_the_gallery_and_are_found_from_anywhere(run_command, more_photos, tmp_path, monkeypatch):
    from tfvision.models.catalogue import get_network

    small = ("--model", "small", "--set", "image_size=32", "--json")
    monkeypatch.chdir(tmp_path)
    get_network("small").build(80).save_weights("mine.weights.h5")
    code, out, err = run_command("index", "build", more_photos / "red.png", "--out", "g", "--weights", "mine.weights.h5", *small)
    assert code == 0 and json.loads(out)["images"] == 1 and f"small: weights of {tmp_path / 'mine.weights.h5'}" in err
    monkeypatch.chdir(more_photos)
    assert run_command("index", "add", tmp_path / "g", "blue.png")[0] == 0
    (tmp_path / "mine.weights.h5").unlink()
    code, _, err = run_command("index", "add", tmp_path / "g", "blue.png", "--replace")
    assert code == 1 and f"by small with the weights of {tmp_path / 'mine.weights.h5'}, where nothing is now: put the file back" in err
    code, _, err = run_command("index", "build", "red.png", "--out", "h", "--weights", "nowhere.onnx", *small)
    assert code == 1 and "nowhere.onnx does not exist: give a file with the weights of small, `imagenet` or `none`" in err


def test_weights_are_not_for_what_has_its_own(run_command, more_photos, colour_run, tmp_path):
    arguments = ("--out", tmp_path / "g", "--model", colour_run, "--weights", "x.onnx")
    code, _, err = run_command("index", "build", more_photos / "red.png", *arguments)
    assert code == 1 and f"{colour_run} has weights of its own: give --weights with a network, as alexnet, got x.onnx" in err


@pytest.mark.slow
def test_add_passes_over_what_is_there_and_names_what_is_broken(run_command, small_gallery, more_photos, tmp_path):
    gallery = shutil.copytree(small_gallery, tmp_path / "gallery")
    code, out, err = run_command("index", "add", gallery, more_photos, "--json")
    result = json.loads(out)
    assert (code, result["images"], result["added"], result["failed"]) == (0, 50, 2, 1)
    assert "broken.jpg is no image" in err
    assert json.loads(run_command("index", "add", gallery, more_photos / "red.png", "--json")[1])["added"] == 0
    assert json.loads(run_command("index", "add", gallery, more_photos / "red.png", "--replace", "--json")[1])["added"] == 1
    assert json.loads(run_command("index", "info", gallery, "--json")[1])["images"] == 50


@pytest.mark.slow
def test_an_id_of_another_picture_is_no_pass(run_command, small_gallery, more_photos, tmp_path):
    gallery = shutil.copytree(small_gallery, tmp_path / "gallery")
    run_command("index", "add", gallery, more_photos)
    (more_photos / "other").mkdir()
    PIL.Image.new("RGB", (40, 48)).save(more_photos / "other" / "red.png")
    code, _, err = run_command("index", "add", gallery, more_photos / "other" / "red.png")
    assert code == 1 and "has the id 'red.png' for another picture" in err


def test_pictures_are_removed_by_id_and_by_condition(run_command, gallery):
    code, out, _ = run_command("index", "remove", gallery, "Rosa_rubra_0.png", "--where", "species=Viola prima", "--json")
    assert code == 0 and json.loads(out) == {"gallery": str(gallery), "images": 35, "removed": 13}
    code, _, err = run_command("index", "remove", gallery, "Rosa_rubra_0.png")
    assert code == 1 and "has no picture with the id 'Rosa_rubra_0.png': nothing was removed" in err
    assert run_command("index", "remove", gallery)[0] == 2


def test_info_tells_what_is_there(run_command, gallery, colour_run):
    _, out, _ = run_command("index", "info", gallery)
    assert "48 pictures of" in out and "metadata  species: 4 different values" in out
    assert f"model={colour_run}" in out and "index     hnsw over 48 rows" in out and "files     whole" in out
    for path in gallery.glob("data-*/hnsw*"):
        path.unlink()
    assert "index     none: every search is exact" in run_command("index", "info", gallery)[1]
    assert len(run_command("index", "info", gallery, "--ids")[1].splitlines()) == 48


def test_info_shows_the_measured_recall(run_command, gallery):
    facts = FolderGallery.open(gallery).open_index("hnsw").facts
    assert f"index     hnsw over 48 rows: recall@10 {facts['recall']:.3f} (measured)" in run_command("index", "info", gallery)[1]


@pytest.mark.slow
def test_whitened_vectors_are_of_the_dimension_asked_for(run_command, colour_photos, tmp_path, more_photos):
    code, out, _ = run_command("index", "build", colour_photos, "--out", tmp_path / "g", *SMALL, "--whiten", "4", "--json")
    assert code == 0 and json.loads(out)["dimension"] == 4
    assert json.loads(run_command("index", "add", tmp_path / "g", more_photos, "--json")[1])["images"] == 50
    _, out, _ = run_command("search", tmp_path / "g", colour_photos / "Rosa_rubra_1.png", "-k", "1", "--json")
    (hit,) = json.loads(out)["hits"]
    assert hit["id"] == "Rosa_rubra_1.png" and hit["score"] == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_a_killed_build_goes_on(run_command, colour_photos, tmp_path, monkeypatch):
    """Killed after its first commit: the folder is copied then. Commits themselves are killed in tests/index/test_folder_gallery.py."""
    command, add = ("index", "build", colour_photos, "--out", tmp_path / "g", *SMALL), FolderGallery.add

    def add_and_copy(gallery, *given):
        add(gallery, *given)
        if not (tmp_path / "g").exists():
            shutil.copytree(tmp_path / "whole", tmp_path / "g")

    with monkeypatch.context() as patch:
        patch.setattr(making, "_PHOTOS_BETWEEN_COMMITS", 1)
        patch.setattr(FolderGallery, "add", add_and_copy)
        making.build_gallery(colour_photos, tmp_path / "whole", FeatureRecipe("small", weights="none", image_size=32))
    begun = len(FolderGallery.open(tmp_path / "g"))
    assert 0 < begun < 48
    code, _, err = run_command(*command)
    assert code == 1 and "is an unfinished gallery: go on with --resume" in err
    assert "is unfinished" in run_command("search", tmp_path / "g", colour_photos / "Rosa_rubra_1.png")[2]
    code, _, err = run_command(*command, "--resume", "--set", "is_flipped=true")
    assert code == 1 and "was begun with another model or other settings" in err
    code, out, _ = run_command(*command, "--resume", "--json")
    assert code == 0 and json.loads(out)["images"] == 48
    assert sorted(FolderGallery.open(tmp_path / "g").ids) == sorted(name for name in os.listdir(colour_photos) if name.endswith(".png"))
    code, _, err = run_command(*command)
    assert code == 1 and "is a gallery already: add to it with `tfvision index add`" in err


@pytest.mark.slow
def test_a_gallery_of_another_model_is_refused(run_command, gallery, more_photos, colour_run, tmp_path):
    import h5py

    other = shutil.copytree(colour_run, tmp_path / "other")
    with h5py.File(other / "model.weights.h5", "r+") as file:
        kernels = []
        file.visititems(lambda name, item: kernels.append(item) if isinstance(item, h5py.Dataset) and item.ndim == 4 else None)
        for kernel in kernels:
            kernel[...] = kernel[...] * 1.5
    for command in (("index", "add", gallery, more_photos), ("search", gallery, more_photos / "red.png")):
        code, _, err = run_command(*command, "--model", other)
        assert code == 1 and "was made by another model than" in err and "--model" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["index", "build", "nowhere", "--out", "g"], 1, "error: nowhere is neither a folder of photos nor a manifest CSV"),
        (["index", "build", "new", "--out", "g", "--set", "poling=gem"], 1, "did you mean pooling"),
        (["index", "build", "new", "--out", "new", *SMALL], 1, "new holds other files"),
        (
            ["index", "build", "new/broken.jpg", "--out", "g", *SMALL],
            1,
            "none of the 1 photos of new/broken.jpg could be read: new/broken.jpg is no image",
        ),
        (["index", "build", "new"], 2, "Missing option '--out'"),
        (["index", "add", "nowhere", "new"], 1, "nowhere is no gallery"),
        (["index", "info", "new"], 1, "new is no gallery: it has no gallery.json"),
        (["search", "nowhere", "new/red.png"], 1, "nowhere is no gallery"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_end_in_one_clear_line(run_command, more_photos, monkeypatch, arguments, code, message):
    monkeypatch.chdir(more_photos.parent)
    got, out, err = run_command(*arguments)
    assert got == code
    assert message in err and "Traceback" not in err
    assert out == ""
