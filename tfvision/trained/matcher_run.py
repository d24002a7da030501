"""A tattoo matcher's run on disk, and its recipe: a network that learns to tell photos apart by pairs or triplets."""

import dataclasses
import typing

from tfvision.errors import RecipeError
from tfvision.kinds import Kind
from tfvision.losses.distances import DISTANCES
from tfvision.losses.triplet import MININGS
from tfvision.models.catalogue import get_network
from tfvision.training.recipes import Recipe
from tfvision.training.run import TOLD, Run

CONTRASTIVE, TRIPLET = "contrastive", "triplet"
LOSSES = (CONTRASTIVE, TRIPLET, *MININGS)
_PHOTOS_TOGETHER = {CONTRASTIVE: 2, TRIPLET: 3}


@dataclasses.dataclass(frozen=True)
class MatcherRecipe(Recipe):
    """The training of an embedder: photos of one subject near each other, those of others far away.

    Sources: tattoo-recognition, section 2.2 (contrastive, triplet); FaceNet and its followers (mined triplets, P x K batches).

    Attributes:
      stage_unit: what the first number of a stage counts, "steps" or "epochs" (training.schedules.stages_in_epochs).
      network, weights: a name of the catalogue, and as models.weights.load_pretrained takes them.
      image_size: pixels a side; 0 = the network's own.
      tap: of the network, what a photo's vector is made of, averaged over positions; "" = its last.
      loss_tap: another tap on which the loss is computed; "" = on the vector itself.
      embedding: width of a layer on the tap; 0 = none, the vector is the tap.
      is_normalised: whether vectors have length 1.
      rotations: how many quarter turns of a photo a vector is the mean of, when the finished run is used: 1, 2 or 4.
      loss: "contrastive" (of pairs), "triplet" (of random triplets), "semi-hard" or "hard" (of triplets mined in a batch).
      margin: of the loss.
      distance: of mined triplets, one of losses.distances.DISTANCES.
      photos_per_subject: K of the batches for mined triplets; P is batch_size / K.
      cross_media: "true" (pairs are of two media, or roles where the source names no media), "false", or "auto" (where it
        names media, and in Tatt-C, where pairs are of a probe and a gallery image).
      frozen: a tap up to which the network's weights stay as they are; "" = all learn.
      is_batch_norm_frozen: whether batch normalisation keeps the statistics it was pretrained with.
      is_augmented: whether photos are changed at random.
      fold: which of `folds` by subject nobody trains on; -1 = all train. A source's own `split` goes first.
      folds: their number.
    """

    stage_unit: str = "steps"
    network: str = "mobilenet_v2"
    weights: str = "imagenet"
    image_size: int = 0
    tap: str = ""
    loss_tap: str = ""
    embedding: int = 0
    is_normalised: bool = True
    rotations: int = 1
    loss: str = "semi-hard"
    margin: float = 0.2
    distance: str = "squared-L2"
    photos_per_subject: int = 4
    cross_media: str = "auto"
    frozen: str = ""
    is_batch_norm_frozen: bool = False
    is_augmented: bool = True
    fold: int = 0
    folds: int = 5

    def check(self) -> None:
        """Raises RecipeError where values do not fit together."""
        super().check()
        choices = {"loss": LOSSES, "distance": DISTANCES, "cross_media": ("auto", "true", "false"), "rotations": (1, 2, 4), "stage_unit": ("steps", "epochs")}
        for key, known in choices.items():
            if getattr(self, key) not in known:
                raise RecipeError(f"{key} must be one of {', '.join(map(str, known))}, got {getattr(self, key)!r}")
        for key in ("embedding", "margin", "image_size"):
            if getattr(self, key) < 0:
                raise RecipeError(f"{key} must be 0 or more, got {getattr(self, key)}")
        if self.photos_per_subject < 2:
            raise RecipeError(f"photos_per_subject must be at least 2, got {self.photos_per_subject}")
        if self.batch_size % self.photos_together or (self.batch_size < 2 * self.photos_together and self.is_mined):
            least = " and two subjects at least" if self.is_mined else ""
            raise RecipeError(f"batch_size must be a multiple of {self.photos_together} ({self.loss}){least}, got {self.batch_size}")
        if not -1 <= self.fold < self.folds or self.folds < 2:
            raise RecipeError(f"fold must be one of 0 .. folds - 1, or -1 to train on all, and folds at least 2: got {self.fold} of {self.folds}")
        network = get_network(self.network)
        if self.size_px < network.least_image_size:
            raise RecipeError(f"image_size of {self.network} must be at least {network.least_image_size}, got {self.image_size}")

    @property
    def is_mined(self) -> bool:
        """Whether triplets are mined in batches of P x K photos."""
        return self.loss in MININGS

    @property
    def photos_together(self) -> int:
        """Photos of a batch that belong together: a pair, a triplet, or a subject's K."""
        return _PHOTOS_TOGETHER.get(self.loss, self.photos_per_subject)

    @property
    def size_px(self) -> int:
        """Pixels a side of what the network sees."""
        return self.image_size or get_network(self.network).image_size

    @property
    def tap_name(self) -> str:
        """Of what a vector is made of."""
        return self.tap or tuple(get_network(self.network).taps)[-1]


@dataclasses.dataclass(frozen=True)
class MatcherRun(Run[MatcherRecipe]):
    """The files of a matcher's run."""

    APPLICATION: typing.ClassVar[str] = "tattoo-matcher"
    COMMAND: typing.ClassVar[str] = "tfvision train tattoo-matcher"
    RECIPE: typing.ClassVar[type] = MatcherRecipe
    FACTS: typing.ClassVar[typing.Mapping[str, Kind]] = {"source": str}
    METRICS: typing.ClassVar[typing.Mapping[str, Kind]] = {
        **TOLD,
        **dict.fromkeys(("images", "held_out", "subjects", "dimension"), int),
        **dict.fromkeys(("loss", "accuracy"), float | None),
        "crosses_media": bool,
        "weights": str,
    }
