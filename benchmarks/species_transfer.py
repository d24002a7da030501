"""Hierarchical transfer where classes have few photos, in seconds a training: on the features of a pretrained network, which stays as it is.

    python benchmarks/species_transfer.py SOURCE [--ranks class,species] [--photos-a-class 5 --photos-a-class 2,5,20] [--seeds 3] [--steps 200] --out DIR

What MobileNetV2 answers to each photo is computed once (DIR/features.npy). Behind it a layer of 256 units and the last layer are trained, by plain numpy;
what ranks share is learnt in the former. Both rows spend the same steps, hierarchical transfer a third of them on the rank above the finest, and passes
the last layer down as the paper does. It is the head's part of what species_table1.py trains whole. `--photos-a-class` is as there; without it a fifth
of each class's photos is held out.
"""

import functools
import operator
import os
import tempfile
from pathlib import Path

import click
import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from species_table1 import write_few_photos

from tfvision.command_line import comma_separated

FLAT, HIERARCHICAL = "no transfer", "hierarchical"
HIDDEN, BATCH, RATE, WARMUP_STEPS, MOMENTUM, DECAY, SMOOTHING, MIXING = 256, 32, 0.02, 20, 0.9, 5e-4, 0.1, 0.5


def features_of(manifest, size_px, path):
    """float32 [photos, 1280], of mean square 1; kept in a file."""
    if not path.exists():
        from tfvision.features.extractor import open_extractor
        from tfvision.features.recipe import FeatureRecipe
        from tfvision.features.table import feature_table

        np.save(path, feature_table(manifest, open_extractor(FeatureRecipe("mobilenet_v2", image_size=size_px, is_normalised=False)))[0])
    features = np.load(path)
    return (features / np.sqrt(np.mean(features**2))).astype(np.float32)


class Head:
    """A hidden layer and the last one."""

    def __init__(self, width, classes, seed):
        random = np.random.default_rng(seed)
        self.hidden = (random.normal(0, np.sqrt(2 / width), (width, HIDDEN))).astype(np.float32)
        self.hidden_bias = np.zeros(HIDDEN, np.float32)
        self.start(classes, seed)

    def start(self, classes, seed, parents=None):
        """A fresh last layer, mixed with the parents' where there are any."""
        from tfvision.apps.species.knowledge_transfer import mix

        fresh = np.random.default_rng(seed + 1).uniform(-1, 1, (HIDDEN, classes)) * np.sqrt(6 / (HIDDEN + classes))
        bias = np.zeros(classes) if parents is None else self.bias[parents]
        self.last = (fresh if parents is None else mix(self.last[:, parents], fresh, MIXING)).astype(np.float32)
        self.bias = bias.astype(np.float32)

    def logits(self, features):
        self.inner = np.maximum(features @ self.hidden + self.hidden_bias, 0)
        return self.inner @ self.last + self.bias

    def train(self, features, labels, steps, seed):
        random, queue, speed = np.random.default_rng(seed), [], [0, 0, 0, 0]
        for step in range(steps):
            while len(queue) < BATCH:
                queue += random.permutation(len(labels)).tolist()
            rows, queue = np.array(queue[:BATCH]), queue[BATCH:]
            logits = self.logits(features[rows])
            wanted = np.full_like(logits, SMOOTHING / logits.shape[1])
            wanted[np.arange(BATCH), labels[rows]] += 1 - SMOOTHING
            chances = np.exp(logits - logits.max(axis=1, keepdims=True))
            error = (chances / chances.sum(axis=1, keepdims=True) - wanted) / BATCH
            of_inner = (error @ self.last.T) * (self.inner > 0)
            gradients = [features[rows].T @ of_inner + DECAY * self.hidden, of_inner.sum(axis=0), self.inner.T @ error + DECAY * self.last, error.sum(axis=0)]
            rate = RATE * (1 + np.cos(np.pi * step / steps)) / 2 * min(1, (step + 1) / WARMUP_STEPS)
            speed = [MOMENTUM * old - rate * gradient for old, gradient in zip(speed, gradients, strict=True)]
            for values, change in zip((self.hidden, self.hidden_bias, self.last, self.bias), speed, strict=True):
                values += change.astype(np.float32)


def measure(features, manifest, splits, seed, steps, name):
    """Trains a row on the photos of the split "train"; returns what an evaluation of the others finds."""
    from tfvision.apps.species.knowledge_transfer import classes_at_rank, parents_between
    from tfvision.data.splits import halve
    from tfvision.evaluation.calibration import fit_temperature
    from tfvision.evaluation.classification import Evaluation

    taxonomy = manifest.taxonomy()
    labels, trained, asked = manifest.labels(taxonomy), splits == "train", splits == "validation"
    fine = classes_at_rank(taxonomy, taxonomy.ranks[-1])
    head = Head(features.shape[1], len(taxonomy), seed)
    if name == HIERARCHICAL:
        coarse = classes_at_rank(taxonomy, taxonomy.ranks[-2])
        head.start(len(coarse.nodes), seed)
        head.train(features[trained], coarse.of_class[labels[trained]], round(steps / 3), seed)
        head.start(len(taxonomy), seed + 10, parents_between(coarse, fine))
        steps -= round(steps / 3)
    head.train(features[trained], labels[trained], steps, seed)
    records, logits = manifest.select(asked).records, head.logits(features[asked])
    fitting = halve([record.group for record in records], seed)
    sizes = np.bincount(labels[trained], minlength=len(taxonomy))
    evaluation = Evaluation(taxonomy, sizes, fit_temperature(logits[fitting], labels[asked][fitting]), ())
    evaluation.update(logits, labels[asked], [record.name for record in records], fitting)
    learnt = float((head.logits(features[trained]).argmax(axis=1) == labels[trained]).mean())
    return {**evaluation.result(0.9, None), "training_accuracy": learnt, "trained": int(trained.sum()), "classes": len(taxonomy)}


def photos_of(source, ranks, counts, min_images, seed):
    """(rows of the whole source, manifest, splits) of one seed."""
    from tfvision.data.manifest import drop_small_classes, read_source
    from tfvision.data.splits import split_validation

    places = {os.path.abspath(record.path): row for row, record in enumerate(read_source(source, ranks).records)}
    with tempfile.TemporaryDirectory() as folder:
        if counts:
            source = write_few_photos(source, ranks, counts, seed, Path(folder) / "photos.csv")
        manifest, _ = drop_small_classes(read_source(source, ranks), min_images)
    splits = split_validation(manifest, 0.2, seed)
    manifest, splits = manifest.select(splits != ""), splits[splits != ""]
    return np.array([places[os.path.abspath(record.path)] for record in manifest.records]), manifest, splits


GAINS = {"accuracy": lambda result: result["accuracy"], "depth at 0.90 right": lambda result: result["specificity"]["depth"]}


def tables_of(results):
    """Table 1, what transfer gains by seed, and the accuracy by photos a class."""
    from tfvision.apps.species.comparison import TABLE_1
    from tfvision.evaluation.comparison import JudgedRun, Measure, Row, Table

    rows = [Row(", ".join(filter(None, key)), tuple(JudgedRun("", {}, result) for result in found)) for key, found in results.items()]
    gained = []
    for (counts, name), found in results.items():
        if name == HIERARCHICAL:
            pairs = zip(found, results[counts, FLAT], strict=True)
            gains = [{key: read(new) - read(old) for key, read in GAINS.items()} for new, old in pairs]
            gained.append(Row(counts or "all photos", tuple(JudgedRun("", {}, gain) for gain in gains)))
    sizes = sorted({size["smallest"] for found in results.values() for result in found for size in result["by_class_size"]})
    by_size = {f"{size} and more": Measure(functools.partial(_of_size, size)) for size in sizes}
    gain_measures = {key: Measure(operator.itemgetter(key)) for key in GAINS}
    return [
        Table("Table 1", TABLE_1, rows),
        Table("What transfer gains, paired by seed", gain_measures, gained),
        Table("Accuracy by training photos of the species", by_size, rows),
    ]


def _of_size(smallest, result):
    return next((size["accuracy"] for size in result["by_class_size"] if size["smallest"] == smallest), None)


@click.command()
@click.argument("source")
@click.option("--ranks", callback=comma_separated, help="Label columns or folder levels, coarsest first; transfer starts above the finest.")
@click.option("--photos-a-class", "counts", multiple=True, metavar="N[,N...]", help="Train on so many photos of each class; repeatable.")
@click.option("--min-images", default=5, show_default=True, help="Classes with fewer photos are left out.")
@click.option("--seeds", default=3, show_default=True)
@click.option("--steps", default=200, show_default=True, help="Of each training.")
@click.option("--size", "size_px", default=160, show_default=True, help="Pixels a side.")
@click.option("--out", required=True, help="Folder that keeps the features.")
def main(source, ranks, counts, min_images, seeds, steps, size_px, out):
    """Print table 1 with and without transfer."""
    from tfvision.data.manifest import read_source

    Path(out).mkdir(parents=True, exist_ok=True)
    features, results = features_of(read_source(source, ranks), size_px, Path(out) / "features.npy"), {}
    for seed in range(seeds):
        for count in counts or ("",):
            rows, manifest, splits = photos_of(source, ranks, [int(one) for one in count.split(",") if one], min_images, seed)
            for name in (FLAT, HIERARCHICAL):
                result = measure(features[rows], manifest, splits, seed, steps, name)
                results.setdefault((count and f"{count} photos a class", name), []).append(result)
    told = f"{result['classes']} classes, {result['trained']} photos train, {result['images']} validate"
    print(f"\nmobilenet_v2 at {size_px} px, its features and {HIDDEN} units, {steps} steps, {seeds} seeds; {told}\n")
    print("\n\n".join(table.markdown() for table in tables_of(results)))


if __name__ == "__main__":
    main()
