"""Observations: what became of each photo, and the one answer to each event."""

import collections
import dataclasses
import datetime
import functools
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from tfvision.apps.survey.placed_photos import PlacedPhoto
from tfvision.apps.survey.state import SurveyState
from tfvision.data.cards.events import events_by_gap
from tfvision.data.names import plain_name

ANSWERED, BLANK, UNREADABLE, SKIPPED = "answered", "blank", "unreadable", "skipped"
ANIMAL, HUMAN, VEHICLE, UNKNOWN = "animal", "human", "vehicle", "unknown"
NOTHING_THERE = "nothing is there"
_KINDS = {  # classes that are no taxa -> what they say of a photo
    BLANK: ("blank", "empty", "nothing", "none", "no animal", "background", "false trigger", "ghost"),
    HUMAN: ("human", "person", "people", "homo sapiens", "homo"),
    VEHICLE: ("vehicle", "car", "truck", "motorcycle", "bicycle"),
}
_KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names}

Asked = Callable[[Iterable[np.ndarray]], Iterable[Mapping[str, typing.Any]]]  # evidence, each of photos of one animal -> the answers to them


class Taxon(typing.NamedTuple):
    """A taxon of a lineage."""

    rank: str
    name: str


class Answer(typing.NamedTuple):
    """What may be named.

    Attributes:
      taxon, rank: the deepest; "life" of rank "root" where nothing may be named.
      lineage: from the coarsest rank down to it.
      likeliest: (name, probability) of the likeliest classes.
      unknown: the chance that it is of no species of the model; None where this was not asked.
      is_unknown: whether that is likelier than not, and no species is named.
    """

    taxon: str
    rank: str
    probability: float
    lineage: tuple[Taxon, ...]
    likeliest: tuple[tuple[str, float], ...]
    unknown: float | None = None
    is_unknown: bool = False

    @classmethod
    def of(cls, told: Mapping[str, typing.Any]) -> "Answer":
        """An answer as `identify` tells it."""
        lineage = _shared(tuple(Taxon(taxon["rank"], taxon["name"]) for taxon in told["lineage"]))
        likeliest = tuple((top["name"], top["probability"]) for top in told["top"])
        unknown = told.get("unknown_probability"), told.get("is_unknown", False)
        return cls(told["taxon"], told["rank"], told["probability"], lineage, likeliest, *unknown)

    @classmethod
    def named(cls, name: str) -> "Answer":
        """A person's: a name alone."""
        return cls(name, "", 1.0, (Taxon("", name),), ())


@functools.cache
def _shared(lineage: tuple[Taxon, ...]) -> tuple[Taxon, ...]:
    """One lineage for all photos that have it."""
    return lineage


@dataclasses.dataclass(frozen=True)
class MediaRow:
    """What became of a photo.

    Attributes:
      photo: where and when.
      status: ANSWERED, BLANK or UNREADABLE.
      reason: why nothing is named; "" where it is answered.
      answer: its own; None where nothing could be told.
      event: that it belongs to; "" of an unreadable one.
    """

    photo: PlacedPhoto
    status: str
    reason: str = ""
    answer: Answer | None = None
    event: str = ""


@dataclasses.dataclass(frozen=True)
class Observation:
    """An event and the answer to it.

    Attributes:
      event: its name, that of its first photo.
      media: its photos, in order of time.
      status: ANSWERED or BLANK.
      reason: of a blank one.
      answer: joined from the photos of which something can be told; None where there is none.
      agreement: share of these whose own answer is the joined one, or one above or below it.
    """

    event: str
    media: tuple[MediaRow, ...]
    status: str
    reason: str = ""
    answer: Answer | None = None
    agreement: float = 1.0

    @property
    def first(self) -> PlacedPhoto:
        """Its first photo."""
        return self.media[0].photo

    @property
    def last(self) -> PlacedPhoto:
        """Its last photo."""
        return self.media[-1].photo

    @property
    def start(self) -> datetime.datetime | None:
        """When it began."""
        return self.first.time

    @property
    def kind(self) -> str:
        """ANIMAL, HUMAN, VEHICLE, BLANK, or UNKNOWN where nothing may be named."""
        return BLANK if self.status == BLANK else kind_of(self.answer)

    @property
    def counted(self) -> list[MediaRow]:
        """The photos that the answer rests on."""
        return [row for row in self.media if row.status == ANSWERED]


def kind_of(answer: Answer | None) -> str:
    """What an answer says is there."""
    if answer is None or answer.rank == "root":
        return UNKNOWN
    return next((_KIND_OF[name] for name in (plain_name(taxon.name) for taxon in answer.lineage) if name in _KIND_OF), ANIMAL)


def observe(photos: Sequence[PlacedPhoto], broken: Mapping[str, str], state: SurveyState, ask: Asked, gap_seconds: float) -> list[Observation]:
    """The observations of photos, in the order of deployments and times; photos that are broken are in none.

    Args:
      broken: {name: why it cannot be read}.
    """
    seen = [photo for photo in photos if photo.name not in broken]
    cameras = [(photo.deployment.folder, photo.camera) for photo in seen]
    media = _media(seen, state, ask)
    events = [[media[number] for number in event] for event in events_by_gap([photo.time for photo in seen], cameras, gap_seconds)]
    rows = [_rows_that_count(event, state) for event in events]
    joined = map(Answer.of, ask(state.evidence(own) for own in rows if own))
    observations = [_observation(event, next(joined) if own else None) for event, own in zip(events, rows, strict=True)]
    return sorted(observations, key=lambda one: (one.first.deployment.name, one.start or datetime.datetime.max, one.event))


def media_of(photos: Sequence[PlacedPhoto], broken: Mapping[str, str], observations: Sequence[Observation]) -> list[MediaRow]:
    """What became of every photo, in the order of the photos."""
    rows = {row.photo.name: row for observation in observations for row in observation.media}
    return [rows.get(photo.name) or MediaRow(photo, UNREADABLE, broken[photo.name]) for photo in photos]


def counts(rows: Sequence[MediaRow]) -> collections.Counter[str]:
    """How many photos have each status."""
    return collections.Counter(row.status for row in rows)


def _media(photos, state, ask):
    """Each photo with its own answer."""
    looks = [state.looks[photo.name][1] for photo in photos]
    rows = [[look.row for look in own if not look.unusable] for own in looks]
    answers = map(Answer.of, ask(state.evidence(own) for own in rows if own))
    media = []
    for photo, own, seen in zip(photos, rows, looks, strict=True):
        answer = next(answers) if own else None
        reason = seen[0].unusable if answer is None else NOTHING_THERE if kind_of(answer) == BLANK else ""
        media.append(MediaRow(photo, BLANK if reason else ANSWERED, reason, answer))
    return media


def _rows_that_count(media, state):
    """The evidence of an event. Photos in which nothing is are no evidence of what is in the others."""
    counted = [row for row in media if row.status == ANSWERED] or [row for row in media if row.answer is not None]
    return [look.row for row in counted for look in state.looks[row.photo.name][1] if not look.unusable]


def _observation(media, joined):
    name = media[0].photo.name
    media = tuple(dataclasses.replace(row, event=name) for row in media)
    reason = media[0].reason if joined is None else NOTHING_THERE if kind_of(joined) == BLANK else ""
    return Observation(name, media, BLANK if reason else ANSWERED, reason, joined, _agreement(media, joined))


def _agreement(media, joined):
    own = [row.answer.lineage for row in media if row.status == ANSWERED]
    if joined is None or not own:
        return 1.0
    return round(sum(lineage[: len(joined.lineage)] == joined.lineage[: len(lineage)] for lineage in own) / len(own), 4)
