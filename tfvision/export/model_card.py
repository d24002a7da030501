"""The model card of an export: what it is, what it was measured to do, and how to call it.

After Mitchell et al., "Model Cards for Model Reporting" (2019).
"""

import json
import platform
import re
import subprocess
from pathlib import Path

import keras
import tensorflow as tf

from tfvision import __version__
from tfvision.export.exportable import Exportable
from tfvision.training.run import Run


def model_card_json(exportable: Exportable, name: str, version: int, licence: str = "") -> dict:
    """The card as a dict; licence fields that are empty are for the owner of the data and the weights to fill in."""
    return {
        "name": name,
        "version": version,
        **exportable.facts,
        "Signatures": {key: {"description": signature.description, **_specs(signature.function)} for key, signature in exportable.signatures.items()},
        "Preprocessing": exportable.preprocessing,
        "Licence": {"model": licence, "training data": "", "pretrained weights": ""},
        "Exported with": {
            "tfvision": __version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "python": platform.python_version(),
            "git": _git_commit(),
        },
    }


def model_metadata(exportable: Exportable, card: dict) -> dict[str, str]:
    """What travels within a model of another runtime, which has no folder beside it: key -> text, JSON where it is more than a text."""
    labels = {"labels": json.dumps(exportable.assets["labels.txt"].splitlines(), ensure_ascii=False)} if "labels.txt" in exportable.assets else {}
    return {
        "name": card["name"],
        "version": str(card["version"]),
        "run": exportable.name,
        "licence": card["Licence"]["model"] or "not stated",
        **labels,
        "preprocessing": json.dumps(card["Preprocessing"], ensure_ascii=False),
        "model_card": json.dumps(card, ensure_ascii=False),
    }


def training_facts(run: Run, **own: object) -> dict:
    """The last facts of a card: by which recipe a model was trained, and with what.

    Args:
      own: what else of the recipe is told, beside its name and seed.
    """
    return {"Recipe": {"name": run.recipe.name, "seed": run.recipe.seed, **own}, "Trained with": run.facts["versions"]}


def source_name(run: Run) -> str:
    """What the photos' folder or file is called, not where it lay."""
    return Path(run.facts["source"]).name


def without_folders(text: str) -> str:
    """A text with each path in it cut to the file's name."""
    return re.sub(r"/\S*/", "", text)


def model_card_markdown(card: dict) -> str:
    """The card for people."""
    lines = [f"# {card['name']}, version {card['version']}", ""]
    for heading, value in card.items():
        if heading not in ("name", "version"):
            lines += [f"## {heading}", "", *_section(value), ""]
    return "\n".join(lines)


def _section(value):
    if not isinstance(value, dict):
        return [str(value)]
    return ["| | |", "|---|---|", *(f"| {key} | {_cell(entry)} |" for key, entry in value.items())]


def _cell(value):
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_cell(entry)}" for key, entry in value.items())
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value) if value not in ("", None) else "(not stated)"


def _specs(function):
    concrete = function.get_concrete_function()
    _, inputs = concrete.structured_input_signature
    arguments = concrete.structured_input_signature[0]
    inputs = {**{spec.name: spec for spec in tf.nest.flatten(arguments)}, **inputs}
    return {
        "inputs": {name: _spec(spec) for name, spec in inputs.items()},
        "outputs": {name: _spec(spec) for name, spec in concrete.structured_outputs.items()},
    }


def _spec(spec):
    return f"{spec.dtype.name} {[size if size is not None else '?' for size in spec.shape]}"


def _git_commit():
    try:
        done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
