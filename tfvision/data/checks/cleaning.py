"""A cleaned manifest: what `tfvision data check --fix` writes, and the list of what it left out, and why."""

import collections
import os
import typing
from collections.abc import Sequence
from pathlib import Path

from tfvision.data.checks.checking import Check
from tfvision.data.checks.findings import straddling_groups
from tfvision.data.csv_table import column_names, csv_text, read_rows
from tfvision.data.manifest import KNOWN_COLUMNS, MANIFEST_NAMES, Record, csv_of
from tfvision.data.shards.prepared_index import is_prepared
from tfvision.errors import DataError
from tfvision.files import write_text

DUPLICATE, CONTRADICTION, MOVED = "duplicate", "contradictory labels", "moved to another split"
_KEPT_FIRST = {"test": 0, "validation": 1, "train": 2}  # a copy of a held-out photo leaves the training photos, not the reverse


def write_cleaned(check: Check, path: Path | str) -> dict[str, typing.Any]:
    """Writes the manifest without what is broken, with one of each set of copies, none of contradictory labels, no group across splits.

    Every other column stays as it is; paths are made relative to the new file. Beside it, NAME.changes.csv lists what was
    left out or moved, and why.

    Args:
      check: checking.Check.
      path: of the new CSV; for prepared data a name in its folder, for there its shards are found.

    Returns:
      dict: "manifest", "changes" (paths), "images" kept, "left_out" {reason: photos}, "moved" (photos put into another split).

    Raises:
      DataError: nothing would be left, the file would replace the source's own, or prepared data lies elsewhere.
      StorageError: a file cannot be written.
    """
    path, table = Path(path), _source_table(check)
    _check_location(path, check.source)
    changes = {**_left_out(check)}
    kept = [row for row in range(len(check.facts)) if row not in changes]
    if not kept:
        raise DataError(f"none of the {len(check.facts)} photos of {check.source} would be left: {path} was not written")
    moves = _moves(check.manifest.records, kept)
    write_text(path, _cleaned_text(check, table, kept, moves, path))
    listed = path.with_name(f"{path.stem}.changes.csv")
    records = check.manifest.records
    listing = [(records[row].name, reason, of) for row, (reason, of) in changes.items()]
    listing += [(records[row].name, MOVED, f"{records[row].split} to {split}, as its group {records[row].group}") for row, split in moves.items()]
    write_text(listed, csv_text([("image", "change", "detail"), *sorted(listing)]))
    reasons = collections.Counter(reason for reason, _ in changes.values())
    return {"manifest": str(path), "changes": str(listed), "images": len(kept), "left_out": dict(reasons), "moved": len(moves)}


def _left_out(check: Check) -> dict[int, tuple[str, str]]:
    """{row: (reason, detail)}."""
    records, facts, found = check.manifest.records, check.facts, check.findings
    out = {row: (facts[row].fault, facts[row].reason) for row in (*found.unreadable, *found.truncated)}
    for group in found.contradictions:
        for row in group:
            others = sorted({" / ".join(filter(None, records[other].lineage)) for other in group if records[other].lineage != records[row].lineage})
            out[row] = CONTRADICTION, f"also labelled {'; '.join(others)}"
    for group in found.duplicates:
        best = min(group, key=lambda row: (-sum(map(bool, records[row].lineage)), _KEPT_FIRST.get(records[row].split, 3), row))
        out |= {row: (DUPLICATE, f"of {records[best].name}") for row in group if row != best}
    return out


def _moves(records: Sequence[Record], kept: Sequence[int]) -> dict[int, str]:
    """{row: split} of kept photos whose group lies in several splits: all go where most of them are, in doubt to `train`."""
    moves: dict[int, str] = {}
    for group in straddling_groups(records, kept):
        sizes = collections.Counter(records[row].split for row in group if records[row].split)
        chosen = max(sizes, key=lambda split: (sizes[split], split == "train", split))
        moves |= {row: chosen for row in group if records[row].split not in ("", chosen)}
    return moves


def _source_table(check: Check) -> tuple[Path, list[str], list[list[str]]] | None:
    """The CSV that the source was read from, as (path, header, lines); None of a folder of class folders."""
    found = csv_of(check.source)
    if found is None:
        return None
    header, *lines = (cells for _, cells in read_rows(found))
    if len(lines) != len(check.facts):
        raise DataError(f"{found} was changed while it was checked: check it again")
    return found, header, lines


def _check_location(path, source):
    folder = Path(source) if Path(source).is_dir() else Path(source).parent
    if path.exists() and any(path.samefile(own) for own in (Path(source), *(folder / name for name in MANIFEST_NAMES)) if own.exists()):
        raise DataError(f"{path} is the source's own list: give the cleaned one another name")
    if is_prepared(folder) and path.resolve().parent != folder.resolve():
        raise DataError(f"a list of prepared photos must lie beside their shards: write it to {folder / path.name}")


def _cleaned_text(check, table, kept, moves, path):
    records = check.manifest.records
    if table is None:
        return csv_text([("image", *check.manifest.ranks), *((_relative(records[row].path, path), *records[row].lineage) for row in kept)])
    found, header, lines = table
    names = column_names(header, KNOWN_COLUMNS)
    image = names.index("image" if "image" in names else "file")
    cleaned = [header]
    for row in kept:
        cells = list(lines[row])
        if found.resolve().parent != path.resolve().parent:
            cells[image] = _relative(records[row].path, path)
        if row in moves:
            cells[names.index("split")] = moves[row]
        cleaned.append(cells)
    return csv_text(cleaned)


def _relative(photo, path):
    return os.path.relpath(photo, path.parent)
