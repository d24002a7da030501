"""A training of vgg19_slim on disk, and its recipe."""

import dataclasses
import typing
from pathlib import Path

from tfvision.errors import RecipeError
from tfvision.kinds import Kind
from tfvision.models.vgg19 import LAYERS, PERCEPTUAL_LAYERS, SLIM_RANKS, STYLE_LAYERS, Filters, slim_filters
from tfvision.training.recipes import Recipe, Stages
from tfvision.training.run import TOLD, Run

WEIGHTS_NAME = "vgg19_slim.npz"


@dataclasses.dataclass(frozen=True)
class Vgg19SlimRecipe(Recipe):
    """The training of vgg19_slim (ours).

    `tfvision train vgg19-slim PHOTOS --teacher FILE --teacher FILE`; docs/style-network.md has its time and scores.

    Attributes:
      fitted_photos, fitting_rounds: of the fit of layers before the training (apps.vgg19_slim.fitting).
      width: channels of the student's first block, half of those of the second and a quarter of the third's.
      deep_filters: of each layer of the fourth and the fifth block.
      ranks: of the first layers' factors (models.vgg19.Filters), in order; the layers behind them are whole.
      image_size: pixels a side of the training crops.
      mapped: layers that are matched through a learnt 1x1 map where a teacher has more filters than the student.
      noise: largest standard deviation, in grey levels, of what is added to half of the photos: a picture that is being painted is no photo.
      gram_weight, gradient_weight: of what `distillation_loss` adds to the responses.
      validation_fraction: share of the photos held out, on which correlations are reported.
      scaling_photos: photos on which the deviations of the teachers' filters are measured.
      normalisation_size: pixels a side of the training photos on which the result is normalised.
    """

    RETIRED: typing.ClassVar[tuple[str, ...]] = ("forced_stages",)

    name: str = "vgg19-slim"
    batch_size: int = 8
    fitted_photos: int = 400
    fitting_rounds: int = 12
    stages: Stages = ((2.0, 2e-4),)
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
    width: int = 64
    deep_filters: int = 128
    ranks: tuple[int, ...] = SLIM_RANKS
    image_size: int = 96
    mapped: tuple[str, ...] = STYLE_LAYERS
    noise: float = 40.0
    gram_weight: float = 1.0
    gradient_weight: float = 1.0
    validation_fraction: float = 0.1
    scaling_photos: int = 128
    normalisation_size: int = 256

    @property
    def filters(self) -> dict[str, Filters]:
        """Of the student."""
        return slim_filters(self.width, self.deep_filters, self.ranks)

    def check(self) -> None:
        """Raises RecipeError where values do not fit together."""
        super().check()
        if min(self.fitted_photos, self.fitting_rounds) < 1:
            raise RecipeError(f"fitted_photos and fitting_rounds must be at least 1, got {self.fitted_photos} and {self.fitting_rounds}")
        unknown = [layer for layer in self.mapped if layer not in LAYERS]
        if unknown:
            raise RecipeError(f"mapped must be layers of {', '.join(LAYERS)}, got {', '.join(unknown)}")
        if len(self.ranks) > len(PERCEPTUAL_LAYERS) or any(rank < 0 for rank in self.ranks):
            raise RecipeError(f"ranks must be at most {len(PERCEPTUAL_LAYERS)} numbers, none negative, got {self.ranks}")
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
