"""Observations: what became of each photo, and the one answer to each event."""

import collections
import dataclasses
import datetime
import functools
import itertools
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np

from tfvision.apps.survey.detected import Detected, text_of
from tfvision.apps.survey.placed_photos import PlacedPhoto
from tfvision.apps.survey.state import SurveyState
from tfvision.data.boxes import Box
from tfvision.data.cards.events import events_by_gap
from tfvision.data.names import plain_name
from tfvision.data.no_taxa import BLANK, HUMAN, VEHICLE, kind_of_word

ANSWERED, UNREADABLE, SKIPPED = "answered", "unreadable", "skipped"  # and BLANK
ANIMAL, UNKNOWN = "animal", "unknown"
NOTHING_THERE, NOTHING_FOUND = "nothing is there", "the detector found no animal"
_PEOPLE = ("homo", "homo sapiens")
DETECTED = "detected"  # in place of the rank of what a detector alone says

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


class Sighting(typing.NamedTuple):
    """What a detector found in a photo.

    Attributes:
      kind: ANIMAL, HUMAN or VEHICLE.
      category: as the detector calls it.
      confidence: of the detector.
      box: left, top, width, height as fractions of the photo.
      answer: which animal it is; of others the category, of rank DETECTED.
    """

    kind: str
    category: str
    confidence: float
    box: Box
    answer: Answer


@dataclasses.dataclass(frozen=True)
class MediaRow:
    """What became of a photo.

    Attributes:
      photo: where and when.
      status: ANSWERED, BLANK, UNREADABLE or SKIPPED.
      reason: why nothing is named; "" where it is answered.
      answer: its own, joined from its animals where a detector found some; None where nothing could be told.
      event: that it belongs to; "" of one that could not be looked at.
      sightings: what a detector found; None without a detector.
    """

    photo: PlacedPhoto
    status: str
    reason: str = ""
    answer: Answer | None = None
    event: str = ""
    sightings: tuple[Sighting, ...] | None = None

    def count(self, kind: str) -> int | None:
        """How many of a kind a detector found; None without a detector."""
        return None if self.sightings is None else sum(one.kind == kind for one in self.sightings)

    @property
    def answers(self) -> list[Answer]:
        """Of each animal, or of the photo where no detector looked for them."""
        if self.sightings is None:
            return [] if self.answer is None else [self.answer]
        return [one.answer for one in self.sightings if one.kind == ANIMAL]


@dataclasses.dataclass(frozen=True)
class Observation:
    """An event and the answer to it.

    Attributes:
      event: its name, that of its first photo.
      media: its photos, in order of time.
      status: ANSWERED or BLANK.
      reason: of a blank one.
      answer: joined from the photos of which something can be told; None where there is none.
      agreement: share of these, or of their animals, whose own answer is the joined one, or one above or below it.
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
        answered = [row for row in self.media if row.status == ANSWERED]
        return [row for row in answered if row.count(ANIMAL)] or answered

    def count(self, kind: str) -> int | None:
        """The most of a kind that a detector found in one photo; None without a detector."""
        return max((count for row in self.media if (count := row.count(kind)) is not None), default=None)


def kind_of(answer: Answer | None) -> str:
    """What an answer says is there."""
    if answer is None or answer.rank == "root":
        return UNKNOWN
    names = [taxon.name for taxon in answer.lineage]
    return next(filter(None, map(kind_of_word, names)), HUMAN if any(plain_name(name) in _PEOPLE for name in names) else ANIMAL)


def observe(
    photos: Sequence[PlacedPhoto], left_out: Collection[str], state: SurveyState, ask: Asked, gap_seconds: float, detected: Detected | None = None
) -> list[Observation]:
    """The observations of photos, in the order of deployments and times; photos that are left out are in none."""
    seen = [photo for photo in photos if photo.name not in left_out]
    cameras = [(photo.deployment.folder, photo.camera) for photo in seen]
    media = _media(seen, state, ask) if detected is None else _media_with_animals(seen, detected, state, ask)
    events = [[media[number] for number in event] for event in events_by_gap([photo.time for photo in seen], cameras, gap_seconds)]
    rows = [_rows_that_count(event, state) for event in events]
    joined = map(Answer.of, ask(state.evidence(own) for own in rows if own))
    observations = [_observation(event, next(joined) if own else None) for event, own in zip(events, rows, strict=True)]
    return sorted(observations, key=lambda one: (one.first.deployment.name, one.start or datetime.datetime.max, one.event))


def media_of(
    photos: Sequence[PlacedPhoto], broken: Mapping[str, str], observations: Sequence[Observation], skipped: Mapping[str, str] | None = None
) -> list[MediaRow]:
    """What became of every photo, in the order of the photos.

    Args:
      broken: {name: why it cannot be read}.
      skipped: {name: why it was not looked at}.
    """
    rows = {row.photo.name: row for observation in observations for row in observation.media}
    for status, reasons in ((UNREADABLE, broken), (SKIPPED, skipped or {})):
        rows.update({photo.name: MediaRow(photo, status, reasons[photo.name]) for photo in photos if photo.name in reasons})
    return [rows[photo.name] for photo in photos]


def counts(rows: Sequence[MediaRow]) -> collections.Counter[str]:
    """How many photos have each status."""
    return collections.Counter(row.status for row in rows)


def _media(photos, state, ask):
    """Each photo with its own answer."""
    looks = [state.look_of(photo.name) for photo in photos]
    answers = map(Answer.of, ask(state.evidence([look.row]) for look in looks if not look.unusable))
    media = []
    for photo, look in zip(photos, looks, strict=True):
        answer = None if look.unusable else next(answers)
        reason = look.unusable if answer is None else NOTHING_THERE if kind_of(answer) == BLANK else ""
        media.append(MediaRow(photo, BLANK if reason else ANSWERED, reason, answer))
    return media


def _media_with_animals(photos, detected, state, ask):
    """Each photo with an answer to each of its animals, and its own, joined from them."""
    rows = [[state.look_of(photo.name, text_of(one.box)).row for one in detected.found[photo.name].animals] for photo in photos]
    each = map(Answer.of, ask(state.evidence([row]) for own in rows for row in own))
    joined = map(Answer.of, ask(state.evidence(own) for own in rows if len(own) > 1))
    media = []
    for photo, own in zip(photos, rows, strict=True):
        found = detected.found[photo.name]
        answers = list(itertools.islice(each, len(own)))
        sightings = [Sighting(ANIMAL, one.category, one.confidence, one.box, answer) for one, answer in zip(found.animals, answers, strict=True)]
        sightings += [_other(one) for one in found.others if kind_of_word(one.category) in (HUMAN, VEHICLE)]
        answer = next(joined) if len(own) > 1 else answers[0] if own else _strongest(sightings)
        outside = f"; {found.outside} of its boxes lie outside the photo" if found.outside else ""
        reason = f"{NOTHING_FOUND}{outside}" if answer is None else NOTHING_THERE if kind_of(answer) == BLANK else ""
        media.append(MediaRow(photo, BLANK if reason else ANSWERED, reason, answer, sightings=tuple(sightings)))
    return media


def _other(found):
    answer = Answer(found.category, DETECTED, round(found.confidence, 4), _shared((Taxon(DETECTED, found.category),)), ())
    return Sighting(kind_of_word(found.category), found.category, found.confidence, found.box, answer)


def _strongest(sightings):
    """The answer where there are no animals: people before vehicles, the surest of them; None where there is nothing."""
    return min(sightings, key=lambda one: (one.kind != HUMAN, -one.confidence)).answer if sightings else None


def _rows_that_count(media, state):
    """The evidence of an event. Photos in which nothing is are no evidence of what is in the others."""
    counted = [row for row in media if row.status == ANSWERED] or [row for row in media if row.answer is not None]
    if media[0].sightings is None:
        return [state.look_of(row.photo.name).row for row in counted]
    return [state.look_of(row.photo.name, text_of(one.box)).row for row in counted for one in row.sightings if one.kind == ANIMAL]


def _observation(media, joined):
    name = media[0].photo.name
    media = tuple(dataclasses.replace(row, event=name) for row in media)
    if joined is None:
        joined = _strongest([one for row in media if row.status == ANSWERED for one in row.sightings or ()])
    reason = media[0].reason if joined is None else NOTHING_THERE if kind_of(joined) == BLANK else ""
    return Observation(name, media, BLANK if reason else ANSWERED, reason, joined, _agreement(media, joined))


def _agreement(media, joined):
    own = [answer.lineage for row in media if row.status == ANSWERED for answer in row.answers]
    if joined is None or not own:
        return 1.0
    return round(sum(lineage[: len(joined.lineage)] == joined.lineage[: len(lineage)] for lineage in own) / len(own), 4)
