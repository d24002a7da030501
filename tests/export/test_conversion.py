"""TFLite and ONNX: what travels within the files."""

import dataclasses
import json
import zipfile

import pytest
import tensorflow as tf

from tfvision.export.conversion import write_onnx, write_tflite
from tfvision.export.model_card import model_card_json, model_metadata


@pytest.fixture(scope="module")
def labelled(doubling):
    core = tf.function(lambda inputs: {"doubled": 2 * inputs["number"]}, input_signature=[{"number": tf.TensorSpec([None, 1], name="number")}], autograph=False)
    return dataclasses.replace(doubling, core=core, assets={"labels.txt": "Löwe\nzebra\n"}, preprocessing={"image": "uint8 RGB"})


@pytest.fixture(scope="module")
def metadata(labelled):
    return model_metadata(labelled, model_card_json(labelled, "animals", 3, "CC-BY-4.0"))


def test_metadata_have_labels_licence_run_version_and_preprocessing(labelled, metadata):
    assert json.loads(metadata["labels"]) == ["Löwe", "zebra"] and json.loads(metadata["preprocessing"]) == {"image": "uint8 RGB"}
    assert [metadata[key] for key in ("name", "version", "run", "licence")] == ["animals", "3", "doubling", "CC-BY-4.0"]
    assert json.loads(metadata["model_card"])["Licence"]["model"] == "CC-BY-4.0"
    unlicensed = model_metadata(labelled, model_card_json(labelled, "animals", 3))
    assert unlicensed["licence"] == "not stated"


def test_a_tflite_model_carries_them_as_a_zip_and_answers_as_before(labelled, metadata, tmp_path):
    assert write_tflite(labelled, tmp_path / "model.tflite", metadata) == 0
    with zipfile.ZipFile(tmp_path / "model.tflite") as archive:
        assert json.loads(archive.read("labels.json")) == ["Löwe", "zebra"] and archive.read("licence.txt") == b"CC-BY-4.0"


def test_an_onnx_model_carries_them_as_its_properties(labelled, metadata, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("tf2onnx")
    assert write_onnx(labelled, tmp_path / "model.onnx", metadata) == 0
    model = onnx.load(tmp_path / "model.onnx")
    assert {entry.key: entry.value for entry in model.metadata_props} == metadata and model.producer_name == "tfvision"
