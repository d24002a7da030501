"""`tfvision survey`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tfvision.command_line import NUMBER, print_json, refuse_both

if TYPE_CHECKING:
    from typing import Any


@click.command()
@click.argument("card", required=False)
@click.option("--model", help="A run or an export of species.")
@click.option("--out", help="Folder of the results; the same command goes on with it. [default: survey]")
@click.option("--gap", default="60s", show_default=True, help="Photos of a camera that follow each other within it are one event.")
@click.option("--shift", "shifts", multiple=True, metavar="CAMERA=+1h", help="Put a clock right: by serial number, model or deployment; repeatable.")
@click.option("--zone", help="Of the clocks where photos do not say theirs: +01:00 or Europe/Berlin.")
@click.option("--file-times", is_flag=True, help="Take the file's time for photos that have none in their EXIF.")
@click.option("--deployments", help="A CSV of deployments: deployment, folder, latitude, longitude, start, end.")
@click.option("--detections", metavar="FILE", help="MegaDetector's JSON of the card: one answer an animal that it found, photos without any are blank.")
@click.option("--detector", metavar="FILE", help="A detector to run first: a SavedModel's folder, a .tflite or an .onnx, with its JSON beside it.")
@click.option(
    "--detection-confidence", type=NUMBER, default=0.2, show_default=True, metavar="SHARE", help="Least confidence of the detector in an animal's box."
)
@click.option("--target-accuracy", type=NUMBER, help="Share of answers to be right. [default: the model's, 0.9]")
@click.option("--unknown-share", type=NUMBER, help="Share of photos whose species the model was not trained on, 0 to 0.5. [default: the model's]")
@click.option("--within", multiple=True, help="A taxon that is known to hold every answer; repeatable.")
@click.option("--review", help="A table of observations with a person's answers: says how often the machine was right, by depth.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def survey(
    card: str | None,
    model: str | None,
    out: str | None,
    gap: str,
    shifts: tuple[str, ...],
    zone: str | None,
    file_times: bool,
    deployments: str | None,
    detections: str | None,
    detector: str | None,
    detection_confidence: float,
    target_accuracy: float | None,
    unknown_share: float | None,
    within: tuple[str, ...],
    review: str | None,
    as_json: bool,
) -> None:
    """Survey CARD, a camera's card or a year of folders: events, one answer each, in tables and a report.

    Stopped at any moment, the same command goes on; photos that were looked at are not looked at again.

    \b
    tfvision survey /media/card --model runs/species --out survey
    tfvision survey /media/card --model runs/species --out survey --shift P800HG08=+1h --gap 5m
    tfvision survey season-2026/ --model runs/species --deployments deployments.csv --zone +01:00
    tfvision survey /media/card --model runs/species --detections megadetector.json
    tfvision survey --review survey/observations.csv
    """
    from tfvision.apps.survey.job import SurveySettings, review_survey, survey_card
    from tfvision.data.cards.clocks import parse_duration, parse_shift

    if review is not None:
        if card or model:
            raise click.UsageError("--review is of a survey that is there: leave out CARD and --model")
        return _show_review(review_survey(review, out), as_json)
    if not card or not model:
        raise click.UsageError("give CARD and --model RUN, or --review observations.csv")
    refuse_both(detections=detections, detector=detector)
    out = out or "survey"
    of_events = parse_duration(gap), tuple(map(parse_shift, shifts)), deployments, zone, file_times
    settings = SurveySettings(*of_events, target_accuracy, within, unknown_share, detections, detector, detection_confidence)
    told = survey_card(card, model, out, settings)
    if as_json:
        return print_json(told)
    photos, skipped = told["photos"], told["skipped"]
    events = f"{told['events']:,} event{'s' * (told['events'] != 1)}"
    click.echo(f"photos    {photos:,} in {events}: {told['answered']:,} answered, {told['blank']:,} blank, {told['broken']:,} broken")
    if "animals" in told:
        counts = f"animals {told['animals']:,}, people {told['people']:,}, vehicles {told['vehicles']:,}"
        click.echo(f"found     {counts}: of each event the most in one photo; one by one in {out}/animals.csv")
    click.echo(f"skipped   {skipped:,} file{'s' * (skipped != 1)}, each with its reason in {out}/media.csv")
    click.echo(f"tables    {out}/observations.csv, a row an event; {out}/media.csv, a row a file  ({told['seconds']:.0f} s)")
    click.echo(f"packages  {out}/camtrap-dp, {out}/darwin-core, {out}/megadetector.json")
    click.echo(f"report    {out}/report.html")


def _show_review(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        return print_json(told)
    if told["share"] is not None:
        low, high = told["interval"]
        events = f"{told['reviewed']:,} event{'s' * (told['reviewed'] != 1)}"
        click.echo(f"right     {told['share']:.1%} of what was named ({low:.1%} to {high:.1%}, 95 % interval), {events} reviewed")
    for row in told["by_depth"]:
        judged = row["reviewed"] - row["too_deep"] - row["open"]
        text = f"{row['right']:,} of {judged:,} right" + (f" ({row['interval'][0]:.1%} to {row['interval'][1]:.1%})" if row["interval"] else "")
        text += f"; {row['too_deep']:,} deeper than the person" if row["too_deep"] else ""
        text += f"; {row['open']:,} of taxa that the model does not know" if row["open"] else ""
        click.echo(f"  {row['rank']:<14}{text}")
