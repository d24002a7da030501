"""The explorer as a static site: the same page, which reads files and computes in the browser instead of asking a server."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfvision.apps.explorer import answers
from tfvision.apps.explorer.collection import Layer
from tfvision.apps.explorer.plan import Plan
from tfvision.apps.explorer.routes import STATIC, plotly_script
from tfvision.apps.explorer.session import Session
from tfvision.apps.explorer.thumbnails import SHEET, sheet_path, write_sheet
from tfvision.data.decoding import thumbnail_jpeg
from tfvision.errors import DataError
from tfvision.files import atomic_folder, write_json
from tfvision.progress import progress_bar

MOST_PICTURES = 20_000
MOST_LARGE = 2_000  # of more pictures than these only the thumbnails are written
_LARGE_PX = 640
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
_LEASTS = (0.99, 0.97, 0.95, 0.9, 0.85)  # thresholds of near duplicates, as tidy.js offers them
_LISTED = 500


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
    shutil.copytree(STATIC, site / "static", copy_function=shutil.copyfile)
    (site / "static" / "plotly.min.js").write_bytes(plotly_script())
    page = (site / "static" / "index.html").read_text(encoding="utf-8")
    page = page.replace('data-source="server"', 'data-source="static"')
    page = page.replace('href="static/source.js"', 'href="static/static_source.js"')
    page = page.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{_POLICY}">')
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
    pictures = collection.pictures
    status = {
        **session.status(),
        "indexing": None,
        "thumbnails": None,
        "changed": None,
        "broken": None,
        "has_large": len(pictures) <= MOST_LARGE,
        "sheet": SHEET,
    }
    write_json(data / "status.json", status)
    write_json(data / "names.json", pictures.ids)
    write_json(data / "columns.json", [{"name": name, "values": values} for name, (values, _) in pictures.columns.items()])
    for number, (_, codes) in enumerate(pictures.columns.values()):
        (data / f"codes-{number}.bin").write_bytes(np.ascontiguousarray(codes, "<i4").tobytes())
    notes, positions = session.notes.read(), pictures.positions
    tags = {tag: [positions[id] for id in ids if id in positions] for tag, ids in notes["tags"].items()}
    conclusions = {question: entry["conclusion"] for question, entry in notes["questions"].items()}
    write_json(data / "notes.json", {"tags": tags, "marks": _marks(session, notes), "conclusions": conclusions})
    for number, layer in enumerate(collection.layers):
        (data / f"vectors-{number}.bin").write_bytes(packed_vectors(layer))
        (data / f"map-{number}-pca.bin").write_bytes(session.tables.map(layer, "pca").astype("<f4").tobytes())
        if session.tables.has_map(layer, "umap"):
            (data / f"map-{number}-umap.bin").write_bytes(session.tables.map(layer, "umap").astype("<f4").tobytes())
        write_json(data / f"tidy-{number}.json", _tidy(session.tables.neighbours(layer), pictures))


def packed_vectors(layer: Layer) -> bytes:
    """All vectors in a byte a value: scales float32 [pictures] (NaN: no vector), then int8 [pictures, dimension]; value = scale * byte."""
    vectors, there = layer.compact_vectors()
    scales = np.full(len(layer.row_of), np.nan, "<f4")
    values = np.zeros((len(layer.row_of), layer.dimension), np.int8)
    peaks = np.maximum(np.abs(vectors).max(axis=1, initial=0), 1e-12)
    scales[there] = peaks / 127
    values[there] = np.rint(vectors / peaks[:, None] * 127)
    return scales.tobytes() + values.tobytes()


def _tidy(table, pictures):
    return {
        "duplicates": {str(least): answers.near_duplicates(table, least) for least in _LEASTS},
        "outliers": answers.outliers(table, _LISTED),
        "hubs": answers.hubs(table, _LISTED),
        "labels": {column: answers.suspect_labels(table, pictures, column, _LISTED) for column in pictures.columns},
    }


def _marks(session, notes):
    positions, found = session.collection.pictures.positions, {}
    for question, entry in notes["questions"].items():
        named = {session.queries.name_of(key): judged for key, judged in entry["marks"].items()}
        found[question] = {
            name: {positions[id]: is_right for id, is_right in judged.items() if id in positions} for name, judged in named.items() if name is not None
        }
    return found
