"""What any layer of any network answers to a photo."""

import numpy as np
import pytest
import tensorflow as tf

from tfvision.applications import APPLICATIONS, names_with
from tfvision.errors import RecipeError
from tfvision.features.layers import network_pixels, open_layers


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (48, 40, 3)).astype(np.uint8)


def test_every_application_that_trains_shows_its_layers():
    assert names_with("layers") == list(APPLICATIONS)


@pytest.mark.slow
@pytest.mark.parametrize("application", ["tattoo-matcher", "stylizer"])  # the others below
def test_runs_answer_with_their_taps(application, copy_frozen, pixels):
    network = open_layers(copy_frozen(application))
    responses = network.responses(pixels)
    assert [*responses] == [*network.taps] and all(maps.ndim == 3 and np.isfinite(maps).all() and maps.any() for maps in responses.values())
    with pytest.raises(RecipeError, match=f"--layer must be one of {next(iter(network.taps))}, .* by Keras's name, got 'conv9'"):
        network.responses(pixels, ("conv9",))


@pytest.mark.slow
def test_a_retrievers_taps_are_those_that_are_searched_by(retriever_run, pixels):
    from tfvision.trained.retriever_network import load_retriever

    retriever = load_retriever(retriever_run, 32)
    expected = retriever.maps(tf.cast(network_pixels(pixels, 32), tf.float32), training=False)
    for tap, maps in open_layers(retriever_run).responses(pixels).items():
        np.testing.assert_allclose(maps, expected[tap][0], atol=1e-5)


@pytest.mark.slow
def test_the_parts_of_a_species_network_see_what_it_sees(colour_run, pixels):
    from tfvision.data.graph_decoding import views_of_pixels
    from tfvision.trained.species_network import features_model, load_species_network
    from tfvision.trained.species_run import SpeciesRun

    model = features_model(load_species_network(SpeciesRun.open(colour_run)))
    views = views_of_pixels(tf.constant(pixels), ("whole", "crop"), 32)
    expected = model({"whole": views[:1], "crop": views[1:]}, training=False)[0].numpy()
    responses = open_layers(colour_run).responses(pixels, ("stage3", "tail/stage3_out", "whole_branch/stage2_out", "crop_branch/stage2_out"))
    np.testing.assert_allclose(responses["stage3"].mean((0, 1)), expected, atol=1e-4)
    np.testing.assert_array_equal(responses["stage3"], responses["tail/stage3_out"])
    assert np.abs(responses["whole_branch/stage2_out"] - responses["crop_branch/stage2_out"]).max() > 1e-3


@pytest.mark.slow
def test_a_detectors_last_tap_is_what_its_svm_sees(detector_run, pixels):
    from tfvision.trained.detector_network import FEATURES, load_detector_network
    from tfvision.trained.detector_run import DetectorRun

    run = DetectorRun.open(detector_run)
    whole = load_detector_network(run).whole
    expected = whole(tf.cast(network_pixels(pixels, run.recipe.size_px), tf.float32), training=False)[FEATURES][0].numpy()
    mean = open_layers(detector_run).responses(pixels, (run.recipe.tap,))[run.recipe.tap].mean((0, 1))
    np.testing.assert_allclose(mean / np.linalg.norm(mean), expected, atol=1e-4)


def test_networks_of_the_catalogue_and_layers_without_positions(pixels):
    network = open_layers("siamese", "none")
    responses = network.responses(pixels, ("conv1", "ip2"))
    assert responses["conv1"].shape[2] == 20 and responses["ip2"].shape == (1, 1, 10)
