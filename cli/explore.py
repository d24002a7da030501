"""`tfvision explore`."""

import click


@click.command()
@click.argument("locations", nargs=-1, required=True, metavar="FOLDER_OR_GALLERY_OR_RUN...")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Port of 127.0.0.1; 0: any that is free.")
@click.option("--no-browser", is_flag=True, help="Only print the page's address.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="For a folder: a network, a run or an export; several are seen side by side. [default: mobilenet_v2] "
    "With a gallery: the export or module that it names, if you trust it.",
)
@click.option(
    "--weights", metavar="FILE", help="Of a folder's network: a file (.safetensors, .caffemodel, .onnx, .weights.h5), imagenet or none. [default: imagenet]"
)
@click.option("--layer", "layers", multiple=True, metavar="NAME", help="For a folder: a tap of the network; several are seen side by side. [default: its last]")
@click.option(
    "--text-model",
    metavar="FOLDER|FILE.onnx",
    help="To ask in words: the two towers of a model such as CLIP, whose image tower sees a folder's photos. A SavedModel runs as a program: name your own.",
)
@click.option(
    "--state", metavar="DIR", help="Where vectors, thumbnails, tags and verdicts are kept. [default: FOLDER/.tfvision; GALLERY-explorer; RUN-explorer]"
)
@click.option("--export", "export_folder", metavar="DIR", help="Write the page as a static site instead, for up to 20,000 pictures.")
def explore(
    locations: tuple[str, ...],
    port: int,
    no_browser: bool,
    models: tuple[str, ...],
    weights: str | None,
    layers: tuple[str, ...],
    text_model: str | None,
    state: str | None,
    export_folder: str | None,
) -> None:
    """Look at a collection of pictures and at what deep features retrieve in it, in the browser.

    A folder (or a manifest.csv) is indexed on the first call, while the page is open already. Several galleries of the
    same pictures are several layers of one page. A run opens the photos that it was made of, its answers as columns, the
    surest errors first; the folder that `tfvision survey` wrote those of its card, what to look at first in front.

    \b
    tfvision explore my-photos/
    tfvision explore my-photos/ --layer block_9_add --layer out_relu
    tfvision explore my-photos/ --model alexnet --weights bvlc_alexnet.caffemodel --layer fc7
    tfvision explore my-gallery another-networks-gallery --port 9000
    tfvision explore runs/species
    tfvision explore survey/ --model runs/species
    tfvision explore my-photos/ --text-model clip/
    tfvision explore my-gallery --export site/
    """
    from tfvision.apps.explorer.plan import plan
    from tfvision.data.photo_files import noted_left_out

    what = plan(locations, models, layers, state, weights, text_model)
    say = lambda line: click.echo(line, err=True)
    with noted_left_out():  # which are told when the page opens
        if export_folder:
            from tfvision.apps.explorer.export import export_site

            result = export_site(what, export_folder, say)
            click.echo(f"site      {result['site']}  ({result['pictures']} pictures, {result['megabytes']:.0f} MB)")
            return click.echo(f"next      python3 -m http.server -d {export_folder}")
        from tfvision.apps.explorer.server import explore as serve

        serve(what, say, port, not no_browser)
