"""What each trick of retrieval adds to ImageNet features without training, on Oxford's protocol.

    TFVISION_WEIGHTS=DIR python benchmarks/retrieval_oxford.py shared/data/oxford_mini [--cache DIR] [--model mobilenet_v2]

Each good photo is a query against the rest: good and ok photos count, junk is taken out, average precision by the
trapezoid rule. The first rows build on each other; those below are each tried on the vectors of the row marked "kept".
Whitening is fitted on the gallery, without labels. The interval is a bootstrap over queries, which share landmarks.
"""

import functools
import os
import tempfile
import time
from pathlib import Path

import click
import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

NEIGHBOURS = 10  # of expansion and augmentation


def feature_recipes(model, size_px):
    """Row name -> FeatureRecipe; the last but one is kept."""
    from tfvision.features.recipe import FeatureRecipe

    shared = {"model": model, "image_size": size_px, "resize": "aspect"}
    views = {"scales": (2**-0.5, 1.0), "is_flipped": True}
    return {
        "mean of the last layer, squashed to the network's size": FeatureRecipe(model),
        f"{size_px} px, aspect kept": FeatureRecipe(**shared),
        "two scales and mirror images averaged (kept)": FeatureRecipe(**shared, **views),
        "GeM, p = 3, instead of the mean": FeatureRecipe(**shared, **views, pooling="gem"),
    }


def middle_recipe(model, size_px, layer):
    """FeatureRecipe of a middle layer: where its filters answer most, over the views that are kept."""
    from tfvision.features.recipe import FeatureRecipe

    return FeatureRecipe(model, layers=(layer,), pooling="max", image_size=size_px, resize="aspect", scales=(2**-0.5, 1.0), is_flipped=True)


def tricks():
    """Row name -> function of (vectors [photos, dimension], rows of the queries) -> similarities [queries, photos]."""
    shrunk = {"PCA whitening, shrinkage 0.5": 0.5, "PCA whitening, shrinkage 0.9": 0.9, "centring (PCA without whitening)": 1.0}
    return {
        **{name: functools.partial(_whitened, shrinkage=shrinkage) for name, shrinkage in shrunk.items()},
        f"query expansion by {NEIGHBOURS} neighbours": _expanded,
        f"database augmentation and query expansion by {NEIGHBOURS}": _augmented,
        "whitening 0.9, augmentation and expansion": lambda vectors, rows: _augmented(_whiten(vectors, 0.9), rows),
        "k-reciprocal re-ranking, k1 = 20, k2 = 6": functools.partial(_reranked, k1=20, k2=6),
        "k-reciprocal re-ranking, k1 = 10, k2 = 3": functools.partial(_reranked, k1=10, k2=3),
    }


def plain(vectors, rows):
    """Cosines."""
    return vectors[rows] @ vectors.T


def mean_average_precision(similarities, questions):
    """mAP and its 95 % interval, of questions in the order of the rows."""
    from tfvision.evaluation.retrieval import bootstrap_interval, places_of, trapezoid_average_precision

    places = [places_of(row, question) for row, question in zip(similarities, questions, strict=True)]
    values = [trapezoid_average_precision(found) for found in places if len(found)]
    return float(np.mean(values)), bootstrap_interval(values)


def _whiten(vectors, shrinkage):
    from tfvision.features.whitening import fit_whitening

    return fit_whitening(vectors, shrinkage=shrinkage).apply(vectors)


def _whitened(vectors, rows, shrinkage):
    return plain(_whiten(vectors, shrinkage), rows)


def _expanded(vectors, rows):
    """Each query is joined by its nearest neighbours among the others."""
    from tfvision.index.expansion import expand_queries

    similarities = plain(vectors, rows)
    similarities[np.arange(len(rows)), rows] = -np.inf
    near = np.argsort(-similarities, axis=1)[:, :NEIGHBOURS]
    return expand_queries(vectors[rows], vectors[near], np.take_along_axis(similarities, near, axis=1)) @ vectors.T


def _augmented(vectors, rows):
    from tfvision.index.expansion import augment_database

    return _expanded(augment_database(vectors, NEIGHBOURS), rows)


def _reranked(vectors, rows, k1, k2):
    """In the gallery, of which the queries' own photos are part, as in Oxford's own protocol."""
    from tfvision.index.reranking import k_reciprocal

    return -k_reciprocal(vectors[rows], vectors, k1, k2)


@click.command()
@click.argument("source")
@click.option("--model", default="mobilenet_v2", show_default=True)
@click.option("--size", "size_px", default=384, show_default=True, help="Longer side in pixels, once the aspect is kept.")
@click.option("--middle", default="block_15_add", show_default=True, help="A middle layer of the model, to join with the last; empty = none.")
@click.option("--cache", help="Folder that keeps the vectors.")
def main(source, model, size_px, middle, cache):
    """Print a table: mAP of each trick."""
    from tfvision.apps.retrieval.sources import read_trial
    from tfvision.features.extractor import open_extractor
    from tfvision.features.table import feature_table

    trial = read_trial(source, "oxford", queries="good")
    place = {record.name: row for row, record in enumerate(trial.gallery.records)}
    rows = np.array([place[record.name] for record in trial.queries.records])
    folder = Path(cache or tempfile.mkdtemp(prefix="retrieval-oxford-"))
    print(f"{len(rows)} queries in {len(trial.gallery)} photos, {model}\n")
    print("| trick | mAP | 95 % interval | seconds |\n|---|---|---|---|")

    def show(name, rank, vectors, started):
        score, (low, high) = mean_average_precision(rank(vectors, rows), trial.questions)
        print(f"| {name} | {score:.3f} | {low:.3f} to {high:.3f} | {time.perf_counter() - started:.1f} |", flush=True)

    kept = None
    for number, (name, recipe) in enumerate(feature_recipes(model, size_px).items()):
        started = time.perf_counter()
        vectors, _ = feature_table(trial.gallery, open_extractor(recipe), folder / f"{number}.npy")
        show(name, plain, vectors, started)
        kept = vectors if "kept" in name else kept
    for name, rank in tricks().items():
        show(name, rank, kept, time.perf_counter())
    if middle:
        started = time.perf_counter()
        vectors, _ = feature_table(trial.gallery, open_extractor(middle_recipe(model, size_px, middle)), folder / "middle.npy")
        joined = np.concatenate([kept, vectors], axis=1) / np.sqrt(2)
        show(f"joined with the maximum of {middle}", plain, joined, started)
        show("... and re-ranked, k1 = 10, k2 = 3", functools.partial(_reranked, k1=10, k2=3), joined, time.perf_counter())


if __name__ == "__main__":
    main()
