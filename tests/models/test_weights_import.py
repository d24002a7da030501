import numpy as np
import pytest

from tfvision.errors import DataError, RecipeError
from tfvision.models.convolutions import read_convolutions
from tfvision.models.normalisation import unscale
from tfvision.models.vgg19 import build_vgg19, convolutions_of
from tfvision.models.weights_import import import_weights


@pytest.fixture
def donor(tmp_path):
    model = build_vgg19(2, taps=("conv5_1",))
    model.save_weights(tmp_path / "donor.weights.h5")
    return convolutions_of(model), tmp_path / "donor.weights.h5"


def test_it_writes_the_normalised_network(donor, colour_photos, tmp_path):
    convolutions, file = donor
    result = import_weights(file, colour_photos, out=tmp_path / "out.npz", size_px=32, count=5)
    assert (result["layers"], result["photos"], result["out"]) == (13, 5, str(tmp_path / "out.npz"))
    got, facts = read_convolutions(tmp_path / "out.npz")
    assert facts["is_normalised"] and facts["source"] == "donor.weights.h5" and facts["photos"] == 5
    for layer, pair in unscale(got, facts["means"]).items():
        for one, other in zip(pair, convolutions[layer], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_importing_what_was_imported_changes_nothing(donor, colour_photos, tmp_path):
    import_weights(donor[1], colour_photos, out=tmp_path / "one.npz", size_px=32, count=3)
    import_weights(tmp_path / "one.npz", colour_photos, out=tmp_path / "two.npz", size_px=32, count=3)
    one, two = (read_convolutions(tmp_path / name)[0] for name in ("one.npz", "two.npz"))
    for layer in one:
        np.testing.assert_allclose(one[layer][0], two[layer][0], rtol=1e-4, atol=1e-7)


def test_photos_are_spread_over_the_set(donor, colour_photos, tmp_path):
    # Of 48 photos, 12 a colour, four are the first of each colour: reds and blues alike move the means.
    import_weights(donor[1], colour_photos, out=tmp_path / "few.npz", size_px=32, count=4)
    import_weights(donor[1], colour_photos, out=tmp_path / "all.npz", size_px=32, count=0)
    few, everything = (read_convolutions(tmp_path / name)[1]["means"]["conv1_1"] for name in ("few.npz", "all.npz"))
    np.testing.assert_allclose(few, everything, rtol=0.1)


def test_broken_photos_are_told_and_only_broken_ones_refused(donor, colour_photos, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="no photo could be read"):
        import_weights(donor[1], photos, out=tmp_path / "out.npz", size_px=32)
    (photos / "good.png").write_bytes((colour_photos / "Rosa_rubra_1.png").read_bytes())
    result = import_weights(donor[1], photos, out=tmp_path / "out.npz", size_px=32)
    assert result["photos"] == 1 and len(result["broken"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"network": "resnet18"}, "--network must be vgg19, got 'resnet18'"),
        ({"size_px": 8}, "--size must be at least 32, got 8"),
        ({"out": "weights.h5"}, "--out must end in .npz"),
    ],
)
def test_mistakes_are_named(donor, colour_photos, arguments, message):
    with pytest.raises(RecipeError, match=message):
        import_weights(donor[1], colour_photos, **arguments)
