"""What is wrong with a set of photos: each function finds one kind of trouble and answers with places in the manifest."""

import collections
import typing

import numpy as np

from tfvision.data.checks.near_duplicates import near_groups
from tfvision.data.checks.photo_facts import TRUNCATED, UNREADABLE


class Findings(typing.NamedTuple):
    """Places (indices of records) in order, or groups of such.

    Attributes:
      unreadable, truncated, tiny, blank: places.
      duplicates: groups of places that show the very same pixels, with labels that do not contradict each other.
      contradictions: such groups with labels that do.
      near_duplicates: groups of places that look alike without being the same.
      straddling_groups: groups of places of one `group`, in more than one split.
      straddling_duplicates: groups of the same pixels, or of near duplicates (with what is the same as one of them), in more
        than one split.
    """

    unreadable: list
    truncated: list
    tiny: list
    blank: list
    duplicates: list
    contradictions: list
    near_duplicates: list
    straddling_groups: list
    straddling_duplicates: list


def find_troubles(records, facts, settings, progress=None):
    """All findings; `settings` is a checking.CheckSettings, `progress` as of near_duplicates.near_groups."""
    same = _same_pixels(records, facts)
    duplicates = [group for group in same if not is_contradictory(records, group)]
    contradictions = [group for group in same if is_contradictory(records, group)]
    near = _near_duplicates(facts, settings, progress)
    return Findings(
        unreadable=[place for place, fact in enumerate(facts) if fact.fault == UNREADABLE],
        truncated=[place for place, fact in enumerate(facts) if fact.fault == TRUNCATED],
        tiny=[place for place, fact in enumerate(facts) if not fact.fault and min(fact.width, fact.height) < settings.min_size_px],
        blank=[place for place, fact in enumerate(facts) if _is_blank(fact, settings)],
        duplicates=duplicates,
        contradictions=contradictions,
        near_duplicates=near,
        straddling_groups=straddling_groups(records, range(len(records))),
        straddling_duplicates=[group for group in _sets_that_look_alike(same, near) if len(_splits(records, group)) > 1],
    )


def is_contradictory(records, places):
    """Whether two of the photos' labels differ at a rank that both name; one that only says more than the other is no contradiction."""
    lineages = {records[place].lineage for place in places}
    return any(len(set(names) - {""}) > 1 for names in zip(*lineages, strict=True))


def straddling_groups(records, places):
    """Of the photos at `places`, those of one group that lie in more than one split: a list of lists."""
    groups = collections.defaultdict(list)
    for place in places:
        groups[records[place].group].append(place)
    return [group for group in groups.values() if len(_splits(records, group)) > 1]


def _same_pixels(records, facts):
    """Photos with the same pixels and the same box: two boxes in one photo are two things that it shows."""
    groups = collections.defaultdict(list)
    for place, (record, fact) in enumerate(zip(records, facts, strict=True)):
        if not fact.fault:
            groups[fact.pixels_sha256, record.box].append(place)
    return [group for group in groups.values() if len(group) > 1]


def _near_duplicates(facts, settings, progress):
    """The hash of a photo of one colour means nothing; and what is the same to the pixel is told elsewhere."""
    places = np.array([place for place, fact in enumerate(facts) if not fact.fault and not _is_blank(fact, settings)], np.int64)
    groups = near_groups(np.array([facts[place].hash for place in places], np.uint64), settings.near_distance, progress)
    groups = [places[group].tolist() for group in groups]
    return [group for group in groups if len({facts[place].pixels_sha256 for place in group}) > 1]


def _sets_that_look_alike(same, near):
    joined = {place for group in near for place in group}
    return near + [group for group in same if group[0] not in joined]


def _is_blank(fact, settings):
    return not fact.fault and fact.spread < settings.blank_spread


def _splits(records, places):
    return {records[place].split for place in places} - {""}
