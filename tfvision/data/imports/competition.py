"""The JSON of iNaturalist's competitions and of camera traps (COCO style), read item by item: a million images fit into little memory."""

import hashlib
import sqlite3
import warnings

from tfvision.data.imports.archives import Archive
from tfvision.data.imports.json_items import json_items
from tfvision.data.imports.lineages import AS_WRITTEN, RawTaxon, is_scientific
from tfvision.data.imports.photo_records import Photo, Source, unknown_source
from tfvision.data.manifest import RANKS
from tfvision.errors import DataWarning

NO_LABEL = "no annotation names its category"
SEVERAL_LABELS = "several categories in one photo"
_IMAGE_COLUMNS = {  # what is kept of an image -> what it is called, the first that is filled
    "file_name": ("file_name",),
    "url": ("coco_url", "url"),
    "license": ("license",),
    "rights_holder": ("rights_holder",),
    "date": ("date", "datetime", "date_captured"),
    "latitude": ("latitude",),
    "longitude": ("longitude",),
    "sequence": ("seq_id",),
}
_LARGEST_SIDE = 1e9  # pixels
_ANNOTATION_COLUMNS = ("category_id", "box")


def competition_source(archive: Archive, name: str, database: sqlite3.Connection) -> Source:
    """The photos of a competition's JSON. Raises DataError where it is none."""
    with archive.open(name) as stream:
        if stream.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"{":
            raise unknown_source(archive.where(name), "it is JSON, but no object with images, annotations and categories")
    source = Source("competition", archive, iter(()), total_bytes=archive.size(name))
    source.photos = _photos(source, name, database)
    return source


def _photos(source, name, database):
    """Sections may stand in any order, so that images and annotations wait on disk until all is read."""
    sections = {"images": _IMAGE_COLUMNS, "annotations": _ANNOTATION_COLUMNS}
    for section, columns in sections.items():
        database.execute(f"CREATE TABLE {section} (id, {', '.join(columns)})")
    categories, licences, rows = {}, {}, {section: [] for section in sections}
    for section, item in json_items(source.archive, name):
        if not isinstance(item, dict):
            continue
        if section == "categories":
            categories[_text(item.get("id"))] = _raw_taxon(item)
        elif section == "licenses":
            licences[_text(item.get("id"))] = _text(item.get("url") or item.get("name"))
        elif section in sections:
            key = "id" if section == "images" else "image_id"
            values = _image_values(item) if section == "images" else (_text(item.get("category_id")), _box_text(item.get("bbox")))
            rows[section].append((_text(item.get(key)), *values))
            if len(rows[section]) >= 10_000:
                _write(database, section, rows[section])
    for section in sections:
        _write(database, section, rows[section])
    if not categories or not database.execute("SELECT count(*) FROM images").fetchone()[0]:
        raise unknown_source(source.archive.where(name), "it has no images and categories, so it is no competition's JSON with labels")
    if not any(map(is_scientific, categories.values())):  # of many camera traps: "bobcat", "tayassu pecari", "empty"
        shown = ", ".join(sorted(taxon.name for taxon in categories.values())[:3])
        warnings.warn(
            f"{source.archive.where(name)} has no scientific names: its categories ({shown}, ...) are labels as they are written", DataWarning, stacklevel=2
        )
        categories = {id: RawTaxon(name=taxon.name, rank=AS_WRITTEN) for id, taxon in categories.items() if taxon.name}
    source.ranks = tuple(rank for rank, *names in zip(RANKS, *categories.values(), strict=False) if any(names))
    database.execute("CREATE INDEX annotations_image ON annotations (id)")
    of_image = "FROM annotations WHERE annotations.id = images.id"
    found = f"(SELECT group_concat(DISTINCT category_id) {of_image}), (SELECT group_concat(box, ';') {of_image})"
    for id, file_name, url, licence, holder, date, latitude, longitude, sequence, label, boxes in database.execute(
        f"SELECT *, {found} FROM images ORDER BY rowid"
    ):
        source.observations += 1
        taxon, problem = categories.get(label or "", RawTaxon()), ""
        if label is None or "," in label:
            problem = NO_LABEL if label is None else SEVERAL_LABELS
        # Where no sequence of a camera trap is named, photos of one holder at one place and second are taken for one observation.
        facts = (holder, date, latitude, longitude)
        observation = sequence or (hashlib.blake2b("\n".join(facts).encode(), digest_size=8).hexdigest() if all(facts) else "")
        yield Photo(
            file_name or url,
            taxon,
            "",
            observation,
            id,
            licences.get(licence, ""),
            holder,
            "",
            latitude,
            longitude,
            "",
            date,
            is_local=bool(file_name),
            problem=problem,
            box=_surrounding(boxes or ""),
        )


def _write(database, section, rows):
    if rows:
        database.execute("BEGIN")
        database.executemany(f"INSERT INTO {section} VALUES ({', '.join('?' * len(rows[0]))})", rows)
        database.execute("COMMIT")
        rows.clear()


def _raw_taxon(category):
    names = {rank: _text(category.get(rank)) for rank in RANKS}
    return RawTaxon(*names.values(), name=_text(category.get("name")), epithet=_text(category.get("specific_epithet")))


def _image_values(image):
    return [next(filter(None, (_text(image.get(name)) for name in names)), "") for names in _IMAGE_COLUMNS.values()]


def _box_text(box):
    """left,top,width,height; "" where it is no box."""
    is_box = isinstance(box, list) and len(box) == 4 and all(type(number) in (int, float) and abs(number) < _LARGEST_SIDE for number in box)
    return ",".join(map(str, box)) if is_box and box[2] > 0 and box[3] > 0 else ""


def _surrounding(boxes):
    """The box around all boxes of a photo, left,top,width,height each; "" where there is none."""
    corners = []
    for box in filter(None, boxes.split(";")):
        left, top, width, height = map(float, box.split(","))
        corners.append((left, top, left + width, top + height))
    if not corners:
        return ""
    lefts, tops, rights, bottoms = zip(*corners, strict=True)
    left, top = min(lefts), min(tops)
    return ",".join(f"{value:.10g}" for value in (left, top, max(rights) - left, max(bottoms) - top))


def _text(value):
    """A value as text that can be written: JSON may escape halves of a character."""
    return "" if value is None or isinstance(value, (dict, list)) else str(value).encode(errors="replace").decode()
