"""Judging the answers to groups of photos of one animal, beside those to the photos."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfvision.apps.species.group_answers import Answering, Evidence
from tfvision.apps.species.identification import CarefulAnswer
from tfvision.evaluation import specificity
from tfvision.evaluation.groups import members

_SIZES = ((1, 1), (2, 2), (3, 5), (6, 10), (11, None))  # photos of the groups of a row, from and to


class GroupEvaluation:
    """Collects what is answered to groups as their photos come; `result` is called at the end.

    Args:
      answering: by what groups are answered.
      names: of the group of each photo; those of one group stand together (`in_groups`).
      labels: int [photos], the true classes.
    """

    def __init__(self, answering: Answering, names: Sequence[str], labels: np.ndarray) -> None:
        self._answering, self._labels = answering, labels
        self._waiting = list(members(names).items())[::-1]
        self._parts: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # number of a photo -> logits and features
        self._rows: list[tuple[str, int, int, CarefulAnswer]] = []  # name, photos that were read, class, answer
        self._mixed: list[str] = []
        self._unread: list[str] = []

    def __call__(self, numbers: np.ndarray, logits: np.ndarray, features: np.ndarray) -> None:
        """Adds a batch, in order."""
        self._parts |= zip(numbers.tolist(), zip(logits, features, strict=True), strict=True)
        while self._waiting and len(numbers) and self._waiting[-1][1][-1] <= numbers[-1]:
            self._judge(*self._waiting.pop())

    def result(self) -> dict[str, Any]:
        """What answers to groups are worth.

        Returns:
          dict of "groups" and "photos" (judged), "mixed" and "unread" (names of groups of several classes, and of none that could be read, which are not
          judged), "accuracy" of the likeliest class with its "accuracy_interval", "right" of the careful answers with its "interval", "depth", and
          "by_size", the same by photos a group; figures are None without groups.
        """
        while self._waiting:
            self._judge(*self._waiting.pop())
        sizes = np.array([photos for _, photos, _, _ in self._rows], int)
        by_size = [{"smallest": least, "largest": most, **self._figures((sizes >= least) & (sizes <= (most or np.inf)))} for least, most in _SIZES]
        own = self._figures(np.full(len(sizes), True))
        return {**own, "photos": int(sizes.sum()), "mixed": self._mixed, "unread": self._unread, "by_size": [row for row in by_size if row["groups"]]}

    def answers(self) -> Iterator[tuple[object, ...]]:
        """A header, then what is answered to each group: rows of a CSV."""
        taxonomy = self._answering.taxonomy
        yield "group", "photos", "species", "likeliest", "likeliest_probability", "taxon", "rank", "probability", "depth", "is_right"
        for name, photos, label, answer in self._rows:
            node, likeliest = answer.path[-1], (taxonomy.class_names[answer.likeliest[0]], f"{answer.chances[0]:.4f}")
            named = taxonomy.names[node], taxonomy.node_ranks[node], f"{answer.reached[-1]:.4f}", len(answer.path) - 1, int(self._is_right(label, answer))
            yield name, photos, taxonomy.class_names[label], *likeliest, *named

    def _judge(self, name: str, numbers: np.ndarray) -> None:
        read = [self._parts.pop(number) for number in numbers.tolist() if number in self._parts]
        classes = np.unique(self._labels[numbers])
        if len(classes) > 1:
            self._mixed.append(name)
        elif not read:
            self._unread.append(name)
        else:
            logits, features = (np.stack(values) for values in zip(*read, strict=True))
            (answer,) = self._answering.careful([np.arange(len(read))], Evidence.of(logits, features, self._answering.unknown))
            self._rows.append((name, len(read), int(classes[0]), answer))

    def _is_right(self, label: int, answer: CarefulAnswer) -> bool:
        taxonomy, node = self._answering.taxonomy, answer.path[-1]
        return bool(taxonomy.first_leaves[node] <= label < taxonomy.end_leaves[node])

    def _figures(self, chosen: np.ndarray) -> dict[str, Any]:
        rows = [(label, answer) for (_, _, label, answer), is_chosen in zip(self._rows, chosen, strict=True) if is_chosen]
        if not rows:
            return {"groups": 0, **dict.fromkeys(("accuracy", "accuracy_interval", "right", "interval", "depth"))}
        first, right = sum(answer.likeliest[0] == label for label, answer in rows), sum(self._is_right(*row) for row in rows)
        return {
            "groups": len(rows),
            "accuracy": first / len(rows),
            "accuracy_interval": list(specificity.clopper_pearson(first, len(rows))),
            "right": right / len(rows),
            "interval": list(specificity.clopper_pearson(right, len(rows))),
            "depth": float(np.mean([len(answer.path) - 1 for _, answer in rows])),
        }


def in_groups(names: Sequence[str]) -> np.ndarray:
    """The order in which photos of one group stand together."""
    return np.concatenate(list(members(names).values()))
