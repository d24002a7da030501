"""What checkpoints cost a training: how long one takes, how far apart they therefore lie, and their share of the time.

    python benchmarks/checkpoint_cost.py [--gigabytes 1.56] [--saves 3] [--step-seconds 1] [--folder DIR]

One layer has as many weights as two InceptionResNetV2s, and Adam two moments of each: a checkpoint is of their size. `before` is version 0.2:
each minute, and the training stands still until the file is on the disk. `now` is a training by THE loop, whose steps wait until they have
taken --step-seconds, as for a GPU.
"""

import contextlib
import dataclasses
import os
import tempfile
import time

import click
from machine import median_seconds

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

CLASSES = 1024


class _DoneError(Exception):
    pass


@click.command()
@click.option("--gigabytes", default=1.56, show_default=True, help="Size of a checkpoint.")
@click.option("--saves", "count", default=3, show_default=True, help="The training lasts until the last of so many is written.")
@click.option("--step-seconds", default=1.0, show_default=True, help="Of a step, at least.")
@click.option("--checkpoint-seconds", default=60.0, show_default=True, help="Of the recipe.")
@click.option("--folder", help="On the disk to measure. [default: the system's temporary folder]")
def main(gigabytes, count, step_seconds, checkpoint_seconds, folder):
    """Print a table."""
    import keras
    import tensorflow as tf

    from tfvision.training import loop
    from tfvision.training.checkpoints import Saver, save_checkpoint
    from tfvision.training.recipes import Recipe

    saves = []  # that were not waited for: [seconds that the training stood still, when it began, seconds until it was written]

    class Watched(Saver):
        def save(self, facts, is_awaited=False):
            started = time.monotonic()
            super().save(facts, is_awaited)
            if not is_awaited:
                saves.append([time.monotonic() - started, started])

        def _write(self, facts):
            super()._write(facts)
            if saves:
                saves[-1].append(self._taken)

    class Waiting(keras.callbacks.Callback):
        started = 0.0

        def on_train_batch_begin(self, batch, logs=None):
            self.started = time.monotonic()

        def on_train_batch_end(self, batch, logs=None):
            time.sleep(max(0.0, self.started + step_seconds - time.monotonic()))
            if len(saves) == count and len(saves[-1]) == 3:
                raise _DoneError

    features = round(gigabytes * 1e9 / 12 / CLASSES)
    inputs = keras.Input((features,))
    model = keras.Model(inputs, keras.layers.Dense(CLASSES, use_bias=False)(inputs))
    recipe = dataclasses.replace(Recipe(), batch_size=1, stages=((1e9, 0.0),), checkpoint_seconds=checkpoint_seconds, precision="float32")

    def batches(begin, end, context):
        return tf.data.Dataset.from_tensors(tf.ones((1, features))).repeat(end - begin)

    task = loop.Task(model, lambda batch, step: (tf.reduce_mean(model(batch), axis=1), {}), recipe.stages, 1, batches)
    loop.Saver = Watched
    with tempfile.TemporaryDirectory(dir=folder) as place:
        with contextlib.suppress(_DoneError):
            loop.train(task, recipe, tf.distribute.get_strategy(), f"{place}/latest.npz", callbacks=[Waiting()])
        size = os.path.getsize(f"{place}/latest.npz")
        state = [*model.variables, *(tf.Variable(model.variables[0]) for _ in range(2))]
        before = median_seconds(lambda: save_checkpoint(f"{place}/before.npz", state, {}), times=3)

    print(f"{size / 1e9:.2f} GB a checkpoint\n{'':<8}{'s from one to the next':>24}{'stands still, s':>17}{'of the time':>13}{'with writing':>14}")
    share = before / (60 + before)
    print(f"{'before':<8}{60 + before:>24.0f}{before:>17.1f}{share:>13.1%}{share:>14.1%}")
    still, _, taken = (sum(values) / len(saves) for values in zip(*saves, strict=True))
    apart = (saves[-1][1] - saves[0][1]) / (len(saves) - 1)
    print(f"{'now':<8}{apart:>24.0f}{still:>17.1f}{still / apart:>13.1%}{taken / apart:>14.1%}")


if __name__ == "__main__":
    main()
