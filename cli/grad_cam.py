"""`tfvision grad-cam`."""

import click

from tfvision.command_line import print_json


@click.command("grad-cam")
@click.argument("run")
@click.argument("photos", nargs=-1, required=True, metavar="PHOTO...")
@click.option("--layer", "layers", multiple=True, help="A tap, or any layer by Keras's name; repeatable. [default: the first and the last tap]")
@click.option("--label", help="The class to explain. [default: the one that the run sees]")
@click.option("-o", "--out", default=".", show_default=True, help="Folder for the pictures.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a photo.")
def grad_cam(run: str, photos: tuple[str, ...], layers: tuple[str, ...], label: str | None, out: str, as_json: bool) -> None:
    """Show where in a PHOTO the layers of RUN, a retriever, look: a picture a layer, red where it counts most.

    \b
    tfvision grad-cam runs/retriever photo.jpg --layer conv2 --layer conv5 -o figures
    """
    from tfvision.apps.retrieval.grad_cam import draw_grad_cams

    for photo in photos:
        result = draw_grad_cams(run, photo, layers, label, out)
        if as_json:
            print_json(result)
            continue
        click.echo(f"{photo}: {result['label']} ({result['probability']:.2f})")
        for layer, path in result["pictures"].items():
            click.echo(f"  {layer:<20} {path}")
