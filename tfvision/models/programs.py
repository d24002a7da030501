"""Networks that are programs: what data names is never run unless the user names it too."""

from pathlib import Path

from tfvision.errors import UserError


def is_program(model: str) -> bool:
    """Whether a name leads to a SavedModel or to a module of TensorFlow Hub, which do what their author put into them.

    A run (weights and a recipe) and a network of the catalogue are not: this code alone says what they compute.
    """
    folder = Path(model)
    return bool(model) and not (folder / "recipe.json").is_file() and (folder.exists() or ":" in model)


def refuse_program(model: str, named_by: str, option: str, error: type[UserError]) -> None:
    """Raises `error` where a model that only a file names is a program.

    Args:
      named_by: the gallery or record that names it.
      option: with which the user names it too.
    """
    if is_program(model):
        raise error(f"{named_by} names the model {model}, which can do more than see pictures: if you trust who made it, repeat it: {option} {model}")
