"""A retriever run on disk, and its recipe: Feature Tuning's two stages."""

import dataclasses
import functools
import typing
from pathlib import Path

from tfvision.errors import RecipeError
from tfvision.kinds import Kind
from tfvision.losses.cosface import MARGIN, SCALE
from tfvision.models.catalogue import get_network
from tfvision.training.recipes import Recipe, Stages
from tfvision.training.run import TOLD, Run, read_run_file

ADDITIONS = ("addition", "normalised_addition")
WHITENED = "whitened"
LOSSES = ("softmax", "cosface")
TUNING_LAYERS = (3, 6)
LABELLED_PHOTOS, ALL_PHOTOS = "labelled", "all"


@dataclasses.dataclass(frozen=True)
class RetrieverRecipe(Recipe):
    """The training of a retriever: a network fine-tuned on labels, then a small network on its taps.

    Source: Tani and Wada, feature-tuning, sections 3.2 and 4.1; READINGS, section 5.

    Attributes:
      network, weights: a name of the catalogue, and as models.weights.load_pretrained takes them.
      taps: names of the network's taps, shallow to deep; () = all of the catalogue's. The last one feeds the classifier.
      image_size: pixels a side; 0 = the network's own.
      loss: "softmax" or "cosface", of both stages.
      margin, scale: of CosFace.
      is_augmented: whether stage 1 sees random changes of the photos; the paper's sees them whole, resized.
      tuning: layers of the networks of stage 2, of TUNING_LAYERS.
      tuning_input: one of ADDITIONS, what they see.
      tuning_stages: their (epochs, learning rate); () = as `stages`.
      whitening: shrinkage, at most 1, of the index WHITENED: the addition, L2-normalised, centred and whitened as the photos that train say
        (ours); 0 = there is no such index.
      index: what a photo's vector is where none is named: a tap, one of ADDITIONS, "tuned3", "tuned6" or WHITENED.
      batch_norm_momentum: of every batch normalisation.
      protocol_split: "held-out" (queries are not trained on) or "paper" (all photos train, queries included).
      held_out: where neither `role` nor `split` says which photos are queries: whole "classes", or "photos" of each class.
      held_out_fraction: the share of them.
      train_on: of landmarks (Oxford, Paris): the photos that show one by the ground truth ("labelled"), or "all", each of the others
        labelled by the word by which it was collected.
      share: of the groups (or labels) of the source that is used at all, drawn alike for training and evaluation; the paper's table 1
        is of a tenth.
    """

    network: str = "resnet18"
    weights: str = "imagenet"
    taps: tuple[str, ...] = ()
    image_size: int = 0
    loss: str = "cosface"
    margin: float = MARGIN
    scale: float = SCALE
    is_augmented: bool = False
    tuning: tuple[int, ...] = TUNING_LAYERS
    tuning_input: str = "addition"
    tuning_stages: Stages = ()
    whitening: float = 0.0
    index: str = "tuned3"
    batch_norm_momentum: float = 0.9
    protocol_split: str = "held-out"
    held_out: str = "classes"
    held_out_fraction: float = 0.2
    train_on: str = LABELLED_PHOTOS
    share: float = 1.0

    def check(self) -> None:
        """Raises RecipeError where values do not fit together."""
        super().check()
        choices = {
            "loss": LOSSES,
            "tuning_input": ADDITIONS,
            "protocol_split": ("held-out", "paper"),
            "held_out": ("classes", "photos"),
            "train_on": (LABELLED_PHOTOS, ALL_PHOTOS),
        }
        for key, known in choices.items():
            if getattr(self, key) not in known:
                raise RecipeError(f"{key} must be one of {', '.join(known)}, got {getattr(self, key)!r}")
        if set(self.tuning) - set(TUNING_LAYERS):
            raise RecipeError(f"tuning must be numbers of layers, of {list(TUNING_LAYERS)}, got {list(self.tuning)}")
        if any(epochs < 0 or rate < 0 for epochs, rate in self.tuning_stages):
            raise RecipeError(f"tuning_stages must be [[epochs, learning rate], ...] with nothing negative, got {self.tuning_stages}")
        if not 0 <= self.whitening <= 1:
            raise RecipeError(f"whitening must lie between 0 and 1, got {self.whitening}")
        if not 0 < self.held_out_fraction < 1:
            raise RecipeError(f"held_out_fraction must lie between 0 and 1, got {self.held_out_fraction}")
        if not 0 < self.share <= 1:
            raise RecipeError(f"share must be above 0 and at most 1, got {self.share}")
        network = get_network(self.network)
        if self.size_px < network.least_image_size:
            raise RecipeError(f"image_size of {self.network} must be at least {network.least_image_size}, got {self.image_size}")
        if self.index not in self.indices:
            raise RecipeError(f"index must be one of {', '.join(self.indices)}, got {self.index!r}")

    @property
    def size_px(self) -> int:
        """Pixels a side of what the network sees."""
        return self.image_size or get_network(self.network).image_size

    @property
    def tap_names(self) -> tuple[str, ...]:
        """Shallow to deep."""
        return self.taps or tuple(get_network(self.network).taps)

    @property
    def tuned_names(self) -> tuple[str, ...]:
        """Of the networks of stage 2, e.g. "tuned3"."""
        return tuple(f"tuned{layers}" for layers in self.tuning)

    @property
    def indices(self) -> tuple[str, ...]:
        """All that a photo's vector can be: single taps, both additions, the tuned ones, the whitened addition."""
        return (*self.tap_names, *ADDITIONS, *self.tuned_names, *((WHITENED,) if self.whitening else ()))


@dataclasses.dataclass(frozen=True)
class RetrieverRun(Run[RetrieverRecipe]):
    """The files of a retriever run."""

    APPLICATION: typing.ClassVar[str] = "retriever"
    COMMAND: typing.ClassVar[str] = "tfvision train retriever"
    RECIPE: typing.ClassVar[type] = RetrieverRecipe
    FACTS: typing.ClassVar[typing.Mapping[str, Kind]] = {"source": str, "ranks": tuple[str, ...] | None, "layout": str | None}
    METRICS: typing.ClassVar[typing.Mapping[str, Kind]] = {
        **TOLD,
        "images": int,
        "held_out": int,
        "classes": int,
        "map": float | None,
        "queries": int | None,
        "index": str | None,
        "by_layer": dict[str, float] | None,
    }

    @functools.cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of what it was trained to tell apart, sorted."""
        return tuple(read_run_file(self.labels_path, tuple[str, ...]))

    @property
    def first_files(self) -> list[Path]:
        return [*super().first_files, self.labels_path]

    @property
    def labels_path(self) -> Path:
        return self.folder / "labels.json"

    @property
    def features_path(self) -> Path:
        """The taps of all photos, which stage 2 is trained on."""
        return self.folder / "checkpoints" / "features.npy"
