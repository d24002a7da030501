"""The record beside a picture, `picture.png.json`: all that it takes to make the very same picture again.

Paths are kept relative to the record, so that a folder moves as a whole; files are told apart by their SHA-256.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import typing
from pathlib import Path

from tfvision import __version__
from tfvision.apps.style.fast import network_files
from tfvision.apps.style.presets import Preset
from tfvision.data.picture_file import photos_of_folder
from tfvision.errors import DataError, FileError, RecipeError, RunError
from tfvision.files import checksum_of, read_json, write_json
from tfvision.kinds import Kind, is_of, wrong_part
from tfvision.models.perceptual import find_weights
from tfvision.models.programs import refuse_program
from tfvision.training.recipes import from_json

_NAMED_FILE: Kind = {"path": str, "sha256": str}
_KINDS: dict[str, Kind] = {
    "files": {str: [_NAMED_FILE]},
    "settings": dict,
    "network": {"name": str | None, "path": str | None, "sha256": str | None},
    "versions": dict[str, str],
    "frame": dict | None,
}
_WHOLE: Kind = {"output": _NAMED_FILE, "identity": str, "iterations": int, "seconds": float, "content_loss": float | None, "style_loss": float | None}
_BEFORE = {"carried_above": 0}  # what pictures were made with whose record does not say
_REMEDY = "restore it, or make the picture again"
_OWN_NETWORKS = ("vgg19", "vgg19_slim")  # of which no path is kept
_LIBRARIES = ("tensorflow", "keras", "numpy", "scipy", "pillow")
_NUMERIC_VARIABLES = ("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_DEFAULT_FPMATH_MODE", "OMP_NUM_THREADS")  # they change last digits


@dataclasses.dataclass(frozen=True)
class StyleJob:
    """What decides a picture: files and settings.

    Attributes:
      photo: path of a photo, an animation, or a folder of photos.
      paintings: paths.
      masks: paths, one a painting, white where it rules; () = everywhere.
      preset: Preset; of the preset "fast" its size and painting_scale count.
      blend: how the paintings mix, a number each; () = alike.
      colour: "" (the paintings'), "luminance" or "histogram" (the photo's: pictures.with_colours_of, pictures.recoloured).
      strength: how much of the paintings' manner, from 0 (the photo) to 1.
      is_fast: whether a feed-forward network makes the picture.
      module: which: a TensorFlow Hub handle or a folder; "" = the default.
    """

    photo: str
    paintings: tuple[str, ...]
    masks: tuple[str, ...] = ()
    preset: Preset = dataclasses.field(default_factory=Preset)
    blend: tuple[float, ...] = ()
    colour: str = ""
    strength: float = 1.0
    is_fast: bool = False
    module: str = ""

    FILES: typing.ClassVar[tuple[str, ...]] = ("photo", "paintings", "masks")


@dataclasses.dataclass(frozen=True)
class ReconstructionJob:
    """What decides a reconstruction (figure 1).

    Attributes:
      kind: "content" or "style".
      image: path.
      layers: names.
      preset: Preset.
    """

    kind: str
    image: str
    layers: tuple[str, ...]
    preset: Preset

    FILES: typing.ClassVar[tuple[str, ...]] = ("image",)
    is_fast: typing.ClassVar[bool] = False


Job = StyleJob | ReconstructionJob


def sidecar_path(output: str | Path) -> Path:
    """Where the record of a picture lies."""
    return Path(f"{output}.json")


def write_sidecar(output: str | Path, job: Job, made: dict, command: str, frame: dict | None = None) -> None:
    """Writes the record of a picture.

    Args:
      output: path of the picture.
      job: StyleJob of a single photo, or ReconstructionJob.
      made: what came out: iterations, losses, seconds, ...
      command: as it was typed.
      frame: of a frame, what it followed from.
    """
    folder = Path(output).absolute().parent
    files = {name: [_file(path, folder) for path in paths] for name, paths in _files(job).items()}
    write_json(sidecar_path(output), record_of(job, _file(output, folder), files, made, command, frame, folder))


def record_of(
    job: Job, output: dict[str, str], files: dict[str, list[dict[str, str]]], made: dict, command: str, frame: dict | None = None, folder: str | Path = "."
) -> dict:
    """The record of a picture, as `write_sidecar` writes it.

    Args:
      output, files: the picture's file, and those of each of the job's FILES: {"path": as the record tells it, "sha256"}.
      job, made, command, frame: as `write_sidecar`.
      folder: from which the path of weights of the user's is told.
    """
    network = _network(job, folder)
    return {
        "output": output,
        **made,
        "command": command,
        "files": files,
        "settings": _settings(job),
        "network": network,
        "versions": versions(),
        "identity": _identity(job, {name: [file["sha256"] for file in named] for name, named in files.items()}, network),
        "frame": frame,
    }


def made_before(output: str | Path, job: Job, frame: dict | None = None) -> dict | None:
    """The record of a picture that is there and was made of this very job, else None."""
    try:
        _, record = read_sidecar(output)
        if not is_of(record, _WHOLE) or not {"content_loss", "style_loss"} <= record.keys():
            return None
        is_same = record["output"]["sha256"] == sha256_of(output) and record["identity"] == identity(job)
        return record if is_same and record.get("frame") == frame else None
    except (FileError, DataError):
        return None


def read_sidecar(path: str | Path) -> tuple[Path, dict]:
    """(path, record) of a picture or of its record. Raises FileError."""
    path = Path(path)
    path = path if path.suffix == ".json" else sidecar_path(path)
    if not path.exists():
        raise RunError(f"{path} does not exist: give the record that `tfvision stylize` left beside its picture")
    record = read_json(path, object, _REMEDY, RunError)
    if not isinstance(record, dict) or not _KINDS.keys() - {"frame"} <= record.keys():
        raise RunError(f"{path} is no record of `tfvision stylize`")
    if wrong := wrong_part(record, _KINDS):
        raise RunError(f"{path} is no whole record of `tfvision stylize` (its {wrong!r} cannot be): {_REMEDY}")
    return path, record


def job_like(path: str | Path, module: str = "") -> StyleJob:
    """The StyleJob that a record tells of.

    Args:
      module: that the user named, which takes the place of the record's.

    Raises:
      FileError: the record is none or is not whole, or its module is a program that the user did not name too (models.programs).
    """
    path, record = read_sidecar(path)
    if record.get("frame"):
        raise RunError(f"{path} is the record of one frame, which followed from others: run the whole again: {record.get('command')}")
    try:
        files = {name: tuple(os.path.relpath(path.parent / file["path"]) for file in files) for name, files in record["files"].items()}
        settings: dict = {name: tuple(value) if isinstance(value, list) else value for name, value in record["settings"].items()}
        settings["preset"] = dataclasses.replace(from_json({**_BEFORE, **settings["preset"]}, Preset), **_network_then(path, record))
        settings["module"] = module or settings["module"]
        kinds = typing.get_type_hints(StyleJob)
        if wrong := [name for name, value in settings.items() if name != "preset" and not is_of(value, kinds.get(name, object))]:
            raise TypeError(f"its {wrong[0]} cannot be {settings[wrong[0]]!r:.40}")
        if settings["is_fast"] and not module:
            refuse_program(settings["module"], str(path), "--module", RunError)
        if not files["paintings"]:
            raise ValueError("it names no painting")
        return StyleJob(files["photo"][0], files["paintings"], files["masks"], **settings)
    except RecipeError as error:
        raise RunError(f"{path}: {error}") from error
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise RunError(f"{path} is no whole record of `tfvision stylize` ({type(error).__name__}: {error})") from error


def differences(path: str | Path, job: Job) -> list[str]:
    """Why a job may not make the very picture of a record: a list of sentences. Raises RunError, DataError."""
    path, record = read_sidecar(path)
    found = []
    for name, paths in _files(job).items():
        if [file["sha256"] for file in record["files"].get(name, ())] != [sha256_of(file) for file in paths]:
            found.append(f"{name}: not what it was then")
    then, now = record["versions"], versions()
    found += [f"{name}: {then.get(name)} then, {now.get(name)} now" for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
    network_then = record["network"].get("sha256")
    if network_then != _network(job).get("sha256") and (network_then or not job.is_fast):  # old records have none of fast networks
        found.append("network: not the weights of then")
    return found


def identity(job: Job) -> str:
    """SHA-256 of all that decides a picture, versions apart: settings, files and weights."""
    return _identity(job, {name: [sha256_of(path) for path in paths] for name, paths in _files(job).items()}, _network(job))


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, as hexadecimal digits; of a folder, that of its photos. Raises DataError."""
    if os.path.isdir(path):
        return checksum_of([[photo.name, sha256_of(photo)] for photo in photos_of_folder(path)])
    try:
        facts = os.stat(path)
        return _digest(os.path.abspath(path), facts.st_mtime_ns, facts.st_size)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise DataError(f"{path} cannot be read ({getattr(error, 'strerror', error)})") from error


@functools.lru_cache(maxsize=64)
def _digest(path, changed, size):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Of all that computes, and the variables that change its last digits."""
    found = {"tfvision": __version__, "python": platform.python_version(), "processor": platform.machine()}
    found |= {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return found | {name: os.environ[name] for name in _NUMERIC_VARIABLES if name in os.environ}


def _identity(job, digests, network):
    settings = _settings(job)
    del settings["preset"]["network"]  # its weights tell more
    text = json.dumps([settings, digests, network.get("sha256")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _file(path, folder):
    return {"path": os.path.relpath(path, folder), "sha256": sha256_of(path)}


def _files(job):
    """name -> list of paths."""
    values = {name: getattr(job, name) for name in job.FILES}
    return {name: [value] if isinstance(value, str) else list(value) for name, value in values.items()}


def _settings(job):
    return {name: value for name, value in dataclasses.asdict(job).items() if name not in job.FILES}


def _network(job, folder="."):
    """The name and SHA-256 of the perceptual network's weights, and their path where they are the user's."""
    if job.is_fast:
        digests = [sha256_of(file) for file in network_files(job.module)]
        return {"sha256": checksum_of(digests)} if digests else {}
    path, name, _ = find_weights(job.preset.network)
    known = {"name": name, "sha256": sha256_of(path)}
    return known if name in _OWN_NETWORKS else {**known, "path": os.path.relpath(path, folder)}


def _network_then(path, record):
    network = record["network"]
    if "path" in network:
        return {"network": os.path.relpath(path.parent / network["path"])}
    if record["settings"].get("is_fast"):
        return {}
    if network and network["name"] not in _OWN_NETWORKS:
        raise ValueError(f"its network cannot be {network['name']!r:.40}")
    return {"network": network["name"]} if network else {}
