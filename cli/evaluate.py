"""`tfvision evaluate`."""

import click
from click.core import ParameterSource

from tfvision.cli.main import comma_separated, print_json

PROTOCOLS = ("ukbench", "holidays", "oxford", "labels")
_OPTIONS = {  # application of a run -> its own options
    "species": ("target_accuracy", "within", "method", "confidence"),
    "retriever": ("protocol", "queries"),
}


@click.command()
@click.argument("run")
@click.argument("source")
@click.option("--out", help="Folder for the report. [default: RUN/evaluation, or RUN/evaluation-PROTOCOL]")
@click.option("--ranks", callback=comma_separated, help="Label columns or folder levels of SOURCE. [default: the run's]")
@click.option("--target-accuracy", type=float, default=0.9, show_default=True, help="Species: share of answers that must be right.")
@click.option("--within", multiple=True, help="Species: a taxon that is known to hold every answer; repeatable.")
@click.option("--method", default="exact", show_default=True, help="Species: how the threshold is found: exact or climb (the paper's).")
@click.option("--confidence", type=float, help="Species: reach the target with this one-sided confidence; 0: by the fitting half alone, as the paper. [default: 0.95 where photos suffice]")
@click.option("--protocol", type=click.Choice(PROTOCOLS), default="labels", show_default=True, help="Retriever: what is asked, and by which measure.")
@click.option("--queries", type=click.Choice(["boxes", "good"]), default="boxes", show_default=True, help="Retriever, oxford: the official queries, cropped, or each good photo against the rest.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def evaluate(context, run, source, out, ranks, target_accuracy, within, method, confidence, protocol, queries, as_json):
    """Measure RUN, of species or a retriever, on the labelled photos of SOURCE, and write a report.

    Photos that the run was trained on are left out; a retriever's stay in the gallery and do not ask. Where SOURCE has a
    split column, `test` rows are a species model's, else its `validation` rows.

    \b
    tfvision evaluate runs/species test-photos/ --target-accuracy 0.95
    tfvision evaluate runs/retriever my-photos/ --protocol labels     # MAP@R and recall@k
    tfvision evaluate runs/retriever holidays/ --protocol holidays    # mAP; a CSV with columns image, group
    """
    from tfvision.runs import application_of

    application = application_of(run, _OPTIONS)
    _refuse_foreign_options(context, application)
    if application == "species":
        return _species(run, source, target_accuracy, out, ranks, within, method, confidence, as_json)
    _retriever(run, source, protocol, queries, ranks, out, as_json)


def _refuse_foreign_options(context, application):
    for other in set(_OPTIONS) - {application}:
        for name in _OPTIONS[other]:
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
    for path, reason in result["broken"].items():
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
