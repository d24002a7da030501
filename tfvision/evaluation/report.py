"""Writes an evaluation: report.json, the result itself, report.html, a page for people, species.csv and answers.csv.

The page is one file without scripts or outside resources; pictures are inside it. Names of species, photos and
runs come from users' folders and are escaped wherever they are written; the page also forbids itself scripts.
"""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from tfvision.data.csv_table import csv_text
from tfvision.evaluation import plots
from tfvision.evaluation.page import bar, captioned_photo, compose, figure, paragraph, section, table
from tfvision.files import write_json, write_text

THUMBNAIL_PX = 220
Thumbnail = Callable[[str, int], bytes | None]  # path, size in pixels -> JPEG
LISTED = 20  # entries of a list among the facts before "and N more"
LISTED_SPECIES = 1000
_NAMED_GROUPS = 5
SPECIES_FILE, ANSWERS_FILE, GROUPS_FILE = "species.csv", "answers.csv", "groups.csv"


def write_report(
    folder: Path | str,
    result: dict[str, Any],
    title: str,
    facts: dict[str, Any],
    thumbnail: Thumbnail | None = None,
    training_accuracy: float | None = None,
    answers: Iterable[Sequence[object]] = (),
) -> Path:
    """Writes `report.json`, `species.csv`, `answers.csv` (where there are any) and `report.html` into `folder`, each atomically.

    Args:
      result: what `Evaluation.result` returned.
      title: the page's heading.
      facts: dict of label -> value, shown as a table (run, recipe, seed, data, failed images); lists are shown
        entry by entry.
      thumbnail: a function (path, size_px) -> JPEG bytes, or None for a photo that cannot be read; without it
        confused pairs are shown by file name.
      training_accuracy: accuracy on the training photos, for the paper's table 1; a dash if None.
      answers: of `Evaluation.answers`.
    Returns:
      the Path of report.html.
    Raises:
      StorageError: a file could not be written.
    """
    folder = Path(folder)
    write_json(folder / "report.json", result)
    write_text(folder / SPECIES_FILE, csv_text(_species_rows(result)))
    if rows := list(answers):
        write_text(folder / ANSWERS_FILE, csv_text(rows))
    sections = [
        _headline(result),
        _as_it_stands(result),
        _specificity(result),
        _groups(result),
        _unknown(result, thumbnail or (lambda path, size_px: None)),
        _ranks(result),
        _species(result),
        _class_sizes(result),
        _reliability(result),
        _confusions(result, thumbnail or (lambda path, size_px: None)),
        _table_1(result, title, training_accuracy),
        _facts(facts),
    ]
    write_text(folder / "report.html", compose(title, sections))
    return folder / "report.html"


def headline(result: dict[str, Any]) -> str:
    """The result in one plain sentence: of the model as it stands, where it has a threshold already."""
    named = _named(result)
    return (
        f"Names the right species for {_round_percent(result['accuracy'])} of {result['images']:,} photos; "
        f"{'as it stands, ' * ('as_it_stands' in result)}asked to be right {_odds(named['target'])}, it answers at depth "
        f"{named['depth']:.1f} of {named['deepest']}{_near(result, named)} and is right for {_round_percent(named['accuracy'])}."
    )


def unlikeness(result: dict[str, Any]) -> str:
    """Where a standing threshold does not hold on these photos, that they are not like those of the training; else ""."""
    if not result.get("as_it_stands", {}).get("is_apart"):
        return ""
    standing, refitted = result["as_it_stands"], result["specificity"]
    few = "" if standing["confidence"] else ", or its threshold was fitted on too few"
    return (
        f"These photos are not like those it was trained on{few}: as it stands, and as `identify` will, it is right for "
        f"{_percent(standing['accuracy'])} at depth {standing['depth']:.1f}, refitted on half of them for {_percent(refitted['accuracy'])} at depth "
        f"{refitted['depth']:.1f}. Train with photos like these, or identify with a threshold that was fitted on such."
    )


def _named(result: dict[str, Any]) -> dict[str, Any]:
    return result.get("as_it_stands", result["specificity"])


def _headline(result: dict[str, Any]) -> str:
    named = _named(result)
    cards = [
        ("Species", _percent(result["accuracy"]), f"of photos, 95 % interval {_range(result['accuracy_interval'])}"),
        ("Among the first five", _percent(result["top5"]), "of photos have the right species in the list of five"),
        (
            "Mean over species",
            _percent(result["macro_accuracy"]),
            "each species counts alike, however many photos it has",
        ),
        (
            "Depth",
            f"{named['depth']:.2f}",
            f"of {named['deepest']}, when asked for {_percent(named['target'])} accuracy",
        ),
    ]
    tiles = "".join(f'<div class="tile"><span>{name}</span><strong>{value}</strong><small>{note}</small></div>' for name, value, note in cards)
    warning = paragraph(unlikeness(result)) if unlikeness(result) else ""
    return f'<p class="headline">{escape(headline(result))}</p>\n{warning}<div class="tiles">{tiles}</div>'


def _as_it_stands(result: dict[str, Any]) -> str:
    if "as_it_stands" not in result:
        return ""
    standing = result["as_it_stands"]
    text = (
        f"What `identify` does with photos like these: at the run's own threshold, {standing['threshold']:.3f}, and temperature, "
        f"{standing['temperature']:.2f}, it is right for {_percent(standing['accuracy'])} of photos (95 % interval {_range(standing['interval'])}) at depth "
        f"{standing['depth']:.2f} of {standing['deepest']} ({_depths(standing)}) and gives no answer for {_percent(standing['abstained'])}."
        + (f" So it answers where {_round_percent(standing['unknown_share'])} of photos may be of unknown species." if "unknown_share" in standing else "")
    )
    return section("As it stands", paragraph(text) + _answers_table(standing))


def _unknown(result: dict[str, Any], thumbnail: Thumbnail) -> str:
    """How answers stand where photos are of species that were never trained on, and the photos most unlike anything trained."""
    if "unknown" not in result:
        return ""
    unknown = result["unknown"]
    photos = "".join(
        captioned_photo(thumbnail(one["image"], THUMBNAIL_PX), f"<em>{escape(one['species'])}</em><br>{_percent(one['chance'])}", description=one["image"])
        for one in unknown["strangest"]
    )
    note = (
        f"The photos most unlike anything trained, with their species and the chance that they are of none that was trained on, where "
        f"{_round_percent(unknown['share'])} of photos are. They are of trained species: look for wrong labels, drawings, empty photos and odd views."
    )
    strangest = paragraph(note, "note") + f'<div class="photos">{photos}</div>'
    if not unknown.get("by_share"):
        return section("Species never trained on", strangest)
    at_share = next(row["unknown"] for row in unknown["by_share"] if row["share"] >= unknown["share"] - 1e-9)
    text = (
        f"{unknown['told']} Where {_round_percent(at_share['share'])} of photos are of such species, answers are right for {_percent(at_share['right'])} (95 % "
        f"interval {_range(at_share['interval'])}), at depth {at_share['depth']:.2f} for known species and {at_share['depth_unknown']:.2f} for the others, of "
        f"which {_percent(at_share['named'])} get a species' name. An answer on an unknown species is right where the named taxon holds it."
    )
    rules = ("unknown", "today")
    rows = [
        (
            _round_percent(row["share"]),
            *(_percent(row[rule]["right"]) for rule in rules),
            *(f"{row[rule]['depth']:.2f}" for rule in rules),
            *(_percent(row[rule]["named"]) for rule in rules),
        )
        for row in unknown["by_share"]
    ]
    header = ("unknown", "right", "right, thresholds of 0", "depth, known", "depth, thresholds of 0", "unknown named", "unknown named, thresholds of 0")
    caption = "Right answers and depth against the share of photos of unknown species, with the thresholds of that share and with those of a share of 0."
    body = paragraph(text) + figure(plots.draw_unknown_shares(result), caption, "right answers and depth against the share of unknown species")
    return section("Species never trained on", body + table(header, rows, numbers=range(7)) + strangest)


def groups_told(result: dict[str, Any]) -> list[str]:
    """What answers to groups are worth, in sentences; none where they were not asked for."""
    if not (found := result.get("by_group")):
        return []
    named, told = _named(result), []
    if found["groups"]:
        told.append(
            f"{found['groups']:,} groups of {found['photos']:,} photos. The right species for {_percent(found['accuracy'])} of groups (95 % interval "
            f"{_range(found['accuracy_interval'])}), photo by photo for {_percent(result['accuracy'])}. Asked to be right {_odds(named['target'])}, right for "
            f"{_percent(found['right'])} ({_range(found['interval'])}) at depth {found['depth']:.2f}, photo by photo for {_percent(named['accuracy'])} at "
            f"depth {named['depth']:.2f}."
        )
    else:
        told.append("no group could be judged.")
    reasons = (("mixed", "of photos of several species, which have no one answer"), ("unread", "of which no photo could be read"))
    for key, why in reasons:
        if names := found[key]:
            more = f" and {len(names) - _NAMED_GROUPS} more" if len(names) > _NAMED_GROUPS else ""
            told.append(f"not judged: {len(names)} group{'s' if len(names) > 1 else ''} {why}: {', '.join(names[:_NAMED_GROUPS])}{more}")
    return told


def _groups(result: dict[str, Any]) -> str:
    """One answer to several photos of one animal: as it was evaluated, or fitted at training."""
    if fitted := result.get("groups"):
        measured, photos = fitted["measured"], fitted["measured"]["photos"]
        kind = "groups of the source" if fitted["is_real"] else "groups drawn of photos of one species, which are independent as those of a burst are not"
        text = (
            f"Several photos of one animal get one answer (`--by-group`, surveys). Their dependence, {fitted['dependence']:.2f} (0: none; 1: a group is "
            f"never surer than its photos), and the thresholds were fitted on {fitted['groups']:,} {kind}. Fitted on one half of them, on the "
            f"{measured['groups']:,} others answers are right for {_percent(measured['accuracy'])} (95 % interval {_range(measured['interval'])}) at depth "
            f"{measured['depth']:.2f}; the same photos one by one for {_percent(photos['accuracy'])} at depth {photos['depth']:.2f}."
        )
        return section("Several photos, one answer", paragraph(text))
    if not (found := result.get("by_group")):
        return ""
    rows = [
        (
            _sizes_told(row["smallest"], row["largest"]),
            f"{row['groups']:,}",
            _percent(row["accuracy"]),
            _percent(row["right"]),
            _range(row["interval"]),
            f"{row['depth']:.2f}",
        )
        for row in found["by_size"]
    ]
    header = ("photos a group", "groups", "right species", "right answers", "95 % interval", "depth")
    body = "".join(paragraph(sentence[:1].upper() + sentence[1:]) for sentence in groups_told(result))
    return section(
        "Several photos, one answer", body + table(header, rows, numbers=range(1, 6)) + paragraph(f"{GROUPS_FILE} has the answer to each group.", "note")
    )


def _sizes_told(smallest: int, largest: int | None) -> str:
    return f"{smallest} or more" if largest is None else f"{smallest}" if largest == smallest else f"{smallest} to {largest}"


def _answers_table(named: dict[str, Any]) -> str:
    rows = [
        (
            "no answer (root)" if rank == "root" else escape(rank),
            bar(row["share"], _percent(row["share"])),
            f"{row['images']:,}",
            _percent(row["accuracy"]),
        )
        for rank, row in reversed(named["answers_by_rank"].items())
    ]
    return table(("answers with a", "share of photos", "photos", "of these right"), rows, numbers=(2, 3))


def _specificity(result: dict[str, Any]) -> str:
    named = result["specificity"]
    margin = (
        f"The threshold was chosen so that the target is reached with {_round_percent(named['confidence'])} confidence. "
        if named["confidence"]
        else "The threshold meets the target on the photos it was fitted on, without a margin. "
    )
    halves = margin + (
        f"The threshold was fitted on {named['fitted_on']:,} photos and everything here is measured on {named['reported_on']:,} others."
        if named["is_held_out"]
        else f"There were too few photos to hold some out: the threshold was fitted and measured on the same "
        f"{named['fitted_on']:,}, so these figures are too hopeful."
    )
    text = (
        "A careful answer is better than a wrong one: where the model is unsure of the species, it names the genus "
        f"or the family. At threshold {named['threshold']:.3f} it is right for {_percent(named['accuracy'])} of "
        f"photos at depth {named['depth']:.2f} (95 % intervals {_range(named['interval'])} and {_depths(named)}; with 95 % confidence at least "
        f"{_percent(named['lower_bound'])}) and gives no answer for {_percent(named['abstained'])}. {halves}"
    )
    caption = (
        "How deep the answers go (upwards) for the accuracy you ask for (to the right). The ring is the setting of "
        "this report. Where both lines lie together, the thresholds hold on photos they were not fitted on."
    )
    return section(
        "Refitted on these photos" if "as_it_stands" in result else "Answers only as deep as it is sure",
        paragraph(text) + figure(plots.draw_depth_curve(result), caption, "depth against target accuracy") + _answers_table(named),
    )


def _ranks(result: dict[str, Any]) -> str:
    summed = result["accuracy_by_rank_summed"]
    rows = [(escape(rank), _percent(value), _percent(summed[rank])) for rank, value in result["accuracy_by_rank"].items()]
    caption = (
        "Dots: the one species named, judged by the family, order and so on it belongs to. Diamonds: each rank "
        "asked anew, the probabilities of all species below a taxon added up. The further a rank stands to the "
        "right of the species, the more of the wrong names are near misses."
    )
    return section(
        "Accuracy at each rank",
        figure(plots.draw_ranks(result), caption, "accuracy by rank")
        + table(("rank", "of the species named", "of the most probable taxon"), rows, numbers=(1, 2)),
    )


def _species(result: dict[str, Any]) -> str:
    worst = sorted(result["by_species"], key=lambda row: (row["recall"] is None, row["recall"], -row["images"]))
    rows = [
        (escape(row["species"]), f"{row['images']:,}", _percent(row["recall"]), _percent(row["precision"]), _number(row["depth"]))
        for row in worst[:LISTED_SPECIES]
    ]
    note = (
        "Recall: of its photos, those named so. Precision: of the photos named so, those that are. Depth: how deep the careful answers to its photos "
        f"go, on average. The lowest recall comes first; {SPECIES_FILE} holds all, {ANSWERS_FILE} the answer to each photo."
    )
    more = paragraph(f"And {len(worst) - LISTED_SPECIES:,} more species.", "note") if len(worst) > LISTED_SPECIES else ""
    header = ("species", "photos", "recall", "precision", "mean depth")
    return section("Each species", paragraph(note) + table(header, rows, numbers=(1, 2, 3, 4)) + more)


def _species_rows(result: dict[str, Any]) -> list[Sequence[object]]:
    """Those of species.csv."""
    figures = ("images", "recall", "precision", "depth")
    rows = ((*row["lineage"], *("" if row[key] is None else row[key] for key in figures)) for row in result["by_species"])
    return [(*result["accuracy_by_rank"], *figures), *rows]


def _class_sizes(result: dict[str, Any]) -> str:
    rows = [
        (
            escape(plots.size_label(row)),
            f"{row['classes']:,}",
            f"{row['images']:,}",
            _percent(row["accuracy"]),
            _range(row["interval"]),
        )
        for row in result["by_class_size"]
    ]
    caption = (
        "Are species with few training photos (left) named as well as those with many (right)? Bars are 95 % "
        "intervals: where they are long, few photos were evaluated and the point may move. The dashed line is the "
        "accuracy over all photos."
    )
    header = ("training photos", "species", "evaluated photos", "accuracy", "95 % interval")
    return section(
        "Rare and common species",
        figure(plots.draw_class_sizes(result), caption, "accuracy by class size") + table(header, rows, numbers=(0, 1, 2, 3, 4)),
    )


def _reliability(result: dict[str, Any]) -> str:
    caption = (
        "When the model says 80 %, is it right for 80 % of photos? Points below the dashed line: it is too sure of "
        "itself; above: too modest. Grey bars: how often each confidence occurs. Mean distance from the line "
        f"(expected calibration error): {100 * result['calibration_error']:.1f} percentage points, at temperature "
        f"{result['temperature']:.2f}."
    )
    return section("Can its confidence be believed?", figure(plots.draw_reliability(result), caption, "reliability diagram"))


def _confusions(result: dict[str, Any], thumbnail: Thumbnail) -> str:
    if not result["confusions"]:
        return section("Most confused pairs", paragraph("No photo was given a wrong species."))
    pairs = "".join(_confusion(pair, thumbnail) for pair in result["confusions"])
    note = "Left, up to three photos that were named wrongly; framed in blue, a photo of the species they were taken for."
    return section("Most confused pairs", paragraph(note) + f'<div class="pairs">{pairs}</div>')


def _confusion(pair: dict[str, Any], thumbnail: Thumbnail) -> str:
    wrong = "".join(_photo(path, thumbnail) for path in pair["images"])
    reference = _photo(pair["reference"], thumbnail) if pair["reference"] else '<div class="nophoto">no photo of it here</div>'
    photos = f"{pair['count']:,} photo{'s' * (pair['count'] != 1)}"
    return (
        f'<div class="pair"><h3><em>{escape(pair["true"])}</em> taken for <em>{escape(pair["predicted"])}</em>'
        f"<small>{photos}, {_percent(pair['share'])} of this species</small></h3>"
        f'<div class="photos"><div class="wrong">{wrong}</div><div class="reference">{reference}</div></div></div>'
    )


def _photo(name: str, thumbnail: Thumbnail) -> str:
    return captioned_photo(thumbnail(name, THUMBNAIL_PX), escape(name), description=name)


def _table_1(result: dict[str, Any], title: str, training_accuracy: float | None) -> str:
    named = result["specificity"]
    header = (
        "network",
        "accuracy (validation set)",
        "accuracy (training set)",
        "automatic specificity accuracy",
        "automatic specificity depth",
    )
    training = "\N{EN DASH}" if training_accuracy is None else _percent(training_accuracy)
    row = (escape(title), _percent(result["accuracy"]), training, _percent(named["accuracy"]), f"{named['depth']:.2f}")
    note = (
        "The columns of table 1 in Mo, Frank and Vetrova, Large-scale automatic species identification. Depth "
        "counts the root as 0 and a full lineage's species as 7, as that paper's text does; its table counts the "
        "root as 1, so add 1 to compare with it."
    )
    return section("For comparison with the paper", table(header, [row], numbers=(1, 2, 3, 4)) + paragraph(note, "note"))


def _facts(facts: dict[str, Any]) -> str:
    rows = [(escape(str(label)), _fact(value)) for label, value in facts.items()]
    return section("How this was measured", table((), rows, kind="facts")) if rows else ""


def _fact(value: object) -> str:
    if not isinstance(value, (list, tuple)):
        return escape(str(value))
    entries = [escape(str(entry)) for entry in value[:LISTED]]
    if len(value) > LISTED:
        entries.append(f"and {len(value) - LISTED:,} more")
    return "<br>".join(entries) or "none"


def _near(result: dict[str, Any], named: dict[str, Any]) -> str:
    """The rank nearest to the mean depth, where the tree has one level a rank."""
    ranks = list(result["accuracy_by_rank"])
    depth = round(named["depth"])
    if named["deepest"] != len(ranks) or depth == 0:
        return ""
    return f" (on average close to the {ranks[depth - 1]})"


def _odds(target: float) -> str:
    tenths = 10 * target
    return f"{round(tenths)} times in 10" if abs(tenths - round(tenths)) < 1e-9 else f"for {_percent(target)} of photos"


def _percent(share: float | None) -> str:
    return "\N{EN DASH}" if share is None else f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def _round_percent(share: float) -> str:
    """Whole percents for a sentence, but never "100 %" of what is not all, nor "0 %" of what is some."""
    return _percent(share) if round(100 * share) in (0, 100) else f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def _number(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:.2f}"


def _depths(named: dict[str, Any]) -> str:
    """The interval of the mean depth."""
    return "\N{EN DASH}".join(f"{depth:.2f}" for depth in named["depth_interval"])


def _range(interval: Sequence[float]) -> str:
    return f"{100 * interval[0]:.1f}\N{EN DASH}{100 * interval[1]:.1f}\N{NO-BREAK SPACE}%"
