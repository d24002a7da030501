"""From a download of GBIF or iNaturalist to a manifest: photos.csv lists all that are wanted, manifest.csv those that are there."""

import collections
import contextlib
import csv
import dataclasses
import typing
from collections.abc import Callable
from pathlib import Path

from tfvision import __version__
from tfvision.data.boxes import box_faults, parse_box
from tfvision.data.csv_table import read_rows
from tfvision.data.image_formats import is_photo_name
from tfvision.data.imports.archives import open_archive
from tfvision.data.imports.lineages import GAPS
from tfvision.data.imports.occurrences import open_source
from tfvision.data.imports.photo_rows import SIZES, is_web_address
from tfvision.data.imports.scratch import scratch_database
from tfvision.data.imports.selecting import Filters, Selection
from tfvision.errors import DataError, noted_warnings
from tfvision.files import atomic_path, read_json, remove_partial_files, write_json
from tfvision.progress import duration

if typing.TYPE_CHECKING:
    from tfvision.data.downloads.downloads import DownloadSettings

FORMAT = 1
_MEGABYTE = 10**6
_EXAMPLES = 10


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
      What import.json has: source, kind, read, kept, dropped by reason, examples, licences, what was not read, warnings, photos.

    Raises:
      DataError: a source that is not sound or of no known kind, nothing left, or OUT holds something else.
      StorageError: a full disk.
    """
    from tfvision.data.downloads.download_time import tell_time
    from tfvision.data.downloads.downloads import DownloadSettings

    out, filters = Path(out), filters or Filters()
    if size not in SIZES:
        raise DataError(f"--size must be one of {', '.join(SIZES)}, got {size!r}")
    if photos is not None and not Path(photos).is_dir():
        raise DataError(f"--photos: {photos} is no folder")
    _check_folder(source, out)
    remove_partial_files(out)
    report = _write_list(source, out, filters, size, progress or _silent)
    if not is_downloaded:
        pace = download or DownloadSettings()
        urls = (row["url"] for row in _read_rows(out / "photos.csv"))
        tell_time(filter(is_web_address, urls), pace.connections_per_host, pace.requests_per_second)
        return report
    return _fetch(report, out, photos, source, download, progress or _silent)


def _write_list(source, out, filters, size, progress):
    with scratch_database(out) as database:
        with noted_warnings() as warnings, (opened := open_source(source, database)).archive as archive:
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
            "read": {"photos": selection.read_photos, "observations": opened.observations, **({"rows": selection.read} if "rows" in totals else {})},
            "kept": totals,
            "ranks": selection.ranks(),
            "dropped": dict(selection.dropped.most_common()),
            "examples": {reason: names for reason, names in selection.lineages.examples.items() if selection.dropped[reason]},
            "licences": selection.licences(),
            "not_read": list(opened.unread),
            "warnings": warnings,
        }
        if not totals["photos"]:
            raise _nothing_left(source, selection)
        with atomic_path(out / "photos.csv") as path:
            _write_rows(path, selection.columns(), selection.rows())
        write_json(out / "import.json", report)
        return report


def _fetch(report, out, photos, source, download, progress):
    """Takes all photos from the folder `photos`, else those with addresses from the web and the others from the source, or from beside it."""
    from tfvision.data.downloads.downloads import Downloads, copy_photos, download_photos

    def show(finished, total, failed, seconds_left):
        told = [f"{failed} failed"] * (failed > 0) + [f"{duration(seconds_left)} left"] * (seconds_left > 0)
        progress(f"photos ({', '.join(told)})" if told else "photos", finished, total)

    wanted = [(row["image"], row["url"]) for row in _read_rows(out / "photos.csv")]
    names = [pair for pair in wanted if not is_web_address(pair[1])]
    result = Downloads()
    with contextlib.ExitStack() as stack:
        beside = stack.enter_context(open_archive(source)) if names and Path(source).is_file() else None
        if not (beside and any(map(is_photo_name, beside.names))):
            beside = _folder_of(source)
        for folder, pairs in [(photos, wanted)] if photos else [(None, [pair for pair in wanted if is_web_address(pair[1])]), (beside, names)]:
            if pairs:
                found = copy_photos(pairs, folder, out, download, show) if folder else download_photos(pairs, out, download, show)
                result = Downloads(result.done | found.done, result.failed | found.failed)
    report["photos"] = {"done": len(result.done), "failed": len(result.failed), "reasons": dict(collections.Counter(result.failed.values()).most_common(50))}
    if not result.done:
        write_json(out / "import.json", report)
        reason = next(iter(report["photos"]["reasons"]), "no reason is known")
        hint = "" if photos or not names else "; name the folder with the photos by --photos FOLDER (unpack an archive that holds them)"
        raise DataError(f"none of {report['kept']['photos']} photos could be had ({reason}){hint}; {out / 'downloads.csv'} tells why for each")
    faults = _faults_of_boxes(out, result.done)
    if faults is not None:
        examples = [fault for fault in faults if fault]
        report["photos"]["wrong_boxes"] = {"rows": len(examples), "examples": examples[:_EXAMPLES]}
    write_json(out / "import.json", report)
    if faults and all(faults):
        raise DataError(f"none of {len(faults)} boxes lies in its photo ({faults[0]}): are these the photos of {report['source']}?")
    rows = read_rows(out / "photos.csv")
    _, columns = next(rows)
    found = (cells for _, cells in rows if cells[columns.index("image")] in result.done)
    with atomic_path(out / "manifest.csv") as path:
        _write_rows(path, columns, (cells for cells, fault in zip(found, faults, strict=True) if not fault) if faults else found)
    return report


def _faults_of_boxes(out, done):
    """What is wrong with the box of each row whose photo is there, its photo named, or ""; None where the list has no boxes."""
    rows = _read_rows(out / "photos.csv")
    first = next(rows)
    if "box" not in first:
        return None
    found = [(row["image"], row["url"], parse_box(row["box"])) for row in (first, *rows) if row["image"] in done]
    faults = box_faults([str(out / image) for image, _, _ in found], [box for _, _, box in found])
    return [fault and f"{url}: {fault}" for (_, url, _), fault in zip(found, faults, strict=True)]


def _write_rows(path, columns, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
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
