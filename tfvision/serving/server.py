"""The local server: REST and gRPC in one process, over the models of a folder or a models.config.

with running_server("savedmodels", rest_port=0, grpc_port=0) as server:
    Client(server.rest_url).predict(...)
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import ipaddress
import signal
import socket
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from tfvision.errors import UserError
from tfvision.export.versions import version_folders
from tfvision.serving.batching import BatchingSettings
from tfvision.serving.models import ModelSettings, ModelStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

REST_PORT, GRPC_PORT = 8501, 8500  # TensorFlow Serving's
DRAIN_SECONDS = 30


class ServerError(UserError):
    """A server that cannot start, or has nothing to serve."""


def find_models(source: Path | str) -> list[ModelSettings]:
    """The models to serve.

    Args:
      source: a folder of models NAME/VERSION/, a model's own folder with its versions, or a models.config.

    Returns:
      List of ModelSettings.

    Raises:
      ServerError: there are none.
      ConfigurationError: a models.config that TensorFlow Serving would refuse.
    """

    source = Path(source)
    if source.is_file():
        from tfvision.serving.configuration import read_models_config

        return _configured_models(read_models_config(source))
    if not source.is_dir():
        raise ServerError(f"{source} does not exist: give a folder of exports, or make one with `tfvision export RUN`")
    if (source / "saved_model.pb").is_file():
        raise ServerError(f"{source} is one version of a model: give the folder that holds it, {source.absolute().parent}")
    folders = [source] if version_folders(source) else [path for path in sorted(source.iterdir()) if version_folders(path)]
    if not folders:
        raise ServerError(f"{source} holds no model NAME/VERSION/saved_model.pb: make one with `tfvision export RUN --to {source}`")
    return [ModelSettings(folder.resolve().name, str(folder)) for folder in folders]


def serve(source: Path | str, announce: Callable[[str], object] = print, **settings: Any) -> None:
    """Serves until SIGTERM or SIGINT, then answers what has come in and stops.

    Args:
      source: as `find_models`.
      announce: called with lines for the user.
      settings: as `RunningServer`.

    Raises:
      ServerError: nothing to serve, no model that loads, or a port that is taken.
    """
    stop = threading.Event()
    with _stopped_by_signals(stop), running_server(source, wait=False, **settings) as server:
        if not server.is_local:
            announce(f"warning: {server.host} can be reached from other machines, without a password: put a proxy before it")
        if not server.wait_until_loaded(stop, announce) and not stop.is_set():
            raise ServerError("no model could be loaded")
        for name in server.store.names():
            announce(f"REST  {server.rest_url}/v1/models/{name}")
        announce(f"gRPC  {server.grpc_address}")
        while not stop.wait(1):  # with a timeout, for signals reach Python between waits
            pass
        announce("stopping: what has come in is answered first")


@contextlib.contextmanager
def running_server(source: Path | str, wait: bool = True, **settings: Any) -> Iterator[RunningServer]:
    """A RunningServer that stops at the end of the block; with `wait`, its models have been loaded when it begins."""
    server = RunningServer(source, **settings)
    try:
        server.start()
        if wait:
            server.store.wait_until_ready()
        yield server
    finally:
        server.stop()


class RunningServer:
    """Both servers, in a thread of their own, and the models.

    Args:
      source: as `find_models`.
      host: address to listen on; others than loopback are open to the network.
      rest_port, grpc_port: 0 takes any free one.
      batching: BatchingSettings, or the path of a batching.config; None for the default.
      poll_seconds: how often the folders are looked at for new versions.
      limits: {field: value} of RequestLimits; None for the defaults.
      connections: {field: value} of ConnectionLimits; by default there are as many connections as the process may open files for, half
        of them for gRPC, and a body has as much time as a request.

    Attributes:
      rest_url, grpc_address: where it listens, once started.
      store: the ModelStore.

    Raises:
      UserError: nothing to serve, settings that do not fit, or a port that is taken.
    """

    def __init__(
        self,
        source: Path | str,
        host: str = "127.0.0.1",
        rest_port: int = REST_PORT,
        grpc_port: int = GRPC_PORT,
        batching: BatchingSettings | Path | str | None = None,
        poll_seconds: float = 1.0,
        limits: Mapping[str, Any] | None = None,
        connections: Mapping[str, Any] | None = None,
    ) -> None:
        self.host, self.is_local = host, _is_loopback(host)
        self._thread: threading.Thread | None = None
        models = find_models(source)
        self._roots = [Path(source)] if Path(source).is_dir() else [Path(model.base_path) for model in models]
        _listen(host, grpc_port, "gRPC").close()  # taken ports are told before TensorFlow is loaded
        self._socket = _listen(host, rest_port, "REST")
        try:
            self._build(models, grpc_port, batching, poll_seconds, limits, connections)
        except BaseException:
            self._socket.close()
            raise

    def start(self) -> None:
        """Starts to listen and to load; returns when requests are taken, which may be before the models are ready."""
        self.store.start()
        started: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(started)), name="serving", daemon=True)
        self._thread.start()
        started.result()

    def wait_until_loaded(self, stop: threading.Event, announce: Callable[[str], object]) -> bool:
        """Tells of each model as it is loaded; returns whether any serves."""
        waiting = self.store.names()
        settling = threading.Thread(target=self.store.wait_until_ready, daemon=True)
        settling.start()
        while waiting and not stop.is_set():
            settling.join(0.1)
            for name in [name for name in waiting if self.store.is_ready(name) or not settling.is_alive()]:
                waiting.remove(name)
                announce(self._loaded_line(name))
        return any(self.store.is_ready(name) for name in self.store.names())

    def stop(self) -> None:
        """Answers what has come in, then stops; may be called twice."""
        if self._thread is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended: a port could not be taken
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            self._thread = None
            self.store.stop()
        self._socket.close()

    def _build(self, models, grpc_port, batching, poll_seconds, limits, connections):
        from tfvision.serving.api import Api, RequestLimits
        from tfvision.serving.connections import ConnectionLimits, max_connections
        from tfvision.serving.metrics import ServingMetrics

        self._limits, self._grpc_port, self._metrics = RequestLimits(**(limits or {})), grpc_port, ServingMetrics()
        own = {"max_connections": max_connections() // 2, "body_seconds": self._limits.timeout_seconds}
        self._connections = ConnectionLimits(**own | dict(connections or {}))
        self.store = ModelStore(models, _batching(batching), self._metrics, poll_seconds)
        self._api = Api(self.store, self._metrics)
        self.rest_url = f"http://{_address(self.host, self._socket.getsockname()[1])}"

    async def _run(self, started):
        import PIL.Image

        from tfvision.serving.connections import BoundedServer
        from tfvision.serving.grpc_services import build_server
        from tfvision.serving.parsing_process import ParsingProcess
        from tfvision.serving.rest import RestApi

        PIL.Image.init()  # or the first photo waits for Pillow's plug-ins
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        parsing = ParsingProcess(self._limits.max_parsing_bytes)
        app = RestApi(self._api, self._metrics, self._limits, parsing)
        rest = BoundedServer(app, self._connections, app.refuse, timeout_graceful_shutdown=DRAIN_SECONDS)
        grpc_server = build_server(self._api, self._limits, self._connections, parsing, self._reload)
        try:
            port = grpc_server.add_insecure_port(_address(self.host, self._grpc_port))
            self.grpc_address = _address(self.host, port)
            await grpc_server.start()
            serving = asyncio.ensure_future(rest.serve(sockets=[self._socket]))
            while not rest.started and not serving.done():
                await asyncio.sleep(0.01)
            if serving.done():
                serving.result()
        except BaseException as error:
            started.set_exception(_port_error(self.host, self._grpc_port, "gRPC") if isinstance(error, RuntimeError) else error)
            return
        started.set_result(None)
        await self._stopping.wait()
        rest.should_exit = True
        await asyncio.gather(serving, grpc_server.stop(DRAIN_SECONDS))
        parsing.close()

    def _reload(self, config: ModelServerConfig) -> None:
        """Serves the models of a ReloadConfigRequest; a SavedModel is a program, and so must lie in what the user chose to serve."""
        import grpc

        from tfvision.serving.configuration import ConfigurationError, check_models_config
        from tfvision.serving.errors import ServingError

        if config.WhichOneof("config") != "model_config_list":
            message = "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"
            raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)
        try:
            if config.model_config_list.config:
                check_models_config(config, "the request")
        except ConfigurationError as error:
            raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from None
        models, roots = _configured_models(config), [root.resolve() for root in self._roots]
        for model in models:
            if not any(Path(model.base_path).resolve().is_relative_to(root) for root in roots):
                message = f"{model.base_path} is not among what this server was started with: start it with a folder that holds it"
                raise ServingError(grpc.StatusCode.PERMISSION_DENIED, message)
        self.store.reconfigure(models)

    def _status(self, name):
        from tfvision.serving.errors import ServingError

        try:
            return self.store.status(name)
        except ServingError:  # not looked at yet
            return []

    def _loaded_line(self, name):
        statuses = self._status(name)
        served = ", ".join(str(status.version) for status in statuses if status.state == "AVAILABLE")
        failed = "; ".join(f"version {status.version}: {status.error_message}" for status in statuses if status.error_code)
        if not served:
            return f"error: {name} could not be loaded: {failed or 'no version was found'}"
        return f"loaded {name}, version {served}" + (f" (not loaded: {failed})" if failed else "")


def _configured_models(configuration):
    models = []
    for config in configuration.model_config_list.config:
        policy = config.model_version_policy
        kind = policy.WhichOneof("policy_choice") or "latest"
        newest = max(1, policy.latest.num_versions)
        labels = dict(config.version_labels)
        models.append(ModelSettings(config.name, config.base_path, kind, newest, tuple(policy.specific.versions), labels))
    return models


def _batching(settings):
    from tfvision.serving.configuration import read_batching_config

    if settings is None or isinstance(settings, BatchingSettings):
        return settings or BatchingSettings()
    values = read_batching_config(settings)
    known = {field.name for field in dataclasses.fields(BatchingSettings)}
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if name in known}
    return BatchingSettings(**fields)


def _listen(host, port, kind):
    """A socket bound to the port, not yet listening."""
    try:
        family, kind_of_socket, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # Without the protocol asyncio leaves out TCP_NODELAY, and every answer waits 40 ms for an acknowledgement.
        bound = socket.socket(family, kind_of_socket, protocol)
    except (OSError, OverflowError) as error:
        raise ServerError(f"cannot listen on {host}, port {port}: {error}") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port left a moment ago is free
        bound.bind(address)
    except (OSError, OverflowError) as error:
        bound.close()
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise _port_error(host, port, kind) from None
        raise ServerError(f"cannot listen on {host}, port {port}: {getattr(error, 'strerror', None) or error}") from None
    return bound


def _port_error(host, port, kind):
    option = f"--{kind.lower()}-port"
    way_out = f"try `tfvision serve {option} {port + 100}`, or {option} 0 for any"
    return ServerError(f"port {port} of {host} is taken, {kind} cannot use it: {way_out}")


def _address(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_loopback(host):
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextlib.contextmanager
def _stopped_by_signals(stop):
    """SIGTERM and Ctrl-C set `stop`; a second one ends the process as usual."""
    kinds = (signal.SIGTERM, signal.SIGINT)
    before = {kind: signal.getsignal(kind) for kind in kinds}

    def restore():
        for kind, handler in before.items():
            signal.signal(kind, handler)

    def request_stop(number, frame):
        stop.set()
        restore()

    for kind in kinds:
        signal.signal(kind, request_stop)
    try:
        yield
    finally:
        restore()
