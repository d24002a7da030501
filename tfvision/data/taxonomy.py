"""A taxonomy: a tree whose leaves are the classes, of any ranks and any depth.

Nodes are numbered depth first, the root 0, so that a node's subtree is a contiguous range of nodes
and covers a contiguous range of leaves. A leaf's class index is its number among the leaves.
"""

import dataclasses
import functools
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tfvision.data.names import KnownNames
from tfvision.errors import DataError, FileError
from tfvision.files import read_json, write_json
from tfvision.kinds import tuples

ROOT_NAME = "life"  # the synthetic root: to answer it is to abstain


@dataclasses.dataclass(frozen=True)
class Taxonomy:
    """The lineages of all classes, sorted; everything else follows from them.

    Attributes:
      ranks: names of the ranks, coarsest first, e.g. ("kingdom", ..., "species").
      lineages: one tuple a class, a name for each rank; "" where the tree skips that rank.
    """

    ranks: tuple[str, ...]
    lineages: tuple[tuple[str, ...], ...]

    @classmethod
    def from_lineages(cls, ranks: Iterable[str], lineages: Iterable[Iterable[str]]) -> "Taxonomy":
        """Builds a taxonomy from lineages in any order, with repetitions.

        Raises:
          DataError: a lineage is empty, or ends where another goes on.
        """
        unique = tuple(sorted({tuple(lineage) for lineage in lineages}))
        for lineage in unique:
            if not any(lineage):
                raise DataError(f"a photo has no name at any of the ranks {', '.join(ranks)}")
        taxonomy = cls(tuple(ranks), unique)
        paths = dict.fromkeys(taxonomy._path(leaf) for leaf in range(len(unique)))  # in order, for the same message
        for path in paths:
            for end in range(1, len(path)):
                if path[:end] in paths:
                    raise DataError(
                        f"{path[end - 1][1]!r} is a class of its own and the parent of {path[end][1]!r}: "
                        "give its photos a name at the finer rank or leave them out"
                    )
        return taxonomy

    @classmethod
    def load(cls, path: Path | str) -> "Taxonomy":
        """Reads what `save` wrote. Raises FileError."""
        stored = read_json(path, {"ranks": tuple[str, ...], "lineages": tuple[tuple[str, ...], ...]})
        ranks, lineages = tuples(stored["ranks"]), tuples(stored["lineages"])
        try:
            if lineages and all(len(lineage) == len(ranks) for lineage in lineages) and cls.from_lineages(ranks, lineages).lineages == lineages:
                return cls(ranks, lineages)
        except DataError:  # what no photos give
            pass
        raise FileError(f"{path} was changed: its lineages are not those of one tree, sorted; restore the file, or make it again")

    def save(self, path: Path | str) -> None:
        """Writes the taxonomy as JSON, atomically."""
        write_json(path, {"ranks": self.ranks, "lineages": self.lineages})

    def __len__(self) -> int:
        """The number of classes."""
        return len(self.lineages)

    @property
    def node_count(self) -> int:
        """The number of nodes, root included."""
        return len(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each node, tuple of str [nodes]."""
        return self._nodes["name"]

    @property
    def node_ranks(self) -> tuple[str, ...]:
        """The rank of each node, tuple of str [nodes]; "root" for the root."""
        return self._nodes["rank"]

    @property
    def parents(self) -> np.ndarray:
        """The parent of each node, int32 [nodes]; the root's is -1."""
        return self._nodes["parent"]

    @property
    def depths(self) -> np.ndarray:
        """The depth of each node, int32 [nodes]: root 0, kingdom 1, ..., species 7."""
        return self._nodes["depth"]

    @property
    def first_leaves(self) -> np.ndarray:
        """The first class below each node, int32 [nodes]."""
        return self._nodes["first_leaf"]

    @property
    def end_leaves(self) -> np.ndarray:
        """One past the last class below each node, int32 [nodes]."""
        return self._nodes["end_leaf"]

    @functools.cached_property
    def leaf_nodes(self) -> np.ndarray:
        """The node of each class, int32 [classes]."""
        nodes = np.zeros(len(self), np.int32)
        for node in np.flatnonzero(self.is_leaf):
            nodes[self.first_leaves[node]] = node
        return nodes

    @functools.cached_property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class, tuple of str [classes]."""
        return tuple(self.names[node] for node in self.leaf_nodes)

    @functools.cached_property
    def children(self) -> tuple[np.ndarray, ...]:
        """The children of each node, a tuple of int32 arrays."""
        lists: list[list[int]] = [[] for _ in range(self.node_count)]
        for node, parent in enumerate(self.parents[1:], 1):
            lists[parent].append(node)
        return tuple(np.array(nodes, np.int32) for nodes in lists)

    def class_index(self, lineage: Iterable[str]) -> int | None:
        """The class of a lineage, or None where it is no class of this taxonomy."""
        return self._class_of_lineage.get(tuple(lineage))

    def path_to(self, node: int) -> list[int]:
        """The nodes from the root to `node`, both included, as a list."""
        path = []
        while node >= 0:
            path.append(int(node))
            node = self.parents[node]
        return path[::-1]

    def ancestors_at_rank(self, rank: str) -> np.ndarray:
        """The node that stands for each class at `rank`, int32 [classes].

        Where a lineage skips the rank, the deepest node above it; where that is the root, the
        shallowest node below, so that no two kingdoms are ever merged.
        """
        limit = self.ranks.index(rank)
        nodes = []
        for leaf_node in self.leaf_nodes:
            path = self.path_to(leaf_node)[1:]
            above = [node for node in path if self.ranks.index(self.node_ranks[node]) <= limit]
            nodes.append(above[-1] if above else path[0])
        return np.array(nodes, np.int32)

    def find(self, name: str) -> list[int]:
        """All nodes called `name`, however it is spelled (tfvision.data.names).

        Raises:
          DataError: there is none; near misses are named.
        """
        known = KnownNames(self.names[1:])
        same = known.same(name)
        if not same:
            raise DataError(f"{name!r} is no taxon of this model{known.hint(name)}")
        return [node for node, own in enumerate(self.names) if node and own in same]

    def _path(self, leaf):
        return tuple((rank, name) for rank, name in zip(self.ranks, self.lineages[leaf], strict=True) if name)

    @functools.cached_property
    def _class_of_lineage(self):
        return {lineage: index for index, lineage in enumerate(self.lineages)}

    @functools.cached_property
    def is_leaf(self) -> np.ndarray:
        """Whether each node is a class, bool [nodes]."""
        is_leaf = np.ones(self.node_count, bool)
        is_leaf[self.parents[1:]] = False
        return is_leaf

    @functools.cached_property
    def _nodes(self):
        names, ranks, parents, depths, first_leaves, end_leaves = [ROOT_NAME], ["root"], [-1], [0], [0], [0]
        open_nodes, previous = [0], ()
        for leaf in range(len(self)):
            path = self._path(leaf)
            shared = 0
            while shared < min(len(path), len(previous)) and path[shared] == previous[shared]:
                shared += 1
            del open_nodes[shared + 1 :]
            for rank, name in path[shared:]:
                names.append(name)
                ranks.append(rank)
                parents.append(open_nodes[-1])
                depths.append(len(open_nodes))
                first_leaves.append(leaf)
                end_leaves.append(leaf)
                open_nodes.append(len(names) - 1)
            for node in open_nodes:
                end_leaves[node] = leaf + 1
            previous = path
        return {
            "name": tuple(names),
            "rank": tuple(ranks),
            "parent": np.array(parents, np.int32),
            "depth": np.array(depths, np.int32),
            "first_leaf": np.array(first_leaves, np.int32),
            "end_leaf": np.array(end_leaves, np.int32),
        }
