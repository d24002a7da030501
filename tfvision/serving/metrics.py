"""Prometheus metrics under the names, labels and buckets of TensorFlow Serving, so that its dashboards and alerts fit."""

import contextlib
import re
from collections.abc import Sequence

import grpc
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LATENCY_BUCKETS = [10 * 1.8**power for power in range(33)]  # microseconds, 10 to 20 minutes
_QUEUE_BUCKETS = [100 * 1.2**power for power in range(52)]  # microseconds, to 1 second


class ServingMetrics:
    """The metrics of one server, in a registry of its own; all times are given in seconds and shown in microseconds."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter("serving:request_count", "The total number of requests.", "model_name", "status")
        self._request_latency = self._histogram("serving:request_latency", "request", "model_name", "API", "entrypoint")
        self._runtime_latency = self._histogram("serving:runtime_latency", "Tensorflow runtime", "model_name", "API", "runtime")
        self._warm_up_latency = self._histogram("serving:model_warmup_latency", "warming up the model", "model_path", "status")
        self._queuing_latency = self._histogram("serving:batching_session:queuing_latency", "queuing", "thread_pool_name", buckets=_QUEUE_BUCKETS)
        self._runs = self._counter("serving:batching_session:wrapped_run_count", "Total count of run calls on the wrapped session")
        self._graph_runs = self._counter("core:graph_runs", "The number of graph executions.")
        self._graph_run_time = self._counter("core:graph_run_time_usecs", "The total time spent on executing graphs in microseconds.")
        self._loads = self._counter("cc:saved_model:load_attempt_count", "The number of times a SavedModel was loaded.", "model_path", "status")
        self._load_latency = self._counter("cc:saved_model:load_latency", "Latency in microseconds for SavedModels.", "model_path")

    def request(self, model_name: str, api: str, entrypoint: str, code: grpc.StatusCode, seconds: float) -> None:
        """One answered request: `api` Predict, Classify or Regress, `entrypoint` REST or GRPC, `code` a grpc.StatusCode.

        A caller passes "" as the name of a model that does not exist, or anyone could fill the memory with names.
        """
        self._requests.labels(model_name, code.name).inc()
        self._request_latency.labels(model_name, api, entrypoint).observe(seconds * 1e6)

    def queued(self, seconds: float) -> None:
        """How long one request waited for its batch."""
        self._queuing_latency.labels("tfvision").observe(seconds * 1e6)

    def ran(self, model_name: str, seconds: float) -> None:
        """One run of a model, for one batch."""
        self._runs.inc()
        self._graph_runs.inc()
        self._graph_run_time.inc(seconds * 1e6)
        self._runtime_latency.labels(model_name, "Predict", "TF1").observe(seconds * 1e6)

    def loaded(self, path: str, is_loaded: bool, seconds: float) -> None:
        """One attempt to load the version at `path`."""
        self._loads.labels(path, "success" if is_loaded else "fail").inc()
        self._load_latency.labels(path).inc(seconds * 1e6)

    def warmed_up(self, path: str, seconds: float) -> None:
        """The warm-up of the version at `path`."""
        self._warm_up_latency.labels(path, "OK").observe(seconds * 1e6)

    def unloaded(self, path: str) -> None:
        """Drops what was counted for the version at `path`, so that memory stays flat over any number of versions."""
        for metric, labels in [
            (self._loads, (path, "success")),
            (self._loads, (path, "fail")),
            (self._load_latency, (path,)),
            (self._warm_up_latency, (path, "OK")),
        ]:
            with contextlib.suppress(KeyError):
                metric.remove(*labels)

    def text(self) -> bytes:
        """The page that Prometheus reads: bytes of its text format."""
        text = generate_latest(self.registry).decode()
        # prometheus_client appends what TensorFlow Serving's names do not have, and a creation time for each metric.
        text = re.sub(r"^(# \w+ )?:[\w:]*_created\b.*\n", "", text, flags=re.MULTILINE)
        return re.sub(r"^((?:# \w+ )?:[\w:]*?)_total\b", r"\1", text, flags=re.MULTILINE).encode()

    def _counter(self, name: str, description: str, *labels: str) -> Counter:
        return Counter(f":tensorflow:{name}", description, labels, registry=self.registry)

    def _histogram(self, name: str, of: str, *labels: str, buckets: Sequence[float] = _LATENCY_BUCKETS) -> Histogram:
        description = f"Distribution of wall time (in microseconds) for {of}."
        return Histogram(f":tensorflow:{name}", description, labels, buckets=buckets, registry=self.registry)
