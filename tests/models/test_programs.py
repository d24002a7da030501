"""Modules of TensorFlow Hub and Kaggle; a stand-in for kagglehub, which is an extra, says what it was asked for."""

import sys
import types
import warnings

import pytest
import tensorflow as tf

from tfvision.errors import WeightsError
from tfvision.models.programs import is_program, kaggle_handle, open_module


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The folder of a module that doubles."""
    module, folder = tf.Module(), tmp_path_factory.mktemp("modules") / "double"
    module.double = tf.function(lambda x: 2 * x, input_signature=[tf.TensorSpec([], tf.float32)], autograph=False)
    tf.saved_model.save(module, str(folder))
    return folder


@pytest.fixture
def asked(saved, monkeypatch):
    """What Kaggle was asked for."""
    handles = []
    client = types.ModuleType("kagglehub")
    client.model_download = lambda handle: handles.append(handle) or str(saved)
    monkeypatch.setitem(sys.modules, "kagglehub", client)
    return handles


@pytest.mark.parametrize(
    ("name", "handle"),
    [
        ("kaggle:google/mobilenet-v2/tensorFlow2/100-224-feature-vector/2", "google/mobilenet-v2/tensorFlow2/100-224-feature-vector/2"),
        ("google/mobilenet-v2/tensorFlow2/100-224-feature-vector", "google/mobilenet-v2/tensorFlow2/100-224-feature-vector"),
        ("https://www.kaggle.com/models/google/mobilenet-v2/TensorFlow2/a/2", "google/mobilenet-v2/TensorFlow2/a/2"),
        ("https://kaggle.com/models/google/mobilenet-v2/frameworks/TensorFlow2/variations/a/versions/2", "google/mobilenet-v2/TensorFlow2/a/2"),
        ("kaggle:someone/their.model/keras/base", "someone/their.model/keras/base"),
        ("runs/a/b/c", ""),
        ("/runs/x/tensorflow/c", ""),
        ("../x/tensorFlow2/c", ""),
        ("kaggle:../x/tensorFlow2/..", ""),
        ("kaggle:google/mobilenet-v2", ""),
        ("https://tfhub.dev/google/imagenet/mobilenet_v2/feature_vector/5", ""),
        ("mobilenet_v2", ""),
    ],
)
def test_kaggles_names_are_told_from_others(name, handle, asked):
    assert kaggle_handle(name) == handle
    assert is_program(name) == (bool(handle) or ":" in name)
    if handle:
        module, _ = open_module(name, "")
        assert float(module.double(tf.constant(2.0))) == 4 and asked == [handle]


def test_a_folder_comes_first(saved, asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "google/mobilenet-v2/tensorFlow2/a"
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).symlink_to(saved)
    module, folder = open_module(name, "")
    assert (float(module.double(tf.constant(3.0))), folder, asked) == (6, name, [])


def test_without_the_client_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(
        WeightsError, match=r"google/x/tensorFlow2/a is of Kaggle, whose client is not installed .*: pip install 'tfvision\[kaggle\]', or give a folder"
    ):
        open_module("kaggle:google/x/tensorFlow2/a", "")


def test_what_kaggle_refuses_is_one_line_with_the_way_out(monkeypatch):
    client = types.ModuleType("kagglehub")
    client.model_download = lambda handle: {}["403 Client Error.\nYou don't have permission"]
    monkeypatch.setitem(sys.modules, "kagglehub", client)
    with pytest.raises(WeightsError, match="kaggle:google/x/tensorFlow2/a could not be loaded from Kaggle .*403 Client Error.*. Give a folder") as raised:
        open_module("kaggle:google/x/tensorFlow2/a", "Give a folder")
    assert "\n" not in str(raised.value)


def test_the_age_of_what_tensorflow_hub_imports_is_not_told(saved, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] in ("tensorflow_hub", "pkg_resources")]:
        monkeypatch.delitem(sys.modules, name)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        open_module(str(saved), "")
    assert [str(one.message) for one in told if "pkg_resources" in str(one.message)] == []
