"""What the exports of photos share, beside a small network of no application."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvision.data.pipeline import BrokenPhotos, ViewSettings, evaluation_batches
from tfvision.export.half import stored_network
from tfvision.export.photo_signatures import PhotoViews, encoded_photos, of_boxes, of_encoded, of_pixels, photo_files
from tfvision.export.samples import sample_boxes, sample_images, sample_pixels

VIEWS = ("whole", "crop")


@pytest.fixture(scope="module")
def views_of():
    """A function is_uncropped -> the PhotoViews, whose graph is traced once."""
    return functools.cache(lambda is_uncropped: PhotoViews(VIEWS, 32, is_uncropped))


def seen_by_the_pipeline(photos, boxes=None, is_uncropped=False):
    with photo_files(photos, boxes) as manifest:
        (batch,) = evaluation_batches(
            manifest, np.zeros(len(photos), np.int32), ViewSettings(VIEWS, 32, is_uncropped=is_uncropped), len(photos), BrokenPhotos()
        )
    return {view: images.numpy() for view, images in batch["views"].items()}


@pytest.mark.slow
@pytest.mark.parametrize("is_uncropped", [False, True])
@pytest.mark.parametrize("boxes", [None, sample_boxes()], ids=["no boxes", "boxes"])
def test_encoded_photos_are_seen_as_the_pipeline_shows_them(boxes, is_uncropped, views_of):
    photos = sample_images()
    seen = views_of(is_uncropped).of_encoded(tf.constant(photos), boxes)
    for view, images in seen_by_the_pipeline(photos, boxes, is_uncropped).items():
        np.testing.assert_array_equal(seen[view], images)


def test_pixels_are_seen_as_their_files_are(views_of):
    pixels = sample_pixels()
    seen = views_of(False).of_pixels(pixels)
    for view, images in seen_by_the_pipeline(encoded_photos({"pixels": pixels})).items():
        np.testing.assert_array_equal(seen[view], images)


def test_each_signature_has_its_inputs_and_samples_that_fit_them():
    made = {
        ("image_bytes",): of_encoded(lambda image_bytes: {"bytes": tf.strings.length(image_bytes)}, "one", tolerance=0.5),
        ("image_bytes", "box"): of_boxes(lambda image_bytes, box: {"width": box[:, 2]}, "two"),
        ("pixels",): of_pixels(lambda pixels: {"mean": tf.reduce_mean(pixels, [1, 2, 3])}, "three", pictures=("mean",)),
    }
    for inputs, signature in made.items():
        assert tuple(signature.samples) == inputs
        (specs, by_name) = signature.function.get_concrete_function().structured_input_signature
        assert tuple(spec.name for spec in tf.nest.flatten((specs, by_name))) == inputs
        (answer,) = signature.function(*map(tf.constant, signature.samples.values())).values()
        assert len(answer) == len(signature.samples[inputs[0]])
    assert (made["image_bytes",].tolerance, made["pixels",].pictures, made["image_bytes", "box"].description) == (0.5, ("mean",), "two")


def test_the_files_of_photos_are_gone_afterwards():
    with photo_files(sample_images()) as manifest:
        paths = [record.path for record in manifest.records]
        assert [open(path, "rb").read() for path in paths] == list(sample_images())
    assert not any(tf.io.gfile.exists(path) for path in paths)


def test_in_half_precision_no_variable_is_left_to_save():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(20)])
    network = tf.function(lambda inputs: {"out": model(inputs["in"])}, input_signature=[{"in": tf.TensorSpec([None, 20], name="in")}], autograph=False)
    rows = tf.constant(np.random.default_rng(0).normal(size=(2, 20)).astype(np.float32))
    whole, variables = stored_network(network, model, half=False)
    assert whole is network and len(variables) == 2 and all(isinstance(variable, tf.Variable) for variable in variables)
    halved, variables = stored_network(network, model, half=True)
    assert variables == []
    difference = np.abs(halved({"in": rows})["out"] - network({"in": rows})["out"]).max()
    assert 0 < difference < 0.01
