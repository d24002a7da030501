"""A training of vgg19_slim on disk, and its recipe."""

import dataclasses
import typing
from pathlib import Path

from tfvision.errors import RecipeError
from tfvision.kinds import Kind
from tfvision.models.vgg19 import LAYERS, STYLE_LAYERS
from tfvision.training.recipes import Recipe, Stages
from tfvision.training.run import TOLD, Run

WEIGHTS_NAME = "vgg19_slim.npz"


@dataclasses.dataclass(frozen=True)
class Vgg19SlimRecipe(Recipe):
    """The training of vgg19_slim (ours).

    `tfvision train vgg19-slim PHOTOS --teacher FILE --teacher FILE`; docs/style-network.md has its time and scores.

    Attributes:
      forced_stages: (epochs, learning rate) of the layers alone; `stages` are those of the whole network.
      width: channels of the student's first block.
      image_size: pixels a side of the training crops.
      mapped: layers that are matched through a learnt 1x1 map where a teacher is wider than the student.
      validation_fraction: share of the photos held out, on which correlations are reported.
      scaling_photos: photos on which the deviations of the teachers' filters are measured.
      normalisation_size: pixels a side of the training photos on which the result is normalised.
    """

    name: str = "vgg19-slim"
    batch_size: int = 8
    forced_stages: Stages = ((10.0, 6e-3),)
    stages: Stages = ((23.0, 1e-3),)
    schedule: str = "cosine"
    warmup_steps: int = 100
    epsilon: float = 1e-7
    gradient_clip_norm: float = 5.0
    weight_decay: float = 0.0
    precision: str = "float32"
    area: tuple[float, float] = (0.1, 1.0)
    brightness: float = 0.1
    contrast: float = 0.3
    saturation: float = 0.5
    hue: float = 0.1
    width: int = 16
    image_size: int = 128
    mapped: tuple[str, ...] = STYLE_LAYERS[:3]
    validation_fraction: float = 0.1
    scaling_photos: int = 128
    normalisation_size: int = 256

    def check(self) -> None:
        """Raises RecipeError where values do not fit together."""
        super().check()
        if any(epochs < 0 or rate < 0 for epochs, rate in self.forced_stages):
            raise RecipeError(f"forced_stages must be [[epochs, learning rate], ...] with nothing negative, got {self.forced_stages}")
        unknown = [layer for layer in self.mapped if layer not in LAYERS]
        if unknown:
            raise RecipeError(f"mapped must be layers of {', '.join(LAYERS)}, got {', '.join(unknown)}")
        if self.image_size < 32:
            raise RecipeError(f"image_size must be at least 32, got {self.image_size}: conv5_1 sees a sixteenth of it")
        if not 0 < self.validation_fraction < 1:
            raise RecipeError(f"validation_fraction must lie between 0 and 1, got {self.validation_fraction}")


@dataclasses.dataclass(frozen=True)
class Vgg19SlimRun(Run[Vgg19SlimRecipe]):
    """The files of a training of vgg19_slim."""

    APPLICATION: typing.ClassVar[str] = "vgg19-slim"
    COMMAND: typing.ClassVar[str] = "tfvision train vgg19-slim"
    RECIPE: typing.ClassVar[type] = Vgg19SlimRecipe
    FACTS: typing.ClassVar[typing.Mapping[str, Kind]] = {"photos": str, "teachers": tuple[str, ...]}
    METRICS: typing.ClassVar[typing.Mapping[str, Kind]] = {**TOLD, "images": int, "weights": str, "correlation": dict[str, dict[str, float]]}

    @property
    def weights_path(self) -> Path:
        return self.folder / WEIGHTS_NAME
