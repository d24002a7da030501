import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does
SHARED = Path(__file__).resolve().parents[2] / "shared"  # real data and weights, beside the checkout, where present

STAGE_SETS = ("base_of", "colour_exportable", "milvus_address", "saved_models", "stylizer_export")  # costly fixtures that several files share


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config, items):
    """For `-n 2 --dist loadgroup`: one process has all tests of a file, and all files that share a stage set, so that it is made once."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    groups = {}
    for item in items:
        file = item.nodeid.split("::")[0]
        shared = [name for name in STAGE_SETS if name in item.fixturenames]
        groups[file] = groups.get(file) or (shared[0] if shared else None)
    for item in items:
        file = item.nodeid.split("::")[0]
        item.add_marker(pytest.mark.xdist_group(groups[file] or file.removeprefix("tests/").removesuffix(".py")))


COLOURS = {  # order / genus / species -> the colour of its photos
    ("Reds", "Rosa", "Rosa rubra"): (200, 40, 40),
    ("Reds", "Rosa", "Rosa pallida"): (220, 140, 140),
    ("Blues", "Caerula", "Caerula alta"): (40, 60, 200),
    ("Blues", "Viola", "Viola prima"): (140, 60, 200),
}


@pytest.fixture(scope="session")
def colour_photos(tmp_path_factory):
    """A folder with manifest.csv: 4 species told apart by colour, 3 ranks, 12 photos each of 48 x 40 px."""
    folder = tmp_path_factory.mktemp("colours")
    random = np.random.default_rng(0)
    with open(folder / "manifest.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "order", "genus", "species"])
        for lineage, colour in COLOURS.items():
            for number in range(12):
                pixels = np.clip(random.normal(colour, 25, (40, 48, 3)), 0, 255).astype(np.uint8)
                name = f"{lineage[-1].replace(' ', '_')}_{number}.png"
                Image.fromarray(pixels).save(folder / name)
                writer.writerow([name, *lineage])
    return folder


@pytest.fixture(scope="session")
def colour_jpegs(colour_photos, tmp_path_factory):
    """The colour_photos as JPEGs, with groups of two photos, a box here and there, and licences."""
    folder = tmp_path_factory.mktemp("colour-jpegs")
    with open(colour_photos / "manifest.csv", newline="") as file, open(folder / "manifest.csv", "w", newline="") as written:
        writer = csv.writer(written)
        writer.writerow(["image", "order", "genus", "species", "group", "box", "license"])
        for number, row in enumerate(csv.DictReader(file)):
            name = f"photos/{Path(row['image']).stem}.jpg"
            (folder / "photos").mkdir(exist_ok=True)
            Image.open(colour_photos / row["image"]).save(folder / name, quality=92)
            box = "8,4,20,16" if number % 5 == 0 else ""
            writer.writerow([name, row["order"], row["genus"], row["species"], f"walk {number // 2}", box, f"CC-BY {number}"])
    return folder


@pytest.fixture(scope="session")
def prepared_colours(colour_jpegs, tmp_path_factory):
    """The colour_jpegs as prepared data in four shards."""
    from tfvision.data.preparing.preparing import prepare

    folder = tmp_path_factory.mktemp("prepared") / "colours"
    prepare(colour_jpegs, folder, shards=4)
    return folder


TINY = {  # settings that train the small network on colour_photos in seconds
    "network": "small",
    "weights": "none",
    "image_size": "32",
    "has_auxiliary_head": "true",
    "is_crop_branch_pretrained": "false",
    "frozen": "[]",
    "batch_size": "8",
    "stages": "[[20, 0.05]]",
    "warmup_steps": "0",
    "backbone_rate": "1.0",
}


@pytest.fixture(scope="session")
def tiny_settings():
    return dict(TINY)


@pytest.fixture(scope="session")
def colour_run(colour_photos, tmp_path_factory):
    """A finished run on colour_photos."""
    from tfvision.apps.species.training import train_species

    folder = tmp_path_factory.mktemp("runs") / "colours"
    train_species(str(colour_photos), "small", TINY, str(folder), ranks=("order", "genus", "species"))
    return folder


@pytest.fixture
def run_python(tmp_path):
    """Runs a Python script in a process of its own and returns what it printed."""

    def run(script, *arguments, environment=None):
        path = tmp_path / "script.py"
        path.write_text(script)
        done = subprocess.run(
            [sys.executable, str(path), *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, **(environment or {})},
            timeout=600,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run


@pytest.fixture
def shared():
    """The folder of real data and weights; skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("no folder `shared` with real data beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def colour_exportable(colour_run):
    from tfvision.apps.species.export import make_exportable

    return make_exportable(colour_run)


@pytest.fixture(scope="session")
def colour_export(colour_exportable, tmp_path_factory):
    """savedmodels/colours/1, unverified."""
    from tfvision.export.export import export_model

    return Path(export_model(colour_exportable, tmp_path_factory.mktemp("savedmodels"), verify=False)["path"])


TINY_STYLIZER = {  # settings that train a stylizer in seconds
    "network": "vgg19_slim",
    "width": "2",
    "blocks": "1",
    "image_size": "32",
    "painting_size": "48",
    "batch_size": "4",
    "stages": "[[4, 0.03]]",
    "content_layer": "conv1_2",
    "style_layers": "conv1_1,conv2_1",
    "content_weight": "0",
    "precision": "float32",
}


@pytest.fixture(scope="session")
def tiny_stylizer():
    return dict(TINY_STYLIZER)


@pytest.fixture(scope="session")
def striped_painting(tmp_path_factory):
    """A file of 60 x 48 px: blue and yellow stripes."""
    y, x = np.mgrid[:48, :60]
    pixels = np.where(((x + y) // 6 % 2)[..., None], np.uint8([30, 60, 160]), np.uint8([230, 200, 60]))
    path = tmp_path_factory.mktemp("painting") / "stripes.png"
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="session")
def stylizer_run(colour_photos, striped_painting, tmp_path_factory):
    """A finished stylizer run on colour_photos."""
    from tfvision.apps.stylizer.training import train_stylizer

    folder = tmp_path_factory.mktemp("runs") / "stripes"
    train_stylizer(str(striped_painting), str(colour_photos), settings=TINY_STYLIZER, run=str(folder))
    return folder


TINY_DETECTOR = {  # settings that train a detector on detection_photos in seconds
    "network": "small",
    "weights": "none",
    "image_size": "40",
    "crop_size": "32",
    "is_fine_tuned": "false",
    "folds": "3",
    "svm_lambda": "0.0001",
    "svm_iterations": "2000",
    "precision": "float32",
}


@pytest.fixture(scope="session")
def tiny_detector():
    return dict(TINY_DETECTOR)


@pytest.fixture(scope="session")
def detection_photos(tmp_path_factory):
    """A folder with manifest.csv: 6 subjects' skin with dark strokes (tattoo) and 6 bluish grounds (wall), 2 photos each of 48 x 40 px."""
    folder, random = tmp_path_factory.mktemp("detection"), np.random.default_rng(0)
    with open(folder / "manifest.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "subject"])
        for number in range(24):
            is_tattoo, subject = number % 2 == 0, number // 4
            ground = (225, 180, 150) if is_tattoo else random.uniform((20, 80, 150), (90, 140, 235))
            pixels = random.normal(ground, 8, (40, 48, 3))
            if is_tattoo:
                for left in random.integers(4, 40, 4):
                    pixels[8:34, left : left + 3] = 40
            name = f"{number}.png"
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name)
            writer.writerow([name, "Tattoo" if is_tattoo else "wall", f"{'p' if is_tattoo else 'w'}{subject}"])
    return folder


@pytest.fixture(scope="session")
def detector_run(detection_photos, tmp_path_factory):
    """A finished detector run on detection_photos, its network frozen."""
    from tfvision.apps.tattoo_detection.training import train_detector

    folder = tmp_path_factory.mktemp("runs") / "detector"
    train_detector(str(detection_photos), settings=TINY_DETECTOR, run=str(folder))
    return folder
