"""A survey: looks at each photo of a card once, and writes what was seen, event by event.

Killed at any moment, the same call goes on; with more photos on the card it looks at these alone.
"""

import concurrent.futures
import dataclasses
import datetime
import os
import time
import typing
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from tfvision.apps.survey import camtrap_dp, darwin_core, mega_detector, report
from tfvision.apps.survey.camtrap_dp import write_camtrap_dp
from tfvision.apps.survey.darwin_core import write_darwin_core
from tfvision.apps.survey.detected import Detected, batches, box_of, detect, open_finder, text_of
from tfvision.apps.survey.mega_detector import write_mega_detector
from tfvision.apps.survey.observations import ANSWERED, SKIPPED, UNREADABLE, MediaRow, Observation, counts, media_of, observe
from tfvision.apps.survey.placed_photos import PlacedPhoto, place_photos
from tfvision.apps.survey.report import worth_a_look, write_report
from tfvision.apps.survey.review import NOTHING_NAMED, judge, keep_written, written_of
from tfvision.apps.survey.state import FOLDER, FileState, SurveyState
from tfvision.apps.survey.tables import ANIMALS, COUNTED, MEDIA, OBSERVATIONS, REVIEW, write_animals, write_media, write_observations
from tfvision.apps.survey.witness import Witness, open_witness
from tfvision.data.boxes import NO_BOX, Box, box_in_photo
from tfvision.data.cards.capture import Capture, read_capture
from tfvision.data.cards.card_files import CardFile, files_of_card
from tfvision.data.cards.clocks import Shift
from tfvision.data.cards.deployments import read_deployments
from tfvision.data.cards.usability import why_unusable
from tfvision.data.detections import DETECTION_CONFIDENCE
from tfvision.data.no_taxa import BLANK
from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import DataError, DataWarning
from tfvision.evaluation.specificity import clopper_pearson
from tfvision.files import sole_process, write_json
from tfvision.progress import progress_bar

_HEADERS_AT_ONCE = 256
GAP_SECONDS = 60.0
TAXONOMY = "taxonomy.json"  # beside the notes, so that answers are judged without the model
EXPLORED = "explored.json"  # beside the notes: where the photos are and which events to look at first, for `tfvision explore`


@dataclasses.dataclass(frozen=True)
class SurveySettings:
    """What a survey is told besides card and model; all may be changed without looking at a photo again, but at animals that a detector found newly.

    Attributes:
      gap_seconds: between two photos of an event, at most.
      shifts: of cameras' clocks.
      deployments: a CSV that says more of deployments than folders do.
      zone: of the clocks, where photos do not say theirs.
      has_file_times: whether a photo without a time gets that of its file.
      target_accuracy: share of answers to be right; None = the model's own.
      within: taxa that are known to hold every answer.
      unknown_share: of photos of species that the model was not trained on; None = the model's own.
      detections: MegaDetector's JSON of the card: one answer an animal.
      detector: one that is run first, in its place.
      detection_confidence: least confidence of the detector.
    """

    gap_seconds: float = GAP_SECONDS
    shifts: tuple[Shift, ...] = ()
    deployments: str | Path | None = None
    zone: str | None = None
    has_file_times: bool = False
    target_accuracy: float | None = None
    within: tuple[str, ...] = ()
    unknown_share: float | None = None
    detections: str | Path | None = None
    detector: str | Path | None = None
    detection_confidence: float = DETECTION_CONFIDENCE


@dataclasses.dataclass(frozen=True)
class Survey:
    """What a survey found.

    Attributes:
      card, out: folders.
      model: its name.
      files: of the card, each once.
      media: what became of each photo, in the order of the files.
      observations: events.
      gap_seconds: between two photos of an event, at most.
      ranks: of the model's taxonomy, coarsest first.
      detector: the name of what found the animals; "" where each photo is one answer.
      model_path: where the model is.
    """

    card: Path
    out: Path
    model: str
    files: tuple[CardFile, ...]
    media: tuple[MediaRow, ...]
    observations: tuple[Observation, ...]
    gap_seconds: float
    ranks: tuple[str, ...]
    detector: str = ""
    model_path: Path | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Of files: photos, which are answered, blank or broken, and what was skipped; events; and by a detector the most in one photo of each, summed."""
        of = counts(self.media)
        told = {"photos": len(self.media) - of[SKIPPED], "events": len(self.observations), "answered": of[ANSWERED], "blank": of[BLANK]}
        found = {name: sum(one.count(kind) or 0 for one in self.observations) for name, kind in COUNTED.items()} if self.detector else {}
        return {**told, "skipped": of[SKIPPED] + sum(bool(file.skipped) for file in self.files), "broken": of[UNREADABLE], **found}


def survey_card(card: str | Path, model: str | Path, out: str | Path, settings: SurveySettings | None = None) -> dict[str, int | float]:
    """Surveys a card and writes OUT/media.csv, OUT/observations.csv and all that is made of them.

    Args:
      card: a camera's card, or a year of folders.
      model: a run or an export of species.
      out: a folder of results.

    Returns:
      {"photos", "events", "answered", "blank", "skipped", "broken", "seconds"}; by a detector also "animals", "people" and "vehicles".

    Raises:
      DataError: no card, an empty one, deployments or shifts that fit nothing, or OUT is of another model.
      RunError: no model.
      StorageError: OUT cannot be written.
    """
    started, settings, out = time.monotonic(), settings or SurveySettings(), Path(out)
    files = files_of_card(card, out)
    listed = read_deployments(settings.deployments) if settings.deployments else []
    finder = open_finder(settings.detections, settings.detector, settings.detection_confidence)
    witness = open_witness(model)
    witness.check(settings.within, settings.target_accuracy, settings.unknown_share)
    with sole_process(out), SurveyState(out, witness.identity, lambda: witness.width) as state:
        keep_written(out, out / OBSERVATIONS)
        witness.taxonomy.save(out / FOLDER / TAXONOMY)
        names = [file.name for file in files if not file.skipped]
        states = {name: _state_of(os.path.join(card, name)) for name in names}
        captures = _read_captures(card, states, state)
        changed = {name: datetime.datetime.fromtimestamp(one.modified / 1e9) for name, one in states.items()} if settings.has_file_times else None
        photos = place_photos(captures, Path(card).resolve().name or "card", listed, settings.shifts, settings.zone, changed)
        detected = detect(finder, card, states, state, settings.detection_confidence) if finder is not None and states else None
        if detected is not None and not witness.sees_boxes:
            warnings.warn(f"{model} has one view, the whole photo: all animals of a photo get the same answer", DataWarning, stacklevel=2)
        broken, skipped = _look(card, _boxes(photos, detected), states, state, witness), detected.unnamed if detected else {}
        broken.update({name: one.problem for name, one in detected.found.items() if one.problem} if detected else {})

        def ask(evidence: Iterable[np.ndarray]) -> Iterator[dict]:
            return witness.answers(evidence, settings.within, settings.target_accuracy, settings.unknown_share)

        observations = observe(photos, {**broken, **skipped}, state, ask, settings.gap_seconds, detected)
        media = media_of(photos, broken, observations, skipped)
        told = settings.gap_seconds, witness.taxonomy.ranks, detected.detector if detected else "", Path(model)
        survey = Survey(Path(card), out, witness.name, tuple(files), tuple(media), tuple(observations), *told)
        write_survey(survey)
    return {**survey.counts, "seconds": round(time.monotonic() - started, 1)}


def write_survey(survey: Survey) -> None:
    """Writes all that is made of a survey; what persons wrote into its observations stays. Raises DataError, StorageError."""
    written = written_of(survey.observations, keep_written(survey.out, survey.out / OBSERVATIONS))
    reviews = {event: texts[REVIEW] for event, texts in written.items() if REVIEW in texts}
    write_media(survey.out / MEDIA, survey.media, survey.files)
    write_observations(survey.out / OBSERVATIONS, survey.observations, written)
    if survey.detector:
        write_animals(survey.out / ANIMALS, survey.media)
    else:
        (survey.out / ANIMALS).unlink(missing_ok=True)  # of a call with a detector
    write_camtrap_dp(survey, survey.out / camtrap_dp.FOLDER, reviews)
    write_darwin_core(survey, survey.out / darwin_core.FOLDER, reviews)
    write_mega_detector(survey, survey.out / mega_detector.NAME)
    write_report(survey, survey.out / report.NAME, reviews)
    first = [{"event": one.event, "why": why} for one, why in worth_a_look(survey.observations, reviews)]
    model = survey.model_path and os.path.abspath(survey.model_path)
    write_json(survey.out / FOLDER / EXPLORED, {"card": os.path.abspath(survey.card), "model": model, "look_first": first})


def review_survey(observations: str | Path, out: str | Path | None = None) -> dict[str, typing.Any]:
    """How often the machine was right where a person answered, by depth; the answers are kept with the survey.

    Args:
      observations: a table of observations whose column `review` a person filled.
      out: the folder of the survey; None = that of the table.

    Returns:
      {"reviewed", "right", "share", "interval", "by_depth": [Judged as dicts]}.

    Raises:
      DataError, StorageError: as `judge`.
    """
    folder = Path(observations).parent if out is None else Path(out)
    path = folder / FOLDER / TAXONOMY
    rows = judge(observations, folder, Taxonomy.load(path) if path.is_file() else None)
    named = [row for row in rows if row.rank != NOTHING_NAMED]
    right, reviewed = sum(row.right for row in named), sum(row.reviewed - row.too_deep - row.open for row in named)
    total = {"reviewed": sum(row.reviewed for row in rows), "right": right, "share": right / reviewed if reviewed else None}
    return {**total, "interval": clopper_pearson(right, reviewed) if reviewed else None, "by_depth": [row._asdict() for row in rows]}


def _state_of(path):
    try:
        found = os.stat(path)
        return FileState(found.st_size, found.st_mtime_ns)
    except OSError:  # which the photo's reading will tell
        return FileState(0, 0)


def _read_captures(card: str | Path, states: Mapping[str, FileState], state: SurveyState) -> dict[str, Capture]:
    """{name: what its header says} of all photos, in their order; only of new and changed ones headers are read."""
    todo = [name for name, own in states.items() if state.captures.get(name, (None,))[0] != own]
    with progress_bar("reading headers", len(states), len(states) - len(todo)) as bar, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        for names in batches(todo, _HEADERS_AT_ONCE):
            found = list(threads.map(lambda name: (name, states[name], read_capture(os.path.join(card, name))), names))
            state.note_captures(found)
            bar.advance(len(found))
    return {name: state.captures[name][1] for name in states}


def _boxes(photos: Sequence[PlacedPhoto], detected: Detected | None) -> list[tuple[PlacedPhoto, str]]:
    """What is to be looked at: each photo, or each animal that was found in one."""
    if detected is None:
        return [(photo, "") for photo in photos]
    return [(photo, text_of(one.box)) for photo in photos if photo.name in detected.found for one in detected.found[photo.name].animals]


def _look(card: str | Path, wanted: Sequence[tuple[PlacedPhoto, str]], states: Mapping[str, FileState], state: SurveyState, witness: Witness) -> dict[str, str]:
    """Looks at all photos, or animals in them, that are new or changed; returns {name: why it cannot be read} of the photos that cannot."""
    todo = [(photo, box) for photo, box in wanted if not state.knows(photo.name, states[photo.name], box)]
    paths = [os.path.join(card, photo.name) for photo, _ in todo]
    with progress_bar("looking at photos", len(wanted), len(wanted) - len(todo)) as bar, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        boxes = list(threads.map(_in_pixels, [box for _, box in todo], paths))
        for seen in witness.see(paths, boxes) if todo else ():
            found = []
            for number, view in zip(seen.numbers, seen.views, strict=True):
                photo, box = todo[number]
                unusable = "" if box else why_unusable(view, _is_enlarged(photo.capture, witness.view_size))
                found.append((photo.name, states[photo.name], box, unusable))
            names = {number: todo[number][0].name for number in seen.broken}
            reasons = {name: seen.broken[number].replace(paths[number], name) for number, name in names.items()}
            state.note_looks(found, seen.evidence, {name: (states[name], why) for name, why in reasons.items()})
            bar.advance(len(seen.numbers) + len(seen.broken))
    return {photo.name: state.broken[photo.name][1] for photo, _ in wanted if photo.name in state.broken}


def _in_pixels(box: str, path: str) -> Box:
    """Where an animal is in its photo; where that is no pixel, or the photo cannot be read, it is all of it."""
    try:
        return box_in_photo(box_of(box), path) if box else NO_BOX
    except DataError:
        return NO_BOX


def _is_enlarged(capture, view_size):
    return 0 < min(capture.width, capture.height) < view_size
