"""What each trick of retrieval adds to ImageNet features without training, on Oxford's protocol.

    TFVISION_WEIGHTS=DIR python benchmarks/retrieval_oxford.py shared/data/oxford_mini [--cache DIR] [--model mobilenet_v2]

Each good photo is a query against the rest: good and ok photos count, junk is taken out, average precision by the
trapezoid rule. Each trick of the second table is tried on two of the first's features: means and regions.
Whitening is fitted on the gallery, without labels. The interval is a bootstrap over queries, which share landmarks.
"""

import functools
import os
import tempfile
from pathlib import Path

import click
import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

NEIGHBOURS = (3, 10)  # of expansion and augmentation


def feature_recipes(model, size_px):
    """Row name -> FeatureRecipe."""
    from tfvision.features.recipe import FeatureRecipe

    shared = {"model": model, "image_size": size_px, "resize": "aspect"}
    views = {"scales": (2**-0.5, 1.0), "is_flipped": True}
    return {
        "mean of the last layer, squashed to the network's size": FeatureRecipe(model),
        f"{size_px} px, aspect kept": FeatureRecipe(**shared),
        "two scales and mirror images averaged": FeatureRecipe(**shared, **views),
        "... and GeM, p = 3, instead of the mean": FeatureRecipe(**shared, **views, pooling="gem"),
        "... and regions instead of the mean": FeatureRecipe(**shared, **views, pooling="regions"),
    }


def tricks():
    """Row name -> function of (vectors [photos, dimension], rows of the queries) -> similarities [queries, photos]."""
    shrunk = {"PCA whitening, shrinkage 0.5": 0.5, "PCA whitening, shrinkage 0.9": 0.9, "centring (PCA without whitening)": 1.0}
    return {
        "as they are": plain,
        **{name: functools.partial(_whitened, shrinkage=shrinkage) for name, shrinkage in shrunk.items()},
        **{f"query expansion by {count} neighbours": functools.partial(_expanded, neighbours=count) for count in NEIGHBOURS},
        **{f"database augmentation and query expansion by {count}": functools.partial(_augmented, neighbours=count) for count in NEIGHBOURS},
        "k-reciprocal re-ranking, k1 = 20, k2 = 6": functools.partial(_reranked, k1=20, k2=6),
        "k-reciprocal re-ranking, k1 = 10, k2 = 3": functools.partial(_reranked, k1=10, k2=3),
    }


def plain(vectors, rows):
    """Cosines."""
    return vectors[rows] @ vectors.T


def average_precisions(similarities, questions):
    """Of questions in the order of the rows."""
    from tfvision.evaluation.retrieval import positions_of, trapezoid_average_precision

    return [trapezoid_average_precision(positions_of(row, question)) for row, question in zip(similarities, questions, strict=True)]


def _whiten(vectors, shrinkage):
    from tfvision.features.whitening import fit_whitening

    return fit_whitening(vectors, shrinkage=shrinkage).apply(vectors)


def _whitened(vectors, rows, shrinkage):
    return plain(_whiten(vectors, shrinkage), rows)


def _expanded(vectors, rows, neighbours):
    """Each query is joined by its nearest neighbours among the others."""
    from tfvision.index.expansion import expand_queries

    similarities = plain(vectors, rows)
    similarities[np.arange(len(rows)), rows] = -np.inf
    near = np.argsort(-similarities, axis=1)[:, :neighbours]
    return expand_queries(vectors[rows], vectors[near], np.take_along_axis(similarities, near, axis=1)) @ vectors.T


def _augmented(vectors, rows, neighbours):
    from tfvision.index.expansion import augment_database

    return _expanded(augment_database(vectors, neighbours), rows, neighbours)


def _reranked(vectors, rows, k1, k2):
    """In the gallery, of which the queries' own photos are part, as in Oxford's own protocol."""
    from tfvision.index.reranking import k_reciprocal

    return -k_reciprocal(vectors[rows], vectors, k1, k2)


@click.command()
@click.argument("source")
@click.option("--model", default="mobilenet_v2", show_default=True)
@click.option("--size", "size_px", default=384, show_default=True, help="Longer side in pixels, once the aspect is kept.")
@click.option("--cache", help="Folder that keeps the vectors.")
def main(source, model, size_px, cache):
    """Print a table: mAP of each trick."""
    from tfvision.apps.retrieval.source import read_trial
    from tfvision.evaluation.retrieval import bootstrap_interval
    from tfvision.features.extractor import open_extractor
    from tfvision.features.table import feature_table

    trial = read_trial(source, "oxford", queries="good")
    place = {record.name: row for row, record in enumerate(trial.gallery.records)}
    rows = np.array([place[record.name] for record in trial.queries.records])
    folder = Path(cache or tempfile.mkdtemp(prefix="retrieval-oxford-"))
    print(f"{len(rows)} queries in {len(trial.gallery)} photos, {model}\n")

    def score(rank, vectors):
        values = average_precisions(rank(vectors, rows), trial.questions)
        low, high = bootstrap_interval(values)
        return f"{np.mean(values):.3f} ({low:.3f} to {high:.3f})"

    print("| features | mAP (95 % interval) |\n|---|---|")
    found = {}
    for number, (name, recipe) in enumerate(feature_recipes(model, size_px).items()):
        found[name], _ = feature_table(trial.gallery, open_extractor(recipe), folder / f"{number}.npy")
        print(f"| {name} | {score(plain, found[name])} |", flush=True)
    names = list(found)
    columns = {"means": found[names[2]], "regions": found[names[-1]]}
    print("\n| trick | " + " | ".join(columns) + " |\n|---" + "|---" * len(columns) + "|")
    for name, rank in tricks().items():
        print(f"| {name} | " + " | ".join(score(rank, vectors) for vectors in columns.values()) + " |", flush=True)
    values = average_precisions(_augmented(columns["regions"], rows, NEIGHBOURS[0]), trial.questions)
    worst = ", ".join(f"{Path(trial.queries.records[place].name).stem} {values[place]:.2f}" for place in np.argsort(values)[:6])
    print(f"\nthe worst queries, regions with augmentation and expansion by {NEIGHBOURS[0]}: {worst}")


if __name__ == "__main__":
    main()
