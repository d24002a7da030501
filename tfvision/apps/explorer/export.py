"""The explorer as a static site: the same page, which reads files and computes in the browser instead of asking a server."""

import collections
import contextlib
import itertools
import os
import re
import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfvision.apps.explorer import answers
from tfvision.apps.explorer.collection import Layer, Pictures
from tfvision.apps.explorer.columns import described
from tfvision.apps.explorer.judges import by_judge
from tfvision.apps.explorer.plan import Plan
from tfvision.apps.explorer.pooling import drawn
from tfvision.apps.explorer.routes import STATIC, plotly_script
from tfvision.apps.explorer.session import Session
from tfvision.apps.explorer.thumbnails import SHEET, sheet_path, write_sheet
from tfvision.data.decoding import thumbnail_jpeg
from tfvision.errors import DataError, UserError
from tfvision.files import atomic_folder, write_json
from tfvision.progress import progress_bar
from tfvision.serving.page_answers import PAGE

MOST_PICTURES = 20_000
MOST_LARGE = 2_000  # of more pictures than these only the thumbnails are written
_LARGE_PX = 640
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
_LEASTS = (0.99, 0.97, 0.95, 0.9, 0.85)  # thresholds of near duplicates, as tidy.js offers them
_LISTED = 500
_ABSOLUTE = re.compile(r"[A-Za-z]:[\\/]|\\\\[^\\]|file:/|~[^/]*/|/+(?P<top>[^/]+)/")  # C:\..., \\SERVER\..., /home/...
_TOPS = frozenset(["home", "Users", "Volumes", "media", "mnt", "root", "data"])  # of other machines as well


def export_site(plan: Plan, folder: str | Path, say: Callable[[str], object] = lambda line: None) -> dict[str, Any]:
    """Writes a Plan's collection as a static site; a folder that is not indexed is indexed first.

    Returns:
      {"site", "pictures", "megabytes"}.

    Raises:
      DataError: more than 20,000 pictures, or something is there already.
      StorageError, and what indexing raises.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"{folder} is there already and not empty: choose a new folder")
    session = Session(plan, say)
    session.index()
    count = len(session.collection.pictures)
    if count > MOST_PICTURES:
        raise DataError(f"a static site holds {MOST_PICTURES:,} pictures at most, {plan.name} has {count:,}: export a selection's manifest, and that as a site")
    if target.exists():
        target.rmdir()
    with atomic_folder(target) as site:
        _write_page(site)
        _write_pictures(site, session)
        _write_numbers(site, session)
        megabytes = sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) / 1e6
    return {"site": str(target), "pictures": count, "megabytes": round(megabytes, 1)}


def _write_page(site):
    for folder in (PAGE, STATIC):
        shutil.copytree(folder, site / "static", copy_function=shutil.copyfile, dirs_exist_ok=True)
    (site / "static" / "plotly.min.js").write_bytes(plotly_script())
    page = (site / "static" / "index.html").read_text(encoding="utf-8")
    page = page.replace('data-source="server"', 'data-source="static"')
    page = page.replace('href="static/source.js"', 'href="static/static_source.js"')
    page = page.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{_POLICY}">')
    page = page.replace("</body>", '<script src="static/opened.js"></script>\n</body>')
    (site / "index.html").write_text(page, encoding="utf-8")
    (site / "static" / "index.html").unlink()


def _write_pictures(site, session):
    pictures, data = session.collection.pictures, site / "data"
    (data / "large").mkdir(parents=True)
    with progress_bar("pictures", len(pictures)) as bar:
        for start in range(0, len(pictures), SHEET):
            positions = range(start, min(start + SHEET, len(pictures)))
            write_sheet(sheet_path(data, start // SHEET), [session.thumbnails.get(position) for position in positions])
            if len(pictures) <= MOST_LARGE:
                for position in positions:
                    jpeg = thumbnail_jpeg(pictures.path(position), _LARGE_PX)
                    if jpeg:
                        (data / "large" / f"{position}.jpg").write_bytes(jpeg)
            bar.advance(len(positions))


def _write_numbers(site, session):
    collection, data = session.collection, site / "data"
    names = public_names(collection.pictures.ids, are_ids=True)
    columns = {name: (public_names(values), codes) for name, (values, codes) in collection.pictures.columns.items()}
    pictures, shown = Pictures(names, collection.pictures.path, columns), session.status()
    status = {
        **shown,
        "indexing": None,
        "thumbnails": None,
        "asking": None,
        "text_layers": [],
        "told": [],
        "changed": None,
        "broken": None,
        "error": None,
        "layers": [{**layer, "name": name} for layer, name in zip(shown["layers"], public_names([layer["name"] for layer in shown["layers"]]), strict=True)],
        "export": secrets.token_hex(4),
        "has_large": len(pictures) <= MOST_LARGE,
        "sheet": SHEET,
    }
    write_json(data / "status.json", status)
    write_json(data / "names.json", names)
    _, scales = collection.pictures.with_scales()
    write_json(data / "columns.json", described(columns, scales, collection.pictures.answers))
    for number, scale in enumerate(scales):
        if scale:
            (data / f"numbers-{number}.bin").write_bytes(scale.numbers.astype("<f8").tobytes())
    for number, (_, codes) in enumerate(columns.values()):
        (data / f"codes-{number}.bin").write_bytes(np.ascontiguousarray(codes, "<i4").tobytes())
    write_json(data / "notes.json", _notes(session, pictures))
    for number, layer in enumerate(collection.layers):
        (data / f"vectors-{number}.bin").write_bytes(packed_vectors(layer))
        (data / f"map-{number}-pca.bin").write_bytes(session.tables.map(layer, "pca").astype("<f4").tobytes())
        if session.tables.has_map(layer, "umap"):
            (data / f"map-{number}-umap.bin").write_bytes(session.tables.map(layer, "umap").astype("<f4").tobytes())
        write_json(data / f"tidy-{number}.json", _tidy(layer, session.tables.neighbours(layer), pictures))


def packed_vectors(layer: Layer) -> bytes:
    """All vectors in a byte a value: scales float32 [pictures] (NaN: no vector), then int8 [pictures, dimension]; value = scale * byte."""
    vectors, there = layer.compact_vectors()
    scales = np.full(len(layer.row_of), np.nan, "<f4")
    values = np.zeros((len(layer.row_of), layer.dimension), np.int8)
    peaks = np.maximum(np.abs(vectors).max(axis=1, initial=0), 1e-12)
    scales[there] = peaks / 127
    values[there] = np.rint(vectors / peaks[:, None] * 127)
    return scales.tobytes() + values.tobytes()


def public_names(values: Sequence[Any], are_ids: bool = False) -> list[Any]:
    """Values without this machine's folders: of a path the name, with its folder where two have the same; all else as it is."""
    is_path = _ABSOLUTE.match if are_ids else _is_path
    parts = {value: re.split(r"[\\/]+", value.rstrip("\\/")) for value in dict.fromkeys(values) if isinstance(value, str) and is_path(value)}
    alike = collections.Counter(names[-1] for names in parts.values())
    taken = {value for value in values if value not in parts}
    found = {}
    for value, names in parts.items():
        name = "/".join(names[-2:]).lstrip("/") if alike[names[-1]] > 1 else names[-1]
        found[value] = next(one for one in itertools.chain([name], (f"{name} {number}" for number in itertools.count(2))) if one not in taken)
        taken.add(found[value])
    return [found.get(value, value) for value in values]


def _is_path(value):
    """Whether a label leads to a place on a disk; "/m/01g317", one of Open Images, does not."""
    if match := _ABSOLUTE.match(value):
        return match["top"] is None or match["top"] in _TOPS or os.path.exists(f"/{match['top']}")
    return False


def _tidy(layer, table, pictures):
    return {
        "duplicates": {str(least): answers.near_duplicates(layer, table, pictures, least) for least in _LEASTS},
        "outliers": answers.outliers(table, _LISTED),
        "hubs": answers.hubs(table, _LISTED),
        "labels": {column: answers.suspect_labels(table, pictures, column, _LISTED) for column in pictures.columns},
    }


def _notes(session, public):
    """Tags, marks, conclusions and what is drawn at random for each query, by the site's names of pictures and labels."""
    notes, pictures = session.notes.read(), session.collection.pictures

    def told(marks):
        return {queries.get(key, key): {names[id]: is_right for id, is_right in judged.items() if id in names} for key, judged in marks.items()}

    names = dict(zip(pictures.ids, public.ids, strict=True))
    queries = {f"id:{id}": f"id:{name}" for id, name in names.items()}
    for column, (values, _) in pictures.columns.items():
        queries |= {f"g:{column}={value}": f"g:{column}={shown}" for value, shown in zip(values, public.columns[column][0], strict=True)}
    return {
        "tags": {tag: [names[id] for id in ids if id in names] for tag, ids in notes["tags"].items()},
        "marks": {question: told(entry["marks"]) for question, entry in notes["questions"].items()},
        "judges": {question: {judge: told(marks) for judge, marks in by_judge(entry).items() if judge} for question, entry in notes["questions"].items()},
        "conclusions": {question: entry["conclusion"] for question, entry in notes["questions"].items()},
        "drawn": {
            question: {
                queries.get(key, key): [names[pictures.ids[position]] for position in positions] for key, positions in _drawn(session, question, entry).items()
            }
            for question, entry in notes["questions"].items()
        },
    }


def _drawn(session, question, entry):
    """Query -> positions of pictures at random; none of a query that is lost."""
    found = {}
    for key in dict.fromkeys(key for marks in by_judge(entry).values() for key in marks):
        with contextlib.suppress(UserError):
            found[key] = drawn(session.collection, session.queries, question, key)
    return found
