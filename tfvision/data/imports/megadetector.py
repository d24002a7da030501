"""MegaDetector's output: each box above a confidence is a row, its category (or what a classifier called it) the label."""

import re

from tfvision.data.detections import Categories
from tfvision.data.imports.archives import Archive, json_items_of
from tfvision.data.imports.lineages import RawTaxon
from tfvision.data.imports.photo_boxes import NO_BOXES, box_text, taxa_of_labels
from tfvision.data.imports.photo_records import Photo, Source
from tfvision.data.imports.photo_rows import as_local, is_web_address

FAILED = "the detector failed on it"
NO_FILE = "an item of images that names no file"


def megadetector_source(archive: Archive, name: str) -> Source:
    """The photos of MegaDetector's JSON. Raises DataError where it names no categories."""
    members = {key: item for key, item in json_items_of(archive, name) if key.endswith("_categories")}
    categories = Categories.of(members, archive.where(name))
    source = Source("megadetector", archive, iter(()), (), total_bytes=2 * archive.size(name))
    source.photos = _photos(source, name, categories)
    return source


def _photos(source, name, categories):
    taxa = taxa_of_labels([*categories.detections.values(), *categories.classifications.values()], source.archive.where(name))
    for key, image in json_items_of(source.archive, name):
        if key != "images":
            continue
        source.observations += 1
        file = image.get("file") if isinstance(image, dict) else None
        if not isinstance(file, str) or not file:
            yield Photo("", RawTaxon(), problem=NO_FILE)
            continue
        photo = Photo(file if is_web_address(file) else as_local(file), RawTaxon(), is_local=not is_web_address(file), date=_date(image.get("datetime")))
        found, problem = categories.found_in(image)
        if not found:
            yield photo._replace(problem=FAILED if problem else NO_BOXES)
        for one in found:
            taxon = taxa.get(one.classification or one.category) or RawTaxon(name=one.category)
            yield photo._replace(taxon=taxon, box=box_text(one.box), confidence=f"{one.confidence:.6g}", problem=one.problem)


def _date(text):
    """A time of EXIF, "2020:02:03 10:00:00", as a date."""
    return re.sub(r"^(\d{4}):(\d\d):(\d\d)", r"\1-\2-\3", text) if isinstance(text, str) else ""
