"""How often answers are right where some photos are of species that were never trained on: today's rule beside that of unknown species.

    python benchmarks/species_unknown.py SOURCE --known 7 --unknown 3 [--ranks department,coarse,fine] [--seeds 8] [--target 0.9] [--features FILE] [--out FILE]

Each seed draws the known and the unknown species anew. The network of the recipe `small` keeps its pretrained
weights: its features of each photo are computed once (`--features` keeps them for the next time), and a linear layer is fitted on those of the known species. A
quarter of their photos tests; of the rest a fifth is held out, on which the product's own functions fit temperature and thresholds. Unknown photos fit nothing.
"""

import json
import os
from pathlib import Path

import click
import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from tfvision.command_line import comma_separated

TESTED = 0.25  # of each known species' photos
HELD_OUT = 0.2  # of the others
OURS, TODAY = "unknown share", "today"


def features_of(manifest, path):
    """float32 [photos, channels] of the small recipe's network with its pretrained weights, both views and their mirror images averaged, as in `identify`."""
    from tfvision.apps.species.recipes import small
    from tfvision.files import read_arrays, write_arrays
    from tfvision.trained.species_network import build_species_trunk, make_predictor, predict

    if path and Path(path).exists():
        return read_arrays(path, {"features": ("f", (len(manifest), None))}, "remove it to compute the features anew")["features"]
    recipe = small()
    trunk, told = build_species_trunk(recipe, weights="imagenet")
    print(f"{recipe.network} ({told}), {recipe.image_size} px", flush=True)
    parts = list(predict(make_predictor(trunk, True, "features"), manifest, recipe))
    numbers, features = (np.concatenate(values) for values in zip(*parts, strict=True))
    if len(numbers) < len(manifest):
        raise click.ClickException(f"{len(manifest) - len(numbers)} photos of the source cannot be read: leave them out")
    if path:
        write_arrays(path, {"features": features})
    return features


def parts_of(manifest, known, unknown, seed):
    """(taxonomy of the known species, labels, masks by the names train, validation, test and unknown)."""
    from tfvision.data.splits import split_validation

    lineages = np.empty(len(manifest), object)
    lineages[:] = [record.lineage for record in manifest.records]
    species = sorted({*lineages})
    drawn = [species[number] for number in np.random.default_rng(seed).permutation(len(species))]
    if known + unknown > len(drawn):
        raise click.ClickException(f"--known and --unknown must be at most {len(drawn)} together, the species of the source with 5 photos")
    is_known = np.array([lineage in set(drawn[unknown : unknown + known]) for lineage in lineages])
    is_unknown = np.array([lineage in set(drawn[:unknown]) for lineage in lineages])
    of_known = manifest.select(is_known)
    of_known = of_known.with_splits(np.full(len(of_known), ""))
    is_test = split_validation(of_known, TESTED, seed) == "validation"
    held_out = split_validation(of_known.select(~is_test), HELD_OUT, seed + 1000)
    names = np.full(len(of_known), "test", object)
    names[~is_test] = held_out
    parts = {"unknown": is_unknown}
    for name in ("train", "validation", "test"):
        parts[name] = np.zeros(len(manifest), bool)
        parts[name][np.flatnonzero(is_known)[names == name]] = True
    taxonomy = of_known.taxonomy()
    return taxonomy, manifest.labels(taxonomy), parts


def measure(manifest, features, known, unknown, seed, target):
    """One seed: {score: (AUROC, error at 95 % of knowns kept)} and {rule: {share: what measure_share says}}."""
    from tfvision.data.splits import halve
    from tfvision.evaluation import specificity
    from tfvision.evaluation.calibration import fit_temperature
    from tfvision.evaluation.novelty import NoveltyModel
    from tfvision.evaluation.unknown_species import (
        SHARES,
        UnknownAnswers,
        fit_rule,
        fit_share,
        known_paths,
        leave_species_out,
        measure_depths,
        measure_share,
        unknown_paths,
    )

    taxonomy, labels, parts = parts_of(manifest, known, unknown, seed)
    trained, held, test = (parts[name] for name in ("train", "validation", "test"))
    model = NoveltyModel.fit(features[trained], labels[trained], len(taxonomy))
    logits = {name: model.logits(features[chosen]).astype(np.float32) for name, chosen in parts.items()}
    scores = {name: model.scores(features[chosen]) for name, chosen in parts.items()}
    lineages = [record.lineage for record in manifest.select(parts["unknown"]).records]
    fitting = halve([record.group for record in manifest.select(held).records], seed)

    def seen(temperature):
        paths = {name: known_paths(logits[name], scores[name], labels[parts[name]], taxonomy, temperature) for name in ("validation", "test")}
        return paths["validation"], paths["test"], unknown_paths(logits["unknown"], scores["unknown"], lineages, taxonomy, temperature)

    temperature = fit_temperature(logits["validation"][fitting], labels[held][fitting])
    validation, tested, strange = seen(temperature)
    is_sure = specificity.is_reachable(fitting.sum(), target, 0.95)
    threshold = specificity.fit_threshold(validation.reached[fitting], validation.is_correct[fitting], target, 0.95 if is_sure else None).threshold
    depths = [specificity.answer_depths(photos.reached, threshold) for photos in (tested, strange)]
    left = leave_species_out(features[trained], labels[trained], features[held], labels[held], taxonomy, seed).photos
    rule, found = fit_rule(validation, left), {TODAY: {}, OURS: {}}
    for share in (0, *SHARES):
        found[TODAY][share] = found[OURS][share] = measure_depths(*depths, tested, strange, taxonomy, share)
        if share:
            fitted = fit_share(rule, validation, left, taxonomy, share, [target])
            answers = UnknownAnswers(model, rule, share, fitted["species_threshold"], fitted["points"][0]["threshold"])
            found[OURS][share] = measure_share(answers, tested, strange, taxonomy)
    return {
        "scores": compared_scores(model, features, trained, test, parts["unknown"], rule),
        "rules": found,
        "accuracy": float((logits["test"].argmax(1) == labels[test]).mean()),
    }


def compared_scores(model, features, trained, test, unknown, rule):
    """{score: (AUROC, share of unknown photos kept where 95 % of known ones are)}; all are higher for the less like."""
    from tfvision.evaluation.novelty import SCORES, neighbour_distance

    ways = {
        "largest probability": lambda seen: model.scores(seen)[:, SCORES.index("log_odds")],
        "energy": lambda seen: model.scores(seen)[:, SCORES.index("energy")],
        "5 nearest training photos": lambda seen: neighbour_distance(seen, features[trained]),
        "nearest class mean": lambda seen: model.scores(seen)[:, SCORES.index("prototype")],
        "Mahalanobis": lambda seen: model.mahalanobis(seen)[0],
        "Mahalanobis, relative": lambda seen: model.mahalanobis(seen)[1],
        "fitted on left-out species": lambda seen: rule.chance(model.scores(seen), 0.5),
    }
    return {name: separation(score(features[test]), score(features[unknown])) for name, score in ways.items()}


def separation(known, unknown):
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([known, unknown]))[len(known) :]
    area = (ranks.sum() - len(unknown) * (len(unknown) + 1) / 2) / (len(known) * len(unknown))
    return float(area), float((unknown <= np.quantile(known, 0.95)).mean())


def told(values):
    """ "mean ± half of a 95 % interval over seeds"."""
    from scipy.stats import t

    values = np.asarray(values, float)
    if len(values) < 2:
        return f"{values.mean():.3f}"
    return f"{values.mean():.3f} ± {t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)):.3f}"


def tables(results):
    lines = ["| score | AUROC | error at 95 % of knowns kept |", "|---|---|---|"]
    for name in results[0]["scores"]:
        areas, errors = zip(*(result["scores"][name] for result in results), strict=True)
        lines.append(f"| {name} | {told(areas)} | {told(errors)} |")
    lines += ["", "| share unknown | rule | right | of known | of unknown | depth, known | depth, unknown | unknown given a species' name |", "|" + "---|" * 8]
    keys = ("right", "right_known", "right_unknown", "depth", "depth_unknown", "named")
    for share in results[0]["rules"][TODAY]:
        for rule in (TODAY, OURS)[: 2 if float(share) else 1]:
            cells = [told([result["rules"][rule][share][key] for result in results]) for key in keys]
            lines.append(f"| {share} | {rule} | {' | '.join(cells)} |")
    return "\n".join(lines)


@click.command()
@click.argument("source")
@click.option("--known", type=int, required=True, help="Species to train on.")
@click.option("--unknown", type=int, required=True, help="Species to ask about besides.")
@click.option("--ranks", callback=comma_separated, help="Label columns or folder levels, coarsest first.")
@click.option("--seeds", default=8, show_default=True)
@click.option("--target", default=0.9, show_default=True, help="Share of answers to be right.")
@click.option("--features", "kept", help="A .npz file that keeps the features.")
@click.option("--out", help="A JSON file for what each seed gave.")
def main(source, known, unknown, ranks, seeds, target, kept, out):
    """Print how well scores tell unknown species, and what answers are worth with so many of them."""
    from tfvision.data.manifest import drop_small_classes, read_source

    manifest, _ = drop_small_classes(read_source(source, ranks), 5)
    features = features_of(manifest, kept)
    results = []
    for seed in range(seeds):
        results.append(measure(manifest, features, known, unknown, seed, target))
        print(f"seed {seed}: {results[-1]['accuracy']:.3f} of the known right, with 20 % unknown {results[-1]['rules'][OURS][0.2]['right']:.3f}", flush=True)
    print(f"\n{known} known and {unknown} unknown species of {len(manifest)} photos, {seeds} seeds, target {target}; mean ± 95 % interval over seeds\n")
    print(tables(results))
    if out:
        Path(out).write_text(json.dumps(results, default=float))


if __name__ == "__main__":
    main()
