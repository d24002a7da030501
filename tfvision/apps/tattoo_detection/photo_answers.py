"""What a detector says of the photos that it was made of, for people who look at them: as it told them untrained, and as it tells them now."""

import collections
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tfvision.apps.tattoo_detection.detection import TattooDetector, judgement
from tfvision.apps.tattoo_detection.source import OTHER, TATTOO
from tfvision.data.csv_table import CsvTable
from tfvision.data.manifest import Manifest
from tfvision.data.pipeline import BrokenPhotos
from tfvision.errors import UserError
from tfvision.evaluation.photo_answers import OUTCOME, SURE_AND_WRONG, Answer, outcome
from tfvision.trained.detector_run import DetectorRun


def kept_answers(folder: Path) -> dict[str, Answer]:
    """None: a run tells of its wrong photos alone."""
    return {}


def answers(folder: Path, photos: Manifest, names: Sequence[str], broken: BrokenPhotos) -> Iterator[tuple[str, Answer]]:
    """Streams (name, Answer) of photos: in their probe list, by the detector that was not trained on it, and by the finished one, which was."""
    detector = TattooDetector.load(folder)
    tested = _answers_when_tested(detector.run)
    for rows, scores in detector.score(photos, broken):
        for row, score in zip(rows, scores, strict=True):
            told = judgement(score, detector.run.calibration)
            named = TATTOO if told["is_tattoo"] else OTHER
            answer = {"answer": named, "probability": f"{told['probability']:.4f}", "score": f"{score:.4f}"}
            yield names[row], answer | {OUTCOME: outcome(named == photos.records[row].lineage[-1])} | tested.get(names[row], {})


def _answers_when_tested(run: DetectorRun) -> dict[str, Answer]:
    """{name: what else is told} of the photos while they were in the test list; not of those with several boxes, whose names do not tell which is meant."""
    try:
        wrong = {one["image"]: judgement(float(one["score"]), run.calibration) for one in run.metrics["wrong"]}
        listed = collections.Counter(CsvTable.read(run.photos_path).texts("image"))
    except (UserError, KeyError, TypeError, ValueError):  # of another version
        return {}
    return {name: _when_tested(wrong.get(name)) for name, count in listed.items() if count == 1}


def _when_tested(wrong: dict[str, Any] | None) -> Answer:
    """Of a judgement that was wrong, or of None that was."""
    if wrong is None:
        return {"outcome when tested": outcome(True), "score when tested": "", SURE_AND_WRONG: ""}
    sure = wrong["probability"] if wrong["is_tattoo"] else 1 - wrong["probability"]
    return {"outcome when tested": outcome(False), "score when tested": f"{wrong['score']:.4f}", SURE_AND_WRONG: f"{sure:.4f}"}
