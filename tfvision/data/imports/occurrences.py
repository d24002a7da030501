"""Photos with their observations, from whatever GBIF, iNaturalist and others write: finds out the kind of a source and opens it."""

import sqlite3
from pathlib import Path

from tfvision.data.imports import camtrap, competition, cvat, darwin_core, flat_tables, joined_archives, label_studio, megadetector, open_data, yolo
from tfvision.data.imports.archives import json_items_of, open_archive
from tfvision.data.imports.photo_records import Source, unknown_source


def open_source(path: Path | str, database: sqlite3.Connection) -> Source:
    """Opens a source of any kind of KINDS; to be closed by `source.archive.close()`.

    Args:
      database: a scratch database for what must be joined.

    Raises:
      DataError: of no kind that is known, without photos, or not sound.
    """
    is_part = Path(path).name.lower() == camtrap.PACKAGE_NAME or Path(path).suffix.lower() in (".yaml", ".yml")  # which stands for its folder
    archive = open_archive(Path(path).parent if is_part else path)
    try:
        meta = darwin_core.find_meta(archive)
        if meta:
            return joined_archives.archive_source(archive, darwin_core.read_meta(archive, meta), database)
        if tables := open_data.find_tables(archive):
            return open_data.open_data_source(archive, tables, database)
        if package := camtrap.find_package(archive):
            return camtrap.package_source(archive, package, database)
        if layout := yolo.find_layout(archive):
            return yolo.yolo_source(archive, layout)
        name = _only_file(archive)
        lower = name.lower().removesuffix(".gz")
        if lower.endswith(".json"):
            return _json_source(archive, name, database)
        if lower.endswith(".xml") and cvat.is_cvat(archive, name):
            return cvat.cvat_source(archive, name)
        if lower.endswith((".dwc", ".xml")):
            return flat_tables.record_set_source(archive, name)
        return flat_tables.table_source(archive, name)
    except BaseException:
        archive.close()
        raise


def _json_source(archive, name, database):
    """A source of JSON, told by the first of its items that only one kind has."""
    for key, item in json_items_of(archive, name):
        if key == "detection_categories" or (key == "images" and isinstance(item, dict) and "file" in item and "file_name" not in item):
            return megadetector.megadetector_source(archive, name)
        if key in ("images", "annotations", "categories"):
            return competition.competition_source(archive, name, database)
        if not key and label_studio.is_task(item):
            return label_studio.label_studio_source(archive, name)
        if not key:
            break
    raise unknown_source(archive.where(name), "it is JSON, but no object with images, annotations and categories")


def _only_file(archive):
    """The one file that may be a source, at the top of the archive."""
    known = (".csv", ".tsv", ".txt", ".json", ".dwc", ".xml")
    found = [name for name in archive.names if name.lower().removesuffix(".gz").endswith(known) and not name.startswith(("__MACOSX/", "."))]
    found = [name for name in found if Path(name).name != camtrap.PACKAGE_NAME]
    top = [name for name in found if "/" not in name] or found
    for endings in ((".json", ".dwc"), (".csv", ".tsv"), known):
        candidates = [name for name in top if name.lower().removesuffix(".gz").endswith(endings)]
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            shown = ", ".join(candidates[:5]) + (", ..." if len(candidates) > 5 else "")
            raise unknown_source(archive.path, f"several files could be meant ({shown}) and no meta.xml says which: name one of them")
    raise unknown_source(archive.path, "there is no table, JSON or XML in it" if archive.names else "it is empty")
