"""An Exportable -> savedmodels/NAME/VERSION/, as TensorFlow Serving deploys it.

The folder is written under a temporary name, which TensorFlow Serving ignores, synced and renamed.

    saved_model.pb, variables/          what is served
    assets/                             labels, taxonomy, calibration
    assets.extra/                       warm-up requests, model card, preprocessing, sample request and response
    assets.extra/SHA256SUMS             `sha256sum -c assets.extra/SHA256SUMS`, from the version's folder
"""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfvision.errors import RunError
from tfvision.export.exportable import Exportable
from tfvision.export.model_card import model_card_json, model_card_markdown
from tfvision.export.session import CHECKSUMS, LoadedModel
from tfvision.export.versions import version_folders
from tfvision.export.warm_up import write_warm_up
from tfvision.files import atomic_folder, checksum_lines, remove_partial_files, temporary_folder, write_json, write_text

_PLAIN_NAME = re.compile(r"(?!\.)[^/\\:\x00-\x1f]{1,200}")  # a folder below --to, and what is asked for at /v1/models/NAME


def write_saved_model(
    exportable: Exportable,
    to: str | Path = "savedmodels",
    name: str | None = None,
    version: int | None = None,
    finish: Callable[[LoadedModel, dict], object] | None = None,
    licence: str = "",
) -> Path:
    """Writes a SavedModel.

    Args:
      exportable: Exportable.
      to: folder of all models.
      name: of the model; None = the exportable's.
      version: whole number above 0; None = one more than the highest there is.
      finish: a function of the model, as it was written to the temporary folder, and its card, called before checksums are
        taken; what it raises leaves nothing behind.
      licence: of the model, for its card.

    Returns:
      Path of the version's folder.

    Raises:
      RunError: the version exists already, or is no whole number above 0; a name that is no plain one.
      StorageError: the folder cannot be written; nothing is left of it.
    """
    target = _target(Path(to), name or exportable.name, version)
    remove_partial_files(target.parent)
    with atomic_folder(target) as folder:
        _save(exportable, folder)
        extra = folder / "assets.extra"
        extra.mkdir()
        write_warm_up(extra, name or exportable.name, exportable.signatures)
        card = model_card_json(exportable, name or exportable.name, int(target.name), licence)
        write_json(extra / "model_card.json", card)
        write_text(extra / "model_card.md", model_card_markdown(card))
        write_json(extra / "preprocessing.json", exportable.preprocessing)
        with LoadedModel(folder) as model:  # once: graphs are optimised at their first call
            _write_sample(exportable, model)
            if finish:
                finish(model, card)
        write_text(folder / CHECKSUMS, checksum_lines(sorted(path for path in folder.rglob("*") if path.is_file()), folder))
    return target


def _target(to, name, version):
    if not _PLAIN_NAME.fullmatch(name):
        raise RunError(f"a model's name has no slash and no colon and begins with no dot, got {name!r}: give another with --name")
    model = to / name
    versions = version_folders(model)
    version = max(versions, default=0) + 1 if version is None else version
    if version < 1:
        raise RunError(f"--version must be a whole number above 0, got {version}")
    if version in versions:
        raise RunError(f"{model / str(version)} exists already: leave --version out for {max(versions) + 1}, or remove the folder")
    return model / str(version)


def _save(exportable, folder):
    module = tf.Module()
    module.weights = exportable.variables
    with temporary_folder(folder) as scratch:
        for name, text in exportable.assets.items():
            Path(scratch, name).write_text(text, encoding="utf-8")
        module.files = [tf.saved_model.Asset(os.path.join(scratch, name)) for name in exportable.assets]
        functions = {name: signature.function for name, signature in exportable.signatures.items()}
        tf.saved_model.save(module, str(folder), signatures=functions)
    _finish_graph(folder / "saved_model.pb", exportable.signatures)
    shutil.rmtree(folder / "assets.extra", ignore_errors=True)


def _finish_graph(path, signatures):
    """Gives signatures their method, which `tf.saved_model.save` does not."""
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for graph in model.meta_graphs:
        for name, signature in signatures.items():
            graph.signature_def[name].method_name = signature.method
    path.write_bytes(model.SerializeToString(deterministic=True))


def _write_sample(exportable, model):
    """The REST request of the first sample, and what the saved model answers to it."""
    from tfvision.export.rest_sample import rest_request, rest_response

    inputs = {name: values[:1] for name, values in exportable.signatures["serving_default"].samples.items()}
    extra = model.folder / "assets.extra"
    write_json(extra / "sample_request.json", rest_request(inputs))
    write_json(extra / "sample_response.json", rest_response(model.run("serving_default", inputs)))
