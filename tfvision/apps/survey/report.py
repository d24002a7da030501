"""report.html of a survey: what was seen, how often for the effort, when and where, and the events worth a person's look."""

import collections
import contextlib
import datetime
import typing
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from tfvision import __version__
from tfvision.apps.survey.deployed import Deployed, deployed
from tfvision.apps.survey.observations import ANIMAL, BLANK, HUMAN, SKIPPED, UNKNOWN, UNREADABLE, VEHICLE, Answer, Observation, Taxon, kind_of
from tfvision.data.decoding import thumbnail_jpeg
from tfvision.data.names import plain_taxon
from tfvision.errors import DataError
from tfvision.evaluation.page import captioned_photo, compose, figure, paragraph, section, table
from tfvision.evaluation.picture_sheet import boxed_photo
from tfvision.evaluation.survey_plots import draw_accumulation, draw_activity, draw_map
from tfvision.files import write_text

if typing.TYPE_CHECKING:
    from tfvision.apps.survey.job import Survey

NAME = "report.html"
_LOOKED_AT = 24  # events worth a look
_PHOTOS_SHOWN = 4
_THUMBNAIL_PX, _BOXED_PX = 220, 480
_GRID = "grid-template-columns: repeat(auto-fill, minmax(min(190px, 45%), 1fr)); align-items: start"
_NAMES_SHOWN = 6  # of the animals of a photo
_LISTED = 500
_BY_A_PERSON = "by a person"  # in place of the rank of a taxon that no answer of the model has
_RARE = 2  # events of a taxon: what was seen so seldom is looked at


class Named(typing.NamedTuple):
    """A taxon of the list: what was named, and how often.

    Attributes:
      name, rank: as answered.
      events: in the order of time.
    """

    name: str
    rank: str
    events: list[Observation]


def write_report(survey: "Survey", path: Path, reviews: Mapping[str, str]) -> None:
    """Writes the page; reviews: {event: a person's answer}. Raises StorageError."""
    stations = deployed(survey.media)
    named = named_taxa(survey.observations, reviews)
    sections = [
        _headline(survey, stations, named),
        _taxa(named, stations, bool(survey.detector)),
        _activity(survey.observations),
        _map(survey.observations, stations),
        _accumulation(survey.observations, stations, reviews),
        _deployments(survey.observations, stations),
        _worth_a_look(survey, reviews),
        _left_out(survey),
        _made(survey),
    ]
    write_text(path, compose(f"Survey of {survey.card.resolve().name or 'a card'}", filter(None, sections)))


def named_taxa(observations: Sequence[Observation], reviews: Mapping[str, str]) -> list[Named]:
    """The taxa of animals that were named, by a person or by the machine, the most frequent first."""
    found: dict[Taxon, list[Observation]] = collections.defaultdict(list)
    for one, taxon in _named(observations, reviews):
        found[taxon].append(one)
    return sorted((Named(taxon.name, taxon.rank, events) for taxon, events in found.items()), key=lambda one: (-len(one.events), one.name))


def _named(observations: Sequence[Observation], reviews: Mapping[str, str]) -> list[tuple[Observation, Taxon]]:
    """Events in which an animal is named, with its taxon; what a person names is that of the machine's answers where it is one of them."""
    known = {plain_taxon(taxon.name): taxon for one in observations if one.answer is not None for taxon in one.answer.lineage}
    found = []
    for one in observations:
        if review := reviews.get(one.event):
            if kind_of(Answer.named(review)) == ANIMAL:
                found.append((one, known.get(plain_taxon(review), Taxon(_BY_A_PERSON, review))))
        elif one.answer is not None and one.kind == ANIMAL:
            found.append((one, Taxon(one.answer.rank, one.answer.taxon)))
    return found


def worth_a_look(observations: Sequence[Observation], reviews: Mapping[str, str], most: int = _LOOKED_AT) -> list[tuple[Observation, str]]:
    """Events that a person should look at first, with the reason: photos that disagree, what was seen seldom, what could not be named."""
    seldom = {(one.name, one.rank) for one in named_taxa(observations, {}) if len(one.events) <= _RARE}
    found = []
    for one in observations:
        if reviews.get(one.event) or one.answer is None or one.kind == BLANK:
            continue
        reason, urgency = _urgency(one, seldom)
        if reason:
            found.append((urgency, one, reason))
    found.sort(key=lambda item: (-item[0], item[1].event))
    return [(one, reason) for _, one, reason in found[:most]]


def _urgency(one, seldom):
    """(reason, how urgent it is) of an event; "" where a look is not worth while."""
    doubt = 1 - one.answer.probability
    if one.agreement < 1:
        return f"{1 - one.agreement:.0%} of its {'photos' if one.count(ANIMAL) is None else 'animals'} say otherwise", 3 + (1 - one.agreement)
    if one.answer.is_unknown:
        return f"perhaps of no species of the model ({one.answer.unknown:.0%})", 2 + one.answer.unknown
    if one.kind == UNKNOWN:
        return "nothing could be named", 1 + min(1.0, len(one.media) / 10)
    if (one.answer.taxon, one.answer.rank) in seldom:
        return "seen seldom", 2 + doubt
    return ("hardly sure", doubt) if doubt > 0.2 else ("", 0.0)


def _headline(survey, stations, named):
    counts, days = survey.counts, sum(one.camera_days for one in stations)
    told = f"{_count(len(named), 'taxon', 'taxa')} in {_count(counts['events'], 'event')} of {_count(counts['photos'], 'photo')}, "
    told += f"at {_count(len(stations), 'deployment')} in {_count(days, 'camera day')}."
    tiles = [
        ("photos answered", counts["answered"], "with a taxon, or as too unsure for one"),
        ("blank or unusable", counts["blank"], "nothing there, too dark, whited out or blurred"),
        ("broken", counts["broken"], "photos that could not be read"),
        ("skipped", counts["skipped"], "other files, each with its reason in media.csv"),
    ]
    for kind, name in ((HUMAN, "people"), (VEHICLE, "vehicles")):
        if events := sum(one.kind == kind for one in survey.observations):
            tiles.append((name, events, "events in which nothing else was found"))
    boxes = "".join(f'<div class="tile"><span>{name}</span><strong>{count:,}</strong><small>{note}</small></div>' for name, count, note in tiles)
    return f'<p class="headline">{escape(told)}</p>\n<div class="tiles">{boxes}</div>'


def _taxa(named, stations, has_counts):
    days = sum(one.camera_days for one in stations)
    rows = []
    for one in named[:_LISTED]:
        times = [event.start for event in one.events if event.start]
        places = len({event.first.deployment for event in one.events})
        dates = _days(min(times, default=None), max(times, default=None))
        rate = f"{100 * len(one.events) / days:.1f}" if days else ""
        photos = sum(len(event.counted) for event in one.events)
        rows.append([f"<em>{escape(one.name)}</em>", _unbroken(one.rank), dates, f"{len(one.events):,}", f"{photos:,}", rate, f"{places:,}"])
        if has_counts:
            rows[-1].append(f"{sum(event.count(ANIMAL) or 0 for event in one.events):,}")
    header = ("taxon", "rank", "seen", "events", "photos", "events in 100 camera days", "deployments", *(["animals"] if has_counts else []))
    note = "An event is named only as deep as the model is sure: a genus here may be one of the species that stand beside it."
    note += " Animals are the most that were found in one photo of each event." if has_counts else ""
    return section("What was seen", table(header, rows, numbers=range(3, len(header))) + paragraph(note, "note")) if rows else ""


def _activity(observations):
    times = [one.start for one in observations if one.start is not None and not one.first.clock and one.kind == ANIMAL]
    if not times:
        return ""
    hours, months = collections.Counter(time.hour for time in times), collections.Counter(time.month for time in times)
    drawn = draw_activity([hours[hour] for hour in range(24)], [months[month] for month in range(1, 13)])
    caption = "Events in which an animal was named, by the cameras' clocks as they were put right."
    return section("When", figure(drawn, caption, "Two bar charts: events by hour and by month"))


def _map(observations, stations):
    placed = {one.deployment.name: (one.latitude, one.longitude) for one in stations if one.latitude is not None}
    if not placed:
        return section("Where", paragraph("No deployment has a place: give latitude and longitude with --deployments."))
    events = collections.Counter(one.first.deployment.name for one in observations if one.kind == ANIMAL)
    lacking = len(stations) - len(placed)
    caption = "Deployments at their places; the larger, the more events in which an animal was named."
    caption += f" {_count(lacking, 'deployment')} without a place." if lacking else ""
    return section("Where", figure(draw_map(placed, events), caption, "A map of deployments"))


def accumulation(observations: Sequence[Observation], stations: Sequence[Deployed], reviews: Mapping[str, str]) -> tuple[list[int], list[int]]:
    """(camera days until each event that adds a taxon, taxa until then), and the last day."""
    timed = [(one, taxon) for one, taxon in _named(observations, reviews) if one.start is not None and not one.first.clock]
    days, taxa, found = [], [], set()
    for one, taxon in sorted(timed, key=lambda item: item[0].start):
        if taxon not in found:
            found.add(taxon)
            days.append(_days_until(typing.cast(datetime.datetime, one.start), stations))
            taxa.append(len(found))
    if days:
        days.append(max(days[-1], sum(one.camera_days for one in stations)))
        taxa.append(len(found))
    return days, taxa


def _days_until(time, stations):
    """Camera days up to a time, over all deployments."""
    spans = [(one.start.date(), min(one.end.date(), time.date())) for one in stations if one.start is not None and one.start.date() <= time.date()]
    return sum((end - start).days + 1 for start, end in spans)


def _accumulation(observations, stations, reviews):
    days, taxa = accumulation(observations, stations, reviews)
    if len(taxa) < 3:
        return ""
    caption = "Taxa found after so many camera days. Where the line still rises, more are there to be found."
    return section("How complete", figure(draw_accumulation(days, taxa), caption, "A rising line of taxa over camera days"))


def _deployments(observations, stations):
    events = collections.Counter(one.first.deployment for one in observations)
    rows = []
    for one in stations:
        place = _unbroken(f"{one.latitude:.5f}, {one.longitude:.5f}") if one.latitude is not None else ""
        dates = _days(one.start, one.end)
        cameras = ", ".join(map(_unbroken, sorted({row.photo.camera for row in one.media if row.photo.camera})))
        rows.append([escape(one.deployment.name), cameras, dates, place, f"{one.camera_days:,}", f"{len(one.media):,}", f"{events[one.deployment]:,}"])
    return (
        section("Deployments", table(("deployment", "camera", "from, to", "place", "camera days", "photos", "events"), rows, numbers=(4, 5, 6))) if rows else ""
    )


def _worth_a_look(survey, reviews):
    found = worth_a_look(survey.observations, reviews)
    if not found:
        return ""
    told = "Write what you see into the column `review` of observations.csv; nothing will overwrite it, and "
    told += "tfvision survey --review observations.csv says how often the machine was right."
    return section("Worth a look", paragraph(told) + "".join(_event(survey, one, reason) for one, reason in found))


def _event(survey, one, reason):
    answer = one.answer
    name = "not sure enough to name anything" if one.kind == UNKNOWN else f"{answer.rank} {answer.taxon}, {answer.probability:.0%}"
    likeliest = ", ".join(f"{name} {share:.0%}" for name, share in answer.likeliest[:3])
    when = one.first.instant.replace("T", " ")
    photos = "".join(_photo(survey.card, row) for row in _spread(one.counted or one.media, _PHOTOS_SHOWN))
    told = "; ".join([reason, f"{one.event}, {when}", *([f"likeliest: {likeliest}"] if likeliest else [])])
    head = f"<h3><em>{escape(name)}</em><small>{escape(told)}</small></h3>"
    return f'<div class="pair" style="margin-bottom: 14px">{head}<div class="photos" style="{_GRID}">{photos}</div></div>'


def _photo(card, row):
    """A photo, with frames around what a detector found in it."""
    name, path = row.photo.name, card / row.photo.name
    told = [escape(name.rsplit("/", 1)[-1])]
    if not row.sightings:
        return captioned_photo(thumbnail_jpeg(path, _THUMBNAIL_PX), told[0], description=name)
    numbers = [str(number) for number in range(1, len(row.sightings) + 1)] if len(row.sightings) > 1 else [""]
    told += [f"{number} {escape(_short(one))}".strip() for number, one in zip(numbers, row.sightings, strict=True)]
    jpeg = None
    with contextlib.suppress(DataError):
        jpeg = boxed_photo(path, [one.box for one in row.sightings], numbers, _BOXED_PX)
    return captioned_photo(jpeg, "<br>".join(told[: _NAMES_SHOWN + 1]), description=name, is_whole=True)


def _short(sighting):
    answer = sighting.answer
    return "not sure" if answer.rank == "root" else f"{answer.taxon} {answer.probability:.0%}"


def _spread(media: Sequence[typing.Any], most: int) -> Iterator[typing.Any]:
    """At most so many photos of an event, from its whole length."""
    count = min(len(media), most)
    return (media[number * len(media) // count] for number in range(count))


def _left_out(survey):
    reasons = collections.Counter(file.skipped for file in survey.files if file.skipped)
    reasons.update(f"photo: {row.reason}" for row in survey.media if row.status == BLANK)
    reasons.update("photo of which the detector's file tells nothing" for row in survey.media if row.status == SKIPPED)
    reasons.update("photo that cannot be read" for row in survey.media if row.status == UNREADABLE)
    rows = [[escape(reason), f"{count:,}"] for reason, count in reasons.most_common()]
    return section("Not answered", table(("why", "files"), rows, numbers=(1,))) if rows else ""


def _made(survey):
    facts = {"card": str(survey.card), "model": survey.model, "gap of events": f"{survey.gap_seconds:g} s"}
    facts |= {"detector": survey.detector} if survey.detector else {}
    facts["tfvision"] = __version__
    return section("How this was made", table((), [[escape(name), escape(value)] for name, value in facts.items()], kind="facts"))


def _days(first, last):
    """From when to when, as HTML."""
    if first is None or last is None:
        return ""
    return _unbroken(f"{first:%Y-%m-%d}") + (f" to {_unbroken(f'{last:%Y-%m-%d}')}" if last.date() > first.date() else "")


def _unbroken(text):
    return f'<span style="white-space: nowrap">{escape(text)}</span>'


def _count(number, one, several=""):
    return f"{number:,} {one if number == 1 else several or one + 's'}"
