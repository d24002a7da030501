"""What is wrong with a set of photos: each function finds one kind of trouble and answers with rows of the manifest."""

import collections
import typing
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from tfvision.data.checks.near_duplicates import near_groups
from tfvision.data.checks.photo_facts import TRUNCATED, UNREADABLE, PhotoFacts
from tfvision.data.manifest import Record

if typing.TYPE_CHECKING:
    from tfvision.data.checks.checking import CheckSettings


class Findings(typing.NamedTuple):
    """Rows (indices of records) in order, or groups of such.

    Attributes:
      unreadable, truncated, tiny, blank: rows.
      duplicates: groups of rows that show the very same pixels, with labels that do not contradict each other.
      contradictions: such groups with labels that do.
      near_duplicates: groups of rows that look alike without being the same.
      straddling_groups: groups of rows of one `group`, in more than one split.
      straddling_duplicates: groups of the same pixels, or of near duplicates (with what is the same as one of them), in more
        than one split.
    """

    unreadable: list[int]
    truncated: list[int]
    tiny: list[int]
    blank: list[int]
    duplicates: list[list[int]]
    contradictions: list[list[int]]
    near_duplicates: list[list[int]]
    straddling_groups: list[list[int]]
    straddling_duplicates: list[list[int]]


def find_troubles(
    records: Sequence[Record], facts: Sequence[PhotoFacts], settings: "CheckSettings", progress: Callable[[int, int], None] | None = None
) -> Findings:
    """All findings; `settings` is a checking.CheckSettings, `progress` as of near_duplicates.near_groups."""
    same = _same_pixels(records, facts)
    duplicates = [group for group in same if not is_contradictory(records, group)]
    contradictions = [group for group in same if is_contradictory(records, group)]
    near = _near_duplicates(facts, settings, progress)
    return Findings(
        unreadable=[row for row, fact in enumerate(facts) if fact.fault == UNREADABLE],
        truncated=[row for row, fact in enumerate(facts) if fact.fault == TRUNCATED],
        tiny=[row for row, fact in enumerate(facts) if not fact.fault and min(fact.width, fact.height) < settings.min_size_px],
        blank=[row for row, fact in enumerate(facts) if _is_blank(fact, settings)],
        duplicates=duplicates,
        contradictions=contradictions,
        near_duplicates=near,
        straddling_groups=straddling_groups(records, range(len(records))),
        straddling_duplicates=[group for group in _sets_that_look_alike(same, near) if len(_splits(records, group)) > 1],
    )


def is_contradictory(records: Sequence[Record], rows: Iterable[int]) -> bool:
    """Whether two of the photos' labels differ at a rank that both name; one that only says more than the other is no contradiction."""
    lineages = {records[row].lineage for row in rows}
    return any(len(set(names) - {""}) > 1 for names in zip(*lineages, strict=True))


def straddling_groups(records: Sequence[Record], rows: Iterable[int]) -> list[list[int]]:
    """Of the photos at `rows`, those of one group that lie in more than one split: a list of lists."""
    groups = collections.defaultdict(list)
    for row in rows:
        groups[records[row].group].append(row)
    return [group for group in groups.values() if len(_splits(records, group)) > 1]


def _same_pixels(records, facts):
    """Photos with the same pixels and the same box: two boxes in one photo are two things that it shows."""
    groups = collections.defaultdict(list)
    for row, (record, fact) in enumerate(zip(records, facts, strict=True)):
        if not fact.fault:
            groups[fact.pixels_sha256, record.box].append(row)
    return [group for group in groups.values() if len(group) > 1]


def _near_duplicates(facts, settings, progress):
    """The hash of a photo of one colour means nothing; and what is the same to the pixel is told elsewhere."""
    rows = np.array([row for row, fact in enumerate(facts) if not fact.fault and not _is_blank(fact, settings)], np.int64)
    groups = near_groups(np.array([facts[row].hash for row in rows], np.uint64), settings.near_distance, progress)
    groups = [rows[group].tolist() for group in groups]
    return [group for group in groups if len({facts[row].pixels_sha256 for row in group}) > 1]


def _sets_that_look_alike(same, near):
    joined = {row for group in near for row in group}
    return near + [group for group in same if group[0] not in joined]


def _is_blank(fact, settings):
    return not fact.fault and fact.spread < settings.blank_spread


def _splits(records, rows):
    return {records[row].split for row in rows} - {""}
