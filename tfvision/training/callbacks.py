"""What watches a training: a progress bar with the time left, and TensorBoard."""

from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvision.files import storage_errors
from tfvision.progress import progress_bar


class ProgressBar(keras.callbacks.Callback):
    """One bar over all phases of a training, on stderr: the loss, what is measured and the time left."""

    def __init__(self, total_steps: int, done_steps: int = 0, label: str = "training") -> None:
        super().__init__()
        self._bar = progress_bar(label, total_steps, done_steps)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        shown = [f"{name} {value:.3f}" for name, value in (logs or {}).items() if name != "learning_rate"]
        self._bar.advance(1, "  ".join(shown))

    def close(self) -> None:
        """Takes the bar away."""
        self._bar.close()


class TensorBoardLog(keras.callbacks.Callback):
    """Writes scalars every few steps, and example images once, for TensorBoard.

    Keras's own callback relies on `fit`.
    """

    def __init__(self, folder: Path, first_step: int = 0, steps_between: int = 10) -> None:
        super().__init__()
        self._folder = folder
        with storage_errors(folder):
            self._writer = tf.summary.create_file_writer(str(folder))
        self._first_step = first_step
        self._steps_between = steps_between
        self._step = first_step

    def write_images(self, images: Mapping[str, np.ndarray | tf.Tensor], group: str = "views", step: int = 0) -> None:
        """Writes {name: uint8 [batch, size, size, 3]} as example images called GROUP/NAME."""
        with self._writer.as_default():
            for name, values in images.items():
                tf.summary.image(f"{group}/{name}", values, step=step, max_outputs=8)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        self._step = self._first_step + batch + 1
        if self._step % self._steps_between == 0 and logs:
            self._write(logs)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._write({name: value for name, value in (logs or {}).items() if name.startswith("val_")})

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        self._write(logs or {})
        with storage_errors(self._folder):
            self._writer.flush()

    def _write(self, values: Mapping[str, float]) -> None:
        with storage_errors(self._folder), self._writer.as_default():
            for name, value in values.items():
                tf.summary.scalar(name, value, step=self._step)


class Validation(keras.callbacks.Callback):
    """Adds "val_accuracy" to the logs at the end of each epoch.

    Args:
      measure: what returns the accuracy of the network as it is.
    """

    def __init__(self, measure: Callable[[], float]) -> None:
        super().__init__()
        self._measure = measure

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if logs is not None:
            logs["val_accuracy"] = float(np.float32(self._measure()))
