"""Feature Tuning's tables 1 to 4 for a data set: every index by every tap, softmax and CosFace, norms of the taps.

    python benchmarks/retrieval_tables.py SOURCE [--protocol labels] [--seeds 3] [--recipe small] [--set key=value]... [--loss cosface] [--out DIR]

Each seed splits the photos anew, trains both losses, or that of `--loss`, on the same photos, and asks with the held-out ones; `--protocol-split
paper` trains on the queries too, as the paper does, and says so; `--set share=0.1` takes a tenth of the groups, as its table 1
does. A run that is there already is gone on with. Figures are means over seeds with their 95 % interval (Student's t).
"""

import dataclasses
import json
import os
import tempfile
from pathlib import Path

import click

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

LOSSES = ("softmax", "cosface")
UNTRAINED = "not fine-tuned"


def measure(source, protocol, recipe, folder):
    """Trains one run, or goes on with it, and evaluates it; returns what `evaluate_retriever` does."""
    from tfvision.apps.retrieval.evaluation import evaluate_retriever
    from tfvision.apps.retrieval.training import train_retriever

    if (folder / "recipe.json").exists():
        train_retriever(run=str(folder), resume=True)
    else:
        train_retriever(str(source), recipe, run=str(folder))
    return evaluate_retriever(str(folder), str(source), protocol)


def measure_untrained(source, protocol, recipe, questions_of):
    """The taps and additions of the network as it came, on the queries of a trained run."""
    from tfvision.apps.retrieval.evaluation import judge_indices, score_of
    from tfvision.apps.retrieval.indices import read_taps, tap_extractor
    from tfvision.trained.retriever_network import build_retriever

    recipe = dataclasses.replace(recipe, tuning=(), whitening=0.0, index="addition")
    retriever = build_retriever(recipe, 2, recipe.size_px, recipe.weights)
    taps = read_taps(questions_of.gallery, tap_extractor(retriever, recipe, UNTRAINED), label="features")
    asked = taps if questions_of.queries is questions_of.gallery else read_taps(questions_of.queries, tap_extractor(retriever, recipe, UNTRAINED))
    return {**score_of(judge_indices(questions_of, taps, asked, {}, recipe), recipe), "tap_norms": taps.norms()}


def asked_of(folder, source, protocol):
    """The Trial that a finished run was evaluated by."""
    from tfvision.apps.retrieval.evaluation import asked_trial
    from tfvision.trained.retriever_run import RetrieverRun

    return asked_trial(RetrieverRun.open(folder), source, protocol)[0]


def row(name, results, loss=""):
    """The seeds of a loss as one row of the tables."""
    from tfvision.evaluation.comparison import JudgedRun, Row

    return Row(name, tuple(JudgedRun(f"{name}-{seed}", {"loss": loss}, result) for seed, result in enumerate(results)))


def tuned_indices(recipe):
    """What is made of the taps by training photos."""
    return [name for name in recipe.indices if name not in (*recipe.tap_names, "addition", "normalised_addition")]


def gains(rows, taps, tuned):
    """The table of what tuning gains, paired by seed."""
    from tfvision.evaluation.comparison import Measure, Table

    def best(result, names):
        return max(result["by_layer"][name] for name in names)

    measures = {}
    for name in tuned:
        measures[f"{name} - best single tap"] = Measure(lambda result, name=name: result["by_layer"][name] - best(result, taps))
        measures[f"{name} - better addition"] = Measure(lambda result, name=name: result["by_layer"][name] - best(result, ("addition", "normalised_addition")))
    return Table("What tuning gains, paired by seed (the best tap and addition are chosen on the queries, to tuning's disadvantage)", measures, rows)


@click.command()
@click.argument("source")
@click.option("--protocol", type=click.Choice(["ukbench", "holidays", "oxford", "labels"]), required=True)
@click.option("--protocol-split", type=click.Choice(["held-out", "paper"]), default="held-out", show_default=True)
@click.option("--seeds", default=3, show_default=True)
@click.option("--recipe", default="small", show_default=True)
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Change one number of the recipe; repeatable.")
@click.option("--loss", "losses", multiple=True, type=click.Choice(LOSSES), default=LOSSES, help="[default: both]")
@click.option("--out", help="Keep the runs and the figures, tables.json, in this folder.")
def main(source, protocol, protocol_split, seeds, recipe, pairs, losses, out):
    """Print the four tables."""
    from tfvision.apps.retrieval.comparison import tables
    from tfvision.apps.retrieval.recipes import RECIPES
    from tfvision.apps.retrieval.report import stamp
    from tfvision.training.recipes import with_settings

    settings = {**dict(pair.split("=", 1) for pair in pairs), "protocol_split": protocol_split}
    recipe = with_settings(RECIPES[recipe](), settings)
    folder = Path(out or tempfile.mkdtemp(prefix="retrieval-tables-"))
    results = {}
    for seed in range(seeds):
        for loss in losses:
            run = folder / f"{loss}-{seed}"
            results.setdefault(loss, []).append(measure(source, protocol, dataclasses.replace(recipe, loss=loss, seed=seed), run))
            print(f"{loss}, seed {seed}: {results[loss][-1]['by_layer']}", flush=True)
        trial = asked_of(folder / f"{losses[0]}-{seed}", source, protocol)
        results.setdefault(UNTRAINED, []).append(measure_untrained(source, protocol, recipe, trial))
    (folder / "tables.json").write_text(json.dumps(results, indent=2))
    first = results[losses[0]][0]
    print(
        f"\n{recipe.network} at {recipe.size_px} px, recipe {recipe.name}, {seeds} seeds; "
        f"{first['queries']} queries in {first['images']} photos. {stamp(first)}"
    )
    trained = [row(loss, results[loss], loss) for loss in losses]
    made = [*tables([*trained, row(UNTRAINED, results[UNTRAINED])]), gains(trained, recipe.tap_names, tuned_indices(recipe))]
    print("\n" + "\n\n".join(table.markdown() for table in made))


if __name__ == "__main__":
    main()
