"""What is asked of the frozen things, and how: `make.py` stores the answers, tests/test_frozen.py asks again."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

_ROSE, _VIOLET, _SKY = "{colours}/Rosa_rubra_1.png", "{colours}/Viola_prima_3.png", "{colours}/Caerula_alta_5.png"

# name -> commands, given one after the other; the answer is what the last one prints. {name} is the place of that thing, {out} is empty.
# Searches ask for all that there is, so that no order of near ties decides what is found.
QUESTIONS = {
    "species: identify": [["identify", "{species}", _ROSE, _VIOLET, _SKY, "--json"]],
    "species: identify within a taxon": [["identify", "{species}", _VIOLET, "--within", "Reds", "--threshold", "0.3", "--json"]],
    "species: evaluate": [["evaluate", "{species}", "{colours}", "--out", "{out}/report", "--json"]],
    "species: identify by the export": [["identify", "{export}", _ROSE, _VIOLET, _SKY, "--json"]],
    "gallery: info": [["index", "info", "{gallery}", "--json"]],
    "gallery: search": [["search", "{gallery}", _ROSE, "-k", "24", "--where", "order=Reds", "--model", "{species}", "--json"]],
    "gallery: search for two": [["search", "{gallery}", _ROSE, _SKY, "-k", "12", "--where", "species=Viola prima", "--model", "{species}", "--json"]],
    "gallery: search by its hnsw index": [
        ["search", "{gallery}", _SKY, "-k", "12", "--where", "species=Viola prima", "--method", "hnsw", "--model", "{species}", "--json"]
    ],
    "gallery: vectors made again": [["index", "build", "{colours}", "--model", "{species}", "--out", "{out}/gallery", "--json"]],
    "retriever: evaluate": [["evaluate", "{retriever}", "{hues}", "--out", "{out}/report", "--json"]],
    "retriever: search": [
        ["index", "build", "{hues}", "--model", "{retriever}", "--out", "{out}/gallery", "--json"],
        ["search", "{out}/gallery", "{hues}/hue5_2.png", "-k", "32", "--json"],
    ],
    "retriever: search by another layer": [
        ["index", "build", "{hues}", "--model", "{retriever}", "--layer", "tuned6", "--out", "{out}/gallery", "--json"],
        ["search", "{out}/gallery", "{hues}/hue0_1.png", "-k", "4", "--where", "label=hue 7", "--json"],
    ],
    "detector: detect": [["detect", "{detector}", *(f"{{detection}}/{number}.png" for number in range(4)), "--json"]],
    "matcher: evaluate": [["evaluate", "{matcher}", "{tattoos}", "--no-calibration", "--out", "{out}/report", "--json"]],
    "matcher: search, with likelihoods": [
        ["index", "build", "{tattoos}", "--model", "{matcher}", "--out", "{out}/gallery", "--json"],
        ["search", "{out}/gallery", "{tattoos}/subject3_1.png", "-k", "22", "--json"],
    ],
    "stylizer: stylize": [["stylize", _SKY, "{painting}", "--preset", "fast", "--module", "{stylizer}", "-o", "{out}/painted.png", "--json"]],
    "prepared: check": [["data", "check", "{prepared}", "--out", "{out}/report", "--json"]],
    "prepared: search": [
        ["index", "build", "{prepared}", "--model", "{species}", "--out", "{out}/gallery", "--json"],
        ["search", "{out}/gallery", _VIOLET, "-k", "12", "--where", "genus=Viola", "--json"],
    ],
}
_KEPT = {  # of answers that are long
    "species: evaluate": ("images", "accuracy", "top5", "accuracy_by_rank", "calibration_error", "left_out"),
    "retriever: evaluate": ("queries", "map", "index", "by_layer", "left_out"),
    "matcher: evaluate": ("distance", "probes", "mated", "gallery", "cmc", "map", "eer"),
}
_PASSING = {"seconds", "megabytes", "report", "output", "headline", "tfvision", "recipe"}  # differ from time to time and place to place


def ask(name, places, out):
    """The answers to a question: a list of what was printed as JSON, then vectors and pictures that were made.

    Args:
      places: {name: path} of all that questions speak of; paths in answers become {name} again.
      out: an empty folder.
    """
    places = {**places, "out": out}
    for command in QUESTIONS[name]:
        printed = _run([part.format(**places) for part in command])
    answers = [_kept(json.loads(line), _KEPT.get(name)) for line in printed.splitlines()]
    if (Path(out) / "gallery").exists():
        answers.append({"vectors": _vectors(Path(out) / "gallery")})
    answers += [{"picture": _picture(path)} for path in sorted(Path(out).glob("*.png"))]
    return _neutral(answers, {str(path): f"{{{name}}}" for name, path in places.items()})


def _run(arguments):
    from tfvision.cli.main import main

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            main(arguments)
        except SystemExit as stop:
            assert not stop.code, f"tfvision {' '.join(arguments)} ended with {stop.code}"
    return printed.getvalue()


def _kept(answer, names):
    if "hits" in answer:
        answer["hits"] = {hit.pop("id"): hit for hit in answer["hits"]}
    return {key: value for key, value in answer.items() if key in (names or answer)}


def _vectors(gallery):
    """{id: 8 values} of three pictures; the values that differ most over all pictures. The format is that of docs/gallery.md."""
    state = json.loads((gallery / "gallery.json").read_text())
    folder = gallery / state["data"]
    vectors = np.fromfile(folder / "vectors.f32", "<f4").reshape(-1, state["dimension"])
    ids = [json.loads(line) for line in (folder / "ids.jsonl").read_text().splitlines()]
    chosen = np.sort(np.argsort(-vectors.std(axis=0), kind="stable")[:8])
    return {ids[row]: vectors[row, chosen].tolist() for row in (0, len(ids) // 2, len(ids) - 1)}


def _picture(path):
    """A few pixels' worth of it, 0-255."""
    picture = Image.open(path).convert("RGB")
    return np.asarray(picture.resize((6, 5), Image.Resampling.BOX)).tolist()


def _neutral(value, names):
    if isinstance(value, dict):
        return {_neutral(key, names): _neutral(inner, names) for key, inner in value.items() if key not in _PASSING}
    if isinstance(value, list):
        return [_neutral(inner, names) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, str):
        for path in sorted(names, key=len, reverse=True):
            value = value.replace(path, names[path])
    return value
