"""`tfvision identify`."""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING

import click

from tfvision.command_line import NUMBER, print_json, refuse_both, show_answers

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


@click.command()
@click.argument("model")
@click.argument("photos", nargs=-1, required=True)
@click.option("--within", multiple=True, help="A taxon that is known to hold the answer; repeatable.")
@click.option("--box", help="left,top,width,height in pixels, or as fractions of the photo: where the animal is.")
@click.option("--threshold", type=NUMBER, help="Least probability of an answer. [default: the run's calibration]")
@click.option("--target-accuracy", type=NUMBER, help="Share of answers to be right. [default: the run's, 0.9]")
@click.option("--unknown-share", type=NUMBER, help="Share of photos whose species MODEL was not trained on, 0 to 0.5. [default: the run's]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a photo.")
@click.option("--csv", "as_csv", is_flag=True, help="Print a CSV: image, taxon, rank, probability, lineage, error, and what is known of unknown species.")
def identify(
    model: str,
    photos: tuple[str, ...],
    within: tuple[str, ...],
    box: str | None,
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
    tfvision identify savedmodels/species photo.jpg
    """
    from tfvision.apps.species.identification import load_identifier
    from tfvision.data.boxes import are_fractions, parse_box
    from tfvision.data.manifest import find_photos

    refuse_both(csv=as_csv, json=as_json)
    box = parse_box(box)
    if are_fractions([box]):
        click.echo("--box is read as fractions of each photo's width and height", err=True)
    found = find_photos(photos)
    answers = load_identifier(model).identify(found.paths, within, box, threshold, target_accuracy, unknown_share)
    show_answers(answers, found, "identifying", print_json if as_json else _csv_printer() if as_csv else _show)


def _show(answer: dict[str, Any]) -> None:
    if "error" in answer:
        return click.echo(f"error: {answer['error']}", err=True)
    is_named = answer["rank"] != "root"
    told = f"{answer['rank']} {answer['taxon']}, {answer['probability']:.1%}" if is_named else "not sure enough to name anything"
    if answer.get("is_unknown"):
        kind = told if is_named else "nothing that may be named"
        told = f"no species of this run ({answer['unknown_probability']:.0%}); {kind}, most like {answer['top'][0]['name']}"
    click.echo(f"{answer['image']}: {told}")
    if is_named:
        click.echo("  " + " > ".join(f"{taxon['name']} {taxon['probability']:.0%}" for taxon in answer["lineage"]))
    click.echo("  likeliest: " + ", ".join(f"{top['name']} {top['probability']:.1%}" for top in answer["top"]))


def _csv_printer() -> Callable[[dict[str, Any]], None]:
    writer = csv.writer(sys.stdout)
    writer.writerow(["image", "taxon", "rank", "probability", "lineage", "error", "unknown_probability", "is_unknown", "likeliest"])

    def show(answer: dict[str, Any]) -> None:
        lineage = " > ".join(taxon["name"] for taxon in answer.get("lineage", ()))
        named = (answer.get(key, "") for key in ("taxon", "rank", "probability"))
        likeliest = answer["top"][0]["name"] if answer.get("top") else ""
        unknown = (answer.get("unknown_probability", ""), int(answer["is_unknown"]) if "is_unknown" in answer else "", likeliest)
        writer.writerow([answer["image"], *named, lineage, answer.get("error", ""), *unknown])

    return show
