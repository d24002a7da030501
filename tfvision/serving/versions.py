"""The versions of one model: its folder is watched, and a new version replaces the old one beside running requests."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import threading
import time
from typing import TYPE_CHECKING

import grpc

from tfvision.export.versions import version_folders
from tfvision.serving.errors import ServingError, as_serving_error

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tfvision.serving.metrics import ServingMetrics
    from tfvision.serving.models import ModelSettings
    from tfvision.serving.servable import Servable

DEFAULT_SIGNATURE = "serving_default"  # of a version, for requests that name none
_KEPT_ENDED = 10  # versions no longer served that the status still shows


@dataclasses.dataclass(frozen=True)
class VersionStatus:
    """State of a version: START, LOADING, AVAILABLE, UNLOADING or END; error_code is gRPC's number, 0 where all is well."""

    version: int
    state: str
    error_code: int = 0
    error_message: str = ""


class _Version:
    """One version folder: its state, the servable while it is loaded, and how many requests hold it."""

    def __init__(self, number: int, path: Path) -> None:
        self.number, self.path = number, path
        self.servable: Any = None  # a Servable, while it is loaded
        self.status = VersionStatus(number, "START")
        self.fingerprint: list[Any] | None = None  # of the folder when loading it failed
        self._leases, self._released = 0, threading.Condition()

    def set(self, state: str, error: ServingError | None = None) -> None:
        code, message = (error.code.value[0], error.message) if error else (0, "")
        self.status = VersionStatus(self.number, state, code, message)

    @property
    def state(self) -> str:
        return self.status.state

    def acquire(self) -> None:
        with self._released:
            self._leases += 1

    def release(self) -> None:
        with self._released:
            self._leases -= 1
            self._released.notify_all()

    def wait_until_free(self) -> None:
        with self._released:
            self._released.wait_for(lambda: self._leases == 0)


class WatchedModel:
    """One model: its versions by number, and the thread that loads and unloads them."""

    def __init__(self, settings: ModelSettings, metrics: ServingMetrics | None, poll_seconds: float) -> None:
        self.settings, self._metrics, self._poll_seconds = settings, metrics, poll_seconds
        self._versions: dict[int, _Version] = {}
        self._lock = threading.Lock()  # held to read or change _versions and states, never while loading
        self._stopping, self._asked = threading.Event(), threading.Event()  # asked to look at once
        self.settled = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"watch-{settings.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def reconfigure(self, settings: ModelSettings) -> None:
        """Other versions or labels of the same folder; `settled` once they have been looked for."""
        self.settled.clear()
        self.settings = settings
        self._asked.set()

    def stop(self) -> None:
        self._stopping.set()
        self._asked.set()
        if self._thread.is_alive():
            self._thread.join()
        self._unload([version for version in self._versions.values() if version.state == "AVAILABLE"])

    def serves(self) -> bool:
        with self._lock:
            return bool(self._available())

    def lease(self, number: int | None, label: str | None) -> _Version:
        """The version asked for, held until its `release`."""
        if label:
            number = self._labelled(label)
        with self._lock:
            available = self._available()
            if number is None and available:
                number = max(available)
            if number not in available:
                raise self._missing(number)
            available[number].acquire()
            return available[number]

    def status(self, number: int | None) -> list[VersionStatus]:
        with self._lock:
            statuses = [self._versions[key].status for key in sorted(self._versions, reverse=True)]
        if number is not None:
            statuses = [status for status in statuses if status.version == number]
            if not statuses:
                message = f"Could not find version {number} of model {self.settings.name}"
                raise ServingError(grpc.StatusCode.NOT_FOUND, message)
        if not statuses:
            raise no_versions(self.settings.name)
        return statuses

    def _available(self) -> dict[int, _Version]:
        return {number: version for number, version in self._versions.items() if version.state == "AVAILABLE"}

    def _labelled(self, label: str) -> int:
        if label not in self.settings.labels:
            raise no_label(label)
        return self.settings.labels[label]

    def _missing(self, number: int | None) -> ServingError:
        if not self.settled.is_set():
            return ServingError(grpc.StatusCode.UNAVAILABLE, f"The model {self.settings.name} is still loading; try again")
        return not_found(self.settings.name, number)

    def _watch(self) -> None:
        while not self._stopping.is_set():
            self._asked.clear()
            try:
                self._look()
            finally:
                if not self._asked.is_set():
                    self.settled.set()
            self._asked.wait(self._poll_seconds)

    def _look(self) -> None:
        """Brings what is loaded in line with what lies on disk: first loads, then unloads."""
        found = version_folders(self.settings.base_path)
        self._forget_repaired()
        while missing := [number for number in self._wanted(found) if number not in self._available()]:
            if self._stopping.is_set():
                return
            self._load(missing[0], found[missing[0]])
        wanted = self._wanted(found)
        # What serves goes only when what shall serve does: a broken or removed version never leaves the model without one.
        if wanted:
            self._unload([version for number, version in self._available().items() if number not in wanted])
            self._forget_ended(found)

    def _wanted(self, found: dict[int, Path]) -> list[int]:
        """The version numbers that shall serve, newest first; those that failed to load are passed over."""
        numbers = [number for number in sorted(found, reverse=True) if not self._failed(number)]
        if self.settings.policy == "specific":
            return [number for number in numbers if number in self.settings.versions]
        return numbers if self.settings.policy == "all" else numbers[: self.settings.num_versions]

    def _failed(self, number: int) -> bool:
        return number in self._versions and self._versions[number].fingerprint is not None

    def _load(self, number: int, path: Path) -> None:
        from tfvision.serving.servable import Servable  # here, so that settings can be read without TensorFlow

        version = _Version(number, path)
        with self._lock:
            self._versions[number] = version
        version.set("LOADING")
        fingerprint = _fingerprint(path)
        started = time.monotonic()
        try:
            servable = Servable.load(path, self.settings.name, number)
            try:
                self._warm_up(servable, path)
            except BaseException:
                servable.close()
                raise
        except Exception as error:
            version.fingerprint = fingerprint
            version.set("END", as_serving_error(error, grpc.StatusCode.UNKNOWN))
            if self.settled.is_set():  # before, whoever starts the server tells
                self._log_failure(version)
        else:
            version.servable = servable
            version.set("AVAILABLE")
        if self._metrics:
            self._metrics.loaded(str(path), version.status.error_code == 0, time.monotonic() - started)

    def _log_failure(self, version: _Version) -> None:
        served = ", ".join(map(str, sorted(self._available()))) or "none"
        logging.getLogger(__name__).error(
            "%s, version %d could not be loaded: %s. Served: %s. It is tried again when %s changes",
            *(self.settings.name, version.number, version.status.error_message, served, version.path),
        )

    def _warm_up(self, servable: Servable, path: Path) -> None:
        started = time.monotonic()
        if servable.warm_up() and self._metrics:
            self._metrics.warmed_up(str(path), time.monotonic() - started)

    def _unload(self, versions: list[_Version]) -> None:
        for version in versions:
            with self._lock:
                version.set("UNLOADING")
            version.wait_until_free()
            version.servable.close()
            version.servable = None
            version.set("END")
            if self._metrics:
                self._metrics.unloaded(str(version.path))

    def _forget_repaired(self) -> None:
        """A version that failed is tried again once its folder has changed."""
        with self._lock:
            for number, version in list(self._versions.items()):
                if version.fingerprint is not None and version.fingerprint != _fingerprint(version.path):
                    del self._versions[number]

    def _forget_ended(self, found: dict[int, Path]) -> None:
        with self._lock:
            ended = sorted(number for number, version in self._versions.items() if version.state == "END" and number not in found)
            for number in ended[:-_KEPT_ENDED]:
                del self._versions[number]


def not_found(name: str, number: int | None) -> ServingError:
    request = f"Latest({name})" if number is None else f"Specific({name}, {number})"
    return ServingError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {request}")


def no_label(label: str) -> ServingError:
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, f"Unrecognized servable version label: {label}")


def no_versions(name: str) -> ServingError:
    return ServingError(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {name}")


def _fingerprint(path: Path) -> list[Any]:
    """What changes when a file in the folder is written, added or removed."""
    files = []
    for folder, _, names in os.walk(path):  # which passes over what vanishes meanwhile
        for name in ["", *names]:
            with contextlib.suppress(OSError):
                stat = os.stat(os.path.join(folder, name))
                files.append((folder, name, stat.st_mtime_ns, stat.st_size))
    return sorted(files)
