"""PyTorch's weights, against networks written down once more as torchvision's source has them."""

import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvision.errors import WeightsError
from tfvision.models.alexnet import build_alexnet, build_alexnet_torchvision
from tfvision.models.resnet18 import build_resnet18
from tfvision.models.squeezenet import build_squeezenet
from tfvision.models.tensor_file import open_tensors
from tfvision.models.torch_weights import TORCH_NAMES, load_torch_weights
from tfvision.models.weights import load_pretrained

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _save_safetensors(path, tensors):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [offset, offset + values.nbytes]}
        offset += values.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(values.tobytes() for values in tensors.values()))


def _safetensors_header(header):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


def _convolved(tensors, x, name, stride=1, padding=0):
    kernel = tensors[f"{name}.weight"].transpose(2, 3, 1, 0)
    x = tf.nn.conv2d(x, kernel, stride, [[0, 0], [padding] * 2, [padding] * 2, [0, 0]])
    return x + tensors[f"{name}.bias"] if f"{name}.bias" in tensors else x


def _normalised(tensors, x, name):
    weight, bias, mean, variance = (tensors[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var"))
    return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias


def _pooled(x, padding=0):
    return tf.nn.max_pool2d(tf.pad(x, [[0, 0], [padding] * 2, [padding] * 2, [0, 0]], constant_values=-np.inf), 3, 2, "VALID")


def _torchvision_resnet18(tensors, x):
    x = _pooled(tf.nn.relu(_normalised(tensors, _convolved(tensors, x, "conv1", 2, 3), "bn1")), padding=1)
    for layer in (1, 2, 3, 4):
        for block in (0, 1):
            name, shortcut, stride = f"layer{layer}.{block}", x, 2 if layer > 1 and block == 0 else 1
            x = tf.nn.relu(_normalised(tensors, _convolved(tensors, x, f"{name}.conv1", stride, 1), f"{name}.bn1"))
            x = _normalised(tensors, _convolved(tensors, x, f"{name}.conv2", 1, 1), f"{name}.bn2")
            if stride == 2:
                shortcut = _normalised(tensors, _convolved(tensors, shortcut, f"{name}.downsample.0", 2), f"{name}.downsample.1")
            x = tf.nn.relu(x + shortcut)
    return x


def _torchvision_squeezenet(tensors, x):
    x = _pooled(tf.nn.relu(_convolved(tensors, x, "features.0", 2)))
    for layer in (3, 4, "pool", 6, 7, "pool", 9, 10, 11, 12):
        if layer == "pool":
            x = _pooled(x)
            continue
        x = tf.nn.relu(_convolved(tensors, x, f"features.{layer}.squeeze"))
        wide = [_convolved(tensors, x, f"features.{layer}.expand{size}x{size}", padding=size // 2) for size in (1, 3)]
        x = tf.nn.relu(tf.concat(wide, -1))
    return x


def _torchvision_alexnet(tensors, x):
    x = _pooled(tf.nn.relu(_convolved(tensors, x, "features.0", 4, 2)))
    x = _pooled(tf.nn.relu(_convolved(tensors, x, "features.3", 1, 2)))
    for layer in (6, 8, 10):
        x = tf.nn.relu(_convolved(tensors, x, f"features.{layer}", 1, 1))
    x = tf.reshape(tf.transpose(_pooled(x), [0, 3, 1, 2]), [len(x), -1])  # as torch.flatten: channels first
    for name in ("classifier.1", "classifier.4"):
        x = tf.nn.relu(x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"])
    return x[:, None, None]


NETWORKS = {
    "resnet18": (lambda: build_resnet18(64, width=4), _torchvision_resnet18, 64),
    "squeezenet": (lambda: build_squeezenet(63), _torchvision_squeezenet, 63),  # odd enough that no pool has a rest
    "alexnet_torchvision": (lambda: build_alexnet_torchvision(224, (4, 6, 8, 8, 6), 10), _torchvision_alexnet, 224),
}


@pytest.fixture(scope="module")
def narrow():
    """A ResNet18 of width 4, built once; tests may load other weights into it and rely on none."""
    return build_resnet18(32, width=4)


def _random_tensors(base, network, seed=0):
    """As PyTorch would save them."""
    random = np.random.default_rng(seed)
    tensors = {}
    for layer, (name, norm) in TORCH_NAMES[network].items():
        height, width, inputs, outputs = base.get_layer(layer).kernel.shape
        kernel = random.normal(0, np.sqrt(2 / (height * width * inputs)), (outputs, inputs, height, width))
        tensors[f"{name}.weight"] = (kernel.reshape(outputs, -1) if "classifier" in name else kernel).astype(np.float32)
        if norm:
            for part in ("weight", "bias", "running_mean", "running_var"):
                tensors[f"{norm}.{part}"] = random.uniform(0.5, 1.5, outputs).astype(np.float32)
        else:
            tensors[f"{name}.bias"] = random.normal(size=outputs).astype(np.float32)
    return tensors


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_the_network_computes_what_torchvisions_does(network, tmp_path):
    build, oracle, size = NETWORKS[network]
    base = build()
    tensors = _random_tensors(base, network)
    _save_safetensors(tmp_path / "x.safetensors", {**tensors, "fc.weight": np.zeros((10, 4), np.float32)})
    assert load_torch_weights(base, network, tmp_path / "x.safetensors") == []
    images = np.random.default_rng(1).uniform(0, 255, (2, size, size, 3)).astype(np.float32)
    expected = oracle(tensors, (images / 255 - MEAN).astype(np.float32) / np.float32(DEVIATION)).numpy()
    got = base(images, training=False).numpy()
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=2e-3, atol=2e-4 * expected.max())


def test_alexnet_takes_caffes_and_says_whose_torchvisions_are(tmp_path):
    base = build_alexnet(227, (6, 8, 12, 12, 8), 10)
    tensors = _random_tensors(base, "alexnet")
    assert tensors["conv2.weight"].shape == (8, 3, 5, 5)  # two groups
    _save_safetensors(tmp_path / "caffe.safetensors", tensors)
    assert load_torch_weights(base, "alexnet", tmp_path / "caffe.safetensors") == []
    np.testing.assert_array_equal(base.get_layer("conv2").get_weights()[0][2, 1, 0, 3], tensors["conv2.weight"][3, 0, 2, 1])
    other = _random_tensors(NETWORKS["alexnet_torchvision"][0](), "alexnet_torchvision")
    _save_safetensors(tmp_path / "torchvision.safetensors", other)
    with pytest.raises(WeightsError, match="it lacks conv1, conv2, conv3 and 4 more .*--network alexnet_torchvision"):
        load_torch_weights(base, "alexnet", tmp_path / "torchvision.safetensors")


def test_alexnet_normalises_responses_as_caffe_does():
    from tfvision.models.layers import LocalResponseNormalization

    responses = np.random.default_rng(0).normal(0, 100, (1, 1, 1, 7)).astype(np.float32)
    x = responses[0, 0, 0].astype(np.float64)
    expected = [x[i] / (1 + 1e-4 / 5 * (x[max(0, i - 2) : i + 3] ** 2).sum()) ** 0.75 for i in range(7)]
    np.testing.assert_allclose(LocalResponseNormalization()(responses)[0, 0, 0], expected, rtol=1e-4)


def test_grouped_convolutions_see_their_own_channels_alone():
    from tfvision.models.layers import GroupedConvolution

    layer, x = GroupedConvolution(6, 3, 2), np.random.default_rng(0).normal(size=(1, 4, 4, 8)).astype(np.float32)
    got = layer(x).numpy()
    kernel, _ = layer.get_weights()
    for group in (0, 1):
        part = tf.nn.conv2d(x[..., 4 * group : 4 * group + 4], kernel[..., 3 * group : 3 * group + 3], 1, "SAME")
        np.testing.assert_allclose(got[..., 3 * group : 3 * group + 3], part, atol=1e-5)


def _folded(tensors):
    """As the partial file of the shared folder: batch normalisation in the convolutions' weights and biases."""
    folded = {}
    for name, norm in TORCH_NAMES["resnet18"].values():
        weight, bias, mean, variance = (tensors[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var"))
        scale = weight / np.sqrt(variance + 1e-5)
        folded[f"{name}.weight"] = tensors[f"{name}.weight"] * scale[:, None, None, None]
        folded[f"{name}.bias"] = bias - mean * scale
    return folded


@pytest.mark.slow
def test_folded_batch_normalisation_gives_the_same_answers(narrow, tmp_path):
    base, folded = narrow, build_resnet18(32, width=4)
    tensors = _random_tensors(base, "resnet18")
    np.savez(tmp_path / "whole.npz", **tensors)
    np.savez(tmp_path / "folded.npz", **_folded(tensors))
    load_torch_weights(base, "resnet18", tmp_path / "whole.npz")
    load_torch_weights(folded, "resnet18", tmp_path / "folded.npz")
    images = np.random.default_rng(1).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(folded(images), base(images), rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_what_is_missing_stays_random_is_said_and_does_no_harm(tmp_path):
    base = build_resnet18(32, width=4)
    tensors = {name: values for name, values in _random_tensors(base, "resnet18").items() if not name.startswith("layer4.1.")}
    np.savez(tmp_path / "part.npz", **tensors)
    sentence = load_pretrained(base, "resnet18", str(tmp_path / "part.npz"))
    assert sentence.endswith("which lacks layer4.1.conv1, layer4.1.conv2: these stay random, and their block starts switched off")
    assert np.ptp(base.get_layer("conv5_2_b").get_weights()[0]) > 0
    images = np.random.default_rng(1).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    before, after = keras.Model(base.input, [base.get_layer(name).output for name in ("conv5_1_out", "conv5_2_out")])(images)
    np.testing.assert_array_equal(before, after)
    with pytest.raises(WeightsError, match="holds no whole resnet18: it lacks layer4.1.conv1, layer4.1.conv2"):
        load_torch_weights(base, "resnet18", tmp_path / "part.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv1.weight": np.zeros((4, 3, 5, 5), np.float32)}, r"conv1 should have the shapes \[\(7, 7, 3, 4\)\], got \[\(5, 5, 3, 4\)\]"),
        ({"bn1.bias": np.float32([1, np.nan, 2, 3])}, "is damaged: conv1_bn holds values that are not finite"),
    ],
)
def test_another_shape_or_no_numbers_change_nothing(narrow, tmp_path, change, message):
    before = narrow.get_weights()
    np.savez(tmp_path / "x.npz", **{**_random_tensors(narrow, "resnet18", seed=2), **change})
    with pytest.raises(WeightsError, match=message):
        load_torch_weights(narrow, "resnet18", tmp_path / "x.npz")
    for got, expected in zip(narrow.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.pth", b"", "is a pickle, which can run code when it is read: convert it to .safetensors"),
        ("x.safetensors", b"\xff" * 9, "its header claims"),
        ("x.safetensors", (2).to_bytes(8, "little") + b"[]", "holds no whole resnet18"),
        ("x.safetensors", (3).to_bytes(8, "little") + b"[1]", "is damaged or no .safetensors"),
        ("x.safetensors", _safetensors_header({"conv1.weight": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}), "was it downloaded whole"),
        ("x.safetensors", _safetensors_header({"conv1.weight": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}), "conv1.weight lies at -4 to 0"),
        ("x.safetensors", _safetensors_header({"conv1.weight": {"dtype": "F32", "shape": [1]}}), "is damaged or no .safetensors"),
        ("x.npz", b"PK\3\4", "is damaged or no .npz"),
        ("x.pth.tar", b"", r"is a pickle, .*by: python -c .*torch.load\('x.pth.tar', weights_only=True\), 'x.pth.safetensors'\)"),
        ("x.csv", b"", "is not of a kind that is read: .safetensors, .npz"),
    ],
)
def test_files_that_are_none_are_refused(narrow, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        load_torch_weights(narrow, "resnet18", tmp_path / name)


def test_a_tensor_that_claims_too_much_is_damage(narrow, tmp_path):
    text = json.dumps({"conv1.weight": {"dtype": "F32", "shape": [4, 3, 7, 7], "data_offsets": [0, 10]}}).encode()
    (tmp_path / "x.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(10))
    assert "conv1.weight" in open_tensors(tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="is damaged: conv1 cannot be read"):
        load_torch_weights(narrow, "resnet18", tmp_path / "x.safetensors")


def test_layers_that_are_asked_for_may_not_stay_random(tmp_path):
    base = build_alexnet_torchvision(224, (4, 6, 8, 8, 6), 10)
    tensors = {name: values for name, values in _random_tensors(base, "alexnet_torchvision").items() if not name.startswith("classifier.4")}
    np.savez(tmp_path / "x.npz", **tensors)
    assert load_torch_weights(base, "alexnet_torchvision", tmp_path / "x.npz", True, {"conv1", "fc6"}) == ["classifier.4"]
    with pytest.raises(WeightsError, match="x.npz lacks classifier.4, on which the layers that are asked for depend: ask for earlier ones, or give"):
        load_torch_weights(base, "alexnet_torchvision", tmp_path / "x.npz", True, {"fc6", "fc7"})


def test_an_array_that_claims_more_than_its_archive_holds_is_damage(narrow, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive, archive.open("conv1.weight.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)})
    with pytest.raises(WeightsError, match="is damaged: conv1 cannot be read .conv1.weight of shape .* claims to lie in"):
        load_torch_weights(narrow, "resnet18", tmp_path / "x.npz")
