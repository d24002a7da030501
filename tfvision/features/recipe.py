"""What makes vectors of images: kept with every gallery, so that a query is seen as its photos were."""

import dataclasses
import os

from tfvision.errors import RecipeError
from tfvision.models.weight_sources import KEYWORDS

POOLINGS = ("avg", "max", "gem", "regions")
RESIZES = ("squash", "aspect")


@dataclasses.dataclass(frozen=True)
class FeatureRecipe:
    """How an image becomes a vector.

    Attributes:
      model: a network of the catalogue or of keras.applications, "hub:" and a handle of TensorFlow Hub or Kaggle or a folder, the
        folder of a run, or that of an export.
      weights: of a network, as models.weights.load_pretrained takes them.
      layers: taps, concatenated in this order; () = the network's last.
      pooling: of a tap's positions: "avg", "max", "gem" (Radenovic, Tolias and Chum, Eq. 3) or "regions" (means of
        overlapping squares, each normalised, as R-MAC's maxima are); taps without positions are taken as they are.
      gem_power: p of GeM: 1 is the mean, infinity the maximum.
      image_size: pixels; 0 = the network's own.
      resize: "squash" (to a square) or "aspect" (the longer side becomes image_size; nothing is cut off).
      scales: factors of image_size; the vectors of all are averaged.
      is_flipped: whether the vectors of the image and its mirror image are averaged.
      is_tap_normalised: whether each tap's vector is L2-normalised before they are concatenated.
      is_normalised: whether the result is L2-normalised, and each that is averaged.
    """

    model: str = "mobilenet_v2"
    weights: str = "imagenet"
    layers: tuple[str, ...] = ()
    pooling: str = "avg"
    gem_power: float = 3.0
    image_size: int = 0
    resize: str = "squash"
    scales: tuple[float, ...] = (1.0,)
    is_flipped: bool = False
    is_tap_normalised: bool = False
    is_normalised: bool = True

    def check(self) -> None:
        """Raises RecipeError where values do not fit together."""
        for key, choices in {"pooling": POOLINGS, "resize": RESIZES}.items():
            if getattr(self, key) not in choices:
                raise RecipeError(f"{key} must be one of {', '.join(choices)}, got {getattr(self, key)!r}")
        if not self.model:
            raise RecipeError("model must name a network, a run, an export or hub:HANDLE, got ''")
        if not self.gem_power > 0:
            raise RecipeError(f"gem_power must be above 0, got {self.gem_power}")
        if self.image_size < 0:
            raise RecipeError(f"image_size must be a number of pixels, or 0 for the network's own, got {self.image_size}")
        if not self.scales or not all(0 < scale <= 4 for scale in self.scales):
            raise RecipeError(f"scales must be factors of the image size, above 0 and at most 4, got {self.scales}")
        if len(set(self.layers)) < len(self.layers):
            raise RecipeError(f"layers must differ, got {', '.join(self.layers)}")

    def located(self) -> "FeatureRecipe":
        """A copy whose folder and file are absolute paths, so that they are found from any folder later."""
        model = os.path.abspath(self.model) if os.path.exists(self.model) else self.model
        is_file = self.weights not in KEYWORDS and os.path.exists(self.weights)
        return dataclasses.replace(self, model=model, weights=os.path.abspath(self.weights) if is_file else self.weights)
