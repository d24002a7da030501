"""What decides a picture: every number of a style transfer, in one frozen dataclass."""

import dataclasses

from tfvision.errors import RecipeError
from tfvision.models.vgg19 import CONTENT_LAYER, EDGES, PERCEPTUAL_LAYERS, SMALLEST_SIZE, STYLE_LAYERS

# The geometric mean of VGG19's mean responses to photos at conv1_1, conv2_1, conv3_1 and conv3_4: 21, 94, 65 and 246.
VGG19_RESPONSE_MEAN = 75.0
START_NOISE, START_PHOTO = "noise", "photo"


@dataclasses.dataclass(frozen=True)
class Preset:
    """A style transfer.

    Attributes:
      name: of the preset.
      network: "auto", "vgg19", "vgg19_slim" or a path (models.perceptual.load_perceptual).
      is_normalised: whether filters are scaled to one mean response, over images and positions.
      response_mean: that mean. Eq. 1 grows with its square and eq. 4 with its fourth power, so that alpha / beta means
        nothing without it; the paper's ratios give the paper's pictures at the size of VGG19's own responses (docs/style.md).
      pooling: "avg" (the paper's) or "max".
      edge: what lies beyond a picture: "repeat" (its outermost pixels), or "zero" (VGG19's own), which leaves a thin frame.
      size: longer side of the picture, in pixels.
      painting_scale: longer side of a painting, as a share of `size`; smaller = finer strokes.
      content_layer: of eq. 1; "" = no content.
      style_layers: of eq. 5, each with the weight 1 / their number; () = no style.
      content_weight, style_weight: alpha and beta of eq. 7.
      is_content_averaged: whether eq. 1 is divided by its number of responses, so that alpha / beta means the same
        at every size and layer.
      total_variation_weight: of losses.style.total_variation.
      range_weight: of the mean square by which values leave 0-255, on a range of 1: what is clipped at the end is lost.
      temporal_weight: of the difference from the picture before, where the photo did not change.
      start: "photo" or "noise" (white).
      optimizer: "lbfgs" or "adam".
      learning_rate: Adam's, in grey levels of 0-255.
      scales: sizes before the last as shares of `size`, coarse to fine, each with its iterations.
      iterations: at the full size; half of them where the picture is carried up from there.
      tolerance: stops a scale where the last 10 iterations lowered the loss by less than this share; 0 = never.
      precision: "float32", or "bfloat16" where the processor computes in it.
      tile: pixels a side above which a picture is computed in tiles (by the same result); 0 = never.
      carried_above: longer side in pixels above which a picture is painted at this size and carried up, by a factor of at most two at a
        time (enlarging.py, tile_steps.py); 0 = never.
      carried_iterations: of each tile, at the sizes on the way and at the last.
      seed: of the noise.
    """

    name: str = "default"
    network: str = "auto"
    is_normalised: bool = True
    response_mean: float = 1.0
    pooling: str = "avg"
    edge: str = "repeat"
    size: int = 512
    painting_scale: float = 1.0
    content_layer: str = CONTENT_LAYER
    style_layers: tuple[str, ...] = STYLE_LAYERS
    content_weight: float = 1.0
    style_weight: float = 100.0
    is_content_averaged: bool = True
    total_variation_weight: float = 0.5
    range_weight: float = 200.0
    temporal_weight: float = 300.0
    start: str = START_PHOTO
    optimizer: str = "lbfgs"
    learning_rate: float = 4.0
    scales: tuple[tuple[float, int], ...] = ((0.25, 100), (0.5, 60))
    iterations: int = 30
    tolerance: float = 0.002
    precision: str = "float32"
    tile: int = 640
    carried_above: int = 1024
    carried_iterations: tuple[int, int] = (6, 3)
    seed: int = 0

    def check(self) -> None:
        """Raises RecipeError where a value cannot be."""
        for key, choices in _CHOICES.items():
            if getattr(self, key) not in choices:
                raise RecipeError(f"{key} must be one of {', '.join(choices)}, got {getattr(self, key)!r}")
        for key in _NOT_NEGATIVE:
            if getattr(self, key) < 0:
                raise RecipeError(f"{key} must not be negative, got {getattr(self, key)}")
        layers = [layer for layer in (self.content_layer, *self.style_layers) if layer]
        unknown = [layer for layer in layers if layer not in PERCEPTUAL_LAYERS]
        if unknown or not layers:
            raise RecipeError(f"layers must be of {', '.join(PERCEPTUAL_LAYERS)}, got {', '.join(unknown) or 'none'}")
        if self.size < SMALLEST_SIZE:
            raise RecipeError(f"size must be at least {SMALLEST_SIZE} pixels, got {self.size}")
        if not 0.05 <= self.painting_scale <= 8:
            raise RecipeError(f"painting_scale must lie between 0.05 and 8, got {self.painting_scale}")
        if self.tile and self.tile < 64:
            raise RecipeError(f"tile must be at least 64 pixels, or 0 for none, got {self.tile}")
        if self.carried_above and self.carried_above < 64:
            raise RecipeError(f"carried_above must be at least 64 pixels, or 0 for never, got {self.carried_above}")
        if min(self.carried_iterations) < 0:
            raise RecipeError(f"carried_iterations must not be negative, got {self.carried_iterations}")


_NOT_NEGATIVE = (
    "content_weight",
    "style_weight",
    "total_variation_weight",
    "range_weight",
    "temporal_weight",
    "tolerance",
    "iterations",
    "tile",
    "seed",
)
_CHOICES = {
    "pooling": ("avg", "max"),
    "edge": EDGES,
    "start": (START_PHOTO, START_NOISE),
    "optimizer": ("lbfgs", "adam"),
    "precision": ("float32", "bfloat16"),
}


def default() -> Preset:
    """From the photo, coarse to fine: the fewest seconds to a good picture. `tfvision stylize photo.jpg painting.jpg`"""
    return Preset()


def paper() -> Preset:
    """The paper's method (READINGS, section 3): `tfvision stylize photo.jpg painting.jpg --preset paper`

    Eq. 1, 4, 5, 7 as printed on VGG19, alpha / beta = 1e-3, white noise, L-BFGS at one scale. Figure 2 E and F have 1e-4. The filters are
    scaled, as the authors' code has them; `printed` leaves them as they are.
    """
    return Preset(
        name="paper",
        network="vgg19",
        response_mean=VGG19_RESPONSE_MEAN,
        edge="zero",
        content_weight=1e-3,
        style_weight=1.0,
        is_content_averaged=False,
        total_variation_weight=0.0,
        range_weight=0.0,
        temporal_weight=0.0,
        start=START_NOISE,
        scales=(),
        iterations=500,
        tolerance=0.0,
        carried_above=0,
    )


def printed() -> Preset:
    """`paper` to the letter of its text, which does not scale the filters: `tfvision stylize photo.jpg painting.jpg --preset printed`"""
    return dataclasses.replace(paper(), name="printed", is_normalised=False, response_mean=1.0)


PRESETS = {"default": default, "paper": paper, "printed": printed}


def get_preset(name: str) -> Preset:
    """The preset called `name`. Raises RecipeError that lists the known ones."""
    try:
        return PRESETS[name]()
    except KeyError:
        raise RecipeError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}") from None


def with_strength(preset: Preset, strength: float) -> Preset:
    """The preset with less of the painting: at 1 as it is, at 0 without style.

    Beta falls with the cube: so the content loss falls about evenly (0.71, 0.51, 0.35, 0.19, 0.00 at 1, 3/4, 1/2, 1/4, 0 of one pair at 192 px).
    """
    return dataclasses.replace(preset, style_weight=preset.style_weight * strength**3)
