import colorsys
import contextlib
import csv
import functools
import gc
import importlib.util
import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does
os.environ.update(dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))  # two processes have two cores
os.environ["TFVISION_OFFLINE"] = "1"  # tests download no weights

import numpy as np  # reads OPENBLAS_NUM_THREADS, once
import pytest
from PIL import Image

from tfvision import progress

os.fsync = lambda descriptor: None  # waits for the disk; no test cuts the power
gc.unfreeze = lambda: None  # a server that stops would bring all of TensorFlow's objects back into view, to be looked through at each collection
FROZEN = Path(__file__).with_name("frozen")  # what version 0.1.0 made: frozen/README.md
SHARED = Path(__file__).resolve().parents[2] / "shared"  # real data and weights, beside the checkout, where present

STAGE_SETS = (
    "base_of",
    "colour_exportable",
    "detector_export",
    "milvus_address",
    "saved_models",
    "stylizer_export",
    "unknown_exportable",
    "warm_process",
)  # costly fixtures that several files share


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist; `-p no:xdist` works as well
def pytest_xdist_make_scheduler(config, log):
    """For `-n 2`: one process has all tests of a file, and all files that share a stage set, which is made once; in the order of collection."""
    if config.getoption("dist") != "load":  # another order was asked for
        return None
    from xdist.scheduler import LoadScopeScheduling

    class StageSetScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return stage_set_of(config.rootpath / nodeid.split("::")[0])

    config.option.loadscopereorder = False  # else files of few tests, which are the slow ones, come last
    return StageSetScheduling(config, log)


def pytest_collection_modifyitems(items):
    """What would come last and takes long comes first, lest one of two processes is left alone with it."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/training/"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """Tells a process of pytest-xdist whether it waits: in a fresh environment the first compiles what all import, for half a minute of a core."""
    node.workerinput["waits"] = node.gateway.id != "gw0" and _is_uncompiled()


@functools.cache
def _is_uncompiled():
    found = importlib.util.find_spec("tensorflow")
    return not sys.dont_write_bytecode and found is not None and not os.path.exists(found.cached)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session):
    if getattr(session.config, "workerinput", {}).get("waits"):
        until = time.monotonic() + 300
        while not _is_collected(session).exists() and time.monotonic() < until:
            time.sleep(0.2)


def _is_collected(session):
    """A file of the first process."""
    return Path(session.config.option.basetemp).with_name("collected")


def pytest_collection_finish(session):
    """What all tests of a process pay for is made cheap once: its collections of garbage and TensorFlow's second pass over each new graph.

    The second pass takes as long as the first. Graphs are traced and run as ever; no test is of how fast they run.
    """
    if getattr(session.config, "workerinput", {}).get("workerid") == "gw0":
        _is_collected(session).touch()
    progress._SECONDS_BETWEEN_LINES = math.inf  # what a command says does not depend on how busy the machine is
    gc.collect()
    gc.freeze()  # modules and collected tests stay
    gc.set_threshold(20_000, 10, 10)
    if "tensorflow" in sys.modules:
        from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2
        from tensorflow.python.eager import context

        from tfvision.export.session import load_session
        from tfvision.serving import servable

        config = config_pb2.ConfigProto()
        config.graph_options.rewrite_options.meta_optimizer_iterations = rewriter_config_pb2.RewriterConfig.ONE
        context.context()._config = config  # heeded by what starts after; no public function sets it
        load_session.__defaults__ = (config,)
        served = servable._session_config()
        served.MergeFrom(config)
        servable._session_config = lambda: served


@functools.cache
def stage_set_of(file):
    """The first of STAGE_SETS that a file of tests names, else the file itself."""
    text = file.read_text()
    return next((name for name in STAGE_SETS if re.search(rf"\b{name}\b", text)), str(file))


COLOURS = {  # order / genus / species -> the colour of its photos
    ("Reds", "Rosa", "Rosa rubra"): (200, 40, 40),
    ("Reds", "Rosa", "Rosa pallida"): (220, 140, 140),
    ("Blues", "Caerula", "Caerula alta"): (40, 60, 200),
    ("Blues", "Viola", "Viola prima"): (140, 60, 200),
}


@pytest.fixture(scope="session")
def colour_photos(tmp_path_factory):
    """A folder with manifest.csv: 4 species told apart by colour, 3 ranks, 12 photos each of 48 x 40 px."""
    return draw_colours(tmp_path_factory.mktemp("photos") / "colours")


def draw_colours(folder):
    folder.mkdir()
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
    return draw_jpegs(colour_photos, tmp_path_factory.mktemp("colour-jpegs"))


def draw_jpegs(colour_photos, folder):
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
def copy_frozen(tmp_path_factory):
    """A function (name, place=name) -> a copy of what version 0.1.0 made, of tests/frozen: a run, say, that tests may write into."""

    def copy(name, place=None):
        return shutil.copytree(FROZEN / name, tmp_path_factory.mktemp("frozen") / (place or name))

    return copy


@pytest.fixture(scope="session")
def prepared_colours(copy_frozen):
    """The colour_jpegs as prepared data in four shards."""
    return copy_frozen("prepared")


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
def colour_run(copy_frozen):
    """A finished run on colour_photos."""
    return copy_frozen("species", "colours")


@pytest.fixture(scope="session")
def colour_gallery(copy_frozen, colour_photos, colour_run):
    """A gallery of colour_photos, seen by colour_run; it lies beside the photos, as its paths say."""
    folder = copy_frozen("gallery", colour_photos.parent / "gallery")
    state = json.loads((folder / "gallery.json").read_text())
    state["facts"]["recipe"]["model"] = str(colour_run)
    (folder / "gallery.json").write_text(json.dumps(state))
    return folder


@pytest.fixture(scope="session")
def copy_at():
    """A class of callbacks, (run, to, phase, step): copies a run's folder after a step of a phase, as a training that is killed there leaves it.

    So a whole training is at once the one that was stopped. With checkpoint_seconds=0 the copy has the step before.
    """
    import keras

    class CopyAt(keras.callbacks.Callback):
        def __init__(self, run, to, phase, step):
            super().__init__()
            self.run, self.to, self.place, self.phase = run, to, (phase, step), -1

        def on_train_begin(self, logs=None):
            self.phase += 1

        def on_train_batch_end(self, batch, logs=None):
            if (self.phase, batch) == self.place:
                shutil.copytree(self.run, self.to)

    return CopyAt


@pytest.fixture(scope="session")
def stored_weights():
    """A function (file of weights) -> {name: array}."""
    import h5py

    def read(path):
        values = {}
        with h5py.File(path) as file:
            file.visititems(lambda name, item: values.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
        return values

    return read


@pytest.fixture(scope="module")
def figures_once():
    """For files of tests that write many reports: of each kind of figure the first is rendered, and stands for those after it.

    All are drawn as far as that. The figures themselves are judged in tests/evaluation.
    """
    from matplotlib.figure import Figure

    render, rendered = Figure.savefig, {}

    def savefig(figure, picture, **options):
        frame = sys._getframe(1)
        while not frame.f_code.co_name.startswith("draw_"):
            frame = frame.f_back
        kind = (frame.f_code, options["format"])
        if kind not in rendered:
            render(figure, picture, **options)
            rendered[kind] = picture.getvalue()
        else:
            picture.write(rendered[kind])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        yield


@pytest.fixture
def untraced():
    """TensorFlow's functions run as Python does; a few steps of a small network take a tenth of what tracing takes.

    For what a training comes to, how it is stopped, what it writes. Of each system one test has graphs, as users have; what fixtures of a
    file or session make is traced all the same.
    """
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def traced(untraced):
    """In a file that is `untraced`, the test that is not."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="session")
def opened():
    """(how, what, state of its files) -> what was opened, and from what."""
    kept = {}
    yield kept
    kept.clear()  # at the interpreter's end, TensorFlow would have gone before its functions


@pytest.fixture(scope="module")
def opened_once(opened):
    """For files of tests that open the same runs and exports again and again: each is opened and its graphs traced once, while its files stay as they are."""
    from tfvision.apps.retrieval import evaluation as retrieval
    from tfvision.apps.retrieval import features, grad_cam
    from tfvision.apps.species import evaluation, evidence, identification, photo_answers
    from tfvision.apps.tattoo_detection import training  # noqa: F401, imported before what it and svm_features annotate is no class
    from tfvision.apps.tattoo_detection.detection import TattooDetector
    from tfvision.export import session
    from tfvision.features import extractor

    def once(function, state):
        def open_it(*given, **named):
            key = (function.__qualname__, *given[1:], *named.items(), *state(given[0]))
            if key not in opened:
                opened[key] = function(*given, **named), given[0]  # kept, as keys hold its id
            return opened[key][0]

        return open_it

    def of_recipe(recipe):
        return recipe, *_files_of(recipe.model), os.environ.get("TFVISION_WEIGHTS")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extractor, "Extractor", once(extractor.Extractor, lambda recipe: (recipe,)))  # and by its network
        patch.setattr(extractor, "open_network", once(extractor.open_network, of_recipe))
        for module in (evaluation, evidence, identification, photo_answers):
            patch.setattr(module, "load_species_network", once(module.load_species_network, lambda run: _files_of(run.folder)))
            patch.setattr(module, "make_predictor", once(module.make_predictor, lambda model: (id(model),)))
        patch.setattr(TattooDetector, "load", once(TattooDetector.load, _files_of))
        patch.setattr(session, "load_session", once(session.load_session, _files_of))
        patch.setattr(session.LoadedModel, "close", lambda model: None)  # another test goes on with it
        for module in (retrieval, grad_cam, features):
            patch.setattr(module, "load_retriever", once(module.load_retriever, _files_of))
        yield


def _files_of(folder):
    """The state of a run or an export: what its files are, but for reports."""
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.startswith((".h5", ".json", ".pb", ".index", ".data-")))
    return tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths)


@pytest.fixture(scope="session")
def short_inception():
    """A function -> a context in which InceptionResNetV2 is built of 6 of its 40 blocks, the first and the last of each kind.

    Its stem, its reductions, its taps, all shapes and names stay; tests/models/test_multi_view.py builds the whole network.
    """
    import inspect

    import keras

    module = inspect.getmodule(keras.applications.InceptionResNetV2)
    whole, kept = module.inception_resnet_block, {"block35": (1, 10), "block17": (1, 20), "block8": (1, 10)}

    def block(x, **options):
        return whole(x, **options) if options["block_idx"] in kept[options["block_type"]] else x

    @contextlib.contextmanager
    def shortened():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "inception_resnet_block", block)
            yield

    return shortened


@pytest.fixture(scope="session")
def save_text_tower():
    """A function (folder, words) that saves a text tower: a text as which of the words are in it."""
    import tensorflow as tf

    class Words(tf.Module):
        def __init__(self, words):
            super().__init__()
            self._words = words

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "texts")], autograph=False)
        def __call__(self, texts):
            lower = tf.strings.lower(texts)
            return {"embedding": tf.stack([tf.cast(tf.strings.regex_full_match(lower, f".*{word}.*"), tf.float32) for word in self._words], axis=1)}

    def save(folder, words):
        module = Words(words)
        tf.saved_model.save(module, str(folder), {"serving_default": module.__call__})

    return save


@pytest.fixture(scope="session")
def colour_towers(save_text_tower, tmp_path_factory):
    """A pair of towers as --text-model takes it: a text is which colours it names, an image its mean colour."""
    import tensorflow as tf

    class Mean(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.uint8, "images")], autograph=False)
        def __call__(self, images):
            return {"embedding": tf.reduce_mean(tf.cast(images, tf.float32), [1, 2])}

    folder, module = tmp_path_factory.mktemp("towers") / "colour towers", Mean()
    save_text_tower(folder / "text", ("red", "green", "blue"))
    tf.saved_model.save(module, str(folder / "image"), {"serving_default": module.__call__})
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
def colour_export(tmp_path_factory):
    """savedmodels/colours/1, of colour_run."""
    folder = tmp_path_factory.mktemp("savedmodels")
    with zipfile.ZipFile(FROZEN / "export.zip") as archive:
        archive.extractall(folder)
    return folder / "colours" / "1"


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
    return draw_stripes(tmp_path_factory.mktemp("painting") / "stripes.png")


def draw_stripes(path):
    y, x = np.mgrid[:48, :60]
    pixels = np.where(((x + y) // 6 % 2)[..., None], np.uint8([30, 60, 160]), np.uint8([230, 200, 60]))
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="session")
def stylizer_run(copy_frozen):
    """A finished stylizer run on colour_photos, called stripes."""
    return copy_frozen("stylizer", "stripes")


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
    return draw_detection(tmp_path_factory.mktemp("detection"))


def draw_detection(folder):
    random = np.random.default_rng(0)
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
def detector_run(copy_frozen):
    """A finished detector run on detection_photos, its network frozen."""
    return copy_frozen("tattoo-detector", "detector")


@pytest.fixture(scope="session")
def detector_exportable(detector_run):
    """As `tfvision export` makes it."""
    from tfvision.applications import APPLICATIONS
    from tfvision.training.run import application_of

    return APPLICATIONS[application_of(detector_run, "export")].part("export").make_exportable(detector_run)


@pytest.fixture(scope="session")
def detector_export(detector_exportable, tmp_path_factory):
    """savedmodels/detector/1, of detector_run."""
    from tfvision.export.saved_model import write_saved_model

    return write_saved_model(detector_exportable, tmp_path_factory.mktemp("savedmodels"))


TINY_RETRIEVER = {  # settings that train a retriever on hue_photos in seconds
    "network": "small",
    "weights": "none",
    "image_size": "32",
    "batch_size": "8",
    "stages": "[[4, 0.02]]",
    "tuning_stages": "[[4, 0.01]]",
    "warmup_steps": "0",
    "backbone_rate": "1.0",
    "is_augmented": "false",
}


@pytest.fixture(scope="session")
def tiny_retriever():
    return dict(TINY_RETRIEVER)


@pytest.fixture(scope="session")
def hue_photos(tmp_path_factory):
    """A folder with manifest.csv: 8 labels told apart by hue, 4 photos each of 48 x 40 px."""
    return draw_hues(tmp_path_factory.mktemp("hues"))


def draw_hues(folder):
    random = np.random.default_rng(0)
    with open(folder / "manifest.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label"])
        for number in range(8):
            colour = 220 * np.array(colorsys.hsv_to_rgb(number / 8, 0.8, 0.9))
            for view in range(4):
                name = f"hue{number}_{view}.png"
                Image.fromarray(random.normal(colour, 30, (40, 48, 3)).clip(0, 255).astype(np.uint8)).save(folder / name)
                writer.writerow([name, f"hue {number}"])
    return folder


@pytest.fixture(scope="session")
def retriever_run(copy_frozen):
    """A finished run on hue_photos, two hues held out."""
    return copy_frozen("retriever", "hues")


TINY_MATCHER = {  # settings that train a matcher on tattoo_photos in seconds
    "network": "small",
    "weights": "none",
    "image_size": "32",
    "batch_size": "8",
    "photos_per_subject": "2",
    "stages": "[[6, 0.003]]",
    "warmup_steps": "0",
    "frozen": "",
    "rotations": "1",
    "is_augmented": "false",
}


@pytest.fixture(scope="session")
def tiny_matcher():
    return dict(TINY_MATCHER)


@pytest.fixture(scope="session")
def draw_tattoos():
    """A function (folder, columns=("image", "subject"), photos=3) that draws 8 subjects told apart by their stripes.

    The first photo of each is a grey drawing; subject 0 has no other. Further columns are `medium` and `role`.
    """
    return draw_tattoos_in


@pytest.fixture(scope="session")
def tattoo_photos(tmp_path_factory):
    """A folder with manifest.csv: 8 subjects, 22 photos of 48 x 40 px."""
    return draw_tattoos_in(tmp_path_factory.mktemp("tattoos"))


def draw_tattoos_in(folder, columns=("image", "subject"), photos=3):
    y, x = np.mgrid[:40, :48]
    random = np.random.default_rng(0)
    with open(folder / "manifest.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        for subject in range(8):
            for number in range(photos if subject else 1):
                angle, colour = subject * np.pi / 8, random.uniform(120, 250, 3) if number else np.full(3, 200)
                pixels = (np.sin((np.cos(angle) * x + np.sin(angle) * y) * 0.5 + number)[..., None] + 1) / 2 * colour
                row = {"image": f"subject{subject}_{number}.png", "subject": f"subject {subject}"}
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / row["image"])
                writer.writerow({**row, "medium": "photo" if number else "drawing", "role": "probe" if number else "gallery"})
    return folder


@pytest.fixture(scope="session")
def matcher_run(copy_frozen):
    """A finished run of the recipe `small` on tattoo_photos, a fold held out."""
    return copy_frozen("tattoo-matcher", "tattoos")


@pytest.fixture(scope="session")
def moving_texture():
    """A function (number, height=48, width=64): `draw_texture`."""
    return draw_texture


def draw_texture(number, height=48, width=64):
    """Frame `number` of a camera that moves over smooth blotches of colour, 2 px to the right and 1 px down a frame; from 1000 on over others."""
    random = np.random.default_rng(number // 1000)
    small = Image.fromarray(random.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    top, left = number % 1000, 2 * (number % 1000)
    return np.asarray(small.resize((240, 160), Image.Resampling.BICUBIC))[top : top + height, left : left + width]


@pytest.fixture(scope="session")
def draw_film():
    """A function (path, numbers=range(8), ...) that writes a film of `draw_texture`, with the frames of these numbers.

    Args:
      times: in ticks of 1 / 1000 s, one a frame; None = 25 frames a second.
      rotation: degrees that players turn it by, against the clock.
      sound: an encoder, for a tone of 440 Hz as long as the film.
    """
    av = pytest.importorskip("av")
    from fractions import Fraction

    def draw(path, numbers=range(8), size=(48, 64), times=None, rotation=0, sound="", encoder="libx264"):
        ticks = Fraction(1, 1000) if times else Fraction(1, 25)
        with av.open(str(path), "w") as container:
            video = container.add_stream(encoder, rate=25)
            video.height, video.width, video.pix_fmt = *size, "yuv420p"
            video.codec_context.time_base = ticks
            if rotation:
                video.set_display_rotation(rotation)
            audio = container.add_stream(sound, rate=44100, layout="mono") if sound else None
            for number, time_of in zip(numbers, times or range(len(numbers)), strict=True):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(draw_texture(number, *size)), "rgb24")
                frame.pts, frame.time_base = time_of, ticks
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
            if audio:
                tone = 0.3 * np.sin(np.arange(44100 * len(numbers) // 25) * 440 * 2 * np.pi / 44100)
                frame = av.AudioFrame.from_ndarray(np.float32(tone)[None], "fltp", "mono")
                frame.sample_rate, frame.pts = 44100, 0
                for part in av.AudioResampler(audio.format.name, "mono", 44100).resample(frame):
                    container.mux(audio.encode(part))
                container.mux(audio.encode(None))
        return path

    return draw
