import csv
import itertools

import numpy as np
import pytest
from PIL import Image

from tfvision.data import specimens
from tfvision.data.specimen_drawing import PERIOD_PX, TEXTURES, paint
from tfvision.data.specimen_genera import GENERA
from tfvision.data.specimens import LINEAGES, RANKS, class_sizes, draw_specimen, texture_of, write_specimens
from tfvision.errors import DataError, RecipeError, StorageError


@pytest.fixture(scope="module")
def tiny_set(tmp_path_factory):
    return write_specimens(tmp_path_factory.mktemp("specimens") / "set", images_per_species=(1, 2))


def _rows(folder):
    with open(folder / "manifest.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_same_arguments_draw_the_same_pixels():
    np.testing.assert_array_equal(draw_specimen("Aglais io", 3, seed=7), draw_specimen("Aglais io", 3, seed=7))


@pytest.mark.parametrize("other", [("Aglais io", 4, 7), ("Aglais io", 3, 8), ("Aglais urticae", 3, 7)])
def test_another_species_number_or_seed_draws_another_photo(other):
    difference = draw_specimen("Aglais io", 3, 7).astype(int) - draw_specimen(*other)
    assert np.abs(difference).mean() > 5


def test_a_species_is_drawn_as_a_photo_of_256_px():
    photo = draw_specimen("Aglais io", 1)
    assert photo.shape == (256, 256, 3) and photo.dtype == np.uint8


def test_unknown_species_names_near_misses():
    with pytest.raises(DataError, match="'Vanesa atalanta' is none of the 40 .* did you mean 'Vanessa atalanta'"):
        draw_specimen("Vanesa atalanta", 1)


@pytest.mark.slow
def test_taxonomy_has_at_least_the_promised_taxa_at_each_rank(tiny_set):
    rows = _rows(tiny_set)
    taxa = [len({tuple(row[rank] for rank in RANKS[: depth + 1]) for row in rows}) for depth in range(7)]
    assert list(rows[0]) == ["image", *RANKS]
    assert taxa == sorted(taxa) and taxa[2] >= 3
    assert taxa[3] >= 4 and taxa[4] >= 8 and taxa[5] >= 16 and taxa[6] >= 32


def test_every_taxon_has_one_parent():
    for depth in range(1, 7):
        parents = {}
        for lineage in LINEAGES.values():
            parents.setdefault(lineage[depth], set()).add(lineage[:depth])
        assert all(len(found) == 1 for found in parents.values())


def test_every_genus_has_two_species_or_more_and_their_names_begin_with_it():
    genera = [lineage[5] for lineage in LINEAGES.values()]
    assert set(genera) == set(GENERA)
    assert min(map(genera.count, genera)) >= 2
    assert all(species.split()[0] == genus for species, genus in zip(LINEAGES, genera, strict=True))


def test_class_sizes_have_a_long_tail_from_5_to_100():
    sizes = sorted(class_sizes().values())
    assert (sizes[0], sizes[-1]) == (5, 100)
    assert np.median(sizes) < np.mean(sizes)
    assert 1000 < sum(sizes) < 2000


def test_class_sizes_are_dealt_out_by_seed():
    assert class_sizes(1) == class_sizes(1) != class_sizes(2)
    assert sorted(class_sizes(1).values()) == sorted(class_sizes(2).values())


@pytest.mark.parametrize("sizes", [(0, 4), (5, 4)])
def test_impossible_class_sizes_are_refused(sizes):
    with pytest.raises(RecipeError, match=f"1 <= smallest <= largest, got {sizes[0]} and {sizes[1]}"):
        class_sizes(images_per_species=sizes)


def test_written_photos_of_every_species_are_rgb_jpegs_of_256_px_named_in_the_manifest(tiny_set):
    rows = _rows(tiny_set)
    assert {row["species"] for row in rows} == set(LINEAGES)
    assert {row["image"] for row in rows} == {str(p.relative_to(tiny_set)) for p in tiny_set.glob("photos/*/*")}
    assert rows[0]["image"] == "photos/Vanessa_atalanta/Vanessa_atalanta_0001.jpg"
    for row in rows:
        with Image.open(tiny_set / row["image"]) as photo:
            assert (photo.format, photo.mode, photo.size) == ("JPEG", "RGB", (256, 256))


def test_written_photos_keep_their_texture(tiny_set):
    with Image.open(tiny_set / "photos/Phidippus_audax/Phidippus_audax_0001.jpg") as photo:
        difference = np.asarray(photo, int) - draw_specimen("Phidippus audax", 1)
    assert difference.std() < 4  # a texture's standard deviation is 18


def test_set_says_that_it_is_a_teaching_set_and_shows_an_overview(tiny_set):
    assert "drawn teaching set" in (tiny_set / "README.md").read_text(encoding="utf-8")
    with Image.open(tiny_set / "overview.jpg") as overview:
        assert overview.width > 5 * 256 and overview.height > 8 * 256


def test_second_run_draws_nothing(tiny_set):
    before = {path: path.stat().st_mtime_ns for path in tiny_set.rglob("*")}
    write_specimens(tiny_set, images_per_species=(1, 2), progress=lambda done, total: pytest.fail("a photo was drawn"))
    assert {path: path.stat().st_mtime_ns for path in tiny_set.rglob("*")} == before


def test_interrupted_run_is_repaired_by_running_again(tmp_path, monkeypatch):
    monkeypatch.setattr(specimens, "LINEAGES", dict(itertools.islice(LINEAGES.items(), 8)))  # fewer are drawn faster

    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_specimens(tmp_path, images_per_species=(1, 1), progress=interrupt)
    assert not (tmp_path / "manifest.csv").exists()
    torn = next(tmp_path.glob("photos/*/*.jpg"))
    torn.write_bytes(b"torn")
    calls = []
    write_specimens(tmp_path, images_per_species=(1, 1), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 8) for done in range(1, 9)]
    assert len(_rows(tmp_path)) == 8
    Image.open(torn).load()


def test_foreign_folder_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="new or empty folder, but .* holds something else: choose another folder"):
        write_specimens(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_set_of_another_seed_is_refused(tiny_set):
    with pytest.raises(DataError, match=r"seed 0, .*, not with .* seed 1, .*: choose another folder, or delete"):
        write_specimens(tiny_set, seed=1, images_per_species=(1, 2))


def test_unwritable_photo_is_a_storage_error(tmp_path):
    folder = tmp_path / "set"
    with pytest.raises(KeyError):
        write_specimens(folder, images_per_species=(1, 1), progress=lambda done, total: {}["stop"])
    (folder / "photos/Vanessa_cardui").write_text("a file where a folder must be")
    with pytest.raises(StorageError, match="Vanessa_cardui_0001.jpg could not be written .*run the same command again"):
        write_specimens(folder, images_per_species=(1, 1))


@pytest.mark.parametrize("name", TEXTURES)
def test_textures_have_mean_0_and_variance_1_and_fit_the_headroom(name):
    v, u = np.mgrid[-128:128, -128:128].astype(np.float32) * np.float32(2 * np.pi / np.mean(PERIOD_PX))
    texture = TEXTURES[name](u, v, np.random.default_rng(1))
    assert texture.dtype == np.float32
    assert texture.mean() == pytest.approx(0, abs=0.02)
    assert texture.var() == pytest.approx(1, abs=0.05)
    assert np.abs(texture).max() * 18 < 48


def test_siblings_of_a_genus_have_different_textures():
    for genus in GENERA:
        members = [species for species in LINEAGES if species.startswith(f"{genus} ")]
        assert len({texture_of(species) for species in members}) == len(members)


@pytest.mark.parametrize("genus", ["Aglais", "Phidippus", "Balistes"])
def test_siblings_agree_in_mean_colour(genus):
    means = [photo[72:184, 72:184].mean((0, 1)) for photo in _siblings(genus).values()]
    assert np.ptp(means, axis=0).max() < 0.5  # of 255 grey levels


@pytest.mark.parametrize("genus", ["Aglais", "Phidippus", "Balistes"])
def test_whole_view_hides_what_the_crop_view_shows(genus):
    # A triangle filter of reduction r passes sinc(r / period)^2 of a wave: 0.51 at 1.75, 0.02 at 3.5 for 4 px.
    # The outlines, where a texture ends within a pixel, leave more than that; 5 of the 25 is a safe bound.
    photos = _siblings(genus)
    for name in TEXTURES.keys() - {"across"}:
        difference = photos[name] - photos["across"]
        whole, crop = _view(difference, 16, 240), _view(difference, 72, 184)
        assert crop.std() > 5
        assert crop.std() > 5 * whole[16:48, 16:48].std()  # the same part of the photo


def _siblings(genus):
    """One individual in one pose, place and light, in each texture: float32 [256, 256, 3] by texture."""
    heading = "right" if genus == "Balistes" else "up"
    bodies = {name: GENERA[genus](np.random.default_rng(5)) for name in TEXTURES}
    return {name: paint(bodies[name], name, heading, np.random.default_rng(6)).astype(np.float32) for name in TEXTURES}


def _view(photo, low, high):
    """An antialiased view, 64 px a side, of a square of the photo: float32 [64, 64]."""
    return np.asarray(Image.fromarray(photo.mean(-1)).resize((64, 64), Image.BILINEAR, (low, low, high, high)))
