"""What a species run says of the photos that it was made of, for people who look at them: read where it was kept, else asked anew."""

import collections
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from tfvision.apps.species.unknown import open_unknown
from tfvision.data.csv_table import CsvTable
from tfvision.data.manifest import Manifest
from tfvision.data.pipeline import BrokenPhotos
from tfvision.evaluation.classification import Evaluation
from tfvision.evaluation.photo_answers import OUTCOME, SURE_AND_WRONG, Answer, outcome
from tfvision.evaluation.report import ANSWERS_FILE
from tfvision.trained.species_network import load_species_network, make_predictor, predict_with_features
from tfvision.trained.species_run import SpeciesRun

_AT_ONCE = 64  # photos that are told together
_COLUMNS = {"taxon": "answer", "rank": "answer rank", "probability": "probability", "depth": "depth"}
_LIKELIEST = {"likeliest": "likeliest", "likeliest_probability": "likeliest probability"}
_UNKNOWN = {"unknown": "novelty"}


def kept_answers(folder: Path) -> dict[str, Answer]:
    """{name: Answer} of the photos that the run was validated on, as its answers.csv has them, but for photos of several boxes; {} where it has none."""
    path = folder / ANSWERS_FILE
    if not path.is_file():
        return {}
    table = CsvTable.read(path)
    told = list(_told([table.header, *zip(*(table.columns[name] for name in table.header), strict=True)]))
    times = collections.Counter(name for name, _ in told)
    return {name: answer for name, answer in told if times[name] == 1}


def answers(folder: Path, photos: Manifest, names: Sequence[str], broken: BrokenPhotos) -> Iterator[tuple[str, Answer]]:
    """Streams (name, Answer) of labelled photos, at the run's own threshold; those that cannot be read are left out."""
    run = SpeciesRun.open(folder)
    unknown = open_unknown(run)
    predictor = make_predictor(load_species_network(run), run.recipe.is_mirrored_at_prediction, with_features=True)
    labels = photos.labels(run.taxonomy)
    calibration = run.calibration

    def evaluation() -> Evaluation:
        return Evaluation(run.taxonomy, calibration["class_sizes"], calibration["temperature"], unknown=unknown)

    asked, waiting = evaluation(), 0
    for rows, logits, features in predict_with_features(predictor, photos, run.recipe, len(run.taxonomy), broken):
        is_known = labels[rows] >= 0
        rows = rows[is_known]
        if len(rows):
            asked.update(logits[is_known], labels[rows], [names[row] for row in rows], np.zeros(len(rows), bool), features[is_known])
            waiting += len(rows)
        if waiting >= _AT_ONCE:
            yield from _told(asked.answers(calibration["threshold"]))
            asked, waiting = evaluation(), 0
    if waiting:
        yield from _told(asked.answers(calibration["threshold"]))


def _told(rows: Iterable[Sequence[object]]) -> Iterator[tuple[str, Answer]]:
    """Of a header and rows, as `Evaluation.answers` yields them."""
    rows = iter(rows)
    header = list(map(str, next(rows, ())))
    for cells in rows:
        row = dict(zip(header, map(str, cells), strict=True))
        is_right = row.get("is_right") == "1"
        answer = {title: row[name] for name, title in _COLUMNS.items() if name in row}
        answer |= {OUTCOME: outcome(is_right), SURE_AND_WRONG: "" if is_right else row.get("probability", "")}
        answer |= {title: row[name] for name, title in _LIKELIEST.items() if name in row}
        answer |= {"likeliest outcome": outcome(row.get("likeliest") == row.get("species"))}
        yield row["image"], answer | {title: row[name] for name, title in _UNKNOWN.items() if name in row}
