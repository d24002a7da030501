"""`tfvision train ...`: a command for each application that can be trained."""

import click

from tfvision.applications import APPLICATIONS, names_with


class _Trainings(click.Group):
    """The applications' own commands, imported when they are needed."""

    def list_commands(self, context: click.Context) -> list[str]:
        return names_with("commands")

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return APPLICATIONS[name].part("commands").train if name in self.list_commands(context) else None


@click.group(cls=_Trainings)
def train() -> None:
    """Train a model: species, a retriever, a tattoo matcher or detector, a stylizer, vgg19-slim."""
