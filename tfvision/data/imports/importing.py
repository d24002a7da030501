"""From a download of GBIF or iNaturalist to a manifest: photos.csv lists all that are wanted, manifest.csv those that are there."""

import collections
import csv
import dataclasses
import typing
from collections.abc import Callable
from pathlib import Path

from tfvision import __version__
from tfvision.data.csv_table import read_rows
from tfvision.data.imports.lineages import GAPS
from tfvision.data.imports.occurrences import open_source
from tfvision.data.imports.photo_rows import SIZES
from tfvision.data.imports.scratch import scratch_database
from tfvision.data.imports.selecting import COLUMNS, Filters, Selection
from tfvision.errors import DataError
from tfvision.files import TEMPORARY_PREFIX, atomic_path, read_json, write_json

if typing.TYPE_CHECKING:
    from tfvision.data.downloads.downloads import DownloadSettings

FORMAT = 1
_MEGABYTE = 10**6


def import_photos(
    source: Path | str,
    out: Path | str,
    filters: Filters | None = None,
    photos: Path | str | None = None,
    is_downloaded: bool = True,
    size: str = "large",
    download: "DownloadSettings | None" = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, typing.Any]:
    """Writes the folder OUT: photos.csv, import.json, and with the photos manifest.csv, photos/ and downloads.csv.

    The same call again goes on where it was interrupted: photos that are there are not fetched again.

    Args:
      source: a path to what `occurrences.KINDS` lists.
      filters: None = all is kept.
      photos: a folder of photos that stands in for the web; None: the web, or, where a source names files, its own folder.
      is_downloaded: False: the lists only.
      size: of SIZES, for photos of iNaturalist.
      download: downloads.DownloadSettings.
      progress: called as progress(label, done, total).

    Returns:
      What import.json has: source, kind, read, kept, dropped by reason, examples, licences, photos.

    Raises:
      DataError: a source that is not sound or of no known kind, nothing left, or OUT holds something else.
      StorageError: a full disk.
    """
    out, filters = Path(out), filters or Filters()
    if size not in SIZES:
        raise DataError(f"--size must be one of {', '.join(SIZES)}, got {size!r}")
    if photos is not None and not Path(photos).is_dir():
        raise DataError(f"--photos: {photos} is no folder")
    _check_folder(source, out)
    for left in out.glob(f"{TEMPORARY_PREFIX}*.sqlite3*"):  # of a process that was killed
        left.unlink(missing_ok=True)
    report, is_local = _write_list(source, out, filters, size, progress or _silent)
    if not is_downloaded:
        return report
    return _fetch(report, out, photos or (_folder_of(source) if is_local else None), download, progress or _silent)


def _write_list(source, out, filters, size, progress):
    with scratch_database(out) as database:
        opened = open_source(source, database)
        with opened.archive as archive:
            selection = Selection(database, opened, filters, size)
            selection.fill(lambda _: progress("reading, MB", archive.bytes_read // _MEGABYTE, max(opened.total_bytes, archive.bytes_read) // _MEGABYTE))
        selection.settle()
        totals = selection.totals()
        report = {
            "format": FORMAT,
            "tfvision": __version__,
            "source": str(source),
            "kind": opened.kind,
            "settings": {key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(filters).items()} | {"size": size},
            "read": {"photos": selection.read, "observations": opened.observations},
            "kept": totals,
            "ranks": selection.ranks(),
            "dropped": dict(selection.dropped.most_common()),
            "examples": {reason: names for reason, names in selection.lineages.examples.items() if selection.dropped[reason]},
            "licences": selection.licences(),
        }
        if not totals["photos"]:
            raise _nothing_left(source, selection)
        with atomic_path(out / "photos.csv") as path:
            _write_rows(path, selection.rows())
        write_json(out / "import.json", report)
        return report, selection.is_local()


def _fetch(report, out, local, download, progress):
    from tfvision.data.downloads.downloads import copy_photos, download_photos

    def show(finished, total, failed):
        progress(f"photos ({failed} failed)" if failed else "photos", finished, total)

    wanted = {row["image"]: row["url"] for row in _read_rows(out / "photos.csv")}.items()
    result = copy_photos(wanted, local, out, download, show) if local else download_photos(wanted, out, download, show)
    report["photos"] = {"done": len(result.done), "failed": len(result.failed), "reasons": dict(collections.Counter(result.failed.values()).most_common(50))}
    write_json(out / "import.json", report)
    if not result.done:
        reason = next(iter(report["photos"]["reasons"]), "no reason is known")
        raise DataError(f"none of {report['kept']['photos']} photos could be had ({reason}); {out / 'downloads.csv'} tells why for each")
    with atomic_path(out / "manifest.csv") as path:
        _write_rows(path, ([row[column] for column in COLUMNS] for row in _read_rows(out / "photos.csv") if row["image"] in result.done))
    return report


def _write_rows(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)


def _read_rows(path):
    rows = read_rows(path)
    _, columns = next(rows)
    yield from (dict(zip(columns, cells, strict=True)) for _, cells in rows)


def _check_folder(source, out):
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file: name a folder to write to")
    if out.exists() and out.resolve() in (Path(source).resolve(), _folder_of(source).resolve()):
        raise DataError(f"{out} holds the source itself: name another folder")
    known = read_json(out / "import.json") if (out / "import.json").is_file() else None
    is_ours = isinstance(known, dict) and "kept" in known
    foreign = [name for name in ("photos.csv", "manifest.csv", "labels.csv") if (out / name).exists()]
    if foreign and not is_ours:
        raise DataError(f"{out} holds a {foreign[0]} that no import wrote: name another folder")


def _folder_of(source):
    return Path(source) if Path(source).is_dir() else Path(source).parent


def _nothing_left(source, selection):
    if not selection.read:
        return DataError(f"{source} lists no photos")
    reasons = ", ".join(f"{reason}: {count}" for reason, count in selection.dropped.most_common(6))
    hint = "; --keep-gaps keeps lineages with a missing rank" if set(selection.dropped) & GAPS else ""
    return DataError(f"none of the {selection.read} photos that {source} lists is left ({reasons}){hint}")


def _silent(label, done, total):
    pass
