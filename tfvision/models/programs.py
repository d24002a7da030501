"""Networks that are programs: modules of TensorFlow Hub and Kaggle; what data names is never run unless the user names it too."""

import re
import warnings
from pathlib import Path
from typing import Any

from tfvision.errors import UserError, WeightsError, in_one_line

# OWNER/MODEL/FRAMEWORK/VARIATION[/VERSION], as kagglehub takes it and as Kaggle's pages show it
_KAGGLE = re.compile(
    r"(kaggle:|https://(?:www\.)?kaggle\.com/models/)?(\w[\w.-]*/\w[\w.-]*)/(?:frameworks/)?(\w+)/(?:variations/)?(\w[\w.-]*)(?:/(?:versions/)?(\d+))?/?"
)


def is_program(model: str) -> bool:
    """Whether a name leads to a SavedModel or to a module of TensorFlow Hub, which do what their author put into them.

    A run (weights and a recipe) and a network of the catalogue are not: this code alone says what they compute.
    """
    parts = [Path(part.strip()) for part in model.split(",")]  # a network may be of several files
    return bool(model) and not (parts[0] / "recipe.json").is_file() and (any(part.exists() for part in parts) or ":" in model or bool(kaggle_handle(model)))


def refuse_program(model: str, named_by: str, option: str, error: type[UserError]) -> None:
    """Raises `error` where a model that only a file names is a program.

    Args:
      named_by: the gallery or record that names it.
      option: with which the user names it too.
    """
    if is_program(model):
        raise error(f"{named_by} names the model {model}, which can do more than see pictures: if you trust who made it, repeat it: {option} {model}")


def kaggle_handle(name: str) -> str:
    """The name of a module of Kaggle ("kaggle:HANDLE", the address of its page, or a handle of TensorFlow's) as kagglehub takes it; "" of all else."""
    found = _KAGGLE.fullmatch(name)
    if not found or not (found[1] or found[3].lower().startswith("tensorflow")):
        return ""
    return "/".join(filter(None, found.groups()[1:]))


def open_module(name: str, remedy: str) -> tuple[Any, str]:
    """Loads a module, which is a program.

    Args:
      name: a folder, a handle of Kaggle (`kaggle_handle`) or one of TensorFlow Hub. What is here already is not downloaded again.
      remedy: what to do where it cannot be had, for the error.

    Returns:
      (module, its folder).

    Raises:
      WeightsError: it cannot be had.
    """
    handle = "" if Path(name).exists() else kaggle_handle(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that pkg_resources, which it imports, is old
            import tensorflow_hub
        folder = _download_from_kaggle(handle) if handle else tensorflow_hub.resolve(name)
        return tensorflow_hub.load(folder), folder
    except Exception as error:  # urllib, ssl, tarfile, kagglehub and TensorFlow raise many kinds
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{name} could not be loaded from {'Kaggle' if handle else 'TensorFlow Hub'} ({in_one_line(error)}). {remedy}") from error


def _download_from_kaggle(handle: str) -> str:
    try:
        import kagglehub
    except ImportError as error:
        remedy = "pip install 'tfvision[kaggle]', or give a folder with the module"
        raise WeightsError(f"{handle} is of Kaggle, whose client is not installed ({error}): {remedy}") from None
    return kagglehub.model_download(handle)
