"""`tfvision evaluate`."""

import click

from tfvision.cli.main import comma_separated, print_json


@click.command()
@click.argument("run")
@click.argument("source")
@click.option("--target-accuracy", type=float, default=0.9, show_default=True, help="Share of answers that must be right.")
@click.option("--out", help="Folder for the report. [default: RUN/evaluation]")
@click.option("--ranks", callback=comma_separated, help="Label columns or folder levels of SOURCE. [default: the run's]")
@click.option("--within", multiple=True, help="A taxon that is known to hold every answer; repeatable.")
@click.option("--method", default="exact", show_default=True, help="How the threshold is found: exact or climb (the paper's).")
@click.option("--confidence", type=float, help="Reach the target with this one-sided confidence; 0: by the fitting half alone, as the paper. [default: 0.95 where photos suffice]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(run, source, target_accuracy, out, ranks, within, method, confidence, as_json):
    """Measure RUN on the labelled photos of SOURCE, and write a report.

    Photos that the run was trained on are left out. Where SOURCE has a split column, its `test` rows are
    used, else its `validation` rows.

    \b
    tfvision evaluate runs/species test-photos/ --target-accuracy 0.95
    """
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
