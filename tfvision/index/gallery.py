"""What a gallery is, wherever it is kept: vectors of pictures with ids, paths, metadata and the recipe that made them.

A folder (folder_gallery) and a collection in Milvus (milvus) are galleries; what searches, builds or shows one knows no more than this.
"""

import collections
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol, Self

import numpy as np

from tfvision.errors import GalleryError
from tfvision.features.whitening import Whitening
from tfvision.index.columns import Column
from tfvision.index.filters import matching
from tfvision.kinds import is_of

Metadata = Mapping[str, Any]  # {name: text, number or truth}
Say = Callable[[str], object]  # is told a line on what follows


def fault_of_facts(facts: Mapping[str, Any]) -> str:
    """What is wrong with what a gallery says of its making, or ""."""
    recipe = facts.get("recipe") or {}
    is_recipe = is_of(recipe, {"model": str | None, "layers": tuple[str, ...] | None}) and (not recipe or isinstance(facts.get("identity"), str))
    return "" if is_recipe and isinstance(facts.get("is_complete", True), bool) else "its recipe, identity or is_complete cannot be"


class Gallery(Protocol):
    """An open gallery; use it as a context manager, or close it.

    A picture stands in a row, by whose number all that is known of it is asked for. Rows may be missing between others, where a picture
    was removed: those that are there are live. `len` is how many are live.
    """

    @property
    def location(self) -> str:
        """Where it is, as it was given: a folder, or milvus://..."""
        ...

    @property
    def dimension(self) -> int:
        """Values a vector."""
        ...

    @property
    def facts(self) -> dict[str, Any]:
        """What was written at its making: "recipe", "identity" and whatever else its maker wrote."""
        ...

    @property
    def whitening(self) -> Whitening | None:
        """What whitened the vectors."""
        ...

    @property
    def rows(self) -> int:
        """How many rows there are, rows that are not live included."""
        ...

    @property
    def live(self) -> np.ndarray:
        """The numbers of live rows, int64 [images], ascending."""
        ...

    @property
    def live_ids(self) -> list[str]:
        """The ids of live rows, in their order: read at once, which takes a hundredth of asking row by row."""
        ...

    @property
    def columns(self) -> Mapping[str, Column]:
        """The metadata by name, over all rows."""
        ...

    @property
    def row_vectors(self) -> np.ndarray:
        """float32 [rows, dimension], whatever stands in rows that are not live; a folder's are memory-mapped, Milvus's fetched into memory."""
        ...

    def __len__(self) -> int: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    def close(self) -> None:
        """Gives back what it holds: the writer's lock, or the connection."""
        ...

    def id_of_row(self, row: int) -> str:
        """The id of a row."""
        ...

    def image_of_row(self, row: int) -> str:
        """The path of a row's picture: relative to the working folder where it lies below, else absolute."""
        ...

    def metadata_of_row(self, row: int) -> dict[str, Any]:
        """{name: value} of a row; names without a value are left out."""
        ...

    def row_of(self, id: str) -> int | None:
        """The live row that has an id."""
        ...

    def is_of(self, row: int, image: str) -> bool:
        """Whether a row is of the picture at a path."""
        ...

    def vectors_of_rows(self, rows: np.ndarray) -> np.ndarray:
        """float32 [..., dimension] of rows int64 [...]; a row of -1 has a vector that means nothing."""
        ...

    def nearest(self, queries: np.ndarray, k: int, mask: np.ndarray | None = None, method: str = "auto") -> tuple[np.ndarray, np.ndarray]:
        """The live rows of largest inner product.

        Args:
          queries: float32 [q, dimension].
          mask: bool [rows], live rows that may be answered; None = all.
          method: one of vector_search.METHODS.

        Returns:
          rows int64 [q, k] and scores float32 [q, k], best first; -1 and -inf where there are fewer.

        Raises:
          RecipeError: a method that this gallery does not have.
        """
        ...

    def add(self, ids: Iterable[str], vectors: np.ndarray, images: Iterable[str], metadata: Sequence[Metadata] | None = None) -> None:
        """Adds pictures.

        Args:
          ids: texts that the gallery does not have yet.
          vectors: float32 [n, dimension], finite.
          images: paths.
          metadata: texts, numbers and truths by name for each.

        Raises:
          GalleryError: an id twice, NaN or infinite vectors, another dimension, open for reading only; the gallery is as it was.
          DataError: metadata of another kind; likewise.
        """
        ...

    def replace(self, ids: Iterable[str], vectors: np.ndarray, images: Iterable[str], metadata: Sequence[Metadata] | None = None) -> None:
        """As `add`, in place of pictures that have these ids now."""
        ...

    def remove(self, ids: Iterable[str]) -> None:
        """Removes pictures by id, all or none. Raises GalleryError for an id that is not there."""
        ...

    def set_facts(self, **facts: Any) -> None:
        """Changes entries of `facts`."""
        ...

    def rewrite(self, whitening: Whitening | None = None, **facts: Any) -> None:
        """Writes everything anew and, if asked for, every vector whitened.

        Args:
          whitening: fitted on these vectors, kept for the vectors to come; None = as it was.
          facts: entries of `facts` to change in the same moment.
        """
        ...

    def refresh_index(self, say: Say) -> None:
        """Builds the approximate index where one is due and none is fresh; `say` is called with a line before that."""
        ...

    def check(self) -> None:
        """Reads everything. Raises GalleryError that names what is damaged."""
        ...

    def info(self) -> dict[str, Any]:
        """{"gallery", "images", "removed", "dimension", "metadata": {name: distinct values}, facts..., "indexes": [{"method", "rows", ...}]}."""
        ...


def rows_where(gallery: Gallery, where: str | Sequence[str] | None = None) -> np.ndarray:
    """bool [rows]: the live rows that fulfil all conditions (filters.matching). Raises DataError."""
    is_live = np.zeros(gallery.rows, bool)
    is_live[gallery.live] = True
    return is_live & matching(gallery.columns, gallery.rows, where)


def rows_of_all(gallery: Gallery, ids: Iterable[str]) -> dict[str, int]:
    """{id: row} of pictures that are to be removed. Raises GalleryError for an id that is not there."""
    rows = {id: gallery.row_of(id) for id in ids}
    unknown = next((id for id, row in rows.items() if row is None), None)
    if unknown is not None:
        raise GalleryError(f"{gallery.location} has no picture with the id {unknown!r}: nothing was removed")
    return {id: row for id, row in rows.items() if row is not None}


def check_dimension(dimension: int) -> None:
    """Raises GalleryError for a dimension that no gallery can have."""
    if dimension < 1:
        raise GalleryError(f"a gallery's dimension must be at least 1, got {dimension}")


def check_additions(gallery: Gallery, ids: Sequence[str], vectors: np.ndarray, known: Collection[str]) -> np.ndarray:
    """Vectors as float32 [n, dimension], where they can be added to a gallery under these ids and none is in `known`.

    Raises:
      GalleryError: an id twice, NaN or infinite vectors, another dimension.
    """
    vectors = np.asarray(vectors, np.float32)
    if vectors.shape != (len(ids), gallery.dimension):
        raise GalleryError(f"{gallery.location} holds vectors of {gallery.dimension} values, got {list(vectors.shape)} for {len(ids)} pictures")
    is_finite = np.isfinite(vectors).all(axis=1)
    if not is_finite.all():
        raise GalleryError(f"the vector of {ids[int(np.argmin(is_finite))]} is not finite (NaN or infinite): nothing was added")
    there = [id for id in ids if id in known]
    twice = there or [id for id, count in collections.Counter(ids).items() if count > 1]
    if twice:
        raise GalleryError(f"{gallery.location} has the id {twice[0]!r} already, or it is given twice: remove it first, or replace it")
    return vectors


def real_path(image: str) -> str:
    """The absolute path of a picture, links of its folders resolved."""
    parent, name = os.path.split(image)
    return os.path.join(os.path.realpath(parent), name)


def path_from_here(path: str) -> str:
    """An absolute path, relative to the working folder where it lies below."""
    here = os.getcwd()
    return os.path.relpath(path, here) if path.startswith(os.path.join(here, "")) else path
