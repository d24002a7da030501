import numpy as np
import pytest

from tfvision.data.manifest import read_photos
from tfvision.data.pipeline import BrokenPhotos
from tfvision.errors import StorageError
from tfvision.features import table
from tfvision.features.extractor import open_extractor
from tfvision.features.recipe import FeatureRecipe
from tfvision.features.table import feature_table

pytestmark = pytest.mark.usefixtures("opened_once")


@pytest.fixture(scope="module")
def extractor():
    return open_extractor(FeatureRecipe("vgg19_slim", layers=("conv1_2",), image_size=32))


@pytest.fixture
def photos(colour_photos, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, path in enumerate(sorted(colour_photos.glob("*.png"))[:10]):
        (folder / f"{number}.png").write_bytes(path.read_bytes())
    (folder / "4.png").write_bytes(b"no image")
    return read_photos(folder)


class _Stopping:
    """An extractor that is stopped after so many photos."""

    def __init__(self, extractor, photos):
        self._extractor, self.left = extractor, photos

    def __getattr__(self, name):
        return getattr(self._extractor, name)

    def features(self, images):
        self.left -= len(images)
        if self.left < 0:
            raise KeyboardInterrupt
        return self._extractor.features(images)


@pytest.mark.slow
def test_a_stopped_table_goes_on_and_is_as_if_it_had_not_been_stopped(photos, extractor, tmp_path, monkeypatch):
    monkeypatch.setattr(table, "_PHOTOS_BETWEEN_SAVES", 2)
    expected, is_read = feature_table(photos, extractor, batch_size=2)
    assert list(np.flatnonzero(~is_read)) == [4] and not expected[4].any()
    cache = tmp_path / "cache.npy"
    with pytest.raises(KeyboardInterrupt):
        feature_table(photos, _Stopping(extractor, 7), cache, batch_size=2)
    broken, done = BrokenPhotos(), []
    rest = _Stopping(extractor, 4)  # of 9 good photos, no more are seen again than were not saved
    vectors, got_read = feature_table(photos, rest, cache, batch_size=2, broken=broken, on_photos=done.append)
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    np.testing.assert_array_equal(got_read, is_read)
    assert len(broken) == 1 and sum(done) == 10
    np.testing.assert_array_equal(np.load(cache), vectors)
    again, _ = feature_table(photos, _Stopping(extractor, 0), cache)
    np.testing.assert_array_equal(again, vectors)


@pytest.mark.slow
def test_a_table_of_another_extractor_or_a_damaged_one_is_made_anew(photos, extractor, tmp_path):
    cache = tmp_path / "cache.npy"
    vectors, _ = feature_table(photos, extractor, cache)
    other = open_extractor(FeatureRecipe("vgg19_slim", layers=("conv1_2",), image_size=32, pooling="max"))
    assert np.abs(feature_table(photos, other, cache)[0] - vectors).max() > 1e-3
    feature_table(photos, extractor, cache)
    cache.write_bytes(cache.read_bytes()[:200])
    np.testing.assert_allclose(feature_table(photos, extractor, cache)[0], vectors, atol=1e-6)
    (tmp_path / "cache.json").write_text("{")
    np.testing.assert_allclose(feature_table(photos, extractor, cache)[0], vectors, atol=1e-6)


def test_a_full_disk_is_one_clear_line(photos, extractor):
    with pytest.raises(StorageError, match="could not be written"):
        feature_table(photos, extractor, "/dev/full")
