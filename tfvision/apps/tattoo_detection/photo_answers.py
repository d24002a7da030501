"""What a detector says of the photos that it was made of, for people who look at them: as it told them untrained, and as it tells them now."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tfvision.apps.tattoo_detection.detection import TattooDetector, judgement
from tfvision.apps.tattoo_detection.source import OTHER, TATTOO
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
    scores_of_wrong = _wrong(detector.run)
    for rows, scores in detector.score(photos, broken):
        for row, score in zip(rows, scores, strict=True):
            yield names[row], _answer(detector.run, photos.records[row].lineage[-1], float(score), scores_of_wrong.get(names[row]))


def _answer(run: DetectorRun, label: str, score: float, tested: float | None) -> Answer:
    told = judgement(score, run.calibration)
    named = TATTOO if told["is_tattoo"] else OTHER
    sure = 0.0 if tested is None else judgement(tested, run.calibration)["probability"]
    return {
        "answer": named,
        "probability": f"{told['probability']:.4f}",
        "score": f"{score:.4f}",
        OUTCOME: outcome(named == label),
        "outcome when tested": outcome(tested is None),
        "score when tested": "" if tested is None else f"{tested:.4f}",
        SURE_AND_WRONG: "" if tested is None else f"{1 - sure if label == TATTOO else sure:.4f}",
    }


def _wrong(run: DetectorRun) -> dict[str, float]:
    """{name: score} of the photos that were told wrong while they were in the test list."""
    try:
        return {one["image"]: float(one["score"]) for one in run.metrics["wrong"]}
    except (UserError, KeyError, TypeError, ValueError):  # of another version
        return {}
