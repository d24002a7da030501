"""CVAT's export for images 1.1: boxes in pixels, and tags for all of a photo."""

from collections.abc import Iterator

from tfvision.data.imports.archives import Archive
from tfvision.data.imports.lineages import RawTaxon
from tfvision.data.imports.photo_boxes import NO_BOXES, Marked, known_size, labelled_source, mark, rows_of_photo, turned
from tfvision.data.imports.photo_records import Photo, Source
from tfvision.data.imports.photo_rows import as_local
from tfvision.data.imports.safe_xml import Element, xml_elements
from tfvision.errors import DataError

NO_RECTANGLE = "a shape that is no rectangle"
_SHAPES = ("polygon", "polyline", "points", "ellipse", "mask", "cuboid", "skeleton")
_HEAD_BYTES = 4096


def is_cvat(archive: Archive, name: str) -> bool:
    """Whether an XML is an export of CVAT."""
    with archive.open(name) as stream:
        return b"<annotations" in stream.read(_HEAD_BYTES)


def cvat_source(archive: Archive, name: str) -> Source:
    """The photos of an export of CVAT. Raises DataError where it is one for videos."""
    return labelled_source("cvat", archive, name, lambda: _photos(archive, name))


def _photos(archive: Archive, name: str) -> Iterator[Photo]:
    where = archive.where(name)
    with archive.open(name) as stream:
        for kind, attributes, _, children in xml_elements(stream, where, {"image", "track"}):
            if kind == "track":
                raise DataError(f"{where} is CVAT's export for videos, whose frames are no files: export it as 'CVAT for images 1.1'")
            file = as_local(attributes.get("name", ""))
            photo = Photo(file, RawTaxon(), source_id=attributes.get("id", ""), is_local=True, split=attributes.get("subset", ""))
            size = known_size(attributes.get("width"), attributes.get("height"))
            found = [marked for child in children for marked in _marked(child, size)]
            for label, box, problem in rows_of_photo(found) if found else [Marked("", "", NO_BOXES)]:
                yield photo._replace(taxon=RawTaxon(name=label), box=box, problem=problem)


def _marked(child: Element, size: tuple[float, float] | None) -> Iterator[Marked]:
    shape, attributes, _, _ = child
    label = attributes.get("label", "")
    if shape == "tag":
        yield Marked(label)
    elif shape in _SHAPES:
        yield Marked("", "", f"{NO_RECTANGLE} ({shape})")
    elif shape == "box":
        try:
            left, top, right, bottom = (float(attributes.get(side, "")) for side in ("xtl", "ytl", "xbr", "ybr"))
            degrees = float(attributes.get("rotation", 0))
        except ValueError:
            yield mark(label, (), size)
            return
        box = (left, top, right - left, bottom - top)
        yield mark(label, turned(box, degrees, ((left + right) / 2, (top + bottom) / 2)) if degrees else box, size)
