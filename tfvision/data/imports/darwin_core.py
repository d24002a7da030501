"""Darwin Core: archives described by a meta.xml, and iNaturalist's record sets in XML."""

import dataclasses
import posixpath
from collections.abc import Iterator

from tfvision.data.csv_table import HEAD_BYTES, Dialect, encoding_of, plain_column
from tfvision.data.imports.archives import Archive
from tfvision.data.imports.safe_xml import short_name, xml_elements
from tfvision.data.imports.tables import Table
from tfvision.errors import DataError

META_NAME = "meta.xml"
_MAX_META_BYTES = 16 * 2**20
_MAX_COLUMNS = 10_000
_ESCAPES = {"\\t": "\t", "\\n": "\n", "\\r": "\r", "\\r\\n": "\r\n"}  # as meta.xml writes them
_MEDIA = ("multimedia", "image", "media", "document")  # GBIF's and Audubon Core's, and EOL's


@dataclasses.dataclass(frozen=True)
class File:
    """A core or an extension of an archive.

    Attributes:
      kind: the short name of its rows' type, such as "Occurrence" or "Multimedia".
      key: the column with the core's id.
    """

    kind: str
    key: str
    table: Table


@dataclasses.dataclass(frozen=True)
class DarwinCore:
    """What a meta.xml describes: a core and its extensions."""

    core: File
    extensions: tuple[File, ...]

    @property
    def occurrences(self) -> File | None:
        """The occurrences: the core, or of events their extension; None where events have none."""
        if self.core.kind.lower() != "event":
            return self.core
        return next((file for file in self.extensions if file.kind.lower() == "occurrence"), None)

    @property
    def media(self) -> tuple[File, ...]:
        """All extensions that list photos."""
        return tuple(file for file in self.extensions if file is not self.occurrences and _lists_media(file))


def find_meta(archive: Archive) -> str | None:
    """The name of the meta.xml: at the top, or in the one folder that a zip program put around all; None where there is none."""
    found = [name for name in archive.names if posixpath.basename(name) == META_NAME and name.count("/") <= 1 and not name.startswith("__MACOSX/")]
    return min(found, key=lambda name: name.count("/")) if found else None


def read_meta(archive: Archive, name: str) -> DarwinCore:
    """Reads a meta.xml.

    Raises:
      DataError: it is no sound XML, declares entities, names files outside the archive or that are missing, or contradicts itself.
    """
    where = archive.where(name)
    if archive.size(name) > _MAX_META_BYTES:
        raise DataError(f"{where} is refused: it has more than {_MAX_META_BYTES >> 20} MiB")
    with archive.open(name) as stream:
        elements = list(xml_elements(stream, where, {"core", "extension"}))
    cores = [element for element in elements if element[0] == "core"]
    if len(cores) != 1:
        raise DataError(f"{where} describes {len(cores)} cores instead of one: it is no Darwin Core archive")
    folder = posixpath.dirname(name)
    files = [_read_file(archive, folder, where, element) for element in (cores[0], *(element for element in elements if element[0] == "extension"))]
    return DarwinCore(files[0], tuple(files[1:]))


def _lists_media(file):
    return file.kind.lower() in _MEDIA or any(plain_column(name) == "accessuri" for name in file.table.names)


def _read_file(archive, folder, where, element):
    _, attributes, _, children = element
    locations = [text for name, _, _, inner in children if name == "files" for part, _, text, _ in inner if part == "location"]
    if not locations:
        raise DataError(f"{where} gives no location for a file")
    columns, key = _columns(children, where)
    members = tuple(_member(archive, folder, where, location) for location in locations)
    table = Table(
        members,
        columns,
        _dialect(archive, members, attributes, where),
        header_lines=_index(attributes.get("ignoreHeaderLines") or "0", where),
        defaults=tuple((short_name(field.get("term", "")), field["default"]) for name, field, _, _ in children if name == "field" and field.get("default")),
    )
    return File(short_name(attributes.get("rowType", "")), key, table)


def _dialect(archive, members, attributes, where):
    """How a meta.xml says that a file is written; its own byte-order mark knows better."""
    with archive.open(members[0]) as stream:
        marked = encoding_of(stream.read(HEAD_BYTES))
    encoding = attributes.get("encoding") or "UTF-8"
    is_utf8 = encoding.lower().replace("_", "-") in ("utf-8", "utf8")
    delimiter = _delimiter(attributes.get("fieldsTerminatedBy", ","), where)
    quote = _one_or_none(attributes.get("fieldsEnclosedBy", '"'), where)
    if quote == delimiter:
        raise DataError(f"{where} parts and encloses fields by the same {quote!r}")
    return Dialect(
        delimiter,
        quote,
        marked if is_utf8 or marked != "utf-8-sig" else encoding,
        has_lines_as_rows=not quote,
        line_end=_line_end(attributes.get("linesTerminatedBy", "\n"), where),
    )


def _columns(children, where):
    """Names of all columns, and the name of the one with the id, "" where there is none."""
    terms = {}
    key = None
    for name, field, _, _ in children:
        if name in ("id", "coreid"):
            key = _index(field.get("index"), where)
        elif name == "field" and "index" in field:
            terms.setdefault(_index(field["index"], where), []).append(short_name(field.get("term", "")))
    names = [""] * (max([*terms, -1 if key is None else key], default=-1) + 1)
    for index, known in terms.items():
        # Two vocabularies may have one short name (dc and dcterms): the first column bears it.
        names[index] = next((term for term in known if term not in names), "")
    if key is None:
        return tuple(names), ""
    names[key] = names[key] or "core id"
    return tuple(names), names[key]


def _member(archive, folder, where, location):
    plain = location.replace("\\", "/")
    if plain.startswith("/") or ".." in plain.split("/") or ":" in plain:
        raise DataError(f"{where} is refused: it names a file outside the archive, {location!r}")
    member = posixpath.normpath(posixpath.join(folder, plain))
    if member not in archive.names:
        raise DataError(f"{where} names {location!r}, which the archive does not have: download it again")
    return member


def _index(text, where):
    if not (text or "").isdecimal() or int(text) >= _MAX_COLUMNS:
        raise DataError(f"{where} has a column or a number of lines that is none: {text!r}")
    return int(text)


def _delimiter(text, where):
    delimiter = _ESCAPES.get(text, text)
    if len(delimiter) != 1 or delimiter in "\r\n":
        raise DataError(f"{where} parts fields by {text!r}; one character is read here")
    return delimiter


def _one_or_none(text, where):
    if len(text) > 1 or text in ("\r", "\n"):
        raise DataError(f"{where} encloses fields by {text!r}; one character or none is read here")
    return text


def _line_end(text, where):
    line_end = _ESCAPES.get(text, text)
    if line_end not in ("\n", "\r\n", "\r"):
        raise DataError(f"{where} ends lines by {text!r}; \\n, \\r\\n or \\r is read here")
    return "\n" if line_end == "\r\n" else line_end


def is_record_set(archive: Archive, name: str) -> bool:
    """Whether a file is a SimpleDarwinRecordSet."""
    with archive.open(name) as stream:
        return b"SimpleDarwinRecordSet" in stream.read(4096)


def record_set(archive: Archive, name: str) -> Iterator[tuple[dict[str, str], list[dict[str, str]]]]:
    """Yields (terms of the observation, [terms of each photo]) of a SimpleDarwinRecordSet, as dicts by short name. Raises DataError."""
    with archive.open(name) as stream:
        for _, _, _, children in xml_elements(stream, archive.where(name), {"SimpleDarwinRecord"}):
            media = [{part: text for part, _, text, _ in inner} for term, _, _, inner in children if term == "dataObject"]
            yield {term: text for term, _, text, inner in children if not inner}, media
