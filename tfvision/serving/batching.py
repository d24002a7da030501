"""Micro-batching: requests that arrive together run as one batch, and a request that fails fails alone.

Each (version, signature) has a queue of its own, short in time: what cannot be answered soon is refused at once. A few
threads serve all queues, the oldest request first. Requests join along the first axis. Those with an image that takes long to
decode have queues and a thread of their own, and run one by one, so that others do not wait for them.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import os
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple

import grpc
import numpy as np

from tfvision.errors import UserError
from tfvision.serving.errors import ServingError, as_serving_error
from tfvision.serving.images import has_slow_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from tfvision.serving.metrics import ServingMetrics
    from tfvision.serving.servable import Servable


@dataclasses.dataclass(frozen=True)
class BatchingSettings:
    """How requests are joined; the fields bear the names of TensorFlow Serving's batching parameters.

    Attributes:
      max_batch_size: rows of a batch; a request with more rows runs in parts of this size.
      batch_timeout_micros: how long a batch waits for more rows, from its first request or the end of the last batch;
        it does not wait once it has as many rows as there were in flight when the last one ended.
      max_enqueued_batches: full batches that may wait or run, for each version and signature.
      max_wait_micros: beyond two full batches, a request is let in only while it is expected to wait no longer than this.
      num_batch_threads: batches that run at the same time, over all models.
      allowed_batch_sizes: where given, a batch is padded to the next of these sizes; the last is max_batch_size.
    """

    max_batch_size: int = 8
    batch_timeout_micros: int = 5000
    max_enqueued_batches: int = 64
    max_wait_micros: int = 100_000
    num_batch_threads: int = max(1, (os.cpu_count() or 2) // 2)  # TensorFlow spreads each over several cores
    allowed_batch_sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for field in ("max_batch_size", "max_enqueued_batches", "num_batch_threads"):
            if getattr(self, field) < 1:
                raise UserError(f"{field} must be at least 1, got {getattr(self, field)}")
        for field in ("batch_timeout_micros", "max_wait_micros"):
            if getattr(self, field) < 0:
                raise UserError(f"{field} must be at least 0, got {getattr(self, field)}")
        sizes = tuple(self.allowed_batch_sizes)
        if sizes and (list(sizes) != sorted(set(sizes)) or sizes[0] < 1 or sizes[-1] != self.max_batch_size):
            raise UserError(f"allowed_batch_sizes must rise and end with max_batch_size {self.max_batch_size}, got {sizes}")


class _Key(NamedTuple):
    """What a queue holds the requests for."""

    servable: Servable
    signature_name: str
    is_slow: bool  # requests whose images take long to decode

    @property
    def stable(self) -> tuple[str, str, bool]:
        """The same for all versions of a model."""
        return self.servable.name, self.signature_name, self.is_slow


_MOST_SLOW_REQUESTS = 4  # that wait or run, for each version and signature


@dataclasses.dataclass(eq=False)
class _Request:
    inputs: dict[str, np.ndarray]
    outputs: tuple[str, ...]
    shapes: tuple[Any, ...] | None  # what must be equal for two requests to join; None joins nothing
    rows: int
    deadline: float | None  # of time.monotonic()
    future: Future = dataclasses.field(default_factory=Future)
    arrived: float = dataclasses.field(default_factory=time.monotonic)


class Batcher:
    """The queues and the threads that serve them."""

    def __init__(self, settings: BatchingSettings = BatchingSettings(), metrics: ServingMetrics | None = None) -> None:
        self._settings, self._metrics = settings, metrics
        self._queues: dict[_Key, collections.deque[_Request]] = {}  # oldest first; none is empty
        self._company: dict[tuple[str, str, bool], tuple[int, float]] = {}  # _Key.stable -> rows in flight as its last batch ended, and when that was
        self._rows: collections.Counter[_Key] = collections.Counter()  # rows that wait or run
        self._row_seconds: dict[tuple[str, str, bool], collections.deque[float]] = {}  # _Key.stable -> what a row took in the last batches
        self._changed = threading.Condition()
        self._is_open = True
        names = [f"batch-{number}" for number in range(settings.num_batch_threads)]
        self._threads = [threading.Thread(target=self._serve, args=[name == "slow"], name=name, daemon=True) for name in (*names, "slow")]
        for thread in self._threads:
            thread.start()

    def submit(
        self, servable: Servable, signature_name: str, inputs: dict[str, np.ndarray], outputs: Sequence[str] = (), deadline: float | None = None
    ) -> Future[dict[str, np.ndarray]]:
        """Queues a request; returns a Future of {name: array}.

        A future that is cancelled, or whose deadline (of time.monotonic()) has passed, does not run.

        Raises:
          ServingError: as `Servable.check`; RESOURCE_EXHAUSTED where the queue is full, UNAVAILABLE after `close`.
        """
        servable.check(signature_name, inputs, outputs)
        request = _make_request(servable.signatures[signature_name], inputs, tuple(outputs), deadline)
        key = _Key(servable, signature_name, has_slow_image(inputs))
        with self._changed:
            if not self._is_open:
                raise ServingError(grpc.StatusCode.UNAVAILABLE, "The server is shutting down")
            self._check_room(key, request.rows)
            self._rows[key] += request.rows
            self._queues.setdefault(key, collections.deque()).append(request)
            self._changed.notify_all()
        request.future.add_done_callback(lambda future: self._forget(key, request) if future.cancelled() else None)
        return request.future

    def check_room(self, servable: Servable, signature_name: str | None = None) -> None:
        """Refuses as `submit` would refuse one row; None: where any signature is full, for requests not parsed yet."""
        with self._changed:
            for key in list(self._rows):
                if key.servable is servable and signature_name in (None, key.signature_name) and not key.is_slow:
                    self._check_room(key, 1)

    def close(self) -> None:
        """Answers what is queued, then stops the threads."""
        with self._changed:
            self._is_open = False
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _check_room(self, key, rows):
        ahead, size = self._rows[key], self._settings.max_batch_size
        rows += ahead
        is_short = rows <= 2 * size or ahead * self._seconds_a_row(key) <= self._settings.max_wait_micros / 1e6
        if key.is_slow:
            is_short = ahead < _MOST_SLOW_REQUESTS
        # The first is always taken, or a request larger than all that may wait could never be answered.
        if ahead and not (is_short and rows <= size * self._settings.max_enqueued_batches):
            message = f"The batch scheduling queue to which this task was submitted is full; {ahead} rows are before it"
            raise ServingError(grpc.StatusCode.RESOURCE_EXHAUSTED, message)

    def _forget(self, key, request):
        """Frees the place of a request that nobody waits for, if it has not run."""
        with self._changed:
            queue = self._queues.get(key, ())
            if request in queue:
                queue.remove(request)
                self._free(key, request.rows)
                if not queue:
                    del self._queues[key]

    def _free(self, key, rows):
        self._rows[key] -= rows
        if not self._rows[key]:
            del self._rows[key]

    def _seconds_a_row(self, key):
        # The least of the last batches: a single hitch of the machine must not make a fast model refuse requests.
        return min(self._row_seconds.get(key.stable, [float("inf")]))

    def _serve(self, is_slow):
        while True:
            with self._changed:
                key, batch = self._next_batch(is_slow)
            if key is None:
                return
            self._run(key, batch)
            del key, batch  # or an idle thread would keep a model alive

    def _next_batch(self, is_slow):
        """The oldest batch that is ready, once there is one; (None, None) when closed and empty."""
        while (queues := [item for item in self._queues.items() if item[0].is_slow == is_slow]) or self._is_open:
            now, wake = time.monotonic(), None
            for key, queue in sorted(queues, key=lambda item: item[1][0].arrived):
                company, since = self._company.get(key.stable, (self._settings.max_batch_size, 0))
                starts = max(queue[0].arrived, since) + self._settings.batch_timeout_micros / 1e6
                if now >= starts or not self._is_open or is_slow or self._is_enough(queue, company):
                    return key, self._take(key)
                wake = min(starts, wake or starts)
            self._changed.wait(None if wake is None else wake - now)
        return None, None

    def _is_enough(self, queue, company):
        return queue[0].shapes is None or _rows(queue) >= min(company, self._settings.max_batch_size)

    def _take(self, key):
        batch = _first_batch(self._queues[key], 0 if key.is_slow else self._settings.max_batch_size)
        rest = [request for request in self._queues[key] if request not in batch]
        if rest:
            self._queues[key] = collections.deque(rest)
        else:
            del self._queues[key]
        if self._queues:
            self._changed.notify_all()  # another thread may be free for what is left
        return batch

    def _run(self, key, batch):
        wanted = [request for request in batch if _is_wanted(request)]
        if self._metrics:
            for request in wanted:
                self._metrics.queued(time.monotonic() - request.arrived)
        outcomes = self._outcomes(key, wanted) if wanted else []
        with self._changed:  # before the answers, so that who was answered may ask again
            self._company[key.stable] = (self._rows[key], time.monotonic())
            self._free(key, _rows(batch))
        for request, outcome in zip(wanted, outcomes, strict=True):
            resolve = request.future.set_exception if isinstance(outcome, ServingError) else request.future.set_result
            resolve(outcome)

    def _outcomes(self, key: _Key, batch: list[_Request]) -> list[Any]:
        """For each request its answer or its ServingError; after a failure each runs alone, so that only the one at fault fails."""
        try:
            return self._answers(key, batch)
        except Exception as error:
            if len(batch) == 1:
                return [as_serving_error(error)]
        return [outcome for request in batch for outcome in self._outcomes(key, [request])]

    def _answers(self, key, batch):
        if batch[0].shapes is None:
            values: dict[str, np.ndarray] = self._timed_run(key, batch[0].inputs, 1)
            bounds: list[tuple[int | None, int | None]] = [(None, None)]
        else:
            values = self._joined(key, batch)
            ends = np.cumsum([request.rows for request in batch]).tolist()
            bounds = itertools.pairwise([0, *ends])
        return [
            {name: values[name] if start is None else values[name][start:end] for name in request.outputs or values}
            for request, (start, end) in zip(batch, bounds, strict=True)
        ]

    def _joined(self, key, batch):
        """Runs the rows of all requests, at most max_batch_size at a time: {name: array [rows of all, ...]}."""
        names = batch[0].inputs
        inputs = {name: _concatenate([request.inputs[name] for request in batch]) for name in names}
        rows, size = _rows(batch), self._settings.max_batch_size
        parts = []
        for start in range(0, max(rows, 1), size):
            part = {name: value[start : start + size] for name, value in inputs.items()}
            parts.append(self._padded_run(key, part, min(size, rows - start)))
        return {name: _concatenate([part[name] for part in parts]) for name in parts[0]}

    def _padded_run(self, key, inputs, rows):
        padding = next((size - rows for size in self._settings.allowed_batch_sizes if size >= rows > 0), 0)
        if padding:  # with copies of the first row, which is known to be valid input, as TensorFlow Serving does
            inputs = {name: np.concatenate([value, np.repeat(value[:1], padding, axis=0)]) for name, value in inputs.items()}
        values = self._timed_run(key, inputs, max(rows, 1))
        for name, value in values.items():
            if value.ndim == 0 or len(value) != rows + padding:
                message = f"Batched output tensor's 0th dimension does not equal the sum of the input tensors' ({name})"
                raise ServingError(grpc.StatusCode.FAILED_PRECONDITION, message)
        return {name: value[:rows] for name, value in values.items()} if padding else values

    def _timed_run(self, key, inputs, rows):
        started = time.monotonic()
        values = key.servable.run_checked(key.signature_name, inputs)
        seconds = time.monotonic() - started
        with self._changed:
            times = self._row_seconds.setdefault(key.stable, collections.deque(maxlen=8))
            times.append(seconds / rows)
        if self._metrics:
            self._metrics.ran(key.servable.name, seconds)
        return values


def _make_request(signature, inputs, outputs, deadline):
    if not inputs or not _is_joinable(signature, inputs):
        return _Request(inputs, outputs, None, 1, deadline)
    sizes = {array.shape[0] for array in inputs.values()}
    if len(sizes) > 1:
        message = "Batching session Run() input tensors must have equal 0th-dimension size"
        raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)
    shapes = tuple((key, inputs[key].shape[1:]) for key in sorted(inputs))
    return _Request(inputs, outputs, shapes, sizes.pop(), deadline)


def _is_joinable(signature, inputs):
    """Whether the inputs given and every output have an unknown first dimension, the batch, and a default fits batches of any size."""
    infos = [*(signature.inputs[key] for key in inputs), *signature.outputs.values()]
    shapes = [info.tensor_shape for info in infos]
    defaults = [tensor.tensor_shape.dim for key, tensor in signature.defaults.items() if key not in inputs]
    return all(not dim or dim[0].size == 1 for dim in defaults) and all(not shape.unknown_rank and shape.dim and shape.dim[0].size == -1 for shape in shapes)


def _rows(requests):
    return sum(request.rows for request in requests)


def _first_batch(queue, max_rows):
    """The oldest request and those behind it that fit to it, in the order of their arrival."""
    batch, rows = [queue[0]], queue[0].rows
    if queue[0].shapes is None:
        return batch
    for request in list(queue)[1:]:
        if request.shapes == batch[0].shapes and rows + request.rows <= max_rows:
            batch.append(request)
            rows += request.rows
    return batch


def _is_wanted(request):
    """Whether someone still waits for the answer; from here on the future cannot be cancelled."""
    if not request.future.set_running_or_notify_cancel():
        return False
    if request.deadline is not None and time.monotonic() > request.deadline:
        request.future.set_exception(ServingError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline exceeded while in the queue"))
        return False
    return True


def _concatenate(arrays):
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
