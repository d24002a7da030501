"""Matching by plain features, the paper's two recipes and ours, on subjects that nobody trained on: one table.

    python benchmarks/tattoo_matching.py SOURCE [--kind tattoos|grocery|omniglot] [--recipes plain,contrastive,triplet,small]
        [--folds 5] [--only 0] [--set small.image_size=128]... [--paper-steps 2000] --out DIR

`tattoos`: photos with a column `subject`; a fold's subjects ask, the others train. `grocery`: shelf photos of the set's own validation
part ask for clean pictures of products whose other photos trained (one training, no folds). `omniglot`: drawings, a fold is an
alphabet. A run that is there already is gone on with, a fold that was measured is not measured again, so that a stopped
benchmark is continued by the same command. Figures are means over folds with the half width of their 95 % interval (Student's t).
The paper's recipes take hours: --paper-steps N divides their stages so that N steps remain, with rates that much higher (at most
100 times), and the table says so; 0 trains as the paper did.
"""

import csv
import dataclasses
import json
import os
import time
from pathlib import Path

import click
import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

PLAIN, PLAIN_SAME_SIZE, PLAIN_TURNED = "plain", "plain-same-size", "plain-turned"
RANKS = (1, 5, 10)
_MOST_RATE = 100
_NO_RATE = 1e-12  # one step at it leaves every weight of a float32 network as it was


def list_grocery(folder, out):
    """Writes the manifest of mixed media: shelf photos ask, clean pictures are searched; returns its path."""
    with open(folder / "labels.csv", newline="", encoding="utf-8") as file:
        rows = [
            (folder.resolve() / row["file"], row["fine"], *(("gallery", "picture", "train") if row["split"] == "iconic" else ("probe", "photo", row["split"])))
            for row in csv.DictReader(file)
        ]
    return _write(out / "grocery.csv", ("image", "subject", "role", "medium", "split"), rows)


def list_omniglot(folder, out):
    """Writes the manifest of drawings: a subject is a character, a fold an alphabet; returns its path."""
    places, rows = {}, []  # alphabet -> its folder and number; it may lie in two, the first of which is taken
    for path in sorted(folder.glob("*/*/*/*.png")):
        part, alphabet, character = path.parts[-4:-1]
        where, number = places.setdefault(alphabet, (part, len(places)))
        if where == part:
            rows.append((path.resolve(), f"{alphabet}/{character}", number))
    return _write(out / "omniglot.csv", ("image", "subject", "fold"), rows)


def measure(extractor, trial, distance):
    """{"cmc", "map", "probes"} of one fold's questions."""
    from tfvision.apps.tattoo_matching.evaluation import judge_trial
    from tfvision.evaluation.identification import cmc, pooled

    judged = pooled([part for _, part in judge_trial(trial, extractor, distance, label="searching")])
    return {"cmc": cmc(judged.places, RANKS), "map": float(np.mean(judged.precisions[judged.is_mated])), "probes": int(judged.is_mated.sum())}


def trials_of(source, folds):
    """[(fold or None, MatchingTrial)]: of the source's unseen photos, or of each fold's subjects."""
    from tfvision.apps.tattoo_matching.protocols import make_trial
    from tfvision.apps.tattoo_matching.source import read_matching_source

    photos = read_matching_source(source)
    trial = make_trial(photos, "identification", folds=folds)
    if any(record.split for record in photos.manifest.records):
        is_asked = np.array([record.split not in ("train", "") for record in trial.probes.records])
        return [(None, _asking(trial, is_asked))]
    return [(fold, _asking(trial, trial.probe_folds == fold)) for fold in range(len(set(trial.probe_folds.tolist())))]


def measure_fold(name, recipe, source, fold, trial, folder):
    """The result of a recipe on a fold; reads what was measured before."""
    from tfvision.apps.tattoo_matching.training import train_matcher
    from tfvision.features.extractor import open_extractor
    from tfvision.features.recipe import FeatureRecipe

    path = folder / "result.json"
    if path.exists():
        return json.loads(path.read_text())
    started, result = time.monotonic(), {}
    if name in (PLAIN, PLAIN_SAME_SIZE):
        extractor, distance = open_extractor(FeatureRecipe(model=recipe.network, image_size=0 if name == PLAIN else recipe.size_px)), "cosine"
    else:
        run = folder / "run"
        recipe = dataclasses.replace(recipe, fold=0 if fold is None else fold)
        is_begun = (run / "recipe.json").exists()
        result = train_matcher(run=str(run), resume=True) if is_begun else train_matcher(str(source), recipe, run=str(run))
        distance = "cosine" if recipe.is_normalised else "euclidean"
        extractor = open_extractor(FeatureRecipe(model=str(run), is_normalised=recipe.is_normalised))
    trained = time.monotonic()
    result = {"training_seconds": result.get("seconds", 0.0), **measure(extractor, trial, distance), "searching_seconds": round(time.monotonic() - trained, 1)}
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**result, "seconds": round(time.monotonic() - started, 1)}))
    return result


def recipe_of(name, settings, paper_steps):
    """The recipe of a row of the table, with its settings and, of the paper's, its steps."""
    from tfvision.apps.tattoo_matching.recipes import RECIPES
    from tfvision.training.recipes import with_settings

    recipe = RECIPES["small" if name.startswith(PLAIN) else name]()
    if name == PLAIN_TURNED:
        recipe = dataclasses.replace(recipe, stages=((1, _NO_RATE),), warmup_steps=0)
    if name in ("contrastive", "triplet") and paper_steps:
        share = sum(steps for steps, _ in recipe.stages) / paper_steps
        stages = tuple((steps / share, rate * min(share, _MOST_RATE)) for steps, rate in recipe.stages)
        recipe = dataclasses.replace(recipe, stages=stages)
    return with_settings(recipe, settings.get(name, {}))


def table(rows):
    """A Markdown table; rows: name -> results of its folds."""
    from tfvision.evaluation.comparison import Estimate

    lines = ["| | folds | probes | " + " | ".join(f"rank {rank}" for rank in RANKS) + " | mAP | training |", "|---" * (len(RANKS) + 5) + "|"]
    for name, results in rows.items():
        cells = [str(Estimate.of([result["cmc"][str(rank)] for result in results])) for rank in RANKS]
        cells.append(str(Estimate.of([result["map"] for result in results])))
        seconds = np.mean([result["training_seconds"] for result in results])
        cells.append(f"{seconds / 60:.0f} min" if seconds else "none")
        lines.append(f"| {name} | {len(results)} | {sum(result['probes'] for result in results)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


@click.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--kind", type=click.Choice(["tattoos", "grocery", "omniglot"]), default="tattoos", show_default=True)
@click.option(
    "--recipes",
    default="plain,contrastive,triplet,small",
    show_default=True,
    help="Rows; plain-same-size: plain features at our image size; plain-turned: and the mean over four quarter turns, as ours.",
)
@click.option("--folds", default=5, show_default=True)
@click.option("--only", type=int, multiple=True, help="Measure these folds alone; repeatable.")
@click.option("--set", "settings", multiple=True, metavar="RECIPE.KEY=VALUE", help="Change one number of a recipe; repeatable.")
@click.option("--paper-steps", default=2000, show_default=True)
@click.option("--out", required=True, type=click.Path(path_type=Path))
def main(source, kind, recipes, folds, only, settings, paper_steps, out):
    """Trains what is missing, measures it and prints the table."""
    out.mkdir(parents=True, exist_ok=True)
    source = {"tattoos": lambda *_: source, "grocery": list_grocery, "omniglot": list_omniglot}[kind](source, out)
    changes = {}
    for text in settings:
        key, _, value = text.partition("=")
        name, _, key = key.partition(".")
        changes.setdefault(name, {})[key] = value
    trials = [(fold, trial) for fold, trial in trials_of(source, folds) if fold is None or not only or fold in only]
    rows = {}
    for name in recipes.split(","):
        recipe = recipe_of(name, changes, paper_steps)
        folders = [out / (name if fold is None else f"{name}-{fold}") for fold, _ in trials]
        rows[name] = [measure_fold(name, recipe, source, fold, trial, folder) for (fold, trial), folder in zip(trials, folders, strict=True)]
        print(f"\n{source.name}, what was not trained on\n\n{table(rows)}\n", flush=True)
    if paper_steps:
        print(f"contrastive and triplet: {paper_steps} steps instead of the paper's 70,000 and 40,000, at rates that much higher (at most {_MOST_RATE} times)")


def _asking(trial, is_asked):
    return dataclasses.replace(trial, questions=tuple(question for question in trial.questions if is_asked[question.query]))


def _write(path, columns, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


if __name__ == "__main__":
    main()
