"""What a user of the studio chooses: how far, how large the strokes, whose colours, which painting how much, and how large."""

import dataclasses
import typing

from tfvision.apps.style.job import COLOURS
from tfvision.apps.style.presets import Preset
from tfvision.errors import RecipeError
from tfvision.kinds import Kind

LARGEST_PX = 4096
SMALLEST_PX = 64


@dataclasses.dataclass(frozen=True)
class Look:
    """A user's choices; the defaults are the page's.

    Attributes:
      strength: 0, the photo, to 1, the painting's manner.
      stroke: size of the strokes, 1 = the painting's own at the picture's size.
      colour: as StyleJob's: "" as painted, "luminance" the photo's, "histogram" matched.
      size: longer side of the picture, in pixels.
      style_weight: of the optimiser's preset.
      blend: a painting's key -> how much it counts; alike where it is missing.
    """

    strength: float = 1.0
    stroke: float = 1.0
    colour: str = ""
    size: int = 512
    style_weight: float = Preset.style_weight
    blend: dict[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises RecipeError where a value cannot be."""
        ranges = {"strength": (0, 1), "stroke": (0.25, 4), "size": (SMALLEST_PX, LARGEST_PX), "style_weight": (0, 1e6)}
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise RecipeError(f"{name} must lie between {low} and {high:g}, got {getattr(self, name):g}")
        if self.colour not in COLOURS:
            raise RecipeError(f"colour must be one of {', '.join(map(repr, COLOURS))}, got {self.colour!r:.40}")
        if any(share < 0 for share in self.blend.values()):
            raise RecipeError("blend must be numbers of at least 0, one a painting")

    def shares(self, keys: tuple[str, ...]) -> tuple[float, ...]:
        """How much each of these paintings counts; () where all count alike."""
        shares = tuple(float(self.blend.get(key, 1)) for key in keys)
        return () if len(set(shares)) == 1 or not sum(shares) else shares


KINDS: dict[str, Kind] = typing.get_type_hints(Look)  # of what the page sends
