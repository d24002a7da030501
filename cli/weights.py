"""`tfvision weights ...`."""

import click


@click.group()
def weights():
    """Pretrained weights: what is here, and what is missing."""


@weights.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_weights(as_json):
    """Say for each network whether its ImageNet weights are on this machine.

    \b
    TFVISION_WEIGHTS=my-weights tfvision weights list
    """
    from tfvision.cli.main import print_json
    from tfvision.models.weights import known_weights

    found = known_weights()
    if as_json:
        return print_json(found)
    for network, place in found.items():
        click.echo(f"{network:<22} {place or 'not here: downloaded when needed, or put into $TFVISION_WEIGHTS'}")
