import json

import pytest

from tfvision.errors import RunError
from tfvision.training import callbacks
from tfvision.training.callbacks import TensorBoardLog, Validation, read_validations


class _Clock:
    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = _Clock()
    monkeypatch.setattr(callbacks, "time", clock)
    return clock


@pytest.fixture
def validation(clock, tmp_path):
    """A function (first step, agree) -> a Validation that is due every 1,800 seconds; each accuracy is a hundredth above the one before."""
    measured = iter(range(1, 100))

    def make(first_step=0, agree=lambda step, is_so: is_so):
        def measure():
            return {"images": 256, "of": 5120, "accuracy": next(measured) / 100, "interval": (0.0, 0.5)}

        log = TensorBoardLog(tmp_path / "logs", first_step)
        return Validation(measure, log, tmp_path / "checkpoints" / "validation.json", 1800.0, agree, "genus")

    return make


def _steps(path):
    return [one["step"] for one in read_validations(path / "checkpoints" / "validation.json")]


def test_a_long_epoch_is_validated_every_half_hour_at_its_end_and_at_the_end_of_the_phase(validation, clock, tmp_path, capsys):
    watcher, logs = validation(), {}
    for step in range(100):  # ten hours
        clock.now += 360
        watcher.on_train_batch_end(step, {})
    assert _steps(tmp_path) == list(range(5, 101, 5))
    watcher.on_epoch_end(0, logs)
    assert logs == {"val_accuracy": 0.2} and len(_steps(tmp_path)) == 20  # the network is the same as half a second before
    watcher.on_train_batch_end(100, {})
    watcher.on_train_end({})
    watcher.on_train_end({})
    assert _steps(tmp_path)[-2:] == [100, 101]
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 21
    assert told[0] == "validation: genus accuracy 0.010 (95 % interval 0.000 to 0.500) after step 5, on 256 of 5,120 unseen photos"


def test_short_epochs_are_validated_at_their_ends_only(validation, clock, tmp_path):
    watcher = validation()
    for step in range(6):
        clock.now += 100
        watcher.on_train_batch_end(step, {})
        if step % 2:
            watcher.on_epoch_end(step // 2, {})
    watcher.on_train_end({})
    assert _steps(tmp_path) == [2, 4, 6]


def test_a_resumed_training_has_what_was_validated_before_its_checkpoint(validation, tmp_path):
    for first_step, steps in ((0, 3), (1, 2), (20, 1)):  # stopped after step 3, resumed from step 1; then the next phase
        watcher = validation(20 if first_step == 20 else 0)
        for step in range(first_step % 20, first_step % 20 + steps):
            watcher.on_train_batch_end(step, {})
            watcher.on_epoch_end(step, {})
    assert _steps(tmp_path) == [1, 2, 3, 21]
    accuracies = [one["accuracy"] for one in read_validations(tmp_path / "checkpoints" / "validation.json")]
    assert accuracies == [0.01, 0.04, 0.05, 0.06]


def test_one_that_was_resumed_at_its_end_validates_nothing(validation, tmp_path):
    validation().on_train_end({})
    assert not (tmp_path / "checkpoints").exists()


def test_workers_validate_together(validation, clock, tmp_path):
    asked = []
    watcher = validation(agree=lambda step, is_so: asked.append((step, is_so)) or step == 1)
    for step in range(3):
        clock.now += 1000 if step != 1 else -5000  # another clock
        watcher.on_train_batch_end(step, {})
    assert asked == [(0, False), (1, False), (2, False)] and _steps(tmp_path) == [2]


def test_tensorboard_shows_each_at_its_step(validation, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    watcher = validation(first_step=40)
    watcher.on_train_batch_end(2, {})
    watcher.on_epoch_end(0, {})
    watcher._log.on_train_end({})
    events = EventAccumulator(str(tmp_path / "logs"), size_guidance={"tensors": 0})
    events.Reload()
    assert [event.step for event in events.Tensors("val_accuracy")] == [43]


def test_a_changed_file_is_named(tmp_path):
    (tmp_path / "validation.json").write_text(json.dumps([{"step": 1, "accuracy": "high"}]))
    with pytest.raises(RunError, match=r"validation.json was changed.*remove it, it holds accuracies only"):
        read_validations(tmp_path / "validation.json")
