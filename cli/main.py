"""The command `tfvision`: parses, calls one library function, prints. Nothing heavy is imported here."""

import contextlib
import gc
import importlib
import io
import logging
import os
import sys
import typing
from collections.abc import Iterator, Sequence

import click

from tfvision import __version__
from tfvision.cli.library_notes import keep_back_notes
from tfvision.command_line import printable
from tfvision.data.photo_files import account, noted_left_out
from tfvision.errors import UserError, in_one_line, is_out_of_memory, noted_warnings
from tfvision.files import unwritten, way_out

COMMANDS = {  # verb -> module and command; imported when it is called or asked for help
    "train": ("tfvision.cli.train", "train"),
    "evaluate": ("tfvision.cli.evaluate", "evaluate"),
    "compare": ("tfvision.cli.compare", "compare"),
    "grad-cam": ("tfvision.cli.layer_pictures", "grad_cam"),
    "feature-maps": ("tfvision.cli.layer_pictures", "feature_maps"),
    "identify": ("tfvision.cli.identify", "identify"),
    "survey": ("tfvision.cli.survey", "survey"),
    "detect": ("tfvision.cli.detect", "detect"),
    "stylize": ("tfvision.cli.stylize", "stylize"),
    "reconstruct": ("tfvision.cli.stylize", "reconstruct"),
    "style-sheet": ("tfvision.cli.stylize", "style_sheet"),
    "studio": ("tfvision.cli.studio", "studio"),
    "index": ("tfvision.cli.index", "index"),
    "search": ("tfvision.cli.search", "search"),
    "explore": ("tfvision.cli.explore", "explore"),
    "export": ("tfvision.cli.export", "export"),
    "serve": ("tfvision.cli.serve", "serve"),
    "predict": ("tfvision.cli.predict", "predict"),
    "data": ("tfvision.cli.data", "data"),
    "weights": ("tfvision.cli.weights", "weights"),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name]
        return getattr(importlib.import_module(module), attribute)

    def make_context(self, *arguments: typing.Any, **settings: typing.Any) -> click.Context:
        with _readers_may_leave():
            return super().make_context(*arguments, **settings)

    def invoke(self, context: click.Context) -> None:
        with _readers_may_leave():
            super().invoke(context)


@contextlib.contextmanager
def _readers_may_leave() -> Iterator[None]:
    """Whoever stops reading what is printed, such as `head`, has had enough, which is no failure; click would call it one."""
    try:
        yield
    except BrokenPipeError:
        raise click.exceptions.Exit(0) from None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tfvision")
@click.pass_context
def tfvision(context: click.Context) -> None:
    """Train image models, measure them, use them.

    \b
    tfvision train species                  # built-in specimens: no data needed
    tfvision train species my-photos/       # a folder of class folders, or a manifest.csv
    tfvision evaluate runs/species test-photos/
    tfvision identify runs/species photo.jpg
    tfvision stylize photo.jpg painting.jpg # the photo in the manner of the painting
    tfvision serve                          # what lies in savedmodels/, by TensorFlow Serving's protocol
    """
    context.with_resource(_told_left_out())
    context.with_resource(noted_warnings(lambda text: click.echo(printable(f"warning: {text}"), err=True)))


@contextlib.contextmanager
def _told_left_out() -> Iterator[None]:
    """What a command left out of the folders that it read is told on stderr at its end."""
    with noted_left_out() as noted:
        try:
            yield
        finally:
            for line in account(noted.values()):
                click.echo(printable(f"left out  {line}"), err=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; exit code 0, 1 for a user's error, 2 for wrong usage, 130 when interrupted."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's start-up notes are no news to users
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # off by default on AVX2: training takes twice as long without
    if arguments is None:  # the process is ours
        keep_back_notes()
        gc.set_threshold(20_000, 10, 10)  # what TensorFlow's import and traces make stays; looking for garbage among it takes a tenth of them
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # nor are notes on retraced functions
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names that the terminal's encoding lacks
    code = _exit_code(arguments)
    if code := _flushed(code):
        sys.exit(code)


def _exit_code(arguments: Sequence[str] | None) -> int:
    try:
        return tfvision.main(arguments, prog_name="tfvision", standalone_mode=False, obj=sys.argv[1:] if arguments is None else arguments) or 0
    except click.exceptions.Abort:
        click.echo("interrupted; the same command goes on, with --resume where it has one (a training: --run DIR --resume)", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except UserError as error:
        return _told(str(error), error.exit_code)
    except OSError as error:
        return _told(f"{error.filename} cannot be read or written ({error.strerror}): {way_out(error)}" if error.filename else _unprinted(error))
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    except Exception as error:
        if is_out_of_memory(error):
            return _told("memory is exhausted: give smaller photos or ask for smaller results, or take a machine with more")
        if reason := unwritten(error):  # of a library, in its own words
            return _told(f"a file cannot be read or written ({in_one_line(error)}): {way_out(reason)}")
        raise


def _told(error: str, code: int = 1) -> int:
    click.echo(printable(f"error: {error}"), err=True)
    return code


def _flushed(code: int) -> int:
    """The exit code, after all that was printed is out: Python itself would end with a traceback where it cannot be written."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except OSError as error:
        sys.stdout = open(os.devnull, "w")
        return code if isinstance(error, BrokenPipeError) else code or _told(_unprinted(error))


def _unprinted(error: OSError) -> str:
    return f"what was to be printed cannot be written ({error.strerror or error}): {way_out(error)}"
