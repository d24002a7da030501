"""What watches a training: a progress bar with the time left, and TensorBoard."""

import keras
import numpy as np
import tensorflow as tf

from tfvision.progress import progress_bar


class ProgressBar(keras.callbacks.Callback):
    """One bar over all phases of a training, on stderr: the loss, what is measured and the time left."""

    def __init__(self, total_steps, done_steps=0, label="training"):
        super().__init__()
        self._bar = progress_bar(label, total_steps, done_steps)

    def on_train_batch_end(self, batch, logs=None):
        shown = [f"{name} {value:.3f}" for name, value in (logs or {}).items() if name != "learning_rate"]
        self._bar.advance(1, "  ".join(shown))

    def close(self):
        """Takes the bar away."""
        self._bar.close()


class TensorBoardLog(keras.callbacks.Callback):
    """Writes scalars every few steps, and example images once, for TensorBoard.

    Keras's own callback relies on `fit`.
    """

    def __init__(self, folder, first_step=0, steps_between=10):
        super().__init__()
        self._writer = tf.summary.create_file_writer(str(folder))
        self._first_step = first_step
        self._steps_between = steps_between
        self._step = first_step

    def write_images(self, images, group="views", step=0):
        """Writes {name: uint8 [batch, size, size, 3]} as example images called GROUP/NAME."""
        with self._writer.as_default():
            for name, values in images.items():
                tf.summary.image(f"{group}/{name}", values, step=step, max_outputs=8)

    def on_train_batch_end(self, batch, logs=None):
        self._step = self._first_step + batch + 1
        if self._step % self._steps_between == 0 and logs:
            self._write(logs)

    def on_epoch_end(self, epoch, logs=None):
        self._write({name: value for name, value in (logs or {}).items() if name.startswith("val_")})

    def on_train_end(self, logs=None):
        self._write(logs or {})
        self._writer.flush()

    def _write(self, values):
        with self._writer.as_default():
            for name, value in values.items():
                tf.summary.scalar(name, value, step=self._step)


class Validation(keras.callbacks.Callback):
    """Adds "val_accuracy" to the logs at the end of each epoch.

    Args:
      measure: a function without arguments that returns the accuracy.
    """

    def __init__(self, measure):
        super().__init__()
        self._measure = measure

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["val_accuracy"] = float(np.float32(self._measure()))
