"""A stylizer run on disk, and its recipe."""

import dataclasses
import typing
from pathlib import Path

from tfvision.errors import RecipeError
from tfvision.kinds import Kind
from tfvision.models.vgg19 import CONTENT_LAYER, LAYERS, STYLE_LAYERS
from tfvision.training.recipes import Recipe, Stages
from tfvision.training.run import TOLD, Run


@dataclasses.dataclass(frozen=True)
class StylizerRecipe(Recipe):
    """A network for one painting, about a quarter of an hour on two cores (ours, after Johnson et al., section 4.1).

    `tfvision train stylizer PAINTING --photos DIR`; docs/style.md has its pictures and figures.

    Attributes:
      network: perceptual network: "auto", "vgg19", "vgg19_slim" or a path (models.perceptual.load_perceptual).
      pooling: of it, "max" or "avg".
      content_layer, style_layers: where content and style are compared.
      content_weight, style_weight: alpha and beta of eq. 7 (painting_loss.PaintingLoss).
      total_variation_weight: of losses.style.total_variation.
      painting_size: longer side of the painting in pixels: smaller = finer strokes.
      image_size: pixels a side of the photos' crops.
      width, blocks: of the stylizer (models.stylizer).
      validation_fraction: share of the photos held out.
    """

    name: str = "stylizer"
    batch_size: int = 4
    stages: Stages = ((12.0, 1e-3),)
    schedule: str = "cosine"
    warmup_steps: int = 50
    epsilon: float = 1e-7
    gradient_clip_norm: float = 1.0
    weight_decay: float = 0.0
    area: tuple[float, float] = (0.05, 0.5)
    aspect: tuple[float, float] = (1.0, 1.0)
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    network: str = "auto"
    pooling: str = "avg"
    content_layer: str = CONTENT_LAYER
    style_layers: tuple[str, ...] = STYLE_LAYERS
    content_weight: float = 1.0
    style_weight: float = 100.0
    total_variation_weight: float = 0.5
    painting_size: int = 384
    image_size: int = 128
    width: int = 16
    blocks: int = 5
    validation_fraction: float = 0.05

    def check(self) -> None:
        """Raises RecipeError where values do not fit together."""
        super().check()
        unknown = [layer for layer in (self.content_layer, *self.style_layers) if layer not in LAYERS]
        if unknown or not self.style_layers:
            raise RecipeError(f"layers must be of {', '.join(LAYERS)}, got {', '.join(unknown) or 'none'}")
        for key, least in (("image_size", 32), ("painting_size", 32), ("width", 1), ("blocks", 0)):
            if getattr(self, key) < least:
                raise RecipeError(f"{key} must be at least {least}, got {getattr(self, key)}")
        if not 0 < self.validation_fraction < 1:
            raise RecipeError(f"validation_fraction must lie between 0 and 1, got {self.validation_fraction}")


_LOSSES = {"content_loss": float, "style_loss": float}


@dataclasses.dataclass(frozen=True)
class StylizerRun(Run[StylizerRecipe]):
    """The files of a stylizer run."""

    APPLICATION: typing.ClassVar[str] = "stylizer"
    COMMAND: typing.ClassVar[str] = "tfvision train stylizer"
    RECIPE: typing.ClassVar[type] = StylizerRecipe
    FACTS: typing.ClassVar[typing.Mapping[str, Kind]] = {"source": str, "painting": str}
    METRICS: typing.ClassVar[typing.Mapping[str, Kind]] = {
        **TOLD,
        "images": int,
        "network": str,
        "before": _LOSSES,
        "after": _LOSSES,
    }

    @property
    def first_files(self) -> list[Path]:
        return [*super().first_files, self.painting_path]

    @property
    def painting_path(self) -> Path:
        """The painting at the size at which it was learnt."""
        return self.folder / "painting.png"
