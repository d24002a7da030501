"""Lineages of photos held against the classes of a taxonomy, by the one comparison of names (tfvision.data.names)."""

import collections
import dataclasses
import re
from collections.abc import Callable, Sequence

import numpy as np

from tfvision.data.names import KnownNames, plain_name, plain_taxon
from tfvision.data.taxonomy import Taxonomy

Lineage = tuple[str, ...]
_UNNAMED_RANK = re.compile(r"level \d+")  # of folders whose levels were not named
_SPELLINGS: tuple[Callable[[str], str], ...] = (str, plain_name, plain_taxon)
_NAMED = 3
_LEAST_ALIKE = 0.5  # of two names, so that one is told as the nearest of the other


@dataclasses.dataclass(frozen=True)
class MatchedLineages:
    """Which class each photo is of.

    Attributes:
      labels: int32 [photos]; -1 where the taxonomy has no such class.
      joined: {name of a photo's lineage: that of its class} where the two are spelled differently.
      unknown: {lineage: photos} of those that are of no class.
      taxonomy: of the classes.
    """

    labels: np.ndarray
    joined: dict[str, str]
    unknown: dict[Lineage, int]
    taxonomy: Taxonomy

    def told(self) -> list[str]:
        """A sentence on the names that were joined, and one on those that are of no class, with the nearest miss of some."""
        sentences = []
        if self.joined:
            pairs = [f"{given!r} as {own!r}" for given, own in self.joined.items()]
            sentences.append(f"names in another spelling, read as the run's: {_listed(pairs)}")
        if self.unknown:
            ordered = sorted(self.unknown, key=lambda lineage: -self.unknown[lineage])
            names = [self._miss(lineage) for lineage in ordered[:_NAMED]] + [""] * len(ordered[_NAMED:])
            sentences.append(f"of no class of the run: {_listed(names)}")
        return sentences

    def _miss(self, lineage: Lineage) -> str:
        name, classes = deepest(lineage), self.taxonomy.class_names
        known = KnownNames(classes)
        elsewhere = [" / ".join(filter(None, self.taxonomy.lineages[number])) for number, own in enumerate(classes) if own in known.same(name)]
        nearest = known.nearest(name, 1, _LEAST_ALIKE)
        near = f", which the run has as {elsewhere[0]!r}" if elsewhere else f", the nearest is {nearest[0]!r}" if nearest else ""
        return f"{' / '.join(filter(None, lineage))!r} ({self.unknown[lineage]} photo{'s' * (self.unknown[lineage] != 1)}{near})"


def shared_levels(ranks: Sequence[str], taxonomy: Taxonomy) -> list[int | None] | None:
    """For each rank of the taxonomy its number among `ranks`, or None; None where the finest is not among them, nor may be an unnamed one."""
    known = KnownNames(ranks)
    found = [known.find(rank) for rank in taxonomy.ranks]
    levels = [None if rank is None else list(ranks).index(rank) for rank in found]
    if levels[-1] is not None:
        return levels
    return [] if any(map(_UNNAMED_RANK.fullmatch, (*ranks, *taxonomy.ranks))) else None


def match_lineages(lineages: Sequence[Lineage], levels: Sequence[int | None], taxonomy: Taxonomy) -> MatchedLineages:
    """Finds the class of each lineage: by the names as they stand, else by what they are but for spelling, and but for authors.

    Args:
      lineages: of the photos.
      levels: of `shared_levels`: names are compared at the ranks that both know; [] = each one's deepest name alone.
      taxonomy: of the classes; where what is compared does not tell two of them apart, neither is given.
    """
    of_photo = (lambda lineage: tuple("" if level is None else lineage[level] for level in levels)) if levels else _deepest_alone
    of_class = (lambda lineage: tuple("" if level is None else name for name, level in zip(lineage, levels, strict=True))) if levels else _deepest_alone
    tables: list[dict[Lineage, int]] = [{} for _ in _SPELLINGS]
    for label, lineage in enumerate(taxonomy.lineages):
        for table, spelled in zip(tables, _SPELLINGS, strict=True):
            key = tuple(map(spelled, of_class(lineage)))
            table[key] = -1 if key in table else label
    label_of, joined = {}, {}
    for lineage in dict.fromkeys(lineages):
        compared = of_photo(lineage)
        keys = (tuple(map(spelled, compared)) for spelled in _SPELLINGS)
        label = next((table[key] for table, key in zip(tables, keys, strict=True) if key in table), -1)
        label_of[lineage] = label
        if label >= 0 and (own := of_class(taxonomy.lineages[label])) != compared:
            joined |= {given: name for given, name in zip(compared, own, strict=True) if given != name}
    labels = np.array([label_of[lineage] for lineage in lineages], np.int32)
    unknown = collections.Counter(lineage for lineage in lineages if label_of[lineage] < 0)
    return MatchedLineages(labels, joined, dict(unknown), taxonomy)


def deepest(lineage: Lineage) -> str:
    """The finest name of a lineage."""
    return next(name for name in reversed(lineage) if name)


def _deepest_alone(lineage: Lineage) -> Lineage:
    return (deepest(lineage),)


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(texts[:_NAMED]) + (f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else "")
