"""Columns of a collection beside those of its gallery: what is known of the pictures by now, such as a run's answers."""

import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from tfvision.apps.explorer.collection import Collection

Texts = Mapping[str, str]  # column -> text, of one picture


class MoreColumns(Protocol):
    """What more there is to say of pictures.

    Attributes:
      needs_vectors: whether it is computed from the first layer.
    """

    needs_vectors: bool

    def known(self, collection: Collection) -> Mapping[str, Texts]:
        """{id of a picture: its columns}, of those of which it is known already."""

    def missing(self, collection: Collection) -> int:
        """Of how many pictures it is still to be computed."""

    def forget(self, ids: Iterable[str]) -> None:
        """These pictures have changed: what was said of them is computed anew."""

    def make(self, collection: Collection, advance: Callable[[int], object]) -> None:
        """Computes and keeps what is missing. `advance` is told so many pictures are done; what it raises ends the work, and what is done is kept."""


class OwnPhotos(NamedTuple):
    """Photos that something else than a folder brings: a run, a survey.

    Attributes:
      source: a manifest of them.
      columns: what more is said of them.
      opens_at: what stands behind the # of the page's address when it is opened.
      told: lines for people, as on photos that are not where they were.
      mark: of what makes their vectors, which are made again where it is another.
      model: the run by whose features they are seen where no other is named; "" = as any folder.
    """

    source: Path
    columns: MoreColumns
    opens_at: str
    told: tuple[str, ...] = ()
    mark: str = ""
    model: str = ""


def address(view: str, **params: str) -> str:
    """What stands behind the # of a page that shows a view so, as static/address.js writes it."""
    return f"{view}?{urllib.parse.urlencode(params)}"
