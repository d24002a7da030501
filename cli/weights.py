"""`tfvision weights ...`."""

import click

from tfvision.command_line import print_json


@click.group()
def weights() -> None:
    """Pretrained weights: what is here, and what is missing."""


@weights.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_weights(as_json: bool) -> None:
    """Say for each network where its weights are on this machine, and where a person gets them.

    \b
    tfvision weights list
    TFVISION_WEIGHTS=my-weights tfvision weights list
    """
    from tfvision.models.weights import known_weights, weights_facts

    if as_json:
        return print_json(known_weights())
    for network, facts in weights_facts().items():
        way = "else downloaded when needed" if facts["is_downloaded"] else "or `tfvision weights import FILE --network NAME`"
        click.echo(f"{network:<22} {facts['path'] or f'not here: put into $TFVISION_WEIGHTS, {way}'}")
        for source in facts["sources"] if not facts["path"] else ():
            told = (f"{source.megabytes} MB", f"licence {source.licence}", source.checksum, source.note)
            click.echo(f"{'':<22} {source.url}: {', '.join(filter(None, told))}")


@weights.command("import")
@click.argument("file")
@click.option("--network", default="vgg19", show_default=True, help="What FILE holds: a network of the catalogue or of keras.applications.")
@click.option("--photos", help="For vgg19: a folder of photos (a hundred will do; labels are not needed), or a manifest.csv.")
@click.option("--out", help="The file to write. [default: in $TFVISION_WEIGHTS, else in Keras's cache, where it is found again]")
@click.option("--size", type=click.IntRange(1), default=256, show_default=True, help="For vgg19: pixels a side to which photos are scaled.")
@click.option("--count", type=click.IntRange(0), default=200, show_default=True, help="For vgg19: photos to use at most; 0 is all.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def import_weights(file: str, network: str, photos: str | None, out: str | None, size: int, count: int, as_json: bool) -> None:
    """Convert FILE, the weights of a network, and check them.

    FILE is .safetensors with torchvision's or timm's names, Caffe's .caffemodel, or .onnx (alexnet, alexnet_torchvision, resnet18,
    squeezenet, vgg19), or Keras's .weights.h5 or .h5. `tfvision weights list` says where they are. Pickles (.pth, .pt, .pkl) are
    not read, since they can run code; the error has the line that converts one.

    VGG19 becomes the normalised network of the style paper: each filter is scaled so that its mean response over the
    photos is 1.

    \b
    tfvision weights import bvlc_alexnet.caffemodel --network alexnet
    tfvision weights import model.safetensors --network resnet18
    tfvision weights import ~/.keras/models/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5 --photos my-photos/
    tfvision weights import vgg19.safetensors --photos my-photos/ --out vgg19.npz
    """
    from tfvision.models.weights_import import NORMALISED, convert_weights
    from tfvision.models.weights_import import import_weights as normalise_weights

    if photos is None and network != NORMALISED:
        result = convert_weights(file, network, out)
        if as_json:
            return print_json(result)
        return click.echo(f"weights     {result['out']}: {network}, {result['seconds']:.0f} s")
    if photos is None:
        raise click.UsageError(f"Missing option '--photos': {NORMALISED} is normalised on them")
    result = normalise_weights(file, photos, network, out, size, count)
    if as_json:
        return print_json(result)
    for reason in result["broken"].values():
        click.echo(f"broken      {reason}", err=True)
    click.echo(f"normalised  {result['layers']} layers on {result['photos']} photos, {result['seconds']:.0f} s")
    click.echo(f"weights     {result['out']}")
    if result["layers"] < 13:
        click.echo("note        the file ends before conv5_1, which the style of a painting needs")
