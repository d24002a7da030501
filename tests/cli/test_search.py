import json

import PIL.Image
import pytest

from tfvision.index.folder_gallery import FolderGallery

pytestmark = pytest.mark.usefixtures("opened_once")


@pytest.mark.slow
def test_it_prints_a_line_a_photo_and_errors_in_place(run_command, small_gallery, colour_photos, more_photos):
    photos = (colour_photos / "Viola_prima_3.png", more_photos / "broken.jpg", more_photos / "red.png")
    code, out, _ = run_command("search", small_gallery, *photos, "-k", "3", "--json")
    own, broken, red = map(json.loads, out.splitlines())
    assert code == 0 and [own["query"], broken["query"], red["query"]] == list(map(str, photos))
    assert set(broken) == {"query", "error"} and "broken.jpg is no image" in broken["error"]
    assert [set(hit) for hit in own["hits"]] == [{"id", "image", "score", "order", "genus", "species"}] * 3
    assert own["hits"][0]["id"] == "Viola_prima_3.png" and own["hits"][0]["score"] == pytest.approx(1, abs=1e-3)
    assert own["hits"][0]["image"] == str(colour_photos / "Viola_prima_3.png")
    assert {hit["order"] for hit in red["hits"]} == {"Reds"}


@pytest.mark.slow
def test_conditions_expansion_and_reranking(run_command, small_gallery, more_photos):
    options = ("--where", "order=Blues", "--expand", "3", "--rerank", "--json")
    code, out, _ = run_command("search", small_gallery, more_photos / "red.png", "-k", "5", *options)
    hits = json.loads(out)["hits"]
    assert code == 0 and len(hits) == 5 and {hit["order"] for hit in hits} == {"Blues"}


@pytest.mark.slow
def test_k_larger_than_the_gallery_answers_with_all_and_says_so(run_command, small_gallery, more_photos):
    code, out, err = run_command("search", small_gallery, more_photos / "red.png", "-k", "100", "--json")
    assert code == 0 and len(json.loads(out)["hits"]) == 48
    assert "has 48 pictures, fewer than the 100 asked for" in err
    code, out, err = run_command("search", small_gallery, more_photos / "red.png", "--where", "species=Nobody", "--json")
    assert code == 0 and json.loads(out)["hits"] == [] and "has 0 pictures that fulfil the conditions" in err


@pytest.mark.slow
def test_a_page_holds_pictures_scores_and_no_markup_of_users(run_command, small_gallery, more_photos, tmp_path):
    query = more_photos / "<b>red.png"
    (more_photos / "red.png").rename(query)
    code, out, err = run_command("search", small_gallery, query, more_photos / "broken.jpg", "-k", "4", "--html", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert code == 0 and "   1. " in out and "page.html" in err
    assert page.count("data:image/jpeg;base64,") == 5 and "&lt;b&gt;red.png" in page and "<b>red.png" not in page
    assert "Rosa rubra" in page and "broken.jpg is no image" in page and "http" not in page.replace("http-equiv", "")


@pytest.mark.slow
def test_queries_that_are_no_images_only_exit_with_one(run_command, small_gallery, more_photos):
    code, out, err = run_command("search", small_gallery, more_photos / "broken.jpg")
    assert (code, out) == (1, "") and "broken.jpg is no image" in err


def test_an_empty_gallery_is_told(run_command, gallery, more_photos):
    with FolderGallery.open(gallery, writable=True) as opened:
        opened.remove(list(opened.ids))
    code, out, err = run_command("search", gallery, more_photos / "red.png")
    assert (code, out) == (1, "") and "is empty: add pictures with `tfvision index add" in err


def test_a_gallery_without_a_recipe_is_told(run_command, tmp_path, more_photos):
    with FolderGallery.create(tmp_path / "g", 2) as opened:
        opened.add(["a"], [[1, 0]], ["a.jpg"])
    code, _, err = run_command("search", tmp_path / "g", more_photos / "red.png")
    assert code == 1 and "tells of no recipe" in err


@pytest.mark.slow
def test_a_folder_of_queries_is_searched(run_command, small_gallery, more_photos):
    PIL.Image.new("RGB", (20, 20), (60, 60, 220)).save(more_photos / "sky.png")
    code, out, _ = run_command("search", small_gallery, more_photos, "-k", "1", "--json")
    assert code == 0 and [len(json.loads(line).get("hits", ())) for line in out.splitlines()] == [1, 0, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.jpg"], 1, "nowhere.jpg does not exist"),
        (["new/red.png", "--where", "genus"], 1, "--where must be like species=Vanessa atalanta"),
        (["new/red.png", "--where", "family=x"], 1, "the gallery has no metadata 'family'; it has order, genus, species"),
        (["new/red.png", "-k", "0"], 2, "0 is not in the range"),
        ([], 2, "Missing argument"),
    ],
)
def test_mistakes_end_in_one_clear_line(run_command, small_gallery, more_photos, monkeypatch, arguments, code, message):
    monkeypatch.chdir(more_photos.parent)
    got, out, err = run_command("search", small_gallery, *arguments)
    assert (got, out) == (code, "") and message in err and "Traceback" not in err
