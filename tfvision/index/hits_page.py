"""The hits of a search as one page: every query with the pictures that were found, their scores and metadata."""

import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from tfvision.data.decoding import thumbnail_jpeg
from tfvision.evaluation.page import captioned_photo, compose, paragraph, section
from tfvision.files import write_text
from tfvision.index.querying import OWN_FIELDS, likelihood_text

THUMBNAIL_PX = 200
_COLUMNS = 5
_BASIS_OF_LIKELIHOOD = (
    "Likelihood ratio: how many times likelier such a score is of two photos of one tattoo than of two tattoos, by the last evaluation of "
    "the gallery's run, on its photos. It is no probability of a match: many were searched, and the best of many strangers scores high."
)


def write_hits_page(path: str | Path, answers: Sequence[Mapping[str, Any]], title: str, facts: str) -> None:
    """Writes a self-contained HTML page.

    Args:
      answers: what querying.search_photos yields.
      title: the page's heading.
      facts: a sentence on the gallery and the search.

    Raises:
      StorageError: it could not be written.
    """
    has_likelihood = any("likelihood_is_bound" in hit for answer in answers for hit in answer.get("hits", ()))
    notes = [paragraph(_BASIS_OF_LIKELIHOOD, "note")] if has_likelihood else []
    write_text(path, compose(title, [paragraph(facts), *map(_answer, answers), *notes]))


def _answer(answer: Mapping[str, Any]) -> str:
    name, query = escape(os.path.basename(answer["query"])), _picture(answer["query"], "the query", is_query=True)
    if "error" in answer:
        return section(name, f'<div class="photos" style="{_GRID}">{query}</div>{paragraph(answer["error"], "note")}')
    hits = "".join(_picture(hit["image"], _caption(rank, hit)) for rank, hit in enumerate(answer["hits"], 1))
    return section(name, f'<div class="photos" style="{_GRID}">{query}{hits}</div>')


_GRID = f"grid-template-columns: repeat({_COLUMNS}, 1fr); gap: 16px 12px; align-items: start"


def _caption(rank: int, hit: Mapping[str, Any]) -> str:
    likelihood = [likelihood_text(hit)] if "likelihood_is_bound" in hit else []
    metadata = ", ".join(likelihood + [str(value) for name, value in hit.items() if name not in OWN_FIELDS])
    return f"{rank}. <b>{hit['score']:.3f}</b> {escape(hit['id'])}" + (f"<br>{escape(metadata)}" if metadata else "")


def _picture(path: str, caption: str, is_query: bool = False) -> str:
    return captioned_photo(thumbnail_jpeg(path, THUMBNAIL_PX), caption, ' class="reference" style="grid-column: 1; margin: 0"' if is_query else "")
