"""`tfvision data ...`."""

import click

from tfvision.cli.main import print_json


@click.group()
def data():
    """Make and look after data sets: specimens."""


@data.command()
@click.argument("out")
@click.option("--seed", type=int, default=0, show_default=True, help="Other seeds draw other animals.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def specimens(out, seed, as_json):
    """Draw the built-in teaching set into the folder OUT: photos, manifest.csv and an overview.

    \b
    tfvision data specimens my-specimens
    """
    from tfvision.data.manifest import read_csv
    from tfvision.data.specimens import write_specimens
    from tfvision.progress import progress_bar

    bar = []

    def progress(done, total):
        bar[:] = bar or [progress_bar("drawing specimens", total)]
        bar[0].advance(1)

    folder = write_specimens(out, seed=seed, progress=progress)
    for shown in bar:
        shown.close()
    manifest = read_csv(folder / "manifest.csv")
    summary = {"out": str(folder), "images": len(manifest), "classes": len(manifest.taxonomy())}
    if as_json:
        return print_json(summary)
    click.echo(f"{summary['images']} drawings of {summary['classes']} species in {folder}; look at {folder}/overview.jpg")
    click.echo(f"next: tfvision train species {folder} --recipe specimens")
