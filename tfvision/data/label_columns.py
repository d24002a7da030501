"""Which columns of a manifest are labels, where neither the user nor the known ranks say so."""

import collections
import itertools
import re
from collections.abc import Sequence

from tfvision.data.csv_table import CsvTable
from tfvision.errors import DataError

# Without their case and all but letters and digits.
_LABEL_WORDS = """
    domain kingdom phylum class superorder order suborder superfamily family subfamily tribe genus subgenus species subspecies variety cultivar
    breed taxon taxonname scientificname speciesname commonname vernacularname label labels classname category categoryname target name
"""
_OTHER_WORDS = """
    observer observers recordist recordedby identifiedby photographer photographers collector collectedby user username userlogin uploader contributor
    annotator reviewer isval isvalid isvalidation istrain istraining istest isheldout valid validation train test dataset subset
    locality site camera station deployment sequence burst datetime timestamp time eventdate eventtime observedon year month day hour
    lat lon lng long altitude elevation accuracy coordinates geometry width height bytes filesize filename filepath format mimetype
    md5 sha1 sha256 hash checksum uuid guid notes note remarks comment comments description caption keywords tags score confidence probability
    bbox boundingbox boxes xmin ymin xmax ymax x1 y1 x2 y2 count individualcount sex age lifestage behaviour behavior quality rating
"""
_LABELS, _NO_LABELS = frozenset(_LABEL_WORDS.split()), frozenset(_OTHER_WORDS.split())
_MOST_ODD = 0.25  # of a rank's names, that stand under two parents: mistakes
_ENOUGH_PHOTOS = 20  # to judge by shares


def possible_labels(candidates: Sequence[str]) -> tuple[str, ...]:
    """Columns but for those that are known to be no labels (observer, is_val); one alone is taken whatever it is called."""
    named = tuple(name for name in candidates if _plain(name) not in _NO_LABELS)
    return named or tuple(candidates if len(candidates) == 1 else ())


def choose_label_columns(table: CsvTable, candidates: Sequence[str]) -> tuple[str, ...]:
    """Of the columns that are not reserved, those that are labels, in their order, coarsest first.

    Each of the `possible_labels` must be a rank below the one before, with one parent for a name; where they are not, those that are
    called like labels are taken alone.

    Raises:
      DataError: it cannot be told which are labels; the message asks for --ranks.
    """
    named = possible_labels(candidates)
    called_so = [name for name in named if _plain(name) in _LABELS]
    doubt = _doubt(table, named)
    if named and not doubt:
        return named
    if called_so and not _doubt(table, called_so):
        return tuple(called_so)
    if not named:
        raise DataError(f"{table.path} has no label column; its columns are {', '.join(table.header)}: name them with --ranks")
    raise DataError(f"{table.path}: {doubt}; name the columns that are labels, coarsest first, such as --ranks {(called_so or named)[0]}")


def _doubt(table: CsvTable, names: Sequence[str]) -> str:
    """Why the columns are not all ranks, each below the one before; "" where they may be."""
    for upper, name in itertools.pairwise(names):
        parents = collections.defaultdict(set)
        texts = [text.strip() for text in table.texts(name)]
        counts = collections.Counter(text for text in texts if text)
        for parent, text in zip(table.texts(upper), texts, strict=True):
            if text:
                parents[text].add(parent.strip())
        repeated = [text for text, count in counts.items() if count > 1]
        odd = [text for text in repeated if len(parents[text]) > 1]
        if len(odd) > _MOST_ODD * len(repeated):
            return f"{name!r} is no rank below {upper!r}, as {odd[0]!r} stands under {len(parents[odd[0]])} names of it"
        if len(texts) >= _ENOUGH_PHOTOS and _plain(name) not in _LABELS:
            if sum(counts.values()) < len(texts) / 2:
                return f"{name!r} is empty for {len(texts) - sum(counts.values())} of {len(texts)} photos"
            if len(counts) > 0.9 * len(texts) and len(set(table.texts(upper))) < len(texts) / 2:
                return f"{name!r} is another one for nearly every photo"
    return ""


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
