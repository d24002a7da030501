"""`tfvision train ...`."""

import click

from tfvision.cli.main import comma_separated, print_json


@click.group()
def train():
    """Train a model: species."""


def _settings(context, parameter, pairs):
    settings = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise click.BadParameter(f"expected key=value, got {pair!r}")
        settings[key.strip()] = value.strip()
    return settings


@train.command()
@click.argument("source", required=False)
@click.option("--recipe", help="small (default), paper-baseline, paper-multiview, paper-hierarchical or specimens.")
@click.option("--set", "settings", multiple=True, callback=_settings, metavar="KEY=VALUE", help="Change one number of the recipe; repeatable.")
@click.option("--weights", help="imagenet, none, auto or a .weights.h5 file: the same as --set weights=...")
@click.option("--ranks", callback=comma_separated, help="Label columns or folder levels, coarsest first: department,coarse,fine.")
@click.option("--run", help="The run folder. [default: runs/species, or the next free one]")
@click.option("--resume", is_flag=True, help="Go on with --run where its last checkpoint left it.")
@click.option("--seed", type=int, help="Of the split, the order and all random numbers.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def species(source, recipe, settings, weights, ranks, run, resume, seed, as_json):
    """Train a species model on SOURCE: a folder of class folders (nested folders are a taxonomy), or a
    manifest.csv with a column `image` and label columns. Without SOURCE: the built-in specimens.

    \b
    tfvision train species
    tfvision train species my-photos/ --run runs/mine
    tfvision train species shelf/labels.csv --ranks department,coarse,fine
    tfvision train species my-photos/ --set batch_size=16 --set "stages=[[20, 0.05]]"
    """
    from tfvision.apps.species.training import train_species

    settings.update({key: str(value) for key, value in (("weights", weights), ("seed", seed)) if value is not None})
    metrics = train_species(source, recipe, settings, run, resume, ranks)
    if as_json:
        return print_json({key: metrics[key] for key in ("run", "images", "classes", "accuracy", "seconds")})
    named = metrics["validation"]["specificity"]
    click.echo(f"accuracy  {metrics['accuracy']:.3f} at the finest rank, on {metrics['validation']['images']} unseen photos")
    click.echo(
        f"answers   {named['accuracy']:.3f} right at depth {named['depth']:.2f} of {named['deepest']}, "
        f"asked to be right for {named['target']:.2f} ({named['reported_on']} photos)"
    )
    if metrics["broken"]:
        click.echo(f"broken    {len(metrics['broken'])} photos could not be read; they are listed in the report")
    click.echo(f"run       {metrics['run']}  ({metrics['images']} photos, {metrics['classes']} classes, {metrics['seconds']:.0f} s)")
    click.echo(f"report    {metrics['run']}/report.html")
    click.echo(f"next      tfvision identify {metrics['run']} PHOTO...")
