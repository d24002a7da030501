"""Search among a million vectors: exact and approximate, beside FAISS called directly and NumPy.

    python benchmarks/index_search.py [--rows 1000000] [--dimension 512] [--methods exact,ivfpq]

The vectors are synthetic. Each is a point of one of rows / 100 clusters: the cluster's centre and 0.5 of noise in 32 latent
dimensions, both normal, mapped at random to all dimensions, then 0.5 of noise in all of them, L2-normalised; the queries
are further points of the same clusters. What is timed of a search are rows and scores of all queries at once; the line
`with ids` adds ids, paths and metadata. Memory is what the process holds beyond the vectors' file, which is mapped.
"""

import functools
import os
import resource
import shutil
import tempfile
import time

import click
from machine import interleaved_seconds

K = 10


def clustered_vectors(rows, dimension, seed=0, latent=32):
    """float32 [rows, dimension], as told above."""
    import numpy as np

    random = np.random.default_rng(seed)
    mapping, centres = (random.standard_normal(shape, np.float32) for shape in ((latent, dimension), (max(10, rows // 100), latent)))
    vectors = np.empty((rows, dimension), np.float32)
    for start in range(0, rows, 65_536):
        count = min(65_536, rows - start)
        points = centres[random.integers(0, len(centres), count)] + 0.5 * random.standard_normal((count, latent), np.float32)
        part = points @ mapping + 0.5 * random.standard_normal((count, dimension), np.float32)
        vectors[start : start + count] = part / np.linalg.norm(part, axis=1, keepdims=True)
    return vectors


def memory_mb():
    """What this process holds itself, without mapped files."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1024


@click.command()
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--dimension", default=512, show_default=True)
@click.option("--queries", default=500, show_default=True)
@click.option("--methods", default="exact,ivfpq", show_default=True, help="Of exact, hnsw, ivfpq.")
@click.option("--folder", help="Where the gallery is made. [default: a temporary folder]")
def main(rows, dimension, queries, methods, folder):
    """Print a table: build time, memory, queries a second, recall@10."""
    folder = folder or tempfile.mkdtemp()
    try:
        _measure(rows, dimension, queries, methods.split(","), os.path.join(folder, "gallery"))
    finally:
        shutil.rmtree(os.path.join(folder, "gallery"), ignore_errors=True)


def _measure(rows, dimension, count, methods, folder):
    import faiss
    import numpy as np

    from tfvision.index.approximate import recall_at
    from tfvision.index.folder_gallery import FolderGallery
    from tfvision.index.vector_search import search

    everything = clustered_vectors(rows + count, dimension)
    vectors, queries = everything[:rows], everything[rows:]
    print(f"{rows:,} x {dimension}, {count} queries, k = {K}, {faiss.omp_get_max_threads()} threads, load {os.getloadavg()[0]:.1f}")

    started = time.perf_counter()
    with FolderGallery.create(folder, dimension) as gallery:
        for start in range(0, rows, 65_536):
            names = [f"{number:08}" for number in range(start, min(rows, start + 65_536))]
            gallery.add(names, vectors[start : start + 65_536], names, [{"part": int(name) % 10} for name in names])
    print(f"gallery written in {time.perf_counter() - started:.1f} s, synced")
    started = time.perf_counter()
    gallery = FolderGallery.open(folder)
    print(f"opened in {1000 * (time.perf_counter() - started):.0f} ms")

    def numpy_search():
        found = []
        for start in range(0, count, 100):
            scores = queries[start : start + 100] @ vectors.T
            best = np.argpartition(scores, -K, axis=1)[:, -K:]
            found.append(-np.sort(-np.take_along_axis(scores, best, axis=1), axis=1))
        return np.concatenate(found)

    def hit_scores(found):
        return np.array([[hit.score for hit in hits] for hits in found], np.float32)

    def built(build):
        before, started = memory_mb(), time.perf_counter()
        index = build()
        return index, time.perf_counter() - started, memory_mb() - before

    flat = faiss.IndexFlatIP(dimension)
    _, flat_seconds, flat_memory = built(lambda: flat.add(vectors))
    ways = {  # name: (function, its result -> scores, seconds of building, memory in MB)
        "NumPy": (numpy_search, lambda scores: scores, 0, 100 * rows * 4 / 2**20),
        "FAISS IndexFlatIP": (lambda: flat.search(queries, K), lambda found: found[0], flat_seconds, flat_memory),
    }
    for method in methods:
        index, seconds, memory = (None, 0, 0) if method == "exact" else built(lambda: gallery.open_index(method))  # noqa: B023
        ways[method] = (functools.partial(gallery.nearest, queries, K, method=method), lambda found: found[1], seconds, memory)
        ways[f"{method}, with ids"] = (functools.partial(search, gallery, queries, K, method=method), hit_scores, 0, 0)
        if index:
            print(
                f"{method}: {index.facts['candidates']} candidates an answer, effort {index.facts['effort']}; "
                f"recall@10 measured at building: {index.facts['recall']}"
            )
    truth = numpy_search()
    recalls = {name: recall_at(scores_of(function()), truth) for name, (function, scores_of, *_) in ways.items()}
    taken = interleaved_seconds([function for function, *_ in ways.values()], 3)
    rates = {name: count / seconds for name, seconds in zip(ways, taken, strict=True)}
    print(f"\n{'':<26}{'build s':>9}{'memory MB':>11}{'queries/s':>11}{'recall@10':>11}{'x exact':>9}")
    for name, (_, _, seconds, memory) in ways.items():
        print(f"{name:<26}{seconds:>9.1f}{memory:>11.0f}{rates[name]:>11.1f}{recalls[name]:>11.3f}{rates[name] / rates['exact']:>9.1f}")
    print(
        f"\nexact is {rates['exact'] / rates['FAISS IndexFlatIP']:.2f} of FAISS; "
        f"highest memory of the process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB"
    )


if __name__ == "__main__":
    main()
