"""A SavedModel loaded by the session loader, the way TensorFlow Serving loads it."""

import inspect
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

from tfvision.errors import RunError
from tfvision.export.versions import version_folders
from tfvision.files import sha256_of

CHECKSUMS = Path("assets.extra", "SHA256SUMS")
_LOADED = ("saved_model.pb", "variables/", "assets/")
_INIT_SIGNATURES = ("__saved_model_init_op", "__saved_model_train_op")  # how loaders find their ops; nobody calls them


def load_session(path: str | Path, config: tf.compat.v1.ConfigProto | None = None) -> tuple[tf.compat.v1.Session, dict[str, SignatureDef]]:
    """Loads a SavedModel (tag "serve") into a graph and session of its own.

    Returns:
      tf.compat.v1.Session, {signature: SignatureDef}. Raises what the loader raises; of a file that is not as its export wrote it, DataLossError.
    """
    _check_files(Path(path))
    session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
    try:
        with session.graph.as_default():
            # Unwrapped, because its decorator advises every user to write other code.
            load = inspect.unwrap(tf.compat.v1.saved_model.loader.load)
            loaded = load(session, [tf.saved_model.SERVING], str(path))
    except BaseException:
        session.close()
        raise
    return session, {name: value for name, value in loaded.signature_def.items() if name not in _INIT_SIGNATURES}


def _check_files(folder):
    """Compares what is loaded with the checksums that an export has; they tell damage, not who made it."""
    sums = folder / CHECKSUMS
    lines = sums.read_text(encoding="utf-8", errors="replace").splitlines() if sums.is_file() else []
    for line in lines:
        digest, _, name = line.partition("  ")
        if name.startswith(_LOADED) and (folder / name).is_file() and sha256_of(folder / name) != digest:
            raise tf.errors.DataLossError(None, None, f"{name} is damaged or was changed: its SHA-256 is not that in {CHECKSUMS}")


def newest_version(folder: str | Path) -> Path:
    """The folder itself where it is a version's, else its highest version. Raises RunError where there is none."""
    folder = Path(folder)
    if (folder / "saved_model.pb").is_file():
        return folder
    if not (versions := _versions(folder)):
        raise RunError(f"{folder} holds no exported model: make one with `tfvision export RUN`")
    return versions[-1]


def is_export(folder: str | Path) -> bool:
    """Whether a folder is a SavedModel, or a model's folder with versions."""
    return (Path(folder) / "saved_model.pb").is_file() or bool(_versions(folder))


def _versions(folder):
    return [path for path in version_folders(folder).values() if (path / "saved_model.pb").is_file()]


class LoadedModel:
    """A SavedModel to call a few times; a context manager that frees it.

    Attributes:
      folder: where it lies.
      signatures: name -> SignatureDef.
    """

    def __init__(self, path: str | Path):
        """Loads the folder `path`. Raises RunError where it is no SavedModel, or a broken one."""
        self.folder = Path(path)
        try:
            self._session, self.signatures = load_session(path)
        except (OSError, ValueError, RuntimeError, TypeError, tf.errors.OpError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
            raise RunError(f"{path} cannot be loaded as a SavedModel ({reason}): export it again") from error

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Calls a signature: {input: array} -> {output: array}; inputs with a default may be left out."""
        definition = self.signatures[signature]
        feeds = {definition.inputs[name].name: values for name, values in inputs.items()}
        return self._session.run({name: info.name for name, info in definition.outputs.items()}, feeds)

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> "LoadedModel":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
