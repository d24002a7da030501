"""Artefacts that commands wrote and read again, damaged: for test_damaged_artefacts.py (a few) and benchmarks/hostile_inputs.py --artefacts (the rest).

What may come of each is said in hostile_kinds.py. Beside bytes, the values are changed: parts of JSON, columns of tables and arrays of an npz.
"""

import contextlib
import functools
import importlib.util
import io
import json
import shutil
import sys
import tempfile
from pathlib import Path


def _sister(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = sys.modules.setdefault(name, importlib.util.module_from_spec(spec))
    if not hasattr(module, "KINDS"):
        spec.loader.exec_module(module)
    return module


hostile = _sister("hostile_kinds")
FROZEN, Kind = hostile.FROZEN, hostile.Kind

# Mutations


def damaged(files, draw, skipped=()):
    """(name of one of the files, what takes its place): other bytes, other values, nothing, or what hostile_kinds.PLACES names."""
    name = draw.choice([name for name in files if not name.endswith(skipped)] if skipped else list(files))
    chance = draw.random()
    if chance < 0.02:
        return name, None
    if chance < 0.06:
        return name, draw.choice(list(hostile.PLACES))
    if chance < 0.08 or not files[name]:
        return name, draw.choice((b"", b"\0" * 100, "é".encode("cp1252") * 40, "{}".encode("utf-16")))
    content = files[name]
    for _ in range(draw.choice((1, 1, 2))):
        content = _damaged_content(name, content, draw)
    return name, content


def _damaged_content(name, content, draw):
    if draw.random() < 0.6:
        with contextlib.suppress(Exception):  # an earlier one broke it
            if name.endswith(".json"):
                return json.dumps(_other_value(json.loads(content), draw)).encode()
            if name.endswith(".npz"):
                return _other_arrays(content, draw)
    return hostile.mutated_content(name, content, draw)


_VALUES = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**70), 10**400, 0.5, -0.0, 1e300, float("nan"), float("inf"), -float("inf")),
    *("", "x", "..", "../neighbour.json", "/etc/passwd", "a\0b", "\ud800", "x" * 70_000, [], {}, [[]], [None], {"": None}, {"x": []}, ["x"] * 3, [1, 2, 3]),
]


def _other_value(value, draw):
    """A JSON value with one part of it changed, gone, twice there, or deeper."""
    places = list(_places(value))
    place = draw.choice(places)
    if not place:
        return draw.choice(_VALUES)
    *way, last = place
    parent = value
    for key in way:
        parent = parent[key]
    kind = draw.randrange(6)
    if kind == 0:
        del parent[last]
    elif kind == 1:
        parent[last] = [parent[last]]
    elif kind == 2 and isinstance(parent, list):
        parent.insert(last, parent[last])
    elif kind == 3 and isinstance(parent, dict):
        parent[draw.choice(["x", "", last + "s"])] = parent.pop(last)
    elif kind == 4:
        parent[last] = _nested(draw.choice((3, 40)))
    else:
        parent[last] = draw.choice(_VALUES)
    return value


def _places(value, way=()):
    yield way
    parts = value.items() if isinstance(value, dict) else list(enumerate(value))[:5] if isinstance(value, list) else ()
    for key, part in parts:
        yield from _places(part, (*way, key))


def _nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def _other_arrays(content, draw):
    """An npz, whole by its checksums, one array of which is another."""
    import numpy as np

    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays = dict(stored)
    name = draw.choice(list(arrays))
    array = arrays.pop(name)
    if array.dtype.kind == "U" and draw.random() < 0.8:
        array = np.array(json.dumps(_other_value(json.loads(str(array)), draw)))
    else:
        ways = (
            lambda: array.astype(np.float64) * np.nan if array.dtype.kind in "fiu" else array,
            lambda: array.ravel()[:-1],
            lambda: array[..., None],
            lambda: array.astype(str),
            lambda: np.zeros((0, 3), np.float32),
            lambda: array.astype(np.complex64) if array.dtype.kind in "fiu" else array,
            lambda: np.full(array.shape, 2**40) if array.dtype.kind in "fiu" else array,
            lambda: np.full(array.shape, -7, array.dtype) if array.dtype.kind == "i" else array,
            lambda: None,
        )
        array = draw.choice(ways)()
    if array is not None:
        arrays[draw.choice([name, name, name, "x", "../x"])] = array
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _in_folder(make):
    """The files that a function writes into a folder."""

    def files():
        with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stderr(io.StringIO()):
            folder = Path(scratch, "made")
            folder.mkdir()
            make(folder)
            return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}

    return files


# Runs

RUNS = ("species", "retriever", "tattoo-detector", "tattoo-matcher", "stylizer")  # folders of tests/frozen


@functools.cache
def _systems():
    """{folder of tests/frozen: (class of the run, function that loads the network of a run)}."""
    from tfvision.trained.detector_network import load_detector_network
    from tfvision.trained.detector_run import DetectorRun
    from tfvision.trained.matcher_network import load_embedder
    from tfvision.trained.matcher_run import MatcherRun
    from tfvision.trained.retriever_network import load_retriever
    from tfvision.trained.retriever_run import RetrieverRun
    from tfvision.trained.species_network import load_species_network
    from tfvision.trained.species_run import SpeciesRun
    from tfvision.trained.stylizer_network import load_stylizer
    from tfvision.trained.stylizer_run import StylizerRun

    return {
        "species": (SpeciesRun, load_species_network),
        "retriever": (RetrieverRun, lambda run: load_retriever(run.folder).whole),
        "tattoo-detector": (DetectorRun, lambda run: load_detector_network(run).whole),
        "tattoo-matcher": (MatcherRun, lambda run: load_embedder(run.folder).model),
        "stylizer": (StylizerRun, load_stylizer),
    }


def _run_files(name, has_checksums):
    def make(folder):
        from tfvision.files import write_checksums

        shutil.copytree(FROZEN / name, folder, dirs_exist_ok=True)
        if has_checksums:
            write_checksums([path for path in _systems()[name][0](folder).kept_files if path.exists()])

    return _in_folder(make)


def _read_run(name):
    """All that commands read of a run but its network: facts, metrics, what answers are made of, and the photos that it knows."""

    def read(folder):
        from tfvision.cli.main import main
        from tfvision.data.manifest import Record
        from tfvision.evaluation.likelihood import load_calibration
        from tfvision.training.run import application_of
        from tfvision.training.trained_photos import trained_on

        kind = _systems()[name][0]
        run = kind.open(folder)
        answers = [application_of(folder, "training"), run.recipe, run.facts, run.metrics, trained_on(folder, [Record(__file__, "x", ("x",), "x")]).tolist()]
        answers += [getattr(run, part) for part in ("taxonomy", "calibration", "classes") if hasattr(kind, part)]
        if calibration := load_calibration(folder):
            answers.append((calibration.ratio(0.5), calibration.ratio(0.9)))
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            main(["train", kind.APPLICATION, "--run", str(folder), "--resume"])
        return repr([*answers, said.getvalue()])

    return read


@functools.cache
def _network(name):
    kind, load = _systems()[name]
    with contextlib.redirect_stderr(io.StringIO()):
        return load(kind.open(FROZEN / name))


def _read_weights(name):
    def read(folder):
        import numpy as np

        from tfvision.training.run import load_run_weights

        kind, network = _systems()[name][0], _network(name)
        network.weights[0].assign(np.zeros(network.weights[0].shape, np.float32))  # another answer, should nothing be loaded
        load_run_weights(network, kind.open(folder).weights_path)
        return repr([float(np.float64(values).sum()) for values in network.get_weights()])

    return read


def _weights_only(files, draw):
    return damaged(files, draw, (".json", ".csv", ".png"))


def _all_but_weights(files, draw):
    return damaged(files, draw, (".h5", ".png"))


def _make_checkpoints(folder):
    """What a training that was stopped in its second phase needs."""
    import numpy as np
    import tensorflow as tf

    from tfvision.files import write_checksums
    from tfvision.training.checkpoints import save_checkpoint

    network = _network("stylizer")
    save_checkpoint(folder / "latest.npz", [tf.Variable(np.arange(6, dtype=np.float32)), tf.Variable(3)], {"phase": 1, "step": 7})
    network.save_weights(folder / "first.weights.h5")
    write_checksums([folder / "first.weights.h5"])


def _read_checkpoints(folder):
    import numpy as np
    import tensorflow as tf

    from tfvision.training.checkpoints import STEP, read_facts, restore_checkpoint
    from tfvision.training.run import load_run_weights

    network = _network("stylizer")
    load_run_weights(network, folder / "first.weights.h5")
    variables = [tf.Variable(np.zeros(6, np.float32)), tf.Variable(0)]
    facts = read_facts(folder / "latest.npz", STEP)
    if facts is not None:
        restore_checkpoint(folder / "latest.npz", variables, STEP)
    return repr([facts, [variable.numpy().tolist() for variable in variables], [float(values.sum()) for values in network.get_weights()]])


# Vectors


def _gallery():
    """hostile_kinds' gallery, the facts of its index with a checksum of themselves, as they are written now."""
    from tfvision.index.kept_indexes import _own_checksum

    files = hostile.KINDS["gallery"].files()
    facts = json.loads(files["data-0001/hnsw.json"])
    crc32 = facts.pop("crc32")
    files["data-0001/hnsw.json"] = json.dumps({**facts, "crc32": f"{crc32:08x}-{_own_checksum(facts)}"}).encode()
    return files


def _as_if_large(function):
    """A function that takes a gallery for one of gigabytes, whose checksums are compared when files have changed."""

    def taking(*given):
        from tfvision.index import storage

        known, storage._CHECKED_BYTES = storage._CHECKED_BYTES, 0
        try:
            return function(*given)
        finally:
            storage._CHECKED_BYTES = known

    return taking


def _make_explorer(folder):
    """What the explorer keeps of a gallery of twelve pictures."""
    import numpy as np
    import PIL.Image

    from tfvision.index.folder_gallery import FolderGallery

    (folder / "photos").mkdir()
    random = np.random.default_rng(0)
    for number in range(12):
        PIL.Image.fromarray(random.integers(0, 255, (24, 30, 3)).astype(np.uint8)).save(folder / "photos" / f"{number}.png")
    vectors = random.normal(size=(12, 4)).astype(np.float32)
    with FolderGallery.create(folder / "gallery", 4, {"identity": "a network"}) as gallery:
        gallery.add([f"id {number}" for number in range(12)], vectors, [str(folder / "photos" / f"{number}.png") for number in range(12)])
    session = _session(folder)
    session.notes.tag("odd", ["id 1", "id 2"])
    session.notes.mark("wings", "id:id 3", {"id 4": True, "id 5": False})
    session.notes.conclude("wings", "yes")
    _look(session, folder)


def _session(folder):
    from tfvision.apps.explorer.plan import plan
    from tfvision.apps.explorer.session import Session

    session = Session(plan([folder / "gallery"], state=folder / "state"))
    session.queries._see = lambda path, layer: _vector()  # the network, which is another kind's
    return session


def _vector():
    import numpy as np

    return np.float32([0.5, 0.5, 0.5, 0.5])


def _look(session, folder):
    """What the page shows of all that is kept."""
    layer = session.collection.layers[0]
    session.thumbnails.fill()
    name = session.queries.receive((folder / "photos" / "3.png").read_bytes())
    return [
        {**session.status(), "key": None, "notes_version": None},  # the key is of the folder
        session.notes.read()["tags"],
        session.notes.read()["questions"],
        [array.tolist() for array in session.tables.neighbours(layer)],
        session.tables.map(layer, "pca").tolist(),
        [session.thumbnails.get(position) for position in range(12)],
        session.queries.open(name, layer).hits(3).tolist(),
    ]


def _explorer_caches(files, draw):
    return damaged({name: content for name, content in files.items() if name.startswith("state/") and "notes" not in name}, draw)


def _marks(files, draw):
    return damaged({name: content for name, content in files.items() if name == "state/notes.json"}, draw)


def _read_explorer(folder):
    return repr(_look(_session(folder), folder))


def _read_marks(folder):
    """The marks as the page asks for them, and after one more; what is refused must still lie there."""
    path = folder / "state" / "notes.json"
    before = path.read_bytes() if path.is_file() else None
    try:
        session = _session(folder)
        session.notes.tag("more", ["id 7"])
        return repr({**session.notes.read(), "version": None})
    except Exception:
        assert before == (path.read_bytes() if path.is_file() else None), "marks were lost"
        raise


_PHOTOS = 6


def _table_cache(folder):
    import numpy as np

    from tfvision.features.table import _Cache

    vectors = np.arange(_PHOTOS * 3, dtype=np.float32).reshape(_PHOTOS, 3)
    _Cache(folder / "features.npy", "identity").save(vectors, 0, 4, {"b.jpg": "cannot be read"})


def _read_table(folder):
    import numpy as np

    from tfvision.features.table import _Cache

    vectors = np.full((_PHOTOS, 3), -1, np.float32)
    broken: dict[str, str] = {}
    done = _Cache(folder / "features.npy", "identity").load(vectors, broken)
    vectors[done:] = np.arange(_PHOTOS * 3, dtype=np.float32).reshape(_PHOTOS, 3)[done:]
    return repr([vectors.tolist(), broken or {"b.jpg": "cannot be read"}])


# Style


def _make_record(folder):
    import PIL.Image

    from tfvision.apps.style.sidecar import write_sidecar

    for name in ("photo.png", "painting.png", "out.png"):
        PIL.Image.new("RGB", (40, 40), "teal").save(folder / name)
    write_sidecar(folder / "out.png", _style_job(folder), {"iterations": 3, "seconds": 1.0, "content_loss": 1.0, "style_loss": 2.0}, "tfvision stylize ...")


def _style_job(folder):
    from tfvision.apps.style.presets import Preset
    from tfvision.apps.style.sidecar import StyleJob

    return StyleJob(str(folder / "photo.png"), (str(folder / "painting.png"),), preset=Preset(network="vgg19_slim", size=40))


def _read_record(folder):
    import dataclasses

    from tfvision.apps.style.job import Studio
    from tfvision.apps.style.sidecar import differences, job_like, made_before

    before = made_before(folder / "out.png", _style_job(folder))
    job = job_like(folder / "out.png")
    told = differences(folder / "out.png", job)
    Studio(job)
    return repr([dataclasses.replace(job, photo="", paintings=()), told, bool(before)])


def _record_only(files, draw):
    return damaged({name: content for name, content in files.items() if name.endswith(".json")}, draw)


def _state_descents(folder):
    import numpy as np

    from tfvision.apps.style.presets import Preset
    from tfvision.apps.style.scales import Scales
    from tfvision.apps.style.stylization import _Descents

    preset = Preset(network="vgg19_slim", size=40, scales=((0.9, 2),), optimizer="lbfgs")
    photo = np.zeros((40, 40, 3), np.uint8)
    return _Descents(Scales(photo, [photo], preset, np.ones(1, np.float32), None, None, ()), None, preset, None, folder / "out.png.state.npz")


def _make_state(folder):
    import numpy as np

    from tfvision.apps.style.optimisation import Descent

    descents = _state_descents(folder)
    last = len(descents.iterations) - 1
    descents._save(last, Descent(np.ones((*descents._scales.shape(last), 3), np.float32), 1, 2, [3.0]), descents._optimizer(last))


def _read_state(folder):
    descents = _state_descents(folder)
    descent, scale, _ = descents._restored()
    return repr([scale, descents.iterations, descents.evaluations, descent and (float(descent.image.sum()), descent.losses, descent.is_finished)])


# Data


def _read_preparing(folder):
    """Goes on with the preparing of twelve photos that was stopped before its end."""
    from tfvision.data.preparing.preparing import prepare

    hostile.write(folder.parent / "photos", hostile.KINDS["manifest"].files() | hostile.photos_of_manifest())
    result = prepare(folder.parent / "photos", folder, shards=3, is_resumed=True)
    index = json.loads((folder / "index.json").read_text())
    return repr([result["images"], index["shards"], index["sha256"], (folder / "manifest.csv").read_text()])


def _make_preparing(folder):
    from tfvision.data.preparing import preparing
    from tfvision.errors import DataError

    finish, preparing._finish = preparing._finish, lambda *_: None
    hostile.write(folder.parent / "photos", hostile.KINDS["manifest"].files() | hostile.photos_of_manifest())
    try:
        with contextlib.suppress(DataError):  # it misses the index, which was not written
            preparing.prepare(folder.parent / "photos", folder, shards=3)
    finally:
        preparing._finish = finish


def _read_seen(folder):
    """What a check remembers of photos that did not change."""
    import os

    from tfvision.data.checks.photo_facts import read_facts
    from tfvision.data.manifest import read_photos

    photos = folder.parent / "photos"
    hostile.write(photos, hostile.photos_of_manifest())
    for path in photos.rglob("*.png"):
        os.utime(path, (1, 1))
    return repr(read_facts(read_photos(photos).records, folder / "seen.csv"))


def _read_convolutions(folder):
    from tfvision.models.convolutions import read_convolutions

    convolutions, facts = read_convolutions(folder / "vgg19_slim.npz")
    return repr([{layer: [float(array.sum()) for array in arrays] for layer, arrays in convolutions.items()}, sorted(facts)])


def _make_convolutions(folder):
    from tfvision.models import convolutions

    shutil.copyfile(Path(convolutions.__file__).with_name("vgg19_slim.npz"), folder / "vgg19_slim.npz")


def _make_serving(folder):
    import zipfile

    from tfvision.serving.configuration import write_configuration

    with zipfile.ZipFile(FROZEN / "export.zip") as archive:
        archive.extractall(folder / "savedmodels")
    write_configuration(folder / "savedmodels", folder / "config")


def _read_serving(folder):
    from tfvision.serving.configuration import check_configuration

    return repr(check_configuration(folder / "config"))


def _config_only(files, draw):
    return damaged({name: content for name, content in files.items() if name.startswith("config/")}, draw)


def _make_export(folder):
    import zipfile

    with zipfile.ZipFile(FROZEN / "export.zip") as archive:
        archive.extractall(folder)


def _read_export(folder):
    import PIL.Image

    from tfvision.apps.species.identification import load_identifier

    photo = folder.parent / "photo.png"
    PIL.Image.new("RGB", (40, 40), "teal").save(photo)
    return repr([{**answer, "image": None} for answer in load_identifier(folder / "colours").identify([photo])])


def _without_extra(files, draw):
    return damaged({name: content for name, content in files.items() if "assets.extra" not in name}, draw)


ARTEFACTS = {
    **{f"run of {name}": Kind(_run_files(name, True), _read_run(name), mutate=_all_but_weights) for name in RUNS},
    "run without checksums": Kind(_run_files("species", False), _read_run("species"), mutate=_all_but_weights),
    **{f"weights of {name}": Kind(_run_files(name, True), _read_weights(name), is_guarded=True, mutate=_weights_only) for name in RUNS},
    "weights without checksums": Kind(_run_files("species", False), _read_weights("species"), mutate=_weights_only),
    "checkpoints": Kind(_in_folder(_make_checkpoints), _read_checkpoints, mutate=damaged),
    "gallery": Kind(_gallery, hostile.KINDS["gallery"].read, is_guarded=True, mutate=damaged),
    "large gallery": Kind(_as_if_large(_gallery), _as_if_large(hostile.read_gallery), is_guarded=True, mutate=damaged),
    "explorer's caches": Kind(_in_folder(_make_explorer), _read_explorer, is_guarded=True, mutate=_explorer_caches),
    "explorer's marks": Kind(_in_folder(_make_explorer), _read_marks, mutate=_marks),
    "vectors of a training": Kind(_in_folder(_table_cache), _read_table, is_guarded=True, mutate=damaged),
    "record of a picture": Kind(_in_folder(_make_record), _read_record, mutate=_record_only),
    "state of a picture": Kind(_in_folder(_make_state), _read_state, mutate=damaged),
    "prepared data": Kind(hostile.KINDS["records"].files, hostile.KINDS["records"].read, is_guarded=True, mutate=damaged),
    "stopped preparing": Kind(_in_folder(_make_preparing), _read_preparing, is_guarded=True, mutate=damaged),
    "what a check saw": Kind(_in_folder(_read_seen), _read_seen, mutate=damaged),
    "network of convolutions": Kind(_in_folder(_make_convolutions), _read_convolutions, mutate=damaged),
    "configuration of a server": Kind(_in_folder(_make_serving), _read_serving, mutate=_config_only),
    "export": Kind(_in_folder(_make_export), _read_export, is_guarded=True, mutate=_without_extra),
}
