"""Splits by a hash of the group, so that photos of one observation never fall on both sides."""

import collections
import hashlib
from collections.abc import Sequence

import numpy as np

from tfvision.data.manifest import Manifest
from tfvision.errors import DataError

USED_SPLITS = ("train", "validation", "test")


def split_validation(manifest: Manifest, fraction: float, seed: int) -> np.ndarray:
    """Chooses the validation part: seeded, stratified by class, whole groups only.

    A manifest's own `split` column is kept: "train" and "validation" rows are used as they are; where
    it has no validation rows, its training rows are split.

    Args:
      fraction: share of each class's photos that go to validation; at least one group stays in
        training, and at least one goes to validation where a class has two.

    Returns:
      An array of "train", "validation" or "" (unused) for each photo.
    """
    given = np.array([record.split for record in manifest.records], object)
    if not given.astype(bool).any():
        given[:] = "train"
    elif "train" not in given:
        raise DataError(f"the split column has no `train` rows; it has {', '.join(sorted(set(given)))}")
    if "validation" in given:
        return np.where(np.isin(given, ("train", "validation")), given, "")
    is_candidate = given == "train"
    is_validation = _hashed_share(manifest, is_candidate, fraction, seed)
    return np.where(is_candidate, np.where(is_validation, "validation", "train"), "")


def some_of(is_candidate: np.ndarray, most: int, seed: int) -> np.ndarray:
    """At most so many of the candidates, drawn by the seed: bool, as long as `is_candidate`."""
    chosen = np.random.default_rng(seed).permutation(np.flatnonzero(is_candidate))[:most]
    return np.isin(np.arange(len(is_candidate)), chosen)


def halve(groups: Sequence[str], seed: int) -> np.ndarray:
    """Two even halves by group: bool [n], true for the half that fits thresholds."""
    sizes = collections.Counter(groups)
    order = sorted(sizes, key=lambda group: _hash(seed, group))
    fitting = _groups_that_make(len(groups) / 2, order, sizes)
    return np.array([group in fitting for group in groups])


def _hashed_share(manifest, is_candidate, fraction, seed):
    members = collections.defaultdict(list)  # group -> photos
    for index in np.flatnonzero(is_candidate):
        members[manifest.records[index].group].append(index)
    strata = collections.defaultdict(list)  # class of a group's first photo -> groups
    for group, indices in members.items():
        strata[manifest.records[indices[0]].lineage].append(group)
    is_validation = np.zeros(len(manifest), bool)
    sizes = {group: len(indices) for group, indices in members.items()}
    for groups in strata.values():
        groups.sort(key=lambda group: _hash(seed, group))
        wanted = max(1, round(fraction * sum(sizes[group] for group in groups))) if fraction else 0
        chosen = _groups_that_make(wanted, groups, sizes)
        if len(chosen) == len(groups):  # one stays in training
            chosen.discard(groups[-1])
        for group in chosen:
            is_validation[members[group]] = True
    return is_validation


def _groups_that_make(wanted, order, sizes):
    """The groups, taken in order, whose sizes come to about `wanted`; at least one unless that is 0."""
    chosen, missing = set(), wanted
    for group in order:
        if sizes[group] <= 2 * missing:  # else the sum would be further off with it than without
            chosen.add(group)
            missing -= sizes[group]
    if wanted and order and not chosen:
        chosen.add(min(order, key=sizes.get))
    return chosen


def _hash(seed, group):
    return hashlib.blake2b(f"{seed}:{group}".encode(), digest_size=8).digest()


def seeded_hash(seed: int, subject: str) -> bytes:
    """Bytes by which subjects are dealt out to folds."""
    return hashlib.blake2b(f"{seed}:{subject}".encode(), digest_size=8).digest()
