"""Hierarchical transfer where classes have few photos, on a pretrained network trained behind a layer alone, as two cores allow.

    python benchmarks/species_frozen.py SOURCE [--ranks class,species] [--photos-a-class 5 --photos-a-class 5,10,20] [--seeds 3] [--steps 200]
        [--network mobilenet_v2] [--frozen out_relu] [--hidden 256] [--size 96] [--set key=value]... --out DIR

Up to the layer `--frozen`, the last one by default, the network keeps its ImageNet weights; what it answers there to each photo is computed once. What is behind it is trained, and before the last layer one of `--hidden` units, which starts at random: what ranks share is learnt there.
Each row spends the same steps, hierarchical transfer a third of them on the rank above the finest, as in species_table1.py, which trains the whole network.
`--photos-a-class` is that of species_table1.py; without it a share of each class's photos is held out, as in a training.
"""

import dataclasses
import functools
import json
import operator
import os
import tempfile
import time
from pathlib import Path

import click
import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from species_table1 import write_few_photos

from tfvision.command_line import comma_separated, key_values

FLAT, HIERARCHICAL = "no transfer", "hierarchical"


class FewPhotos:
    """A pretrained network behind a frozen layer, and what that answers to all photos of a source."""

    def __init__(self, manifest, network, layer, hidden, size_px, weights):
        from frozen_base import see

        from tfvision.models.catalogue import get_network
        from tfvision.models.weights import load_pretrained

        self.network, self.layer, self.hidden = get_network(network), layer, hidden
        self.base = self.network.build(size_px)
        load_pretrained(self.base, network, weights)
        self.first_weights = self.base.get_weights()
        self.rows = see(manifest, self.network, self.base, layer, size_px).rows
        self.row_of = {os.path.abspath(record.path): row for row, record in enumerate(manifest.records)}

    def measure(self, manifest, splits, recipe, steps, name):
        """Trains one row of the table on the photos of the split "train"; returns what an evaluation of the others finds."""
        from frozen_base import answers

        from tfvision.apps.species.knowledge_transfer import classes_at_rank
        from tfvision.data.splits import halve
        from tfvision.evaluation.calibration import fit_temperature
        from tfvision.evaluation.classification import Evaluation

        started = time.perf_counter()
        taxonomy = manifest.taxonomy()
        labels, places = manifest.labels(taxonomy), np.array([self.row_of[os.path.abspath(record.path)] for record in manifest.records])
        trained, asked = splits == "train", splits == "validation"
        rows, own = self.rows[places[trained]], labels[trained]
        ranks = taxonomy.ranks[-2:] if name == HIERARCHICAL else taxonomy.ranks[-1:]
        shares = (1 / 3, 2 / 3)[-len(ranks) :] if len(ranks) > 1 else (1.0,)
        model = self._trained(rows, own, [classes_at_rank(taxonomy, rank) for rank in ranks], recipe, [round(share * steps) for share in shares])
        logits = answers(model, self.rows[places[asked]])["species"]
        fitting = halve([record.group for record in manifest.select(asked).records], recipe.seed)
        sizes = np.bincount(labels[trained], minlength=len(taxonomy))
        evaluation = Evaluation(taxonomy, sizes, fit_temperature(logits[fitting], labels[asked][fitting]), ())
        evaluation.update(logits, labels[asked], [record.name for record in manifest.select(asked).records], fitting)
        learnt = answers(model, self.rows[places[trained]])["species"].argmax(1) == labels[trained]
        found = evaluation.result(0.9, None)
        kept = ("images", "accuracy", "accuracy_interval", "accuracy_by_rank", "specificity", "by_class_size")
        return {
            **{key: found[key] for key in kept if key in found},
            "training_accuracy": float(learnt.mean()),
            "photos": int(trained.sum()),
            "classes": len(taxonomy),
            "seconds": time.perf_counter() - started,
        }

    def _trained(self, rows, labels, ranks, recipe, steps):
        import keras
        from frozen_base import fit, tail_of

        from tfvision.apps.species.knowledge_transfer import parents_between, transfer_heads
        from tfvision.models.layers import CountedDropout
        from tfvision.models.multi_view import add_heads

        self.base.set_weights(self.first_weights)
        tail = tail_of(self.base, self.layer, {"maps": self.base.layers[-1].name})
        pooled = keras.layers.GlobalAveragePooling2D(name="pool")(tail.output["maps"])
        if self.hidden:
            pooled = keras.layers.Dense(self.hidden, "relu", kernel_initializer=keras.initializers.HeNormal(seed=recipe.seed), name="hidden")(pooled)
        trunk = keras.Model(tail.input, {"features": CountedDropout(recipe.dropout, recipe.seed, name="dropout")(pooled)}, name="trunk")
        model = None
        for number, (classes, count) in enumerate(zip(ranks, steps, strict=True)):
            if model is None:
                model = add_heads(trunk, len(classes.nodes), recipe.seed)
            else:
                model = transfer_heads(model, trunk, parents_between(ranks[number - 1], classes), recipe.mixing, recipe.seed + 10 * number)
            stages = ((count * recipe.batch_size / len(rows), recipe.stages[0][1]),)
            fit(
                model,
                rows,
                classes.of_class[labels],
                _loss(model, recipe),
                stages,
                recipe,
                [layer for layer in model.layers if layer.name in ("hidden", "species_logits")],
            )
        return model


def _loss(model, recipe):
    from tfvision.losses.classification import smoothed_cross_entropy
    from tfvision.training.classification import accuracy

    def loss(batch, step):
        logits = model(batch["taps"], training=True)["species"]
        return smoothed_cross_entropy(batch["label"], logits, recipe.label_smoothing) * batch["weight"], accuracy(batch["label"], logits, batch["weight"])

    return loss


def photos_of(source, ranks, counts, recipe):
    """(manifest, splits) of one seed."""
    from tfvision.data.manifest import drop_small_classes, read_source
    from tfvision.data.splits import split_validation

    with tempfile.TemporaryDirectory() as folder:
        if counts:
            source = write_few_photos(source, ranks, counts, recipe.seed, Path(folder) / "photos.csv")
        manifest, _ = drop_small_classes(read_source(source, ranks), recipe.min_images)
    splits = split_validation(manifest, recipe.validation_fraction, recipe.seed)
    return manifest.select(splits != ""), splits[splits != ""]


def tables_of(results):
    """Table 1, what transfer gains by seed, and the accuracy by photos a class."""
    from tfvision.apps.species.comparison import TABLE_1, tables
    from tfvision.evaluation.comparison import JudgedRun, Measure, Row, Table

    rows = {key: Row(", ".join(filter(None, key)), tuple(JudgedRun("", {}, result) for result in found)) for key, found in results.items()}
    gained = []
    for (counts, name), found in results.items():
        if name == HIERARCHICAL:
            pairs = zip(found, results[counts, FLAT], strict=True)
            gains = [{key: read(new) - read(old) for key, read in GAINS.items()} for new, old in pairs]
            gained.append(Row(counts or "all photos", tuple(JudgedRun("", {}, gain) for gain in gains)))
    sizes = sorted({size["smallest"] for found in results.values() for result in found for size in result["by_class_size"]})
    by_size = {f"{size} and more": Measure(functools.partial(_of_size, size)) for size in sizes}
    made = [Table("Table 1", TABLE_1, [*rows.values()]), *tables([*rows.values()])[1:]]
    made.append(Table("What transfer gains, paired by seed", {key: Measure(operator.itemgetter(key)) for key in GAINS}, gained))
    return [*made, Table("Accuracy by training photos of the species", by_size, [*rows.values()])]


GAINS = {
    "accuracy": lambda result: result["accuracy"],
    "depth at 0.90 right": lambda result: result["specificity"]["depth"],
}


def _of_size(smallest, result):
    return next((size["accuracy"] for size in result["by_class_size"] if size["smallest"] == smallest), None)


@click.command()
@click.argument("source")
@click.option("--ranks", callback=comma_separated, help="Label columns or folder levels, coarsest first; transfer starts above the finest.")
@click.option("--photos-a-class", "counts", multiple=True, metavar="N[,N...]", help="Train on so many photos of each class; repeatable.")
@click.option("--seeds", default=3, show_default=True)
@click.option("--steps", default=200, show_default=True, help="Of each training.")
@click.option("--network", default="mobilenet_v2", show_default=True)
@click.option("--frozen", default="out_relu", show_default=True, help="The layer up to which the network keeps its weights.")
@click.option("--hidden", default=256, show_default=True, help="Units of a layer before the last; 0 = there is none.")
@click.option("--size", "size_px", default=96, show_default=True, help="Pixels a side.")
@click.option("--weights", default="imagenet", show_default=True)
@click.option("--set", "settings", multiple=True, callback=key_values, metavar="KEY=VALUE", help="Change one number of the recipe small; repeatable.")
@click.option("--out", required=True, help="Folder for what is found.")
def main(source, ranks, counts, seeds, steps, network, frozen, hidden, size_px, weights, settings, out):
    """Print table 1 with and without transfer."""
    from tfvision.apps.species.recipes import small
    from tfvision.data.manifest import read_source
    from tfvision.training.recipes import with_settings

    recipe = with_settings(dataclasses.replace(small(), warmup_steps=20), settings)
    folder, seen, results = Path(out), None, {}
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(seeds):
        for count in counts or ("",):
            own = dataclasses.replace(recipe, seed=seed)
            manifest, splits = photos_of(source, ranks, [int(one) for one in count.split(",") if one], own)
            for name in (FLAT, HIERARCHICAL):
                path = folder / f"{count or 'all'}-{name.replace(' ', '-')}-{seed}.json"
                if not path.exists():
                    seen = seen or FewPhotos(read_source(source, ranks), network, frozen, hidden, size_px, weights)
                    path.write_text(json.dumps(seen.measure(manifest, splits, own, steps, name), default=float))
                result = json.loads(path.read_text())
                results.setdefault((count and f"{count} photos a class", name), []).append(result)
                print(
                    f"{count} {name}, seed {seed}: {result['accuracy']:.3f}, depth {result['specificity']['depth']:.2f}, {result['seconds']:.0f} s", flush=True
                )
    told = f"{network} at {size_px} px, frozen up to {frozen}, {hidden} hidden units, {steps} steps, {seeds} seeds"
    print(f"\n{told}; {result['classes']} classes, {result['images']} validation photos\n")
    print("\n\n".join(table.markdown() for table in tables_of(results)))


if __name__ == "__main__":
    main()
