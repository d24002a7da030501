"""Writes a check of a data set as two files: report.json, the result itself, and report.html, a page for people.

Names of photos, classes and groups come from users' folders and archives: they are escaped wherever they are written.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from tfvision.data.checks.checking import Check
from tfvision.data.checks.set_statistics import FEW
from tfvision.data.decoding import thumbnail_jpeg
from tfvision.data.photo_files import LeftOut, account
from tfvision.evaluation import plots
from tfvision.evaluation.page import bar, captioned_photo, compose, figure, paragraph, section, table
from tfvision.files import write_json, write_text

THUMBNAIL_PX = 200
LISTED_GROUPS, LISTED_PHOTOS, LISTED_LINES = 8, 12, 20
_IN_GROUP = 4
_GAP = '<p class="note"></p>'

# kind -> its name, what is counted, the sentence that explains it, and what --fix does
_KINDS = {
    "unreadable": ("Unreadable", "photo", "No image, or none that may be read: empty files, texts, pictures of too many pixels.", "left out"),
    "truncated": ("Truncated or damaged", "photo", "The header is whole, the pixels are not: most often a download that was cut short.", "left out"),
    "contradictions": (
        "The same photo under two labels",
        "photo",
        "The same pixels with different labels: one of them at least is wrong, and no training can tell which.",
        "left out, all of them",
    ),
    "duplicates": (
        "Exact duplicates",
        "surplus photo",
        "The same pixels more than once, whatever the file is called or how it is packed.",
        "one of each set is kept",
    ),
    "straddling_groups": (
        "Groups across splits",
        "group",
        "Photos of one group (an observation, a specimen) in more than one split: what is tested was seen in training.",
        "each put into one split",
    ),
    "straddling_duplicates": (
        "Duplicates across splits",
        "set",
        "Copies and near duplicates with one foot in training and one in a test: the scores will be too good.",
        "copies: one kept, of the test; near ones: yours to judge",
    ),
    "near_duplicates": (
        "Near duplicates",
        "set",
        "Different files that look the same: scaled, encoded anew, cropped a little, or shot in one burst.",
        "kept: yours to judge",
    ),
    "two_parents": ("Names under two parents", "name", "One name of a rank under two of a coarser one: two classes for a training.", "kept: yours to correct"),
    "spellings": (
        "Names in two spellings",
        "name",
        "The same but for case, blanks, underscores, accents or an author: two classes for a training.",
        "kept: yours to correct",
    ),
    "blank": ("Blank", "photo", "Nearly one colour: a lens cap, a placeholder, an empty scan.", "kept: yours to judge"),
    "tiny": ("Tiny", "photo", "The shorter side is below {min_size_px} pixels.", "kept: yours to judge"),
}


def write_data_report(folder: Path | str, check: Check, fix: dict[str, Any] | None = None) -> Path:
    """Writes `report.json` and `report.html` into `folder`, each atomically.

    Args:
      check: tfvision.data.checks.checking.Check.
      fix: what cleaning.write_cleaned returned, or None.

    Returns:
      the Path of report.html.

    Raises:
      StorageError: a file could not be written.
    """
    folder, result = Path(folder), check.result()
    write_json(folder / "report.json", {**result, "fix": fix})
    paths = {record.name: record.path for record in check.manifest.records}
    groups = ("contradictions", "straddling_groups", "straddling_duplicates", "duplicates", "near_duplicates")
    sections = [
        _head(result),
        _overview(result, fix),
        section("Warnings of the list of photos", table((), [(escape(text),) for text in result["warnings"]])) if result["warnings"] else "",
        _prepared(result["prepared"]),
        *(_lines(kind, result) for kind in ("unreadable", "truncated")),
        *(_groups(kind, result, paths) for kind in groups),
        *(_photos(kind, result, paths) for kind in ("blank", "tiny")),
        *(_names(kind, result) for kind in ("two_parents", "spellings")),
        _class_sizes(result["class_sizes"]),
        _splits(result["splits"]),
        _sizes_and_formats(result),
        _facts(result),
    ]
    write_text(folder / "report.html", compose(f"Check of {check.source}", filter(None, sections)))
    return folder / "report.html"


def headline(result: dict[str, Any]) -> str:
    """The check in one plain sentence."""
    found = result["counts"]
    parts = [
        (found["unreadable"] + found["truncated"], "cannot be read", "cannot be read"),
        (found["contradictions"], "stands under two labels", "stand under two labels"),
        (found["duplicates"], "is a copy of another", "are copies of others"),
    ]
    told = [f"{count:,} {one if count == 1 else many}" for count, one, many in parts if count]
    for kind, name in (("straddling_groups", "group"), ("straddling_duplicates", "set")):
        if found[kind]:
            of = " of duplicates" if name == "set" else ""
            told.append(f"{_count(found[kind], name)}{of} {'lies' if found[kind] == 1 else 'lie'} across splits")
    told += (
        [f"{_count(found['near_duplicates'], 'set')} of near duplicates {'waits' if found['near_duplicates'] == 1 else 'wait'} for your eye"]
        if found["near_duplicates"]
        else []
    )
    for kind, one, many in (("two_parents", "stands under two parents", "stand under two parents"), ("spellings", "has two spellings", "have two spellings")):
        if found[kind]:
            told.append(f"{_count(found[kind], 'name')} {one if found[kind] == 1 else many}")
    told += [f"the list of photos gives {_count(len(result['warnings']), 'warning')}"] if result["warnings"] else []
    told += ["prepared shards are damaged"] if result["prepared"] and not result["prepared"]["is_sound"] else []
    classes = result["class_sizes"]["classes"]
    size = f"{_count(result['images'], 'photo')} of {_count(classes, 'class', 'classes')}"
    return f"{size}: {_and(told)}." if told else f"{size}: sound; nothing was found that would spoil a training."


def _head(result: dict[str, Any]) -> str:
    found, sizes = result["counts"], result["class_sizes"]
    pixels = result["resolutions"]["quantiles"].get("50%")
    cards = [
        ("Photos", f"{result['images']:,}", f"half have at least {pixels[0]:,} pixels on the shorter side" if pixels else "none can be read"),
        ("Classes", f"{sizes['classes']:,}", f"{sizes['smallest']:,} to {sizes['largest']:,} photos, half have at least {sizes['median']:,.0f}"),
        (
            "Not to be used",
            f"{found['unreadable'] + found['truncated'] + found['contradictions'] + found['duplicates']:,}",
            "photos: broken, surplus copies, contradictory labels",
        ),
        (
            "Across splits",
            f"{found['straddling_groups'] + found['straddling_duplicates']:,}",
            "groups and sets of duplicates that are trained on and tested" if result["splits"] else "no split is given",
        ),
    ]
    tiles = "".join(f'<div class="tile"><span>{name}</span><strong>{value}</strong><small>{note}</small></div>' for name, value, note in cards)
    return f'<p class="headline">{escape(headline(result))}</p>\n<div class="tiles">{tiles}</div>'


def _overview(result: dict[str, Any], fix: dict[str, Any] | None) -> str:
    rows = []
    for kind, (name, unit, _, remedy) in _KINDS.items():
        count = result["counts"][kind]
        is_found = count and kind not in ("tiny", "blank")
        name = f'<a href="#{kind}">{escape(name)}</a>' if count else escape(name)
        number = f"<b>{_count(count, unit)}</b>" if is_found else _count(count, unit) if count else "none"
        rows.append((name, number, escape(remedy) if count else ""))
    body = table(("looked for", "found", "in a cleaned manifest (--fix)"), rows)
    if fix:
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in fix["left_out"].items()) or "nothing"
        body += paragraph(
            f"The cleaned manifest {fix['manifest']} keeps {fix['images']:,} photos. Left out: {left_out}; "
            f"put into another split: {fix['moved']:,}. Each with its reason: {fix['changes']}.",
            "note",
        )
    return section("What was looked for", body)


def _prepared(prepared: dict[str, Any] | None) -> str:
    if not prepared:
        return ""
    if prepared["is_sound"]:
        return section("Prepared data", paragraph(f"Every byte of the shards is as it was written: {_count(prepared['photos'], 'record')}, none lost."))
    rows = [(escape(shard["shard"]), f"{shard['records_lost']:,}", escape(shard["reason"])) for shard in prepared["damaged"]]
    body = table(("shard", "records lost", "why"), rows, numbers=(1,)) if rows else ""
    if prepared["unknown_shards"]:
        body += paragraph(f"Not known to the index: {', '.join(prepared['unknown_shards'][:LISTED_LINES])}.", "note")
    return section("Prepared data is damaged", body)


def _lines(kind: str, result: dict[str, Any]) -> str:
    found = result[kind]
    rows = [(escape(row["reason"]),) for row in found[:LISTED_LINES]]
    return _finding(kind, result, table((), rows) + _more(len(found), LISTED_LINES)) if found else ""


def _names(kind: str, result: dict[str, Any]) -> str:
    found, key = result[kind], "parents" if kind == "two_parents" else "names"
    rows = [
        (escape(one["rank"]), escape(one.get("name", "")), ", ".join(f"{escape(name)}&nbsp;({count:,})" for name, count in one[key].items()))
        for one in found[:LISTED_LINES]
    ]
    header = ("rank", "name", "stands under, with photos") if kind == "two_parents" else ("rank", "", "spellings, with photos")
    return _finding(kind, result, table(header, rows) + _more(len(found), LISTED_LINES)) if found else ""


def _groups(kind: str, result: dict[str, Any], paths: dict[str, str]) -> str:
    found = result[kind]
    if not found:
        return ""
    ordered = sorted(found, key=lambda group: -len({row["label"] for row in group})) if kind == "near_duplicates" else found
    boxes = "".join(_group(kind, group, paths) for group in ordered[:LISTED_GROUPS])
    return _finding(kind, result, f'<div class="pairs">{boxes}</div>' + _more(len(found), LISTED_GROUPS))


def _group(kind: str, group: Sequence[dict[str, Any]], paths: dict[str, str]) -> str:
    labels = _short({row["label"] for row in group})
    splits = sorted({row["split"] for row in group} - {""})
    title = group[0]["group"] if kind == "straddling_groups" else _and(sorted(labels.values())[:3])
    note = _count(len(group), "photo") + (f", in {_and(splits)}" if len(splits) > 1 else "")
    shown = _across(group)[:_IN_GROUP]
    pictures = "".join(_picture(row, paths, labels, splits) for row in shown)
    columns = f"grid-template-columns: repeat({max(3, len(shown))}, 1fr); align-items: start"
    return f'<div class="pair"><h3><b>{escape(title)}</b><small>{escape(note)}</small></h3><div class="photos" style="{columns}">{pictures}</div></div>'


def _picture(row: dict[str, Any], paths: dict[str, str], labels: dict[str, str], splits: Sequence[str]) -> str:
    told = [Path(row["image"]).name] + ([labels[row["label"]]] if len(labels) > 1 else []) + ([row["split"] or "no split"] if len(splits) > 1 else [])
    return captioned_photo(thumbnail_jpeg(paths[row["image"]], THUMBNAIL_PX), "<br>".join(map(escape, told)), description=row["image"])


def _short(labels: set[str]) -> dict[str, str]:
    """The finest name of each lineage, where these differ; else all of it."""
    finest = {label: label.rpartition(" / ")[2] for label in labels}
    return finest if len(set(finest.values())) == len(labels) else {label: label for label in labels}


def _across(group: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The photos, one of each label and split first."""
    seen: set[tuple[str, str]] = set()
    first: list[dict[str, Any]] = []
    rest: list[dict[str, Any]] = []
    for row in group:
        key = row["label"], row["split"]
        (rest if key in seen else first).append(row)
        seen.add(key)
    return first + rest


def _photos(kind: str, result: dict[str, Any], paths: dict[str, str]) -> str:
    found = result[kind]
    if not found:
        return ""
    pictures = []
    for row in found[:LISTED_PHOTOS]:
        told = f"{row['width']} x {row['height']}" if kind == "tiny" else f"spread {row['spread']}"
        pictures.append(
            captioned_photo(thumbnail_jpeg(paths[row["image"]], THUMBNAIL_PX), f"{escape(Path(row['image']).name)}<br>{told}", description=row["image"])
        )
    grid = f'<div class="photos" style="grid-template-columns: repeat(6, 1fr); align-items: start">{"".join(pictures)}</div>'
    return _finding(kind, result, grid + _more(len(found), LISTED_PHOTOS))


def _finding(kind: str, result: dict[str, Any], body: str) -> str:
    name, unit, text, _ = _KINDS[kind]
    count = _count(result["counts"][kind], unit)
    return section(f'<span id="{kind}">{escape(name)}: {count}</span>', paragraph(text.format(**result["settings"])) + body)


def _class_sizes(sizes: dict[str, Any]) -> str:
    rows = [(_range(row), _share(row["classes"], sizes["classes"]), f"{row['classes']:,}", f"{row['photos']:,}") for row in sizes["bins"]]
    caption = (
        f"Half of all photos are of {_count(sizes['classes_with_half_of_the_photos'], 'class', 'classes')} of {sizes['classes']:,}; "
        f"{_count(sizes['small_classes'], 'class has', 'classes have')} fewer than {FEW} photos. "
        f"Gini coefficient {sizes['gini']:.2f}: 0 where all classes have the same number, near 1 where one has almost all."
    )
    body = figure(plots.draw_long_tail(sizes["sizes"], FEW), caption, "photos of each class, the largest first")
    body += table(("photos of the class", "share of the classes", "classes", "photos"), rows, numbers=(2, 3))
    ends = [("largest classes", sizes["largest_classes"])] + (
        [("smallest classes", sizes["smallest_classes"])] if sizes["classes"] > len(sizes["largest_classes"]) else []
    )
    lists = [(name, ", ".join(f"{escape(row['class'])}&nbsp;({row['photos']:,})" for row in found)) for name, found in ends]
    return section("Class sizes", body + _GAP + table((), lists, kind="facts"))


def _splits(splits: Sequence[dict[str, Any]]) -> str:
    if not splits:
        return ""
    has_train = any(row["split"] == "train" for row in splits)
    header = ("split", "photos", "classes") + (("of these without training photos",) if has_train else ())
    rows = [
        (escape(row["split"] or "(none)"), f"{row['photos']:,}", f"{row['classes']:,}", *((f"{row['untrained_classes']:,}",) if has_train else ()))
        for row in splits
    ]
    return section("Splits", table(header, rows, numbers=(1, 2, 3)))


def _sizes_and_formats(result: dict[str, Any]) -> str:
    bins, quantiles = result["resolutions"]["bins"], result["resolutions"]["quantiles"]
    if not bins:
        return section("Resolution and formats", paragraph("No photo can be read."))
    total = sum(row["photos"] for row in bins)
    rows = [(_range(row, " px"), _share(row["photos"], total), f"{row['photos']:,}") for row in bins]
    sides = [(f"{name} side", *(f"{pair[side]:,}" for pair in quantiles.values())) for side, name in enumerate(("shorter", "longer"))]
    kinds = [(escape(row["format"]), f"{row['photos']:,}", f"{row['bytes'] / 1e6:,.1f} MB") for row in result["formats"]]
    return section(
        "Resolution and formats",
        table(("shorter side", "share of the photos", "photos"), rows, numbers=(2,))
        + _GAP
        + table(("pixels", "smallest", "5 %", "median", "95 %", "largest"), sides, numbers=(1, 2, 3, 4, 5))
        + _GAP
        + table(("format", "photos", "bytes"), kinds, numbers=(1, 2)),
    )


def _facts(result: dict[str, Any]) -> str:
    settings = result["settings"]
    rows = [
        ("Source", escape(result["source"])),
        ("Ranks", escape(", ".join(result["ranks"]))),
        ("Duplicates", "SHA-256 of the upright pixels; photos with different boxes are different"),
        (
            "Near duplicates",
            f"perceptual hash of 64 bits, at most {settings['near_distance']} of them different, chains joined; turned or mirrored copies are not found",
        ),
        ("Blank", f"no colour channel deviates by {settings['blank_spread']:g} or more of 255"),
    ]
    if result["left_out"]:
        rows.append(("Left out", escape("; ".join(account(LeftOut(one["file"], one["reason"]) for one in result["left_out"])))))
    return section("How this was checked", table((), rows, kind="facts"))


def _more(count: int, listed: int) -> str:
    return paragraph(f"And {count - listed:,} more: all are in report.json.", "note") if count > listed else ""


def _count(count: int, name: str, plural: str | None = None) -> str:
    return f"{count:,} {name if count == 1 else plural or name + 's'}"


def _and(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _range(row: dict[str, Any], unit: str = "") -> str:
    end = f" and more{unit}" if row["to"] is None else unit if row["to"] == row["from"] else f"\N{EN DASH}{row['to']:,}{unit}"
    return f"{row['from']:,}{end}"


def _share(part: int, whole: int) -> str:
    return bar(part / whole, f"{100 * part / whole:.1f}\N{NO-BREAK SPACE}%")
