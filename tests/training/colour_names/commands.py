import click

from tfvision.command_line import evaluation_options, print_json, print_run, training_options


@click.command("colour-names")
@click.argument("source", required=False)
@training_options("colour-names", "small (default) or longer.")
def train(source, options):
    """Train a model that names the colour of a photo.

    \b
    tfvision train colour-names photos/
    """
    from colour_names.training import train_colours

    metrics = train_colours(source, options.recipe, options.settings, options.run, options.resume)
    if options.as_json:
        return print_json(metrics)
    print_run(metrics, f"{metrics['images']} photos", f"tfvision evaluate {metrics['run']} PHOTOS")


@click.command("evaluate")
@evaluation_options
@click.option("--colour", default="red", help="Which colour is asked for.")
def evaluate(run, source, out, as_json, colour):
    """Measure RUN, of colour names, on the photos of SOURCE."""
    from colour_names.evaluation import evaluate_colours

    print_json(evaluate_colours(run, source, colour))
