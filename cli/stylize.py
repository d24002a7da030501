"""`tfvision stylize`, `tfvision reconstruct`, `tfvision style-sheet`."""

import contextlib
import dataclasses
import shlex
import sys
from typing import Any

import click

from tfvision.command_line import NUMBER, comma_separated, key_values, numbers, print_json
from tfvision.errors import RecipeError

_FAST = "fast"


class _PresetOption(click.Option):
    """An option that changes the preset's value of the same name; its default is read from there, when help is asked for."""

    def get_help_record(self, context):
        preset = next(option.default for option in context.command.params if option.name == "preset")
        name, text = super().get_help_record(context)
        return name, f"{text}  [default: {getattr(_preset_or_fast(preset), self.name)}]"


_PRESET_OPTIONS = [
    click.option("--network", cls=_PresetOption, help="auto (VGG19 where it can be had, else vgg19_slim), vgg19, vgg19_slim or a file of weights."),
    click.option("--size", cls=_PresetOption, type=int, help="Longer side of the picture, in pixels."),
    click.option("--style-weight", cls=_PresetOption, type=NUMBER, help="Beta of the paper's eq. 7."),
    click.option("--content-weight", cls=_PresetOption, type=NUMBER, help="Alpha of eq. 7."),
    click.option("--tv-weight", "total_variation_weight", cls=_PresetOption, type=NUMBER, help="How much neighbouring pixels are smoothed."),
    click.option("--painting-scale", cls=_PresetOption, type=NUMBER, help="Size of a painting as a share of --size: smaller, finer strokes."),
    click.option("--start", cls=_PresetOption, help="What the picture grows from: photo or noise."),
    click.option("--optimizer", cls=_PresetOption, help="lbfgs or adam."),
    click.option("--iterations", cls=_PresetOption, type=int, help="At the full size, at most."),
    click.option("--tolerance", cls=_PresetOption, type=NUMBER, help="Stop where ten iterations lower the loss by less than this share."),
    click.option("--tile", cls=_PresetOption, type=int, help="Above so many pixels a side, compute in tiles; 0: never."),
    click.option("--seed", cls=_PresetOption, type=int, help="Of the noise."),
    click.option("--set", "settings", multiple=True, callback=key_values, metavar="KEY=VALUE", help="Change any value of the preset; repeatable."),
]


_VIEWING_OPTIONS = [
    click.option("--resume", is_flag=True, help="Go on where the same command was interrupted; finished pictures stay."),
    click.option("--preview", is_flag=True, help="Open a page on this machine that shows the picture growing."),
    click.option("--no-browser", is_flag=True, help="With --preview: print its address only."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object a picture."),
]


def _preset_options(command):
    return _with_options(command, _PRESET_OPTIONS)


def _viewing_options(command):
    return _with_options(command, _VIEWING_OPTIONS)


def _with_options(command, options):
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("files", nargs=-1, metavar="PHOTO PAINTING...")
@click.option(
    "-o", "--out", help="The picture (.png, .jpg, .tif; of an animation .gif, .webp; of a film .mp4, .mov, .mkv), or a folder. [default: PHOTO-PAINTING]"
)
@click.option("--preset", default="default", show_default=True, help="default, paper, printed or fast; films: fast.")
@_preset_options
@click.option("--blend", callback=numbers, metavar="N,N,...", help="How the paintings mix, a number each. [default: alike]")
@click.option(
    "--mask", "masks", multiple=True, metavar="FILE", help="White where a painting applies; one a painting, in order. Where none is white, the photo stays."
)
@click.option("--strength", type=NUMBER, metavar="0-1", help="How much of the paintings' manner: 0 is the photo. [default: 1]")
@click.option("--keep-colour", "colour", flag_value="luminance", default="", help="The photo's colours, the painting's light and shade.")
@click.option("--match-colour", "colour", flag_value="histogram", help="First give the painting the photo's mean and covariance of colours.")
@click.option("--frames", is_flag=True, help="PHOTO is a folder of frames, in order: each goes on from the last, without flicker.")
@click.option("--save-every", type=click.IntRange(0), default=0, metavar="N", help="Keep the picture of every Nth iteration, in OUT.steps/.")
@click.option("--like", metavar="RECORD", help="Do as OUT.json tells: the same picture again; other options and files change it. A --module is to be repeated.")
@click.option(
    "--module",
    help="Of --preset fast: a folder (a pair of .tflite files, a module, an export, a run of `train stylizer`), the two files with a comma between, or "
    "a handle of TensorFlow Hub or Kaggle (kaggle:OWNER/MODEL/FRAMEWORK/VARIATION).",
)
@_viewing_options
@click.pass_context
def stylize(
    context: click.Context,
    files: tuple[str, ...],
    out: str | None,
    preset: str,
    settings: dict[str, str],
    blend: tuple[float, ...],
    masks: tuple[str, ...],
    strength: float | None,
    colour: str,
    frames: bool,
    save_every: int,
    resume: bool,
    like: str | None,
    module: str | None,
    preview: bool,
    no_browser: bool,
    as_json: bool,
    **changes: Any,
) -> None:
    """Render PHOTO in the manner of PAINTING, or of several.

    PHOTO may be a film, an animation or a folder. Beside each picture its record is written, OUT.json. Films are painted by the preset fast, their
    frames held together.

    \b
    tfvision stylize photo.jpg painting.jpg
    tfvision stylize photo.jpg painting.jpg -o out.png --size 1024 --keep-colour --preview
    tfvision stylize holiday/ painting.jpg -o painted/
    tfvision stylize photo.jpg sky.jpg sea.jpg --mask above.png --mask below.png
    tfvision stylize frames/ painting.jpg --frames -o painted/
    tfvision stylize film.mp4 painting.jpg -o out.mp4
    tfvision stylize photo.jpg painting.jpg --preset fast --strength 0.7
    tfvision stylize photo.jpg a.jpg b.jpg --preset fast --blend 2,1 --size 1024 --painting-scale 2
    tfvision stylize photo.jpg painting.jpg --preset fast --module folder-with-two-tflite-files/
    tfvision stylize --like out.png.json -o again.png
    """
    from tfvision.apps.style.job import StudioOptions, stylize_files
    from tfvision.apps.style.sidecar import differences
    from tfvision.data.film import is_film_name

    if context.get_parameter_source("preset").name == "DEFAULT":
        preset = None if like else _FAST if files and is_film_name(files[0]) else preset
    job = _job(files, like, preset, {**_given(changes), **settings}, blend, masks, strength, colour, module)
    for difference in differences(like, job) if like else ():
        click.echo(f"note: {difference}, so the picture may differ", err=True)
    made = 0
    with _preview(preview, no_browser) as page:
        options = StudioOptions(frames, save_every, resume, _command(context), page)
        for result in stylize_files(job, out, options):
            made += "output" in result
            print_json(result) if as_json else _show(result)
    if not made:
        sys.exit(1)


@click.command()
@click.argument("kind", type=click.Choice(["content", "style"]))
@click.argument("image")
@click.option(
    "--layer",
    "layers",
    callback=comma_separated,
    metavar="NAME,...",
    help="Of VGG19, conv1_1 to conv5_1; of style any subset. [default: the whole row of figure 1]",
)
@click.option("-o", "--out", help="The picture: .png, .jpg or .tif. [default: IMAGE-KIND-LAYER.png]")
@click.option("--preset", default="paper", show_default=True, help="default, paper or printed.")
@_preset_options
@_viewing_options
@click.pass_context
def reconstruct(
    context: click.Context,
    kind: str,
    image: str,
    layers: tuple[str, ...] | None,
    out: str | None,
    preset: str,
    settings: dict[str, str],
    resume: bool,
    preview: bool,
    no_browser: bool,
    as_json: bool,
    **changes: Any,
) -> None:
    """Show what layers know of IMAGE: its content, or its style (the paper's figure 1).

    \b
    tfvision reconstruct content photo.jpg --layer conv4_1
    tfvision reconstruct style painting.jpg --layer conv1_1,conv2_1,conv3_1
    tfvision reconstruct style painting.jpg --size 256     # all five, side by side
    """
    from tfvision.apps.style.figures import reconstruct_file
    from tfvision.apps.style.job import StudioOptions

    preset = _changed_preset(preset, changes, settings)
    with _preview(preview, no_browser) as page:
        result = reconstruct_file(kind, image, layers or (), preset, out, StudioOptions(is_resumed=resume, command=_command(context), preview=page))
    print_json(result) if as_json else _show(result)


@click.command("style-sheet")
@click.argument("photo")
@click.argument("painting")
@click.option("-o", "--out", help="The sheet: .png, .jpg or .tif. [default: PHOTO-PAINTING-sheet.png]")
@click.option("--preset", default="paper", show_default=True, help="default, paper or printed.")
@_preset_options
@_viewing_options
@click.pass_context
def style_sheet(
    context: click.Context,
    photo: str,
    painting: str,
    out: str | None,
    preset: str,
    settings: dict[str, str],
    resume: bool,
    preview: bool,
    no_browser: bool,
    as_json: bool,
    **changes: Any,
) -> None:
    """Render PHOTO in twenty ways: five subsets of layers by four weights of its content (the paper's figure 3).

    \b
    tfvision style-sheet photo.jpg painting.jpg --size 256
    """
    from tfvision.apps.style.figures import style_sheet_file
    from tfvision.apps.style.job import StudioOptions

    preset = _changed_preset(preset, changes, settings)
    with _preview(preview, no_browser) as page:
        options = StudioOptions(is_resumed=resume, command=_command(context), preview=page)
        result = style_sheet_file(photo, painting, preset, out, options=options)
    print_json(result) if as_json else _show(result)


def _given(changes):
    return {key: str(value) for key, value in changes.items() if value is not None}


def _job(files, like, preset, settings, blend, masks, strength, colour, module):
    """The StyleJob of the options, or that of a record with what was given instead."""
    from tfvision.apps.style.sidecar import StyleJob, job_like

    if not like and len(files) < 2:
        raise click.UsageError("give a photo and a painting: tfvision stylize PHOTO PAINTING...")
    job = job_like(like, module or "") if like else StyleJob("", ())
    if preset is not None:
        job = dataclasses.replace(job, preset=_preset_or_fast(preset), is_fast=preset == _FAST)
    given = {"photo": files[0] if files else "", "paintings": files[1:], "blend": blend, "masks": masks, "colour": colour, "module": module}
    job = dataclasses.replace(job, **{key: value for key, value in given.items() if value}, **({} if strength is None else {"strength": float(strength)}))
    return dataclasses.replace(job, preset=_with(job.preset, settings))


def _preset_or_fast(name):
    """The Preset called `name`; of "fast", which has a network instead, the default's."""
    from tfvision.apps.style.presets import PRESETS, Preset, get_preset

    if name not in (*PRESETS, _FAST):
        raise RecipeError(f"preset must be one of {', '.join(PRESETS)} or {_FAST}, got {name!r}")
    return Preset() if name == _FAST else get_preset(name)


def _changed_preset(name, changes, settings):
    from tfvision.apps.style.presets import get_preset

    return _with(get_preset(name), {**_given(changes), **settings})


def _with(preset, settings):
    from tfvision.training.recipes import with_settings

    return with_settings(preset, settings)


def _command(context):
    return shlex.join(["tfvision", *map(str, context.find_object(list) or [])])


@contextlib.contextmanager
def _preview(is_wanted, is_quiet):
    if not is_wanted:
        yield None
        return
    from tfvision.apps.style.studio.server import preview_page

    with preview_page(lambda line: click.echo(line, err=True), is_opened=not is_quiet) as page:
        yield page


def _show(result):
    if "error" in result:
        return click.echo(f"error: {result['error']}", err=True)
    if result["content_loss"] is None:
        counts = f"{_counted(result['frames'], 'frame')}, {_counted(result['scenes'], 'scene')}"
        return click.echo(f"{result['output']}  {counts}, {result['seconds']:.0f} s{_steadiness(result)}")
    click.echo(
        f"{result['output']}  {result['iterations']} iterations, {result['seconds']:.0f} s, "
        f"content loss {result['content_loss']:.4g}, style loss {result['style_loss']:.4g}"
    )


def _steadiness(result):
    """How much of a film's flicker is left, for people."""
    if not result["unsteadiness_alone"]:
        return ""
    return f", unsteadiness {result['unsteadiness']:.2f} (each frame by itself: {result['unsteadiness_alone']:.2f})"


def _counted(number, noun):
    return f"{number} {noun}" + "s" * (number != 1)
