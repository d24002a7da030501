"""A species run on disk, and its recipe: several views of a photo, and a taxonomy to answer from."""

import dataclasses
import functools
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import RecipeError, RunError
from tfvision.files import check_checksum, read_arrays
from tfvision.kinds import Kind, is_of
from tfvision.training.recipes import Recipe, Stages
from tfvision.training.run import REMEDY, TOLD, Run, read_run_file

LARGEST_UNKNOWN_SHARE = 0.5
Stored = Mapping[str, typing.Any]  # an object of JSON


@dataclasses.dataclass(frozen=True)
class SpeciesRecipe(Recipe):
    """The training of a species model.

    Attributes:
      network: a name of the catalogue.
      weights: "imagenet", "auto", "none" or a path (models.weights.load_pretrained).
      views: names from data.views.VIEWS; the first is the whole view.
      image_size: pixels a side; 0 = the network's own.
      has_auxiliary_head, auxiliary_weight: the extra classifier and the weight of its loss.
      is_crop_branch_pretrained: whether further branches start from the same weights as the first and
        are averaged (the paper's, and their merge, start from random ones).
      frozen: sub-models whose weights stay as they are, batch statistics included, e.g. ("stem",).
      dropout: probability of dropping a feature before the final layer.
      label_smoothing: share of each target spread evenly over all classes.
      mixup: alpha of mixup (training.mixup); 0 = none.
      class_balance: 0 = photos alike, 1 = classes alike (data.pipeline.TrainingOrder).
      start_rank: the rank at which hierarchical transfer starts; "" = none; `stages` are those of the finest rank.
      coarse_stages: the stages at each rank above the finest, from start_rank down.
      mixing: a of sqrt(a) * parent + sqrt(1 - a) * fresh.
      batch_norm_momentum, batch_norm_epsilon: of every batch normalisation.
      is_mirrored_at_prediction: whether logits are averaged over a photo and its mirror image.
      min_images: classes with fewer photos are left out.
      validation_fraction: share of each class's photos held out.
      validation_sample: so many of these, drawn by the seed, are asked of while training: after each epoch and at the end of each rank.
      validation_seconds: at most so long from one such time to the next, also within an epoch.
      unknown_share: of the photos to be asked about, those of species that are not trained on; answers keep their promise with so many. 0 =
        none, and nothing is fitted for them.
    """

    network: str = "inception_resnet_v2"
    weights: str = "imagenet"
    views: tuple[str, ...] = ("whole", "crop")
    image_size: int = 0
    has_auxiliary_head: bool = True
    auxiliary_weight: float = 0.4
    is_crop_branch_pretrained: bool = False
    frozen: tuple[str, ...] = ()
    dropout: float = 0.2
    label_smoothing: float = 0.0
    mixup: float = 0.0
    class_balance: float = 0.0
    start_rank: str = ""
    coarse_stages: Stages = ()
    mixing: float = 0.5
    batch_norm_momentum: float = 0.9997
    batch_norm_epsilon: float = 1e-3
    is_mirrored_at_prediction: bool = False
    min_images: int = 5
    validation_fraction: float = 0.2
    validation_sample: int = 256
    validation_seconds: float = 1800.0
    unknown_share: float = 0.0

    def check(self) -> None:
        """Raises RecipeError where values do not fit together."""
        super().check()
        if any(epochs < 0 or rate < 0 for epochs, rate in self.coarse_stages):
            raise RecipeError(f"coarse_stages must be [[epochs, learning rate], ...] with nothing negative, got {self.coarse_stages}")
        for key in ("validation_fraction", "dropout", "label_smoothing", "mixing", "class_balance"):
            if not 0 <= getattr(self, key) <= 1:
                raise RecipeError(f"{key} must lie between 0 and 1, got {getattr(self, key)}")
        if not 0 <= self.unknown_share <= LARGEST_UNKNOWN_SHARE:
            raise RecipeError(f"unknown_share must lie between 0 and {LARGEST_UNKNOWN_SHARE}, got {self.unknown_share}")
        if self.validation_sample < 1 or self.validation_seconds < 0:
            raise RecipeError(f"validation_sample must be at least 1, validation_seconds 0, got {self.validation_sample}, {self.validation_seconds}")
        if not 0 <= self.batch_norm_momentum < 1 or not self.batch_norm_epsilon > 0:
            raise RecipeError(f"batch_norm_momentum must be 0 to 1, batch_norm_epsilon above 0, got {self.batch_norm_momentum}, {self.batch_norm_epsilon}")
        if self.start_rank and not self.coarse_stages:
            raise RecipeError("start_rank needs coarse_stages, [[epochs, learning rate], ...], for the ranks above the finest")

    def stages_by_rank(self, ranks: Sequence[str]) -> dict[str, Stages]:
        """{rank: its stages} from the start rank down to the finest, or of the finest alone; `ranks` are the taxonomy's, coarsest first."""
        coarse = ranks[ranks.index(self.start_rank) : -1] if self.start_rank else ()
        return {**dict.fromkeys(coarse, self.coarse_stages), ranks[-1]: self.stages}


_POINTS = [{"target": float, "threshold": float}]
_THRESHOLDS = {"threshold": float, "depth_curve": _POINTS}  # of calibration.json
_FITTED = {"temperature": float, "target": float}
_MEASURED = {**_FITTED, "confidence": float | None, "class_sizes": tuple[int, ...]}  # besides, in a run
_GROUPS = {"dependence": float, "similarity": float, "depth_curve": _POINTS}  # since 0.3, where there were enough
_LARGEST_TEMPERATURE = 1e6
_LARGEST_THRESHOLD = 2.0  # above 1, no answer but the root's is given


def read_calibration(path: Path, classes: int | None = None) -> dict[str, typing.Any]:
    """calibration.json of a run of so many classes, or of an export. Raises RunError."""
    stored = read_run_file(path, _THRESHOLDS if classes is None else _THRESHOLDS | _MEASURED)
    is_sound = _are_thresholds([stored, *stored["depth_curve"]]) and (classes is None or len(stored["class_sizes"]) == classes)
    if classes is not None or "groups" in stored:  # an export that joins photos goes by these as well
        is_sound = is_sound and is_of(stored, _FITTED) and 1 / _LARGEST_TEMPERATURE <= stored["temperature"] <= _LARGEST_TEMPERATURE
    if (groups := stored.get("groups")) is not None:
        is_sound = is_sound and is_of(groups, _GROUPS) and 0 <= groups["dependence"] <= 1 and 0 <= groups["similarity"] < 1
        is_sound = is_sound and _are_thresholds(groups["depth_curve"])
    if (unknown := stored.get("unknown")) is not None:
        is_sound = is_sound and is_of(unknown, _UNKNOWN_OF_EXPORT) and is_of(stored.get("unknown_share"), float)
        is_sound = is_sound and _are_rates(unknown["rates"]) and _are_groups_of_unknown(unknown.get("groups"))
    if not is_sound:
        raise RunError(f"{path} was changed: its thresholds, temperature, class_sizes or groups cannot be; {REMEDY}")
    return stored


_UNKNOWN = {  # of unknown.json, what evaluation.unknown_species fits
    "weights": tuple[float, ...],
    "offset": float,
    "limits": tuple[float, ...],
    "rates": tuple[float, ...],
    "shares": [{"share": float, "species_threshold": float, "points": _POINTS}],
}
_GROUPS_OF_UNKNOWN = {"novelty_dependence": float, "shares": _UNKNOWN["shares"]}
_UNKNOWN_OF_EXPORT = {"rates": tuple[float, ...], "species_threshold": float, "threshold": float}  # of an export's calibration.json
_NOVELTY = {  # of novelty.npz, the arrays of evaluation.novelty.NoveltyModel
    **dict.fromkeys(("head", "prototypes", "within", "overall"), ("f", (None, None))),
    **dict.fromkeys(("centre", "precisions"), ("f", (None,))),
}


def read_unknown(path: Path, depth: int) -> dict[str, typing.Any]:
    """unknown.json of a run, or of an export, of a taxonomy so deep. Raises RunError."""
    stored = read_run_file(path, _UNKNOWN)
    is_sound = _are_shares(stored["shares"]) and max((share["share"] for share in stored["shares"]), default=0) == LARGEST_UNKNOWN_SHARE
    is_sound = is_sound and len(stored["weights"]) == len(stored["limits"]) and _are_groups_of_unknown(stored.get("groups"))
    if not is_sound or len(stored["rates"]) != depth + 1 or not _are_rates(stored["rates"]):
        raise RunError(f"{path} was changed: its thresholds, shares or rates cannot be; {REMEDY}")
    return stored


def _are_thresholds(points: Iterable[Stored]) -> bool:
    return all(0 <= point["threshold"] <= _LARGEST_THRESHOLD for point in points)


def _are_rates(rates: Iterable[float]) -> bool:
    return all(0 <= rate <= 1 for rate in rates)


def _are_shares(shares: Iterable[Stored]) -> bool:
    return all(
        0 < one["share"] <= LARGEST_UNKNOWN_SHARE and 0 <= one["species_threshold"] <= _LARGEST_THRESHOLD and _are_thresholds(one["points"]) for one in shares
    )


def _are_groups_of_unknown(groups: Stored | None) -> bool:
    return groups is None or (is_of(groups, _GROUPS_OF_UNKNOWN) and 0 <= groups["novelty_dependence"] <= 1 and _are_shares(groups["shares"]))


@dataclasses.dataclass(frozen=True)
class SpeciesRun(Run[SpeciesRecipe]):
    """The files of a species run."""

    APPLICATION: typing.ClassVar[str] = "species"
    COMMAND: typing.ClassVar[str] = "tfvision train species"
    RECIPE: typing.ClassVar[type] = SpeciesRecipe
    FACTS: typing.ClassVar[typing.Mapping[str, Kind]] = {"source": str | None, "ranks": tuple[str, ...] | None}
    METRICS: typing.ClassVar[typing.Mapping[str, Kind]] = {
        **TOLD,
        "images": int,
        "classes": int,
        "accuracy": float,
        "weights": str,
        "validation": {
            **dict.fromkeys(("accuracy", "top5", "calibration_error"), float),
            "images": int,
            "accuracy_by_rank": dict,
            "specificity": {"target": float, "accuracy": float, "depth": float, "deepest": int, "reported_on": int},
        },
    }

    @functools.cached_property
    def taxonomy(self) -> Taxonomy:
        """Its leaves are the classes."""
        check_checksum(self.taxonomy_path, REMEDY, RunError)
        return Taxonomy.load(self.taxonomy_path)

    @functools.cached_property
    def calibration(self) -> dict[str, typing.Any]:
        """Temperature, target and thresholds; see evaluation.py."""
        return read_calibration(self.calibration_path, len(self.taxonomy))

    @functools.cached_property
    def unknown(self) -> dict[str, typing.Any] | None:
        """What it answers by where photos may be of unknown species; None where nothing was fitted for them. Raises RunError."""
        check_checksum(self.unknown_path, REMEDY, RunError)  # also says where it was removed
        if not self.unknown_path.exists():
            return None
        return read_unknown(self.unknown_path, int(self.taxonomy.depths.max()))

    @functools.cached_property
    def novelty_arrays(self) -> dict[str, typing.Any]:
        """Of the novelty scores, where `unknown` is there. Raises RunError or FileError."""
        check_checksum(self.novelty_path, REMEDY, RunError)
        return read_arrays(self.novelty_path, _NOVELTY, REMEDY)

    @property
    def first_files(self) -> list[Path]:
        return [*super().first_files, self.taxonomy_path]

    @property
    def kept_files(self) -> list[Path]:
        return [*super().kept_files, self.calibration_path, self.unknown_path, self.novelty_path]

    @property
    def taxonomy_path(self) -> Path:
        return self.folder / "taxonomy.json"

    @property
    def validations_path(self) -> Path:
        """What was validated while training, until metrics.json has it."""
        return self.folder / "checkpoints" / "validation.json"

    @property
    def calibration_path(self) -> Path:
        return self.folder / "calibration.json"

    @property
    def unknown_path(self) -> Path:
        return self.folder / "unknown.json"

    @property
    def novelty_path(self) -> Path:
        return self.folder / "novelty.npz"
