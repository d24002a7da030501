import sys

import numpy as np
import pytest

from tfvision.data.manifest import read_photos
from tfvision.data.pipeline import BrokenPhotos
from tfvision.errors import DataError, UserError
from tfvision.features.beam import extract_with_beam
from tfvision.features.extraction import extract
from tfvision.features.extractor import open_extractor
from tfvision.features.recipe import FeatureRecipe

RECIPE = FeatureRecipe("vgg19_slim", layers=("conv1_2",), image_size=32)


@pytest.fixture
def photos(colour_photos, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, path in enumerate(sorted(colour_photos.glob("*.png"))[:5]):
        (folder / f"{number}.png").write_bytes(path.read_bytes())
    (folder / "3.png").write_bytes(b"no image")
    return read_photos(folder)


def test_it_gives_what_extraction_on_this_machine_gives_and_goes_on_where_it_was_stopped(photos, tmp_path, monkeypatch):
    pytest.importorskip("apache_beam", reason="Apache Beam, an extra, is not installed")
    broken = BrokenPhotos()
    parts = list(extract_with_beam(photos, RECIPE, tmp_path / "parts", part=2, broken=broken))
    expected = list(extract(photos, open_extractor(RECIPE)))
    indices, vectors = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
    np.testing.assert_array_equal(indices, expected[0][0])
    np.testing.assert_allclose(vectors, expected[0][1], atol=1e-6)
    assert len(parts) == 3 and list(broken) == [photos.records[3].path]

    files = sorted((tmp_path / "parts").iterdir())
    made = {file: file.stat().st_mtime_ns for file in files}
    files[1].unlink()
    again = list(extract_with_beam(photos, RECIPE, tmp_path / "parts", part=2))
    np.testing.assert_array_equal(again[1][1], parts[1][1])
    assert [file for file in files if file.stat().st_mtime_ns != made[file]] == [files[1]]

    files[0].write_bytes(b"damaged")
    with pytest.raises(DataError, match="cannot be read .* remove it and run the same command again"):
        list(extract_with_beam(photos, RECIPE, tmp_path / "parts", part=2))


def test_without_beam_one_line_says_how_to_get_it(photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(UserError, match=r"Apache Beam is not installed: pip install 'tfvision\[beam\]'"):
        list(extract_with_beam(photos, RECIPE, tmp_path))
