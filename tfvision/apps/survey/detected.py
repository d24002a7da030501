"""What a detector found in a card's photos: read from its file, or asked of it once for each photo."""

import collections
import itertools
import json
import os
import typing
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tfvision.apps.survey.state import FileState, SurveyState
from tfvision.data.boxes import FRACTION, Box, cut_box
from tfvision.data.detections import Detection, Detections, FoundInPhoto, check_confidence, find_animals
from tfvision.data.no_taxa import kind_of_word
from tfvision.errors import DataWarning
from tfvision.progress import progress_bar

if typing.TYPE_CHECKING:
    from tfvision.export.detector import Detector

_LEAST_KEPT = 0.05  # of the detector's confidence, so that a higher one may be asked for later
_PHOTOS_AT_ONCE = 32
_NAMED = 5

T = typing.TypeVar("T")


class Detected(typing.NamedTuple):
    """What is known of the photos of a card by a detector.

    Attributes:
      detector: its name.
      found: {name of a photo: what was found there}.
      unnamed: {name of a photo: why the detector's file tells nothing of it}.
    """

    detector: str
    found: dict[str, FoundInPhoto]
    unnamed: dict[str, str]


def open_finder(detections: str | Path | None, detector: str | Path | None, confidence: float) -> "Detections | Detector | None":
    """Opens the file of a detector's answers, or a detector; None without either. Raises DataError."""
    check_confidence(confidence)
    if detections is not None:
        return Detections.read(detections)
    if detector is None:
        return None
    from tfvision.export.detector import Detector

    return Detector(detector)


def detect(finder: "Detections | Detector", card: str | Path, states: Mapping[str, FileState], state: SurveyState, confidence: float) -> Detected:
    """What was found in each photo with enough confidence.

    Args:
      states: of each photo by its name; a detector looks at a photo once, as long as its file stays as it is.

    Raises:
      DataError: the file names none of the photos, or the detector fails.
      StorageError: what was found cannot be kept.
    """
    paths = {name: os.path.join(card, name) for name in states}
    unnamed: dict[str, str] = {}
    if isinstance(finder, Detections):
        finder.check(list(paths.values()))
        unnamed = {name: why for name, path in paths.items() if (why := finder.why_unnamed(path))}
        found = {name: find_animals(path, finder, confidence) for name, path in paths.items() if name not in unnamed}
        detector = finder.detector
    else:
        kept = _ask(finder, paths, states, state, confidence)
        found, detector = {name: find_animals(name, kept, confidence) for name in paths}, finder.name
    _tell(found, unnamed)
    return Detected(detector, found, unnamed)


def text_of(box: Box) -> str:
    """A box of fractions as it is noted: rounded as MegaDetector's are, so that the same box is the same text."""
    return ",".join(f"{value:.4f}" for value in box)


def box_of(text: str) -> Box:
    """The box of such a text, within its photo."""
    return cut_box([float(value) for value in text.split(",")], FRACTION)[0]


class _Kept:
    """What a detector found and the state knows; a data.detections.Finder by the photos' names."""

    def __init__(self, finder: "Detector", state: SurveyState) -> None:
        self.animals, self._state = finder.animals, state

    def of(self, photo: str) -> tuple[list[Detection], str]:
        told = json.loads(self._state.found[photo][2])
        return [Detection(category, confidence, *_cut(box)) for category, confidence, *box in told["found"]], told["problem"]


def _cut(box):
    fitted, problem = cut_box(box, FRACTION)
    return fitted, "", problem


def _ask(finder: "Detector", paths: Mapping[str, str], states: Mapping[str, FileState], state: SurveyState, confidence: float) -> _Kept:
    least = min(_LEAST_KEPT, confidence)
    identity = f"{finder.identity} {least:g}"
    todo = [name for name in paths if not _suffices(state.found.get(name), states[name], identity)]
    with progress_bar("finding animals", len(paths), len(paths) - len(todo)) as bar:
        for names in batches(todo, _PHOTOS_AT_ONCE):
            state.note_found(identity, [(name, states[name], _noted(*finder.of(paths[name]), least, paths[name], name)) for name in names])
            bar.advance(len(names))
    return _Kept(finder, state)


def _suffices(kept: tuple[FileState, str, str] | None, state: FileState, identity: str) -> bool:
    """Whether what is kept of a photo is of its file as it is, by this detector, and goes down to this confidence."""
    (detector, _, least), (by, _, kept_least) = identity.rpartition(" "), ("" if kept is None else kept[1]).rpartition(" ")
    return kept is not None and (kept[0], by) == (state, detector) and float(kept_least) <= float(least)


def _noted(detections: Sequence[Detection], problem: str, least: float, path: str, name: str) -> str:
    found = [(one.category, round(one.confidence, 4), *(round(value, 4) for value in one.box)) for one in detections if one.confidence >= least]
    return json.dumps({"found": found, "problem": problem.replace(path, name)})


def _tell(found: Mapping[str, FoundInPhoto], unnamed: Mapping[str, str]) -> None:
    outside = [name for name, one in found.items() if one.outside]
    if outside:
        boxes = sum(found[name].outside for name in outside)
        _warn(f"{boxes:,} of the detector's boxes {'are' if boxes > 1 else 'is'} no place in the photo, such as in {outside[0]}: passed over")
    others = collections.Counter(one.category for found_there in found.values() for one in found_there.others if not kind_of_word(one.category))
    if others:
        named = ", ".join(f"{count:,} x {category}" for category, count in others.most_common(_NAMED))
        _warn(f"what is no animal, person or vehicle is passed over: {named}{', ...' if len(others) > _NAMED else ''}")
    if unnamed:
        name = next(iter(unnamed))
        _warn(f"{len(unnamed):,} photo{'s are' if len(unnamed) > 1 else ' is'} skipped, of which the detector's file tells nothing; {name}: {unnamed[name]}")


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Items, so many at a time."""
    items = iter(items)
    while batch := list(itertools.islice(items, size)):
        yield batch


def _warn(text):
    warnings.warn(text, DataWarning, stacklevel=2)
