"""A network of which all up to a layer stays as it is: what that layer answers is computed once, and the rest is trained on it, for many conditions.

A training on two cores then takes a tenth of the time. Photos are seen whole, without random changes.
"""

import dataclasses
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a frozen layer and the taps before it answer to photos.

    Attributes:
      rows: float16 [photos, height * width * channels] of the layer.
      pooled: {tap: float32 [photos, channels]} of the taps up to it.
      is_read: bool [photos].
    """

    rows: np.ndarray
    pooled: dict[str, np.ndarray]
    is_read: np.ndarray


def see(manifest, network, base, layer, size_px, taps=()):
    """What `layer` of a network of the catalogue answers to the photos of a manifest."""
    from tfvision.data.pipeline import BrokenPhotos, ViewSettings, evaluation_batches

    means = {tap: keras.layers.GlobalAveragePooling2D()(base.get_layer(network.taps[tap]).output) for tap in taps}
    answer = tf.function(keras.Model(base.input, {"maps": base.get_layer(layer).output, "means": means}), autograph=False)
    broken, rows, pooled, is_read = BrokenPhotos(), [], [], []
    for batch in evaluation_batches(manifest, np.zeros(len(manifest), np.int32), ViewSettings(("whole",), size_px, None, True), 32, broken).as_numpy_iterator():
        pixels = batch["views"]["whole"].astype(np.float32) * network.scale + network.offset
        found = answer(tf.constant(pixels))
        rows.append(found["maps"].numpy().astype(np.float16).reshape(len(pixels), -1))
        pooled.append({tap: values.numpy() for tap, values in found["means"].items()})
        is_read.append(batch["weight"] > 0)
    return Seen(np.concatenate(rows), {tap: np.concatenate([part[tap] for part in pooled]) for tap in taps}, np.concatenate(is_read))


def tail_of(base, layer, outputs):
    """A model of what lies behind `layer`: rows of `Seen` -> {name: maps of other layers}, `outputs` being {name: layer}."""
    start = base.get_layer(layer).output
    rows = keras.Input((int(np.prod(start.shape[1:])),), name="rows")
    maps = keras.layers.Reshape(start.shape[1:])(rows)
    if set(outputs.values()) == {layer}:
        return keras.Model(rows, dict.fromkeys(outputs, maps))
    return keras.Model(rows, keras.Model(start, {name: base.get_layer(one).output for name, one in outputs.items()}, name="tail")(maps))


def fit(model, rows, labels, loss, stages, recipe, new_layers):
    """Trains a model on rows in memory by the one training loop. `loss` as of its Task."""
    from tfvision.apps.retrieval.training import row_batches
    from tfvision.data.pipeline import TrainingOrder
    from tfvision.training.loop import Task, train

    order, weights = TrainingOrder(labels, recipe.seed), np.ones(len(labels), np.float32)

    def batches(begin, end, context):
        return row_batches(rows, labels, weights, order, begin, end, recipe.batch_size, context)

    task = Task(model=model, loss=loss, stages=stages, photos=len(labels), batches=batches, first_position=0, new_layers=tuple(new_layers))
    recipe = dataclasses.replace(recipe, checkpoint_seconds=1e9)
    with tempfile.TemporaryDirectory() as folder:
        return train(task, recipe, tf.distribute.get_strategy(), Path(folder) / "latest.npz")


def answers(model, rows, batch_size=64):
    """What a model answers to rows, as a list of arrays or one."""
    call = tf.function(lambda values: model(values, training=False), autograph=False)
    parts = [tf.nest.map_structure(lambda t: t.numpy(), call(tf.constant(rows[low : low + batch_size], tf.float32))) for low in range(0, len(rows), batch_size)]
    return tf.nest.map_structure(lambda *values: np.concatenate(values), *parts)
