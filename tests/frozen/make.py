"""Makes what lies here anew, with version 0.1.0 of tfvision: `python tests/frozen/make.py`, on Python 3.11, from the repository's root.

Of another version it would be another's answers; see README.md.
"""

import contextlib
import importlib.util
import json
import os
import runpy
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"

import h5py
import keras
import numpy as np

from tfvision import __version__
from tfvision.apps.style.stylizer_run import StylizerRun, load_stylizer
from tfvision.apps.tattoo.detector_network import load_detector_network
from tfvision.apps.tattoo.detector_run import DetectorRun
from tfvision.cli.main import main as tfvision
from tfvision.features.embedder import load_embedder
from tfvision.features.retriever import load_retriever
from tfvision.features.species import load_species_network
from tfvision.features.species_run import SpeciesRun
from tfvision.models.small import build_small

HERE = Path(__file__).resolve().parent
THIN = "thin.weights.h5"
RUN_FILES = ("recipe.json", "taxonomy.json", "labels.json", "metrics.json", "calibration.json", "match_calibration.json", "photos.csv", "painting.png")
_LIVE_SHARE = 6  # of the channels of a layer, one in so many has weights
_TEMPERATURE = 3.0
_LIVE_UNITS = 16  # of each fully connected layer of a retriever


def make(into):
    """Makes everything in the working folder, so that no path names a machine, and moves what is kept to `into`."""
    fixtures = _load("conftest", HERE.parent / "conftest.py")
    places = _draw(fixtures)
    keras.utils.set_random_seed(0)
    _thin_network().save_weights(THIN)
    _train("species", "colours", fixtures.TINY, weights=THIN, is_crop_branch_pretrained="true")
    _train("retriever", "hues", fixtures.TINY_RETRIEVER, weights=THIN)
    _train("tattoo-detector", "detection", fixtures.TINY_DETECTOR, weights=THIN)
    _train("tattoo-matcher", "tattoos", fixtures.TINY_MATCHER, weights=THIN)
    _train("stylizer", "stripes.png", fixtures.TINY_STYLIZER, "--photos", "colours")
    _thin_runs()
    _soften("species/calibration.json")
    tfvision(["evaluate", "retriever", "hues", "--out", "report", "--json"])
    _write_retrieval_metrics("report/report.json")
    tfvision(["evaluate", "tattoo-matcher", "tattoos", "--out", "report", "--json"])  # writes match_calibration.json
    tfvision(["index", "build", "colours", "--model", "species", "--out", "gallery"])
    tfvision(["search", "gallery", "colours/Rosa_rubra_1.png", "--method", "hnsw"])  # builds the index
    tfvision(["data", "prepare", "colour-jpegs", "prepared", "--shards", "4"])
    tfvision(["export", "species", "--name", "colours", "--no-verify"])
    _keep(into)
    _answer(into, places)


def _draw(fixtures):
    """Draws the photos of the fixtures; {name of a question's place: path}."""
    for folder in ("colour-jpegs", "hues", "detection", "tattoos"):
        Path(folder).mkdir()
    fixtures.draw_jpegs(fixtures.draw_colours(Path("colours")), Path("colour-jpegs"))
    fixtures.draw_hues(Path("hues"))
    fixtures.draw_detection(Path("detection"))
    fixtures.draw_tattoos_in(Path("tattoos"))
    fixtures.draw_stripes(Path("stripes.png"))
    return {**{name: name for name in ("colours", "hues", "detection", "tattoos")}, "painting": "stripes.png"}


def _train(application, source, settings, *options, **changes):
    options = [*options, *(part for key, value in {**settings, **changes}.items() for part in ("--set", f"{key}={value}"))]
    options += ["--ranks", "order,genus,species"] if application == "species" else []
    tfvision(["train", application, source, *options, "--run", application, "--json"])


# Small files. The network `small` has 704,000 weights; here most of its channels are switched off, and stay so in a training: a
# channel whose kernel, gamma and beta are 0 answers 0, and has no gradient behind its ReLU.


def _thin_network():
    model = build_small(32)
    for layer in model.layers:
        values = layer.get_weights()
        if isinstance(layer, keras.layers.Conv2D):
            (kernel,) = values
            kernel[..., _live(kernel.shape[-1]) :] = 0
            if kernel.shape[2] > 3:
                kernel[:, :, _live(kernel.shape[2]) :] = 0
            layer.set_weights([kernel * _LIVE_SHARE**0.5])
        elif isinstance(layer, keras.layers.BatchNormalization):
            for value in values[:2]:
                value[_live(len(value)) :] = 0
            layer.set_weights(values)
    return model


def _live(channels):
    return channels // _LIVE_SHARE


def _thin_runs():
    species = load_species_network(SpeciesRun.open("species"))
    for layer in species.layers:
        if layer.name.startswith("auxiliary"):  # asked in training only
            layer.set_weights([0 * values for values in layer.get_weights()])
    _keep_weights(species.get_layer("species_logits"), _first(_live(192)))
    retriever = load_retriever("retriever", 32)
    _keep_weights(retriever.whole.get_layer("logits"), _first(_live(192)))
    live_taps = np.concatenate([np.arange(width) < _live(width) for width in retriever.widths.values()])
    for tuned in retriever.tuned.values():
        for layer in tuned.layers:
            if layer.name.startswith("fully"):
                _keep_weights(layer, live_taps if layer.name == "fully1" else _first(_LIVE_UNITS), _LIVE_UNITS)
        _keep_weights(tuned.get_layer("logits"), _first(_LIVE_UNITS))
    networks = {
        "species": species,
        "retriever": retriever.whole,
        "tattoo-detector": load_detector_network(DetectorRun.open("tattoo-detector")).whole,
        "tattoo-matcher": load_embedder("tattoo-matcher").model,
        "stylizer": load_stylizer(StylizerRun.open("stylizer")),
    }
    for run, network in networks.items():
        network.set_weights([_rounded(values) for values in network.get_weights()])
        network.save_weights("saved.weights.h5")
        _compress("saved.weights.h5", f"{run}/model.weights.h5")


def _keep_weights(layer, rows, columns=None):
    """Sets to 0 what a fully connected layer sees by other rows than `rows`, bool, and what it answers by other columns than the first."""
    values = layer.get_weights()
    for value in values:
        if value.ndim > 1:
            value[: len(rows)][~rows[: len(value)]] = 0
            value[len(rows) :] = 0
        if columns:
            value[..., columns:] = 0
    layer.set_weights(values)


def _first(count):
    return np.full(count, True)


def _rounded(values):
    """Float32 of 8 significant bits, as bfloat16 has them: half as large when compressed."""
    bits = np.array(values, np.float32).view(np.uint32)
    return np.asarray((bits + np.uint32(0x8000)) & np.uint32(0xFFFF0000)).view(np.float32)


def _compress(path, target):
    """A copy of an HDF5 file that is compressed within: the same names and attributes, so that it opens as before."""

    def copy(name, item):
        if isinstance(item, h5py.Dataset):
            options = {"chunks": item.shape, "compression": "gzip", "compression_opts": 9, "shuffle": True} if item.size > 64 else {}
            written.create_dataset(name, data=item[()], **options)
        else:
            written.require_group(name)
        written[name].attrs.update(item.attrs)

    with h5py.File(path) as file, h5py.File(target, "w", libver=("v110", "v110")) as written:
        written.attrs.update(file.attrs)
        file.visititems(copy)


def _soften(path):
    """Colours are told apart without a doubt; with a higher temperature probabilities are neither 0 nor 1, and so tell something."""
    calibration = json.loads(Path(path).read_text())
    Path(path).write_text(json.dumps({**calibration, "temperature": _TEMPERATURE}, indent=2) + "\n")


def _write_retrieval_metrics(report):
    """What the thin retriever reaches, in place of what it reached before."""
    path = Path("retriever/metrics.json")
    metrics, measured = json.loads(path.read_text()), json.loads(Path(report).read_text())
    metrics |= {name: measured[name] for name in ("map", "interval", "by_layer", "intervals")}
    path.write_text(json.dumps(metrics, indent=2) + "\n")


def _keep(into):
    root = f"{Path.cwd()}/"
    for run in ("species", "retriever", "tattoo-detector", "tattoo-matcher", "stylizer"):
        (into / run).mkdir(parents=True)
        for name in (*RUN_FILES, "model.weights.h5"):
            if (Path(run) / name).exists():
                shutil.copy(Path(run) / name, into / run / name)
    for folder in ("gallery", "prepared"):
        shutil.copytree(folder, into / folder, ignore=shutil.ignore_patterns("lock"))
    for path in into.rglob("*"):
        if path.suffix in (".json", ".csv"):
            path.write_text(path.read_text().replace(root, ""))
    for path in [*into.rglob("*"), *Path("savedmodels").rglob("*")]:
        assert path.is_dir() or not any(place.encode() in path.read_bytes() for place in (root, str(HERE), str(Path.home()))), path
    with zipfile.ZipFile(into / "export.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(Path("savedmodels/colours").rglob("*")):
            archive.write(path, path.relative_to("savedmodels"))


def _answer(into, places):
    """Asks what is kept, not what it was copied from."""
    ask, questions = (runpy.run_path(str(HERE / "questions.py"))[name] for name in ("ask", "QUESTIONS"))
    for name in ("species", "retriever", "tattoo-detector", "tattoo-matcher", "stylizer", "prepared"):
        shutil.rmtree(name)
        shutil.copytree(into / name, name)
    places |= {name.removeprefix("tattoo-"): name for name in ("species", "retriever", "tattoo-detector", "tattoo-matcher", "stylizer")}
    places |= {"gallery": "gallery", "prepared": "prepared", "export": "savedmodels/colours"}
    places = {name: str(Path(path).resolve()) for name, path in places.items()}
    answers = {}
    for number, name in enumerate(questions):
        out = Path("answers", str(number)).resolve()
        out.mkdir(parents=True)
        with contextlib.chdir(out):  # below which nothing lies: paths are printed whole
            answers[name] = ask(name, places, str(out))
    lines = (f"{json.dumps(name)}: {json.dumps(answer, ensure_ascii=False)}" for name, answer in answers.items())
    (into / "answers.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    assert __version__ == "0.1.0" and sys.version_info[:2] == (3, 11), "made by version 0.1.0, on Python 3.11"
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        make(Path(scratch) / "kept")
        for path in Path("kept").iterdir():
            target = HERE / path.name
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
            shutil.move(path, target)
