"""Words of the command line that several commands share; nothing heavy is imported here."""

import dataclasses
import functools
import json
import math
import re
import sys
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence

import click

if typing.TYPE_CHECKING:
    from tfvision.data.manifest import Manifest


class Number(click.ParamType):
    """A number of the command line: neither NaN nor infinite, and at least `minimum`, or above it where it `is_open`."""

    name = "number"

    def __init__(self, minimum: float | None = None, is_open: bool = False) -> None:
        self._minimum, self._is_open = minimum, is_open

    def convert(self, value: typing.Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        number = finite(value)
        if number is None:
            self.fail(f"{value!r} is no finite number", parameter, context)
        if self._minimum is not None and (number < self._minimum or (self._is_open and number == self._minimum)):
            self.fail(f"{value} must be {'above' if self._is_open else 'at least'} {self._minimum}", parameter, context)
        return number


NUMBER = Number()
WEIGHTS = {"help": "imagenet, none, auto or a file of weights: the same as --set weights=..."}

_SET_HELP = (
    "Change one number of the recipe; repeatable. Among them checkpoint_seconds=60, the least time from one checkpoint to the next: "
    "it is longer where saving would take more than 2 % of the time."
)


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """What every training is told on the command line, as `run_training` takes it, and how it answers."""

    recipe: str | None
    settings: dict[str, str]
    run: str | None
    resume: bool
    as_json: bool


def training_options(
    application: str, recipes: str = "", seeds: str = "the split, the order and all random numbers", shortcuts: Mapping[str, Mapping] | None = None
) -> Callable:
    """A decorator: adds the options of every training to a command, which gets them as `options`, a TrainingOptions.

    Args:
      application: its name.
      recipes: the help of --recipe; "" = there is one recipe only.
      seeds: what --seed decides.
      shortcuts: {key of the recipe: keywords of click.option}, options of their own for what --set can do as well.
    """
    shortcuts = {**(shortcuts or {}), "seed": {"type": int, "help": f"Of {seeds}."}}

    def decorate(command: Callable) -> Callable:
        @functools.wraps(command)
        def run_command(settings: dict, run: str | None, resume: bool, as_json: bool, recipe: str | None = None, **others: typing.Any) -> None:
            own = {name: others.pop(name) for name in shortcuts}
            settings = {**settings, **{name: str(value) for name, value in own.items() if value is not None}}
            return command(**others, options=TrainingOptions(recipe, settings, run, resume, as_json))

        options = [
            *([click.option("--recipe", help=recipes)] if recipes else []),
            click.option("--set", "settings", multiple=True, callback=key_values, metavar="KEY=VALUE", help=_SET_HELP),
            *(click.option(f"--{name.replace('_', '-')}", **words) for name, words in shortcuts.items() if name != "seed"),
            click.option("--run", help=f"The run folder. [default: runs/{application}, or the next free one]"),
            click.option("--resume", is_flag=True, help="Go on with --run where its last checkpoint left it."),
            click.option("--seed", **shortcuts["seed"]),
            click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        ]
        for option in reversed(options):
            run_command = option(run_command)
        return run_command

    return decorate


class OptionalNumber(click.Option):
    """An option whose number may be left out; `alone` is then its value. For commands that parse `completed` arguments."""

    def __init__(self, *names: typing.Any, alone: str, **words: typing.Any) -> None:
        super().__init__(*names, **words)
        self.alone = alone


def completed(arguments: Sequence[str], options: Mapping[str, click.Parameter]) -> list[str]:
    """The arguments with the numbers that were left out, so that what follows is not taken for one."""
    told = []
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        option = options.get(argument)
        told.append(f"{argument}={option.alone}" if isinstance(option, OptionalNumber) and not following.lstrip("-").isdecimal() else argument)
    return told


def options_of(command: click.Command) -> dict[str, click.Option]:
    """{--name: option} of a command."""
    return {name: option for option in command.params if isinstance(option, click.Option) for name in (*option.opts, *option.secondary_opts)}


def evaluation_options(command: Callable, is_source_required: bool = True) -> Callable:
    """A decorator: adds what every evaluation is told, besides its own options: RUN, SOURCE, --out and --json."""
    options = [
        click.argument("run"),
        click.argument("source", required=is_source_required),
        click.option("--out", help="Folder for the report. [default: RUN/evaluation, or RUN/evaluation-PROTOCOL]"),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


_CONTROLS = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]")  # what terminals obey; also what turns text round


def print_json(value: object) -> None:
    """One JSON object on one line of stdout; what its encoding lacks is escaped."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, default=str)
    click.echo(printable(text))


def printable(text: str) -> str:
    """Text that may come from elsewhere, a server or a file's name, with what a terminal would obey as `\\u001b`, and so on."""
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def refuse_both(**given: bool) -> None:
    """Raises UsageError where more than one of these options is given, such as csv=True, json=True."""
    names = [f"--{name}" for name, is_given in given.items() if is_given]
    if len(names) > 1:
        raise click.UsageError(f"{' and '.join(names)} exclude each other: give one of them")


def show_answers(answers: Iterable[Mapping[str, typing.Any]], photos: "Manifest", label: str, show: Callable[[typing.Any], object], key: str = "image") -> None:
    """Shows the answers to photos as they come, beside a progress bar; ends the command with exit code 1 where every photo failed.

    A photo that was found and left out is answered as well, by the reason.

    Args:
      answers: one a photo; that to a photo that failed has an "error".
      photos: of manifest.find_photos; an answer is told by the name of its photo.
      label: of the bar.
      show: prints one answer.
      key: what an answer tells its photo by.
    """
    from tfvision.progress import progress_bar

    unread = [{key: one.path, "error": f"{one.path}: {one.reason}"} for one in photos.left_out if one.is_photo]
    failed, count = len(unread), len(photos) + len(unread)
    with progress_bar(label, count) as bar:
        for answer, record in zip(answers, photos.records, strict=True):
            error = {"error": answer["error"].replace(record.path, record.name)} if "error" in answer else {}
            failed += "error" in answer
            show({**answer, key: record.name, **error})
            bar.advance(1)
        for answer in unread:
            show(answer)
            bar.advance(1)
    if failed == count:
        sys.exit(1)


def print_run(metrics: Mapping[str, typing.Any], told: str, next_command: str, broken_in: str = "the report", width: int = 10) -> None:
    """The last lines of a training: photos that could not be read, the run, its report and what to type next.

    Args:
      told: of the run, in brackets behind it.
      broken_in: where the broken photos are named.
      width: of the words at the beginning of the lines.
    """
    if broken := metrics.get("broken"):
        example = next(iter(broken.values()))
        click.echo(f"{'broken':<{width}}{len(broken)} photos could not be read; they are listed in {broken_in}. One: {example}")
    click.echo(f"{'run':<{width}}{metrics['run']}  ({told})")
    if broken_in == "the report":
        click.echo(f"{'report':<{width}}{metrics['run']}/report.html")
    click.echo(f"{'next':<{width}}{next_command}")


def key_values(context: click.Context, parameter: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    """A click callback: ("a=1", "b=2") -> {"a": "1", "b": "2"}."""
    settings = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise click.BadParameter(f"expected key=value, got {pair!r}")
        settings[key.strip()] = value.strip()
    return settings


def numbers(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[float, ...]:
    """A click callback: "2,1" -> (2.0, 1.0), or ()."""
    found = tuple(number for part in (text or "").split(",") if (number := finite(part)) is not None)
    if text and len(found) < text.count(",") + 1:
        raise click.BadParameter(f"expected numbers like 2,1, got {text!r}")
    return found


def finite(text: str | float) -> float | None:
    """A number from its text; None where it is none, NaN or infinite."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def comma_separated(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    """A click callback: "a,b,c" -> ("a", "b", "c"), or None."""
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else None


SOURCE_RANKS = click.option("--ranks", callback=comma_separated, help="Label columns or folder levels of SOURCE. [default: the run's]")
