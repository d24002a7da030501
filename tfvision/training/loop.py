"""THE training loop: steps under a distribution strategy, callbacks, checkpoints, exact resumption.

`keras.Model.fit` is not used: with several workers it is broken in Keras 3, it clips before the
reduction under mirrored replicas, and it knows neither fractional epochs nor exact resumption.
"""

import contextlib
import dataclasses
import os
import re
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvision.data.pipeline import distorted
from tfvision.errors import RunError, UserError
from tfvision.training.checkpoints import STEP, Saver, read_facts, restore_checkpoint
from tfvision.training.loss_scale import LossScale
from tfvision.training.recipes import Recipe, Stages
from tfvision.training.schedules import learning_rate_at, steps_in

Measures = dict[str, tuple[tf.Tensor, tf.Tensor]]  # name -> (sum, weight) of what is logged as sum / weight
Batch = Mapping[str, typing.Any]  # "views" {name: uint8 [batch, height, width, 3]} or other inputs, "label" and "weight" [batch]
Batches = Callable[[int, int, tf.distribute.InputContext], tf.data.Dataset]
LossFunction = Callable[[Batch, tf.Tensor], tuple[tf.Tensor, Measures]]
_STEPS_BETWEEN_LOGS = 10


class TrainingDiverged(UserError):
    """The loss became NaN or infinite."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One phase of a training, as the loop sees it.

    Attributes:
      model: whose weights are learnt.
      loss: (batch, step as int32 scalar) -> (float32 [batch] losses, {name: (sum, weight)} of what is logged
        beside the loss, as sum / weight). A photo that cannot be read has a loss of 0.
      stages: (epochs, learning rate), in order.
      photos: training photos in an epoch.
      batches: (first position, one past the last, input context) -> this worker's batches.
      first_position: of this phase in the run's order of photos.
      new_layers: layers that learn at the full rate; all others at recipe.backbone_rate times it.
    """

    model: keras.Model
    loss: LossFunction
    stages: Stages
    photos: int
    batches: Batches
    first_position: int = 0
    new_layers: tuple[keras.layers.Layer, ...] = ()


class Learner:
    """What phases learn by: an optimizer and a compiled step. A phase of the same variables and loss begins it anew, as to trace takes seconds."""

    def __init__(self, recipe: Recipe, strategy: tf.distribute.Strategy) -> None:
        self._recipe, self._strategy = recipe, strategy
        self._learnt: tuple[typing.Any, ...] = ()

    def begin(self, task: Task) -> None:
        """Makes `optimizer`, `scale` and `step` ready for the first step of a task."""
        learnt = (task.model, task.loss, task.new_layers, *map(id, task.model.trainable_variables))
        with self._strategy.scope():
            if learnt != self._learnt:
                self._learnt = learnt
                self.optimizer = _build_optimizer(self._recipe, task.model)
                self.scale = LossScale(is_active=self._recipe.precision == "float16")
                self.step = _compile_step(task, self._recipe, self._strategy, self.optimizer, self.scale)
            else:
                for variable in self.optimizer.variables:
                    variable.assign(tf.zeros(variable.shape, variable.dtype))
                self.scale.begin()


def train(
    task: Task,
    recipe: Recipe,
    strategy: tf.distribute.Strategy,
    checkpoint_path: str | Path,
    phase: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    learner: Learner | None = None,
) -> dict[str, float]:
    """Trains one phase, from its checkpoint where there is one.

    Args:
      strategy: under whose scope the model was built.
      checkpoint_path: one file, rewritten as often as recipe.checkpoint_seconds says and at the end.
      phase: number of this phase; a checkpoint of another phase is not read.
      callbacks: their on_train_batch_end gets "loss", "learning_rate" and what the task measures.
      learner: of the phase before, of the same recipe and strategy; None = a new one.

    Returns:
      The last logged values; {} where a later phase has begun.

    Raises:
      TrainingDiverged: the loss is not finite; the model holds the last good weights.
    """
    ends = steps_in(task.stages, task.photos, recipe.batch_size)
    learner = learner or Learner(recipe, strategy)
    learner.begin(task)
    optimizer = learner.optimizer
    state = [*task.model.variables, *optimizer.variables, *learner.scale.variables]
    with contextlib.closing(_Keeper(checkpoint_path, task.model, state, phase, recipe.checkpoint_seconds, strategy)) as keeper:
        start = keeper.restore(ends[-1])
        if start is None:
            return {}
        batches = _distributed_batches(task, recipe, strategy, start, ends[-1])
        agree = agreement(strategy)
        watchers = keras.callbacks.CallbackList(list(callbacks), model=task.model)
        watchers.on_train_begin()
        logs: dict[str, float] = {}
        meter, epoch = _Meter(), start * recipe.batch_size // task.photos
        watchers.on_epoch_begin(epoch)
        for step, batch in zip(range(start, ends[-1]), batches, strict=False):  # batches look endless
            rate = learning_rate_at(step, task.stages, ends, recipe.schedule, recipe.warmup_steps)
            optimizer.learning_rate = rate
            watchers.on_train_batch_begin(step)
            meter.add(learner.step(batch))
            is_epoch_end = (step + 1) * recipe.batch_size // task.photos > epoch
            is_due = agree(step, keeper.is_due())
            if step % _STEPS_BETWEEN_LOGS == 0 or is_due or is_epoch_end or step + 1 == ends[-1]:
                if not np.isfinite(meter.last_loss()):
                    keeper.give_up(f"the loss became {meter.last_loss()} at step {step + 1} of {ends[-1]}")
                logs = {**meter.flush(), "learning_rate": rate}
            watchers.on_train_batch_end(step, logs)
            if is_due:
                keeper.save(step + 1)
            if is_epoch_end:
                watchers.on_epoch_end(epoch, logs)
                epoch += 1
                watchers.on_epoch_begin(epoch)
        keeper.save(ends[-1], is_awaited=True)
    watchers.on_train_end(logs)
    return logs


def sum_and_weight(values: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """One of Measures, by which the weighted mean of values [batch] is logged."""
    return tf.reduce_sum(values * weights), tf.reduce_sum(weights)


def worker_number(strategy: tf.distribute.Strategy) -> int:
    """0 for the chief, or where there is one worker only."""
    resolver = strategy.cluster_resolver
    is_cluster = resolver is not None and resolver.task_id is not None and strategy.num_replicas_in_sync > 1
    return resolver.task_id if is_cluster else 0


def agreement(strategy: tf.distribute.Strategy) -> Callable[[int, bool], bool]:
    """A function (step, what this worker says) that answers all workers alike: what the first says.

    What workers do together, such as reading batch statistics, they must do at the same step, and their clocks differ. They ask
    each other every few steps only, so as not to wait at each; in between the answer is no. All must call it at each step.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return lambda step, is_so: is_so
    is_first = worker_number(strategy) == 0

    @tf.function(autograph=False)
    def summed(word: tf.Tensor) -> tf.Tensor:
        return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(tf.identity, args=(word,)), axis=None)

    return lambda step, is_so: step % _STEPS_BETWEEN_LOGS == 0 and bool(summed(tf.constant(float(is_first and is_so))) > 0)


def choose_strategy() -> tf.distribute.Strategy:
    """Workers from TF_CONFIG, else all GPUs of this machine, else one device."""
    if os.environ.get("TF_CONFIG"):
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


@contextlib.contextmanager
def precision_policy(precision: str) -> Iterator[None]:
    """Builds layers under "float32", "bfloat16" or "float16" computation."""
    policies = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
    keras.mixed_precision.set_global_policy(policies[precision])
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy("float32")


def resolve_precision(precision: str) -> str:
    """ "auto" -> "float16" where there is a GPU, else "float32"."""
    if precision == "auto":
        return "float16" if tf.config.list_physical_devices("GPU") else "float32"
    return precision


class _Keeper:
    """Keeps the last good state of a phase in its checkpoint."""

    def __init__(
        self, path: str | Path, model: keras.Model, state: Sequence[tf.Variable], phase: int, seconds_between: float, strategy: tf.distribute.Strategy
    ) -> None:
        self._path, self._model, self._state, self._phase = path, model, state, phase
        self._saver = Saver(path, state, seconds_between, worker_number(strategy) == 0)
        self.is_due, self.close = self._saver.is_due, self._saver.close

    def restore(self, steps: int) -> int | None:
        """The step to start from, of so many, with the state of that step; None where a later phase has begun."""
        facts = read_facts(self._path, STEP) or {"phase": -1}
        if facts["phase"] > self._phase:
            return None
        if facts["phase"] < self._phase:
            self.save(0, is_awaited=True)
            return 0
        step = restore_checkpoint(self._path, self._state, STEP)["step"]
        if not 0 <= step <= steps:
            raise RunError(f"{self._path} is of step {step}, this phase has {steps}: remove it and begin anew")
        return step

    def save(self, step: int, is_awaited: bool = False) -> None:
        if not all(bool(tf.reduce_all(tf.math.is_finite(tf.convert_to_tensor(v)))) for v in self._model.trainable_variables):
            self.give_up(f"a weight became NaN or infinite before step {step}")
        self._saver.save({"phase": self._phase, "step": step}, is_awaited)

    def give_up(self, reason: str) -> typing.NoReturn:
        self._saver.wait()
        step = restore_checkpoint(self._path, self._state)["step"]
        raise TrainingDiverged(
            f"{reason}; the last good weights, of step {step}, are kept. Train again with lower rates in --set stages=..., or with --set gradient_clip_norm=1"
        )


class _Meter:
    """Running means since the last flush, without waiting for the device at each step."""

    def __init__(self) -> None:
        self._sums: list[dict[str, typing.Any]] = []

    def add(self, values: dict[str, typing.Any]) -> None:
        self._sums.append(values)

    def last_loss(self) -> float:
        return float(self._sums[-1]["loss"])

    def flush(self) -> dict[str, float]:
        steps, self._sums = self._sums, []
        means = {"loss": sum(float(step["loss"]) for step in steps) / len(steps)}
        for name in steps[0]["measures"]:
            total, weight = np.sum([[float(value) for value in step["measures"][name]] for step in steps], axis=0)
            means[name] = total / max(weight, 1.0)
        return means


def _build_optimizer(recipe: Recipe, model: keras.Model) -> keras.optimizers.Optimizer:
    if recipe.optimizer == "adam":
        optimizer = keras.optimizers.Adam(0.0, beta_1=0.9, beta_2=0.999, epsilon=recipe.epsilon)
    else:
        optimizer = keras.optimizers.SGD(0.0, momentum=0.9)
    optimizer.build(model.trainable_variables)
    return optimizer


def _distributed_batches(task: Task, recipe: Recipe, strategy: tf.distribute.Strategy, start: int, stop: int) -> Iterator[Batch]:
    first = task.first_position
    begin, end = first + start * recipe.batch_size, first + stop * recipe.batch_size
    return iter(strategy.distribute_datasets_from_function(lambda context: task.batches(begin, end, context)))


def _compile_step(
    task: Task, recipe: Recipe, strategy: tf.distribute.Strategy, optimizer: keras.optimizers.Optimizer, scale: LossScale
) -> Callable[[Batch], dict[str, typing.Any]]:
    """A tf.function: one distributed batch -> {"loss", "measures"}, summed over replicas."""
    replicas = strategy.num_replicas_in_sync
    variables = task.model.trainable_variables
    kernels = [v for v in variables if _is_kernel(v)]
    new_variables = {id(v) for layer in task.new_layers for v in layer.trainable_variables}
    factors = [(1.0 if id(v) in new_variables else recipe.backbone_rate) * (recipe.bias_rate if _is_bias(v) else 1.0) for v in variables]

    def replica_step(batch: Batch) -> dict[str, typing.Any]:
        batch = distorted(batch, recipe)
        with tf.GradientTape() as tape:
            per_photo, measures = task.loss(batch, tf.cast(optimizer.iterations, tf.int32))
            total = tf.reduce_sum(per_photo) / recipe.batch_size
            decay = recipe.weight_decay * tf.add_n([tf.nn.l2_loss(tf.convert_to_tensor(k)) for k in kernels]) if recipe.weight_decay else 0.0
            scaled = scale.up(total + decay / replicas)
        gradients = tape.gradient(scaled, variables)
        _apply(optimizer, scale, gradients, variables, factors, recipe, replicas)
        return {"loss": total, "measures": measures}

    @tf.function(autograph=False)
    def step(batch: Batch) -> dict[str, typing.Any]:
        results = strategy.run(replica_step, args=(batch,))
        return tf.nest.map_structure(lambda value: strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None), results)

    return step


def _apply(
    optimizer: keras.optimizers.Optimizer,
    scale: LossScale,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[tf.Variable],
    factors: Sequence[float],
    recipe: Recipe,
    replicas: int,
) -> None:
    """Sums gradients over replicas, then unscales, clips and applies them."""
    if replicas > 1:
        gradients = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    gradients, is_finite = scale.down(gradients)
    if recipe.gradient_clip_norm:
        gradients, _ = tf.clip_by_global_norm(gradients, recipe.gradient_clip_norm)
    # Both Keras versions sum over replicas once more when they apply: hence the division.
    gradients = [g if factor == replicas else g * (factor / replicas) for g, factor in zip(gradients, factors, strict=True)]
    if scale.is_active:
        # A step whose gradients overflowed is left out by zeroing it: no branch may hold a merge call.
        gradients = [tf.where(is_finite, g, tf.zeros_like(g)) for g in gradients]
    apply_gradients(optimizer, gradients, variables)


def apply_gradients(optimizer: keras.optimizers.Optimizer, gradients: Sequence[tf.Tensor], variables: Sequence[tf.Variable]) -> None:
    """What `optimizer.apply_gradients` does; on one device by one operation a variable, where Keras has a dozen, half of all that a step has to trace.

    Args:
      optimizer: of `_build_optimizer`, built of these variables.
    """
    is_plain = all(isinstance(g, tf.Tensor) and v.constraint is None for g, v in zip(gradients, variables, strict=True))
    if tf.distribute.has_strategy() or not is_plain:
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
    else:
        _apply_fused(optimizer, gradients, variables)


def _apply_fused(optimizer: keras.optimizers.Optimizer, gradients: Sequence[tf.Tensor], variables: Sequence[tf.Variable]) -> None:
    rate = tf.convert_to_tensor(optimizer.learning_rate)
    optimizer.iterations.assign_add(1)
    if isinstance(optimizer, keras.optimizers.Adam):
        steps = tf.cast(tf.convert_to_tensor(optimizer.iterations), tf.float32)
        powers = {"beta1_power": optimizer.beta_1**steps, "beta2_power": optimizer.beta_2**steps}
        rates = {"lr": rate, "beta1": optimizer.beta_1, "beta2": optimizer.beta_2, "epsilon": optimizer.epsilon}
        for gradient, variable, first, second in zip(gradients, variables, optimizer._momentums, optimizer._velocities, strict=True):
            tf.raw_ops.ResourceApplyAdam(var=_handle(variable), m=_handle(first), v=_handle(second), grad=gradient, **powers, **rates)
    else:
        for gradient, variable, momentum in zip(gradients, variables, optimizer.momentums, strict=True):
            tf.raw_ops.ResourceApplyKerasMomentum(var=_handle(variable), accum=_handle(momentum), lr=rate, grad=gradient, momentum=optimizer.momentum)


def _handle(variable: typing.Any) -> tf.Tensor:
    """Of TensorFlow's variable, which Keras 3 has within its own."""
    return (variable if isinstance(variable, tf.Variable) else variable.value).handle


def _is_kernel(variable: tf.Variable) -> bool:
    return "kernel" in variable.name or "kernel" in getattr(variable, "path", "")


def _is_bias(variable: tf.Variable) -> bool:
    """Whether it is what a layer adds; a batch normalisation's is called beta."""
    return any(part in ("bias", "beta") for part in re.split(r"[/:]", getattr(variable, "path", variable.name)))
