import dataclasses

import keras
import numpy as np
import pytest

from tfvision.apps.style.presets import get_preset
from tfvision.models.vgg19 import CHANNELS, CONTENT_LAYER, PERCEPTUAL_LAYERS, STYLE_LAYERS, build_vgg19


@pytest.fixture(scope="session")
def smooth_picture():
    """(seed, height, width) -> a picture of coloured waves, uint8: something to see at every scale."""
    return _smooth_picture


def _smooth_picture(seed, height, width):
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 40
    waves = [np.sin(a * y + b * x + c) for a, b, c in random.uniform(-3, 3, (6, 3))]
    colours = random.uniform(-40, 40, (6, 3))
    return np.clip(127 + sum(wave[..., None] * colour for wave, colour in zip(waves, colours, strict=True)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def photo():
    return _smooth_picture(0, 72, 96)


@pytest.fixture(scope="session")
def painting():
    return _smooth_picture(1, 80, 64)


@pytest.fixture(scope="session")
def tiny_network():
    """VGG19 with two channels in its first block and random weights."""
    keras.utils.set_random_seed(0)
    return build_vgg19(2, "avg", (CONTENT_LAYER, *STYLE_LAYERS))


@pytest.fixture
def tiny_preset():
    """The default preset, small and short."""
    return dataclasses.replace(get_preset("default"), network="vgg19_slim", size=64, scales=(), iterations=6, tolerance=0.0)


@pytest.fixture(scope="session")
def small_teacher(tmp_path_factory):
    """A small VGG19 of width 2 in PyTorch's layout, random, as `teachers.read_small` reads it."""
    random = np.random.default_rng(0)
    stored = {"conv0.weight": 255 * np.eye(3)[::-1, :, None, None] + random.normal(size=(3, 3, 1, 1)), "conv0.bias": np.float32([-104, -117, -124])}
    channels = 3
    for layer in PERCEPTUAL_LAYERS:
        width, name = 2 * CHANNELS[int(layer[4]) - 1], layer.replace("_", "")
        stored[f"{name}.weight"] = random.normal(0, (2 / 9 / channels) ** 0.5, (width, channels, 3, 3))
        stored[f"{name}.bias"] = random.normal(0, 0.5, width)
        channels = width
    path = tmp_path_factory.mktemp("teachers") / "small.npz"
    np.savez(path, **{name: np.float32(values) for name, values in stored.items()})
    return path


@pytest.fixture(scope="session")
def wide_teacher(tmp_path_factory):
    """The first blocks of a VGG19 of width 4, random, as Keras saves it."""
    keras.utils.set_random_seed(1)
    path = tmp_path_factory.mktemp("teachers") / "wide.weights.h5"
    build_vgg19(4, taps=("conv2_2",)).save_weights(path)
    return path


@pytest.fixture(scope="session")
def stylizer_exportable(stylizer_run):
    from tfvision.apps.stylizer.export import make_exportable

    return make_exportable(stylizer_run)


@pytest.fixture(scope="session")
def stylizer_export(stylizer_exportable, tmp_path_factory):
    """What `export_model` told of an export with TFLite."""
    from tfvision.export.export import export_model

    return export_model(stylizer_exportable, tmp_path_factory.mktemp("savedmodels"), tflite=True, verify=False)
