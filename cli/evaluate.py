"""`tfvision evaluate`."""

import click
from click.core import ParameterSource
from tfvision.cli.main import comma_separated, print_json

PROTOCOLS = {  # application -> what can be asked of its runs; of any model that makes features, what can be asked of a matcher
    "retriever": ("labels", "ukbench", "holidays", "oxford"),
    "tattoo-matcher": ("identification", "roi", "mixed-media", "similarity"),
    "tattoo-detector": ("detection",),
}
_OPTIONS = {  # application of a run -> its own options
    "species": ("ranks", "target_accuracy", "within", "method", "confidence"),
    "retriever": ("ranks", "protocol", "queries"),
    "tattoo-matcher": ("protocol", "galleries", "folds", "distance", "rank", "calibration"),
    "tattoo-detector": ("protocol", "non_tattoos"),
}


@click.command()
@click.argument("run", metavar="RUN|MODEL")
@click.argument("source")
@click.option("--out", help="Folder for the report. [default: RUN/evaluation, or RUN/evaluation-PROTOCOL]")
@click.option("--ranks", callback=comma_separated, help="Label columns or folder levels of SOURCE. [default: the run's]")
@click.option("--target-accuracy", type=float, default=0.9, show_default=True, help="Species: share of answers that must be right.")
@click.option("--within", multiple=True, help="Species: a taxon that is known to hold every answer; repeatable.")
@click.option("--method", default="exact", show_default=True, help="Species: how the threshold is found: exact or climb (the paper's).")
@click.option(
    "--confidence",
    type=float,
    help="Species: reach the target with this one-sided confidence; 0: by the fitting half alone, as the paper. [default: 0.95 where photos suffice]",
)
@click.option(
    "--protocol",
    type=click.Choice([name for names in PROTOCOLS.values() for name in names]),
    help="What is asked, and by which measure; labels to oxford of retrievers, detection of tattoo detectors, the others of tattoo matchers. "
    "[default: labels, detection or identification]",
)
@click.option(
    "--queries",
    type=click.Choice(["boxes", "good"]),
    default="boxes",
    show_default=True,
    help="Retriever, oxford: the official queries, cropped, or each good photo against the rest.",
)
@click.option(
    "--galleries",
    type=click.Choice(["whole", "folds"]),
    help="Matcher: search the whole gallery, or that of the probe's fold. [default: folds where SOURCE names them, as Tatt-C does]",
)
@click.option("--folds", type=click.IntRange(1), default=5, show_default=True, help="Matcher: folds by subject, where SOURCE names none.")
@click.option(
    "--distance", type=click.Choice(["cosine", "euclidean"]), help="Matcher: how vectors are compared. [default: as the run was trained, else cosine]"
)
@click.option("--rank", type=click.IntRange(1), multiple=True, help="Matcher: a rank of the CMC table, besides 1, 5, 10, 20 and 30; repeatable.")
@click.option(
    "--calibration/--no-calibration",
    default=True,
    help="Matcher: write what a run's scores are worth to RUN/match_calibration.json, for `tfvision search`. [default: write it]",
)
@click.option("--non-tattoos", metavar="DIR", help="Detector: photos without tattoos; every photo of SOURCE then is a tattoo.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def evaluate(
    context,
    run,
    source,
    out,
    ranks,
    target_accuracy,
    within,
    method,
    confidence,
    protocol,
    queries,
    galleries,
    folds,
    distance,
    rank,
    calibration,
    non_tattoos,
    as_json,
):
    """Measure RUN, of species, a retriever, a tattoo matcher or a tattoo detector, on the labelled photos of SOURCE, and write a report.

    Photos that the run was trained on are left out; a retriever's or matcher's stay in the gallery and do not ask. Where SOURCE
    has a split column, `test` rows are a species model's, else its `validation` rows. The protocols of matchers take any
    MODEL that makes features: a network's name, a run, an export.

    \b
    tfvision evaluate runs/species test-photos/ --target-accuracy 0.95
    tfvision evaluate runs/retriever my-photos/ --protocol labels     # MAP@R and recall@k
    tfvision evaluate runs/retriever holidays/ --protocol holidays    # mAP; a CSV with columns image, group
    tfvision evaluate runs/tattoo-matcher custody/                    # CMC, DET; a CSV with columns image, subject, role
    tfvision evaluate mobilenet_v2 custody/ --protocol identification # the same of plain features
    tfvision evaluate runs/tattoo-detector photos/                    # accuracies; photos/tattoo/*.jpg, photos/faces/*.jpg
    """
    application = _application(run, protocol)
    _refuse_foreign_options(context, application)
    if application == "species":
        return _species(run, source, target_accuracy, out, ranks, within, method, confidence, as_json)
    if application == "tattoo-detector":
        return _detector(run, source, non_tattoos, out, as_json)
    if application == "retriever":
        return _retriever(run, source, protocol or "labels", queries, ranks, out, as_json)
    _matcher(run, source, protocol or "identification", galleries, folds, distance, rank, out, calibration, as_json)


def _application(run, protocol):
    """Whose evaluation is asked for: a matcher's protocols are for all that makes features."""
    from tfvision.training.run import application_of

    if protocol in PROTOCOLS["tattoo-matcher"]:
        return "tattoo-matcher"
    application = application_of(run, _OPTIONS)
    if protocol and protocol not in PROTOCOLS.get(application, (protocol,)):
        raise click.UsageError(f"--protocol of a {application} is one of {', '.join(PROTOCOLS[application])}, got {protocol}")
    return application


def _refuse_foreign_options(context, application):
    for other in _OPTIONS:
        for name in set(_OPTIONS[other]) - set(_OPTIONS[application]):
            if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
                raise click.UsageError(f"--{name.replace('_', '-')} is for runs of {other}; this one is of {application}")


def _species(run, source, target_accuracy, out, ranks, within, method, confidence, as_json):
    from tfvision.apps.species.evaluation import evaluate_species

    result = evaluate_species(run, source, target_accuracy, out, ranks, within, method, confidence)
    if as_json:
        return print_json(result)
    click.echo(result["headline"])
    named = result["specificity"]
    low, high = named["interval"]
    click.echo(f"threshold {named['threshold']:.4f}, right for {low:.1%} to {high:.1%} (95 % interval), depth {named['depth']:.2f}")
    for rank, accuracy in result["accuracy_by_rank"].items():
        click.echo(f"  {rank:<12} {accuracy:.3f}")
    for reason, count in result["left_out"].items():
        click.echo(f"left out  {count} photos: {reason}")
    for reason in result["broken"].values():
        click.echo(f"broken    {reason}")
    click.echo(f"report    {result['report']}")


def _retriever(run, source, protocol, queries, ranks, out, as_json):
    from tfvision.apps.retrieval.evaluation import evaluate_retriever
    from tfvision.apps.retrieval.report import SCORES, stamp

    result = evaluate_retriever(run, source, protocol, queries, ranks, out)
    if as_json:
        return print_json(result)
    click.echo(f"{SCORES[protocol][0]} of {result['queries']} queries in {result['images']} photos. {stamp(result)}")
    for name, value in result["by_layer"].items():
        low, high = result["intervals"][name]
        own = "  the run's own" if name == result["index"] else ""
        click.echo(f"  {name:<22}{value:.3f}  ({low:.3f} to {high:.3f}){own}")
    if result["left_out"]:
        click.echo(f"left out  {result['left_out']} queries: the run was trained on them")
    for reason in result["broken"].values():
        click.echo(f"broken    {reason}")
    click.echo(f"report    {result['report']}")


def _detector(run, source, others, out, as_json):
    from tfvision.apps.tattoo_detection.evaluation import evaluate_detector

    result = evaluate_detector(run, source, others, out)
    if as_json:
        return print_json(result)
    for kind in ("tattoo", "non_tattoo", "overall"):
        share = result[kind]
        if share["photos"]:
            _line(f"{kind.replace('_', '-')}  {share['right']}/{share['photos']}", share["accuracy"], share["interval"])
    for wrong in result["wrong"]:
        click.echo(f"wrong     {wrong['image']} is {wrong['label']}, score {wrong['score']:+.2f}")
    if result["left_out"]:
        click.echo(f"left out  {result['left_out']} photos: the run was trained on them")
    for reason in result["broken"].values():
        click.echo(f"broken    {reason}")
    click.echo(f"report    {result['report']}")


def _matcher(run, source, protocol, galleries, folds, distance, ranks, out, is_calibrated, as_json):
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


def _line(name, value, interval=None):
    if value is not None:
        click.echo(f"  {name:<22}{value:.4f}" + (f"  ({interval[0]:.4f} to {interval[1]:.4f})" if interval else ""))
