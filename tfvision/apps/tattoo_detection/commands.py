"""`tfvision train tattoo-detector` and `tfvision evaluate` of its runs."""

import click

from tfvision.command_line import WEIGHTS, TrainingOptions, evaluation_options, print_json, print_run, training_options

_KINDS = ("non_tattoo", "tattoo", "overall")


@click.command("tattoo-detector")
@click.argument("source", required=False)
@click.option("--non-tattoos", "others", metavar="DIR", help="Photos without tattoos, a folder or a manifest.csv; every photo of SOURCE then is a tattoo.")
@training_options("tattoo-detector", "small (default) or paper.", "the probe lists, the order and all random numbers", {"weights": WEIGHTS})
@click.option(
    "--probe-list",
    "probe_lists",
    multiple=True,
    metavar="FILE",
    help="A list of images to test on while the others train, one a line; repeatable. [default: columns or files of SOURCE, else five by subject]",
)
def train(source: str | None, others: str | None, probe_lists: tuple[str, ...], options: TrainingOptions) -> None:
    """Train a detector of tattoos on SOURCE: a folder with a class folder `tattoo` and others, a manifest.csv with a column
    `label` (tattoo, or anything else) and perhaps `subject`, `fold` and `box`, or Tatt-C's detection files.

    It is judged on five probe lists, each by a detector that was trained on the other four, and then trained on all photos.

    \b
    tfvision train tattoo-detector photos/                    # photos/tattoo/*.jpg, photos/faces/*.jpg, ...
    tfvision train tattoo-detector tattoos/ --non-tattoos others/
    tfvision train tattoo-detector photos.csv --set network=vgg19
    tfvision train tattoo-detector tattc/ --recipe paper      # hours on a GPU
    tfvision detect runs/tattoo-detector photo.jpg
    """
    from tfvision.apps.tattoo_detection.report import shown_interval
    from tfvision.apps.tattoo_detection.training import train_detector

    metrics = train_detector(source, others, options.recipe, options.settings, options.run, options.resume, probe_lists)
    if options.as_json:
        return print_json({key: metrics[key] for key in ("run", "images", "tattoos", "subjects", "folds", "tattoo", "non_tattoo", "overall", "seconds")})
    click.echo(f"{'list':<10}" + "".join(f"{kind.replace('_', '-'):>12}" for kind in _KINDS))
    for row in [*metrics["folds"], {"fold": "all", **{kind: metrics[kind] for kind in _KINDS}}]:
        cells = ("-" if row[kind].get("accuracy") is None else f"{row[kind]['accuracy']:.4f}" for kind in _KINDS)
        click.echo(f"{row['fold']:<10}" + "".join(f"{cell:>12}" for cell in cells))
    click.echo(f"overall   {metrics['overall']['accuracy']:.4f} ({shown_interval(metrics['overall'])}, 95 % interval), {len(metrics['wrong'])} photos wrong")
    told = f"{metrics['images']} photos, {metrics['tattoos']} of tattoos, {metrics['seconds']:.0f} s"
    print_run(metrics, told, f"tfvision detect {metrics['run']} PHOTO...")


@click.command("evaluate")
@evaluation_options
@click.option("--protocol", type=click.Choice(["detection"]), help="What is asked: detection.")
@click.option("--non-tattoos", "others", metavar="DIR", help="Photos without tattoos; every photo of SOURCE then is a tattoo.")
def evaluate(run: str, source: str, out: str | None, as_json: bool, protocol: str | None, others: str | None) -> None:
    """Measure RUN, a tattoo detector, on the labelled photos of SOURCE, and write a report.

    Photos that the run was trained on are left out.

    \b
    tfvision evaluate runs/tattoo-detector photos/                    # accuracies; photos/tattoo/*.jpg, photos/faces/*.jpg
    tfvision evaluate runs/tattoo-detector tattoos/ --non-tattoos others/
    """
    from tfvision.apps.tattoo_detection.evaluation import evaluate_detector

    result = evaluate_detector(run, source, others, out)
    if as_json:
        return print_json(result)
    for kind in ("tattoo", "non_tattoo", "overall"):
        share = result[kind]
        if share["photos"]:
            low, high = share["interval"]
            told = f"{kind.replace('_', '-')}  {share['right']}/{share['photos']}"
            click.echo(f"  {told:<22}{share['accuracy']:.4f}  ({low:.4f} to {high:.4f})")
    for wrong in result["wrong"]:
        click.echo(f"wrong     {wrong['image']} is {wrong['label']}, score {wrong['score']:+.2f}")
    if result["left_out"]:
        click.echo(f"left out  {result['left_out']} photos: the run was trained on them")
    for reason in result["broken"].values():
        click.echo(f"broken    {reason}")
    click.echo(f"report    {result['report']}")
