"""What is odd about the names of a set: one name under two parents, and names that differ in spelling alone."""

import collections
import typing

from tfvision.data.manifest import Manifest
from tfvision.data.names import plain_taxon


class TwoParents(typing.NamedTuple):
    """A name of one rank that stands under several parents: {parent: photos}."""

    rank: str
    name: str
    parents: dict[str, int]


class Spellings(typing.NamedTuple):
    """Names of one rank that are the same but for their spelling: {name: photos}."""

    rank: str
    names: dict[str, int]


class LabelNames(typing.NamedTuple):
    """What is odd about names, by rank and name."""

    two_parents: tuple[TwoParents, ...]
    spellings: tuple[Spellings, ...]

    def told(self) -> list[str]:
        """A sentence for each kind that was found, with an example."""
        sentences = []
        if self.two_parents:
            one = self.two_parents[0]
            sentences.append(f"names under two parents: {len(self.two_parents)}, such as {one.rank} {one.name!r} under {_counted(one.parents)}")
        if self.spellings:
            one = self.spellings[0]
            sentences.append(f"names in two spellings, each two classes: {len(self.spellings)}, such as {one.rank} {_counted(one.names)}")
        return sentences


def odd_names(manifest: Manifest) -> LabelNames:
    """Looks at all lineages; names are compared as everywhere (tfvision.data.names)."""
    counts = collections.Counter(record.lineage for record in manifest.records)
    two_parents, spellings = [], []
    for level, rank in enumerate(manifest.ranks):
        photos: collections.Counter[str] = collections.Counter()
        parents: dict[str, collections.Counter[tuple[int, str]]] = collections.defaultdict(collections.Counter)
        for lineage, count in counts.items():
            if name := lineage[level]:
                photos[name] += count
                above = next((upper for upper in reversed(range(level)) if lineage[upper]), None)
                if above is not None:
                    parents[name][above, lineage[above]] += count
        for name, found in parents.items():
            ranks = {above for above, _ in found}
            if len(found) > len(ranks):  # of one rank; a parent that others leave out is no contradiction
                two_parents.append(TwoParents(rank, name, {parent: count for (_, parent), count in found.most_common()}))
        alike = collections.defaultdict(list)
        for name in photos:
            alike[plain_taxon(name)].append(name)
        spellings += [Spellings(rank, {name: photos[name] for name in names}) for names in alike.values() if len(names) > 1]
    return LabelNames(tuple(two_parents), tuple(spellings))


def _counted(names: dict[str, int]) -> str:
    return " and ".join(f"{name!r} ({count} photo{'s' * (count != 1)})" for name, count in names.items())
