"""The models that a server has: their settings, and the store that finds the version for a request."""

from __future__ import annotations

import dataclasses
import gc
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING

import grpc

from tfvision.errors import UserError
from tfvision.serving.batching import Batcher, BatchingSettings
from tfvision.serving.errors import ServingError
from tfvision.serving.versions import DEFAULT_SIGNATURE, VersionStatus, WatchedModel, no_label, no_versions, not_found

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import numpy as np
    from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

    from tfvision.serving.metrics import ServingMetrics

__all__ = ["ModelSettings", "ModelStore", "VersionStatus"]

POLICIES = ("latest", "all", "specific")


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """One model.

    Attributes:
      name: what clients call it.
      base_path: the folder that holds its version folders, 1, 2, ...
      policy: "latest" (the newest `num_versions` that load), "all", or "specific" (`versions`).
      labels: {label: version}.
    """

    name: str
    base_path: str
    policy: str = "latest"
    num_versions: int = 1
    versions: tuple[int, ...] = ()
    labels: dict[str, int] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise UserError(f"the version policy of {self.name} must be one of {', '.join(POLICIES)}, got {self.policy!r}")
        if self.policy == "latest" and self.num_versions < 1:
            raise UserError(f"num_versions of {self.name} must be at least 1, got {self.num_versions}")


class ModelStore:
    """All models; one thread a model watches its folder, loads and unloads.

    Args:
      models: list of ModelSettings.
      metrics: ServingMetrics, or None.
      poll_seconds: how often the folders are looked at.
    """

    def __init__(
        self, models: Sequence[ModelSettings], batching: BatchingSettings = BatchingSettings(), metrics: ServingMetrics | None = None, poll_seconds: float = 1.0
    ) -> None:
        names = [settings.name for settings in models]
        if len(set(names)) < len(names):
            raise UserError(f"two models have the same name: {', '.join(sorted(names))}")
        self._batching, self._metrics, self._poll_seconds = batching, metrics, poll_seconds
        self._models = {settings.name: self._watch(settings) for settings in models}
        self._reconfiguring = threading.Lock()
        self._batcher: Any = None  # a Batcher, once it is started

    def start(self) -> None:
        """Starts loading what is there and watching for more; returns at once."""
        _speed_up_garbage_collection()
        self._batcher = Batcher(self._batching, self._metrics)
        for model in self._models.values():
            model.start()

    def wait_until_ready(self, timeout_seconds: float | None = None) -> bool:
        """Waits until every model has been looked at once; returns whether each has a version that serves."""
        end = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        for model in self._models.values():
            model.settled.wait(None if end is None else max(0.0, end - time.monotonic()))
        return self.is_ready()

    def stop(self) -> None:
        """Answers what is queued, then frees all models."""
        if self._batcher is not None:
            self._batcher.close()
        for model in self._models.values():
            model.stop()
        gc.unfreeze()

    def is_ready(self, name: str | None = None) -> bool:
        """Whether the model `name`, or every model, has a version that serves."""
        models = self._models.values() if name is None else [self._models[name]] if name in self._models else []
        return bool(models) and all(model.serves() for model in models)

    def submit(
        self,
        name: str,
        version: int | None,
        label: str | None,
        signature_name: str,
        inputs: dict[str, np.ndarray],
        outputs: Sequence[str] = (),
        deadline: float | None = None,
    ) -> tuple[int, Future[dict[str, np.ndarray]]]:
        """Queues a request for a model.

        Args:
          name: of the model.
          version, label: which version; None and None mean the newest that serves.
          signature_name: "" means serving_default.
          inputs, outputs: as `Servable.run`.
          deadline: of time.monotonic(), after which the request is not run; or None.

        Returns:
          (version, Future of {name: array}); the future may fail with ServingError.

        Raises:
          ServingError: NOT_FOUND, UNAVAILABLE while the first version is loading, RESOURCE_EXHAUSTED, INVALID_ARGUMENT.
        """
        loaded = self._find(name, version, label).lease(version, label)
        try:
            future = self._batcher.submit(loaded.servable, signature_name or DEFAULT_SIGNATURE, inputs, outputs, deadline)
        except BaseException:
            loaded.release()
            raise
        future.add_done_callback(lambda _: loaded.release())
        return loaded.number, future

    def check_room(self, name: str, version: int | None = None, label: str | None = None, signature_name: str | None = None) -> None:
        """Raises the RESOURCE_EXHAUSTED with which `submit` would refuse any request now.

        Args:
          signature_name: None = of any signature.
        """
        try:
            loaded = self._find(name, version, label).lease(version, label)
        except ServingError:
            return  # `submit` says so, once the request is understood
        try:
            self._batcher.check_room(loaded.servable, signature_name)
        finally:
            loaded.release()

    def signatures(self, name: str, version: int | None = None, label: str | None = None) -> tuple[int, dict[str, SignatureDef]]:
        """(version, {name: SignatureDef}) of a version that serves; raises ServingError as `submit`."""
        loaded = self._find(name, version, label).lease(version, label)
        try:
            return loaded.number, dict(loaded.servable.signatures)
        finally:
            loaded.release()

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """List of VersionStatus, newest first; raises ServingError NOT_FOUND for what was never seen."""
        if name not in self._models:
            raise no_versions(name)
        return self._models[name].status(version)

    def names(self) -> list[str]:
        """The names of all models, sorted."""
        return sorted(self._models)

    def reconfigure(self, models: Sequence[ModelSettings]) -> None:
        """Serves these models instead, as TensorFlow Serving does on ReloadConfig: what stays the same goes on, the rest is loaded
        before anything is given up.

        Raises:
          ServingError: UNKNOWN where a new or changed model has no version that can be loaded; the others are served all the same.
        """
        with self._reconfiguring:
            before, after, changed = self._models, {}, []
            for settings in models:
                model = before.get(settings.name)
                if model is None or model.settings.base_path != settings.base_path:
                    model = self._watch(settings)
                    model.start()
                elif model.settings != settings:
                    model.reconfigure(settings)
                after[settings.name] = model
                if model is not before.get(settings.name) or not model.settled.is_set():
                    changed.append(model)
            for model in changed:
                model.settled.wait()
            self._models = after
            for name, model in before.items():
                if after.get(name) is not model:
                    model.stop()
        if failed := sorted(model.settings.name for model in changed if not model.serves()):
            raise ServingError(grpc.StatusCode.UNKNOWN, f"{len(failed)} servable(s) did not become available: {{{', '.join(failed)}}}")

    def _watch(self, settings: ModelSettings) -> WatchedModel:
        return WatchedModel(settings, self._metrics, self._poll_seconds)

    def _find(self, name: str, version: int | None, label: str | None) -> WatchedModel:
        if not name:
            raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, "ModelSpec has no name specified.")
        if name not in self._models:
            raise no_label(label) if label else not_found(name, version)
        return self._models[name]


def _speed_up_garbage_collection() -> None:
    """Takes what is in memory now out of the collector's view, until `stop`.

    A version that is unloaded must be collected, or memory would grow; with all of TensorFlow's objects in view that holds
    every request for 0.2 s, without them for 1 ms.
    """
    import tensorflow  # noqa: F401, its objects are what this is about

    gc.collect()
    gc.freeze()
