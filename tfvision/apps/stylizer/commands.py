"""`tfvision train stylizer`."""

import click

from tfvision.command_line import TrainingOptions, print_json, print_run, training_options

_NETWORK = {"help": "The perceptual network: auto, vgg19, vgg19_slim or a file: the same as --set network=..."}


@click.command("stylizer")
@click.argument("painting", required=False)
@click.option("--photos", help="A folder of photos to learn on (some hundred; labels are not needed), or a manifest.csv.")
@training_options("stylizer", seeds="the order and all random numbers", shortcuts={"network": _NETWORK})
def train(painting: str | None, photos: str | None, options: TrainingOptions) -> None:
    """Train a feed-forward network that paints any photo in the manner of PAINTING, at once.

    \b
    tfvision train stylizer starry_night.jpg --photos my-photos/
    tfvision train stylizer starry_night.jpg --photos my-photos/ --set painting_size=256   # finer strokes
    tfvision stylize photo.jpg starry_night.jpg --preset fast --module runs/stylizer
    tfvision export runs/stylizer
    """
    from tfvision.apps.stylizer.training import train_stylizer

    metrics = train_stylizer(painting, photos, None, options.settings, options.run, options.resume)
    if options.as_json:
        return print_json({key: metrics[key] for key in ("run", "images", "seconds", "before", "after")})
    for loss in ("content_loss", "style_loss"):
        click.echo(f"{loss:<12}  {metrics['before'][loss]:.4g} -> {metrics['after'][loss]:.4g} on unseen photos, before -> after")
    told = f"{metrics['images']} photos, {metrics['seconds']:.0f} s"
    print_run(metrics, told, f"tfvision stylize PHOTO PAINTING --preset fast --module {metrics['run']}", width=14)
