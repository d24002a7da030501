"""What each index of a retriever mistakes: queries whose first hit is wrong, counted and shown (figures 3 and 4)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfvision.apps.retrieval.source import Trial
from tfvision.data.boxes import read_box
from tfvision.data.manifest import Record
from tfvision.errors import DataError
from tfvision.evaluation.picture_sheet import Cell, picture_sheet
from tfvision.evaluation.retrieval import Mistake
from tfvision.trained.retriever_run import ADDITIONS

SHOWN = 4  # pairs of an index
_CELL_PX = 120


def mistakes_of(judged: Mapping[str, Mapping[str, Any]], trial: Trial) -> dict[str, Any]:
    """What indices mistake.

    Args:
      judged: {index: what `evaluation.retrieval.judge` says}.

    Returns:
      dict: "mistakes" {index: {"count", "pairs": the nearest wrong hits [{"query", "found", "similarity", "rows"}]}}, and
      "mistaken_by_all_taps", how many queries every tap has wrong.
    """
    taps = [{mistake.query for mistake in one["mistakes"]} for name, one in judged.items() if name not in ADDITIONS and not name.startswith("tuned")]
    return {
        "mistakes": {
            name: {"count": len(one["mistakes"]), "pairs": [_told(mistake, trial) for mistake in _nearest(one["mistakes"], trial)]}
            for name, one in judged.items()
        },
        "mistaken_by_all_taps": len(set.intersection(*taps)) if taps else 0,
    }


def mistakes_sheet(mistakes: Mapping[str, Mapping[str, Any]], trial: Trial) -> np.ndarray | None:
    """The pairs of each index in a row, the query on the left: uint8 [height, width, 3]; None where there are none."""
    rows = [(f"{index}: {one['count']} wrong", [_cell(pair, trial) for pair in one["pairs"]]) for index, one in mistakes.items() if one["pairs"]]
    return picture_sheet("Wrong first hits: left the query, right what was found first", rows, _CELL_PX) if rows else None


def _nearest(mistakes: list[Mistake], trial: Trial) -> list[Mistake]:
    """The most similar pairs, one of each two labels whichever of them asked."""
    pairs: dict[frozenset[tuple[str, ...]], Mistake] = {}
    for mistake in sorted(mistakes, key=lambda one: (-one.similarity, one.query)):
        labels = (trial.queries.records[mistake.query].lineage, trial.gallery.records[mistake.found].lineage)
        pairs.setdefault(frozenset(labels), mistake)
    return [*pairs.values()][:SHOWN]


def _told(mistake: Mistake, trial: Trial) -> dict[str, Any]:
    return {
        "query": trial.queries.records[mistake.query].name,
        "found": trial.gallery.records[mistake.found].name,
        "similarity": round(mistake.similarity, 4),
        "rows": [mistake.query, mistake.found],
    }


def _cell(pair: Mapping[str, Any], trial: Trial) -> Cell:
    query, found = pair["rows"]
    names = [Path(pair[which]).name for which in ("query", "found")]
    return Cell((_seen(trial.queries.records[query]), _seen(trial.gallery.records[found])), f"{pair['similarity']:.2f}  {': '.join(names)}")


def _seen(record: Record) -> np.ndarray | None:
    """A photo, or its box; None where it cannot be read."""
    try:
        return read_box(record.path, record.box)
    except DataError:
        return None
