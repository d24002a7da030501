import json
import pickle

import h5py
import keras
import numpy as np
import pytest

from tfvision.errors import WeightsError
from tfvision.models.convolutions import read_convolutions, save_convolutions
from tfvision.models.vgg19 import LAYERS, Filters, build_vgg19, convolutions_of, filters_of, set_convolutions, slim_filters


@pytest.fixture(scope="module")
def convolutions():
    """A VGG19 of width 2 with biases."""
    random = np.random.default_rng(0)
    model = build_vgg19(2, taps=LAYERS)
    return {layer: (kernel, random.normal(size=bias.shape).astype(np.float32)) for layer, (kernel, bias) in convolutions_of(model).items()}


def _assert_equal(got, expected, **tolerance):
    assert list(got) == list(expected)
    for layer in expected:
        for one, other in zip(got[layer], expected[layer], strict=True):
            np.testing.assert_allclose(one, other, err_msg=layer, **{"rtol": 0, **tolerance})


def _write_safetensors(path, tensors, dtype="F32"):
    """The format's specification: 8 bytes of length, a JSON header, the values."""
    header, values = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in tensors.items():
        if dtype == "BF16":
            encoded = (np.ascontiguousarray(tensor, np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()
        else:
            encoded = np.ascontiguousarray(tensor, {"F32": np.float32, "F16": np.float16}[dtype]).tobytes()
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [len(values), len(values) + len(encoded)]}
        values += encoded
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + values)


def _pytorch(convolutions, names):
    tensors = {}
    for name, (kernel, bias) in zip(names, convolutions.values(), strict=True):
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = kernel.transpose(3, 2, 0, 1), bias
    return tensors


def test_npz_there_and_back(tmp_path, convolutions):
    means = {layer: np.full(bias.shape, 2, np.float32) for layer, (_, bias) in convolutions.items()}
    save_convolutions(tmp_path / "x.npz", convolutions, {"photos": 3}, means, dtype="float32")
    got, facts = read_convolutions(tmp_path / "x.npz")
    _assert_equal(got, convolutions)
    assert facts["is_normalised"] and facts["photos"] == 3
    np.testing.assert_array_equal(facts["means"]["conv5_4"], means["conv5_4"])


def test_half_precision_keeps_three_digits(tmp_path, convolutions):
    save_convolutions(tmp_path / "x.npz", convolutions, {})
    got, facts = read_convolutions(tmp_path / "x.npz")
    _assert_equal(got, convolutions, rtol=1e-3, atol=1e-6)
    assert not facts["is_normalised"]
    assert got["conv1_1"][0].dtype == np.float32


def test_values_too_large_for_half_precision_are_refused(tmp_path, convolutions):
    large = {"conv1_1": (convolutions["conv1_1"][0] * 1e9, convolutions["conv1_1"][1])}
    with pytest.raises(WeightsError, match="conv1_1 has weights that float16 cannot hold"), np.errstate(over="ignore"):
        save_convolutions(tmp_path / "x.npz", large, {})
    assert not list(tmp_path.iterdir())


def test_what_keras_saves_is_read_in_order(tmp_path, convolutions):
    model = build_vgg19(2, taps=LAYERS)  # more than ten layers: conv2d_10 comes after conv2d_9
    set_convolutions(model, convolutions)
    model.save_weights(tmp_path / "x.weights.h5")
    got, facts = read_convolutions(tmp_path / "x.weights.h5")
    _assert_equal(got, convolutions)
    assert facts == {"is_normalised": False}


@pytest.mark.slow
def test_a_whole_keras_vgg19_with_top_is_read(tmp_path):
    reference = keras.applications.VGG19(weights=None, include_top=False)
    reference.save_weights(tmp_path / "x.weights.h5")
    expected = [layer.get_weights() for layer in reference.layers if isinstance(layer, keras.layers.Conv2D)]
    _assert_equal(read_convolutions(tmp_path / "x.weights.h5")[0], dict(zip(LAYERS, expected, strict=True)))


def test_the_file_that_keras_downloads_is_read(tmp_path, convolutions):
    # Its layout, of 2016: a group a layer, in it block1_conv1_W_1:0 and block1_conv1_b_1:0; pools are empty groups.
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for layer, (kernel, bias) in convolutions.items():
            group = file.create_group(name := layer.replace("conv", "block").replace("_", "_conv"))
            group[f"{name}_W_1:0"], group[f"{name}_b_1:0"] = kernel, bias
        file.create_group("block1_pool")
        file["fc1/fc1_W_1:0"] = np.zeros((5, 4), np.float32)
    _assert_equal(read_convolutions(tmp_path / "x.h5")[0], convolutions)


@pytest.mark.parametrize(("dtype", "tolerance"), [("F32", 0), ("F16", 1e-3), ("BF16", 1e-2)])
def test_safetensors_with_the_papers_names(tmp_path, convolutions, dtype, tolerance):
    _write_safetensors(tmp_path / "x.safetensors", _pytorch(convolutions, LAYERS), dtype)
    _assert_equal(read_convolutions(tmp_path / "x.safetensors")[0], convolutions, rtol=tolerance, atol=tolerance / 100)


def test_torchvisions_pixels_become_caffes(tmp_path, convolutions):
    # torchvision's features: 0, 2 | 5, 7 | 10, 12, 14, 16 | 19, ... ; input (RGB / 255 - mean) / deviation.
    layers = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
    _write_safetensors(tmp_path / "x.safetensors", _pytorch(convolutions, [f"features.{layer}" for layer in layers]))
    got, _ = read_convolutions(tmp_path / "x.safetensors")
    _assert_equal({layer: got[layer] for layer in LAYERS[1:]}, {layer: convolutions[layer] for layer in LAYERS[1:]})
    patch = np.random.default_rng(1).uniform(0, 255, (3, 3, 3))
    kernel, bias = convolutions["conv1_1"]
    expected = np.einsum("hwi,hwio->o", (patch / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225), kernel) + bias
    ours = np.einsum("hwi,hwio->o", patch[..., ::-1] - (103.939, 116.779, 123.68), got["conv1_1"][0]) + got["conv1_1"][1]
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


def test_factored_layers_come_back_as_they_were(tmp_path):
    made = convolutions_of(build_vgg19(slim_filters(4, 8, (0, 3, 2)), taps=("conv2_2",)))
    save_convolutions(tmp_path / "x.npz", made, {}, dtype="float32")
    got, _ = read_convolutions(tmp_path / "x.npz")
    assert filters_of(got) == filters_of(made) == {**filters_of(made), "conv1_1": Filters(4), "conv1_2": Filters(4, 3), "conv2_1": Filters(8, 2)}
    for layer, arrays in made.items():
        for one, other in zip(got[layer], arrays, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_network_whose_blocks_are_not_alike_is_refused(tmp_path):
    made = convolutions_of(build_vgg19(2, taps=("conv2_2",)))
    made["conv1_2"] = tuple(np.concatenate([array, array], axis=-1) for array in made["conv1_2"])
    save_convolutions(tmp_path / "x.npz", made, {})
    with pytest.raises(WeightsError, match=r"conv1_2 should have the shape \(3, 3, 2, 2\), conv1_2 has \(3, 3, 2, 4\)"):
        read_convolutions(tmp_path / "x.npz")


def test_the_genuine_blocks_are_read(shared):
    got, _ = read_convolutions(shared / "weights" / "vgg19_block1-3.weights.h5")
    assert list(got) == list(LAYERS[:8])
    assert got["conv3_4"][0].shape == (3, 3, 256, 256)


def _pickled(path):
    np.savez(path, facts=np.array([pickle.dumps(1)], object))


def _keras_file(path, shape):
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"], file["layers/conv2d/vars/1"] = np.zeros(shape, np.float32), np.zeros(shape[-1], np.float32)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("missing.npz", None, "does not exist: give a file with the weights of VGG19"),
        ("x.pth", lambda path: path.write_bytes(b"x"), "pickles, .pth and .pt can run code"),
        ("x.npz", lambda path: path.write_bytes(b"x"), "is damaged or no .npz of a VGG19"),
        ("x.npz", _pickled, "is damaged or no .npz of a VGG19"),
        ("x.npz", lambda path: np.savez(path, a=np.zeros(3)), "not written by `tfvision weights import`"),
        ("x.h5", lambda path: path.write_bytes(b"x"), "is damaged or no .h5 of a VGG19"),
        ("x.h5", lambda path: _keras_file(path, (7, 7, 3, 64)), r"conv1_1 should have the shape \(3, 3, 3, 64\), conv1_1 has \(7, 7"),
        ("x.h5", lambda path: h5py.File(path, "w").close(), "holds no convolutions"),
        ("x.safetensors", lambda path: path.write_bytes(b"x"), "is damaged or no .safetensors"),
        ("x.safetensors", lambda path: path.write_bytes(b"\xff" * 9), "its header claims"),
        ("x.safetensors", lambda path: _write_safetensors(path, {"layer1.weight": np.zeros(3)}), "neither torchvision's names"),
    ],
)
def test_files_that_are_no_vgg19_end_in_one_line(tmp_path, name, write, message):
    if write:
        write(tmp_path / name)
    with pytest.raises(WeightsError, match=message) as caught:
        read_convolutions(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_values_that_are_not_finite_are_refused(tmp_path, convolutions):
    broken = {**convolutions, "conv2_1": (convolutions["conv2_1"][0] * np.nan, convolutions["conv2_1"][1])}
    _write_safetensors(tmp_path / "x.safetensors", _pytorch(broken, LAYERS))
    with pytest.raises(WeightsError, match="conv2_1 holds values that are not finite"):
        read_convolutions(tmp_path / "x.safetensors")
