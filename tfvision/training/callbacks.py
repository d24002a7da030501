"""What watches a training: a progress bar with the time left, TensorBoard, and validation."""

import os
import sys
import time
import typing
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvision.errors import RunError
from tfvision.files import read_json, storage_errors, write_json
from tfvision.kinds import Kind
from tfvision.progress import progress_bar

_VALIDATION: Kind = {"step": int, "name": str, "images": int, "of": int, "accuracy": float, "interval": tuple[float, float]}


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
        self.first_step = first_step
        self._steps_between = steps_between
        self._step = first_step

    def write_images(self, images: Mapping[str, np.ndarray | tf.Tensor], group: str = "views", step: int = 0) -> None:
        """Writes {name: uint8 [batch, size, size, 3]} as example images called GROUP/NAME."""
        with self._writer.as_default():
            for name, values in images.items():
                tf.summary.image(f"{group}/{name}", values, step=step, max_outputs=8)

    def write(self, values: Mapping[str, float], step: int) -> None:
        """Writes scalars {name: value}."""
        with storage_errors(self._folder), self._writer.as_default():
            for name, value in values.items():
                tf.summary.scalar(name, value, step=step)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        self._step = self.first_step + batch + 1
        if self._step % self._steps_between == 0 and logs:
            self.write(logs, self._step)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        self.write(logs or {}, self._step)
        with storage_errors(self._folder):
            self._writer.flush()


class Validation(keras.callbacks.Callback):
    """Validates at the end of each epoch, at the end of the phase and, in an epoch that lasts long, now and then.

    Each time there is a line on stderr and a point in TensorBoard, and "val_accuracy" in the logs of an epoch's end. All are kept in a file,
    so that a resumed training has those before.

    Args:
      measure: returns {"images", "of", "accuracy", "interval"} of the network as it is: on so many photos, drawn of so many; 95 % interval.
      log: where it is shown.
      path: JSON, what this run has validated so far.
      seconds_between: at most so long from one time to the next.
      agree: as `loop.agreement` returns.
      name: of what is learnt, such as a rank.
    """

    def __init__(
        self,
        measure: Callable[[], dict[str, typing.Any]],
        log: TensorBoardLog,
        path: Path,
        seconds_between: float,
        agree: Callable[[int, bool], bool],
        name: str,
    ) -> None:
        super().__init__()
        self._measure, self._log, self._path, self._seconds_between, self._agree, self._name = measure, log, path, seconds_between, agree, name
        self._validations = read_validations(path)
        self._step, self._validated_step, self._validated_at = 0, -1, time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        self._step = self._log.first_step + batch + 1
        if self._agree(batch, time.monotonic() - self._validated_at >= self._seconds_between):
            self._validate()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        accuracy = self._validate()["accuracy"]
        if logs is not None:
            logs["val_accuracy"] = accuracy

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        if self._step:  # else it was resumed at its end
            self._validate()

    def _validate(self) -> dict[str, typing.Any]:
        """What was measured at this step, now or already."""
        if self._validated_step != self._step:
            measured = {"step": self._step, "name": self._name, **self._measure()}
            self._validated_step, self._validated_at = self._step, time.monotonic()
            self._log.write({"val_accuracy": measured["accuracy"]}, self._step)
            print(f"validation: {validation_line(measured)}", file=sys.stderr)
            # A training that was killed goes on from before the last of these.
            self._validations = [*(one for one in self._validations if one["step"] < self._step), measured]
            write_json(self._path, self._validations)
        return self._validations[-1]


def read_validations(path: Path) -> list[dict[str, typing.Any]]:
    """What a Validation kept, in order; [] where there is nothing. Raises RunError."""
    return read_json(path, [_VALIDATION], "remove it, it holds accuracies only", RunError) if os.path.lexists(path) else []


def validation_line(one: Mapping[str, typing.Any]) -> str:
    """One of them in words."""
    low, high = one["interval"]
    return (
        f"{one['name']} accuracy {one['accuracy']:.3f} (95 % interval {low:.3f} to {high:.3f}) after step {one['step']:,}, "
        f"on {one['images']:,} of {one['of']:,} unseen photos"
    )
