"""One answer to several photos of one species: joined, by majority vote, and of the best single photo, for 1, 2, 3 and 5 photos.

    python benchmarks/species_groups.py SOURCE [SOURCE ...] [--ranks department,coarse,fine] [--seeds 4] [--known 0.75] [--target 0.9] [--share 0.2]
        [--cache FOLDER] [--copies 150] [--out FILE]

As benchmarks/species_unknown.py: the network of the recipe `small` keeps its pretrained weights, its features of each photo are computed once (`--cache` keeps
them), and a linear layer is fitted on those of the known species; each seed draws species and photos anew. A quarter of the photos of known species tests; on
the held-out ones the product's own functions fit temperature, dependence and thresholds, without unknown species and for a share of them. Groups are drawn of
the photos of one species, no photo twice for a size. `--copies N` asks as well about bursts: a photo with four crops of it, a little shifted and brightened,
for N photos, which must keep the promise though they tell nothing new.
"""

import dataclasses
import json
import os
from pathlib import Path

import click
import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from species_unknown import features_of, parts_of, told

from tfvision.command_line import comma_separated

SIZES = (1, 2, 3, 5)
BURST = 5  # photos: one, and crops of it
WAYS = ("joined", "majority vote", "best photo")
SEEN_BY_NONE = "joined, first of no photo"


@dataclasses.dataclass
class Model:
    """What is fitted for one seed: a taxonomy and by what it answers, without unknown species and with a share of them."""

    novelty: object
    taxonomy: object
    temperature: float
    answering: dict  # share -> Answering


def fitted_model(manifest, features, labels, parts, taxonomy, seed, target, share):
    from tfvision.apps.species.group_answers import answering_of
    from tfvision.apps.species.groups import Seen, fitted_groups, group_rule
    from tfvision.apps.species.unknown import answers_of, fitted_unknown
    from tfvision.data.splits import halve
    from tfvision.evaluation import hierarchy, specificity
    from tfvision.evaluation.calibration import fit_temperature, softmax
    from tfvision.evaluation.groups import groups_to_fit_on
    from tfvision.evaluation.novelty import NoveltyModel

    trained, held = parts["train"], parts["validation"]
    names = [record.group for record in manifest.select(held).records]
    fitting, held_labels = halve(names, seed), labels[held]
    head = NoveltyModel.fit(features[trained], labels[trained], len(taxonomy))
    seen = Seen(head.logits(features[held]).astype(np.float32), features[held], held_labels)
    temperature = fit_temperature(seen.logits[fitting], held_labels[fitting])
    nodes, reached = hierarchy.descend(softmax(seen.logits, temperature), taxonomy)
    is_sure = specificity.is_reachable(fitting.sum(), target, 0.95)
    is_correct = hierarchy.judge(nodes, held_labels, taxonomy)
    threshold = specificity.fit_threshold(reached[fitting], is_correct[fitting], target, 0.95 if is_sure else None).threshold
    calibration = {"temperature": temperature, "target": target, "threshold": threshold, "depth_curve": [{"target": target, "threshold": threshold}]}
    calibration["groups"] = fitted_groups(seen, names, fitting, taxonomy, temperature, threshold, target, seed)
    groups, _ = groups_to_fit_on(names, held_labels, fitting, seed)
    trained_on = Seen(head.logits(features[trained]), features[trained], labels[trained])
    stored, model, *_ = fitted_unknown(trained_on, seen, groups, taxonomy, temperature, group_rule(calibration), seed)
    unknown = answers_of(stored, model.arrays(), share, target)
    shares = {
        0: answering_of(calibration, stored, taxonomy, temperature),
        share: answering_of(calibration, stored, taxonomy, temperature, unknown=unknown),
    }
    return Model(head, taxonomy, temperature, shares), calibration["groups"]


def drawn(species, size, random):
    """Groups of so many photos of one species: lists of rows, no row twice."""
    groups = []
    for name in np.unique(species):
        rows = random.permutation(np.flatnonzero(species == name))
        groups += [rows[start : start + size] for start in range(0, len(rows) - size + 1, size)]
    return groups


def by_species(groups, answers, taxonomy, logits, temperature, labels):
    """{way: share of groups whose species is named}, and how many have a likeliest species that is the first of none of their photos."""
    from tfvision.evaluation.calibration import softmax

    probabilities = softmax(logits, temperature)
    right = {way: [] for way in (*WAYS, SEEN_BY_NONE)}
    for rows, answer in zip(groups, answers, strict=True):
        own = probabilities[rows]
        votes = np.bincount(own.argmax(axis=1), minlength=len(taxonomy)) + own.mean(axis=0) / 2  # of equal counts the likelier
        for way, named in zip(WAYS, (answer.likeliest[0], votes.argmax(), own[own.max(axis=1).argmax()].argmax()), strict=True):
            right[way].append(named == labels[rows[0]])
        right[SEEN_BY_NONE].append(answer.likeliest[0] not in own.argmax(axis=1))
    return {way: float(np.mean(values)) for way, values in right.items()}


def careful(answers, lineages, taxonomy):
    """(share of right answers, depth, share that got a species' name) of answers to groups of these lineages, each species counting alike."""
    from tfvision.data.names import plain_taxon

    rows = {}
    for answer, lineage in zip(answers, lineages, strict=True):
        own = set(zip(taxonomy.ranks, map(plain_taxon, lineage), strict=True))
        is_right = all((taxonomy.node_ranks[node], plain_taxon(taxonomy.names[node])) in own for node in answer.path[1:])
        rows.setdefault(lineage, []).append((is_right, len(answer.path) - 1, bool(taxonomy.is_leaf[answer.path[-1]])))
    return np.mean([np.mean(values, axis=0) for values in rows.values()], axis=0)


def measure(manifest, features, bursts, known, unknown, seed, target, share):
    """One seed: {"sizes": {SIZE or "burst": {"accuracy": {way: share}, "known": (right, depth), "unknown": (right, depth, unknown given a species' name)}},
    "groups": what was fitted}."""
    from tfvision.apps.species.group_answers import Evidence

    taxonomy, labels, parts = parts_of(manifest, known, unknown, seed)
    model, groups = fitted_model(manifest, features, labels, parts, taxonomy, seed, target, share)
    lineages, random, found = [record.lineage for record in manifest.records], np.random.default_rng(seed), {}
    _, species = np.unique([" ".join(lineage) for lineage in lineages], return_inverse=True)
    tested, strange = np.flatnonzero(parts["test"]), np.flatnonzero(parts["unknown"])
    for size in (*SIZES, "burst") if bursts else SIZES:
        sides = []
        for rows in (tested, strange):
            if size == "burst":
                own = [row for row in rows if row in bursts]
                photos = np.concatenate([np.concatenate([features[row][None], bursts[row]]) for row in own])
                chosen, of_photo = np.arange(len(photos)).reshape(-1, BURST), np.repeat(own, BURST)
            else:
                photos, chosen, of_photo = features[rows], drawn(species[rows], size, random), rows
            logits = model.novelty.logits(photos).astype(np.float32)
            seen = Evidence.of(logits, photos, model.answering[share].unknown)
            answers = {one: list(answering.careful(list(chosen), seen)) for one, answering in model.answering.items()}
            sides.append((answers, chosen, logits, of_photo))
        (answers, chosen, logits, of_photo), (of_strange, strange_groups, _, strange_photos) = sides
        right, depth, _ = careful(answers[0], [lineages[of_photo[rows[0]]] for rows in chosen], taxonomy)
        of_known = careful(answers[share], [lineages[of_photo[rows[0]]] for rows in chosen], taxonomy)
        of_unknown = careful(of_strange[share], [lineages[strange_photos[rows[0]]] for rows in strange_groups], taxonomy)
        found[str(size)] = {
            "accuracy": by_species(chosen, answers[0], taxonomy, logits, model.temperature, labels[of_photo]),
            "known": (right, depth),
            "unknown": ((1 - share) * of_known[0] + share * of_unknown[0], of_known[1], of_unknown[2]),
        }
    return {"sizes": found, "groups": groups}


def burst_features(manifest, count, path, seed=0):
    """{photo: float32 [BURST - 1, channels]} of crops of so many photos, a little shifted and brightened."""
    from PIL import Image, ImageEnhance

    from tfvision.data.manifest import Manifest, Record

    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(len(manifest))[:count])
    records = []
    folder = path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    for row in chosen:
        picture = Image.open(manifest.records[row].path).convert("RGB")
        for number in range(BURST - 1):
            width, height = (max(1, int(side * random.uniform(0.9, 0.98))) for side in picture.size)
            left, top = int(random.integers(0, picture.width - width + 1)), int(random.integers(0, picture.height - height + 1))
            crop = ImageEnhance.Brightness(picture.crop((left, top, left + width, top + height))).enhance(random.uniform(0.9, 1.1))
            file = folder / f"{row}-{number}.png"
            if not file.exists():
                crop.save(file)
            records.append(Record(str(file), file.name, manifest.records[row].lineage, str(row)))
    features = features_of(Manifest(manifest.ranks, tuple(records)), path)
    return dict(zip(chosen.tolist(), features.reshape(len(chosen), BURST - 1, -1), strict=True))


def tables(results, share, target):
    lines = [f"| photos | {' | '.join((*WAYS, SEEN_BY_NONE))} |", "|---|---|---|---|---|"]
    sizes = list(results[0]["sizes"])
    for size in sizes:
        cells = [told([result["sizes"][size]["accuracy"][way] for result in results]) for way in (*WAYS, SEEN_BY_NONE)]
        lines.append(f"| {size} | {' | '.join(cells)} |")
    lines += [
        "",
        f"| photos | right, asked for {target} | depth | right, {share:.0%} unknown | depth, known | unknown given a species' name |",
        "|" + "---|" * 6,
    ]
    for size in sizes:
        columns = zip(*((*result["sizes"][size]["known"], *result["sizes"][size]["unknown"]) for result in results), strict=True)
        lines.append(f"| {size} | {' | '.join(told(column) for column in columns)} |")
    fitted = [result["groups"] for result in results if result["groups"]]
    if fitted:
        lines += ["", f"fitted dependence {told([one['dependence'] for one in fitted])}, similarity {told([one['similarity'] for one in fitted])}"]
    return "\n".join(lines)


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.option("--ranks", callback=comma_separated, help="Label columns or folder levels, coarsest first.")
@click.option("--known", default=0.75, show_default=True, help="Share of the species to train on; the others are unknown.")
@click.option("--seeds", default=4, show_default=True)
@click.option("--target", default=0.9, show_default=True, help="Share of answers to be right.")
@click.option("--share", default=0.2, show_default=True, help="Of unknown species, of those that are fitted.")
@click.option("--cache", help="A folder that keeps features.")
@click.option("--copies", default=0, show_default=True, help="Photos to make bursts of.")
@click.option("--out", help="A JSON file for what each seed gave.")
def main(sources, ranks, known, seeds, target, share, cache, copies, out):
    """Print accuracy, right answers and depth by photos a group."""
    import tempfile

    from tfvision.data.manifest import drop_small_classes, read_source

    kept = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(cache or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for source in sources:
            manifest, _ = drop_small_classes(read_source(source, ranks), 5)
            features = features_of(manifest, folder / f"{Path(source).stem}.npz")
            bursts = burst_features(manifest, copies, folder / f"{Path(source).stem}-bursts.npz") if copies else {}
            species = len({record.lineage for record in manifest.records})
            trained = round(known * species)
            results = [measure(manifest, features, bursts, trained, species - trained, seed, target, share) for seed in range(seeds)]
            click.echo(f"\n{source}: {trained} known and {species - trained} unknown species of {len(manifest)} photos, {seeds} seeds; mean ± 95 % interval\n")
            click.echo(tables(results, share, target))
            kept[source] = results
    if out:
        Path(out).write_text(json.dumps(kept, default=float))


if __name__ == "__main__":
    main()
