"""`tfvision export`."""

import click

from tfvision.applications import APPLICATIONS
from tfvision.command_line import NUMBER, print_json


@click.command()
@click.argument("run")
@click.option("--to", default="savedmodels", show_default=True, help="Folder of all exported models.")
@click.option("--name", help="Name of the model. [default: the run's]")
@click.option("--version", type=int, help="Whole number above 0. [default: one more than the highest]")
@click.option("--verify/--no-verify", default=True, show_default=True, help="Compare every signature with Keras before the export appears.")
@click.option("--half", is_flag=True, help="Store weights in 16 bits: half the size.")
@click.option("--tflite", is_flag=True, help="Add assets.extra/model.tflite, views in, probabilities out.")
@click.option("--onnx", is_flag=True, help="Add assets.extra/model.onnx, views in, probabilities out; needs tfvision[onnx].")
@click.option("--unknown-share", type=NUMBER, help="Species: share of photos whose species the run was not trained on, 0 to 0.5. [default: the run's]")
@click.option("--licence", default="", help="Licence of the model, for its card, TFLite and ONNX: an SPDX name, say.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def export(
    run: str,
    to: str,
    name: str | None,
    version: int | None,
    verify: bool,
    half: bool,
    tflite: bool,
    onnx: bool,
    unknown_share: float | None,
    licence: str,
    as_json: bool,
) -> None:
    """Write the model of RUN as a SavedModel that TensorFlow Serving deploys as it is.

    \b
    tfvision export runs/species                  # -> savedmodels/species/1
    tfvision export runs/species --name animals --half
    tfvision serve savedmodels                    # then ask it
    """
    from tfvision.export.export import export_model
    from tfvision.training.run import application_of

    application = application_of(run, "export")
    own = {} if unknown_share is None else {"unknown_share": unknown_share}
    if own and application != "species":
        raise click.UsageError(f"--unknown-share is for runs of species, and {run} is one of {application}")
    exportable = APPLICATIONS[application].part("export").make_exportable(run, half=half, **own)
    result = export_model(exportable, to, name, version, verify, half, tflite, onnx, licence)
    if as_json:
        return print_json(result)
    click.echo(f"export     {result['path']}  ({result['megabytes']} MB)")
    click.echo(f"signatures {', '.join(result['signatures'])}")
    for what, difference in result["differences"].items():
        click.echo(f"verified   {what}: within {difference:.1g} of Keras")
    click.echo(f"next       tfvision serve {to}")
