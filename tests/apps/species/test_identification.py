import numpy as np
import pytest
from PIL import Image

from tfvision.apps.species.identification import SpeciesIdentifier, load_identifier
from tfvision.data.manifest import find_photos
from tfvision.errors import DataError, RecipeError, RunError
from tfvision.trained.species_run import SpeciesRun

pytestmark = pytest.mark.usefixtures("opened_once")


@pytest.fixture(scope="module")
def export_identifier(colour_export):
    return load_identifier(colour_export.parent)


@pytest.fixture
def red(colour_photos):
    return str(colour_photos / "Rosa_rubra_3.png")


@pytest.mark.slow
def test_the_answer_is_the_deepest_taxon_of_its_lineage(identifier, red):
    (answer,) = identifier.identify([red], threshold=0.5)
    assert answer["image"] == red
    assert [taxon["rank"] for taxon in answer["lineage"]] == ["order", "genus", "species"][: len(answer["lineage"])]
    assert (answer["lineage"][-1]["name"], answer["lineage"][-1]["rank"]) == (answer["taxon"], answer["rank"])
    assert answer["lineage"][0]["name"] == "Reds"
    chances = [taxon["probability"] for taxon in answer["lineage"]]
    assert chances == sorted(chances, reverse=True) and chances[-1] == answer["probability"] >= 0.5
    assert sum(top["probability"] for top in answer["top"]) == pytest.approx(1, abs=0.001)


def test_where_no_taxon_is_likely_enough_nothing_is_named(identifier, red, monkeypatch):
    monkeypatch.setitem(identifier.run.calibration, "temperature", 100.0)  # all species about alike
    (answer,) = identifier.identify([red], threshold=0.9)
    assert (answer["taxon"], answer["rank"], answer["lineage"]) == ("life", "root", [])


@pytest.mark.slow
def test_a_lower_threshold_never_gives_a_shallower_answer(identifier, red):
    depths = [len(next(identifier.identify([red], threshold=t))["lineage"]) for t in (0.99, 0.8, 0.6, 0.4, 0.0)]
    assert depths == sorted(depths) and depths[-1] == 3


def test_within_conditions_the_answer_on_a_taxon(identifier, red):
    (answer,) = identifier.identify([red], within=["blues"], threshold=0.5)
    assert answer["lineage"][0] == {"rank": "order", "name": "Blues", "probability": 1.0}
    assert {top["name"] for top in answer["top"]} == {"Caerula alta", "Viola prima"}


def test_an_unknown_taxon_is_refused_with_a_hint(identifier, red):
    with pytest.raises(DataError, match="'Rossa' is no taxon of this model; did you mean 'Rosa'"):
        list(identifier.identify([red], within=["Rossa"]))


def test_a_broken_photo_is_answered_by_an_error_in_its_place(identifier, red, tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    whole = tmp_path / "cut.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3)).astype(np.uint8)).save(whole)
    whole.write_bytes(whole.read_bytes()[:2000])
    photos = [str(tmp_path / "empty.jpg"), red, str(whole)] + [red] * 40 + [str(whole)]
    answers = list(identifier.identify(photos))
    assert [answer["image"] for answer in answers] == photos
    assert "is empty" in answers[0]["error"] and "is damaged" in answers[2]["error"] and "error" in answers[-1]
    assert sum("taxon" in answer for answer in answers) == 41


@pytest.mark.slow
def test_the_users_box_changes_the_crop_view_only_where_the_box_differs(identifier, tmp_path):
    random = np.random.default_rng(0)
    pixels = random.normal((40, 60, 200), 20, (80, 80, 3)).clip(0, 255)
    pixels[:24, :24] = (200, 40, 40)
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "both.png")
    photo = str(tmp_path / "both.png")
    boxed, plain = (next(identifier.identify([photo], box=box, threshold=0)) for box in ((0, 0, 24, 24), None))
    assert boxed["top"] != plain["top"]
    centre = (80 * 0.28125, 80 * 0.28125, 35, 35)  # what the crop view shows without a box
    assert next(identifier.identify([photo], box=centre, threshold=0))["top"] == plain["top"]
    assert next(identifier.identify([photo], box=(0, 0, 0.3, 0.3), threshold=0)) == boxed  # fractions of 80 px


def test_a_box_that_does_not_lie_in_a_photo_is_an_error_of_that_photo_alone(identifier, tmp_path):
    photos = [str(tmp_path / name) for name in ("small.png", "large.png")]
    for photo, side in zip(photos, (40, 80), strict=True):
        Image.new("RGB", (side, side), (200, 40, 40)).save(photo)
    small, large = identifier.identify(photos, box=(45, 45, 30, 30))
    assert small == {"image": photos[0], "error": f"{photos[0]}: the box 45,45,30,30 lies outside its photo of 40 x 40 pixels"}
    assert large["taxon"]


def test_thresholds_and_targets_are_checked(identifier, red):
    with pytest.raises(RecipeError, match="between 0 and 1, got 2"):
        next(identifier.identify([red], threshold=2))
    with pytest.raises(RecipeError, match="target-accuracy must be at most"):
        next(identifier.identify([red], target_accuracy=0.9999))


def test_folders_are_searched_and_missing_paths_named(colour_photos, tmp_path):
    assert len(find_photos([colour_photos])) == 48
    with pytest.raises(DataError, match="nowhere does not exist"):
        find_photos([tmp_path / "nowhere"])
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match="bare holds no photos"):
        find_photos([tmp_path / "bare"])


def test_a_folder_that_is_no_run_is_refused(tmp_path, colour_run):
    with pytest.raises(RunError, match="recipe.json does not exist: is .* a run folder"):
        SpeciesIdentifier.load(str(tmp_path))
    (tmp_path / "recipe.json").write_text((colour_run / "recipe.json").read_text())
    with pytest.raises(RunError, match="not finished: go on with `tfvision train species --run"):
        SpeciesIdentifier.load(str(tmp_path))


@pytest.mark.slow
def test_damaged_weights_are_named(tmp_path, colour_run):
    import shutil

    shutil.copytree(colour_run, tmp_path / "run")
    weights = SpeciesRun(tmp_path / "run").weights_path
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(RunError, match="model.weights.h5 cannot be loaded"):
        SpeciesIdentifier.load(str(tmp_path / "run"))


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"within": ("Blues",)}, {"threshold": 0.9}, {"target_accuracy": 0.8}, {"box": (4, 4, 20, 20)}])
def test_an_export_identifies_as_its_run_does(identifier, export_identifier, colour_photos, options):
    photos = sorted(colour_photos.glob("*.png"))[::9]
    expected = identifier.identify(photos, **options)
    for got, wanted in zip(export_identifier.identify(photos, **options), expected, strict=True):
        assert got["taxon"] == wanted["taxon"] and got["rank"] == wanted["rank"]
        assert [taxon["name"] for taxon in got["lineage"]] == [taxon["name"] for taxon in wanted["lineage"]]
        assert [taxon["name"] for taxon in got["top"]] == [taxon["name"] for taxon in wanted["top"]]
        assert got["probability"] == pytest.approx(wanted["probability"], abs=1e-4)


def test_an_export_names_a_broken_photo(export_identifier, colour_photos, tmp_path):
    photo = sorted(colour_photos.glob("*.png"))[0]
    (tmp_path / "cut.png").write_bytes(photo.read_bytes()[:200])
    broken, good = export_identifier.identify([tmp_path / "cut.png", photo])
    assert "cut.png" in broken["error"]
    assert "taxon" in good
