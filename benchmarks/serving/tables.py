"""What the benchmarks print."""

import importlib.metadata
import os
import platform
import shlex
import sys


def print_header():
    versions = f"Python {platform.python_version()}, TensorFlow {importlib.metadata.version('tensorflow')}"
    cores = len(os.sched_getaffinity(0))
    print(f"`python {shlex.join(sys.argv)}`\n\n{versions}, {cores} cores; load of the machine before: {os.getloadavg()[0]:.1f}\n", flush=True)


def print_table(*rows):
    """Prints a Markdown table; the first row is its heading."""
    rows = [f"| {' | '.join(map(str, row))} |" for row in [rows[0], ["---"] * len(rows[0]), *rows[1:]]]
    print("\n".join(rows) + "\n", flush=True)


def percentile(latencies, percent):
    """In milliseconds; NaN of nothing."""
    ordered = sorted(latencies)
    return 1e3 * ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else float("nan")


def counts(statuses):
    """{"500": 3} -> "3 x 500"."""
    return ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items())) or "0"
