"""Tables 4 and 5 of the tattoo paper: recipes trained on all folds but one and tested on that one, for each fold, as one figure.

A run that is there already is gone on with, or read where it is finished, so that what was stopped is continued by the same command.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from tfvision.apps.tattoo_matching.evaluation import evaluate_folds
from tfvision.apps.tattoo_matching.protocols import make_trial
from tfvision.apps.tattoo_matching.recipes import RECIPES
from tfvision.apps.tattoo_matching.source import MatchingPhotos, read_matching_source
from tfvision.apps.tattoo_matching.training import train_matcher
from tfvision.data.tattc import is_tattc, use_case_folder
from tfvision.errors import DataError, RecipeError, RunError
from tfvision.evaluation.page import compose, paragraph, section, table
from tfvision.files import write_json, write_text
from tfvision.trained.matcher_run import MatcherRecipe, MatcherRun
from tfvision.training.recipes import with_settings
from tfvision.training.run import RUNS_FOLDER

RANKS = (1, 10, 20, 30)
TABLES = {"mixed-media": 4, "similarity": 5}  # of the paper
PAPERS_RECIPES = {"mixed-media": ("contrastive",), "similarity": ("triplet", "contrastive")}
PUBLISHED = {  # shares at RANKS
    "mixed-media": {"Compass": (0.055, 0.271, 0.525, 0.713), "MITRE": (0.077, 0.365, 0.613, 0.746), "Deep Tattoo": (0.122, 0.569, 0.873, 1.0)},
    "similarity": {
        "Compass": (0.005, 0.074, 0.147, 0.199),
        "MITRE": (0.035, 0.149, 0.239, 0.309),
        "Deep Tattoo, triplet": (0.055, 0.164, 0.249, 0.316),
        "Deep Tattoo, non-triplet": (0.017, 0.111, 0.155, 0.210),
    },
}


def train_and_evaluate_folds(
    source: Path | str,
    protocol: str = "identification",
    recipes: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    folder: Path | str | None = None,
    out: Path | str | None = None,
    galleries: str | None = None,
    distance: str | None = None,
    ranks: Sequence[int] = (),
) -> dict[str, Any]:
    """Trains a run a recipe and fold, and measures each recipe on all probes; writes report.html and report.json.

    Args:
      source, protocol, galleries, distance, ranks: as `evaluate_matcher`.
      recipes: names of RECIPES; () = the paper's for the protocol, else "small".
      settings: {key: value} of the recipes that are changed.
      folder: of the runs, RECIPE-FOLD; None = runs/folds-PROTOCOL.
      out: folder for the report; None = that of the runs.

    Returns:
      dict: "protocol", "source", "folds" (number), "rows" {recipe: what `evaluate_folds` says, and "runs" [paths]}, "published" {system:
      {rank: share}} of Tatt-C, "report".

    Raises:
      DataError, RecipeError, RunError.
    """
    folder = Path(folder or RUNS_FOLDER / f"folds-{protocol}")
    photos = read_matching_source(source, protocol)
    chosen = {name: _recipe(name, settings or {}, photos) for name in recipes or PAPERS_RECIPES.get(protocol, ("small",))}
    if any(record.split for record in photos.manifest.records):
        raise DataError(f"{source} names splits, which decide what trains: --folds alone needs a source without them")
    trained_on = use_case_folder(source, protocol) if is_tattc(source) else Path(source)
    rows = {}
    for name, recipe in chosen.items():
        make_trial(photos, protocol, galleries, recipe.folds, recipe.seed)  # what is wrong with it is told before hours of training
        runs = [_trained(folder / f"{name}-{fold}", trained_on, dataclasses.replace(recipe, fold=fold)) for fold in range(recipe.folds)]
        found = evaluate_folds(runs, source, protocol, galleries, recipe.folds, recipe.seed, distance, (*RANKS, *ranks))
        rows[name] = {**found, "runs": [str(run) for run in runs]}
    published = PUBLISHED.get(protocol, {}) if is_tattc(source) else {}
    result = {
        "protocol": protocol,
        "source": str(source),
        "folds": next(iter(chosen.values())).folds,
        "rows": rows,
        "published": {system: dict(zip(map(str, RANKS), shares, strict=True)) for system, shares in published.items()},
    }
    where = Path(out) if out else folder
    write_json(where / "report.json", result)
    result["report"] = str(where / "report.html")
    write_text(where / "report.html", _page(result))
    return result


def table_rows(result: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The header and the rows of the table: system, probes, photos searched on average, shares at each rank with their intervals."""
    ranks = list(next(iter(result["rows"].values()))["cmc"])
    return ("", "probes", "gallery", *(f"rank {rank}" for rank in ranks)), [*_rows(result, ranks)]


def title(result: Mapping[str, Any]) -> str:
    """What the table is of."""
    number = TABLES.get(result["protocol"])
    counterpart = f", the counterpart of table {number} of the paper" if number and result["published"] else ""
    return f"{result['protocol']}, {result['folds']} folds, each searched for by a run that was trained on the others{counterpart}"


def _rows(result: Mapping[str, Any], ranks: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for name, row in result["rows"].items():
        intervals = row["intervals"].get("cmc", {})
        shares = (f"{row['cmc'][rank]:.3f}" + ("  ({:.3f} to {:.3f})".format(*intervals[rank]) if rank in intervals else "") for rank in ranks)
        yield (name, f"{row['mated']:,}", f"{row['gallery']:,}", *shares)
    for system, shares in result["published"].items():
        yield (f"{system} (published)", "", "", *(f"{shares[rank]:.3f}" if rank in shares else "" for rank in ranks))


def _page(result: Mapping[str, Any]) -> str:
    header, rows = table_rows(result)
    text = "The share of probes whose best-ranked mate is among the first k photos. Intervals: 95 %, bootstrap over subjects."
    cells = [[escape(cell) for cell in row] for row in rows]
    body = paragraph(text) + table(header, cells, numbers=range(1, len(header)))
    return compose(f"{result['source']}: {result['protocol']}", [section(escape(title(result)), body)])


def _recipe(name: str, settings: Mapping[str, Any], photos: MatchingPhotos) -> MatcherRecipe:
    """The recipe with as many folds as the source names."""
    if name not in RECIPES:
        raise RecipeError(f"--recipe must be one of {', '.join(RECIPES)}, got {name!r}")
    recipe = with_settings(RECIPES[name](), settings)
    named = len({fold for fold in photos.given_folds if fold >= 0})
    return dataclasses.replace(recipe, folds=named) if named else recipe


def _trained(run: Path, source: Path, recipe: MatcherRecipe) -> Path:
    """A run of a recipe, trained now, gone on with, or there already."""
    if not (run / "recipe.json").exists():
        train_matcher(source, recipe, run=run)
        return run
    found = MatcherRun(run)
    if dataclasses.replace(found.recipe, precision=recipe.precision) != recipe or Path(found.facts["source"]) != source.resolve():
        raise RunError(f"{run} was trained by another recipe or on other photos: remove it, or choose another folder with --runs")
    train_matcher(run=run, resume=True)
    return run
