"""A detector run on disk, and its recipe: is a photo one of a tattoo?"""

import dataclasses
import functools
import typing
from pathlib import Path

from tfvision.data.augmentation import Augmentation
from tfvision.errors import RecipeError
from tfvision.kinds import Kind
from tfvision.models.catalogue import get_network
from tfvision.training.recipes import Recipe
from tfvision.training.run import TOLD, Run, read_run_file


@dataclasses.dataclass(frozen=True)
class DetectorRecipe(Recipe):
    """The training of a detector: perhaps a network fine-tuned on tattoo or not, then a linear SVM on its features.

    Source: tattoo-recognition, section 2.1 and table 1; READINGS, section 2. The random changes of photos are Augmentation's, but
    for the area: crop_size says what is cut.

    Attributes:
      network, weights: a name of the catalogue, and as models.weights.load_pretrained takes them.
      layer: the tap whose responses, averaged over positions, are the features; "" = the network's last.
      image_size: pixels a side to which a photo (or its box) is resized; 0 = the network's own.
      crop_size: pixels a side of what the network sees of it: a random square in training, else the centre; 0 = all.
      is_fine_tuned: whether the network learns too; else the SVM alone does.
      stage_unit: what the first number of a stage counts, "epochs" or "steps" (schedules.stages_in_epochs).
      dropout: share of the values behind fc6 (where the network has it) and of the features that training drops.
      initial_bias: of conv2, 4, 5, fc6 and fc7 of AlexNet with weights=none; its kernels are Gaussian with deviation 0.01
        (fc6, fc7: 0.005) and its pixels in [0, 1] minus the mean colour.
      batch_norm_momentum: of every batch normalisation.
      is_normalised: whether the SVM sees features L2-normalised.
      svm_lambda: of lambda / 2 * ||w||^2 + mean hinge loss.
      svm_iterations: at most so many passes of its solver.
      folds: into how many parts photos are dealt by subject where no fold is given.
    """

    network: str = "alexnet"
    weights: str = "imagenet"
    layer: str = ""
    image_size: int = 0
    crop_size: int = 0
    is_fine_tuned: bool = True
    stage_unit: str = "epochs"
    dropout: float = 0.5
    initial_bias: float = 0.1
    batch_norm_momentum: float = 0.9
    is_normalised: bool = False
    svm_lambda: float = 0.01
    svm_iterations: int = 10_000
    folds: int = 5
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    augment_on: str = "device"

    def check(self) -> None:
        """Raises RecipeError where values do not fit together."""
        super().check()
        network = get_network(self.network)
        if self.stage_unit not in ("epochs", "steps"):
            raise RecipeError(f"stage_unit must be epochs or steps, got {self.stage_unit!r}")
        if self.crop_size > self.size_px or self.crop_size < 0:
            raise RecipeError(f"crop_size must lie between 0 and the {self.size_px} of image_size, got {self.crop_size}")
        if self.crop_px < network.least_image_size:
            raise RecipeError(f"{self.network} must see {network.least_image_size} pixels a side at least, got {self.crop_px}")
        if self.area != Augmentation.area:
            raise RecipeError("area is no setting of a detector: crop_size says what is cut")
        if self.augment_on != "device":
            raise RecipeError("augment_on is no setting of a detector, whose photos are always changed on the device")
        for key in ("dropout", "batch_norm_momentum"):
            if not 0 <= getattr(self, key) < 1:
                raise RecipeError(f"{key} must be at least 0 and below 1, got {getattr(self, key)}")
        if not self.svm_lambda > 0 or self.svm_iterations < 1:
            raise RecipeError(f"svm_lambda must be above 0 and svm_iterations at least 1, got {self.svm_lambda} and {self.svm_iterations}")
        if self.folds < 2:
            raise RecipeError(f"folds must be at least 2, got {self.folds}")

    @property
    def size_px(self) -> int:
        """Pixels a side to which a photo is resized."""
        return self.image_size or get_network(self.network).image_size

    @property
    def crop_px(self) -> int:
        """Pixels a side of what the network sees."""
        return self.crop_size or self.size_px

    @property
    def tap(self) -> str:
        """Name of the tap that gives the features."""
        return self.layer or tuple(get_network(self.network).taps)[-1]


_SHARE = {"right": int, "photos": int, "accuracy": float | None, "interval": tuple[float, ...]}  # of photos that were told right


@dataclasses.dataclass(frozen=True)
class DetectorRun(Run[DetectorRecipe]):
    """The files of a detector run."""

    APPLICATION: typing.ClassVar[str] = "tattoo-detector"
    COMMAND: typing.ClassVar[str] = "tfvision train tattoo-detector"
    RECIPE: typing.ClassVar[type] = DetectorRecipe
    FACTS: typing.ClassVar[typing.Mapping[str, Kind]] = {"source": str, "others": str | None, "probe_lists": tuple[str, ...]}
    METRICS: typing.ClassVar[typing.Mapping[str, Kind]] = {
        **TOLD,
        **dict.fromkeys(("images", "tattoos", "subjects"), int),
        "tattoo": _SHARE,
        "non_tattoo": _SHARE,
        "overall": {**_SHARE, "accuracy": float, "interval": tuple[float, float]},
        "folds": [{"fold": str, **dict.fromkeys(("tattoo", "non_tattoo", "overall"), _SHARE)}],
        "wrong": [dict],
        "weights": str,
    }

    @functools.cached_property
    def calibration(self) -> dict[str, typing.Any]:
        """{"slope", "offset"}: a score's probability is 1 / (1 + exp(-(slope * score + offset)))."""
        return read_run_file(self.calibration_path, {"slope": float, "offset": float})

    @property
    def calibration_path(self) -> Path:
        return self.folder / "calibration.json"

    @property
    def kept_files(self) -> list[Path]:
        return [*super().kept_files, self.calibration_path]

    @property
    def features_path(self) -> Path:
        """The features of the fold that is at work."""
        return self.folder / "checkpoints" / "features.npy"

    def fold_path(self, fold: int) -> Path:
        """The scores of a finished fold's test photos, until all are finished; every worker reads the chief's."""
        return self.checkpoint_path.parent / f"fold{fold}.json"
