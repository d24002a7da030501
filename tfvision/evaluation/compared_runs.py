"""`tfvision compare`: finds what runs were judged by, joins those that differ in nothing but the seed, and writes one page on all."""

import collections
import dataclasses
import hashlib
import itertools
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from tfvision.applications import APPLICATIONS, names_with
from tfvision.data.csv_table import CsvTable, csv_text
from tfvision.data.manifest import Record
from tfvision.errors import DataWarning, RunError
from tfvision.evaluation import page
from tfvision.evaluation.comparison import ComparedApplication, Estimate, JudgedRun, Panel, Row, Table
from tfvision.evaluation.plots import draw_panels
from tfvision.files import atomic_path, write_json, write_text
from tfvision.training.run import read_run_file

TRAINING = "training"  # the protocol by which a training judges its run on what it held out
RECIPE_FILE, REPORT_FILE = "recipe.json", "report.json"
_UNIMPORTANT = {"checkpoint_seconds", "validation_sample", "validation_seconds"}  # changes nothing that is learnt


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Rows of runs of one application.

    Attributes:
      application: of APPLICATIONS.
      protocol: what all were judged by.
      rows, tables, panels: as the application makes them.
      warnings: sentences on what differs besides the runs.
    """

    application: str
    protocol: str
    rows: tuple[Row, ...]
    tables: list[Table]
    panels: list[Panel]
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "application": self.application,
            "protocol": self.protocol,
            "rows": [{"name": row.name, "runs": [run.run for run in row.runs], "photos": sorted({run.source for run in row.runs})} for row in self.rows],
            "tables": [
                {"title": table.title, "rows": {name: dict(zip(table.measures, map(_plain, cells), strict=True)) for name, cells in table.cells()}}
                for table in self.tables
            ],
            "warnings": list(self.warnings),
        }


def compare_runs(
    runs: Sequence[Path | str], protocol: str | None = None, source: Path | str | None = None, names: Mapping[str, str] | None = None
) -> Comparison:
    """Puts runs of one application side by side.

    Runs that differ in nothing but the seed are one row. Those whose photos differ are told apart by a warning.

    Args:
      runs: folders of finished runs, or of evaluations of models that are no runs.
      protocol: as of `tfvision evaluate`, or "training"; None = the one evaluation that all have, else their training.
      source: evaluates all runs on it first; see `_beside` for the photos that count.
      names: {run: name of its row}; runs of one name are one row.

    Raises:
      RunError: they are of several applications, or were not judged by the same protocol.
    """
    folders = [str(run) for run in runs]
    name, application = _application(folders)
    if source is not None:
        if application.evaluate is None:
            raise RunError(f"runs of {name} are not evaluated on photos: compare what their training found, without --evaluate")
        rows = _rows([JudgedRun(run, _settings_of(Path(run)), {}) for run in folders], names or {}, application.replicated_by)
        reports = [application.evaluate(_model_of(run), str(source), protocol, _beside(run, rows, application.replicated_by))["report"] for run in folders]
        judged = [_evaluated(Path(run), Path(report).parent) for run, report in zip(folders, reports, strict=True)]
        protocol = _protocol_of(judged[0])
    else:
        found = {run: _judgements(Path(run), application) for run in folders}
        protocol = protocol or _common_protocol(found)
        judged = [_judged_by(run, protocol, found[run]) for run in folders]
    rows = _rows(judged, names or {}, application.replicated_by)
    told = tuple(_differences(rows, application))
    for sentence in told:
        warnings.warn(sentence, DataWarning, stacklevel=2)
    return Comparison(name, protocol, rows, application.tables(rows), application.panels(rows), told)


def write_comparison(folder: Path | str, comparison: Comparison) -> dict[str, str]:
    """Writes table.md, table.csv, figure.png, figure.svg, comparison.json and comparison.html; returns {what: path}. Raises StorageError."""
    folder = Path(folder)
    paths = {Path(name).suffix[1:]: folder / name for name in ("table.md", "table.csv", "comparison.json", "comparison.html", "figure.png", "figure.svg")}
    write_text(paths["md"], "\n\n".join([*(table.markdown() for table in comparison.tables), *comparison.warnings]) + "\n")
    write_text(paths["csv"], csv_text(_csv_rows(comparison.tables)))
    write_json(paths["json"], comparison.to_json())
    drawn = {kind: draw_panels(comparison.panels, comparison.rows, kind) for kind in ("png", "svg")}
    for kind, picture in drawn.items():
        with atomic_path(paths[kind]) as temporary:
            temporary.write_bytes(picture)
    write_text(paths["html"], page.compose(f"Comparison of {len(comparison.rows)} rows", _sections(comparison, drawn["svg"])))
    return {kind: str(path) for kind, path in paths.items()}


def _beside(run: str, rows: Sequence[Row], replicated_by: Sequence[str]) -> list[str]:
    """Runs of other rows, whose training photos do not count for a run either; where all rows have the same seeds, those of its seed alone.

    Seeds hold out photos each in its way, so that nothing would be left if each were held to what all have left out.
    """
    seed = lambda judged: tuple(judged.recipe.get(key) for key in replicated_by)
    own = next(judged for row in rows for judged in row.runs if judged.run == run)
    is_paired = len({frozenset(map(seed, row.runs)) for row in rows}) == 1
    others = [judged for row in rows if own not in row.runs for judged in row.runs if not _is_report(Path(judged.run))]
    return [judged.run for judged in others if not is_paired or seed(judged) == seed(own)]


def _model_of(run: str) -> str:
    """What is evaluated: the run, or of an evaluation of what is none, its model."""
    return read_run_file(Path(run) / REPORT_FILE, {"model": str})["model"] if _is_report(Path(run)) else run


def judged_on(source: Path | str, **photos: Iterable[Record]) -> dict[str, str]:
    """What a report says of the photos of an evaluation, as "judged_on": their source, and `photos_digest` of them."""
    return {"source": str(source), "digest": photos_digest(**photos)}


def photos_digest(**photos: Iterable[Record]) -> str:
    """What tells the photos of an evaluation from others, by their names and sizes, whatever their order: keywords are their roles."""
    return _digest((role, *record.identity) for role, records in photos.items() for record in records)


def _digest(lines: Iterable[Sequence[object]]) -> str:
    return hashlib.sha256("\n".join(sorted(" ".join(map(str, line)) for line in lines)).encode()).hexdigest()[:16]


def _application(folders: Sequence[str]) -> tuple[str, ComparedApplication]:
    """The one application of all. Raises RunError."""
    names = {folder: _application_name(Path(folder)) for folder in folders}
    if len(set(names.values())) > 1:
        told = ", ".join(f"{folder} of {name}" for folder, name in names.items())
        raise RunError(f"runs of one application can be compared, these are of {len(set(names.values()))}: {told}")
    name = next(iter(names.values()))
    return name, APPLICATIONS[name].part("comparison").COMPARISON


def _application_name(folder: Path) -> str:
    facts = folder / (REPORT_FILE if _is_report(folder) else RECIPE_FILE)
    name, known = read_run_file(facts, {"application": str})["application"], names_with("comparison")
    if name not in known:
        raise RunError(f"{folder} is a run of {name!r}; known here are {', '.join(known)}")
    return name


def _is_report(folder: Path) -> bool:
    """Whether a folder holds an evaluation of a model that is no run."""
    return (folder / REPORT_FILE).is_file() and not (folder / RECIPE_FILE).is_file()


def _judgements(folder: Path, application: ComparedApplication) -> dict[str, JudgedRun]:
    """{protocol: what a run was judged by}: its evaluations, and its training."""
    if _is_report(folder):
        judged = _evaluated(folder, folder)
        return {_protocol_of(judged): judged}
    reports = sorted(path.parent for path in folder.glob(f"evaluation*/{REPORT_FILE}"))
    found = {_protocol_of(judged): judged for judged in (_evaluated(folder, report) for report in reports)}
    metrics = folder / "metrics.json"
    if not metrics.is_file():
        raise RunError(f"{folder} is not finished: go on with --resume, and compare it then")
    result = application.of_training(read_run_file(metrics))
    if result is not None:
        facts = read_run_file(folder / RECIPE_FILE)
        source = str(facts.get("source") or facts.get("photos") or "the built-in specimens")
        found[TRAINING] = JudgedRun(str(folder), _settings_of(folder), result, source, _held_out_digest(folder, application.held_out))
    return found


def _evaluated(folder: Path, report: Path) -> JudgedRun:
    result = read_run_file(report / REPORT_FILE, {})
    photos = result.get("judged_on") or {}
    return JudgedRun(str(folder), _settings_of(folder), result, photos.get("source", ""), photos.get("digest", ""))


def _protocol_of(judged: JudgedRun) -> str:
    """The protocol of an evaluation; of an application that has but one, its folder's name."""
    return judged.result.get("protocol") or "evaluation"


def _settings_of(folder: Path) -> dict[str, Any]:
    """The recipe of a run, with what its source was; of what is no run, its model."""
    if _is_report(folder):
        return {"model": read_run_file(folder / REPORT_FILE).get("model")}
    facts = read_run_file(folder / RECIPE_FILE, {"recipe": dict})
    others = {key: value for key, value in facts.items() if key not in ("recipe", "versions", "application")}
    return {**{key: value for key, value in facts["recipe"].items() if key not in _UNIMPORTANT}, **others}


def _held_out_digest(folder: Path, split: str | None) -> str:
    """Of the photos that a training held out, by the list that every run keeps."""
    path = folder / "photos.csv"
    if not path.is_file():
        return ""
    columns = CsvTable.read(path).columns
    listed = zip(*(columns.get(name, ()) for name in ("image", "bytes", "split")), strict=True)
    return _digest((os.path.basename(image), size) for image, size, own in listed if split in (None, own))


def _common_protocol(found: Mapping[str, Mapping[str, JudgedRun]]) -> str:
    """The evaluation that all runs have, else their training. Raises RunError."""
    common = [protocol for protocol in next(iter(found.values())) if all(protocol in judged for judged in found.values())]
    evaluations = [protocol for protocol in common if protocol != TRAINING]
    if len(evaluations) > 1:
        raise RunError(f"all runs were judged by {' and by '.join(evaluations)}: choose with --protocol")
    if not common:
        told = "; ".join(f"{run}: {', '.join(judged) or 'never judged'}" for run, judged in found.items())
        raise RunError(f"the runs have no evaluation in common ({told}): add --evaluate SOURCE, which evaluates them all")
    return evaluations[0] if evaluations else TRAINING


def _judged_by(run: str, protocol: str, found: Mapping[str, JudgedRun]) -> JudgedRun:
    if protocol not in found:
        known = f"it was judged by {', '.join(found)}" if found else "it was never judged"
        raise RunError(f"{run} was not judged by {protocol!r} ({known}): run `tfvision evaluate`, or add --evaluate SOURCE, which evaluates all runs")
    return found[protocol]


def _rows(judged: Sequence[JudgedRun], names: Mapping[str, str], replicated_by: Sequence[str]) -> tuple[Row, ...]:
    """Runs of one name, or that differ in nothing but the seed, joined; in the order in which they were given."""
    groups: dict[object, list[JudgedRun]] = collections.defaultdict(list)
    for run in judged:
        same = {key: value for key, value in run.recipe.items() if key not in replicated_by}
        groups[names.get(run.run) or str(sorted(same.items(), key=str))].append(run)
    titles = [names.get(runs[0].run) or _shared_name([run.run for run in runs]) for runs in groups.values()]
    for title in {title for title in titles if titles.count(title) > 1}:
        same = [number for number, other in enumerate(titles) if other == title]
        for number, told in zip(same, _what_differs([[*groups.values()][number] for number in same], replicated_by), strict=True):
            titles[number] = f"{title} ({told})"
    return tuple(Row(title, tuple(runs)) for title, runs in zip(titles, groups.values(), strict=True))


def _shared_name(folders: Sequence[str]) -> str:
    """What the names of folders begin with alike: "softmax" of softmax-0 and softmax-1."""
    names = [Path(folder).resolve().name for folder in folders]
    if len(names) == 1:
        return names[0]
    alike = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in alike).rstrip("-_. 0123456789") or names[0]


def _what_differs(groups: Sequence[Sequence[JudgedRun]], replicated_by: Sequence[str]) -> list[str]:
    """Of each group, the settings in which it differs from the others; its first folder where there are none."""
    recipes = [runs[0].recipe for runs in groups]
    keys = [key for key in dict.fromkeys(itertools.chain(*recipes)) if key not in replicated_by and len({str(recipe.get(key)) for recipe in recipes}) > 1]
    told = [", ".join(f"{key}={recipe.get(key)}" for key in keys[:3]) for recipe in recipes]
    return told if len(set(told)) == len(told) else [runs[0].run for runs in groups]


def _differences(rows: Sequence[Row], application: ComparedApplication) -> Iterable[str]:
    """Sentences on what rows differ in besides their runs. Seeds of a row may have photos of their own, if those of all rows do."""
    first = rows[0]
    for row in rows[1:]:
        if _photos(row) != _photos(first) or "" in _photos(row):
            known = "not known to be judged on the same photos" if "" in {*_photos(row), *_photos(first)} else "judged on different photos"
            yield (
                f"{first.name} ({_told_photos(first)}) and {row.name} ({_told_photos(row)}) were {known}, so that the photos may be what differs: "
                "--evaluate SOURCE evaluates all on the same"
            )
        one, other = (application.conditions(which.runs[0].result) for which in (first, row))
        for key in one.keys() & other.keys():
            if one[key] != other[key]:
                yield f"{first.name} and {row.name} were judged by different rules: {key} is {one[key]} there and {other[key]} here"


def _photos(row: Row) -> set[str]:
    return {run.digest for run in row.runs}


def _told_photos(row: Row) -> str:
    counts = sorted({str(run.result.get("images", run.result.get("queries", "?"))) for run in row.runs})
    return f"{' or '.join(counts)} photos of {', '.join(sorted({run.source or 'unknown source' for run in row.runs}))}"


def _csv_rows(tables: Sequence[Table]) -> list[list[object]]:
    """One table below the other, each under its title where there are several."""
    if len(tables) == 1:
        return tables[0].csv_rows()
    parts = [[["table", *header], *([table.title, *line] for line in lines)] for table in tables for header, *lines in [table.csv_rows()]]
    return [line for part in parts for line in part]


def _sections(comparison: Comparison, svg: bytes) -> list[str]:
    intervals = "Intervals: 95 %; over runs (Student's t) where a row has several, else over photos."
    parts = [page.paragraph(sentence) for sentence in comparison.warnings]
    figure = page.figure(svg, "; ".join(panel.title for panel in comparison.panels) + f". {intervals}", "the runs side by side")
    parts.append(page.section("Side by side", figure))
    for table in comparison.tables:
        rows = [[escape(name), *(escape("" if cell is None else str(cell)) for cell in cells)] for name, cells in table.cells()]
        parts.append(page.section(escape(table.title), page.table(("", *table.measures), rows, numbers=range(1, 1 + len(table.measures)))))
    facts = [[escape(row.name), "<br>".join(escape(f"{run.run}: {run.source or 'unknown photos'}") for run in row.runs)] for row in comparison.rows]
    note = page.paragraph(f"Judged by: {comparison.protocol}. {intervals}", "note")
    return [*parts, page.section("The runs and their photos", page.table((), facts, kind="facts") + note)]


def _plain(cell: Estimate | None) -> dict[str, Any] | None:
    return None if cell is None else {"mean": cell.mean, "interval": cell.interval, "values": cell.values}
