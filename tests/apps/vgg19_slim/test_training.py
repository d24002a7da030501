import dataclasses
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvision.apps.vgg19_slim.layers import open_layers
from tfvision.apps.vgg19_slim.teachers import load_teacher
from tfvision.apps.vgg19_slim.training import (
    Vgg19SlimRecipe,
    build_student,
    correlations,
    distillation_loss,
    disturbed,
    finished_convolutions,
    student_pixels,
    train_vgg19_slim,
)
from tfvision.errors import DataError, RecipeError, RunError, WeightsError
from tfvision.models.convolutions import read_convolutions, save_convolutions
from tfvision.models.perceptual import load_perceptual
from tfvision.models.vgg19 import PERCEPTUAL_LAYERS, STYLE_LAYERS, build_vgg19, convolutions_of, set_convolutions
from tfvision.trained.vgg19_slim_run import Vgg19SlimRun
from tfvision.training.checkpoints import read_facts
from tfvision.training.recipes import from_json

TINY = {
    "width": "2",
    "deep_filters": "16",
    "ranks": "[0, 1]",
    "image_size": "32",
    "batch_size": "4",
    "fitted_photos": "40",
    "fitting_rounds": "3",
    "stages": "[[1, 0.0003]]",
    "gradient_weight": "0.01",  # of random teachers it is as large as chance makes it
    "warmup_steps": "0",
    "mapped": "conv1_1,conv2_1",
    "scaling_photos": "8",
    "normalisation_size": "32",
    "checkpoint_seconds": "0",
}

RECIPE = Vgg19SlimRecipe(width=2, deep_filters=16, ranks=(), noise=0.0)


def _photos(count=4, size=32):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


def _batch(weights=None):
    photos = _photos()
    return {"views": {"whole": tf.constant(photos)}, "weight": tf.constant(weights or [1.0] * len(photos))}


@pytest.fixture(scope="module")
def built(small_teacher):
    teacher = load_teacher(small_teacher, RECIPE.filters, RECIPE.mapped, [_photos()])
    return *build_student(RECIPE, [teacher]), teacher


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
    with tf.GradientTape() as tape:
        per_photo, measures = distillation_loss(student, [teacher], RECIPE)(_batch(), tf.constant(0))
    assert np.abs(per_photo).max() < 1e-4
    assert {"gram", "gradient"} < set(measures)
    assert all(float(total) / float(weight) < 1e-4 for total, weight in measures.values())
    assert max(np.abs(gradient).max() for gradient in tape.gradient(per_photo, student.trainable_variables)) < 1e-3


def test_the_loss_is_the_unexplained_share_of_the_variance(pair):
    # Answers of 0 leave E[t^2] = variance + mean^2 of each filter, and on average all of the five Gram matrices and of the gradient, naively:
    network, student, teacher = pair
    set_convolutions(network, {layer: (kernel * 0, bias * 0) for layer, (kernel, bias) in convolutions_of(network).items()})
    wanted = teacher.model(_photos().astype(np.float32))
    expected = sum(np.square(tensor).mean(axis=(1, 2, 3)) for tensor in wanted.values())
    got, measures = distillation_loss(student, [teacher], RECIPE)(_batch(), tf.constant(0))
    assert float(tf.reduce_mean(got)) == pytest.approx(expected.mean() + 5 + 1, rel=1e-4)
    total, weight = measures["conv5_1"]
    assert float(total) / float(weight) == pytest.approx(float(np.square(wanted["conv5_1"]).mean()), rel=1e-4)


def test_the_gradient_is_that_of_the_style_loss_by_pixels(pair):
    # The student sees a colour turned about: its gradient differs, while that of its own responses is what a naive tape gives.
    network, student, teacher = pair
    _learnt(network, teacher)
    kernel, bias = network.get_layer("conv1_1").get_weights()
    network.get_layer("conv1_1").set_weights([kernel[:, :, ::-1], bias])
    photos = tf.constant(_photos(), tf.float32)
    found = []
    for answer in (lambda x: student(student_pixels(x)), teacher.model):
        with tf.GradientTape() as tape:
            tape.watch(photos)
            grams = [tf.einsum("bhwi,bhwj->bij", answer(photos)[layer], answer(photos)[layer]) for layer in STYLE_LAYERS]
            others = [tf.stop_gradient(tf.gather(gram, [3, 0, 1, 2])) for gram in grams]
            shares = [tf.reduce_sum((gram - other) ** 2) / tf.reduce_sum(other**2) * 4 for gram, other in zip(grams, others, strict=True)]
        found.append(tape.gradient(shares, photos).numpy())
    _, measures = distillation_loss(student, [teacher], RECIPE)(_batch(), tf.constant(0))
    share = np.square(found[0] - found[1]).sum() / np.square(found[1]).sum()
    assert float(measures["gradient"][0]) == pytest.approx(4 * share, rel=1e-3) and share > 0.01


def test_every_second_photo_is_disturbed():
    photos = tf.constant(_photos(), tf.float32)
    got = disturbed(photos, 30.0, tf.constant(5))
    change = np.std(got - photos, axis=(1, 2, 3))
    assert change[[0, 2]].tolist() == [0, 0] and (change[[1, 3]] > 0).all() and change.max() < 33
    np.testing.assert_array_equal(got, disturbed(photos, 30.0, tf.constant(5)))


def test_broken_photos_do_not_count(pair):
    _, student, teacher = pair
    per_photo, measures = distillation_loss(student, [teacher], RECIPE)(_batch([1.0, 0.0, 1.0, 0.0]), tf.constant(0))
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
    """(metrics, the loss at each step) of a whole training; beside its run, as `stopped`, is what was there on its way."""
    losses = _Losses()
    run = tmp_path_factory.mktemp("slim") / "run"
    callbacks = [losses, copy_at(run, run.parent / "stopped", 0, 4)]
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
def test_it_begins_fitted_and_learns_as_a_whole(finished):
    metrics, seen = finished
    assert seen[-1] < seen[0]
    assert metrics["correlation"]["small"]["conv1_1"] > 0.8


@pytest.mark.slow
def test_a_training_that_is_stopped_goes_on_to_the_same_weights(finished):
    run = Path(finished[0]["run"]).parent / "stopped"
    assert read_facts(Vgg19SlimRun(run).checkpoint_path) == {"phase": 0, "step": 4}
    resumed = train_vgg19_slim(run=run, resume=True)
    one, other = (read_convolutions(metrics["weights"])[0] for metrics in (finished[0], resumed))
    for layer in PERCEPTUAL_LAYERS:
        np.testing.assert_allclose(one[layer][0], other[layer][0], rtol=1e-2, atol=1e-4)
    assert train_vgg19_slim(run=run, resume=True) == resumed  # finished already


@pytest.mark.slow
def test_a_run_of_before_still_opens(finished, tmp_path):
    """Its recipe has a setting that is gone, and its weights are whole."""
    run = tmp_path / "run"
    shutil.copytree(finished[0]["run"], run)
    stored = json.loads((run / "recipe.json").read_text())
    kept = ("name", "width", "batch_size", "stages", "image_size", "mapped")
    stored["recipe"] = {name: stored["recipe"][name] for name in kept} | {"width": 4, "forced_stages": [[10.0, 0.006]]}
    (run / "recipe.json").write_text(json.dumps(stored))
    save_convolutions(run / "vgg19_slim.npz", convolutions_of(build_vgg19(4, taps=("conv5_1",))), {})
    (run / "SHA256SUMS").unlink()
    assert Vgg19SlimRun.open(run).recipe.width == 4
    assert open_layers(run).name == "vgg19_slim"


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
