"""Mutated images, manifests, archives, galleries, runs, prepared data and requests, or damaged artefacts, and what becomes of each.

    python benchmarks/hostile_inputs.py                                     # 10,000 images, 2,000 of each other kind
    python benchmarks/hostile_inputs.py --artefacts                         # 500 of each artefact that commands read again
    python benchmarks/hostile_inputs.py --kinds gallery,run --count 300
    python benchmarks/hostile_inputs.py --kinds manifest --first 4711 --count 1   # the one that a report names

What an input is follows from its kind and number. What reads them runs in processes of their own, so that one that hangs or dies is
told and the rest goes on. tests/hostile tries the first of each kind in CI; tests/hostile/hostile_kinds.py says what counts as a fault,
tests/hostile/artefact_kinds.py what artefacts there are.
"""

import collections
import concurrent.futures
import importlib.util
import multiprocessing
import os
import sys
import time
from pathlib import Path

import click

IMAGES, INPUTS, ARTEFACTS = 10_000, 2_000, 500  # of each kind
CHUNK, CHUNK_SECONDS = 50, 300


def hostile(name="hostile_kinds"):
    """A module of tests/hostile."""
    path = Path(__file__).parents[1] / "tests" / "hostile" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules.setdefault(name, importlib.util.module_from_spec(spec))
    if not hasattr(module, "FROZEN"):
        spec.loader.exec_module(module)
    return module


def kinds_of(are_artefacts):
    """{name: Kind}."""
    return hostile("artefact_kinds").ARTEFACTS if are_artefacts else hostile().KINDS


def outcomes_of(kind, numbers):
    """[(number, outcome, detail)] of a chunk, in a worker; a kind is its name, and whether it is an artefact."""
    name, is_artefact = kind
    return [(number, *hostile().outcome_of(name, number, kinds_of(is_artefact))) for number in numbers]


def _one_by_one(kind, numbers):
    """What a chunk came to that hung or killed its process: each input in a process of its own."""
    for number in numbers:
        pool = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        try:
            yield from pool.submit(outcomes_of, kind, [number]).result(CHUNK_SECONDS)
        except TimeoutError:
            yield number, "slow", f"no answer within {CHUNK_SECONDS} s"
        except concurrent.futures.process.BrokenProcessPool:
            yield number, "traceback", "the process died"
        finally:
            _end(pool)


def _end(pool):
    for process in list((pool._processes or {}).values()):
        process.kill()
    pool.shutdown(wait=False, cancel_futures=True)


def _all_outcomes(kind, numbers):
    chunks = [numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK)]
    pool = concurrent.futures.ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn"))
    futures = [pool.submit(outcomes_of, kind, chunk) for chunk in chunks]
    for chunk, future in zip(chunks, futures, strict=True):
        try:
            yield from future.result(CHUNK_SECONDS * os.cpu_count())
        except (TimeoutError, concurrent.futures.process.BrokenProcessPool):
            yield from _one_by_one(kind, chunk)
    _end(pool)


@click.command(help=__doc__)
@click.option("--kinds", default="", help="Some of the kinds, with commas between; all without it.")
@click.option("--first", default=0, help="The number of the first input of each kind.")
@click.option("--count", default=0, help="Inputs of each kind; 0 = 10,000 images, 2,000 of the others, 500 of each artefact.")
@click.option("--artefacts", "are_artefacts", is_flag=True, help="Damage artefacts: runs, galleries, caches, records.")
def main(kinds, first, count, are_artefacts):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    module = hostile()
    names, faults = kinds.split(",") if kinds else list(kinds_of(are_artefacts)), []
    print("| kind | inputs | " + " | ".join(module.OUTCOMES) + " | seconds |\n|" + "---|" * (len(module.OUTCOMES) + 3))
    for kind in names:
        begun, numbers = time.monotonic(), range(first, first + (count or (ARTEFACTS if are_artefacts else IMAGES if kind == "image" else INPUTS)))
        results = list(_all_outcomes((kind, are_artefacts), numbers))
        told = collections.Counter(outcome for _, outcome, _ in results)
        cells = (kind, f"{len(numbers):,}", *(f"{told[outcome]:,}" for outcome in module.OUTCOMES), f"{time.monotonic() - begun:.0f}")
        print(f"| {' | '.join(cells)} |", flush=True)
        faults += [(kind, *result) for result in results if result[1] in module.FAULTS]
    for kind, number, outcome, detail in faults:
        print(f"{kind} {number}: {outcome}: {detail}")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
