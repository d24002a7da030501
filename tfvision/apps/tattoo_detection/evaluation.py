"""The protocol `detection`: a detector's accuracy on any labelled photos."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfvision.apps.tattoo_detection.detection import TattooDetector
from tfvision.apps.tattoo_detection.report import headline, write_evaluation_report
from tfvision.apps.tattoo_detection.source import DetectionPhotos, read_detection_source
from tfvision.data.pipeline import BrokenPhotos
from tfvision.errors import DataError
from tfvision.evaluation.compared_runs import judged_on
from tfvision.evaluation.detection import judge_detection
from tfvision.files import write_json
from tfvision.progress import progress_bar
from tfvision.trained.detector_run import DetectorRun
from tfvision.training.trained_photos import trained_on_any


def evaluate_detector(
    run: Path | str, source: Path | str, others: Path | str | None = None, out: Path | str | None = None, beside: Sequence[Path | str] = ()
) -> dict[str, Any]:
    """Measures a detector run and writes report.html and report.json.

    Photos that the run was trained on are left out, and counted.

    Args:
      run: folder of a finished run.
      source, others: as `read_detection_source`.
      out: folder for the report; None = RUN/evaluation.
      beside: other runs, whose training photos are left out as well, so that all can be judged on the same.

    Returns:
      dict: "protocol", "images", "tattoo", "non_tattoo", "overall", each {"right", "photos", "accuracy", "interval"}, "wrong",
      "left_out", "judged_on" (the source and a digest of the photos), "broken", "headline", "report".

    Raises:
      DataError, RunError.
    """
    run = DetectorRun.open(run)
    photos = read_detection_source(source, others)
    is_new = ~trained_on_any([run.folder, *beside], photos.manifest.records, split=None)
    if not is_new.any():
        raise DataError(f"{run.folder} was trained on every photo of {source}: evaluate on others; how well it does on unseen lists stands in its report")
    photos = photos.select(is_new)
    scores, is_read, broken = _scores(TattooDetector.load(run.folder), photos)
    if not is_read.any():
        raise DataError(f"no photo of {source} could be read: {next(iter(broken.values()))}")
    judged = judge_detection(photos.is_tattoo[is_read], scores[is_read])
    result = {
        "protocol": "detection",
        "images": int(is_read.sum()),
        "tattoo": judged["positive"],
        "non_tattoo": judged["negative"],
        "overall": judged["overall"],
        "wrong": wrong_photos(photos, scores, is_read),
        "left_out": int((~is_new).sum()),
        "judged_on": judged_on(source, photos=photos.manifest.records),
        "broken": dict(broken),
    }
    folder = Path(out) if out else run.folder / "evaluation"
    result["headline"] = headline(result)
    write_json(folder / "report.json", result)
    result["report"] = str(write_evaluation_report(folder / "report.html", run, photos, result, source))
    return result


def wrong_photos(photos: DetectionPhotos, scores: np.ndarray, is_read: np.ndarray, folds: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """What was wrongly classified, the furthest from the boundary first: [{"image", "label", "score", "row", "fold"}]."""
    rows = np.flatnonzero(is_read & ((scores > 0) != photos.is_tattoo))
    records = photos.manifest.records
    return [
        {
            "image": records[row].name,
            "label": records[row].lineage[0],
            "score": round(float(scores[row]), 4),
            "row": int(row),
            **({"fold": folds[row]} if folds is not None else {}),
        }
        for row in rows[np.argsort(-np.abs(scores[rows]), kind="stable")]
    ]


def _scores(detector: TattooDetector, photos: DetectionPhotos) -> tuple[np.ndarray, np.ndarray, BrokenPhotos]:
    broken, scores = BrokenPhotos(), np.zeros(len(photos), np.float32)
    with progress_bar("detecting", len(photos)) as bar:
        for rows, found in detector.score(photos.manifest, broken):
            scores[rows] = found
            bar.advance(len(rows))
    return scores, np.array([record.path not in broken for record in photos.manifest.records]), broken
