"""The JSON of iNaturalist's competitions and of camera traps (COCO style), read item by item: a million images fit into little memory."""

import hashlib
import sqlite3

from tfvision.data.imports.archives import Archive, json_items_of
from tfvision.data.imports.lineages import RawTaxon
from tfvision.data.imports.photo_boxes import Marked, known_size, mark, ranks_named, rows_of_photo, taxa_of_categories
from tfvision.data.imports.photo_records import Photo, Source, unknown_source
from tfvision.data.imports.photo_rows import as_local
from tfvision.data.manifest import RANKS

_BETWEEN, _BEHIND = "\x1f", "\x1e"  # ASCII's own separators of units and of records
_WITHOUT_SEPARATORS = str.maketrans("", "", _BETWEEN + _BEHIND)
_NO_NUMBERS = "nan,nan,nan,nan"
_IMAGE_COLUMNS = {  # what is kept of an image -> what it is called, the first that is filled
    "file_name": ("file_name",),
    "url": ("coco_url", "url"),
    "license": ("license",),
    "rights_holder": ("rights_holder",),
    "date": ("date", "datetime", "date_captured"),
    "latitude": ("latitude",),
    "longitude": ("longitude",),
    "sequence": ("seq_id", "sequence_id", "sequenceID"),
    "location": ("location",),
    "width": ("width",),
    "height": ("height",),
}
_ANNOTATION_COLUMNS = ("category_id", "box")


def competition_source(archive: Archive, name: str, database: sqlite3.Connection) -> Source:
    """The photos of a competition's JSON."""
    source = Source("competition", archive, iter(()), total_bytes=archive.size(name))
    source.photos = _photos(source, name, database)
    return source


def _photos(source, name, database):
    """Sections may stand in any order, so that images and annotations wait on disk until all is read."""
    sections = {"images": _IMAGE_COLUMNS, "annotations": _ANNOTATION_COLUMNS}
    for section, columns in sections.items():
        database.execute(f"CREATE TABLE {section} (id, {', '.join(columns)})")
    categories, licences, rows = {}, {}, {section: [] for section in sections}
    for section, item in json_items_of(source.archive, name):
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
    categories = taxa_of_categories(categories, source.archive.where(name))
    source.ranks = ranks_named(categories.values())
    database.execute("CREATE INDEX annotations_image ON annotations (id)")
    found = "SELECT group_concat(category_id || ? || box, ?) FROM annotations WHERE annotations.id = images.id"
    for id, *texts, annotations in database.execute(f"SELECT *, ({found}) FROM images ORDER BY rowid", (_BETWEEN, _BEHIND)):
        source.observations += 1
        image = dict(zip(_IMAGE_COLUMNS, texts, strict=True))
        # Where no sequence of a camera trap is named, photos of one holder at one place and second are taken for one observation.
        facts = [image[name] for name in ("rights_holder", "date", "latitude", "longitude")]
        observation = image["sequence"] or (hashlib.blake2b("\n".join(facts).encode(), digest_size=8).hexdigest() if all(facts) else "")
        photo = Photo(
            as_local(image["file_name"]) or image["url"],
            RawTaxon(),
            observation=observation,
            source_id=id,
            license=licences.get(image["license"], ""),
            rights_holder=image["rights_holder"],
            latitude=image["latitude"],
            longitude=image["longitude"],
            date=image["date"],
            is_local=bool(image["file_name"]),
            location=image["location"],
        )
        size = known_size(image["width"], image["height"])
        for label, box, problem in rows_of_photo([_marked(text, size) for text in annotations.split(_BEHIND)] if annotations else []):
            taxon = categories.get(label, RawTaxon())
            yield photo._replace(taxon=taxon, box=box, problem=problem)


def _marked(text, size):
    label, _, box = text.partition(_BETWEEN)
    return mark(label, [float(number) for number in box.split(",")], size) if box else Marked(label)


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
    """Four numbers; "" where there is no box, or what is written for none; NO_NUMBERS where it is something else."""
    if box is None or (isinstance(box, list) and not any(box)):
        return ""
    are_numbers = isinstance(box, list) and len(box) == 4 and all(type(number) in (int, float) for number in box)
    return ",".join(map(str, box)) if are_numbers else _NO_NUMBERS


def _text(value):
    """A value as text that can be written: JSON may escape halves of a character."""
    return "" if value is None or isinstance(value, (dict, list)) else str(value).translate(_WITHOUT_SEPARATORS).encode(errors="replace").decode()
