"""Sound inputs of seven kinds, mutated, and what reads each: for test_hostile_inputs.py (a few) and benchmarks/hostile_inputs.py (the rest).

An input follows from its kind and number alone. What may come of it:

- `same`: the answer to the sound input; `remade`: that as well, and a word that something was made again; `other`: another answer, where
  nothing guards the bytes, as in a photo or a CSV;
- `refused`: one clear error of ours, which names the file;
- a fault: `traceback` (any other exception), `unnamed` (an error that names no file), `silent` (checksums did not see the change, or photos
  of a table went without a word), `astray` (a file of the folder beside was changed), `slow` (over `SLOW_SECONDS`).
"""

import contextlib
import csv
import dataclasses
import functools
import io
import json
import random
import re
import shutil
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

FROZEN = Path(__file__).parents[1] / "frozen"
SLOW_SECONDS = 20
FAULTS = ("traceback", "unnamed", "silent", "astray", "slow")
OUTCOMES = ("same", "remade", "other", "refused", *FAULTS)
TEXT = (".csv", ".json", ".txt", ".xml")
NEIGHBOUR = "neighbour.json"  # a file beside the folder that is read
PLACES = {  # what may lie where a file was
    "folder": lambda path: path.mkdir(),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link in a circle": lambda path: path.symlink_to(path.name),
    "link to a neighbour": lambda path: path.symlink_to(path.parent.parent / NEIGHBOUR),
}


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of input.

    Attributes:
      files: -> {name: bytes}, sound; read-only.
      read: folder -> the answer, equal for equal inputs.
      is_guarded: whether checksums promise that no other answer is given.
      is_on_disk: whether an error has a file to name.
      mutate: (files, draw) -> name of one of them and what takes its place; None = `mutated_file`.
      lost: (text of the mutated file, answer) -> how many of its photos the answer lacks, for tables.
    """

    files: Callable[[], dict[str, bytes]]
    read: Callable[[Path], object]
    is_guarded: bool = False
    is_on_disk: bool = True
    mutate: Callable[[dict[str, bytes], random.Random], tuple[str, bytes | str | None]] | None = None
    lost: Callable[[str, object], int] | None = None


def outcome_of(kind_name: str, number: int, kinds: dict[str, Kind] | None = None) -> tuple[str, str]:
    """Mutates, reads, and says what came of it: one of OUTCOMES, and the error or the answer."""
    kind, draw = (kinds or KINDS)[kind_name], random.Random(f"{kind_name} {number}")
    sound = _sound_files(kind)
    name, mutated = kind.mutate(sound, draw) if kind.mutate else mutated_file(sound, draw, kind.is_on_disk)
    with tempfile.TemporaryDirectory() as scratch:
        folder, neighbour = Path(scratch, "input"), Path(scratch, NEIGHBOUR)
        write(folder, sound)
        neighbour.write_bytes(b"a neighbour's")
        (folder / name).unlink()
        _put(folder / name, mutated)
        _sound_answer(kind)  # the first imports and builds what all need
        begun, said = time.process_time(), io.StringIO()  # of this process alone: the machine may be busy
        outcome, detail = _read(kind, folder, said)
        if time.process_time() - begun > SLOW_SECONDS:
            return "slow", f"{name}: {time.process_time() - begun:.0f} s"
        if not neighbour.is_file() or neighbour.read_bytes() != b"a neighbour's":
            return "astray", f"{name}: {_short(detail)}"
    if outcome == "other" and kind.is_guarded and isinstance(mutated, bytes):  # a derived file that is gone is made again
        return "silent", f"{name}: {_short(detail)}"
    if outcome in ("same", "other") and kind.lost and isinstance(mutated, bytes) and not said.getvalue():
        lost = kind.lost(mutated.decode("utf-8", "replace"), detail)
        if lost > 0:
            return "silent", f"{name}: {lost} photos went without a word"
    return outcome, f"{name}: {_short(detail)}"


def _put(path, content):
    """Bytes, nothing (None), or what a name of PLACES makes of a path."""
    if content is not None:
        PLACES[content](path) if isinstance(content, str) else path.write_bytes(content)


def _read(kind, folder, said):
    from tfvision.errors import UserError
    from tfvision.serving.errors import ServingError

    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said), warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            answer = kind.read(folder)
        said.write("".join(str(warning.message) for warning in warned))
    except UserError as error:
        is_named = not kind.is_on_disk or str(folder) in str(error) or any(path.name in str(error) for path in (*folder.rglob("*"), Path(NEIGHBOUR)))
        return ("refused" if is_named and "\n" not in str(error) else "unnamed"), error
    except ServingError as error:
        return "refused", error.message
    except Exception as error:  # what a user would see as a traceback
        return "traceback", f"{type(error).__name__}: {error}"
    if answer != _sound_answer(kind):
        return "other", answer
    return ("remade" if " again" in said.getvalue() else "same"), answer


def _short(detail):
    return " ".join(str(detail).split())[:200]


@functools.cache
def _sound_files(kind):
    return kind.files()


@functools.cache
def _sound_answer(kind):
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stderr(io.StringIO()):
        folder = Path(scratch, "input")
        write(folder, _sound_files(kind))
        return kind.read(folder)


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Files into a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


# Mutations


def mutated_file(files: dict[str, bytes], draw: random.Random, is_on_disk: bool) -> tuple[str, bytes | None]:
    """One of the files, by its name, with one to three mutations; None = it is gone, which is tried now and then."""
    name = draw.choice([name for name in files if files[name]])
    if is_on_disk and len(files) > 1 and draw.random() < 0.01:
        return name, None
    content = files[name]
    for _ in range(draw.choice((1, 1, 2, 3))):
        content = mutated_content(name, content, draw)
    return name, content


def mutated_content(name: str, content: bytes, draw: random.Random) -> bytes:
    """A file's content with one mutation."""
    if name.endswith(".zip") and draw.random() < 0.7:
        return _with_mutated_member(content, draw)
    ways = (*BYTE_MUTATIONS, *TEXT_MUTATIONS, *TEXT_MUTATIONS) if name.endswith(TEXT) else BYTE_MUTATIONS
    return draw.choice(ways)(content, draw) if content else content


def _with_mutated_member(content, draw):
    with contextlib.suppress(Exception):  # a zip that an earlier mutation broke
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = draw.choice([name for name in members if name.endswith(TEXT)])
        members[name] = mutated_content(name, members[name], draw)
        return zipped(members)
    return content


def _flip_bit(content, draw):
    place = draw.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :]


def _overwrite(content, draw):
    place, count = draw.randrange(len(content)), draw.choice((1, 4, 64))
    return content[:place] + draw.choice((draw.randbytes(count), bytes(count), b"\xff" * count)) + content[place + count :]


def _cut_out(content, draw):
    place, count = draw.randrange(len(content)), draw.choice((1, 3, 100, 5000))
    return content[:place] + content[place + count :]


def _insert(content, draw):
    place = draw.randrange(len(content))
    return content[:place] + draw.randbytes(draw.choice((1, 2, 300))) + content[place:]


def _repeat(content, draw):
    place, count = draw.randrange(len(content)), draw.choice((4, 40, 4000))
    return content[: place + count] + content[place:]


def _truncate(content, draw):
    return content[: draw.randrange(len(content))]


BYTE_MUTATIONS = (_flip_bit, _flip_bit, _overwrite, _cut_out, _insert, _repeat, _truncate)
_TOKENS = [
    *('"', "'", ";", ",", "\t", "\0", "\r", "\n", "\\", "/", " ", "\ufeff", "\u00a0", "é", "e\u0301", "\ud7ff", "=1+1", "<a>", "&lol;", "%s"),
    *("-1", "0", "0.5", "1e999", "NaN", "Infinity", "9" * 30, "null", "true", "{}", "[]", "[" * 3000, "../../x", "/etc/passwd", "C:\\x.jpg", "x" * 200_000),
]


def _insert_token(content, draw):
    place = draw.randrange(len(content))
    return content[:place] + draw.choice(_TOKENS).encode() + content[place:]


def _replace_word(content, draw):
    words = list(re.finditer(rb"[\w.]+", content))
    if not words:
        return content
    word = draw.choice(words)
    other = draw.choice([draw.choice(_TOKENS).encode(), draw.choice(words)[0], b""])
    return content[: word.start()] + other + content[word.end() :]


def _change_lines(content, draw):
    lines = content.splitlines(keepends=True)
    one, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    lines[one : one + 1] = draw.choice(([], [lines[one]] * 2, [lines[other]], [b"\n", lines[one]], [lines[one].rstrip(b"\r\n")]))
    return b"".join(lines)


def _recode(content, draw):
    text = content.decode("utf-8", "replace")
    return draw.choice((text.encode("utf-16"), b"\xef\xbb\xbf" + content, text.encode("cp1252", "replace"), text.upper().encode()))


def _change_delimiter(content, draw):
    return content.replace(b",", draw.choice((b";", b"\t", b"|", b", ", b",,")))


TEXT_MUTATIONS = (_insert_token, _insert_token, _replace_word, _replace_word, _change_lines, _recode, _change_delimiter)


# Kinds


def _images():
    """Photos of 40 x 30 px in all formats that decoders here take."""
    import numpy as np
    import PIL.Image

    random_pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    image = PIL.Image.fromarray(random_pixels)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    deep = PIL.Image.fromarray(random_pixels[..., 0].astype(np.uint16) * 257)
    ways = {
        "baseline.jpg": (image, "JPEG", {"exif": exif}),
        "progressive.jpg": (image, "JPEG", {"progressive": True}),
        "cmyk.jpg": (image.convert("CMYK"), "JPEG", {}),
        "grey.jpg": (image.convert("L"), "JPEG", {}),
        "colour.png": (image, "PNG", {"pnginfo": None}),
        "alpha.png": (image.convert("RGBA"), "PNG", {}),
        "palette.png": (image.convert("P"), "PNG", {"transparency": 3}),
        "deep.png": (deep, "PNG", {}),
        "moving.gif": (image.convert("P"), "GIF", {"save_all": True, "append_images": [image.rotate(90).convert("P")]}),
        "plain.bmp": (image, "BMP", {}),
        "lzw.tiff": (image, "TIFF", {"compression": "tiff_lzw"}),
        "jpeg.tiff": (image, "TIFF", {"compression": "jpeg"}),
        "photo.webp": (image, "WEBP", {}),
    }
    encoded = {}
    for name, (picture, format, options) in ways.items():
        buffer = io.BytesIO()
        picture.save(buffer, format, **options)
        encoded[name] = buffer.getvalue()
    return encoded


def _read_images(folder):
    """Reads what `identify` would, in one go: the pixels' sum of each photo."""
    from tfvision.data.decoding import read_pixels, thumbnail_jpeg

    sums = {}
    for path in sorted(folder.iterdir()):
        sums[path.name] = int(read_pixels(path).sum())
        thumbnail_jpeg(path)
    return sums


def _manifest():
    import PIL.Image

    buffer = io.BytesIO()
    PIL.Image.new("RGB", (24, 20), "teal").save(buffer, "PNG")
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["image", "order", "species", "group", "box", "locality"])
    for number in range(12):
        box = "2,3,10,9" if number % 3 == 0 else ""
        writer.writerow([f"photos/{number}.png", "Rosales", f"Rosa {'ab'[number % 2]}", f"walk {number // 2}", box, f"Øst, {number}"])
    return {"manifest.csv": file.getvalue().encode()} | {f"photos/{number}.png": buffer.getvalue() for number in range(12)}


def photos_of_manifest() -> dict[str, bytes]:
    """The photos that the manifest lists."""
    return {name: content for name, content in _manifest().items() if name.endswith(".png")}


def _tables_alone(files):
    """What is mutated of a folder: tables; photos are their own kind."""
    return {name: content for name, content in files.items() if name.endswith((*TEXT, ".zip"))}


def _read_manifest(folder):
    from tfvision.data.manifest import read_source

    write(folder, photos_of_manifest())
    manifest = read_source(folder / "manifest.csv")
    return [(Path(record.path).name, *record.lineage, record.box) for record in manifest.records]


def _lost_of_manifest(text, answer):
    listed = len([line for line in text.splitlines()[1:] if ".png" in line])
    return listed - len(answer)


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip archive of some files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


_META = """<archive xmlns="http://rs.tdwg.org/dwc/text/" metadata="eml.xml">
  <core encoding="UTF-8" fieldsTerminatedBy="," linesTerminatedBy="\\n" fieldsEnclosedBy='"' ignoreHeaderLines="1"
        rowType="http://rs.tdwg.org/dwc/terms/Occurrence">
    <files><location>occurrence.csv</location></files>
    <id index="0"/>
    <field index="1" term="http://rs.tdwg.org/dwc/terms/scientificName"/>
    <field index="2" term="http://rs.tdwg.org/dwc/terms/genus"/>
    <field index="3" term="http://rs.tdwg.org/dwc/terms/taxonRank"/>
    <field index="4" term="http://rs.tdwg.org/dwc/terms/locality"/>
  </core>
  <extension encoding="UTF-8" fieldsTerminatedBy="," linesTerminatedBy="\\n" fieldsEnclosedBy='"' ignoreHeaderLines="1" rowType="http://rs.gbif.org/terms/1.0/Multimedia">
    <files><location>multimedia.csv</location></files>
    <coreid index="0"/>
    <field index="1" term="http://purl.org/dc/terms/identifier"/>
    <field index="2" term="http://purl.org/dc/terms/license"/>
  </extension>
</archive>
"""


def _archive():
    core = ["id,scientificName,genus,taxonRank,locality"]
    media = ["coreid,identifier,license"]
    for number in range(6):
        core.append(f'{number},Rosa {"ab"[number % 2]},Rosa,species,"Oslo, {number}"')
        media.append(f"{number},http://localhost/{number}.jpg,CC-BY")
    members = {"meta.xml": _META, "occurrence.csv": "\n".join(core) + "\n", "multimedia.csv": "\n".join(media) + "\n", "eml.xml": "<eml/>"}
    return {"archive.zip": zipped({name: text.encode() for name, text in members.items()})}


def _read_archive(folder):
    from tfvision.data.imports.importing import import_photos

    report = import_photos(folder / "archive.zip", folder.parent / "out", is_downloaded=False)
    return {name: report[name] for name in ("read", "kept", "dropped")}


def _folder_of(name):
    def files():
        paths = [path for path in (FROZEN / name).rglob("*") if path.is_file()]
        return {path.relative_to(FROZEN / name).as_posix(): path.read_bytes() for path in paths}

    return files


def _gallery():
    """The frozen gallery, written by this version: it carries a checksum of its own description."""
    from tfvision.index.folder_gallery import FolderGallery

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(shutil.copytree(FROZEN / "gallery", Path(scratch, "gallery")))
        with FolderGallery.open(folder, writable=True) as gallery:
            gallery.set_facts(is_complete=True)
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_gallery(folder):
    import numpy as np

    from tfvision.index.locations import open_gallery

    with open_gallery(folder) as gallery:
        gallery.check()
        found = [gallery.nearest(gallery.row_vectors[:2], 3, method=method) for method in ("exact", "hnsw")]
        rows = [(gallery.id_of_row(row), gallery.image_of_row(row).removeprefix(str(folder.parent)), gallery.metadata_of_row(row)) for row in gallery.live]
        info = {name: value for name, value in gallery.info().items() if name not in ("gallery", "bytes", "megabytes")}
        return repr([gallery.facts, gallery.dimension, rows, np.round(gallery.row_vectors, 5).tolist(), found, info])


def _runs():
    """The files of all frozen runs but their weights, which HDF5 guards on its own."""
    return {
        f"{run}/{name}": content
        for run in ("species", "retriever", "tattoo-detector", "tattoo-matcher", "stylizer")
        for name, content in _folder_of(run)().items()
        if not name.endswith((".h5", ".png"))
    }


def _read_runs(folder):
    from tfvision.trained.detector_run import DetectorRun
    from tfvision.trained.matcher_run import MatcherRun
    from tfvision.trained.retriever_run import RetrieverRun
    from tfvision.trained.species_run import SpeciesRun
    from tfvision.trained.stylizer_run import StylizerRun

    kinds = {"species": SpeciesRun, "retriever": RetrieverRun, "tattoo-detector": DetectorRun, "tattoo-matcher": MatcherRun, "stylizer": StylizerRun}
    answers = []
    for name, kind in kinds.items():
        shutil.copyfile(FROZEN / name / "model.weights.h5", folder / name / "model.weights.h5")
        run = kind.open(folder / name)
        answers += [run.recipe, run.facts, run.finished_metrics()]
        answers += [getattr(run, part) for part in ("taxonomy", "calibration") if name == "species"]
    return repr(answers)


def _read_records(folder):
    from tfvision.data.decoding import read_photo
    from tfvision.data.manifest import read_source
    from tfvision.data.shards.verification import verify_prepared
    from tfvision.errors import DataError

    manifest = read_source(folder)
    for damage in verify_prepared(folder).damaged:
        raise DataError(f"{damage.name}: {damage.reason}")
    return [(Path(record.path).name, *record.lineage, record.box, len(read_photo(record.path).encoded)) for record in manifest.records]


def _requests():
    import base64

    photo = base64.b64encode(_images()["colour.png"]).decode()
    instance = {"image_bytes": {"b64": photo}, "threshold": 0.5, "within": "blues"}
    example = {"image/encoded": {"b64": photo}, "size": 3, "ratio": [0.5, 1.5], "name": "é"}
    return {
        "rows.json": json.dumps({"signature_name": "identify", "instances": [instance, instance]}).encode(),
        "columns.json": json.dumps({"inputs": {"image_bytes": [{"b64": photo}], "threshold": [0.5], "within": [""]}}).encode(),
        "classify.json": json.dumps({"examples": [example, example]}).encode(),
        "tensor.bin": _tensor_proto(),
    }


def _tensor_proto():
    from tensorflow.core.framework import tensor_pb2, types_pb2

    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[1, 2, 3, 4, 5, 6])
    for size in (2, 3):
        tensor.tensor_shape.dim.add(size=size)
    return tensor.SerializeToString()


def _read_requests(folder):
    from google.protobuf.message import DecodeError
    from tensorflow.core.framework import tensor_pb2, types_pb2
    from tensorflow.core.protobuf import meta_graph_pb2

    from tfvision.serving import rest_json, tensor_protos
    from tfvision.serving.images import check_images

    kinds = {"image_bytes": types_pb2.DT_STRING, "threshold": types_pb2.DT_FLOAT, "within": types_pb2.DT_STRING}
    signature = meta_graph_pb2.SignatureDef(inputs={name: meta_graph_pb2.TensorInfo(dtype=kind) for name, kind in kinds.items()})
    answers = []
    for name in ("rows.json", "columns.json"):
        request = rest_json.parse_predict_request((folder / name).read_bytes(), lambda asked: signature)
        check_images(request.inputs)
        answers += [request.signature_name, {key: array.tolist() for key, array in request.inputs.items()}, request.is_row]
    answers.append(rest_json.parse_examples_request((folder / "classify.json").read_bytes()))
    tensor = tensor_pb2.TensorProto()
    try:
        tensor.ParseFromString((folder / "tensor.bin").read_bytes())
    except DecodeError:  # gRPC refuses it before we see it
        return answers
    answers.append(tensor_protos.to_array("x", tensor).tolist())
    return repr(answers)


KINDS = {
    "image": Kind(_images, _read_images),
    "manifest": Kind(lambda: _tables_alone(_manifest()), _read_manifest, lost=_lost_of_manifest),
    "archive": Kind(_archive, _read_archive),
    "gallery": Kind(_gallery, read_gallery, is_guarded=True),
    "run": Kind(_runs, _read_runs),
    "records": Kind(_folder_of("prepared"), _read_records, is_guarded=True),
    "request": Kind(_requests, _read_requests, is_on_disk=False),
}
