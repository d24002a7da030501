import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvision.apps.vgg19_slim.teachers import load_teacher
from tfvision.apps.vgg19_slim.training import (
    Vgg19SlimRecipe,
    build_student,
    correlations,
    distillation_loss,
    finished_convolutions,
    forced_loss,
    student_pixels,
    train_vgg19_slim,
)
from tfvision.errors import DataError, RecipeError, RunError, WeightsError
from tfvision.models.convolutions import read_convolutions
from tfvision.models.perceptual import load_perceptual
from tfvision.models.vgg19 import PERCEPTUAL_LAYERS, build_vgg19, convolutions_of, set_convolutions
from tfvision.trained.vgg19_slim_run import Vgg19SlimRun
from tfvision.training.checkpoints import read_facts
from tfvision.training.recipes import from_json

TINY = {
    "width": "2",
    "image_size": "32",
    "batch_size": "4",
    "forced_stages": "[[2, 0.02]]",
    "stages": "[[1, 0.001]]",
    "warmup_steps": "0",
    "mapped": "conv1_1,conv2_1",
    "scaling_photos": "8",
    "normalisation_size": "32",
    "checkpoint_seconds": "0",
}


def _photos(count=4, size=32):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


def _batch(weights=None):
    photos = _photos()
    return {"views": {"whole": tf.constant(photos)}, "weight": tf.constant(weights or [1.0] * len(photos))}


@pytest.fixture(scope="module")
def built(small_teacher):
    recipe = Vgg19SlimRecipe(width=2)
    teacher = load_teacher(small_teacher, 2, recipe.mapped, [_photos()])
    return *build_student(recipe, [teacher]), teacher


@pytest.fixture
def pair(built):
    """(network, student, teacher) of width 2; what a test does to their weights is undone."""
    models = (*built[:2], built[2].model)
    weights = [model.get_weights() for model in models]
    yield built
    for model, values in zip(models, weights, strict=True):
        model.set_weights(values)


def _learnt(network, teacher):
    """Gives the network the teacher's weights, for pixels of low contrast."""
    convolutions = convolutions_of(teacher.model)
    kernel, bias = convolutions["conv1_1"]
    set_convolutions(network, {**convolutions, "conv1_1": (kernel * 32, bias)})


@pytest.mark.slow
def test_a_student_that_answers_as_the_teacher_has_no_loss_and_no_gradient(pair):
    network, student, teacher = pair
    _learnt(network, teacher)
    for model, loss in ((student, distillation_loss(student, [teacher])), (network, forced_loss(network, teacher))):
        with tf.GradientTape() as tape:
            per_photo, measures = loss(_batch(), tf.constant(0))
        assert np.abs(per_photo).max() < 1e-4
        assert all(float(total) / float(weight) < 1e-4 for total, weight in measures.values())
        assert max(np.abs(gradient).max() for gradient in tape.gradient(per_photo, model.trainable_variables)) < 1e-3


def test_the_loss_is_the_unexplained_share_of_the_variance(pair):
    # Answers of 0 leave E[t^2] = variance + mean^2 of each filter, naively:
    network, student, teacher = pair
    set_convolutions(network, {layer: (kernel * 0, bias * 0) for layer, (kernel, bias) in convolutions_of(network).items()})
    wanted = teacher.model(_photos().astype(np.float32))
    expected = sum(np.square(tensor).mean(axis=(1, 2, 3)) for tensor in wanted.values())
    got, measures = distillation_loss(student, [teacher])(_batch(), tf.constant(0))
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    total, weight = measures["conv5_1"]
    assert float(total) / float(weight) == pytest.approx(float(np.square(wanted["conv5_1"]).mean()), rel=1e-4)


def test_the_forced_gradient_reaches_filters_that_are_silent(pair):
    # d loss / d bias = mean over positions and channels of max(z, 0) - t; with z < 0 everywhere that is - mean(t) / channels.
    network, _, teacher = pair
    set_convolutions(network, {layer: (kernel * 0, bias * 0 - 1) for layer, (kernel, bias) in convolutions_of(network).items()})
    layer = network.get_layer("conv3_1")
    with tf.GradientTape() as tape:
        per_photo, _ = forced_loss(network, teacher)(_batch(), tf.constant(0))
        total = tf.reduce_sum(per_photo) / 4
    _, gradient = tape.gradient(total, layer.trainable_weights)
    wanted = teacher.model(_photos().astype(np.float32))["conv3_1"].numpy()
    np.testing.assert_allclose(gradient, -wanted.mean(axis=(0, 1, 2)) / wanted.shape[-1], rtol=1e-3, atol=1e-6)


def test_forced_layers_are_fed_by_the_teacher(pair):
    # One layer wrong: its own error only, while the whole network goes wrong behind it.
    network, student, teacher = pair
    _learnt(network, teacher)
    kernel, bias = network.get_layer("conv2_1").get_weights()
    network.get_layer("conv2_1").set_weights([kernel, bias + 5])
    _, forced = forced_loss(network, teacher)(_batch(), tf.constant(0))
    _, whole = distillation_loss(student, [teacher])(_batch(), tf.constant(0))
    assert float(forced["conv2_1"][0]) > 1 and float(whole["conv2_1"][0]) > 1
    assert float(forced["conv3_1"][0]) < 1e-3 < float(whole["conv3_1"][0])


def test_broken_photos_do_not_count(pair):
    network, student, teacher = pair
    for loss in (distillation_loss(student, [teacher]), forced_loss(network, teacher)):
        per_photo, measures = loss(_batch([1.0, 0.0, 1.0, 0.0]), tf.constant(0))
        assert (np.array(per_photo) > 0).tolist() == [True, False, True, False]
        assert float(measures["conv1_1"][1]) == 2


@pytest.mark.slow
def test_finished_convolutions_answer_alike_on_pixels_of_full_contrast(pair):
    network, _, _ = pair
    model = build_vgg19(2, taps=PERCEPTUAL_LAYERS)
    set_convolutions(model, finished_convolutions(network))
    expected = network(student_pixels(_photos()))
    for layer, tensor in model(_photos().astype(np.float32)).items():
        np.testing.assert_allclose(tensor, expected[layer], rtol=1e-3, atol=1e-3 * float(tf.reduce_max(tensor)) + 1e-6)


@pytest.mark.slow
def test_correlations_are_numpys(pair):
    _network, student, teacher = pair
    batches = [{"views": {"whole": _photos()[part]}, "weight": np.ones(2)} for part in (slice(2), slice(2, 4))]
    got = correlations(student, [teacher], batches)["small"]
    ours, theirs = student(student_pixels(_photos())), teacher.model(_photos().astype(np.float32))
    for layer in ("conv1_1", "conv2_2"):
        columns = [(np.ravel(ours[layer][..., c]), np.ravel(theirs[layer][..., c])) for c in range(ours[layer].shape[-1])]
        expected = [np.corrcoef(x, y)[0, 1] if x.std() and y.std() else 0 for x, y in columns]
        assert got[layer] == pytest.approx(np.mean(expected), abs=1e-3)


class _Losses(keras.callbacks.Callback):
    """Collects losses."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(logs["loss"])


@pytest.fixture(scope="module")
def finished(small_teacher, wide_teacher, colour_photos, copy_at, tmp_path_factory):
    """(metrics, the loss at each step) of a whole training; beside its run, as `stopped`, is what was there in its second phase."""
    losses = _Losses()
    run = tmp_path_factory.mktemp("slim") / "run"
    callbacks = [losses, copy_at(run, run.parent / "stopped", 1, 4)]
    return train_vgg19_slim(colour_photos, [small_teacher, wide_teacher], TINY, run, callbacks=callbacks), losses.seen


@pytest.mark.slow
def test_a_training_ends_in_a_network_for_load_perceptual(finished):
    metrics, _ = finished
    assert set(metrics) == {"run", "weights", "images", "seconds", "correlation", "broken"}
    assert set(metrics["correlation"]) == {"small", "wide"}
    assert set(metrics["correlation"]["small"]) == set(PERCEPTUAL_LAYERS)
    assert set(metrics["correlation"]["wide"]) == {"conv1_1", "conv2_1"}
    assert metrics["images"] == 43  # a tenth of 48 is held out
    convolutions, facts = read_convolutions(metrics["weights"])
    assert facts["is_normalised"] and list(convolutions) == list(PERCEPTUAL_LAYERS)
    model, _, _ = load_perceptual(metrics["weights"], ("conv2_1",))
    assert np.isfinite(model(_photos().astype(np.float32))["conv2_1"]).all()
    stored = json.loads((Path(metrics["run"]) / "recipe.json").read_text())
    assert from_json(stored["recipe"], Vgg19SlimRecipe).width == 2
    assert not (Path(metrics["run"]) / "checkpoints").exists()


@pytest.mark.slow
def test_it_learns_layer_by_layer_and_then_as_a_whole(finished):
    _, seen = finished
    steps = round(2 * 43 / 4)  # of the first phase
    alone, whole = seen[:steps], seen[steps:]
    assert alone[-1] < alone[0] / 2
    assert whole[-1] < whole[0]


@pytest.mark.slow
def test_a_training_that_is_stopped_in_its_second_phase_goes_on_to_the_same_weights(finished):
    run = Path(finished[0]["run"]).parent / "stopped"
    assert read_facts(Vgg19SlimRun(run).checkpoint_path) == {"phase": 1, "step": 4}
    resumed = train_vgg19_slim(run=run, resume=True)
    one, other = (read_convolutions(metrics["weights"])[0] for metrics in (finished[0], resumed))
    for layer in PERCEPTUAL_LAYERS:
        np.testing.assert_allclose(one[layer][0], other[layer][0], rtol=1e-2, atol=1e-4)
    assert train_vgg19_slim(run=run, resume=True) == resumed  # finished already


def test_mistakes_are_named_and_leave_no_run(small_teacher, colour_photos, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(RecipeError, match="at least one --teacher FILE"):
        train_vgg19_slim(colour_photos, [], {}, run)
    with pytest.raises(WeightsError, match="nowhere.npz does not exist"):
        train_vgg19_slim(colour_photos, [tmp_path / "nowhere.npz"], TINY, run)
    with pytest.raises(DataError, match="does not exist"):
        train_vgg19_slim(tmp_path / "nowhere", [small_teacher], TINY, run)
    with pytest.raises(RecipeError, match="mapped must be layers of"):
        train_vgg19_slim(colour_photos, [small_teacher], {"mapped": "conv9_1"}, run)
    with pytest.raises(RecipeError, match="image_size must be at least 32"):
        train_vgg19_slim(colour_photos, [small_teacher], {"image_size": "16"}, run)
    assert not run.exists()


def test_a_run_is_not_overwritten_and_resumes_alone(small_teacher, colour_photos, tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps({"application": "species", "recipe": dataclasses.asdict(Vgg19SlimRecipe())}))
    with pytest.raises(RunError, match="holds a run already"):
        train_vgg19_slim(colour_photos, [small_teacher], TINY, tmp_path)
    with pytest.raises(RecipeError, match="leave PHOTOS, --teacher and --set out"):
        train_vgg19_slim(colour_photos, run=tmp_path, resume=True)
    with pytest.raises(RunError, match="a run of 'species', not of vgg19-slim"):
        train_vgg19_slim(run=tmp_path, resume=True)
