import dataclasses
import hashlib
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tfvision.apps.species.export import make_exportable
from tfvision.apps.species.identification import SpeciesIdentifier
from tfvision.export.conversion import write_tflite
from tfvision.export.export import HALF_TOLERANCE
from tfvision.export.saved_model import write_saved_model
from tfvision.export.session import LoadedModel
from tfvision.export.verification import verify_export, verify_signatures
from tfvision.trained.species_network import load_species_network
from tfvision.trained.species_run import SpeciesRun

SIGNATURES = ["serving_default", "identify", "boxes", "tensor", "embed", "classify"]


@pytest.fixture(scope="module")
def loaded(colour_export):
    with LoadedModel(colour_export) as model:
        yield model


@pytest.fixture(scope="module")
def photos(colour_photos):
    return sorted(colour_photos.glob("*.png"))[::5]


def encoded(photos):
    return np.array([photo.read_bytes() for photo in photos], object)


@pytest.mark.slow
def test_every_signature_answers_as_keras_does(colour_exportable, loaded, tmp_path):
    # The frozen export is of before groups: test_groups.py tries what it lacks.
    exportable = dataclasses.replace(colour_exportable, signatures={name: colour_exportable.signatures[name] for name in SIGNATURES})
    differences = verify_export(loaded, exportable)
    assert list(differences) == [*SIGNATURES, "saved_model_cli"]
    differences["tflite"] = write_tflite(colour_exportable, tmp_path / "model.tflite")
    assert max(differences.values()) <= 1e-5


@pytest.mark.slow
def test_served_answers_are_those_of_identify(loaded, photos, identifier):
    served = loaded.run("serving_default", {"image_bytes": encoded(photos)})
    for row, answer in enumerate(identifier.identify(photos)):
        assert served["taxon"][row].decode() == answer["taxon"]
        assert served["rank"][row].decode() == answer["rank"]
        assert served["probability"][row] == pytest.approx(answer["probability"], abs=1e-4)
        assert [name.decode() for name in served["top_names"][row]] == [top["name"] for top in answer["top"]]


@pytest.mark.slow
def test_equal_logits_and_probabilities_of_0_come_in_the_order_of_identify(untraced, colour_run, photos, tmp_path):
    """The last layer knows nothing of the photo: two species are alike, and two have a probability that underflows."""
    run = SpeciesRun(shutil.copytree(colour_run, tmp_path / "run"))
    model = load_species_network(run)
    kernel, bias = model.get_layer("species_logits").get_weights()
    biases = dict(zip(run.taxonomy.class_names, bias, strict=True)) | {"Rosa pallida": 9, "Rosa rubra": 9, "Viola prima": -900, "Caerula alta": -999}
    model.get_layer("species_logits").set_weights([0 * kernel, np.float32(list(biases.values()))])
    model.save_weights(run.weights_path)
    identify = make_exportable(run.folder).signatures["identify"].function
    served = identify(encoded(photos[:1]), tf.constant([-1.0]), tf.constant([""]))
    assert served["top_names"].numpy().tolist() == [[b"Rosa pallida", b"Rosa rubra", b"Viola prima", b"Caerula alta"]]
    identifier = SpeciesIdentifier.load(run.folder)
    assert_answers_alike(served, next(identifier.identify(photos[:1])))
    blue = identify(encoded(photos[:1]), tf.constant([0.0]), tf.constant(["blues"]))
    assert_answers_alike(blue, next(identifier.identify(photos[:1], within=["blues"], threshold=0.0)))


def assert_answers_alike(served, answer):
    assert served["taxon"].numpy()[0].decode() == answer["taxon"]
    assert [name.decode() for name in served["lineage_names"].numpy()[0] if name] == [taxon["name"] for taxon in answer["lineage"]]
    names = [name.decode() for name in served["top_names"].numpy()[0]]
    assert names[: len(answer["top"])] == [top["name"] for top in answer["top"]]


@pytest.mark.slow
def test_threshold_and_prior_taxa_go_by_the_photo(loaded, photos):
    inputs = {"image_bytes": encoded(photos[:1]).repeat(3), "threshold": np.float32([-1, 1.1, 0]), "within": np.array(["", "", "viola"], object)}
    answer = loaded.run("identify", inputs)
    assert answer["threshold"][0] == loaded.run("serving_default", {"image_bytes": encoded(photos[:1])})["threshold"][0]
    assert answer["taxon"][1] == b"life"
    assert answer["taxon"][2] == b"Viola prima"


@pytest.mark.slow
def test_threshold_and_prior_taxa_may_be_left_out(loaded, photos):
    left_out = loaded.run("identify", {"image_bytes": encoded(photos)})
    calibrated = loaded.run("serving_default", {"image_bytes": encoded(photos)})
    for name, values in calibrated.items():
        np.testing.assert_array_equal(left_out[name], values)


def test_an_unknown_prior_taxon_fails_the_request(loaded, photos):
    inputs = {"image_bytes": encoded(photos[:1]), "threshold": np.float32([-1]), "within": np.array(["zebra"], object)}
    with pytest.raises(tf.errors.InvalidArgumentError, match="no taxon of this model: zebra"):
        loaded.run("identify", inputs)


def test_outputs_have_a_batch_dimension_and_float32(loaded):
    for signature in loaded.signatures.values():
        for info in signature.outputs.values():
            assert info.tensor_shape.dim[0].size == -1
            assert info.dtype in (tf.float32.as_datatype_enum, tf.string.as_datatype_enum)
    assert loaded.signatures["classify"].method_name == "tensorflow/serving/classify"


def test_files_beside_the_graph(colour_export):
    extra = colour_export / "assets.extra"
    assert (colour_export / "assets" / "labels.txt").read_text().splitlines()[0] == "Caerula alta"
    assert json.loads((colour_export / "assets" / "taxonomy.json").read_text())["ranks"] == ["order", "genus", "species"]
    card = json.loads((extra / "model_card.json").read_text())
    assert card["Metrics"]["accuracy"] > 0.5
    assert set(card["Licence"]) == {"model", "training data", "pretrained weights"}
    assert "manifest" not in card["Data"]["source"] and "/" not in card["Data"]["source"]
    assert "# colours, version 1" in (extra / "model_card.md").read_text()
    assert json.loads((extra / "preprocessing.json").read_text())["views"].keys() == {"whole", "crop"}
    for line in (extra / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((colour_export / name).read_bytes()).hexdigest() == digest
    assert {"saved_model.pb", "variables/variables.index"} <= {line.split("  ")[1] for line in (extra / "SHA256SUMS").read_text().splitlines()}


def test_warm_up_calls_every_signature(colour_export):
    from tensorflow_serving.apis import prediction_log_pb2

    records = tf.data.TFRecordDataset(str(colour_export / "assets.extra" / "tf_serving_warmup_requests"))
    logs = [prediction_log_pb2.PredictionLog.FromString(record.numpy()) for record in records]
    called = [getattr(log, log.WhichOneof("log_type")).request.model_spec.signature_name for log in logs]
    assert sorted(set(called)) == sorted(SIGNATURES)
    assert {log.WhichOneof("log_type") for log in logs} == {"predict_log", "classify_log"}


def test_sample_response_is_the_answer_to_the_sample_request(colour_export, loaded):
    import base64

    extra = colour_export / "assets.extra"
    (instance,) = json.loads((extra / "sample_request.json").read_text())["instances"]
    answer = loaded.run("serving_default", {"image_bytes": np.array([base64.b64decode(instance["image_bytes"]["b64"])], object)})
    (prediction,) = json.loads((extra / "sample_response.json").read_text())["predictions"]
    assert prediction["taxon"] == answer["taxon"][0].decode()
    assert prediction["top_probabilities"] == pytest.approx(answer["top_probabilities"][0].tolist())


@pytest.mark.slow
def test_half_of_the_weights_size(colour_run, colour_exportable, colour_export, tmp_path):
    exportable = make_exportable(colour_run, half=True)
    exportable = dataclasses.replace(exportable, signatures={"serving_default": exportable.signatures["serving_default"]})
    differences = []

    def verify(model, card):
        differences.append(verify_signatures(model, dataclasses.replace(exportable, reference=colour_exportable.reference), HALF_TOLERANCE))

    halved = write_saved_model(exportable, tmp_path, finish=verify)
    assert differences[0]["serving_default"] > 0
    size, half_size = (sum(path.stat().st_size for path in folder.glob("variables/*")) for folder in (colour_export, halved))
    graph, half_graph = ((folder / "saved_model.pb").stat().st_size for folder in (colour_export, halved))
    assert half_size + half_graph - graph < 0.6 * size
