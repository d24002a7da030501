"""YOLO's folders: a text file of boxes a photo, of class numbers, centres and sizes as fractions; names in data.yaml, classes.txt or obj.names."""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence

from tfvision.data.boxes import FRACTION
from tfvision.data.image_formats import PHOTO_SUFFIXES
from tfvision.data.imports.archives import Archive
from tfvision.data.imports.lineages import RawTaxon
from tfvision.data.imports.photo_boxes import NO_BOXES, Marked, around, labelled_source, mark, rows_of_photo
from tfvision.data.imports.photo_records import Photo, Source
from tfvision.errors import DataError

NO_LINE = "a line that is no class number with a box"
NO_CLASS = "a class number that has no name"
TOO_LARGE = "a file of labels that is too large to be one"
_NAME_FILES = ("classes.txt", "obj.names")
_MAX_NAMES_BYTES, _MAX_LABEL_BYTES = 2**20, 2**20
_SPLIT = re.compile(r"^(train|val|valid|validation|test)(?:ing)?\d*$", re.IGNORECASE)
_COPY = re.compile(r"\.rf\.[0-9a-zA-Z]{16,}$")  # Roboflow's, of one photo that was changed several times
_QUOTED = r"""'(?:[^']|'')*'|"(?:[^"\\]|\\.)*"|[^,\[\]{}]+"""


class Layout:
    """Which of an archive's files are photos, and which are their labels.

    Attributes:
      labels: photo (or where there is none, the name that it would have) -> its file of labels, or "".
      names_file: data.yaml or the like; "" where there is none.
    """

    def __init__(self, archive: Archive) -> None:
        names = [name for name in archive.names if not name.startswith("__MACOSX/")]
        photos = {posixpath.splitext(name)[0]: name for name in names if posixpath.splitext(name)[1].lower() in PHOTO_SUFFIXES}
        found = {}
        for name in names:
            stem, suffix = posixpath.splitext(name)
            if suffix.lower() == ".txt" and posixpath.basename(name).lower() not in _NAME_FILES and (photo := _photo_of(stem, photos)):
                found[photo] = name
        self.labels = {**dict.fromkeys(sorted(photos.values()), ""), **found} if found else {}
        self.names_file = _names_file(names)


def find_layout(archive: Archive) -> Layout | None:
    """The layout of an archive that has files of labels, None where it has none.

    Raises:
      DataError: nothing says what the class numbers mean.
    """
    layout = Layout(archive)
    if not any(layout.labels.values()):
        return None
    if not layout.names_file:
        if not any("labels" in name.lower().split("/") for name in layout.labels.values()):
            return None  # photos with texts beside them
        raise DataError(
            f"{archive.path} has YOLO's files of labels, but no data.yaml, classes.txt or obj.names: put the one with the names of the classes there"
        )
    return layout


def yolo_source(archive: Archive, layout: Layout) -> Source:
    """The photos of YOLO's folders. Raises DataError where the names of the classes cannot be read."""
    names, has_points = _class_names(archive, layout.names_file)
    return labelled_source("yolo", archive, layout.names_file, lambda: _photos(archive, layout.labels, names, has_points))


def _photos(archive: Archive, labels: Mapping[str, str], names: Mapping[int, str], has_points: bool) -> Iterator[Photo]:
    for photo, member in labels.items():
        parts = photo.split("/")
        split = next((match[1] for part in parts[:-1] if (match := _SPLIT.match(part))), "")
        stem = posixpath.splitext(photo)[0]
        group = _COPY.sub("", stem)
        record = Photo(photo, RawTaxon(), observation=group if group != stem else "", is_local=True, split=split)
        found = _marked(archive, member, names, has_points) if member else []
        for label, box, problem in rows_of_photo(found) if found else [Marked("", "", NO_BOXES)]:
            yield record._replace(taxon=RawTaxon(name=label), box=box, problem=problem)


def _marked(archive: Archive, member: str, names: Mapping[int, str], has_points: bool) -> list[Marked]:
    if archive.size(member) > _MAX_LABEL_BYTES:
        return [Marked("", "", TOO_LARGE)]
    with archive.open(member) as stream:
        lines = stream.read().decode("utf-8-sig", errors="replace").splitlines()
    return [_line(line.split(), names, has_points) for line in lines if line.strip()]


def _line(words: Sequence[str], names: Mapping[int, str], has_points: bool) -> Marked:
    try:
        number, values = int(float(words[0])), [float(word) for word in words[1:]]
    except (ValueError, OverflowError):
        return Marked("", "", NO_LINE)
    if number not in names:
        return Marked("", "", NO_CLASS)
    if len(values) in (4, 5) or has_points:  # a fifth is a confidence; what follows are points of a pose
        x, y, width, height = values[:4] if len(values) >= 4 else (0.0,) * 4
        return mark(names[number], (x - width / 2, y - height / 2, width, height), FRACTION)
    if len(values) < 6 or len(values) % 2:
        return Marked("", "", NO_LINE)
    return mark(names[number], around(zip(values[::2], values[1::2], strict=True)), FRACTION)  # of a polygon, or a turned box


def _photo_of(stem: str, photos: Mapping[str, str]) -> str:
    """The photo of a file of labels, by its name without suffix: beside it, or in `images` where it is in `labels`; "" where it is no such file."""
    parts = stem.split("/")
    places = [place for place, part in enumerate(parts[:-1]) if part.lower() == "labels"]
    others = ["/".join([*parts[: places[-1]], name, *parts[places[-1] + 1 :]]) for name in ("images", "Images", "imgs", "JPEGImages")] if places else []
    for other in [*others, stem]:
        if other in photos:
            return photos[other]
    if others:
        return f"{others[0]}.jpg"
    return f"{stem}.jpg" if re.match(r"obj_\w+_data$", parts[-2] if len(parts) > 1 else "") else ""


def _names_file(names: Sequence[str]) -> str:
    described = [name for name in names if name.lower().endswith((".yaml", ".yml"))]
    listed = [name for name in names if posixpath.basename(name).lower() in _NAME_FILES]
    for found in (described, listed):
        if found:
            return min(found, key=lambda name: (name.count("/"), not posixpath.basename(name).lower().startswith("data"), name))
    return ""


def _class_names(archive: Archive, member: str) -> tuple[dict[int, str], bool]:
    """The names of the classes by number, and whether lines have points of a pose behind their box."""
    where = archive.where(member)
    if archive.size(member) > _MAX_NAMES_BYTES:
        raise DataError(f"{where} is refused: a list of names of classes has no more than {_MAX_NAMES_BYTES >> 20} MiB")
    with archive.open(member) as stream:
        text = stream.read().decode("utf-8-sig", errors="replace")
    if not member.lower().endswith((".yaml", ".yml")):
        return {number: line.strip() for number, line in enumerate(text.splitlines()) if line.strip()}, False
    names = yaml_names(text)
    if not names:
        raise DataError(f"{where} has no names of classes: it needs `names:` with a list, or with a number and a name in each line")
    return names, re.search(r"^kpt_shape\s*:", text, re.MULTILINE) is not None


def yaml_names(text: str) -> dict[int, str]:
    """The member `names` of a YOLO's data.yaml: a list or a mapping from numbers, in brackets or a line each; {} where there is none."""
    match = re.search(r"^names[ \t]*:[ \t]*", text, re.MULTILINE)
    if not match:
        return {}
    rest = text[match.end() :]
    if rest[:1] in ("[", "{"):
        inner = rest[1:].partition("]" if rest[0] == "[" else "}")[0]
        inner = re.sub(r"\s#.*", "", inner)
        entries = [entry.strip() for entry in re.findall(rf"(?:\s*\d+\s*:)?\s*(?:{_QUOTED})", inner) if entry.strip()]
        return _numbered(entries, rest[0] == "{")
    lines = []
    for line in rest.splitlines()[1:]:
        if line.strip() and not line.lstrip().startswith("#"):
            if not re.match(r"\s+\S|-\s", line):
                break
            lines.append(re.sub(r"\s+#.*", "", line).strip())
    return _numbered([line.removeprefix("- ") for line in lines], not all(line.startswith("- ") for line in lines))


def _numbered(entries: Sequence[str], is_mapping: bool) -> dict[int, str]:
    if not is_mapping:
        return {number: _unquoted(entry) for number, entry in enumerate(entries)}
    pairs = (re.match(r"['\"]?(\d{1,9})['\"]?\s*:\s*(.*)", entry) for entry in entries)
    return {int(pair[1]): _unquoted(pair[2]) for pair in pairs if pair}


def _unquoted(text: str) -> str:
    text = text.strip()
    if text[:1] == "'" == text[-1:]:
        return text[1:-1].replace("''", "'")
    return text[1:-1].replace('\\"', '"') if text[:1] == '"' == text[-1:] else text
