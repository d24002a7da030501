"""A survey as a Darwin Core archive: an occurrence an event in which an animal is named, and its photos."""

import typing
from collections.abc import Mapping
from pathlib import Path

from tfvision import __version__
from tfvision.apps.survey.camtrap_dp import media_type
from tfvision.apps.survey.observations import ANIMAL, Answer, Observation, kind_of
from tfvision.apps.survey.tables import place_of
from tfvision.data.csv_table import csv_text
from tfvision.files import write_text

if typing.TYPE_CHECKING:
    from tfvision.apps.survey.job import Survey

FOLDER = "darwin-core"
_RANKS = ("kingdom", "phylum", "class", "order", "family", "genus")
_TERMS = "http://rs.tdwg.org/dwc/terms/"
_OCCURRENCE = (
    *("occurrenceID", "basisOfRecord", "occurrenceStatus", "eventID", "parentEventID", "eventDate", "samplingProtocol", "locality"),
    *("decimalLatitude", "decimalLongitude", "geodeticDatum", "habitat", "scientificName", "taxonRank", *_RANKS),
    "individualCount",
    *("identifiedBy", "identificationRemarks", "associatedMedia"),
)
_MEDIA_TERMS = {"occurrenceID": f"{_TERMS}occurrenceID", "type": "http://purl.org/dc/terms/type", "format": "http://purl.org/dc/terms/format"}
_MEDIA_TERMS |= {"identifier": "http://purl.org/dc/terms/identifier", "created": "http://purl.org/dc/terms/created"}


def write_darwin_core(survey: "Survey", folder: Path, reviews: Mapping[str, str]) -> None:
    """Writes occurrence.csv, multimedia.csv and meta.xml; reviews: {event: a person's answer}. Raises StorageError."""
    folder.mkdir(parents=True, exist_ok=True)
    seen = [(one, answer) for one in survey.observations if (answer := _answer(one, reviews)) is not None]
    occurrences = [_occurrence(one, answer, bool(reviews.get(one.event)), survey.model) for one, answer in seen]
    media = [(one.event, "StillImage", media_type(row.photo.name), row.photo.name, row.photo.instant) for one, _ in seen for row in one.media]
    write_text(folder / "occurrence.csv", csv_text([_OCCURRENCE, *([row.get(term, "") for term in _OCCURRENCE] for row in occurrences)]))
    write_text(folder / "multimedia.csv", csv_text([tuple(_MEDIA_TERMS), *media]))
    write_text(folder / "meta.xml", _meta())


def _answer(one: Observation, reviews: Mapping[str, str]) -> Answer | None:
    """A person's answer, else the machine's; None where it names no animal."""
    review = reviews.get(one.event)
    answer = Answer.named(review) if review else one.answer
    return answer if answer is not None and kind_of(answer) == ANIMAL else None


def _occurrence(one, answer, is_reviewed, model):
    deployment, (latitude, longitude) = one.first.deployment, place_of(one)
    dates = list(dict.fromkeys(photo.instant for photo in (one.first, one.last) if photo.instant))
    row = {
        "occurrenceID": one.event,
        "basisOfRecord": "MachineObservation",
        "occurrenceStatus": "present",
        "eventID": one.event,
        "parentEventID": deployment.name,
        "eventDate": "/".join(dates),
        "samplingProtocol": "camera trap",
        "locality": deployment.location or deployment.name,
        "habitat": deployment.habitat,
        "scientificName": answer.taxon,
        "taxonRank": answer.rank,
        "identifiedBy": "" if is_reviewed else f"tfvision {__version__}, {model}",
        "identificationRemarks": "by a person" if is_reviewed else f"by a machine, probability {answer.probability}",
        "individualCount": one.count(ANIMAL) or "",
        "associatedMedia": " | ".join(row.photo.name for row in one.media),
        **{taxon.rank: taxon.name for taxon in answer.lineage if taxon.rank in _RANKS},
    }
    if latitude is not None:
        row |= {"decimalLatitude": latitude, "decimalLongitude": longitude, "geodeticDatum": "EPSG:4326"}
    return row


def _meta():
    table = 'encoding="UTF-8" fieldsTerminatedBy="," linesTerminatedBy="\\n" fieldsEnclosedBy="&quot;" ignoreHeaderLines="1"'
    core = "\n".join(f'    <field index="{number}" term="{_TERMS}{term}"/>' for number, term in enumerate(_OCCURRENCE))
    media = "\n".join(f'    <field index="{number}" term="{term}"/>' for number, term in enumerate(_MEDIA_TERMS.values()) if number)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<archive xmlns="http://rs.tdwg.org/dwc/text/">
  <core {table} rowType="{_TERMS}Occurrence">
    <files><location>occurrence.csv</location></files>
    <id index="0"/>
{core}
  </core>
  <extension {table} rowType="http://rs.gbif.org/terms/1.0/Multimedia">
    <files><location>multimedia.csv</location></files>
    <coreid index="0"/>
{media}
  </extension>
</archive>
"""
