"""What ships: the wheel and the sdist hold all data, and the wheel works where there is no checkout."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import tfvision

ROOT = Path(__file__).parents[1]
BUILD = "import setuptools.build_meta as backend, sys; getattr(backend, sys.argv[1])(sys.argv[2])"
SOURCES = (
    "tfvision",
    "cli",
    "setup.cfg",
    "setup.py",
    "pyproject.toml",
    "MANIFEST.in",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "NOTICE",
    "SECURITY.md",
    "CITATION.cff",
)


def _is_made(path):
    return path.name == "__pycache__" or path.suffix == ".pyc"


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The sdist of a copy of the checkout, with tests beside that must stay out."""
    copy, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("sdist")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    (copy / "tests").mkdir()
    (copy / "tests" / "test_something.py").touch()
    _run([sys.executable, "-c", BUILD, "build_sdist", out], copy)
    (archive,) = out.glob("tfvision-*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """The wheel that is built from the sdist alone."""
    unpacked, out = tmp_path_factory.mktemp("unpacked"), tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    _run([sys.executable, "-c", BUILD, "build_wheel", out], next(unpacked.iterdir()))
    (built,) = out.glob("tfvision-*.whl")
    return built


SEVERAL = """
import json, sys
from tfvision.cli.main import main
for command in json.loads(sys.argv[1]):
    try:
        main(command)
    except SystemExit as stop:
        if stop.code:
            raise
"""


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A function that runs `tfvision` as the wheel installs it: in an environment that sees our dependencies, but neither the checkout nor our tfvision."""
    place = tmp_path_factory.mktemp("elsewhere")
    _run([sys.executable, "-m", "venv", "--without-pip", place / "venv"], place)
    python = place / "venv/bin/python"
    _run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", wheel], place)
    packages = next((place / "venv/lib").glob("python*/site-packages"))
    (packages / "dependencies.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")) + "\n")
    where = _run([python, "-c", "import tfvision, tfvision.cli; print(tfvision.__file__, *tfvision.cli.__path__)"], place)
    assert [Path(path).is_relative_to(packages) for path in where.split()] == [True, True]

    def run(*commands):
        """What the commands printed, one after the other; several go in one process, as each would load TensorFlow."""
        if len(commands) == 1:
            return _run([place / "venv/bin/tfvision", *commands[0]], place)
        return _run([python, "-c", SEVERAL, json.dumps([[str(part) for part in command] for command in commands])], place)

    return run


def _run(command, folder):
    """The standard output of a command that must end well; nothing of ours reaches it by PYTHONPATH."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "TFVISION_WEIGHTS")}
    done = subprocess.run([str(part) for part in command], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.slow
def test_every_file_of_the_packages_is_in_the_wheel(wheel):
    ours = {path.relative_to(ROOT) for path in (ROOT / "tfvision").rglob("*") if path.is_file() and not _is_made(path)}
    cli = {Path("tfvision/cli") / path.name for path in (ROOT / "cli").iterdir() if not _is_made(path)}
    with zipfile.ZipFile(wheel) as archive:
        held = {Path(name) for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read(next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))).decode()
        licences = {Path(name).name for name in archive.namelist() if ".dist-info/" in name}
    pages = {Path("tfvision") / name for name in ("apps/explorer/static/index.html", "apps/style/studio/static/index.html", "serving/page/dom.js")}
    assert {Path("tfvision/py.typed"), Path("tfvision/models/vgg19_slim.npz"), *pages} <= ours
    assert held == ours | cli
    assert {"LICENSE", "NOTICE"} <= licences
    assert "License: Apache-2.0" in metadata and f"Version: {tfvision.__version__}" in metadata


@pytest.mark.slow
def test_the_sdist_holds_what_builds_the_wheel_and_no_tests(sdist):
    with tarfile.open(sdist) as archive:
        held = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {"LICENSE", "NOTICE", "README.md", "CHANGELOG.md", "SECURITY.md", "CITATION.cff", "setup.cfg", "cli/main.py", "tfvision/py.typed"} <= held
    assert not [name for name in held if name.startswith("tests")]


def test_every_file_that_ships_is_taken_into_the_copy_that_is_built():
    named = {line.split()[1] for line in (ROOT / "MANIFEST.in").read_text().splitlines() if line.startswith("include")}
    assert named <= set(SOURCES)


def test_the_citation_is_sound_and_tells_the_version_that_ships():
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.citation-file-format", str(ROOT / "CITATION.cff")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cited = dict(line.split(": ", 1) for line in (ROOT / "CITATION.cff").read_text().splitlines() if line.startswith(("version", "date-released")))
    assert cited["version"] == tfvision.__version__
    assert f"## [{cited['version']}] - {cited['date-released']}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.slow
def test_the_wheel_works_outside_the_checkout(installed, tmp_path):
    photos = _photos(tmp_path / "photos")
    assert "train" in installed(["--help"])
    assert installed(["--version"]).split() == ["tfvision,", "version", tfvision.__version__]

    picture, run, site = tmp_path / "painted.png", tmp_path / "run", tmp_path / "site"
    paintings = (photos / "red" / "0.png", photos / "blue" / "0.png")
    settings = {
        "network": "small",
        "weights": "none",
        "image_size": "32",
        "views": "whole",
        "has_auxiliary_head": "false",
        "frozen": "[]",
        "is_crop_branch_pretrained": "false",
        "batch_size": "4",
        "stages": "[[1, 0.05]]",
    }
    options = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    told = installed(
        ["stylize", *paintings, "--network", "vgg19_slim", "--size", "64", "--iterations", "2", "--out", picture],
        ["train", "species", photos, "--run", run, "--json", *options],
        ["explore", photos, "--model", run, "--state", tmp_path / "state", "--export", site],
    )
    assert PIL.Image.open(picture).size == (64, 64)
    assert [json.loads(line)["classes"] for line in told.splitlines() if line.startswith("{")] == [2]
    assert {"index.html", "data", "static"} <= {path.name for path in site.iterdir()}


def _photos(folder):
    """Twelve photos of two classes."""
    random = np.random.default_rng(0)
    for label, channel in (("red", 0), ("blue", 2)):
        (folder / label).mkdir(parents=True)
        for number in range(6):
            pixels = random.integers(0, 80, (64, 64, 3), dtype=np.uint8)
            pixels[..., channel] += 150
            PIL.Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder
