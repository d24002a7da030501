import numpy as np
import pytest

from tfvision.errors import DataError, RecipeError, WeightsError
from tfvision.models.catalogue import get_network
from tfvision.models.convolutions import read_convolutions
from tfvision.models.normalisation import unscale
from tfvision.models.torch_weights import TORCH_NAMES
from tfvision.models.vgg19 import build_vgg19, convolutions_of
from tfvision.models.weights import load_pretrained
from tfvision.models.weights_import import convert_weights, import_weights


@pytest.fixture(scope="module")
def donor(tmp_path_factory):
    """(convolutions, file) of a random VGG19."""
    model, file = build_vgg19(2, taps=("conv5_1",)), tmp_path_factory.mktemp("donor") / "donor.weights.h5"
    model.save_weights(file)
    return convolutions_of(model), file


@pytest.mark.slow
def test_it_writes_the_normalised_network(donor, colour_photos, tmp_path):
    convolutions, file = donor
    result = import_weights(file, colour_photos, out=tmp_path / "out.npz", size_px=32, count=5)
    assert (result["layers"], result["photos"], result["out"]) == (13, 5, str(tmp_path / "out.npz"))
    got, facts = read_convolutions(tmp_path / "out.npz")
    assert facts["is_normalised"] and facts["source"] == "donor.weights.h5" and facts["photos"] == 5
    for layer, pair in unscale(got, facts["means"]).items():
        for one, other in zip(pair, convolutions[layer], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_importing_what_was_imported_changes_nothing(donor, colour_photos, tmp_path):
    import_weights(donor[1], colour_photos, out=tmp_path / "one.npz", size_px=32, count=3)
    import_weights(tmp_path / "one.npz", colour_photos, out=tmp_path / "two.npz", size_px=32, count=3)
    one, two = (read_convolutions(tmp_path / name)[0] for name in ("one.npz", "two.npz"))
    for layer in one:
        np.testing.assert_allclose(one[layer][0], two[layer][0], rtol=1e-4, atol=1e-7)


@pytest.mark.slow
def test_photos_are_spread_over_the_set(donor, colour_photos, tmp_path):
    # Of 48 photos, 12 a colour, four are the first of each colour: reds and blues alike move the means.
    import_weights(donor[1], colour_photos, out=tmp_path / "few.npz", size_px=32, count=4)
    import_weights(donor[1], colour_photos, out=tmp_path / "all.npz", size_px=32, count=0)
    few, everything = (read_convolutions(tmp_path / name)[1]["means"]["conv1_1"] for name in ("few.npz", "all.npz"))
    np.testing.assert_allclose(few, everything, rtol=0.1)


@pytest.mark.slow
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
        ({"network": "resnet18"}, "photos are for --network vgg19 alone, .* got 'resnet18'"),
        ({"size_px": 8}, "--size must be at least 32, got 8"),
        ({"out": "weights.h5"}, "--out must end in .npz"),
    ],
)
def test_mistakes_are_named(donor, colour_photos, arguments, message):
    with pytest.raises(RecipeError, match=message):
        import_weights(donor[1], colour_photos, **arguments)


@pytest.mark.slow
def test_a_converted_network_is_found_again(tmp_path, monkeypatch):
    monkeypatch.setenv("TFVISION_WEIGHTS", str(tmp_path / "weights"))
    donor, receiver = (get_network("small").build(80) for _ in range(2))
    donor.save_weights(tmp_path / "mine.weights.h5")
    result = convert_weights(tmp_path / "mine.weights.h5", "small")
    assert (result["out"], result["network"]) == (str(tmp_path / "weights" / "small.weights.h5"), "small")
    assert result["out"] in load_pretrained(receiver, "small", "imagenet")
    np.testing.assert_array_equal(receiver.get_weights()[0], donor.get_weights()[0])


@pytest.mark.slow
def test_pytorchs_names_become_keras_weights(tmp_path):
    base = get_network("squeezenet").build(63)
    tensors = {}
    for layer, (name, _) in TORCH_NAMES["squeezenet"].items():
        kernel, bias = base.get_layer(layer).get_weights()
        tensors |= {f"{name}.weight": kernel.transpose(3, 2, 0, 1), f"{name}.bias": bias}
    np.savez(tmp_path / "x.npz", **tensors)
    result = convert_weights(tmp_path / "x.npz", "squeezenet", tmp_path / "out.weights.h5")
    other = get_network("squeezenet").build(63)
    load_pretrained(other, "squeezenet", result["out"])
    np.testing.assert_allclose(other.get_layer("fire5_expand3").get_weights()[0], base.get_layer("fire5_expand3").get_weights()[0])


@pytest.mark.parametrize(
    ("name", "network", "out", "error", "message"),
    [
        ("x.pth", "resnet18", None, WeightsError, "is a pickle, which can run code when it is read"),
        ("x.pt", "small", None, WeightsError, "is a pickle"),
        ("x.keras", "small", None, WeightsError, "is not of a kind that is read: .safetensors, .npz, .caffemodel, .onnx, .weights.h5, .h5"),
        ("x.safetensors", "small", None, WeightsError, "small is not read from .safetensors"),
        ("x.h5", "small", None, WeightsError, "does not fit small without its top"),
        ("none.h5", "small", None, WeightsError, "none.h5 does not exist"),
        ("x.h5", "small", "weights.npz", RecipeError, "--out must end in .weights.h5"),
        ("x.h5", "resnet19", None, RecipeError, "network must be one of"),
    ],
)
def test_files_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path, monkeypatch, name, network, out, error, message):
    monkeypatch.setenv("TFVISION_WEIGHTS", str(tmp_path / "weights"))
    if not name.startswith("none"):
        (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(error, match=message):
        convert_weights(tmp_path / name, network, out)
    assert not (tmp_path / "weights").exists()


@pytest.mark.slow
def test_weights_that_tell_nothing_apart_are_refused(tmp_path):
    base = get_network("small").build(80)
    for layer in base.layers:
        layer.set_weights([0 * values for values in layer.get_weights()])
    base.save_weights(tmp_path / "zeros.weights.h5")
    with pytest.raises(WeightsError, match="does not tell two pictures apart"):
        convert_weights(tmp_path / "zeros.weights.h5", "small", tmp_path / "out.weights.h5")
