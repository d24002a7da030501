"""Caffe's and ONNX's files as Google's own protobuf writes them, against networks written down once more in NumPy."""

import functools

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tfvision.errors import WeightsError
from tfvision.models.alexnet import build_alexnet
from tfvision.models.convolutions import read_convolutions
from tfvision.models.layers import TORCHVISION_DEVIATION, TORCHVISION_MEAN
from tfvision.models.resnet18 import build_resnet18
from tfvision.models.tensor_file import open_tensors
from tfvision.models.torch_weights import CAFFE_NAMES, TORCH_NAMES, load_torch_weights
from tfvision.models.vgg19 import LAYERS, build_vgg19, convolutions_of
from tfvision.models.weights import load_pretrained

_FLOAT, _DOUBLE, _INT64, _INT32, _STRING, _BYTES = 2, 1, 3, 5, 9, 12  # types of FieldDescriptorProto
_SCHEMA = {  # message -> {field: (number, type or message, is repeated, is packed)}, as caffe.proto and onnx.proto have them
    "BlobShape": {"dim": (1, _INT64, True, True)},
    "BlobProto": {
        **{name: (number, _INT32, False, False) for number, name in enumerate(("num", "channels", "height", "width"), 1)},
        "data": (5, _FLOAT, True, True),
        "shape": (7, "BlobShape", False, False),
        "double_data": (8, _DOUBLE, True, True),
    },
    "V0LayerParameter": {"name": (1, _STRING, False, False), "blobs": (50, "BlobProto", True, False)},
    "V1LayerParameter": {
        "layer": (1, "V0LayerParameter", False, False),
        "bottom": (2, _STRING, True, False),
        "name": (4, _STRING, False, False),
        "blobs": (6, "BlobProto", True, False),
    },
    "LayerParameter": {"name": (1, _STRING, False, False), "bottom": (3, _STRING, True, False), "blobs": (7, "BlobProto", True, False)},
    "NetParameter": {"name": (1, _STRING, False, False), "layers": (2, "V1LayerParameter", True, False), "layer": (100, "LayerParameter", True, False)},
    "TensorProto": {
        "dims": (1, _INT64, True, False),
        "data_type": (2, _INT32, False, False),
        "float_data": (4, _FLOAT, True, True),
        "int32_data": (5, _INT32, True, True),
        "name": (8, _STRING, False, False),
        "raw_data": (9, _BYTES, False, False),
        "double_data": (10, _DOUBLE, True, True),
        "data_location": (14, _INT32, False, False),
    },
    "AttributeProto": {
        "name": (1, _STRING, False, False),
        "f": (2, _FLOAT, False, False),
        "i": (3, _INT64, False, False),
        "t": (5, "TensorProto", False, False),
    },
    "NodeProto": {
        "input": (1, _STRING, True, False),
        "output": (2, _STRING, True, False),
        "op_type": (4, _STRING, False, False),
        "attribute": (5, "AttributeProto", True, False),
    },
    "GraphProto": {"node": (1, "NodeProto", True, False), "initializer": (5, "TensorProto", True, False)},
    "ModelProto": {"ir_version": (1, _INT64, False, False), "graph": (7, "GraphProto", False, False)},
}


def _messages():
    """{message: its class, as Google's library makes it}."""
    file = descriptor_pb2.FileDescriptorProto(name="weights.proto", package="weights", syntax="proto2")
    for message, fields in _SCHEMA.items():
        described = file.message_type.add(name=message)
        for name, (number, kind, is_repeated, is_packed) in fields.items():
            field = described.field.add(name=name, number=number, label=3 if is_repeated else 1)
            if isinstance(kind, str):
                field.type, field.type_name = 11, f".weights.{kind}"
            else:
                field.type = kind
            if is_packed:
                field.options.packed = True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {message: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"weights.{message}")) for message in _SCHEMA}


P = _messages()


def _blob(values, is_old=False, is_double=False):
    blob = P["BlobProto"]()
    (blob.double_data if is_double else blob.data).extend(values.ravel().tolist())
    if is_old:
        blob.num, blob.channels, blob.height, blob.width = (1,) * (4 - values.ndim) + values.shape
    else:
        blob.shape.dim.extend(values.shape)
    return blob


def _save_caffe(path, tensors, version="layer", **kwargs):
    """{layer.weight, layer.bias} as Caffe of 2013 (V0), of 2014 (V1) and of later wrote them, with AlexNet's pooling and normalisation."""
    net = P["NetParameter"](name="AlexNet")
    layers = [*dict.fromkeys(name.rpartition(".")[0] for name in tensors), *kwargs.pop("others", ())]
    for name in layers:
        name, bottom = name if isinstance(name, tuple) else (name, "data")
        layer = net.layer.add() if version == "layer" else net.layers.add()
        layer.bottom.append(bottom)
        holder = layer.layer if version == "V0" else layer
        holder.name = name
        parts = [tensors[f"{name}.{part}"] for part in ("weight", "bias") if f"{name}.{part}" in tensors]
        holder.blobs.extend(_blob(values, version != "layer", **kwargs) for values in parts)
    path.write_bytes(net.SerializeToString())


def _tensor(name, values, kind="raw"):
    tensor = P["TensorProto"](name=name, dims=values.shape, data_type={"half": 10, "half as integers": 10, "bfloat16": 16, "double": 11}.get(kind, 1))
    if kind == "raw":
        tensor.raw_data = values.astype("<f4").tobytes()
    elif kind == "half":
        tensor.raw_data = values.astype("<f2").tobytes()
    elif kind == "half as integers":
        tensor.int32_data.extend(values.astype("<f2").view(np.uint16).ravel().tolist())
    elif kind == "bfloat16":
        tensor.raw_data = (values.astype("<f4").view(np.uint32) >> 16).astype("<u2").tobytes()
    elif kind == "double":
        tensor.double_data.extend(values.ravel().tolist())
    else:
        tensor.float_data.extend(values.ravel().tolist())
    return tensor


def _save_onnx(path, layers, kind="raw", shift=0):
    """Layers as [(operation, {name: values} in the order of its inputs, {attribute: value})], each on what the one before computes."""
    graph = P["GraphProto"]()
    for number, (operation, values, attributes) in enumerate(layers, shift):
        graph.initializer.extend(_tensor(name, one, kind) for name, one in values.items())
        node = graph.node.add(op_type=operation, input=[f"x{number}", *values], output=[f"x{number + 1}"])
        for name, value in attributes.items():
            node.attribute.add(name=name, **({"f": value} if isinstance(value, float) else {"i": value}))
        graph.node.add(op_type="Relu", input=[f"x{number + 1}"], output=[f"y{number + 1}"])
    path.write_bytes(P["ModelProto"](ir_version=8, graph=graph).SerializeToString())


def _normal(shape, seed, scale=1.0):
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


WIDTHS, CONNECTED = (4, 4, 4, 4, 4), 6


@pytest.fixture(scope="module")
def alexnet():
    return build_alexnet(227, WIDTHS, CONNECTED)


def _alexnet_tensors():
    shapes = {
        "conv1": (4, 3, 11, 11),
        "conv2": (4, 2, 5, 5),
        "conv3": (4, 4, 3, 3),
        "conv4": (4, 2, 3, 3),
        "conv5": (4, 2, 3, 3),
        "fc6": (6, 144),
        "fc7": (6, 6),
    }
    tensors = {}
    for seed, (layer, shape) in enumerate(shapes.items()):
        tensors[f"{layer}.weight"] = _normal(shape, seed, np.sqrt(2 / np.prod(shape[1:])))
        tensors[f"{layer}.bias"] = _normal(shape[:1], 100 + seed)
    return tensors


def _convolved(x, kernel, bias, stride=1, padding=0, groups=1):
    """x [channels, height, width], as Caffe computes: group by group, a sum over the places of the kernel."""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    size = (x.shape[1] - kernel.shape[2]) // stride + 1
    out = np.zeros((len(kernel), size, size))
    each_in, each_out = kernel.shape[1], len(kernel) // groups
    for group in range(groups):
        part, mine = x[group * each_in :][:each_in], slice(group * each_out, (group + 1) * each_out)
        for i in range(kernel.shape[2]):
            for j in range(kernel.shape[3]):
                seen = part[:, i : i + stride * size : stride, j : j + stride * size : stride]
                out[mine] += np.einsum("oc,chw->ohw", kernel[mine, :, i, j], seen)
    return out + bias[:, None, None]


def _pooled(x):
    size = (x.shape[1] - 3) // 2 + 1
    return np.max([x[:, i : i + 2 * size : 2, j : j + 2 * size : 2] for i in range(3) for j in range(3)], axis=0)


def _normalised(x):
    squares = np.pad(x**2, ((2, 2), (0, 0), (0, 0)))
    return x / (1 + 1e-4 / 5 * sum(squares[i : i + len(x)] for i in range(5))) ** 0.75


def _caffes_alexnet(tensors, image):
    """bvlc_alexnet's deploy.prototxt on RGB 0-255 [227, 227, 3]: BGR minus the mean colour, channels first."""
    at = lambda layer: (tensors[f"{layer}.weight"].astype(np.float64), tensors[f"{layer}.bias"])
    x = (image[..., ::-1] - [103.939, 116.779, 123.68]).transpose(2, 0, 1)
    x = _pooled(_normalised(np.maximum(_convolved(x, *at("conv1"), 4), 0)))
    x = _pooled(_normalised(np.maximum(_convolved(x, *at("conv2"), 1, 2, 2), 0)))
    for layer, groups in {"conv3": 1, "conv4": 2, "conv5": 2}.items():
        x = np.maximum(_convolved(x, *at(layer), 1, 1, groups), 0)
    x = _pooled(x).ravel()
    for layer in ("fc6", "fc7"):
        kernel, bias = at(layer)
        x = np.maximum(kernel @ x + bias, 0)
    return x


@pytest.mark.parametrize("version", ["layer", "V1", "V0"])
def test_alexnet_of_a_caffemodel_computes_what_caffe_does(alexnet, tmp_path, version):
    tensors = _alexnet_tensors()
    _save_caffe(tmp_path / "bvlc_alexnet.caffemodel", tensors, version, others=[("norm1", "conv1"), "fc8"])
    assert load_pretrained(alexnet, "alexnet", str(tmp_path / "bvlc_alexnet.caffemodel")) == f"weights of {tmp_path / 'bvlc_alexnet.caffemodel'}"
    image = np.random.default_rng(5).uniform(0, 255, (227, 227, 3)).astype(np.float32)
    expected = _caffes_alexnet(tensors, image)
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(alexnet(image[None]).numpy()[0, 0, 0], expected, rtol=1e-3, atol=1e-3 * expected.max())


def test_caffe2s_alexnet_in_onnx_has_the_same_weights(alexnet, tmp_path):
    tensors = _alexnet_tensors()
    layers = []
    for layer in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7"):
        values = {f"{layer}_w_0": tensors[f"{layer}.weight"], f"{layer}_b_0": tensors[f"{layer}.bias"]}
        layers.append(("Gemm", values, {"transB": 1}) if layer.startswith("fc") else ("Conv", values, {}))
    _save_onnx(tmp_path / "bvlcalexnet-12.onnx", layers)
    _save_caffe(tmp_path / "x.caffemodel", tensors)
    load_torch_weights(alexnet, "alexnet", tmp_path / "x.caffemodel")
    expected = alexnet.get_weights()
    alexnet.set_weights([0 * values for values in expected])
    load_torch_weights(alexnet, "alexnet", tmp_path / "bvlcalexnet-12.onnx")
    for got, values in zip(alexnet.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(got, values)


def test_doubles_are_read(tmp_path):
    kernel = _normal((2, 3, 1, 1), 0)
    _save_caffe(tmp_path / "x.caffemodel", {"conv.weight": kernel, "conv.bias": kernel[:, 0, 0, 0]}, is_double=True)
    tensors = open_tensors(tmp_path / "x.caffemodel")
    assert list(tensors) == ["conv.weight", "conv.bias"]
    np.testing.assert_array_equal(tensors["conv.weight"], kernel)


def test_caffenet_is_not_taken_for_alexnet(alexnet, tmp_path):
    _save_caffe(tmp_path / "x.caffemodel", _alexnet_tensors(), "V1", others=[("norm1", "pool1")])
    with pytest.raises(WeightsError, match="x.caffemodel is CaffeNet, which pools before it normalises, .*take bvlc_alexnet.caffemodel"):
        load_torch_weights(alexnet, "alexnet", tmp_path / "x.caffemodel")


def test_squeezenets_caffemodel_is_taken_as_it_is(base_of, tmp_path):
    base = base_of("squeezenet")
    tensors = {}
    for seed, (layer, (name, _)) in enumerate(CAFFE_NAMES["squeezenet"].items()):
        kernel, bias = base.get_layer(layer).get_weights()
        tensors |= {f"{name}.weight": _normal(kernel.transpose(3, 2, 0, 1).shape, seed), f"{name}.bias": _normal(bias.shape, seed)}
    _save_caffe(tmp_path / "squeezenet_v1.1.caffemodel", tensors)
    assert load_torch_weights(base, "squeezenet", tmp_path / "squeezenet_v1.1.caffemodel") == []
    np.testing.assert_array_equal(base.get_layer("conv1").get_weights()[0], tensors["conv1.weight"].transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(base.get_layer("fire9_expand3").get_weights()[1], tensors["fire9/expand3x3.bias"])


def _resnet18_layers(tensors, is_folded, is_shortcut_first):
    """The convolutions of a ResNet18 in an exporter's order, by an exporter's names."""
    layers = []
    names = list(TORCH_NAMES["resnet18"].values())
    if is_shortcut_first:  # MXNet's: what the sum's left side needs comes first
        names.sort(key=lambda pair: (pair[0].split(".")[:2], "downsample" not in pair[0], pair[0]))
    for number, (name, norm) in enumerate(names):
        kernel = tensors[f"{name}.weight"]
        scale, shift, mean, variance = (tensors[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var"))
        factor = scale / np.sqrt(variance + 1e-5)
        if is_folded:
            layers.append(("Conv", {f"onnx::Conv_{number}": kernel * factor[:, None, None, None], f"onnx::Conv_{number}b": shift - mean * factor}, {}))
        else:
            layers.append(("Conv", {f"w{number}": kernel}, {}))
            parts = {f"{part}{number}": values for part, values in zip(("s", "b", "m", "v"), (scale, shift, mean, variance), strict=True)}
            layers.append(("BatchNormalization", parts, {"epsilon": 1e-5}))
    return layers


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory):
    """(network, tensors by PyTorch's names, images, what it answers with these tensors)."""
    base, tensors = build_resnet18(32, width=4), {}
    for seed, (layer, (name, norm)) in enumerate(TORCH_NAMES["resnet18"].items()):
        height, width, inputs, outputs = base.get_layer(layer).kernel.shape
        tensors[f"{name}.weight"] = _normal((outputs, inputs, height, width), seed, np.sqrt(2 / (height * width * inputs)))
        for number, part in enumerate(("weight", "bias", "running_mean", "running_var")):
            tensors[f"{norm}.{part}"] = np.random.default_rng(50 * seed + number).uniform(0.5, 1.5, outputs).astype(np.float32)
    file = tmp_path_factory.mktemp("resnet18") / "x.npz"
    np.savez(file, **tensors)
    load_torch_weights(base, "resnet18", file)
    images = np.random.default_rng(1).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    return base, tensors, images, base(images).numpy()


@pytest.mark.slow
@pytest.mark.parametrize(("is_folded", "is_shortcut_first"), [(False, True), (True, False)])
def test_resnet18_in_onnx_answers_as_its_tensors_do(resnet18, tmp_path, is_folded, is_shortcut_first):
    base, tensors, images, expected = resnet18
    top = ("Gemm", {"fc": _normal((10, 32), 0)}, {"transB": 1})
    _save_onnx(tmp_path / "x.onnx", [*_resnet18_layers(tensors, is_folded, is_shortcut_first), top])
    base.set_weights([np.ones_like(values) for values in base.get_weights()])
    assert load_torch_weights(base, "resnet18", tmp_path / "x.onnx") == []
    np.testing.assert_allclose(base(images), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["raw", "floats", "half", "half as integers", "bfloat16", "double"])
def test_all_kinds_of_values_of_vgg19s_onnx_are_read(tmp_path, kind):
    kernels = {layer: kernel.shape for layer, (kernel, _) in _vgg19().items()}
    tensors = {layer: _normal((shape[3], shape[2], 3, 3), seed) for seed, (layer, shape) in enumerate(kernels.items())}
    _save_onnx(tmp_path / "x.onnx", [("Conv", {f"{layer}_w_0": kernel, f"{layer}_b_0": kernel[:, 0, 0, 0]}, {}) for layer, kernel in tensors.items()], kind)
    got, _ = read_convolutions(tmp_path / "x.onnx")  # Caffe2's names: no other pixels
    atol = {"bfloat16": 0.02, "half": 2e-3, "half as integers": 2e-3}.get(kind, 0)
    for layer, kernel in tensors.items():
        np.testing.assert_allclose(got[layer][0], kernel.transpose(2, 3, 1, 0), atol=atol)
        np.testing.assert_allclose(got[layer][1], kernel[:, 0, 0, 0], atol=atol)


@functools.cache
def _vgg19():
    return convolutions_of(build_vgg19(2, taps=LAYERS))


def test_vgg19_of_torchvisions_onnx_answers_to_torchvisions_pixels(tmp_path):
    tensors = {layer: kernel.transpose(3, 2, 0, 1) for layer, (kernel, _) in _vgg19().items()}
    _save_onnx(tmp_path / "x.onnx", [("Conv", {f"features.{layer}.weight": kernel, f"b{layer}": kernel[:, 0, 0, 0]}, {}) for layer, kernel in tensors.items()])
    (kernel, bias), image = read_convolutions(tmp_path / "x.onnx")[0]["conv1_1"], np.random.default_rng(0).uniform(0, 255, (3, 3, 3))
    theirs = ((image / 255 - TORCHVISION_MEAN) / TORCHVISION_DEVIATION).transpose(2, 0, 1)
    expected = (tensors["conv1_1"] * theirs).sum((1, 2, 3)) + tensors["conv1_1"][:, 0, 0, 0]
    ours = image[..., ::-1] - [103.939, 116.779, 123.68]
    np.testing.assert_allclose(np.einsum("hwio,hwi->o", kernel, ours) + bias, expected, rtol=1e-4, atol=1e-5)


def test_vgg19_of_the_authors_caffemodel_is_read(tmp_path):
    tensors = {}
    for layer, (kernel, bias) in _vgg19().items():
        tensors |= {f"{layer}.weight": kernel.transpose(3, 2, 0, 1), f"{layer}.bias": bias}
    _save_caffe(tmp_path / "VGG_ILSVRC_19_layers.caffemodel", tensors, "V1")
    got, facts = read_convolutions(tmp_path / "VGG_ILSVRC_19_layers.caffemodel")
    assert list(got) == list(LAYERS) and not facts["is_normalised"]
    np.testing.assert_array_equal(got["conv5_4"][0].transpose(3, 2, 0, 1), tensors["conv5_4.weight"])


def _whole(path):
    _save_caffe(path.with_suffix(".caffemodel"), _alexnet_tensors())
    return path.with_suffix(".caffemodel").read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.caffemodel", lambda path: b"", "is damaged or no .caffemodel"),
        ("x.caffemodel", lambda path: _whole(path)[:-5], "is damaged or no .caffemodel file .it ends within a field"),
        ("x.caffemodel", lambda path: b"\x80\x02K", "is damaged or no .caffemodel"),  # a pickle
        ("x.caffemodel", lambda path: b"\xff" * 12, "a number that does not end"),
        ("x.caffemodel", lambda path: b"\x0a\x03net", "holds no layers with weights"),
        ("x.onnx", lambda path: b"\x08\x08", "is damaged or no ONNX model"),
        ("x.onnx", lambda path: b"", "is damaged or no ONNX model"),
        (
            "x.onnx",
            lambda path: P["ModelProto"](graph=P["GraphProto"]()).SerializeToString(),
            "holds no whole alexnet: it lacks conv1, conv2, conv3 and 4 more",
        ),
    ],
)
def test_damaged_files_are_one_line(alexnet, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content(tmp_path / name))
    with pytest.raises(WeightsError, match=message) as raised:
        load_torch_weights(alexnet, "alexnet", tmp_path / name)
    assert str(raised.value).startswith(str(tmp_path / name)) and "\n" not in str(raised.value)


def test_what_claims_too_much_or_is_no_number_or_lies_elsewhere_is_damage(alexnet, tmp_path):
    tensors, before = _alexnet_tensors(), alexnet.get_weights()

    def refused(suffix, message):
        with pytest.raises(WeightsError, match=message):
            load_torch_weights(alexnet, "alexnet", tmp_path / f"x{suffix}")

    _save_caffe(tmp_path / "x.caffemodel", {**tensors, "fc7.bias": np.float32([1, 2, np.nan, 4, 5, 6])})
    refused(".caffemodel", "is damaged: fc7 holds values that are not finite")
    net = P["NetParameter"].FromString((tmp_path / "x.caffemodel").read_bytes())
    net.layer[0].blobs[0].shape.dim[0] = 1 << 40
    (tmp_path / "x.caffemodel").write_bytes(net.SerializeToString())
    refused(".caffemodel", r"is damaged: conv1 cannot be read \(conv1.weight of shape \[1099511627776, 3, 11, 11\] has 1452 values\)")
    _save_onnx(tmp_path / "x.onnx", [("Conv", {"w": tensors["conv1.weight"], "b": tensors["conv1.bias"]}, {})])
    model = P["ModelProto"].FromString((tmp_path / "x.onnx").read_bytes())
    model.graph.initializer[0].data_location = 1
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
    refused(".onnx", "the values of w lie in another file: save the model as one file")
    _save_caffe(tmp_path / "x.caffemodel", {name: values for name, values in tensors.items() if name != "fc6.bias"})
    refused(".caffemodel", r"is no alexnet: fc6 should have the shapes")
    for got, expected in zip(alexnet.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, expected)
