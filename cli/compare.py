"""`tfvision compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfvision.command_line import print_json, printable

if TYPE_CHECKING:
    from tfvision.evaluation.comparison import Table


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, metavar="[NAME=]RUN...")
@click.option("--evaluate", "source", metavar="SOURCE", help="First evaluate all runs on SOURCE, rows on the same photos: those that none was trained on.")
@click.option("--protocol", help="What they are judged by: as of `evaluate`, or `training`. [default: the evaluation that all have, else their training]")
@click.option("--out", help="Folder for table.md, table.csv, figure.png, figure.svg, comparison.html and comparison.json.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def compare(runs: tuple[str, ...], source: str | None, protocol: str | None, out: str | None, as_json: bool) -> None:
    """Put RUNs of one application side by side, in one table and one figure with 95 % intervals.

    Runs that differ in nothing but the seed are one row, with the mean and the interval over seeds; so are runs that are given one
    NAME. A RUN is a finished run, or the folder that `tfvision evaluate` wrote of a model that is none. Rows that were judged on
    different photos are told apart by a warning.

    \b
    tfvision compare runs/baseline runs/multi-view --out comparison
    tfvision compare runs/softmax-0 runs/softmax-1 runs/cosface-0 runs/cosface-1 --protocol ukbench
    tfvision compare ours=runs/tattoo-matcher plain=runs/evaluation-mobilenet_v2-identification --out comparison
    tfvision compare runs/species runs/species-2 --evaluate test-photos/
    """
    from tfvision.evaluation.compared_runs import compare_runs, write_comparison

    folders, names = _named(runs)
    comparison = compare_runs(folders, protocol, source, names)
    written = write_comparison(out, comparison) if out else {}
    if as_json:
        return print_json({**comparison.to_json(), "files": written})
    for table in comparison.tables:
        _show(table)
    for kind in ("md", "csv", "png", "html"):
        if kind in written:
            click.echo(f"{'written':<10}{written[kind]}")


def _named(runs: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    """The folders, and {folder: name} of those that were given one; a folder whose own name has a = is taken as it is."""
    folders, names = [], {}
    for run in runs:
        name, separator, folder = run.partition("=")
        is_named = bool(separator and name) and not Path(run).exists()
        folders.append(folder if is_named else run)
        if is_named:
            names[folder] = name
    if twice := sorted({folder for folder in folders if folders.count(folder) > 1}):
        raise click.UsageError(f"{twice[0]} is given twice")
    return folders, names


def _show(table: Table) -> None:
    """On a terminal as wide as it is, else as wide as the table."""
    import sys

    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    click.secho(printable(table.title), bold=True)
    shown = RichTable(box=box.SIMPLE_HEAD)
    shown.add_column("")
    for heading in table.measures:
        shown.add_column(Text(printable(heading)), justify="right")
    for name, cells in table.cells():
        shown.add_row(Text(printable(name)), *("" if cell is None else str(cell) for cell in cells))
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 400).print(shown)
