import json

import numpy as np
import pytest

from tfvision.models.vgg19 import build_vgg19


@pytest.fixture
def donor(tmp_path):
    build_vgg19(2, taps=("conv5_1",)).save_weights(tmp_path / "donor.weights.h5")
    return tmp_path / "donor.weights.h5"


@pytest.mark.slow
def test_import_then_list_then_load(run_command, donor, colour_photos, tmp_path, monkeypatch):
    monkeypatch.setenv("TFVISION_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    code, out, _ = run_command("weights", "import", donor, "--photos", colour_photos, "--size", 32, "--count", 3, "--json")
    result = json.loads(out)
    assert code == 0
    assert result["out"] == str(tmp_path / "weights" / "vgg19.npz") and result["photos"] == 3
    code, out, _ = run_command("weights", "list", "--json")
    listed = json.loads(out)
    assert listed["vgg19"] == result["out"]
    assert listed["vgg19_slim"].endswith("vgg19_slim.npz")

    from tfvision.models.perceptual import load_perceptual

    model, name, sentence = load_perceptual(taps=("conv2_1",))
    assert name == "vgg19" and result["out"] in sentence
    assert np.isfinite(model(np.zeros((1, 16, 16, 3), np.float32))["conv2_1"]).all()


def test_a_file_that_ends_early_is_noted(run_command, colour_photos, tmp_path):
    build_vgg19(2, taps=("conv2_1",)).save_weights(tmp_path / "short.weights.h5")
    code, out, _ = run_command(
        "weights", "import", tmp_path / "short.weights.h5", "--photos", colour_photos, "--size", 32, "--count", 1, "--out", tmp_path / "o.npz"
    )
    assert code == 0
    assert "normalised  3 layers on 1 photos" in out and "ends before conv5_1" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["vgg19.pth"], 2, "Missing option '--photos'"),
        (["vgg19.pth", "--photos", "."], 1, "error: vgg19.pth does not exist"),
        (["resnet18.pth", "--network", "resnet18"], 1, "error: resnet18.pth is a pickle, which can run code"),
    ],
    ids=str,
)
def test_mistakes_end_in_one_clear_line(run_command, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    got, out, err = run_command("weights", "import", *arguments)
    assert (got, out) == (code, "")
    assert message in err and "Traceback" not in err


@pytest.mark.slow
def test_a_network_is_converted_and_listed(run_command, tmp_path, monkeypatch):
    from tfvision.models.catalogue import get_network

    monkeypatch.setenv("TFVISION_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    get_network("squeezenet").build(63).save_weights(tmp_path / "mine.weights.h5")
    code, out, _ = run_command("weights", "import", tmp_path / "mine.weights.h5", "--network", "squeezenet")
    assert code == 0 and out.startswith(f"weights     {tmp_path / 'weights' / 'squeezenet.weights.h5'}: squeezenet")
    listed = run_command("weights", "list")[1]
    assert f"squeezenet             {tmp_path / 'weights'}" in listed
    assert "resnet18               not here: put into $TFVISION_WEIGHTS, or `tfvision weights import FILE --network NAME`" in listed
    assert "mobilenet_v2           not here: put into $TFVISION_WEIGHTS, else downloaded when needed" in listed


def test_list_says_where_a_person_gets_each_file(run_command, tmp_path, monkeypatch):
    monkeypatch.setenv("TFVISION_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    listed = run_command("weights", "list")[1]
    for words in ("bvlc_alexnet.caffemodel: 244 MB, licence unrestricted use, SHA-1 9116a64c0fbe4459d18f4bb6b56d647b63920377", "timm/resnet18.tv_in1k"):
        assert words in listed
    from tfvision.models.torch_weights import TORCH_NAMES
    from tfvision.models.weight_sources import SOURCES

    assert SOURCES.keys() == {*TORCH_NAMES, "vgg19"}


def test_help_has_an_example(run_command):
    assert "tfvision weights import vgg19.safetensors" in run_command("weights", "import", "--help")[1]
