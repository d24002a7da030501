import functools

import numpy as np
import pytest

from tfvision.data.manifest import read_photos
from tfvision.data.pipeline import BrokenPhotos
from tfvision.errors import DataError, RecipeError
from tfvision.features import beam
from tfvision.features.beam import extract_with_beam
from tfvision.features.extraction import extract
from tfvision.features.extractor import open_extractor
from tfvision.features.recipe import FeatureRecipe
from tfvision.index import making
from tfvision.index.folder_gallery import FolderGallery
from tfvision.index.making import BeamJob, build_gallery

RECIPE = FeatureRecipe("vgg19_slim", layers=("conv1_2",), image_size=32)


@pytest.fixture
def photos(colour_photos, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, path in enumerate(sorted(colour_photos.glob("*.png"))[:5]):
        (folder / f"{number}.png").write_bytes(path.read_bytes())
    (folder / "3.png").write_bytes(b"no image")
    return read_photos(folder)


@pytest.mark.slow
def test_it_gives_what_extraction_on_this_machine_gives_and_goes_on_where_it_was_stopped(photos, tmp_path):
    pytest.importorskip("apache_beam", reason="Apache Beam, an extra, is not installed")
    broken, extractor = BrokenPhotos(), open_extractor(RECIPE)
    parts = list(extract_with_beam(photos, extractor, tmp_path / "parts", part=2, broken=broken))
    expected = list(extract(photos, extractor))
    indices, vectors = (np.concatenate([part[column] for part in parts]) for column in (0, 1))
    np.testing.assert_array_equal(indices, expected[0][0])
    np.testing.assert_allclose(vectors, expected[0][1], atol=1e-6)
    assert len(parts) == 3 and list(broken) == [photos.records[3].path]

    files = sorted((tmp_path / "parts").iterdir())
    made = {file: file.stat().st_mtime_ns for file in files}
    files[1].unlink()
    again = list(extract_with_beam(photos, extractor, tmp_path / "parts", part=2))
    np.testing.assert_array_equal(again[1][1], parts[1][1])
    assert [file for file in files if file.stat().st_mtime_ns != made[file]] == [files[1]]

    files[0].write_bytes(b"damaged")
    with pytest.raises(DataError, match="cannot be read .* remove it and run the same command again"):
        list(extract_with_beam(photos, extractor, tmp_path / "parts", part=2))


@pytest.mark.slow
def test_a_gallery_built_by_beam_is_that_built_without_also_after_a_stop(photos, tmp_path, monkeypatch):
    pytest.importorskip("apache_beam", reason="Apache Beam, an extra, is not installed")
    job, stops = BeamJob(str(tmp_path / "parts"), ("--runner=DirectRunner",)), [False, True]
    monkeypatch.setattr(beam, "extract_with_beam", functools.partial(extract_with_beam, part=2))
    monkeypatch.setattr(making, "_PHOTOS_BETWEEN_COMMITS", 1)
    add = FolderGallery.add

    def stopped_at_the_second_commit(*arguments):
        if stops and stops.pop(0):
            raise KeyboardInterrupt
        add(*arguments)

    monkeypatch.setattr(FolderGallery, "add", stopped_at_the_second_commit)
    with pytest.raises(KeyboardInterrupt):
        build_gallery(tmp_path / "photos", tmp_path / "g", RECIPE, beam=job)
    assert len(FolderGallery.open(tmp_path / "g")) == 2 and len(list((tmp_path / "parts").iterdir())) == 3
    monkeypatch.setattr(beam, "_extract_part", None)  # all parts are there
    broken = BrokenPhotos()
    result = build_gallery(tmp_path / "photos", tmp_path / "g", RECIPE, is_resumed=True, beam=job, broken=broken)
    assert (result["images"], result["failed"], list(broken)) == (4, 1, [photos.records[3].path])
    assert not (tmp_path / "parts").exists()

    build_gallery(tmp_path / "photos", tmp_path / "plain", RECIPE)
    built, plain = FolderGallery.open(tmp_path / "g"), FolderGallery.open(tmp_path / "plain")
    np.testing.assert_allclose(built.vectors, plain.vectors, atol=1e-6)
    assert (list(built.ids), list(built.images), list(built.metadata), built.facts) == (list(plain.ids), list(plain.images), list(plain.metadata), plain.facts)


@pytest.mark.slow
def test_a_job_that_fails_is_told_in_one_line(photos, tmp_path, monkeypatch):
    pytest.importorskip("apache_beam", reason="Apache Beam, an extra, is not installed")
    (tmp_path / "parts").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="(?s)the Beam job failed: .*; what is finished stays, run the same command again"):
        list(extract_with_beam(photos, open_extractor(RECIPE), tmp_path / "parts", part=2))


def test_a_runner_that_does_not_exist_is_told_before_anything_is_written(photos, tmp_path):
    pytest.importorskip("apache_beam", reason="Apache Beam, an extra, is not installed")
    with pytest.raises(RecipeError, match="Beam does not take --runner=NoRunner: "):
        build_gallery(tmp_path / "photos", tmp_path / "g", RECIPE, beam=BeamJob(str(tmp_path / "parts"), ("--runner=NoRunner",)))
    assert not (tmp_path / "g").exists()
