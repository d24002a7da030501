"""`tfvision train tattoo-matcher` and `tfvision evaluate` of its runs, or of any model that makes features."""

import functools

import click

from tfvision.command_line import (
    WEIGHTS,
    OptionalNumber,
    TrainingOptions,
    completed,
    evaluation_options,
    key_values,
    options_of,
    print_json,
    print_run,
    training_options,
)

_TRAINED = 0  # folds: each is searched for by a run that is trained on the others
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
    if None not in map(metrics.get, ("accuracy", "loss")):
        click.echo(f"training  {metrics['accuracy']:.3f} told right at the end, loss {metrics['loss']:.4g}")
    told = f"{metrics['images']} photos of {metrics['subjects']} subjects, {metrics['seconds']:.0f} s; {metrics['held_out']} held out"
    print_run(metrics, told, f"tfvision index build PHOTOS --model {metrics['run']} --out GALLERY", broken_in="metrics.json")


class _Evaluation(click.Command):
    """--folds alone has no number."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        return super().parse_args(context, completed(arguments, options_of(self)))


@click.command("evaluate", cls=_Evaluation)
@functools.partial(evaluation_options, is_source_required=False)
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
@click.option(
    "--folds",
    cls=OptionalNumber,
    alone=str(_TRAINED),
    type=click.IntRange(_TRAINED),
    metavar="[N]",
    default=5,
    help="Folds by subject, where SOURCE names none. [default: 5] Alone, without RUN: trains a run a fold on the others, and tests all.",
)
@click.option("--recipe", "recipes", multiple=True, help="With --folds alone: what is trained; repeatable. [default: those of the paper's table, else small]")
@click.option("--set", "settings", multiple=True, callback=key_values, metavar="KEY=VALUE", help="With --folds alone: change one number of the recipes.")
@click.option("--runs", metavar="DIR", help="With --folds alone: where the runs lie; those that are there are gone on with. [default: runs/folds-PROTOCOL]")
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
    source: str | None,
    out: str | None,
    as_json: bool,
    protocol: str,
    galleries: str | None,
    folds: int,
    recipes: tuple[str, ...],
    settings: dict[str, str],
    runs: str | None,
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
    tfvision evaluate TATTC --protocol mixed-media --folds            # table 4 of the paper: trains five runs
    tfvision evaluate TATTC --protocol similarity --folds             # table 5: trains ten
    """
    if folds == _TRAINED:
        if source is not None:
            raise click.UsageError(f"--folds alone trains its own runs: give SOURCE and no RUN, or a number: --folds 5 (got {run} and {source})")
        return _train_folds(run, protocol, recipes, settings, runs, out, galleries, distance, ranks, as_json)
    if source is None:
        raise click.UsageError("Missing argument 'SOURCE'.")
    if recipes or settings or runs:
        raise click.UsageError("--recipe, --set and --runs are of --folds alone, without a number, which trains runs")
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


def _train_folds(
    source: str,
    protocol: str,
    recipes: tuple[str, ...],
    settings: dict[str, str],
    runs: str | None,
    out: str | None,
    galleries: str | None,
    distance: str | None,
    ranks: tuple[int, ...],
    as_json: bool,
) -> None:
    from tfvision.apps.tattoo_matching.folds import table_rows, title, train_and_evaluate_folds

    result = train_and_evaluate_folds(source, protocol, recipes, settings, runs, out, galleries, distance, ranks)
    if as_json:
        return print_json(result)
    click.echo(title(result))
    header, rows = table_rows(result)
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        click.echo("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for row in result["rows"].values():
        for reason in row["broken"].values():
            click.echo(f"broken    {reason}")
    click.echo(f"report    {result['report']}")


def _line(name: str, value: float | None, interval: tuple[float, float] | None = None) -> None:
    if value is not None:
        click.echo(f"  {name:<22}{value:.4f}" + (f"  ({interval[0]:.4f} to {interval[1]:.4f})" if interval else ""))
