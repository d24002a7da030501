"""Evaluates as many images and species as the paper's validation half, beside the time of one pass over the bytes.

    python benchmarks/evaluate_at_scale.py                                  # 121,414 x 19,027, under a minute
    python benchmarks/evaluate_at_scale.py --images 5000 --species 2000     # seconds

Logits are simulated: a random block is made once and shifted to a new place for each batch; making them is not
in the figures. The lower limit is one sum over the same bytes at the memory bandwidth measured here.
"""

import argparse
import resource
import time

import numpy as np

from tfvision.data.taxonomy import Taxonomy
from tfvision.evaluation.classification import Evaluation

RANKS = ("kingdom", "phylum", "class", "order", "family", "genus", "species")
GROUPS = (3, 12, 35, 150, 900, 7000)  # nodes at each rank above 19,027 species, like iNaturalist's


def main():
    options = _options()
    random = np.random.default_rng(0)
    taxonomy = simulated_taxonomy(options.species)
    class_sizes = np.maximum(4, random.pareto(1.0, options.species) * 8).astype(int)
    bandwidth = measured_bandwidth()
    started = time.perf_counter()
    evaluation = Evaluation(taxonomy, class_sizes)
    spent = {"prepare": time.perf_counter() - started, "update": 0.0}
    for logits, labels, names in batches(options.images, options.species, options.batch, random):
        started = time.perf_counter()
        evaluation.update(logits, labels, names, labels % 2 == 0)
        spent["update"] += time.perf_counter() - started
    started = time.perf_counter()
    result = evaluation.result()
    spent["result"] = time.perf_counter() - started
    _print(options, spent, 4 * options.images * options.species / bandwidth, bandwidth, result)


def simulated_taxonomy(species):
    """A tree of `species` leaves with unbalanced groups, in the paper's proportions."""
    random = np.random.default_rng(1)
    levels = []
    for groups in GROUPS:
        count = max(1, round(groups * species / 19027))
        cuts = np.sort(random.choice(np.arange(1, species), min(count - 1, species - 1), replace=False))
        levels.append(cuts)
    for coarse, fine in zip(range(5), range(1, 6), strict=True):
        levels[fine] = np.union1d(levels[coarse], levels[fine])  # each finer rank cuts wherever a coarser does
    index = np.arange(species)
    columns = [np.searchsorted(cuts, index, side="right") for cuts in levels] + [index]
    lineages = [tuple(f"{rank} {number:05d}" for rank, number in zip(RANKS, row, strict=True)) for row in zip(*columns, strict=True)]
    return Taxonomy.from_lineages(RANKS, lineages)


def batches(images, species, batch, random):
    """Yields logits float32 [batch, species], labels and names; about half of the images are right."""
    block = random.standard_normal(batch * species + species, np.float32) * 1.5
    for start in range(0, images, batch):
        count = min(batch, images - start)
        shift = int(random.integers(species))
        logits = block[shift : shift + count * species].reshape(count, species).copy()
        labels = random.integers(species, size=count)
        logits[np.arange(count), labels] += random.normal(7, 4, count).astype(np.float32)
        yield logits, labels, [f"photos/{start + place}.jpg" for place in range(count)]


def measured_bandwidth(megabytes=256):
    """Bytes a second of summing a float32 array much larger than the cache, best of five."""
    values = np.ones(megabytes << 18, np.float32)
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        values.sum()
        seconds.append(time.perf_counter() - started)
    return values.nbytes / min(seconds)


def _print(options, spent, limit_seconds, bandwidth, result):
    total = sum(spent.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{options.images:,} images x {options.species:,} species, batches of {options.batch}")
    for name, seconds in spent.items():
        print(f"  {name:<22}{seconds:8.1f} s")
    print(f"  {'total':<22}{total:8.1f} s   {options.images / total:,.0f} images/s   (limit: 120 s at full size)")
    one_pass = f"one pass at {bandwidth / 1e9:.1f} GB/s"
    print(f"  {one_pass:<22}{limit_seconds:8.1f} s   (lower limit; {total / limit_seconds:.0f} x)")
    print(f"  {'peak memory':<22}{peak:8.2f} GB  (limit: 3 GB)")
    named = result["specificity"]
    print(f"  accuracy {result['accuracy']:.3f}; specificity {named['accuracy']:.3f} at depth {named['depth']:.2f}")


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=121_414)
    parser.add_argument("--species", type=int, default=19_027)
    parser.add_argument("--batch", type=int, default=256)
    return parser.parse_args()


if __name__ == "__main__":
    main()
