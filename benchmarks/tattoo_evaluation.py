"""The evaluation of matching at the size of a national gallery: time, memory, and the same figures computed directly.

    python benchmarks/tattoo_evaluation.py [--probes 100000] [--gallery 100000] [--dimension 128]

The vectors are synthetic: a point for each subject, and 1.0 of noise a photo in each of the dimensions relative to the spread of
subjects, L2-normalised; each gallery photo is of another subject, a tenth of the probes of none. What is timed is all that
`tfvision evaluate` does once photos are vectors. Memory is what the process grew by at most, vectors included. `direct` computes
rank 1, mAP and EER with whole matrices and scikit-learn, on the first --direct probes and gallery photos; both must agree.
"""

import resource
import time

import click
import numpy as np

from tfvision.apps.tattoo_matching.evaluation import summary
from tfvision.evaluation.identification import judge_probes, subject_groups
from tfvision.evaluation.retrieval import Question


def photos_of(subjects, dimension, noise, seed):
    """float32 [subjects, dimension]: a photo of each, made in parts so that no temporary is large."""
    random = np.random.default_rng(seed)
    vectors = np.empty((len(subjects), dimension), np.float32)
    for start in range(0, len(subjects), 10_000):
        part = np.stack([np.random.default_rng([7, int(subject)]).standard_normal(dimension, np.float32) for subject in subjects[start : start + 10_000]])
        part += noise * random.standard_normal(part.shape, np.float32)
        vectors[start : start + 10_000] = part / np.linalg.norm(part, axis=1, keepdims=True)
    return vectors


def questions_of(probes):
    """Probe n asks for gallery photo n where its subject has one."""
    return [Question(row, np.array([subject]) if subject >= 0 else np.zeros(0, int)) for row, subject in enumerate(probes)]


def direct_figures(probes, gallery, mates):
    """Rank 1, mAP and EER by whole matrices, for the probes with a mate; EER by scikit-learn, over all pairs."""
    from sklearn.metrics import roc_curve

    scores = probes @ gallery.T
    is_mate = mates[:, None] == np.arange(len(gallery))[None]
    mated = mates >= 0
    own = scores[np.flatnonzero(mated), mates[mated]]
    ranks = 1 + np.count_nonzero(np.where(is_mate, -np.inf, scores)[mated] >= own[:, None], axis=1)
    fmr, hit_rate, _ = roc_curve(is_mate.ravel(), scores.ravel())
    place = np.argmin(np.abs(fmr - (1 - hit_rate)))
    return {"rank 1": np.mean(ranks == 1), "mAP": np.mean(1 / ranks), "EER": (fmr[place] + 1 - hit_rate[place]) / 2}


@click.command()
@click.option("--probes", "count", default=100_000, show_default=True)
@click.option("--gallery", "size", default=100_000, show_default=True)
@click.option("--dimension", default=128, show_default=True)
@click.option("--noise", default=1.0, show_default=True)
@click.option("--direct", default=2000, show_default=True, help="Probes and gallery photos of the direct computation.")
def main(count, size, dimension, noise, direct):
    """Print a table."""
    before = _peak_mb()
    mates = np.where(np.arange(count) % 10 == 9, -1, np.arange(count) % size)  # row of the gallery, -1 = a stranger
    subjects = np.where(mates >= 0, mates, size + np.arange(count))
    gallery, probes = photos_of(np.arange(size), dimension, noise, 1), photos_of(subjects, dimension, noise, 2)
    print(f"{count:,} probes against {size:,}, {dimension} values a photo: vectors of {(gallery.nbytes + probes.nbytes) / 2**20:.0f} MB")

    started = time.perf_counter()
    judged = judge_probes(probes, gallery, questions_of(mates), subject_groups(subjects))
    searched = time.perf_counter() - started
    figures = summary(judged, subjects)
    total = time.perf_counter() - started
    print(f"{'searched':<28}{searched:>10.1f} s   {count * size / searched / 1e6:,.0f} million pairs a second")
    print(f"{'figures and intervals':<28}{total - searched:>10.1f} s")
    print(f"{'highest memory':<28}{_peak_mb() - before:>10.0f} MB   limit 4096 MB")
    for name, value in {"rank 1": figures["cmc"]["1"], "rank 10": figures["cmc"]["10"], "mAP": figures["map"], "EER": figures["eer"]}.items():
        print(f"{name:<28}{value:>10.4f}")
    for fpir, rate in figures["fnir"].items():
        print(f"{'FNIR at FPIR ' + fpir:<28}{rate:>10.4f}   {figures['intervals']['fnir'][fpir][0]:.4f} to {figures['intervals']['fnir'][fpir][1]:.4f}")
    print(f"{'thresholds known to':<28}{figures['resolution']:>10.1e}")

    few = mates[:direct]
    few = np.where(few < direct, few, -1)
    small = summary(judge_probes(probes[:direct], gallery[:direct], questions_of(few), subject_groups(subjects[:direct])), subjects[:direct])
    ours = {"rank 1": small["cmc"]["1"], "mAP": small["map"], "EER": small["eer"]}
    print(f"\n{f'first {min(direct, count):,} by {min(direct, size):,}':<28}{'blockwise':>10}{'direct':>10}")
    for name, value in direct_figures(probes[:direct], gallery[:direct], few).items():
        print(f"{name:<28}{ours[name]:>10.4f}{value:>10.4f}")
        if abs(ours[name] - value) > 1e-3:
            raise SystemExit(f"{name} differs")


def _peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
