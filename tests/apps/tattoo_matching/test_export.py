import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvision.apps.tattoo_matching.export import make_exportable
from tfvision.export.export import export_model
from tfvision.export.session import LoadedModel
from tfvision.export.verification import compare, verify_signatures
from tfvision.features.extractor import open_extractor
from tfvision.features.recipe import FeatureRecipe
from tfvision.trained.matcher_network import build_embedder, embed
from tfvision.trained.matcher_run import MatcherRecipe, MatcherRun

pytestmark = pytest.mark.usefixtures("opened_once")

RECIPE = MatcherRecipe(name="tiny", network="small", image_size=32, weights="none", batch_size=8, embedding=8, rotations=2)
METRICS = {
    "run": "",
    "seconds": 1.0,
    "broken": {},
    "dimension": 8,
    "images": 3,
    "subjects": 2,
    "held_out": 0,
    "crosses_media": False,
    "weights": "random weights",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run with random weights."""
    keras.utils.set_random_seed(0)
    run = MatcherRun.start(tmp_path_factory.mktemp("runs") / "tattoos", 0, RECIPE, {"source": "/some/where/custody"})
    build_embedder(RECIPE, 32).model.save_weights(run.weights_path)
    run.finish(METRICS)
    return run


@pytest.fixture(scope="module")
def exportable(run):
    return make_exportable(run.folder)


@pytest.fixture(scope="module")
def exported(exportable, tmp_path_factory):
    return export_model(exportable, tmp_path_factory.mktemp("savedmodels"), tflite=True, verify=False)


@pytest.fixture(scope="module")
def loaded(exported):
    with LoadedModel(exported["path"]) as model:
        yield model


@pytest.mark.slow
def test_every_signature_answers_as_keras_does(exportable, exported, loaded):
    differences = {**exported["differences"], **verify_signatures(loaded, exportable)}
    assert exported["signatures"] == ["serving_default", "embed", "tensor", "compare"]
    assert set(differences) == {"tflite", *exported["signatures"]}
    assert max(differences.values()) < 1e-3


@pytest.mark.slow
def test_two_photos_are_compared(loaded):
    from tfvision.export.samples import sample_images

    images = sample_images()
    vectors = loaded.run("serving_default", {"image_bytes": images})["embedding"]
    compared = loaded.run("compare", {"left_bytes": images[[0, 1]], "right_bytes": images[[0, 2]]})
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(compared["similarity"], [1, vectors[1] @ vectors[2]], atol=1e-4)
    np.testing.assert_allclose(compared["distance"], [0, np.linalg.norm(vectors[1] - vectors[2])], atol=1e-3)


@pytest.mark.slow
def test_pixels_are_seen_whole(run, loaded):
    photo = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
    vector = loaded.run("tensor", {"pixels": photo})["embedding"]
    built = build_embedder(RECIPE, 32).model
    built.load_weights(run.weights_path)
    np.testing.assert_allclose(vector, embed(built, photo, RECIPE), atol=1e-5)


@pytest.mark.slow
def test_an_export_makes_the_same_features_as_its_run(untraced, run, exported):
    photo = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
    vectors = [open_extractor(FeatureRecipe(model=str(model), image_size=32)).features(photo) for model in (run.folder, exported["path"])]
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-4)


@pytest.mark.slow
def test_the_card_tells_how_vectors_are_compared_and_no_path(exported):
    with open(f"{exported['path']}/assets.extra/model_card.json") as file:
        card = json.load(file)
    assert card["Compared by"] == "the cosine" and card["Data"]["source"] == "custody"
    assert "never an identification" in card["Limits"]


@pytest.mark.slow
def test_half_weights_answer_nearly_as_whole_ones(exportable, run):
    signature = make_exportable(run.folder, half=True).signatures["compare"]
    halved = {name: values.numpy() for name, values in signature.function(*map(tf.constant, signature.samples.values())).items()}
    assert compare(halved, exportable.reference("compare", signature.samples), "compare", 0.05) > 0
