import numpy as np
import pytest
from PIL import Image

from tfvision.data.manifest import Manifest, Record, read_photos
from tfvision.data.pipeline import BrokenPhotos
from tfvision.features.extraction import extract
from tfvision.features.extractor import open_extractor
from tfvision.features.recipe import FeatureRecipe

pytestmark = pytest.mark.usefixtures("opened_once")

SIZES = [(48, 40), (40, 48), (48, 40), (60, 48), (48, 40)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A manifest of five photos of three shapes, and their pixels."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    pixels = [random.integers(0, 256, (*size, 3)).astype(np.uint8) for size in SIZES]
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{number}.png")
    return read_photos(folder), pixels


@pytest.fixture(scope="module", params=["squash", "aspect"])
def extractor(request):
    return open_extractor(FeatureRecipe("vgg19_slim", layers=("conv2_2",), image_size=48, resize=request.param))


def _all(*arguments, **settings):
    indices, vectors = zip(*extract(*arguments, **settings), strict=True)
    return np.concatenate(indices), np.concatenate(vectors)


@pytest.mark.slow
def test_photos_come_in_order_and_as_the_extractor_sees_them_one_by_one(photos, extractor):
    manifest, pixels = photos
    indices, vectors = _all(manifest, extractor, batch_size=2)
    np.testing.assert_array_equal(indices, range(5))
    expected = np.concatenate([extractor.features(image[None]) for image in pixels])
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_it_starts_where_it_is_told_to(photos, extractor):
    whole, part = (_all(photos[0], extractor, batch_size=2, start=start) for start in (0, 3))
    np.testing.assert_array_equal(part[0], [3, 4])
    np.testing.assert_allclose(part[1], whole[1][3:], atol=1e-5)
    assert list(extract(photos[0], extractor, start=5)) == []


def test_broken_photos_are_left_out_and_recorded(photos, extractor, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    records = list(photos[0].records)
    records.insert(1, Record(str(tmp_path / "broken.png"), "broken.png", ("photo",), "broken.png"))
    broken = BrokenPhotos()
    indices, _ = _all(Manifest(("photo",), tuple(records)), extractor, batch_size=2, broken=broken)
    np.testing.assert_array_equal(indices, [0, 2, 3, 4, 5])
    assert list(broken) == [str(tmp_path / "broken.png")]


def test_of_a_photo_with_a_box_only_the_box_is_seen(photos, extractor, tmp_path):
    manifest, pixels = photos
    record = manifest.records[3]
    boxed = Manifest(("photo",), (Record(record.path, "boxed", ("photo",), "", box=(8.0, 4.0, 20.0, 36.0)),))
    _, vectors = _all(boxed, extractor)
    np.testing.assert_allclose(vectors, extractor.features(pixels[3][None, 4:40, 8:28]), atol=1e-5)
