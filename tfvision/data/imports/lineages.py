"""Lineages as a source writes them, made clean: kingdom to species, subspecies and synonyms folded, odd ones told by reason.

The paper discarded species with "an unusual taxonomy" without saying which. Here that is a rank
missing between others, a species that is no binomial or does not belong to its genus, and a name
that stands under two parents.
"""

import collections
import contextlib
import re
import typing
from collections.abc import Mapping, Sequence

from tfvision.data.imports.tables import one_line
from tfvision.data.manifest import RANKS

if typing.TYPE_CHECKING:
    from tfvision.data.imports.photo_records import Source

ABOVE_SPECIES = "identified above the species only"
NOT_BINOMIAL = "the species is no binomial"
HYBRID = "a hybrid"
SYNONYM = "a synonym without its accepted species"
OTHER_GENUS = "the species is not of its genus"
TWO_PARENTS = "the name stands under two parents"
AS_WRITTEN = "as written"  # in place of a rank: the name is no scientific one and is a label as it stands
GAPS = frozenset(f"no {rank}" for rank in RANKS[:5])
_EXAMPLES = 10
_REMEMBERED = 200_000  # taxa as they are written; more are cleaned again

_BELOW = {
    "subspecies",
    "variety",
    "form",
    "forma",
    "subvariety",
    "subform",
    "infraspecificname",
    "infrahybrid",
    "cultivar",
    "pathovar",
    "strain",
    "convariety",
    "race",
}
_AT_SPECIES = {"species", "speciesaggregate"} | _BELOW
_ACCEPTED = {"", "accepted", "valid", "doubtful"}
_WORD = r"[^\W\d_]"
_GENUS = re.compile(rf"[A-Z]{_WORD}*(?:-{_WORD}+)*")
_TAXON = re.compile(rf"[A-Z]{_WORD}+(?:-{_WORD}+)*")
_EPITHET = re.compile(rf"{_WORD}+(?:-{_WORD}+)*")
_NO_EPITHET = {"sp", "spp", "spec", "cf", "aff", "nr", "sect", "subg", "gen", "indet", "unknown", "unidentified", "x"}
_NO_TAXON = {"Unknown", "Unidentified", "Unassigned", "Undetermined", "None", "Null", "Nan"}


class RawTaxon(typing.NamedTuple):
    """A taxon as a source writes it; "" where it says nothing.

    Attributes:
      kingdom ... species: its columns; GBIF's are those of the accepted name.
      name: the scientific name, perhaps with its author.
      rank: of `name`.
      accepted: the accepted scientific name.
      status: "ACCEPTED", "SYNONYM", ...
      epithet: the second word of the species' name.
    """

    kingdom: str = ""
    phylum: str = ""
    class_: str = ""
    order: str = ""
    family: str = ""
    genus: str = ""
    species: str = ""
    name: str = ""
    rank: str = ""
    accepted: str = ""
    status: str = ""
    epithet: str = ""


class OddTaxon(Exception):
    """A taxon that is no clean species; its text is the reason."""


def clean_lineage(raw: RawTaxon, ranks: Sequence[str] = RANKS, keeps_gaps: bool = False) -> tuple[str, ...]:
    """The names from kingdom to species, "" at ranks that the source does not know at all.

    Args:
      raw: a RawTaxon.
      ranks: those that the source has columns for; each must be named in every row, unless `keeps_gaps`.

    Raises:
      OddTaxon: it is dropped, and why.
    """
    if raw.rank == AS_WRITTEN:
        return ("",) * (len(RANKS) - 1) + (one_line(raw.name),)
    species = _species(raw)
    genus = species.partition(" ")[0]
    is_of_accepted = raw.species.strip() or not raw.accepted.strip()  # else the genus may be that of the synonym
    if is_of_accepted and _GENUS.fullmatch(raw.genus.strip()) and raw.genus.strip() != genus:
        raise OddTaxon(OTHER_GENUS)
    names = []
    for rank, name in zip(RANKS[:5], raw[:5], strict=True):
        name = name.strip()
        is_named = _TAXON.fullmatch(name) is not None and name not in _NO_TAXON
        if not is_named and rank in ranks and not keeps_gaps:
            raise OddTaxon(f"no {rank}")
        names.append(name if is_named else "")
    return (*names, genus, species)


def _species(raw):
    rank = re.sub(r"[^a-z]", "", raw.rank.lower())
    if rank and rank not in _AT_SPECIES and not raw.species.strip():
        if "hybrid" in rank or "×" in raw.name:
            raise OddTaxon(HYBRID)
        raise OddTaxon(ABOVE_SPECIES if rank != "unranked" else NOT_BINOMIAL)
    if raw.species.strip():
        is_epithet = raw.species.strip().islower() and " " not in raw.species.strip() and raw.genus.strip()
        return _binomial(f"{raw.genus} {raw.species}" if is_epithet else raw.species)
    if raw.accepted.strip():
        return _binomial(raw.accepted)
    if raw.status.strip().lower() not in _ACCEPTED:
        raise OddTaxon(SYNONYM)
    if raw.genus.strip() and raw.epithet.strip():
        return _binomial(f"{raw.genus.strip()} {raw.epithet.strip()}")
    if not raw.name.strip() or (not rank and len(raw.name.split()) == 1):
        raise OddTaxon(ABOVE_SPECIES)
    return _binomial(raw.name)


def _binomial(name):
    """ "Parus (Poecile) major L., 1758" -> "Parus major"; a subspecies' third word goes."""
    words = name.replace("×", " × ").split()
    if "×" in words or "x" in words[1:3]:
        raise OddTaxon(HYBRID)
    if len(words) > 2 and words[1].startswith("(") and words[1].endswith(")"):
        del words[1]
    if len(words) < 2 or not _GENUS.fullmatch(words[0]) or not _EPITHET.fullmatch(words[1]) or not words[1].islower() or words[1] in _NO_EPITHET:
        raise OddTaxon(NOT_BINOMIAL if len(words) > 1 else ABOVE_SPECIES)
    return f"{words[0]} {words[1]}"


def is_scientific(raw: RawTaxon) -> bool:
    """Whether a taxon names a rank or a species by a scientific name."""
    with contextlib.suppress(OddTaxon):
        return any(raw[: len(RANKS)]) or bool(_species(raw))
    return False


def is_binomial(name: str) -> bool:
    """Whether a name is that of a species, or of what stands below one."""
    with contextlib.suppress(OddTaxon):
        return bool(_binomial(name))
    return False


def misplaced_lineages(counts: Mapping[tuple[str, ...], int]) -> set[tuple[str, ...]]:
    """Lineages that contradict others: a name under two parents of one kingdom, where more photos stand under the other.

    Codes of nomenclature let a plant and an animal share a name, so that kingdoms are looked at one by one.

    Args:
      counts: lineage -> photos.

    Returns:
      A set of lineages to drop, so that each name of a kingdom has one parent.
    """
    dropped = set()
    for level in range(1, len(RANKS)):
        parents = collections.defaultdict(collections.Counter)  # (kingdom, name) -> parent lineage -> photos
        for lineage, count in counts.items():
            if lineage[level] and lineage not in dropped:
                parents[lineage[0], lineage[level]][lineage[:level]] += count
        chosen = {key: min(known, key=lambda parent: (-known[parent], parent)) for key, known in parents.items() if len(known) > 1}
        if chosen:
            dropped |= {
                lineage
                for lineage in counts
                if lineage[level] and lineage not in dropped and chosen.get((lineage[0], lineage[level]), lineage[:level]) != lineage[:level]
            }
    return dropped


class Lineages:
    """All lineages of an import, each cleaned once and numbered; odd taxa counted by reason, with examples.

    Args:
      source: what has `ranks`, those that it names.
      keeps_gaps: see clean_lineage.

    Attributes:
      known: clean lineages, by number.
      examples: reason -> some names of odd taxa.
    """

    def __init__(self, source: "Source", keeps_gaps: bool = False) -> None:
        self.known, self.examples = [], collections.defaultdict(list)
        self._source, self._keeps_gaps = source, keeps_gaps
        self._numbers, self._answers = {}, {}

    def number(self, raw: RawTaxon) -> tuple[int | None, str]:
        """(number, "") of a taxon's lineage, or (None, reason)."""
        answer = self._answers.get(raw)
        if answer is None:
            if len(self._answers) >= _REMEMBERED:
                self._answers.clear()
            answer = self._answers[raw] = self._answer(raw)
        return answer

    def _answer(self, raw):
        try:
            lineage = clean_lineage(raw, self._source.ranks, self._keeps_gaps)
        except OddTaxon as odd:
            self.add_example(str(odd), raw.species or raw.name or raw.genus or "(no name)")
            return None, str(odd)
        number = self._numbers.setdefault(lineage, len(self.known))
        if number == len(self.known):
            self.known.append(lineage)
        return number, ""

    def add_example(self, reason: str, name: str) -> None:
        """Remembers an odd taxon, if there are few so far."""
        name, examples = one_line(name)[:100], self.examples[reason]
        if len(examples) < _EXAMPLES and name not in examples:
            examples.append(name)
