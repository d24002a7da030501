"""`tfvision grad-cam` and `tfvision feature-maps`: what layers see in a photo, as pictures."""

from __future__ import annotations

import collections
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfvision.command_line import print_json, show_answers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_OUT = click.option("-o", "--out", default=".", show_default=True, help="Folder for the pictures.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a photo.")


@click.command("grad-cam")
@click.argument("run")
@click.argument("photos", nargs=-1, required=True, metavar="PHOTO...")
@click.option("--layer", "layers", multiple=True, help="A tap, or any layer by Keras's name; repeatable. [default: the first and the last tap]")
@click.option("--label", help="The class to explain. [default: the one that the run sees]")
@_OUT
@_JSON
def grad_cam(run: str, photos: tuple[str, ...], layers: tuple[str, ...], label: str | None, out: str, as_json: bool) -> None:
    """Show where in a PHOTO (files or folders) the layers of RUN, a retriever, look: a picture a layer, red where it counts most.

    \b
    tfvision grad-cam runs/retriever photo.jpg --layer conv2 --layer conv5 -o figures
    """
    from tfvision.apps.retrieval.grad_cam import draw_grad_cams

    _draw(
        photos,
        lambda photo, folder: draw_grad_cams(run, photo, layers, label, folder),
        out,
        as_json,
        lambda answer: f"{answer['label']} ({answer['probability']:.2f})",
    )


@click.command("feature-maps")
@click.argument("arguments", nargs=-1, required=True, metavar="RUN|NETWORK PHOTO...")
@click.option("--model", help="The run or network, instead of the first argument.")
@click.option("--layer", "layers", multiple=True, help="A tap, or any layer by Keras's name; repeatable. [default: all taps with positions]")
@click.option("--maps", "count", type=click.IntRange(1), default=17, show_default=True, help="How many maps of a layer, the strongest first.")
@click.option("--weights", default="imagenet", show_default=True, help="Of a network: imagenet, none or a file of weights.")
@_OUT
@_JSON
def feature_maps(arguments: tuple[str, ...], model: str | None, layers: tuple[str, ...], count: int, weights: str, out: str, as_json: bool) -> None:
    """Show what channels of a layer answer to a PHOTO (files or folders): a sheet a layer, brighter where they answer more.

    The network is a finished run of any application, or one of the catalogue (`tfvision weights list`) or of keras.applications.

    \b
    tfvision feature-maps mobilenet_v2 photo.jpg --layer block_2_add -o figures
    tfvision feature-maps runs/tattoo-detector photo.jpg --layer conv1 --layer conv2 --layer conv3 -o figures
    tfvision feature-maps --model runs/species photo.jpg --layer crop_branch/block_9_add
    """
    from tfvision.evaluation.feature_maps import draw_feature_maps
    from tfvision.features.layers import open_layers

    named, photos = (model, arguments) if model else (arguments[0], arguments[1:])
    if not photos:
        raise click.UsageError("give a RUN or NETWORK, then at least one PHOTO")
    network = open_layers(named, weights)
    _draw(
        photos, lambda photo, folder: draw_feature_maps(network, photo, layers, count, folder), out, as_json, lambda answer: f"{len(answer['pictures'])} layers"
    )


def _draw(photos: Sequence[str], draw: Callable[[str, Path], dict[str, Any]], out: str, as_json: bool, tell: Callable[[dict[str, Any]], str]) -> None:
    """Draws photo after photo, those of one name into folders like their own; what cannot be read is told and passed over."""
    from tfvision.data.manifest import find_photos
    from tfvision.errors import DataError

    def answer(photo: str) -> dict[str, Any]:
        try:
            is_alone = stems[Path(photo).stem] == 1
            return draw(photo, Path(out) if is_alone else Path(out, *(part for part in Path(photo).parent.parts if part not in ("/", ".."))))
        except DataError as error:
            return {"image": photo, "error": str(error)}

    def show(answer: dict[str, Any]) -> None:
        if "error" in answer:
            return click.echo(f"error: {answer['error']}", err=True)
        click.echo(f"{answer['image']}: {tell(answer)}")
        for layer, path in answer["pictures"].items():
            click.echo(f"  {layer:<20} {path}")

    found = find_photos(photos)
    stems = collections.Counter(Path(path).stem for path in found.paths)
    show_answers(map(answer, found.paths), found, "drawing", print_json if as_json else show)
