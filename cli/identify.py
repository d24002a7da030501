"""`tfvision identify`."""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING

import click

from tfvision.command_line import NUMBER, print_json, refuse_both, show_answers
from tfvision.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from tfvision.data.manifest import Manifest


_ANIMAL_COLUMNS = ("box", "confidence", "counts")
_GROUP_COLUMNS = ("count", "photos", "unreadable")


@click.command()
@click.argument("model")
@click.argument("photos", nargs=-1, required=True)
@click.option("--within", multiple=True, help="A taxon that is known to hold the answer; repeatable.")
@click.option("--box", help="left,top,width,height in pixels, or as fractions of the photo: where the animal is.")
@click.option("--by-group", is_flag=True, help="One answer a group of photos of one animal: of the column `group` of a manifest, else of a folder.")
@click.option("--detections", metavar="FILE", help="MegaDetector's JSON: one answer an animal that it found.")
@click.option("--detector", metavar="FILE", help="A detector to run first: a SavedModel's folder, a .tflite or an .onnx, with its JSON beside it.")
@click.option(
    "--detection-confidence", type=NUMBER, default=0.2, show_default=True, metavar="SHARE", help="Least confidence of the detector in an animal's box."
)
@click.option("--detections-out", metavar="FILE", help="Write what was detected as MegaDetector's JSON.")
@click.option("--pictures", metavar="FOLDER", help="Write each photo with the boxes and names of its animals.")
@click.option("--threshold", type=NUMBER, help="Least probability of an answer. [default: the run's calibration]")
@click.option("--target-accuracy", type=NUMBER, help="Share of answers to be right. [default: the run's, 0.9]")
@click.option("--unknown-share", type=NUMBER, help="Share of photos whose species MODEL was not trained on, 0 to 0.5. [default: the run's]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a photo, or a group.")
@click.option("--csv", "as_csv", is_flag=True, help="Print a CSV: answer, lineage, what is known of unknown species; of animals also box, confidence, counts.")
def identify(
    model: str,
    photos: tuple[str, ...],
    within: tuple[str, ...],
    box: str | None,
    by_group: bool,
    detections: str | None,
    detector: str | None,
    detection_confidence: float,
    detections_out: str | None,
    pictures: str | None,
    threshold: float | None,
    target_accuracy: float | None,
    unknown_share: float | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Name the animals and plants of PHOTOS (files or folders) with MODEL, a run or an export.

    The answer is the deepest taxon that may be named at the chosen accuracy; with an unknown share above 0, even where so many photos are of species that
    MODEL was not trained on.

    \b
    tfvision identify runs/species photo.jpg
    tfvision identify runs/species holiday/ --within Lepidoptera --csv > answers.csv
    tfvision identify runs/species photo.jpg --box 120,80,200,160
    tfvision identify runs/species observations/ --by-group
    tfvision identify savedmodels/species photo.jpg
    tfvision identify runs/species card/ --detections megadetector.json --csv > animals.csv
    tfvision identify runs/species card/ --detector detector.onnx --detections-out detections.json
    """
    from tfvision.apps.species.animals import BoxedPictures, identify_animals, sees_boxes
    from tfvision.apps.species.identification import load_identifier
    from tfvision.data.boxes import are_fractions, parse_box
    from tfvision.data.detections import Detections, DetectorLog, check_confidence
    from tfvision.data.manifest import find_photos
    from tfvision.export.detector import Detector

    refuse_both(csv=as_csv, json=as_json)
    refuse_both(detections=detections, detector=detector)
    refuse_both(box=box, detections=detections)
    refuse_both(box=box, detector=detector)
    for other, is_given in (("box", bool(box)), ("detections", bool(detections)), ("detector", bool(detector))):
        refuse_both(**{"by-group": by_group, other: is_given})
    if (detections_out or pictures) and not (detections or detector):
        raise click.UsageError(f"--{'detections-out' if detections_out else 'pictures'} is for --detector or --detections")
    box = parse_box(box)
    if are_fractions([box]):
        click.echo("--box is read as fractions of each photo's width and height", err=True)
    found = find_photos(photos)
    if by_group:
        show = print_json if as_json else _csv_printer(_GROUP_COLUMNS, "group") if as_csv else _show_group
        return _identify_groups(load_identifier(model), found, show, within, threshold, target_accuracy, unknown_share)
    if not (detections or detector):
        answers = load_identifier(model).identify(found.paths, within, box, threshold, target_accuracy, unknown_share)
        return show_answers(answers, found, "identifying", print_json if as_json else _csv_printer() if as_csv else _show)
    check_confidence(detection_confidence)
    finder = Detections.read(detections) if detections else DetectorLog(Detector(str(detector)))
    if isinstance(finder, Detections):
        finder.check(found.paths)
    identifier = load_identifier(model)
    if not sees_boxes(identifier):
        click.echo(f"{model} has one view, the whole photo: all animals of a photo get the same answer", err=True)
    answers = identify_animals(identifier, found.paths, finder, detection_confidence, within, threshold, target_accuracy, unknown_share)
    answers = _with_boxes_told(BoxedPictures(pictures).of(answers) if pictures else answers)
    show_answers(answers, found, "identifying", print_json if as_json else _csv_printer(_ANIMAL_COLUMNS) if as_csv else _show_animals)
    if detections_out:
        finder.write(detections_out)


def _identify_groups(identifier: Any, found: Manifest, show: Callable[[dict[str, Any]], object], *asked: Any) -> None:
    """Shows an answer to each group of the photos found; ends the command with exit code 1 where every group failed."""
    from tfvision.data.manifest import groups_of

    groups, unread = groups_of(found)
    names, failed = {record.path: record.name for record in found.records}, 0
    paths = {name: [record.path for record in records] for name, records in groups.items()}
    with progress_bar("identifying", len(groups)) as bar:
        for answer in identifier.identify_groups(paths, *asked):
            failed += "error" in answer
            told = {names[path]: reason.replace(path, names[path]) for path, reason in answer["unreadable"].items()} | unread[answer["group"]]
            error = {"error": next(iter(told.values()), answer["error"])} if "error" in answer else {}
            show({**answer, "photos": [names[path] for path in answer["photos"]], "unreadable": told, **error})
            bar.advance(1)
    if failed == len(groups):
        sys.exit(1)


def _show_group(answer: dict[str, Any]) -> None:
    count = len(answer["photos"])
    if "error" in answer:
        return click.echo(f"error: {answer['group']}: no photo of the group could be read: {answer['error']}", err=True)
    click.echo(f"{answer['group']} ({count} photo{'s' if count != 1 else ''}): {_told(answer)}")
    _show_taxa(answer)
    if answer["unreadable"]:
        click.echo(f"{answer['group']}: answered without {len(answer['unreadable'])} that could not be read:", err=True)
        for reason in answer["unreadable"].values():
            click.echo(f"error: {reason}", err=True)


def _with_boxes_told(answers: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for answer in answers:
        if "outside" in answer:
            click.echo(f"{answer['image']}: passed over, as not within the photo: {answer['outside']} of the detector's boxes", err=True)
        yield answer


def _show(answer: dict[str, Any]) -> None:
    if "error" in answer:
        return click.echo(f"error: {answer['error']}", err=True)
    click.echo(f"{answer['image']}: {_told(answer)}")
    _show_taxa(answer)


def _show_taxa(answer: dict[str, Any]) -> None:
    if answer["rank"] != "root":
        click.echo("  " + " > ".join(f"{taxon['name']} {taxon['probability']:.0%}" for taxon in answer["lineage"]))
    click.echo("  likeliest: " + ", ".join(f"{top['name']} {top['probability']:.1%}" for top in answer["top"]))


def _told(answer: dict[str, Any]) -> str:
    is_named = answer["rank"] != "root"
    told = f"{answer['rank']} {answer['taxon']}, {answer['probability']:.1%}" if is_named else "not sure enough to name anything"
    if answer.get("is_unknown"):
        kind = told if is_named else "nothing that may be named"
        return f"no species of this run; {kind}, most like {answer['top'][0]['name']}"
    return told


def _show_animals(answer: dict[str, Any]) -> None:
    if "error" in answer:
        return _show(answer)
    click.echo(f"{answer['image']}: {_counts(answer) or 'nothing found'}")
    for number, animal in enumerate(answer["animals"], 1):
        found = f"(box {','.join(f'{value:g}' for value in animal['box'])}; detected {animal['confidence']:.2f})"
        if "error" in animal:
            click.echo(f"error: {animal['error']} {found}", err=True)
        else:
            click.echo(f"  {number}. {_told(animal)}  {found}")


def _counts(answer: dict[str, Any]) -> str:
    return ", ".join(f"{count} x {category}" for category, count in answer["counts"].items())


def _csv_printer(more: tuple[str, ...] = (), key: str = "image") -> Callable[[dict[str, Any]], None]:
    writer = csv.writer(sys.stdout)
    columns = (key, "taxon", "rank", "probability", "lineage", "error", "unknown_probability", "is_unknown", "likeliest", *more)
    writer.writerow(columns)

    def show(answer: dict[str, Any]) -> None:
        shared = {key: answer[key], "counts": _counts(answer) if "counts" in answer else ""}
        for one in answer.get("animals") or [answer]:
            texts = {
                **one,
                **shared,
                "lineage": " > ".join(taxon["name"] for taxon in one.get("lineage", ())),
                "is_unknown": int(one["is_unknown"]) if "is_unknown" in one else "",
                "likeliest": one["top"][0]["name"] if one.get("top") else "",
                "box": ",".join(f"{value:g}" for value in one.get("box", ())),
                "count": len(one.get("photos", ())),
                "photos": "; ".join(one.get("photos", ())),
                "unreadable": "; ".join(one.get("unreadable", ())),
            }
            writer.writerow([texts.get(column, "") for column in columns])

    return show
