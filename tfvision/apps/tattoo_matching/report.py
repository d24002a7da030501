"""A matcher's report: the CMC table and curve, DET, scores and what they are worth, folds, best and worst matches."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from tfvision.apps.tattoo_matching.protocols import MatchingTrial
from tfvision.data.decoding import thumbnail_jpeg
from tfvision.data.manifest import Record
from tfvision.evaluation.identification import Judged, cmc_curve, open_set_points
from tfvision.evaluation.likelihood import MatchCalibration
from tfvision.evaluation.page import captioned_photo, compose, figure, paragraph, section, table
from tfvision.evaluation.plots import draw_cmc, draw_det, draw_likelihood, draw_scores
from tfvision.evaluation.verification import det_curve
from tfvision.files import write_text

SHOWN = 8  # matches of each kind
LIMITS = (
    "A score is a hint for a person who looks, never an identification: many people wear the same design, and the best of a large gallery "
    "always looks like something. The figures hold for photos like these; other cameras, skins and designs need an evaluation of their own."
)


def write_report(path: Path, result: dict[str, Any], trial: MatchingTrial, judged: Judged, calibration: MatchCalibration | None = None) -> Path:
    """Writes a page on what `evaluate_matcher` found; returns its path. Raises StorageError."""
    parts = [headline(result), _cmc(result, judged), _det(result, judged), _scores(result, judged, calibration), _folds(result)]
    parts += [_matches(*kind, trial, judged) for kind in _kinds(judged)]
    parts += [_facts(result)]
    write_text(path, compose(f"{Path(result['model']).name}: {result['protocol']}", [part for part in parts if part]))
    return path


def headline(result: dict[str, Any]) -> str:
    """One paragraph: rank 1 and 10, and how many asked."""
    return f'<p class="headline">{escape(sentence(result))}</p>'


def sentence(result: dict[str, Any]) -> str:
    """The finding in words."""
    if not result["mated"]:
        return f"None of {result['probes']:,} probes has a mate in the gallery."
    low, high = result["intervals"]["cmc"]["1"]
    return (
        f"Of {result['mated']:,} probes with a mate among {result['gallery']:,} gallery photos, {result['cmc']['1']:.1%} find it at rank 1 "
        f"({low:.1%} to {high:.1%}) and {result['cmc']['10']:.1%} among the first ten."
    )


def _cmc(result: dict[str, Any], judged: Judged) -> str:
    if not result["mated"]:
        return ""
    rows = [[f"rank {rank}", f"{value:.4f}", _span(result["intervals"]["cmc"][rank])] for rank, value in result["cmc"].items()]
    rows.append(["mean average precision", f"{result['map']:.4f}", _span(result["intervals"]["map"])])
    text = (
        "The share of probes whose best-ranked mate is among the first k photos. Of equally near photos the wrong ones come first. "
        "Intervals: 95 %, bootstrap over subjects, whose photos are drawn together."
    )
    curve = figure(draw_cmc(cmc_curve(judged.positions, judged.gallery)), "Cumulative match characteristic (CMC).", "CMC curve")
    return section("Identification", paragraph(text) + curve + table(("", "share", "interval"), rows, numbers=(1, 2)))


def _det(result: dict[str, Any], judged: Judged) -> str:
    if result["eer"] is None:
        return ""
    curves = {"pairs: FNMR against FMR": det_curve(judged.genuine, judged.impostor).points()}
    if result["fnir"]:
        curves["gallery: FNIR against FPIR"] = open_set_points(judged)
    rows = [["equal error rate of pairs", f"{result['eer']:.4f}", _span(result["intervals"].get("eer"))]]
    rows += [[f"FNMR at FMR {fmr}", f"{value:.4f}", ""] for fmr, value in result["fnmr"].items()]
    rows += [[f"FNIR at FPIR {fpir}", f"{value:.4f}", _span(result["intervals"].get("fnir", {}).get(fpir))] for fpir, value in result["fnir"].items()]
    whose = "probes without a mate" if result["has_unmated"] else "probes, each with its mates taken out of the gallery, since all have mates"
    text = (
        f"FNMR and FMR: how often a threshold refuses a pair of one tattoo ({result['genuine']:,} pairs), and accepts one of two "
        f"({result['impostor']:,}). FPIR: how often anything in the gallery is answered to somebody who is not in it ({result['unmated']:,} {whose}); "
        "FNIR: how often a mate's score is not above the same threshold. Rates below what so many can tell are not given."
    )
    note = f"Thresholds are known to {result['resolution']:.1e}." if result["resolution"] else "All scores are counted one by one."
    picture = figure(draw_det(curves), "Detection error trade-off (DET).", "DET curve")
    return section(
        "How far a score is to be trusted", paragraph(text) + picture + table(("", "rate", "interval"), rows, numbers=(1, 2)) + paragraph(note, "note")
    )


def _scores(result: dict[str, Any], judged: Judged, calibration: MatchCalibration | None) -> str:
    if result["eer"] is None:
        return ""
    edges, genuine = judged.genuine.histogram()
    picture = figure(
        draw_scores(edges, genuine, judged.impostor.histogram()[1]), "Scores of pairs of the same and of different tattoos.", "distribution of scores"
    )
    if calibration:
        caption = (
            f"What a score is worth: how many times likelier it is of the same tattoo than of two, from {10 ** calibration.log10_ratios[0]:.2g} to "
            f"{10 ** calibration.log10_ratios[-1]:.2g}, beyond which these photos tell nothing."
            + (f" Cllr on subjects it was not fitted on: {calibration.cllr:.3f} (0 = perfect, 1 = worthless)." if calibration.cllr is not None else "")
        )
        picture += figure(draw_likelihood(calibration.scores, calibration.log10_ratios), caption, "likelihood ratio against score")
    return section("Scores", picture)


def _folds(result: dict[str, Any]) -> str:
    folds = result["by_fold"]
    if len(folds) < 2:
        return ""
    ranks = list(result["cmc"])
    rows = [
        [
            str(one["fold"]),
            f"{one['probes']:,}",
            f"{one['gallery']:,}",
            *(_number(one["cmc"].get(rank)) for rank in ranks),
            _number(one["map"]),
            _number(one["eer"]),
        ]
        for one in folds
    ]
    for name, measure in (("mean", np.mean), ("standard deviation", lambda values: np.std(values, ddof=1))):
        columns = [[one["cmc"][rank] for one in folds if one["cmc"]] for rank in ranks]
        columns += [[one[key] for one in folds if one[key] is not None] for key in ("map", "eer")]
        rows.append([name, "", "", *(_number(float(measure(values))) if len(values) > 1 else "" for values in columns)])
    text = "By subject." + (
        " A probe is searched for in its fold's gallery." if result["galleries"] == "folds" else " Every probe is searched for in the whole gallery."
    )
    header = ("fold", "probes", "gallery", *(f"rank {rank}" for rank in ranks), "mAP", "EER")
    return section("Folds", paragraph(text) + table(header, rows, numbers=tuple(range(1, len(header)))))


def _kinds(judged: Judged) -> Iterator[tuple[str, str, np.ndarray]]:
    """(heading, text, rows among the probes) of what is shown."""
    mated, rows = judged.is_mated, np.arange(len(judged))
    found, missed = rows[mated & (judged.positions == 0)], rows[mated & (judged.positions > 0)]
    surest = found[np.argsort(judged.other_scores[found] - judged.mate_scores[found], kind="stable")]
    worst = missed[np.argsort(-judged.positions[missed], kind="stable")]
    false = rows[~mated | (judged.positions != 0)]
    false = false[np.argsort(-judged.other_scores[false], kind="stable")]
    yield "Found most surely", "Mates at rank 1 that are furthest ahead of all others.", surest[:SHOWN]
    yield "Missed", "Mates with the worst ranks.", worst[:SHOWN]
    yield "False matches with the highest scores", "What would have been taken for a match: the best-ranked photo is not of the probe's tattoo.", false[:SHOWN]


def _matches(heading: str, text: str, chosen: np.ndarray, trial: MatchingTrial, judged: Judged) -> str:
    if not len(chosen):
        return ""
    cards = []
    for row in chosen:
        pictures = [_picture(trial.probes.records[judged.probes[row]], "probe")]
        if judged.others[row] >= 0:
            pictures.append(_picture(trial.gallery.records[judged.others[row]], f"best other, {judged.other_scores[row]:.3f}"))
        if judged.mates[row] >= 0:
            pictures.append(_picture(trial.gallery.records[judged.mates[row]], f"mate, {judged.mate_scores[row]:.3f}, rank {judged.positions[row] + 1}"))
        name = escape(trial.probes.records[judged.probes[row]].name)
        cards.append(f'<div class="pair"><h3>{name}</h3><div class="photos" style="grid-template-columns: repeat(3, 1fr)">{"".join(pictures)}</div></div>')
    return section(heading, paragraph(text) + f'<div class="pairs">{"".join(cards)}</div>')


def _picture(record: Record, caption: str) -> str:
    return captioned_photo(thumbnail_jpeg(record.path), escape(caption))


def _facts(result: dict[str, Any]) -> str:
    facts = {
        "Model": result["model"],
        "Photos": result["source"],
        "Protocol": f"{result['protocol']}, {result['distance']} of the vectors, gallery: {result['galleries']}",
        "Left out": f"{result['left_out']} probes of subjects that the run was trained on" if result["left_out"] else "none",
        "Broken photos": "; ".join(result["broken"].values()) or "none",
        "Calibration": result["calibration"] or "not written",
    }
    rows = [[escape(key), escape(str(value))] for key, value in facts.items()]
    return section("Facts", table((), rows, kind="facts") + paragraph(LIMITS, "note"))


def _span(interval: Sequence[float]) -> str:
    return f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
