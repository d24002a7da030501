"""A recipe: every number of a training, in one frozen dataclass, saved with the run."""

import dataclasses
import json
import typing
from collections.abc import Callable, Mapping

from tfvision.data.augmentation import Augmentation
from tfvision.data.names import KnownNames
from tfvision.errors import RecipeError
from tfvision.files import parse_json
from tfvision.kinds import is_of, tuples

Stages = tuple[tuple[float, float], ...]  # (epochs, learning rate), in order


class Checked(typing.Protocol):
    """A dataclass that knows whether its values fit together: a Recipe, a FeatureRecipe, a Preset."""

    __dataclass_fields__: typing.ClassVar[dict[str, typing.Any]]

    def __init__(self, **values: typing.Any) -> None: ...
    def check(self) -> None: ...


CheckedT = typing.TypeVar("CheckedT", bound=Checked)
RecipeT = typing.TypeVar("RecipeT", bound="Recipe")


@dataclasses.dataclass(frozen=True)
class Recipe(Augmentation):
    """What THE training loop needs to know; the defaults are InceptionResNetV2's own settings (paper, section 5).

    The random changes of photos (area, aspect, brightness, ...) are fields of Augmentation.

    Attributes:
      name: of the recipe, for people.
      batch_size: photos a step, over all replicas.
      stages: (epochs, learning rate); epochs may be fractions.
      schedule: "staged" (rates as given) or "cosine" (each phase decays from its largest rate to 0).
      warmup_steps: steps over which the rate rises linearly from 0, at the start of each phase.
      optimizer: "adam" or "sgd" (momentum 0.9).
      epsilon: Adam's.
      backbone_rate: factor on the gradients of all but a task's new layers (sgd only).
      bias_rate: factor on the gradients of biases (sgd only); they never decay.
      gradient_clip_norm: largest global norm of the gradients after the reduction; 0 = no limit.
      weight_decay: lambda of lambda * 1/2 * ||w||^2 over kernels, the original's convention
        (keras.regularizers.L2 of half of it).
      precision: of training: "float32" (the papers'), "bfloat16", "float16" or "auto" (float16 on a GPU, else float32). What is trained is
        judged, calibrated and used in float32.
      checkpoint_seconds: least time from one checkpoint to the next, and about as much work is lost by a kill; it is longer where saving would
        take more than 2 % of the time (checkpoints.Saver). 0 = after every step.
      seed: of split, order, augmentation, initial weights and dropout.
    """

    RETIRED: typing.ClassVar[tuple[str, ...]] = ()  # settings of before, which decide nothing any more: stored recipes may have them

    name: str = ""
    batch_size: int = 16
    stages: Stages = ((1.0, 0.1),)
    schedule: str = "staged"
    warmup_steps: int = 0
    optimizer: str = "adam"
    epsilon: float = 1.0
    backbone_rate: float = 1.0
    bias_rate: float = 1.0
    gradient_clip_norm: float = 0.0
    weight_decay: float = 4e-5
    precision: str = "auto"
    checkpoint_seconds: float = 60.0
    seed: int = 0

    def check(self) -> None:
        """Raises RecipeError where values do not fit together."""
        for key, choices in _CHOICES.items():
            if getattr(self, key) not in choices:
                raise RecipeError(f"{key} must be one of {', '.join(choices)}, got {getattr(self, key)!r}")
        if not self.stages or any(epochs < 0 or rate < 0 for epochs, rate in self.stages):
            raise RecipeError(f"stages must be [[epochs, learning rate], ...] with nothing negative, got {self.stages}")
        if self.batch_size < 1:
            raise RecipeError(f"batch_size must be at least 1, got {self.batch_size}")
        if self.checkpoint_seconds < 0:
            raise RecipeError(f"checkpoint_seconds must be 0 or more, got {self.checkpoint_seconds}")
        if self.seed < 0:
            raise RecipeError(f"seed must be 0 or more, got {self.seed}")
        for key in ("backbone_rate", "bias_rate"):
            if getattr(self, key) != 1 and self.optimizer != "sgd":
                raise RecipeError(f"{key} needs optimizer=sgd: Adam divides such a factor out again")


_CHOICES = {
    "schedule": ("staged", "cosine"),
    "optimizer": ("adam", "sgd"),
    "augment_on": ("pipeline", "device"),
    "precision": ("auto", "float32", "bfloat16", "float16"),
}


def get_recipe(recipes: Mapping[str, Callable[[], Recipe]], name: str) -> Recipe:
    """The recipe called `name`. Raises RecipeError that lists the known ones."""
    if name not in recipes:
        raise RecipeError(f"recipe must be one of {', '.join(recipes)}, got {name!r}")
    return recipes[name]()


def changes_of(recipe: Recipe, recipes: Mapping[str, Callable[[], Recipe]]) -> str:
    """The recipe's name and what `--set` changed of it: "small, with batch_size=8, seed=3"."""
    if recipe.name not in recipes:
        return recipe.name or "one of its own"
    named = dataclasses.asdict(recipes[recipe.name]())
    changed = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in dataclasses.asdict(recipe).items() if value != named[key]]
    return recipe.name + (f", with {', '.join(changed)}" if changed else "")


def with_settings(recipe: CheckedT, settings: Mapping[str, typing.Any]) -> CheckedT:
    """A copy of the recipe with settings given as values or as text, e.g. {"batch_size": 32, "stages": "[[2, 0.1]]"}.

    Raises:
      RecipeError: an unknown key (the known ones are listed) or a value of another kind.
    """
    kinds = typing.get_type_hints(type(recipe))
    values = {}
    for key, text in settings.items():
        if key not in kinds:
            near = KnownNames(kinds).nearest(key, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise RecipeError(f"{key!r} is no setting of a recipe; {hint}known are {', '.join(kinds)}")
        values[key] = _parse(recipe, key, text if isinstance(text, str) else json.dumps(text), kinds[key])
    recipe = dataclasses.replace(recipe, **values)
    recipe.check()
    return recipe


def from_json(stored: Mapping[str, typing.Any], kind: type[CheckedT]) -> CheckedT:
    """The recipe that `dataclasses.asdict` and JSON made of one. Raises RecipeError."""
    if not isinstance(stored, Mapping):
        raise RecipeError(f"the stored recipe was changed: it cannot be {json.dumps(stored):.80}")
    stored = {key: value for key, value in stored.items() if key not in getattr(kind, "RETIRED", ())}
    unknown = set(stored) - {field.name for field in dataclasses.fields(kind)}
    if unknown:
        raise RecipeError(f"the run's recipe has unknown settings {', '.join(map(repr, sorted(unknown))):.200}: made by a newer tfvision?")
    values, kinds = {key: tuples(value) for key, value in stored.items()}, typing.get_type_hints(kind)
    for key, value in values.items():
        if not is_of(value, kinds[key]):
            raise RecipeError(f"the stored recipe was changed: its {key} cannot be {json.dumps(value)}")
    recipe = kind(**values)
    recipe.check()
    return recipe


def _parse(recipe: Checked, key: str, text: str, kind: typing.Any) -> typing.Any:
    if kind is str:
        return text
    try:
        value = tuples(parse_json(text.lower() if kind is bool else text))
    except ValueError:
        value = None
    if kind == tuple[str, ...] and value is None:
        value = tuple(part.strip() for part in text.split(",") if part.strip())
    if not is_of(value, kind):
        example = json.dumps(getattr(recipe, key))
        raise RecipeError(f"{key}={text} is not of the right kind: expected something like {key}={example}")
    return float(text) if kind is float else value
