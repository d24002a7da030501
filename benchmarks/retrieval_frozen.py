"""Feature Tuning's tables 1 to 4 where the base is trained behind a layer alone, as two cores allow: a tenth of the time of retrieval_tables.py.

    python benchmarks/retrieval_frozen.py SOURCE --protocol ukbench --frozen conv4 [--protocol-split paper] [--recipe paper] [--weights FILE]
        [--seeds 3] [--set key=value]... [--loss cosface | --untrained] --out DIR

Up to the tap `--frozen` the network keeps its weights; what it answers there is computed once, and the layers behind it are fine-tuned with softmax
and with CosFace, then the tuning networks, as in `tfvision train retriever` (without random changes of photos). The taps of each run are kept in
DIR/LOSS-SEED.npz; a run that is there already is not trained again. `--untrained` judges the network as it came: its taps, the additions and the
whitened addition, which needs no training.
"""

import dataclasses
import functools
import json
import os
from pathlib import Path

import click
import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from retrieval_tables import LOSSES, UNTRAINED, gains, row

from tfvision.command_line import key_values


def trial_and_labels(source, protocol, recipe, queries):
    """The Trial, the label of each photo of its gallery ("" = none), and which of them train under a recipe's seed."""
    from tfvision.apps.retrieval.source import choose_training, read_retrieval_source, read_trial, share_of

    trial = read_trial(source, protocol, queries=queries, share=recipe.share if protocol != "oxford" else 1.0)
    read = share_of(read_retrieval_source(source, train_on=recipe.train_on), recipe.share)
    of_name = {record.name: (label, trains) for record, label, trains in zip(read.manifest.records, read.labels, choose_training(read, recipe), strict=True)}
    found = [of_name.get(record.name, ("", False)) for record in trial.gallery.records]
    labels = np.array([label for label, _ in found])
    is_training = np.array([bool(label) and trains for label, trains in found])
    if recipe.protocol_split != "paper":
        trained = {trial.gallery.records[place].name for place in np.flatnonzero(is_training)}
        kept = [question for question, asking in zip(trial.questions, trial.asking, strict=True) if asking.name not in trained]
        trial = dataclasses.replace(trial, questions=kept)
    return trial, labels, is_training


class FrozenBase:
    """What the frozen part answers to the photos of a Trial; the rest is trained by `measure`."""

    def __init__(self, recipe, frozen, trial):
        from tfvision.models.catalogue import get_network

        self.recipe, self.trial = recipe, trial
        self.network, names = get_network(recipe.network), recipe.tap_names
        place = names.index(frozen) + 1
        self.layer, self.early, self.late = self.network.taps[frozen], names[:place], names[place:]

    @functools.cached_property
    def seen(self):
        """Of the gallery, and of the queries, which may be the same."""
        from frozen_base import see

        from tfvision.trained.retriever_network import build_retriever

        recipe = dataclasses.replace(self.recipe, tuning=(), whitening=0.0, index="addition")
        base = build_retriever(recipe, 2, recipe.size_px, recipe.weights).base
        look = functools.partial(see, network=self.network, base=base, layer=self.layer, size_px=recipe.size_px, taps=self.early)
        gallery = look(self.trial.gallery)
        return gallery, gallery if self.trial.queries is self.trial.gallery else look(self.trial.queries)

    def measure(self, recipe, trial, labels, is_training, path, is_fine_tuned=True):
        """Trains one run and judges it; keeps its taps, and takes those that are there."""
        from frozen_base import fit

        from tfvision.apps.retrieval.evaluation import judge_indices, score_of
        from tfvision.apps.retrieval.indices import Taps
        from tfvision.apps.retrieval.training import stage_loss, whiten
        from tfvision.trained.retriever_network import build_retriever

        classes, own = np.unique(labels[is_training], return_inverse=True)
        own = own.astype(np.int32)
        retriever, kept = build_retriever(recipe, len(classes), recipe.size_px, recipe.weights), path.with_suffix(".npz")
        if not kept.exists():
            tables = self._taps(retriever, recipe, own, is_training, is_fine_tuned)
            np.savez(kept, **tables, labels=labels, is_training=is_training)
        with np.load(kept) as tables:
            gallery, queries = (Taps(tables[name], dict(retriever.widths), tables[name].any(axis=1)) for name in ("gallery", "queries"))
        queries = gallery if trial.queries is trial.gallery else queries
        whiten(retriever, gallery, is_training, recipe)
        told, stages = {}, recipe.tuning_stages or recipe.stages
        for name in recipe.tuned_names:
            model = retriever.tuned[name]
            loss = stage_loss(model, recipe, lambda batch: batch["taps"])
            told[name] = fit(model, gallery.table[is_training], own, loss, stages, recipe, model.layers)
        judged = judge_indices(trial, gallery, queries, retriever.tuned, recipe)
        result = {"protocol": trial.protocol, **score_of(judged, recipe), "tap_norms": gallery.norms(), "protocol_split": recipe.protocol_split}
        result |= {"images": len(labels), "share": recipe.share, "training": told}
        path.write_text(json.dumps(result, default=float))
        return result

    def _taps(self, retriever, recipe, labels, is_training, is_fine_tuned):
        """{"gallery", "queries": all taps of the photos}, of the network as stage 1 leaves it."""
        import keras
        from frozen_base import answers, fit, tail_of

        from tfvision.apps.retrieval.training import stage_loss
        from tfvision.models.pooling import mean_layer
        from tfvision.trained.retriever_network import LOGITS

        tail = tail_of(retriever.base, self.layer, {tap: self.network.taps[tap] for tap in self.late})
        pooled = [mean_layer(tail.output[tap], f"{tap}_of_rows") for tap in self.late]
        head = retriever.classifier.get_layer(LOGITS)
        classifier = keras.Model(tail.input, {LOGITS: head(pooled[-1])})
        gallery, queries = self.seen
        if is_fine_tuned:
            loss = stage_loss(classifier, recipe, lambda batch: batch["taps"])
            print(fit(classifier, gallery.rows[is_training], labels, loss, recipe.stages, recipe, [head]), flush=True)
        reader = keras.Model(tail.input, dict(zip(self.late, pooled, strict=True)))

        def table(seen):
            late = answers(reader, seen.rows)
            return np.concatenate([*seen.pooled.values(), *(late[tap] for tap in self.late)], axis=1) * seen.is_read[:, None]

        return {"gallery": table(gallery), "queries": table(queries)}


@click.command()
@click.argument("source")
@click.option("--protocol", type=click.Choice(["ukbench", "holidays", "oxford", "labels"]), required=True)
@click.option("--frozen", required=True, help="The tap up to which the network keeps its weights.")
@click.option("--protocol-split", type=click.Choice(["held-out", "paper"]), default="held-out", show_default=True)
@click.option("--seeds", default=3, show_default=True)
@click.option("--recipe", default="paper", show_default=True)
@click.option("--weights", default="imagenet", show_default=True)
@click.option("--set", "settings", multiple=True, callback=key_values, metavar="KEY=VALUE", help="Change one number of the recipe; repeatable.")
@click.option("--loss", "losses", multiple=True, type=click.Choice(LOSSES), default=LOSSES, help="[default: both]")
@click.option("--queries", type=click.Choice(["boxes", "good"]), default="boxes", show_default=True, help="Of Oxford, as of tfvision evaluate.")
@click.option("--untrained", is_flag=True, help="No loss: the network as it came.")
@click.option("--out", required=True, help="Folder for what is found.")
def main(source, protocol, frozen, protocol_split, seeds, recipe, weights, settings, losses, queries, untrained, out):
    """Print the four tables."""
    from tfvision.apps.retrieval.comparison import tables
    from tfvision.apps.retrieval.recipes import RECIPES
    from tfvision.evaluation.comparison import Measure, Table
    from tfvision.trained.retriever_run import ADDITIONS, WHITENED
    from tfvision.training.recipes import with_settings

    recipe = with_settings(RECIPES[recipe](), {**settings, "protocol_split": protocol_split, "weights": weights})
    folder, base, results, losses = Path(out), None, {}, () if untrained else losses
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(seeds):
        trial, labels, is_training = trial_and_labels(source, protocol, dataclasses.replace(recipe, seed=seed), queries)
        for loss in (UNTRAINED, *losses):
            path = folder / f"{loss.replace(' ', '-')}-{seed}.json"
            if not path.exists():
                base = base or FrozenBase(recipe, frozen, trial)
                own = {"loss": loss} if loss in losses else {"tuning": (), "index": "addition"}
                base.measure(dataclasses.replace(recipe, seed=seed, **own), trial, labels, is_training, path, loss in losses)
            results.setdefault(loss, []).append(json.loads(path.read_text()))
            print(f"{loss}, seed {seed}: {results[loss][-1]['by_layer']} {results[loss][-1]['training']}", flush=True)
    trained = [row(loss, results[loss], loss) for loss in losses]
    every = [*trained, row(UNTRAINED, results[UNTRAINED])]
    made = [*tables(every), *([gains(trained, recipe.tap_names, recipe.tuned_names)] if trained and recipe.tuning else [])]
    if recipe.whitening:
        named = {name: Measure(lambda result, name=name: result["by_layer"][name]) for name in (*recipe.tap_names[-2:], *ADDITIONS, WHITENED)}
        made += [Table("The whitened addition", named, every), gains(every, recipe.tap_names, [WHITENED])]
    asked = results[UNTRAINED][0]["queries"]
    print(f"\n{recipe.network} at {recipe.size_px} px, frozen up to {frozen}, {seeds} seeds; {asked} queries in {len(labels)} photos")
    print("\n" + "\n\n".join(table.markdown() for table in made))


if __name__ == "__main__":
    main()
