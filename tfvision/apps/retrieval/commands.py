"""`tfvision train retriever` and `tfvision evaluate` of its runs."""

import click

from tfvision.command_line import SOURCE_RANKS, WEIGHTS, Number, TrainingOptions, comma_separated, evaluation_options, print_json, print_run, training_options

_PROTOCOL_SPLIT = {
    "type": click.Choice(["held-out", "paper"]),
    "help": "paper: train on the queries too, as the paper does; stamped on every report. [default: held-out]",
}


_TRAIN_ON = {
    "type": click.Choice(["labelled", "all"]),
    "help": "Oxford, Paris: the photos that show a landmark, or all, as the paper. [default: labelled; recipe paper: all]",
}
_LAYOUT = click.option(
    "--layout",
    type=click.Choice(["ukbench", "holidays", "sop", "cub", "oxford", "paris", "roxford", "rparis", "folders"]),
    help="What SOURCE is; folders = class folders, whatever its files are called. [default: recognised]",
)


@click.command("retriever")
@click.argument("source", required=False)
@training_options("retriever", "small (default) or paper.", shortcuts={"weights": WEIGHTS, "protocol_split": _PROTOCOL_SPLIT, "train_on": _TRAIN_ON})
@click.option("--ranks", callback=comma_separated, help="Label columns or folder levels, coarsest first; the finest is learnt.")
@_LAYOUT
def train(source: str | None, ranks: tuple[str, ...] | None, layout: str | None, options: TrainingOptions) -> None:
    """Train an index for image retrieval on SOURCE (Feature Tuning): a folder of class folders, a manifest.csv with a
    column `image`, labels or `group`, and perhaps `role` (query or gallery), or a benchmark as it is distributed.

    Stage 1 fine-tunes a network; stage 2 trains small networks on all its taps. Queries by `role`, rows whose `split`
    is not train, or else a fifth of the classes are held out.

    \b
    tfvision train retriever my-photos/
    tfvision train retriever my-photos/ --set loss=softmax --set network=resnet18
    tfvision train retriever ukbench/ --recipe paper --protocol-split paper
    tfvision evaluate runs/retriever my-photos/ --protocol labels
    tfvision index build my-photos/ --model runs/retriever --out gallery
    """
    from tfvision.apps.retrieval.training import train_retriever

    metrics = train_retriever(source, options.recipe, options.settings, options.run, options.resume, ranks, layout=layout)
    if options.as_json:
        fields = ("run", "images", "held_out", "classes", "map", "by_layer", "protocol_split", "seconds")
        return print_json({key: metrics[key] for key in fields if key in metrics})
    by_layer = metrics.get("by_layer") or {}
    for name, value in by_layer.items():
        click.echo(f"  {name:<22}{value:.3f}")
    if None not in map(metrics.get, ("map", "index", "queries")):
        photos = metrics["images"] + metrics["held_out"]
        click.echo(f"MAP@R     {metrics['map']:.3f} by {metrics['index']}, {metrics['queries']} held-out photos against all {photos}")
    best = max(by_layer, key=by_layer.get, default=None)
    layer = f" --layer {best}" if best and by_layer[best] > (metrics.get("map") or 0) else ""  # another index is the better one here
    told = f"{metrics['images']} photos, {metrics['classes']} classes, {metrics['seconds']:.0f} s"
    print_run(metrics, told, f"tfvision index build PHOTOS --model {metrics['run']}{layer} --out GALLERY")


@click.command("evaluate")
@evaluation_options
@SOURCE_RANKS
@_LAYOUT
@click.option(
    "--protocol",
    type=click.Choice(["labels", "ukbench", "holidays", "oxford", "revisited-easy", "revisited-medium", "revisited-hard"]),
    help="What is asked, and by which measure. [default: that of the benchmark that SOURCE is, else labels]",
)
@click.option("--share", type=Number(0, is_open=True), help="Of the groups or labels that are used, such as 0.1 for the paper's table 1. [default: the run's]")
@click.option(
    "--queries",
    type=click.Choice(["boxes", "good"]),
    default="boxes",
    show_default=True,
    help="oxford: the official queries, cropped, or each good photo against the rest.",
)
def evaluate(
    run: str,
    source: str,
    out: str | None,
    as_json: bool,
    ranks: tuple[str, ...] | None,
    layout: str | None,
    protocol: str | None,
    share: float | None,
    queries: str,
) -> None:
    """Measure RUN, a retriever, on the labelled photos of SOURCE, and write a report and mistakes.png: what each index takes for what.

    Photos that the run was trained on stay in the gallery and do not ask.

    \b
    tfvision evaluate runs/retriever my-photos/ --protocol labels     # MAP@R and recall@k
    tfvision evaluate runs/retriever holidays/                        # mAP, of INRIA Holidays as it is distributed
    tfvision evaluate runs/retriever roxford5k/ --protocol revisited-hard
    """
    from tfvision.apps.retrieval.evaluation import evaluate_retriever
    from tfvision.apps.retrieval.report import SCORES, stamp

    result = evaluate_retriever(run, source, protocol, queries, ranks, out, layout, share)
    if as_json:
        return print_json(result)
    click.echo(f"{SCORES[result['protocol']][0]} of {result['queries']} queries in {result['images']} photos. {stamp(result)}")
    for name, value in result["by_layer"].items():
        low, high = result["intervals"][name]
        own = "  the run's own" if name == result["index"] else ""
        click.echo(f"  {name:<22}{value:.3f}  ({low:.3f} to {high:.3f}){own}")
    if result["left_out"]:
        click.echo(f"left out  {result['left_out']} queries: the run was trained on them")
    wrong = ", ".join(f"{name} {one['count']}" for name, one in result["mistakes"].items())
    click.echo(f"wrong first hits: {wrong}; of all taps at once {result['mistaken_by_all_taps']}")
    for reason in result["broken"].values():
        click.echo(f"broken    {reason}")
    click.echo(f"report    {result['report']}")
