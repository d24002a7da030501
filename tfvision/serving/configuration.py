"""TensorFlow Serving's configuration: three files written from a folder of exports, checked before a server reads them.

`models.config` says which models and versions are served, `batching.config` how requests are joined to
batches, `monitoring.config` where Prometheus finds the metrics. All are protobuf text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tfvision.errors import UserError
from tfvision.export.versions import version_folders
from tfvision.files import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

METRICS_PATH = "/monitoring/prometheus/metrics"  # TensorFlow Serving's default
BATCHING = {
    "max_batch_size": 32,
    "batch_timeout_micros": 2000,
    "max_enqueued_batches": 32,
    "enable_large_batch_splitting": True,
}

# The messages that tensorflow-serving-api does not ship, field by field: session_bundle_config.proto and
# monitoring_config.proto of TensorFlow Serving. A capital marks a message: text like `name { value: 1 }`.
BATCHING_FIELDS = {
    "max_batch_size": "Int64Value",
    "batch_timeout_micros": "Int64Value",
    "max_enqueued_batches": "Int64Value",
    "num_batch_threads": "Int64Value",
    "thread_pool_name": "StringValue",
    "allowed_batch_sizes": "repeated int64",
    "pad_variable_length_inputs": "bool",
    "enable_large_batch_splitting": "BoolValue",
    "max_execution_batch_size": "Int64Value",
}
MONITORING_FIELDS = {"prometheus_config": "PrometheusConfig"}
PROMETHEUS_FIELDS = {"enable": "bool", "path": "string"}

COMMENTS = {
    "models.config": "# Written by tfvision from a folder of exports; it is written anew each time.",
    "batching.config": "# Yours to change: tfvision keeps this file where it exists. num_batch_threads is left to\n"
    "# TensorFlow Serving: as many as the machine has cores.",
    "monitoring.config": "# Yours to change: tfvision keeps this file where it exists.",
}


class ConfigurationError(UserError):
    """Configuration that TensorFlow Serving would refuse, or exports that it could not serve."""


def write_configuration(
    exports: Path | str,
    out: Path | str,
    base_path: str = "/models",
    newest: int | str = 1,
    labels: Mapping[str, Mapping[str, int]] | None = None,
    batching: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Writes `models.config`, `batching.config` and `monitoring.config` for the exports NAME/VERSION/ of a folder.

    Everything is checked before anything is written, and each file is written whole or not at all. A
    `batching.config` or `monitoring.config` that is there already is checked and kept.

    Args:
      exports: the folder of exports, as this machine sees it.
      out: the folder for the three files.
      base_path: the same folder of exports as the server sees it; absolute, or a URI such as gs://bucket/models.
      newest: how many of the newest versions of a model stay loaded, or "all".
      labels: {model: {label: version}}. A label must name a loaded version, so such a model is held to its
        labelled versions, whatever `newest` says. The server needs
        --allow_version_labels_for_unavailable_models=true.
      batching: fields of `batching.config`, instead of `BATCHING`; replaces a file that is there.

    Returns:
      {"path", "models": {name: [versions]}, "left_out": [lines], "kept": [files]}.

    Raises:
      ConfigurationError: there is nothing to serve, or an argument that TensorFlow Serving would refuse.
      StorageError: a file could not be written.
    """
    models, left_out = find_exports(exports)
    config = _models_config(models, base_path, newest, labels or {})
    out = Path(out)
    kept = [name for name, read in READERS.items() if (out / name).exists() and not (batching and name == "batching.config")]
    for name in kept:
        READERS[name](out / name)
    texts = {
        "batching.config": _batching_text(BATCHING if batching is None else batching),
        "monitoring.config": f'prometheus_config {{\n  enable: true\n  path: "{METRICS_PATH}"\n}}\n',
        "models.config": _models_text(config),  # last: a running server that polls it finds the others ready
    }
    for name, text in texts.items():
        if name not in kept:
            write_text(out / name, f"{COMMENTS[name]}\n{text}")
    return {"path": str(out), "models": models, "left_out": left_out, "kept": kept}


def check_configuration(folder: Path | str) -> dict[str, Any]:
    """Reads the three files of a folder as TensorFlow Serving would.

    Returns:
      {"models": [names], "batching": {field: value}, "monitoring": the path of the metrics}.

    Raises:
      ConfigurationError: a file is missing, malformed (its line is named) or would be refused.
    """
    folder = Path(folder)
    return {
        "models": [model.name for model in read_models_config(folder / "models.config").model_config_list.config],
        "batching": read_batching_config(folder / "batching.config"),
        "monitoring": read_monitoring_config(folder / "monitoring.config"),
    }


def find_exports(folder: Path | str) -> tuple[dict[str, list[int]], list[str]]:
    """Finds the SavedModels NAME/VERSION/saved_model.pb of a folder.

    Returns:
      {name: [versions, ascending]}, and a line for each folder that cannot be served.

    Raises:
      ConfigurationError: there is none.
    """
    models, left_out = {}, []
    for model in _folders(folder):
        numbers = {path: number for number, path in version_folders(model).items()}
        versions = []
        for version in _folders(model):
            name = f"{model.name}/{version.name}"
            if version not in numbers:
                left_out.append(f"{name}: a version is a whole number")
            elif not (version / "saved_model.pb").is_file():
                left_out.append(f"{name}: no saved_model.pb")
            else:
                versions.append(numbers[version])
        if versions:
            models[model.name] = sorted(versions)
        else:
            left_out.append(f"{model.name}: no version that can be served")
    if not models:
        raise ConfigurationError(f"{folder} holds no export NAME/VERSION/saved_model.pb; make one with `tfvision export RUN --to {folder}`")
    return models, left_out


def read_models_config(path: Path | str) -> ModelServerConfig:
    """Reads a `models.config` and applies TensorFlow Serving's own rules to it.

    Returns:
      A tensorflow_serving.config.model_server_config_pb2.ModelServerConfig.

    Raises:
      ConfigurationError: the file is missing, is not the text of that message (the line is named), or has a
        model that TensorFlow Serving would refuse.
    """
    from tensorflow_serving.config import model_server_config_pb2

    config = _parse(path, model_server_config_pb2.ModelServerConfig())
    check_models_config(config, path)
    return config


def check_models_config(config: ModelServerConfig, path: Path | str) -> None:
    """TensorFlow Serving's rules: ServerCore's ValidateModelConfigList, GetPlatform and UpdateModelVersionLabelMap.

    Raises:
      ConfigurationError: a model that it would refuse, or none; `path` is what its message begins with.
    """
    if config.WhichOneof("config") != "model_config_list" or not config.model_config_list.config:
        raise ConfigurationError(f"{path} lists no model: it needs `model_config_list {{ config {{ ... }} }}`")
    names: set[str] = set()
    for model in config.model_config_list.config:
        if problem := _model_problem(model, names):
            raise ConfigurationError(f"{path}, model {model.name!r}: {problem}")
        names.add(model.name)


def read_batching_config(path: Path | str) -> dict[str, Any]:
    """Reads a `batching.config`: {field: value}, for the fields that it sets.

    Raises:
      ConfigurationError: as `read_models_config`.
    """
    message = _parse(path, _message("BatchingParameters"))
    values = {field.name: _plain(value) for field, value in message.ListFields()}
    _check_batching(values, path)
    return values


def read_monitoring_config(path: Path | str) -> str | None:
    """Reads a `monitoring.config`: the path of the metrics, or None where they are off.

    Raises:
      ConfigurationError: as `read_models_config`.
    """
    prometheus = _parse(path, _message("MonitoringConfig")).prometheus_config
    if prometheus.path and not prometheus.path.startswith("/"):
        raise ConfigurationError(f"{path}: the metrics' path must begin with '/', got {prometheus.path!r}")
    return (prometheus.path or METRICS_PATH) if prometheus.enable else None


READERS = {"batching.config": read_batching_config, "monitoring.config": read_monitoring_config}


def _models_config(models, base_path, newest, labels):
    from tensorflow_serving.config import model_server_config_pb2

    if newest != "all" and not (isinstance(newest, int) and newest >= 1):
        raise ConfigurationError(f"newest must be a whole number from 1 or 'all', got {newest!r}")
    for name in labels.keys() - models.keys():
        raise ConfigurationError(f"labels name the model {name!r}; there are {', '.join(sorted(models))}")
    config = model_server_config_pb2.ModelServerConfig()
    for name, versions in models.items():
        model = config.model_config_list.config.add(name=name, base_path=f"{base_path.rstrip('/')}/{name}", model_platform="tensorflow")
        _set_policy(model, versions, newest, labels.get(name, {}))
    check_models_config(config, "models.config")
    return config


def _set_policy(model, versions, newest, labels):
    for label, version in labels.items():
        if version not in versions:
            known = ", ".join(map(str, versions))
            raise ConfigurationError(f"label {label!r} of {model.name} needs an exported version ({known}), got {version}")
        model.version_labels[label] = version
    if labels:
        model.model_version_policy.specific.versions.extend(sorted(set(labels.values())))
    elif newest == "all":
        model.model_version_policy.all.SetInParent()
    else:
        model.model_version_policy.latest.num_versions = newest


def _models_text(config):
    from google.protobuf import text_format

    return text_format.MessageToString(config)


def _batching_text(values):
    for name in values.keys() - BATCHING_FIELDS.keys():
        raise ConfigurationError(f"batching has no field {name!r}; known are {', '.join(BATCHING_FIELDS)}")
    _check_batching(values, "batching.config")
    lines = []
    for name, value in values.items():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            text = f'"{item}"' if isinstance(item, str) else str(item).lower()
            lines.append(f"{name} {{ value: {text} }}" if BATCHING_FIELDS[name][0].isupper() else f"{name}: {text}")
    return "\n".join(lines) + "\n"


def _model_problem(model, names):
    if not re.fullmatch("[^/:]+", model.name):
        return "a name must not be empty nor hold '/' or ':', for it is a part of the URL"
    if model.name in names:
        return "it is listed twice"
    if not re.match("/|[a-z][a-z0-9+.-]*://", model.base_path):
        return f"base_path must be absolute or a URI, got {model.base_path!r}"
    if bool(model.model_platform) == bool(model.model_type) or model.model_platform not in ("", "tensorflow"):
        return f"model_platform must be 'tensorflow', got {model.model_platform!r}"
    policy = model.model_version_policy
    if policy.WhichOneof("policy_choice") == "specific":
        if not policy.specific.versions:
            return "the policy `specific` names no version"
        for label, version in model.version_labels.items():
            if version not in policy.specific.versions:
                return f"label {label!r} names version {version}, which its policy does not load"
    for label in model.version_labels:
        if not re.fullmatch("[^/:]+", label):
            return f"a label must not be empty nor hold '/' or ':', got {label!r}"
    return None


def _check_batching(values, path):
    """The rules of TensorFlow Serving's batch scheduler."""
    for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads", "max_execution_batch_size"):
        if values.get(name, 1) < 1:
            raise ConfigurationError(f"{path}: {name} must be at least 1, got {values[name]}")
    if values.get("batch_timeout_micros", 0) < 0:
        raise ConfigurationError(f"{path}: batch_timeout_micros must not be negative, got {values['batch_timeout_micros']}")
    sizes = list(values.get("allowed_batch_sizes", []))
    if sizes != sorted(set(sizes)):
        raise ConfigurationError(f"{path}: allowed_batch_sizes must increase, got {sizes}")
    if sizes and sizes[-1] != values.get("max_batch_size"):
        raise ConfigurationError(f"{path}: the last of allowed_batch_sizes must be max_batch_size ({values.get('max_batch_size')}), got {sizes[-1]}")


def _parse(path, message):
    from google.protobuf import text_format

    try:
        return text_format.Parse(Path(path).read_text(encoding="utf-8"), message)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error})") from None
    except text_format.ParseError as error:
        reason = re.sub(r"^\d+:\d+ : ", "", str(error)).strip()
        raise ConfigurationError(f"{path}, line {error.GetLine()}: {reason}") from None


def _message(name):
    """An empty message of a type that the tables above describe."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

    file = descriptor_pb2.FileDescriptorProto(name="tfvision_serving.proto", package="tensorflow.serving", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    _describe(file, "BatchingParameters", BATCHING_FIELDS)
    _describe(file, "PrometheusConfig", PROMETHEUS_FIELDS)
    _describe(file, "MonitoringConfig", MONITORING_FIELDS)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.serving.{name}"))()


def _describe(file, name, fields):
    message = file.message_type.add(name=name)
    for number, (field, kind) in enumerate(fields.items(), 1):
        repeated, kind = kind.startswith("repeated "), kind.removeprefix("repeated ")
        entry = message.field.add(name=field, number=number, label=3 if repeated else 1)
        if kind[0].isupper():
            package = "google.protobuf" if kind.endswith("Value") else "tensorflow.serving"
            entry.type, entry.type_name = entry.TYPE_MESSAGE, f".{package}.{kind}"
        else:
            entry.type = {"int64": entry.TYPE_INT64, "bool": entry.TYPE_BOOL, "string": entry.TYPE_STRING}[kind]


def _plain(value):
    from google.protobuf.message import Message

    if isinstance(value, Message):
        return value.value
    return value if isinstance(value, (bool, int, str)) else list(value)


def _folders(folder):
    try:
        return sorted(path for path in Path(folder).iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be read ({error.strerror}); it must be a folder of exports") from None
