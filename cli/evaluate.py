"""`tfvision evaluate`: the application of the run parses what else it is told, and measures it."""

import click

from tfvision.applications import APPLICATIONS, names_with
from tfvision.command_line import completed, options_of


class _Evaluation(click.Command):
    """Chooses whose evaluation is asked for, and leaves the command line to it."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        own = {name: APPLICATIONS[name].part("commands").evaluate for name in names_with("evaluation")}
        run = next(iter(_positional(arguments, own)), None)
        if run is None:
            if {"--help", "-h"} & set(arguments) or not arguments:
                click.echo(_help(context, own))
                context.exit(0 if arguments else 2)
            raise click.UsageError("Missing argument 'RUN'.", context)
        name = _asked(run, arguments, own)
        _refuse_foreign_options(name, arguments, own)
        context.meta["command"], context.meta["arguments"] = own[name], arguments
        return []

    def invoke(self, context: click.Context) -> object:
        command = context.meta["command"]
        with command.make_context(context.info_name, context.meta["arguments"], parent=context.parent) as inner:
            return command.invoke(inner)


@click.command(cls=_Evaluation, options_metavar="RUN SOURCE [OPTIONS]")
def evaluate() -> None:
    """Measure RUN on the labelled photos of SOURCE, and write a report.

    What is measured, and which options there are, depends on the application of RUN; `tfvision evaluate RUN --help` tells those of one.

    \b
    tfvision evaluate runs/species test-photos/ --target-accuracy 0.95
    tfvision evaluate runs/retriever my-photos/ --protocol labels
    tfvision evaluate runs/tattoo-matcher custody/
    tfvision evaluate mobilenet_v2 custody/ --protocol identification
    tfvision evaluate TATTC --protocol similarity --folds
    tfvision evaluate runs/tattoo-detector photos/
    """


def _asked(run: str, arguments: list[str], own: dict[str, click.Command]) -> str:
    """The application whose evaluation is asked for: that of RUN, or one that takes any model and is named by its protocol."""
    protocol = _value_of("--protocol", arguments)
    for name, command in own.items():
        if APPLICATIONS[name].evaluates_any_model and protocol in _protocols(command):
            return name
        if completed(arguments, options_of(command)) != arguments:  # --folds alone, which takes no run
            return name
    from tfvision.training.run import application_of

    return application_of(run, "evaluation")


def _refuse_foreign_options(name: str, arguments: list[str], own: dict[str, click.Command]) -> None:
    given = {argument.split("=")[0] for argument in arguments if argument.startswith("--")}
    for other, command in own.items():
        for option in sorted(given & options_of(command).keys() - options_of(own[name]).keys()):
            raise click.UsageError(f"{option} is for runs of {other}; this one is of {name}")


def _positional(arguments: list[str], own: dict[str, click.Command]) -> list[str]:
    """The arguments that are no options and no values of options, of whichever application."""
    options = {name: option for command in own.values() for name, option in options_of(command).items()}
    found, rest = [], iter(completed(arguments, options))
    for argument in rest:
        if not argument.startswith("-"):
            found.append(argument)
        elif argument in options and not options[argument].is_flag:
            next(rest, None)
    return found


def _value_of(option: str, arguments: list[str]) -> str | None:
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument == option:
            return following
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
    return None


def _protocols(command: click.Command) -> tuple[str, ...]:
    option = options_of(command).get("--protocol")
    return tuple(option.type.choices) if option and isinstance(option.type, click.Choice) else ()


def _help(context: click.Context, own: dict[str, click.Command]) -> str:
    """The help of all applications: what is common, then the options of each."""
    formatter = context.make_formatter()
    context.command.format_usage(context, formatter)
    context.command.format_help_text(context, formatter)
    common = set.intersection(*({option.name for option in command.params} for command in own.values()))
    sections = {"Options": [option for option in next(iter(own.values())).params if option.name in common]}
    sections |= {f"Options for runs of {name}": [option for option in command.params if option.name not in common] for name, command in own.items()}
    for title, options in sections.items():
        with formatter.section(title):
            formatter.write_dl([record for option in options if isinstance(option, click.Option) and (record := option.get_help_record(context))])
    return formatter.getvalue().rstrip("\n")
