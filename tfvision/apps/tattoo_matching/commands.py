"""`tfvision train tattoo-matcher` and `tfvision evaluate` of its runs, or of any model that makes features."""

import click

from tfvision.command_line import WEIGHTS, TrainingOptions, evaluation_options, print_json, print_run, training_options

_FOLD = {
    "type": int,
    "help": "Which of five folds by subject nobody trains on; -1 = train on all. A column `split` goes first. [default: 0]",
}


@click.command("tattoo-matcher")
@click.argument("source", required=False)
@training_options(
    "tattoo-matcher", "small (default), contrastive or triplet.", "the folds, the order and all random numbers", {"weights": WEIGHTS, "fold": _FOLD}
)
def train(source: str | None, options: TrainingOptions) -> None:
    """Train a matcher on SOURCE: a folder of subject folders, or a manifest.csv with the columns `image`, `subject` and
    perhaps `medium` (photo, drawing, ...), `role` or `transform`, `split`, `fold`.

    Photos of one subject come to lie near each other, those of others far away. Where there are media, pairs are of two.

    
    tfvision train tattoo-matcher tattoos/
    tfvision train tattoo-matcher tattoos/ --set loss=hard --set network=resnet50v2
    tfvision train tattoo-matcher sketches.csv --recipe contrastive --set cross_media=true
    tfvision index build tattoos/ --model runs/tattoo-matcher --out gallery
    """
    from tfvision.apps.tattoo_matching.training import train_matcher

    metrics = train_matcher(source, options.recipe, options.settings, options.run, options.resume)
    if options.as_json:
        return print_json({key: value for key, value in metrics.items() if key != "broken"})
    if "accuracy" in metrics:
        click.echo(f"training  {metrics['accuracy']:.3f} told right at the end, loss {metrics['loss']:.4g}")
    told = f"{metrics['images']} photos of {metrics['subjects']} subjects, {metrics['seconds']:.0f} s; {metrics['held_out']} held out"
    print_run(metrics, told, f"tfvision index build PHOTOS --model {metrics['run']} --out GALLERY", broken_in="metrics.json")


@click.command("evaluate")
@evaluation_options
@click.option(
    "--protocol",
    type=click.Choice(["identification", "roi", "mixed-media", "similarity"]),
    default="identification",
    show_default=True,
    help="What is asked, and by which measure.",
)
@click.option(
    "--galleries",
    type=click.Choice(["whole", "folds"]),
    help="Search the whole gallery, or that of the probe's fold. [default: folds where SOURCE names them, as Tatt-C does]",
)
@click.option("--folds", type=click.IntRange(1), default=5, show_default=True, help="Folds by subject, where SOURCE names none.")
@click.option("--distance", type=click.Choice(["cosine", "euclidean"]), help="How vectors are compared. [default: as the run was trained, else cosine]")
@click.option("--rank", "ranks", type=click.IntRange(1), multiple=True, help="A rank of the CMC table, besides 1, 5, 10, 20 and 30; repeatable.")
@click.option(
    "--calibration/--no-calibration",
    "is_calibrated",
    default=True,
    help="Write what a run's scores are worth to RUN/match_calibration.json, for `tfvision search`. [default: write it]",
)
def evaluate(
    run: str,
    source: str,
    out: str | None,
    as_json: bool,
    protocol: str,
    galleries: str | None,
    folds: int,
    distance: str | None,
    ranks: tuple[int, ...],
    is_calibrated: bool,
) -> None:
    """Measure RUN, a tattoo matcher, on the labelled photos of SOURCE, and write a report. With --protocol, RUN is any model
    that makes features: a network's name, a run, an export.

    Photos of subjects that the run was trained on stay in the gallery and do not ask.

    \b
    tfvision evaluate runs/tattoo-matcher custody/                    # CMC, DET; a CSV with columns image, subject, role
    tfvision evaluate mobilenet_v2 custody/ --protocol identification # the same of plain features
    """
    from tfvision.apps.tattoo_matching.evaluation import evaluate_matcher
    from tfvision.apps.tattoo_matching.report import sentence

    result = evaluate_matcher(run, source, protocol, galleries, folds, distance=distance, ranks=ranks, out=out, is_calibrated=is_calibrated)
    if as_json:
        return print_json(result)
    click.echo(sentence(result))
    intervals = result["intervals"]
    for rank, share in result["cmc"].items():
        _line(f"rank {rank}", share, intervals["cmc"][rank])
    _line("mAP", result["map"], intervals.get("map"))
    _line("EER", result["eer"], intervals.get("eer"))
    for fpir, rate in result["fnir"].items():
        _line(f"FNIR at FPIR {fpir}", rate, intervals["fnir"].get(fpir))
    if result["left_out"]:
        click.echo(f"left out  {result['left_out']} probes: the run was trained on their subjects")
    for reason in result["broken"].values():
        click.echo(f"broken    {reason}")
    if result["calibration"]:
        click.echo(f"scores    {result['calibration']}: `tfvision search` tells likelihood ratios in galleries of this run")
    click.echo(f"report    {result['report']}")


def _line(name: str, value: float | None, interval: tuple[float, float] | None = None) -> None:
    if value is not None:
        click.echo(f"  {name:<22}{value:.4f}" + (f"  ({interval[0]:.4f} to {interval[1]:.4f})" if interval else ""))
