"""`tfvision train species` and `tfvision evaluate` of its runs."""

import click

from tfvision.command_line import (
    NUMBER,
    SOURCE_RANKS,
    WEIGHTS,
    TrainingOptions,
    comma_separated,
    evaluation_options,
    print_json,
    print_run,
    training_options,
)

UNKNOWN_SHARE = {
    "type": NUMBER,
    "help": "Share of photos to come whose species is not trained on, 0 to 0.5: the same as --set unknown_share=... [default: the recipe's]",
}


@click.command("species")
@click.argument("source", required=False)
@training_options(
    "species",
    "small (default), paper-baseline, paper-multiview, paper-hierarchical or specimens.",
    shortcuts={"weights": WEIGHTS, "unknown_share": UNKNOWN_SHARE},
)
@click.option("--ranks", callback=comma_separated, help="Label columns or folder levels, coarsest first: department,coarse,fine.")
def train(source: str | None, ranks: tuple[str, ...] | None, options: TrainingOptions) -> None:
    """Train a species model on SOURCE: a folder of class folders (nested folders are a taxonomy), or a
    manifest.csv with a column `image` and label columns. Without SOURCE: the built-in specimens.

    \b
    tfvision train species
    tfvision train species my-photos/ --run runs/mine
    tfvision train species shelf/labels.csv --ranks department,coarse,fine
    tfvision train species my-photos/ --set batch_size=16 --set "stages=[[20, 0.05]]"
    """
    from tfvision.apps.species.training import train_species

    metrics = train_species(source, options.recipe, options.settings, options.run, options.resume, ranks)
    if options.as_json:
        return print_json({key: metrics[key] for key in ("run", "images", "classes", "accuracy", "seconds")})
    named = metrics["validation"]["specificity"]
    click.echo(f"accuracy  {metrics['accuracy']:.3f} at the finest rank, on {metrics['validation']['images']} unseen photos")
    click.echo(
        f"answers   {named['accuracy']:.3f} right at depth {named['depth']:.2f} of {named['deepest']}, "
        f"asked to be right for {named['target']:.2f} ({named['reported_on']} photos)"
    )
    if unknown := metrics["validation"].get("unknown"):
        with_unknown = next(one["unknown"] for one in unknown["by_share"] if one["share"] >= unknown["share"] - 1e-9)
        click.echo(
            f"unknown   {with_unknown['right']:.3f} right where {unknown['share']:.0%} of photos are of species left out, at depth {with_unknown['depth']:.2f} "
            f"for the known; {with_unknown['named']:.0%} of the others were given a species' name"
        )
    if groups := metrics["validation"].get("groups"):
        measured = groups["measured"]
        click.echo(
            f"groups    {measured['accuracy']:.3f} right at depth {measured['depth']:.2f} by {measured['groups']} groups of photos, which were "
            f"{'those of the source' if groups['is_real'] else 'drawn'}; one by one, the same photos {measured['photos']['accuracy']:.3f} at depth "
            f"{measured['photos']['depth']:.2f}"
        )
    told = f"{metrics['images']} photos, {metrics['classes']} classes, {metrics['seconds']:.0f} s"
    print_run(metrics, told, f"tfvision identify {metrics['run']} PHOTO...")


@click.command("evaluate")
@evaluation_options
@SOURCE_RANKS
@click.option("--target-accuracy", type=NUMBER, default=0.9, show_default=True, help="Share of answers that must be right.")
@click.option("--within", multiple=True, help="A taxon that is known to hold every answer; repeatable.")
@click.option("--method", default="exact", show_default=True, help="How the threshold is found: exact or climb (the paper's).")
@click.option("--unknown-share", type=NUMBER, help="Share of photos whose species RUN was not trained on, 0 to 0.5. [default: the run's]")
@click.option("--by-group", is_flag=True, help="Judge one answer a group besides: of the column `group` of a manifest, else of a folder.")
@click.option(
    "--confidence",
    type=NUMBER,
    help="Reach the target with this one-sided confidence; 0: by the fitting half alone, as the paper. [default: 0.95 where photos suffice]",
)
def evaluate(
    run: str,
    source: str,
    out: str | None,
    as_json: bool,
    ranks: tuple[str, ...] | None,
    target_accuracy: float,
    within: tuple[str, ...],
    method: str,
    unknown_share: float | None,
    by_group: bool,
    confidence: float | None,
) -> None:
    """Measure RUN, of species, on the labelled photos of SOURCE, and write a report.

    First stands what the run does as it is (`as it stands`), then what a threshold fitted on half of the photos would give
    (`refitted`). Photos that the run was trained on are left out. Where SOURCE has a split column, its `test` rows are judged, else its
    `validation` rows.

    \b
    tfvision evaluate runs/species test-photos/ --target-accuracy 0.95
    tfvision evaluate runs/species observations.csv --by-group
    """
    from tfvision.apps.species.evaluation import evaluate_species
    from tfvision.evaluation.report import groups_told

    result = evaluate_species(run, source, target_accuracy, out, ranks, within, method, confidence, unknown_share=unknown_share, by_group=by_group)
    if as_json:
        return print_json(result)
    click.echo(result["headline"])
    for title in ("as_it_stands", "specificity"):
        named = result[title]
        (low, high), (shallow, deep) = named["interval"], named["depth_interval"]
        click.echo(
            f"{'as it stands' if title == 'as_it_stands' else 'refitted'}: threshold {named['threshold']:.4f}, right for {named['accuracy']:.1%} "
            f"({low:.1%} to {high:.1%}, 95 % interval), depth {named['depth']:.2f} ({shallow:.2f} to {deep:.2f}), no answer for {named['abstained']:.1%}"
        )
    if by_share := result.get("unknown", {}).get("by_share"):
        share = result["unknown"]["share"]
        found = next(row["unknown"] for row in by_share if row["share"] >= share - 1e-9)
        click.echo(
            f"unknown: {result['unknown']['told']} Were {share:.0%} of photos of such: right for {found['right']:.1%} ({found['interval'][0]:.1%} to "
            f"{found['interval'][1]:.1%}), depth of the known {found['depth']:.2f}; a species' name for {found['named']:.1%} of the unknown"
        )
    for sentence in groups_told(result):
        click.echo(f"by group: {sentence}")
    if result["unlikeness"]:
        click.echo(result["unlikeness"])
    for rank, accuracy in result["accuracy_by_rank"].items():
        click.echo(f"  {rank:<12} {accuracy:.3f}")
    for reason, count in result["left_out"].items():
        click.echo(f"left out  {count} photos: {reason}")
    for sentence in result["names"]:
        click.echo(f"names     {sentence}")
    for reason in result["broken"].values():
        click.echo(f"broken    {reason}")
    click.echo(f"report    {result['report']}")
