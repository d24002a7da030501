"""`tfvision detect`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tfvision.command_line import print_json, show_answers

if TYPE_CHECKING:
    from typing import Any


@click.command()
@click.argument("model")
@click.argument("photos", nargs=-1, required=True, metavar="PHOTO...")
@click.option("--where", help="Folder for pictures: each tattoo, with the region that speaks for it laid over the photo (Grad-CAM).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a photo.")
def detect(model: str, photos: tuple[str, ...], where: str | None, as_json: bool) -> None:
    """Tell which PHOTOs (files or folders) show a tattoo, with MODEL, a run or an export of a tattoo detector.

    The score is the detector's margin: above 0 the photo counts as a tattoo. The exit code is 1 where no photo could be read.

    \b
    tfvision detect runs/tattoo-detector photo.jpg
    tfvision detect savedmodels/tattoo-detector custody/ --json > answers.jsonl
    tfvision detect runs/tattoo-detector custody/ --where regions/
    """
    from tfvision.apps.tattoo_detection.detection import load_detector
    from tfvision.data.manifest import find_photos

    found = find_photos(photos, is_missing_told=True)
    show_answers(load_detector(model).detect(found.paths, where), found, "detecting", print_json if as_json else _show)


def _show(answer: dict[str, Any]) -> None:
    if "error" in answer:
        return click.echo(f"error: {answer['error']}", err=True)
    where = f"  {answer['where']}" if "where" in answer else ""
    verdict = "tattoo" if answer["is_tattoo"] else "other"
    click.echo(f"{answer['image']}: {verdict}, score {answer['score']:+.2f}, probability {answer['probability']:.3f}{where}")
