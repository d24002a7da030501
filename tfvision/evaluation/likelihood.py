"""What a score is worth as evidence: a monotone map from scores to likelihood ratios.

LR(s) = p(score s | same tattoo) / p(score s | different tattoos), fitted by isotonic regression (pool adjacent violators) on the
genuine and impostor scores of an evaluation, both sides weighing the same. It says how far a score should move an opinion,
not how probable a match is: that needs the odds before anybody looked, and of the best of many candidates those are low.

Pairs share photos, so a million pairs are not a million observations: on each side one more observation is assumed at the
wrong end that weighs as much as one probe does. No ratio exceeds what so many probes can show.

Source: Bruemmer and du Preez, "Application-independent evaluation of speaker detection" (2006), for Cllr; PAV as in their FoCal.
"""

import dataclasses
import os
import typing
from pathlib import Path
from typing import Any

import numpy as np

from tfvision.errors import DataError, RunError
from tfvision.evaluation.verification import BINS, Scores
from tfvision.files import checksum_of, read_json, write_json
from tfvision.kinds import tuples, wrong_part

FILE_NAME = "match_calibration.json"
KNOTS = 256
_LARGEST_LOG10 = 300  # of what a float can hold

Table = tuple[np.ndarray, np.ndarray]  # scores that occur, rising, and how often, as of `Scores.table`


@dataclasses.dataclass(frozen=True)
class MatchCalibration:
    """A map from scores to likelihood ratios.

    Attributes:
      scores, log10_ratios: its knots, both rising; between them straight lines, beyond them the last value.
      lowest, highest: between which scores were seen at all.
      genuine, impostor: pairs it was fitted on.
      probes: photos that asked.
      cllr: the cost of its ratios on probes that it was not fitted on (halves of the subjects): 0 = perfect, 1 = as good as saying nothing;
        None where there are too few.
      identity: of the Extractor whose scores these are.
      source, protocol: what it was fitted on.
    """

    scores: tuple[float, ...]
    log10_ratios: tuple[float, ...]
    lowest: float
    highest: float
    genuine: int
    impostor: int
    probes: int
    cllr: float | None
    identity: str = ""
    source: str = ""
    protocol: str = ""

    def log10_ratio(self, scores: float | np.ndarray) -> np.ndarray:
        """log10 of the likelihood ratio: float64, the shape of `scores`."""
        return np.interp(scores, self.scores, self.log10_ratios)

    def ratio(self, score: float) -> tuple[float, bool]:
        """(likelihood ratio, whether it is only a bound) of one score: rounded to two digits, since no more are known.

        It is a bound at both ends of the map, beyond which the data tell no more.
        """
        value = float(self.log10_ratio(score))
        return float(f"{10**value:.2g}"), value in (self.log10_ratios[0], self.log10_ratios[-1])

    def save(self, folder: Path) -> None:
        """Writes FILE_NAME, with a checksum of itself. Raises StorageError."""
        stored = dataclasses.asdict(self)
        write_json(folder / FILE_NAME, {**stored, "checksum": checksum_of(stored)})


def load_calibration(folder: Path) -> MatchCalibration | None:
    """The MatchCalibration of a run, or None where it has none. Raises RunError where it is damaged."""
    if not os.path.lexists(folder / FILE_NAME):
        return None
    path, remedy = folder / FILE_NAME, "evaluate the run again, or remove the file"
    stored = read_json(path, dict, remedy, RunError)
    checksum = stored.pop("checksum", None)  # those of tfvision 0.2 have none
    try:
        fields: dict[str, Any] = {key: tuples(value) for key, value in stored.items()}
        found = MatchCalibration(**fields)
        if wrong := wrong_part(dataclasses.asdict(found), typing.get_type_hints(MatchCalibration)):
            raise TypeError(f"its {wrong} cannot be")
        knots = [found.scores, found.log10_ratios]
        is_rising = all(list(values) == sorted(values) for values in knots)
        if not found.scores or len(found.scores) != len(found.log10_ratios) or not is_rising or max(map(abs, found.log10_ratios)) > _LARGEST_LOG10:
            raise TypeError("its knots cannot be")
        if checksum is not None and checksum != checksum_of(stored):
            raise TypeError("it is not as it was written")
        return found
    except TypeError as error:
        raise RunError(f"{path} is no calibration ({error}): {remedy}") from error


def fit_calibration(genuine: Scores, impostor: Scores, probes: int, identity: str = "", source: str = "", protocol: str = "") -> MatchCalibration:
    """Fits a MatchCalibration.

    Args:
      genuine, impostor: Scores with the same limits.
      probes: how many photos asked.
      identity, source, protocol: are kept with it.

    Raises:
      DataError: one side is empty.
    """
    if not genuine.count or not impostor.count:
        raise DataError(f"a calibration needs genuine and impostor pairs, got {genuine.count} and {impostor.count}")
    is_binned = not (genuine.is_exact and impostor.is_exact) or genuine.count + impostor.count > BINS
    scores, ratios = _fit(genuine.table(is_binned), impostor.table(is_binned), probes)
    return MatchCalibration(
        tuple(scores),
        tuple(ratios),
        min(genuine.lowest, impostor.lowest),
        max(genuine.highest, impostor.highest),
        genuine.count,
        impostor.count,
        probes,
        _crossed_cllr(genuine, impostor, probes),
        identity,
        source,
        protocol,
    )


def cllr(genuine_log10: np.ndarray, genuine_counts: np.ndarray, impostor_log10: np.ndarray, impostor_counts: np.ndarray) -> float:
    """The log-likelihood-ratio cost, in bits: 0 = perfect, 1 = as good as always saying 1."""
    missed = np.average(np.logaddexp(0, -np.log(10) * genuine_log10), weights=genuine_counts)
    alarmed = np.average(np.logaddexp(0, np.log(10) * impostor_log10), weights=impostor_counts)
    return float((missed + alarmed) / (2 * np.log(2)))


def _fit(genuine: Table, impostor: Table, probes: int) -> tuple[list[float], list[float]]:
    """Knots: scores and log10 ratios, at most KNOTS."""
    from sklearn.isotonic import IsotonicRegression

    (same, same_counts), (other, other_counts) = genuine, impostor
    values = np.concatenate([same, other, [min(same[0], other[0])], [max(same[-1], other[-1])]])
    is_same = np.concatenate([np.ones(len(same)), np.zeros(len(other)), [1.0], [0.0]])
    one_probe = 1 / (probes + 1)
    weights = np.concatenate([same_counts / same_counts.sum(), other_counts / other_counts.sum(), [one_probe, one_probe]])
    fitted = IsotonicRegression().fit(values, is_same, sample_weight=weights)
    scores, shares = fitted.X_thresholds_, fitted.y_thresholds_
    if len(scores) > KNOTS:
        kept = np.unique(np.linspace(0, len(scores) - 1, KNOTS).round().astype(int))
        scores, shares = scores[kept], shares[kept]
    shares = np.clip(shares, one_probe / (1 + one_probe), 1 / (1 + one_probe))  # ratios of probes + 1, exactly
    return scores.tolist(), np.log10(shares / (1 - shares)).tolist()


def _crossed_cllr(genuine: Scores, impostor: Scores, probes: int) -> float | None:
    """Fitted on half of the groups of subjects and tried on the other, both ways, in coarse bins."""
    bins = genuine.by_group.shape[1]
    values = genuine.low + (np.arange(bins) + 0.5) * (genuine.high - genuine.low) / bins
    costs = []
    for half in (0, 1):
        fitting = [scores.by_group[half::2].sum(axis=0) for scores in (genuine, impostor)]
        trying = [scores.by_group[1 - half :: 2].sum(axis=0) for scores in (genuine, impostor)]
        if not all(counts.any() for counts in (*fitting, *trying)):
            return None
        same, other = [(values[counts > 0], counts[counts > 0]) for counts in fitting]
        ratios = np.interp(values, *_fit(same, other, max(1, probes // 2)))
        costs.append(cllr(ratios, trying[0], ratios, trying[1]))
    return float(np.mean(costs))
