"""Several people who judge the same hits: what most of them say, and how far they agree."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfvision.apps.explorer.precision import wilson_interval
from tfvision.evaluation.retrieval import bootstrap_interval

Marks = Mapping[str, Mapping[str, bool]]  # query -> id of a hit -> whether it is right


class Kappa(NamedTuple):
    """How far judges agree beyond chance.

    Attributes:
      pictures: that all of them judged.
      same: of these, the share that all say the same of; of several judges, of their pairs.
      expected: the share that chance would give to judges who say "right" as often as they did.
      kappa, low, high: (same - expected) / (1 - expected) and its 95 % interval; None where chance alone gives complete agreement.
    """

    pictures: int
    same: float
    expected: float
    kappa: float | None
    low: float | None
    high: float | None


def by_judge(entry: Mapping[str, Any]) -> dict[str, Marks]:
    """{name: marks} of a question's notes, of those who marked anything; "" is who gave no name."""
    return {name: marks for name, marks in {"": entry["marks"], **(entry.get("judges") or {})}.items() if marks}


def counted(judged: Mapping[str, Marks], judge: str | None) -> Marks:
    """The marks of one judge, or what most say where it is None."""
    return majority(judged) if judge is None else judged.get(judge, {})


def majority(judged: Mapping[str, Marks]) -> dict[str, dict[str, bool]]:
    """What most judges of a picture say; where as many say the one as the other, it is not judged."""
    votes: dict[str, dict[str, int]] = {}
    for marks in judged.values():
        for query, by_id in marks.items():
            counts = votes.setdefault(query, {})
            for id, is_right in by_id.items():
                counts[id] = counts.get(id, 0) + (1 if is_right else -1)
    return {query: {id: count > 0 for id, count in counts.items() if count} for query, counts in votes.items()}


def agreement(judged: Mapping[str, Marks]) -> dict[str, Any] | None:
    """{"pairs": [{"judges", "shares", and a Kappa's}], "all": Fleiss' Kappa of more than two}; None of a single judge.

    "shares" are how much each of the two called right, of the pictures that both judged.
    """
    flat = {name: {(query, id): is_right for query, by_id in marks.items() for id, is_right in by_id.items()} for name, marks in judged.items()}
    if len(flat) < 2:
        return None
    pairs = []
    for a, b in itertools.combinations(flat, 2):
        both = sorted(flat[a].keys() & flat[b].keys())
        said = [[flat[name][one] for one in both] for name in (a, b)]
        shares = [float(np.mean(one)) if one else None for one in said]
        pairs.append({"judges": [a, b], "shares": shares, **cohens_kappa(*said)._asdict()})
    shared = sorted(set.intersection(*(set(marks) for marks in flat.values())))
    of_all = fleiss_kappa([[marks[one] for marks in flat.values()] for one in shared])._asdict() if len(flat) > 2 else None
    return {"pairs": pairs, "all": of_all}


def cohens_kappa(a: Sequence[bool], b: Sequence[bool]) -> Kappa:
    """Cohen's kappa (1960) of two judges of the same pictures.

    The interval takes what chance gives as known, as Cohen's standard error does, and Wilson's interval of the share that is the same: it has
    a width where a few pictures are all the same.
    """
    pictures, first, second = len(a), np.asarray(a, bool), np.asarray(b, bool)
    if not pictures:
        return Kappa(0, 0.0, 0.0, None, None, None)
    same, right = int((first == second).sum()), (first.mean(), second.mean())
    expected = float(right[0] * right[1] + (1 - right[0]) * (1 - right[1]))
    return _kappa(pictures, same / pictures, expected, wilson_interval(same, pictures))


def fleiss_kappa(said: Sequence[Sequence[bool]]) -> Kappa:
    """Fleiss' kappa (1971) of what several judges, the same for each, said of pictures: [pictures][judges].

    The interval is by bootstrap over pictures, what chance gives being taken as known.
    """
    if not len(said):
        return Kappa(0, 0.0, 0.0, None, None, None)
    votes, judges = np.sum(said, axis=1), len(said[0])
    same = (votes * (votes - 1) + (judges - votes) * (judges - votes - 1)) / (judges * (judges - 1))
    share = votes.sum() / (judges * len(said))
    low, high = bootstrap_interval(same)
    return _kappa(len(said), float(same.mean()), float(share**2 + (1 - share) ** 2), (low, high))


def _kappa(pictures, same, expected, interval):
    if expected >= 1:
        return Kappa(pictures, same, expected, None, None, None)
    kappa, low, high = ((share - expected) / (1 - expected) for share in (same, *interval))
    return Kappa(pictures, same, expected, kappa, low, high)
