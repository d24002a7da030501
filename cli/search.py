"""`tfvision search`."""

import itertools

import click

from tfvision.command_line import print_json, show_answers


@click.command()
@click.argument("gallery")
@click.argument("photos", nargs=-1, required=True, metavar="PHOTO...")
@click.option("-k", "--k", type=click.IntRange(1), default=10, show_default=True, help="Answers a photo.")
@click.option("--where", multiple=True, metavar="CONDITION", help="Only pictures that fulfil it, such as species=Vanessa atalanta or year>=2015; repeatable.")
@click.option("--expand", type=click.IntRange(0), default=0, metavar="N", help="Search again with the mean of the photo and its N best answers.")
@click.option("--rerank", is_flag=True, help="Order the best hundred anew by the neighbours that they share.")
@click.option(
    "--method", type=click.Choice(["auto", "exact", "hnsw", "ivfpq"]), default="auto", show_default=True, help="How to search; auto: by the gallery's size."
)
@click.option("--model", help="Where the gallery's network is now, if it was moved; repeat it for an export or a module, which run code.")
@click.option("--html", metavar="FILE", help="Write a page with the pictures that were found.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a photo.")
def search(
    gallery: str,
    photos: tuple[str, ...],
    k: int,
    where: tuple[str, ...],
    expand: int,
    rerank: bool,
    method: str,
    model: str | None,
    html: str | None,
    as_json: bool,
) -> None:
    """Find the pictures of GALLERY that are most like each PHOTO (files or folders).

    Several conditions must all be fulfilled; of several `=` on one name, one is enough.

    \b
    tfvision search my-gallery photo.jpg
    tfvision search my-gallery photo.jpg -k 20 --where "species=Vanessa atalanta" --where "year>=2015"
    tfvision search my-gallery holiday/ --expand 5 --rerank --html answers.html
    """
    from tfvision.data.manifest import find_photos
    from tfvision.index.locations import open_gallery
    from tfvision.index.querying import search_photos

    found = find_photos(photos)
    with open_gallery(gallery) as opened:
        _note(opened, where, k)
        answers, kept = itertools.tee(search_photos(opened, found.paths, k, where, expand, rerank, method, model))
        show_answers(answers, found, "searching", print_json if as_json else _show, "query")
    if html:
        from tfvision.index.hits_page import write_hits_page

        write_hits_page(html, list(kept), f"Search in {gallery}", f"{len(found)} photos, {k} answers each{''.join(f', {condition}' for condition in where)}.")
        click.echo(f"page      {html}", err=True)


def _note(gallery, where, k):
    if not gallery.facts.get("is_complete", True):
        click.echo(f"note: {gallery.location} is unfinished: go on with `tfvision index build ... --resume`", err=True)
    from tfvision.index.filters import near_misses
    from tfvision.index.gallery import rows_where

    available = int(rows_where(gallery, where).sum()) if where else len(gallery)
    if 0 < available < k or (where and not available):
        what = "pictures that fulfil the conditions" if where else "pictures"
        click.echo(f"note: {gallery.location} has {available} {what}, fewer than the {k} asked for", err=True)
    for sentence in near_misses(gallery.columns, where):
        click.echo(f"note: {sentence}", err=True)


def _show(answer):
    from tfvision.data.shards.slices import slice_of
    from tfvision.index.querying import OWN_FIELDS, likelihood_text

    if "error" in answer:
        return click.echo(f"error: {answer['error']}", err=True)
    click.echo(answer["query"])
    for rank, hit in enumerate(answer["hits"], 1):
        metadata = [f"{name} {value}" for name, value in hit.items() if name not in OWN_FIELDS]
        likelihood = [likelihood_text(hit)] if "likelihood_is_bound" in hit else []
        image = hit["id"] if slice_of(hit["image"]) else hit["image"]
        click.echo(f"{rank:>4}. {hit['score']:.3f}  {image}  {', '.join(likelihood + metadata)}".rstrip())
