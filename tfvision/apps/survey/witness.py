"""What a survey asks of a model: evidence of photos, and answers to it. An application that has `evidence.py` can be asked."""

import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from tfvision.applications import APPLICATIONS
from tfvision.data.boxes import Box
from tfvision.data.taxonomy import Taxonomy
from tfvision.export.session import is_export
from tfvision.training.run import application_of


class Seen(typing.Protocol):
    """As tfvision.apps.species.evidence.Seen."""

    numbers: list[int]
    evidence: np.ndarray
    views: np.ndarray
    broken: dict[int, str]


class Witness(typing.Protocol):
    """As tfvision.apps.species.evidence.Witness."""

    name: str
    identity: str
    taxonomy: Taxonomy
    sees_boxes: bool

    @property
    def view_size(self) -> int: ...

    @property
    def width(self) -> int: ...

    def check(self, within: Sequence[str], target_accuracy: float | None, unknown_share: float | None = None) -> None: ...

    def see(self, paths: Sequence[str], boxes: Sequence[Box] = ()) -> Iterator[Seen]: ...

    def answers(
        self, evidence: Iterable[np.ndarray], within: Sequence[str] = (), target_accuracy: float | None = None, unknown_share: float | None = None
    ) -> Iterator[dict]: ...


def open_witness(model: str | Path) -> Witness:
    """A run or an export, by the application that it belongs to. Raises RunError."""
    name = "species" if is_export(model) else application_of(model, "evidence")
    return APPLICATIONS[name].part("evidence").open_witness(model)
