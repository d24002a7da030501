"""`tfvision studio`."""

import click


@click.command()
@click.option("--module", default="", metavar="FOLDER", help="The fast network: as of stylize --preset fast. [default: the one that ships]")
@click.option("--network", default="auto", show_default=True, help="The optimiser's: auto, vgg19, vgg19_slim or a file of weights.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of 127.0.0.1. [default: any that is free]")
@click.option("--no-browser", is_flag=True, help="Only print the page's address.")
def studio(module: str, network: str, port: int, no_browser: bool) -> None:
    """Paint photos in the manner of paintings on a page in the browser, for this machine alone.

    Drop a photo and a painting: the quick result follows the sliders, a brush says where each painting rules, and Paint begins
    the optimiser, whose picture is seen growing. Versions are kept and compared as long as the studio runs, and downloaded with
    the record from which `stylize --like` makes them again. Nothing is written to the disk, nothing leaves this machine.

    \b
    tfvision studio
    tfvision studio --module runs/stylizer
    tfvision studio --network vgg19_slim --port 9000 --no-browser
    """
    from tfvision.apps.style.presets import Preset
    from tfvision.apps.style.studio.server import open_studio
    from tfvision.apps.style.studio.session import Session

    open_studio(Session(Preset(network=network), module), lambda line: click.echo(line, err=True), port, not no_browser)
