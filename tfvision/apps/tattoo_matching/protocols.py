"""The use cases of Tatt-C as protocols: who asks, what is searched, and what should be found.

    identification   photos of the same tattoo, taken at another time: mates have the probe's subject
    roi              a probe is a cut-out (its box); the gallery is seen whole
    mixed-media      a probe is a drawing, a print, ...: of another medium than the gallery
    similarity       mates look like the probe, on other subjects: they have its group, or are listed by Tatt-C
    detection        tattoo or not: of the detector, by `tfvision train tattoo-detector` and `tfvision detect`

Where the source names no roles, every photo asks for the others of its subject and is taken out of its own ranking.
"""

import collections
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tfvision.apps.tattoo_matching.source import GALLERY, PROBE, MatchingPhotos
from tfvision.data.boxes import NO_BOX, Box
from tfvision.data.manifest import Manifest, Record
from tfvision.errors import DataError
from tfvision.evaluation.retrieval import Question

PROTOCOLS = ("identification", "roi", "mixed-media", "similarity")
GALLERIES = ("whole", "folds")
PHOTO_MEDIA = ("photo", "tattoo", "")  # what a gallery consists of where media are named and roles are not


@dataclasses.dataclass(frozen=True)
class MatchingTrial:
    """What a protocol asks of photos.

    Attributes:
      protocol: of PROTOCOLS.
      gallery, probes: Manifest; one object where every photo asks all others.
      questions: of evaluation.retrieval.Question, rows of the two; nothing is relevant to a probe without a mate.
      subjects: of each probe.
      probe_folds: int [probes].
      gallery_folds: int [gallery]; -1 = of every fold.
      galleries: "whole", or "folds": a probe is searched for in its fold's part of the gallery.
    """

    protocol: str
    gallery: Manifest
    probes: Manifest
    questions: tuple[Question, ...]
    subjects: tuple[str, ...]
    probe_folds: np.ndarray
    gallery_folds: np.ndarray
    galleries: str

    @property
    def asking(self) -> list[Record]:
        """The photo of each question."""
        return [self.probes.records[question.query] for question in self.questions]

    def searches(self) -> Iterator[tuple[int, list[Question], np.ndarray | None]]:
        """Yields (fold, questions, rows of the gallery that are searched, None = all); the questions point into these rows."""
        fold_of = np.array([self.probe_folds[question.query] for question in self.questions], int)
        for fold in np.unique(fold_of).tolist():
            asked = [self.questions[number] for number in np.flatnonzero(fold_of == fold)]
            if self.galleries == "whole":
                yield fold, asked, None
                continue
            rows = np.flatnonzero((self.gallery_folds == fold) | (self.gallery_folds < 0))
            yield fold, [_within(question, rows) for question in asked], rows

    def without(self, lost_probes: np.ndarray, lost_gallery: np.ndarray) -> "MatchingTrial":
        """Without some photos (bool): these neither ask nor are found."""
        lost = np.flatnonzero(lost_gallery)
        kept = (question for question in self.questions if not lost_probes[question.query])
        if not len(lost):
            return dataclasses.replace(self, questions=tuple(kept))
        return dataclasses.replace(self, questions=tuple(dataclasses.replace(q, ignored=np.union1d(q.ignored, lost)) for q in kept))


def make_trial(photos: MatchingPhotos, protocol: str, galleries: str | None = None, folds: int = 5, seed: int = 0) -> MatchingTrial:
    """The MatchingTrial of a protocol.

    Args:
      protocol: of PROTOCOLS.
      galleries: of GALLERIES; None = "folds" where the source names folds (Tatt-C), else "whole".
      folds: how many, by subject, where the source names none: the figures are given for each as well.
      seed: of the folds.

    Raises:
      DataError: no probe, no gallery, no mate, or what the protocol needs is not told.
    """
    if protocol == "detection":
        raise DataError("--protocol detection is of the detector: `tfvision train tattoo-detector SOURCE` reports its five-fold table")
    if protocol not in PROTOCOLS:
        raise DataError(f"--protocol must be one of {', '.join(PROTOCOLS)}, got {protocol!r}")
    galleries = galleries or ("folds" if photos.given_folds else "whole")
    if galleries not in GALLERIES:
        raise DataError(f"--galleries must be one of {', '.join(GALLERIES)}, got {galleries!r}")
    is_probe, is_gallery = _parts(photos, protocol)
    probe_rows, gallery_rows = np.flatnonzero(is_probe), np.flatnonzero(is_gallery)
    is_same = not photos.has_roles and protocol in ("identification", "similarity")
    gallery = _manifest(photos, gallery_rows, _gallery_box if protocol == "roi" else None)
    probes = gallery if is_same else _manifest(photos, probe_rows, _probe_box if protocol == "roi" else None)
    questions = _questions(photos, protocol, probe_rows, gallery_rows)
    if not any(len(np.setdiff1d(question.relevant, question.ignored)) for question in questions):
        raise DataError(f"--protocol {protocol}: no probe has a mate in the gallery, so nothing could be found: {_advice(photos, protocol)}")
    fold = _folds(photos, folds, seed, galleries)
    subjects = tuple(photos.subjects[row] for row in probe_rows)
    return MatchingTrial(protocol, gallery, probes, questions, subjects, fold[probe_rows], fold[gallery_rows], galleries)


def _parts(photos: MatchingPhotos, protocol: str) -> tuple[np.ndarray, np.ndarray]:
    """bool [photos] twice: who asks, and what is searched."""
    is_probe, is_gallery = photos.is_role(PROBE), photos.is_role(GALLERY)
    if protocol == "roi":
        has_box = np.array([_region(photos, row) != NO_BOX for row in range(len(photos))])
        if not (is_probe & has_box).any():
            raise DataError("--protocol roi: no probe has a region of interest: name it in a column `box`, left,top,width,height in pixels")
        is_probe = is_probe & has_box
    if protocol == "mixed-media" and photos.media:
        is_photo = np.array([medium in PHOTO_MEDIA for medium in photos.media])
        if not photos.has_roles:
            is_probe, is_gallery = ~is_photo, is_photo
        else:
            searched = {photos.media[row] for row in np.flatnonzero(is_gallery)}
            is_probe = is_probe & np.array([medium not in searched for medium in photos.media])
    elif protocol == "mixed-media" and not photos.has_roles:
        raise DataError(
            "--protocol mixed-media: the source tells neither media nor roles: name them in a column `medium` (photo, drawing, ...) or `role` (gallery, probe)"
        )
    if not is_probe.any() or not is_gallery.any():
        raise DataError(
            f"--protocol {protocol}: the source has {np.count_nonzero(is_probe)} probes and {np.count_nonzero(is_gallery)} gallery photos: "
            "both are needed (columns `role`, `medium`)"
        )
    return is_probe, is_gallery


def _questions(photos: MatchingPhotos, protocol: str, probe_rows: np.ndarray, gallery_rows: np.ndarray) -> tuple[Question, ...]:
    number_of = {row: number for number, row in enumerate(gallery_rows.tolist())}
    if photos.mates:
        found = [np.array(sorted(number_of[mate] for mate in photos.mates[row] if mate in number_of), int) for row in probe_rows]
        return tuple(Question(number, rows) for number, rows in enumerate(found))
    by_group = protocol == "similarity" and bool(photos.groups)
    names = photos.groups if by_group else photos.subjects
    members, of_subject = _members(names, gallery_rows), _members(photos.subjects, gallery_rows) if by_group else {}
    nothing, questions = np.zeros(0, int), []
    for number, row in enumerate(probe_rows.tolist()):
        ignored = of_subject.get(photos.subjects[row], nothing)  # its own tattoo is no similar one
        if row in number_of and not by_group:
            ignored = np.array([number_of[row]])
        relevant = members.get(names[row], nothing) if names[row] else nothing
        questions.append(Question(number, relevant, ignored))
    return tuple(questions)


def _members(names: Sequence[str], rows: np.ndarray) -> dict[str, np.ndarray]:
    found = collections.defaultdict(list)
    for number, row in enumerate(rows.tolist()):
        found[names[row]].append(number)
    return {name: np.array(numbers) for name, numbers in found.items()}


def _folds(photos: MatchingPhotos, count: int, seed: int, galleries: str) -> np.ndarray:
    """int [photos]; where folds have no gallery of their own, there are no more of them than subjects."""
    if photos.given_folds:
        return np.array(photos.given_folds)
    return photos.folds(count if galleries == "folds" else min(count, len(set(photos.subjects))), seed)


def _within(question: Question, rows: np.ndarray) -> Question:
    """The question, pointing into some rows of the gallery."""
    keep = lambda wanted: np.searchsorted(rows, np.intersect1d(wanted, rows))
    return Question(question.query, keep(question.relevant), keep(question.ignored))


def _manifest(photos: MatchingPhotos, rows: np.ndarray, box: Callable[[MatchingPhotos, int], Box] | None = None) -> Manifest:
    rows = list(rows)
    taken = photos.manifest.take(rows)
    if box is None:
        return taken
    return dataclasses.replace(taken, records=tuple(dataclasses.replace(r, box=box(photos, row)) for r, row in zip(taken.records, rows, strict=True)))


def _region(photos: MatchingPhotos, row: int) -> Box:
    own = photos.manifest.records[row].box
    return own if own != NO_BOX or not photos.regions else photos.regions[row]


def _probe_box(photos: MatchingPhotos, row: int) -> Box:
    return _region(photos, row)


def _gallery_box(photos: MatchingPhotos, row: int) -> Box:
    return NO_BOX


def _advice(photos: MatchingPhotos, protocol: str) -> str:
    if photos.mates:
        return "check the names in ground_truth.txt and in the lists"
    if protocol == "similarity":
        return "tattoos that look alike share a `group`, and are of several subjects"
    return "give every subject a gallery photo and a probe" if photos.has_roles else "give at least one subject two photos"
