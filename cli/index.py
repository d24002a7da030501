"""`tfvision index ...`."""

import contextlib
from typing import Any

import click

from tfvision.command_line import comma_separated, key_values, print_json


@click.group()
def index() -> None:
    """A gallery of pictures that can be searched: build it, add, remove, look."""


_RANKS = click.option("--ranks", callback=comma_separated, help="Names for the levels of folders, coarsest first. [default: species, or level 1, ...]")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@index.command()
@click.argument("images")
@click.option("--out", required=True, metavar="GALLERY", help="The gallery's folder, or milvus://HOST:PORT/COLLECTION.")
@click.option("--model", help="A network, a run, an export, or hub:HANDLE of TensorFlow Hub or Kaggle. [default: mobilenet_v2]")
@click.option("--weights", metavar="FILE", help="Of a network: a file (.weights.h5, .safetensors, .caffemodel, .onnx), imagenet or none. [default: imagenet]")
@click.option("--layer", "layers", multiple=True, metavar="NAME", help="A tap of the network; repeatable. [default: its last]")
@click.option(
    "--set",
    "settings",
    multiple=True,
    callback=key_values,
    metavar="KEY=VALUE",
    help="Any value of the recipe, such as pooling=gem, image_size=448, scales=[0.7,1]; repeatable.",
)
@click.option(
    "--whiten", type=click.IntRange(0), metavar="DIMENSION", help="PCA-whiten the vectors, fitted on all of them, to DIMENSION values; 0: as many as there are."
)
@_RANKS
@click.option("--runner", metavar="NAME", help="See the photos by an Apache Beam pipeline on this runner, such as DirectRunner.")
@click.option("--runner-option", "runner_options", multiple=True, metavar="KEY=VALUE", help="An option of Beam, such as direct_num_workers=2; repeatable.")
@click.option("--parts", metavar="FOLDER", help="Where Beam's workers leave finished parts; all must reach it. [default: GALLERY-parts]")
@click.option("--resume", is_flag=True, help="Go on where the same command was interrupted.")
@_JSON
def build(
    images: str,
    out: str,
    model: str | None,
    weights: str | None,
    layers: tuple[str, ...],
    settings: dict[str, Any],
    whiten: int | None,
    ranks: tuple[str, ...] | None,
    runner: str | None,
    runner_options: tuple[str, ...],
    parts: str | None,
    resume: bool,
    as_json: bool,
) -> None:
    """Make a gallery of IMAGES: a folder, a manifest.csv or a photo.

    Folder names and the columns of a manifest become metadata, by which a search can be filtered.

    \b
    tfvision index build my-photos/ --out my-gallery
    tfvision index build my-photos/ --out my-gallery --set pooling=gem --set image_size=448
    tfvision index build my-photos/ --out my-gallery --model alexnet --weights bvlc_alexnet.caffemodel --layer fc7
    tfvision index build my-photos/ --out my-gallery --model runs/retriever
    tfvision search my-gallery photo.jpg
    """
    from tfvision.features.recipe import FeatureRecipe
    from tfvision.index.making import BeamJob, build_gallery
    from tfvision.training.recipes import with_settings

    if not runner and (runner_options or parts):
        raise click.UsageError("--runner-option and --parts are for --runner")
    if runner and not parts and out.startswith("milvus://"):
        raise click.UsageError("with --runner, a gallery in Milvus needs --parts FOLDER")
    beam = BeamJob(parts or f"{out.rstrip('/')}-parts", (f"--runner={runner}", *(f"--{option}" for option in runner_options))) if runner else None
    settings |= {"model": model} if model else {}
    settings |= {"weights": weights} if weights else {}
    settings |= {"layers": list(layers)} if layers else {}
    recipe = with_settings(FeatureRecipe(), settings)
    with _seen() as (broken, progress):
        result = build_gallery(images, out, recipe, ranks, whiten, resume, broken, progress, beam)
    _show(result, as_json)


@index.command()
@click.argument("gallery")
@click.argument("images")
@click.option("--model", help="Where the gallery's network is now, if it was moved; repeat it for an export or a module, which run code.")
@click.option("--replace", is_flag=True, help="See pictures anew whose ids are there already.")
@_RANKS
@_JSON
def add(gallery: str, images: str, model: str | None, replace: bool, ranks: tuple[str, ...] | None, as_json: bool) -> None:
    """Add IMAGES, a folder, a manifest.csv or a photo, to GALLERY.

    Pictures that are there already are passed over.

    \b
    tfvision index add my-gallery new-photos/
    tfvision index add my-gallery photo.jpg --replace
    """
    from tfvision.index.making import add_photos

    with _seen() as (broken, progress):
        result = add_photos(gallery, images, ranks, model, replace, broken, progress)
    _show(result, as_json)


@index.command()
@click.argument("gallery")
@click.argument("ids", nargs=-1)
@click.option("--where", multiple=True, metavar="CONDITION", help="Remove what fulfils it, such as species=Vanessa atalanta; repeatable.")
@_JSON
def remove(gallery: str, ids: tuple[str, ...], where: tuple[str, ...], as_json: bool) -> None:
    """Remove pictures from GALLERY by their IDS, or by conditions. The image files stay.

    \b
    tfvision index remove my-gallery beach/1.jpg beach/2.jpg
    tfvision index remove my-gallery --where "year<2015"
    """
    from tfvision.index.making import remove_pictures

    if not ids and not where:
        raise click.UsageError("give ids or --where: tfvision index remove GALLERY ID...")
    result = remove_pictures(gallery, ids, where)
    if as_json:
        return print_json(result)
    click.echo(f"removed   {result['removed']} pictures; {result['gallery']} has {result['images']}")


@index.command()
@click.argument("gallery")
@click.option("--ids", is_flag=True, help="Print the id of every picture instead.")
@_JSON
def info(gallery: str, ids: bool, as_json: bool) -> None:
    """Say what GALLERY holds, after comparing the checksums of all its files.

    \b
    tfvision index info my-gallery
    """
    from tfvision.index.locations import open_gallery

    with open_gallery(gallery) as opened:
        if ids:
            for row in opened.live:
                click.echo(opened.id_of_row(row))
            return
        opened.check()
        facts = opened.info()
    print_json(facts) if as_json else _show_info(facts)


@contextlib.contextmanager
def _seen():
    """(BrokenPhotos, Progress with a bar); what is broken is told at the end."""
    from tfvision.data.pipeline import BrokenPhotos
    from tfvision.index.making import Progress
    from tfvision.progress import progress_bar

    broken = BrokenPhotos()
    with contextlib.ExitStack() as stack:
        bars = []
        start = lambda total: bars.append(stack.enter_context(progress_bar("seeing", total)))
        yield broken, Progress(start, lambda count: bars[-1].advance(count), lambda line: click.echo(line, err=True))
    for reason in broken.values():
        click.echo(f"broken    {reason}", err=True)


def _show(result, as_json):
    if as_json:
        return print_json(result)
    added = f"{result['added']} added, " if "added" in result else ""
    click.echo(f"gallery   {result['gallery']}  ({added}{result['images']} pictures of {result['dimension']} values, {result['seconds']:.0f} s)")
    if result["failed"]:
        click.echo(f"broken    {result['failed']} photos could not be read")
    click.echo(f"next      tfvision search {result['gallery']} PHOTO...")


def _show_info(facts):
    megabytes = f", {facts['megabytes']} MB" if "megabytes" in facts else ""  # not in Milvus
    removed = f", {facts['removed']} removed rows" if facts["removed"] else ""
    click.echo(f"gallery   {facts['gallery']}  ({facts['images']} pictures of {facts['dimension']} values{megabytes}{removed})")
    if not facts.get("is_complete", True):
        click.echo("state     unfinished: go on with `tfvision index build ... --resume`")
    for name, values in facts["metadata"].items():
        click.echo(f"metadata  {name}: {values} different value{'s' if values > 1 else ''}")
    if "recipe" in facts:
        click.echo("recipe    " + ", ".join(f"{key}={value}" for key, value in facts["recipe"].items()))
        click.echo(f"identity  {facts['identity'][:16]}")
    for one in facts["indexes"]:
        measured = f"recall@{one['recall_at']} {one['recall']:.3f} (measured), built in {one['seconds']:.0f} s" if "recall" in one else "by Milvus"
        click.echo(f"index     {one['method']} over {one['rows']} rows: {measured}")
    if not facts["indexes"]:
        click.echo("index     none: every search is exact")
    if megabytes:
        click.echo("files     whole, by their checksums")
