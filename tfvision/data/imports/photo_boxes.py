"""Boxes and labels of a source's photos: several boxes are as many rows, a box must lie in its photo, a label may be no taxon."""

import itertools
import math
import typing
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from tfvision.data.boxes import FRACTION, Box, cut_box
from tfvision.data.imports.archives import Archive
from tfvision.data.imports.lineages import AS_WRITTEN, RawTaxon, is_binomial, is_scientific
from tfvision.data.imports.photo_records import Photo, Source
from tfvision.data.manifest import RANKS
from tfvision.data.no_taxa import kind_of_word
from tfvision.errors import DataError, DataWarning

NO_LABEL = "no annotation names its category"
NO_BOXES = "nothing is marked in it"
SEVERAL_LABELS = "several categories in one photo"
WITHOUT_BOX = "a category without a box, in a photo that has boxes of others"
_LARGEST_SIDE = 1e9
_MOST_LABELS = 100_000


class Marked(typing.NamedTuple):
    """What one annotation says of a photo: a label, and a box or "", or why it cannot be used."""

    label: str
    box: str = ""
    problem: str = ""


def mark(label: str, box: Sequence[typing.Any], size: Sequence[float] | None) -> Marked:
    """A label with its box, cut at the photo's edge.

    Args:
      box: left, top, width, height, numbers or not.
      size: width and height of the photo; FRACTION where boxes are fractions; None where it is not known.
    """
    if size and size != FRACTION and all(isinstance(value, (int, float)) and value <= 1 for value in box):
        size = None  # whether these are fractions is told of the table as a whole
    fitted, problem = cut_box(box, size)
    return Marked(label, box_text(fitted), problem)


def box_text(box: Box) -> str:
    """A box as a manifest has it; "" for NO_BOX."""
    return ",".join(f"{round(value, 6):.10g}" for value in box) if box[2] else ""


def known_size(width: typing.Any, height: typing.Any) -> tuple[float, float] | None:
    """The size of a photo as its source tells it, as numbers or text; None where it does not."""
    try:
        size = float(width), float(height)
    except (TypeError, ValueError):
        return None
    return size if min(size) >= 1 and max(size) < _LARGEST_SIDE else None


def around(points: Iterable[Sequence[float]]) -> tuple[float, float, float, float]:
    """left, top, width, height of the box around points, one at least."""
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def turned(box: Sequence[float], degrees: float, pivot: Sequence[float]) -> tuple[float, float, float, float]:
    """The box around a box that was turned clockwise, in pixels, about a point."""
    left, top, width, height = box
    if not math.isfinite(degrees) or width <= 0 or height <= 0:
        return left, top, width, height
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = [(left + x * width - pivot[0], top + y * height - pivot[1]) for x in (0, 1) for y in (0, 1)]
    return around([(pivot[0] + x * cosine - y * sine, pivot[1] + x * sine + y * cosine) for x, y in corners])


def rows_of_photo(found: Sequence[Marked]) -> Iterator[Marked]:
    """The rows of a photo: each box with its label, else the one label of all of it; what cannot be used with its problem."""
    yield from dict.fromkeys(one for one in found if one.box or one.problem)
    boxed = {one.label for one in found if one.box}
    labels = list(dict.fromkeys(one.label for one in found if not one.box and not one.problem))
    if boxed:
        yield from (Marked(label, "", WITHOUT_BOX) for label in labels if label not in boxed)
    elif len(labels) > 1:
        yield Marked("", "", SEVERAL_LABELS)
    elif labels:
        yield Marked(labels[0])
    elif not found:
        yield Marked("", "", NO_LABEL)


def as_written(name: str) -> RawTaxon:
    """A label that stays as it stands."""
    return RawTaxon(name=name, rank=AS_WRITTEN)


def is_no_taxon(name: str) -> bool:
    """Whether a label is what camera traps call a photo without an animal: empty, person, vehicle."""
    return bool(kind_of_word(name))


def taxa_of_categories(categories: Mapping[str, RawTaxon], where: str) -> dict[str, RawTaxon]:
    """Categories as taxa, where one of them at least is a scientific name; else, and what is no taxon, as they are written."""
    if any(map(is_scientific, categories.values())):
        return {id: as_written(taxon.name) if is_no_taxon(taxon.name) else taxon for id, taxon in categories.items()}
    shown = ", ".join(sorted(taxon.name for taxon in categories.values())[:3])
    warnings.warn(f"{where} has no scientific names: its categories ({shown}, ...) are labels as they are written", DataWarning, stacklevel=2)
    return {id: as_written(taxon.name) for id, taxon in categories.items() if taxon.name}


def taxa_of_labels(labels: Iterable[str], where: str) -> dict[str, RawTaxon]:
    """Labels that a person made up, as taxa: species where all that are animals are binomials ("Red fox" among others is none)."""
    labels = list(labels)
    taxa = {label: RawTaxon(name=label) for label in labels if not is_no_taxon(label)}
    if taxa and all(map(is_binomial, taxa)):
        return {label: taxa.get(label) or as_written(label) for label in labels}
    if not taxa:
        return {label: as_written(label) for label in labels}
    return taxa_of_categories({label: as_written(label) for label in labels}, where)


def labelled_source(kind: str, archive: Archive, name: str, read: Callable[[], Iterator[Photo]]) -> Source:
    """A source of photos whose taxon is only a name yet. `read` is called twice, as all names together tell what they are."""
    source = Source(kind, archive, iter(()), (), total_bytes=2 * archive.size(name))
    source.photos = _labelled(source, archive.where(name), read)
    return source


def _labelled(source, where, read):
    labels = set()
    for photo in read():
        if not photo.problem:
            labels.add(photo.taxon.name)
        if len(labels) > _MOST_LABELS:
            raise DataError(f"{where} has more than {_MOST_LABELS:,} labels: are these names of photos?")
    taxa = taxa_of_labels(sorted(labels), where)
    for _, photos in itertools.groupby(read(), key=lambda photo: photo.url):
        source.observations += 1
        for photo in photos:
            yield photo._replace(taxon=taxa.get(photo.taxon.name, photo.taxon))


def ranks_named(taxa: Iterable[RawTaxon]) -> tuple[str, ...]:
    """The ranks at which one of the taxa has a name."""
    return tuple(rank for rank, *names in zip(RANKS, *taxa, strict=False) if any(names))
