"""`tfvision weights ...`."""

import click

from tfvision.cli.main import print_json


@click.group()
def weights():
    """Pretrained weights: what is here, and what is missing."""


@weights.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_weights(as_json):
    """Say for each network where its weights are on this machine.

    \b
    TFVISION_WEIGHTS=my-weights tfvision weights list
    """
    from tfvision.models.weights import known_weights

    found = known_weights()
    if as_json:
        return print_json(found)
    for network, place in found.items():
        click.echo(f"{network:<22} {place or 'not here: downloaded when needed, or put into $TFVISION_WEIGHTS'}")


@weights.command("import")
@click.argument("file")
@click.option("--photos", required=True, help="A folder of photos (a hundred will do; labels are not needed), or a manifest.csv.")
@click.option("--network", default="vgg19", show_default=True, help="What FILE holds.")
@click.option("--out", help="The .npz to write. [default: $TFVISION_WEIGHTS/vgg19.npz, else in Keras's cache: where `stylize` finds it]")
@click.option("--size", type=int, default=256, show_default=True, help="Pixels a side to which photos are scaled.")
@click.option("--count", type=click.IntRange(0), default=200, show_default=True, help="Photos to use at most; 0 is all.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def import_weights(file, photos, network, out, size, count, as_json):
    """Make the normalised network of the style paper from FILE, the weights of a VGG19.

    Each filter is scaled so that its mean response over the photos is 1. FILE is Keras's .weights.h5 or .h5,
    or safetensors with torchvision's names; pickles (.pth) are not read.

    \b
    tfvision weights import ~/.keras/models/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5 --photos my-photos/
    tfvision weights import vgg19.safetensors --photos my-photos/ --out vgg19.npz
    tfvision stylize photo.jpg painting.jpg --preset paper
    """
    from tfvision.models.weights_import import import_weights as run_import

    result = run_import(file, photos, network, out, size, count)
    if as_json:
        return print_json(result)
    for reason in result["broken"].values():
        click.echo(f"broken      {reason}", err=True)
    click.echo(f"normalised  {result['layers']} layers on {result['photos']} photos, {result['seconds']:.0f} s")
    click.echo(f"weights     {result['out']}")
    if result["layers"] < 13:
        click.echo("note        the file ends before conv5_1, which the style of a painting needs")
