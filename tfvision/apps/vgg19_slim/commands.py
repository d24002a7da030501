"""`tfvision train vgg19-slim`."""

import click

from tfvision.command_line import TrainingOptions, print_json, training_options


@click.command("vgg19-slim")
@click.argument("photos", required=False)
@click.option("--teacher", "teachers", multiple=True, help="Weights of a VGG19, or of a small one; repeatable.")
@training_options("vgg19-slim")
def train(photos: str | None, teachers: tuple[str, ...], options: TrainingOptions) -> None:
    """Train vgg19_slim, the perceptual network that tfvision ships, on PHOTOS (a folder, or a manifest.csv).

    It learns to answer as its teachers do. Its result, normalised, is a network for `stylize --network FILE`.

    \b
    tfvision train vgg19-slim my-photos/ --teacher vgg19.weights.h5
    tfvision train vgg19-slim my-photos/ --teacher vgg19_small.npz --teacher vgg19_block1-3.weights.h5
    tfvision stylize photo.jpg painting.jpg --network runs/vgg19-slim/vgg19_slim.npz
    """
    from tfvision.apps.vgg19_slim.training import train_vgg19_slim

    metrics = train_vgg19_slim(photos, teachers, options.settings, options.run, options.resume)
    if options.as_json:
        return print_json(metrics)
    for teacher, layers in metrics["correlation"].items():
        shown = "  ".join(f"{layer} {value:.3f}" for layer, value in layers.items())
        click.echo(f"correlation with {teacher} on unseen photos: {shown}")
    click.echo(f"weights  {metrics['weights']}  ({metrics['images']} photos, {metrics['seconds']:.0f} s)")
