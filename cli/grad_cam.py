"""`tfvision grad-cam`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tfvision.command_line import print_json, show_answers

if TYPE_CHECKING:
    from typing import Any


@click.command("grad-cam")
@click.argument("run")
@click.argument("photos", nargs=-1, required=True, metavar="PHOTO...")
@click.option("--layer", "layers", multiple=True, help="A tap, or any layer by Keras's name; repeatable. [default: the first and the last tap]")
@click.option("--label", help="The class to explain. [default: the one that the run sees]")
@click.option("-o", "--out", default=".", show_default=True, help="Folder for the pictures.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a photo.")
def grad_cam(run: str, photos: tuple[str, ...], layers: tuple[str, ...], label: str | None, out: str, as_json: bool) -> None:
    """Show where in a PHOTO (files or folders) the layers of RUN, a retriever, look: a picture a layer, red where it counts most.

    \b
    tfvision grad-cam runs/retriever photo.jpg --layer conv2 --layer conv5 -o figures
    """
    from tfvision.apps.retrieval.grad_cam import draw_grad_cams
    from tfvision.data.manifest import find_photos
    from tfvision.errors import DataError

    def answer(photo: str) -> dict[str, Any]:
        try:
            return draw_grad_cams(run, photo, layers, label, out)
        except DataError as error:
            return {"image": photo, "error": str(error)}

    found = find_photos(photos)
    show_answers(map(answer, found.paths), found, "drawing", print_json if as_json else _show)


def _show(answer: dict[str, Any]) -> None:
    if "error" in answer:
        return click.echo(f"error: {answer['error']}", err=True)
    click.echo(f"{answer['image']}: {answer['label']} ({answer['probability']:.2f})")
    for layer, path in answer["pictures"].items():
        click.echo(f"  {layer:<20} {path}")
