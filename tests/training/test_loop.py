import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvision.data.pipeline import distorted
from tfvision.losses.classification import smoothed_cross_entropy
from tfvision.trained.species_run import SpeciesRecipe
from tfvision.training.classification import classification_loss
from tfvision.training.loop import Learner, Task, TrainingDiverged, apply_gradients, train

PHOTOS = 24


def _recipe(**changes):
    settings = {"optimizer": "sgd", "weight_decay": 0.0, "precision": "float32", "batch_size": 4, "stages": ((2, 0.1),)}
    return dataclasses.replace(SpeciesRecipe(), **{**settings, **changes})


def _model(seed=0):
    inputs = {"whole": keras.Input((3,), name="whole")}
    kernel = keras.initializers.RandomNormal(seed=seed)
    return keras.Model(inputs, {"species": keras.layers.Dense(2, kernel_initializer=kernel)(inputs["whole"])})


def _features():
    random = np.random.default_rng(0)
    features = random.normal(size=(PHOTOS, 3)).astype(np.float32)
    return features, (features.sum(axis=1) > 0).astype(np.int32)


def _batches(begin, end, context, poisoned_from=None, weights=None):
    features, labels = _features()
    indices = np.arange(begin, end) % PHOTOS
    values = features[indices]
    if poisoned_from is not None:
        values = np.where(np.arange(begin, end)[:, None] >= poisoned_from, np.float32(np.nan), values)
    weight = np.ones(len(indices), np.float32) if weights is None else weights[indices]
    dataset = tf.data.Dataset.from_tensor_slices({"views": {"whole": values}, "label": labels[indices], "weight": weight})
    return dataset.batch(4 // context.num_replicas_in_sync)


def _task(model, recipe, batches=_batches):
    loss = classification_loss(model, {"species": smoothed_cross_entropy}, {"species": 1.0}, recipe.mixup, recipe.seed)
    return Task(model, loss, recipe.stages, PHOTOS, batches)


def _train(tmp_path, recipe, batches=_batches, model=None, callbacks=()):
    model = model or _model()
    logs = train(_task(model, recipe, batches), recipe, tf.distribute.get_strategy(), tmp_path / "latest.npz", callbacks=callbacks)
    return model, logs


def test_one_sgd_step_equals_the_hand_derived_gradient(tmp_path):
    features, labels = (values[:4] for values in _features())
    model = _model()
    kernel, bias = (values.copy() for values in model.get_weights())
    logits = features @ kernel + bias
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    error = (probabilities - np.eye(2)[labels]) / 4
    _train(tmp_path, _recipe(stages=((4 / PHOTOS, 0.1),)), model=model)
    np.testing.assert_allclose(model.get_weights()[0], kernel - 0.1 * features.T @ error, atol=1e-6)
    np.testing.assert_allclose(model.get_weights()[1], bias - 0.1 * error.sum(axis=0), atol=1e-6)


@pytest.mark.parametrize("make", [lambda: keras.optimizers.Adam(0.1, epsilon=0.01), lambda: keras.optimizers.SGD(0.1, momentum=0.9)], ids=["adam", "sgd"])
@pytest.mark.parametrize("case", ["plain", "constrained", "rows"])
def test_a_fused_step_is_that_of_keras(make, case):
    learnt = []
    for apply in (apply_gradients, lambda optimizer, gradients, variables: optimizer.apply_gradients(zip(gradients, variables, strict=True))):
        inputs = keras.Input((3,))
        model = keras.Model(inputs, keras.layers.Dense(2, kernel_initializer="ones", kernel_constraint="unit_norm" if case == "constrained" else None)(inputs))
        optimizer, random, variables = make(), np.random.default_rng(0), model.trainable_variables
        optimizer.build(variables)
        for _ in range(3):
            gradients = [tf.constant(random.normal(size=v.shape), tf.float32) for v in variables]
            if case == "rows":  # of which a network saw some, as of an embedding
                gradients[0] = tf.IndexedSlices(gradients[0][:2], tf.constant([2, 0]), tf.constant([3, 2]))
            apply(optimizer, gradients, variables)
        learnt.append([np.asarray(v) for v in (*variables, *optimizer.variables)])
    for fused, expected in zip(*learnt, strict=True):
        np.testing.assert_allclose(fused, expected, rtol=1e-5, atol=5e-6)
    assert case != "constrained" or np.allclose(np.linalg.norm(learnt[0][0], axis=0), 1)


def test_biases_learn_at_their_own_rate_and_do_not_decay(tmp_path):
    features, labels = (values[:4] for values in _features())
    model = _model()
    kernel, bias = model.get_weights()[0].copy(), np.float32([0.3, -0.2])
    model.set_weights([kernel, bias])
    probabilities = np.exp(features @ kernel + bias) / np.exp(features @ kernel + bias).sum(axis=1, keepdims=True)
    error = (probabilities - np.eye(2)[labels]) / 4
    _train(tmp_path, _recipe(stages=((4 / PHOTOS, 0.1),), bias_rate=2.0, weight_decay=0.3), model=model)
    np.testing.assert_allclose(model.get_weights()[0], kernel - 0.1 * (features.T @ error + 0.3 * kernel), atol=1e-6)
    np.testing.assert_allclose(model.get_weights()[1], bias - 0.2 * error.sum(axis=0), atol=1e-6)


def test_weight_decay_equals_keras_l2_of_half_of_it_on_kernels_only(tmp_path):
    # With weight 0 on every photo nothing but the decay moves the weights: w - rate * lambda * w.
    batches = lambda *arguments: _batches(*arguments, weights=np.zeros(PHOTOS, np.float32))
    model = _model()
    kernel = model.get_weights()[0].copy()
    kernel_variable = tf.Variable(kernel)
    with tf.GradientTape() as tape:
        penalty = keras.regularizers.L2(0.3 / 2)(kernel_variable)
    expected = kernel - 0.1 * tape.gradient(penalty, kernel_variable).numpy()
    _train(tmp_path, _recipe(stages=((4 / PHOTOS, 0.1),), weight_decay=0.3), batches, model)
    np.testing.assert_allclose(model.get_weights()[0], expected, atol=1e-6)
    np.testing.assert_array_equal(model.get_weights()[1], 0)


def test_it_learns_and_logs_what_callbacks_need(tmp_path):
    seen = []

    class Watcher(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, dict(logs)))

    _, logs = _train(tmp_path, _recipe(stages=((30, 0.5),)), callbacks=[Watcher()])
    assert [step for step, _ in seen] == list(range(180))
    assert set(seen[0][1]) == {"loss", "accuracy", "learning_rate"}
    assert logs["loss"] < seen[0][1]["loss"] / 3
    assert logs["accuracy"] > 0.9


def test_a_nan_loss_stops_early_and_keeps_the_last_good_weights(tmp_path):
    poisoned = lambda *arguments: _batches(*arguments, poisoned_from=40)
    model = _model()
    with pytest.raises(TrainingDiverged, match="loss became nan at step .* of 60; the last good weights, of step"):
        _train(tmp_path, _recipe(stages=((10, 0.1),), checkpoint_seconds=0.0), poisoned, model)
    assert all(np.isfinite(values).all() for values in model.get_weights())
    assert np.abs(model.get_weights()[0] - _model().get_weights()[0]).max() > 1e-3


def test_clipping_bounds_the_global_norm_of_a_step(tmp_path):
    model = _model()
    before = [values.copy() for values in model.get_weights()]
    _train(tmp_path, _recipe(stages=((4 / PHOTOS, 1.0),), gradient_clip_norm=1e-3), model=model)
    moved = np.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(model.get_weights(), before, strict=True)))
    assert moved == pytest.approx(1e-3, rel=1e-3)


class _Stopped(Exception):
    pass


class _StopAt(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.step:
            raise _Stopped


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path, optimizer):
    recipe = _recipe(stages=((3, 0.1), (2, 0.01)), optimizer=optimizer, epsilon=1e-7, checkpoint_seconds=0.0)
    expected, _ = _train(tmp_path / "whole", recipe)
    with pytest.raises(_Stopped):
        _train(tmp_path / "parts", recipe, callbacks=[_StopAt(11)])
    resumed, _ = _train(tmp_path / "parts", recipe, model=_model(seed=5))
    for one, other in zip(expected.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-7)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_phase_of_the_same_model_and_loss_begins_afresh_and_is_not_traced_again(tmp_path, optimizer):
    recipe, strategy, model = _recipe(optimizer=optimizer, epsilon=1e-7), tf.distribute.get_strategy(), _model()
    learner, task, first, learnt = Learner(recipe, strategy), _task(model, recipe), model.get_weights(), []
    for phase in range(2):
        model.set_weights(first)
        train(task, recipe, strategy, tmp_path / "latest.npz", phase, learner=learner)
        learnt.append(model.get_weights())
    for one, other in zip(*learnt, strict=True):
        np.testing.assert_array_equal(one, other)
    assert learner.step.experimental_get_tracing_count() == 1
    task = _task(model, recipe)  # another loss
    learner.begin(task)
    step = learner.step
    assert step.experimental_get_tracing_count() == 0
    model.layers[-1].trainable = False
    learner.begin(task)
    assert learner.step is not step


def _photo_batches(begin, end, context, recipe=None):
    """Photos whose changes are left to the device; with a recipe, those that are changed already."""
    positions = np.arange(begin, end)
    photos = np.random.default_rng(0).integers(0, 256, (PHOTOS, 4, 4, 3)).astype(np.uint8)[positions % PHOTOS]
    batch = {"views": {"whole": photos}, "label": _features()[1][positions % PHOTOS], "weight": np.ones(len(positions), np.float32)}
    seeds = np.stack([np.zeros_like(positions), positions], axis=1).astype(np.int32)
    if recipe:
        batch["views"] = {"whole": distorted({**batch, "seed": seeds}, recipe)["views"]["whole"].numpy()}
    return tf.data.Dataset.from_tensor_slices(batch if recipe else {**batch, "seed": seeds}).batch(4)


def _photo_model(seed=0):
    photos = keras.Input((4, 4, 3), name="whole", dtype="uint8")
    kernel = keras.initializers.RandomNormal(seed=seed)
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(photos))
    return keras.Model({"whole": photos}, {"species": keras.layers.Dense(2, kernel_initializer=kernel)(flat)})


@pytest.mark.slow
def test_changes_on_the_device_are_those_of_the_batches_also_when_stopped_and_resumed(tmp_path):
    recipe = _recipe(contrast=0.0, saturation=0.0, augment_on="device", checkpoint_seconds=0.0)
    changed_before, _ = _train(tmp_path / "before", recipe, functools.partial(_photo_batches, recipe=recipe), _photo_model())
    with pytest.raises(_Stopped):
        _train(tmp_path / "parts", recipe, _photo_batches, _photo_model(), callbacks=[_StopAt(5)])
    resumed, _ = _train(tmp_path / "parts", recipe, _photo_batches, _photo_model(seed=5))
    np.testing.assert_allclose(resumed.get_weights()[0], changed_before.get_weights()[0], atol=1e-5)


MIRRORED = """
import sys
import numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
sys.path.insert(0, sys.argv[1])
from test_loop import MIRRORED_RECIPES, _model, _task
from tfvision.training.loop import train
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
for optimizer, recipe in MIRRORED_RECIPES.items():
    with strategy.scope():
        model = _model()
    train(_task(model, recipe), recipe, strategy, f"{sys.argv[2]}/{optimizer}-latest.npz")
    np.savez(f"{sys.argv[2]}/{optimizer}.npz", *model.get_weights())
"""
MIRRORED_RECIPES = {
    optimizer: _recipe(stages=((3, 0.2),), gradient_clip_norm=0.05, weight_decay=0.01, optimizer=optimizer, epsilon=0.1) for optimizer in ("sgd", "adam")
}


@pytest.mark.slow
def test_two_mirrored_replicas_equal_one_device_clipping_included(tmp_path, warm_process):
    process = warm_process(MIRRORED, __file__.rsplit("/", 1)[0], tmp_path)
    process.join(600)
    assert process.exitcode == 0
    for optimizer, recipe in MIRRORED_RECIPES.items():
        model, _ = _train(tmp_path / optimizer, recipe)
        stored = np.load(tmp_path / f"{optimizer}.npz")
        for one, name in zip(model.get_weights(), stored.files, strict=True):
            np.testing.assert_allclose(one, stored[name], atol=1e-6, err_msg=optimizer)
