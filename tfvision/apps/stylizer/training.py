"""Training a feed-forward network for one painting: from photos to a run folder with a report."""

import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvision.apps.stylizer.recipes import RECIPES
from tfvision.apps.stylizer.report import write_report
from tfvision.data.decoding import read_pixels
from tfvision.data.resizing import fitted_size, resized
from tfvision.errors import DataError, RecipeError
from tfvision.files import atomic_path, sha256_of
from tfvision.losses.painting import PaintingLoss
from tfvision.models.perceptual import load_perceptual
from tfvision.models.stylizer import build_stylizer
from tfvision.models.vgg19 import SMALLEST_SIZE
from tfvision.models.weights import save_weights
from tfvision.trained.stylizer_network import paint
from tfvision.trained.stylizer_run import StylizerRecipe, StylizerRun
from tfvision.training.callbacks import TensorBoardLog
from tfvision.training.loop import Batch, LossFunction, Measures, Task, precision_policy, sum_and_weight
from tfvision.training.photos import UnlabelledPhotos, images_of
from tfvision.training.session import Phase, Source, Training, located, run_training

_JUDGED_PHOTOS = 32
_JUDGED_SIZE_PX = 256
_SHOWN_PHOTOS = 6


def train_stylizer(
    painting: str | Path | None = None,
    photos: str | Path | None = None,
    recipe: StylizerRecipe | None = None,
    settings: dict[str, typing.Any] | None = None,
    run: str | Path | None = None,
    resume: bool = False,
    strategy: tf.distribute.Strategy | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, typing.Any]:
    """Trains a network that paints photos in the manner of a painting, and writes a run folder.

    Args:
      painting: file.
      photos: a folder or a manifest CSV; labels are not needed.
      recipe, settings, run, resume, strategy, callbacks: as `run_training`.

    Returns:
      dict: "run", "images", "seconds", "network" (the perceptual one), "before" and "after": {"content_loss",
      "style_loss"} of unseen photos and of what the network makes of them, "broken".

    Raises:
      UserError: painting, photos, recipe, weights or storage, each with the way out.
    """
    return run_training(StylizerTraining, {"painting": painting, "photos": photos}, recipe, settings, run, resume, strategy, callbacks)


class StylizerTraining(Training):
    """A feed-forward network that learns by the losses of the optimiser's own preset."""

    RUN = StylizerRun
    RECIPES = RECIPES
    ASKED = {"painting": "PAINTING", "photos": "--photos"}
    run: StylizerRun
    recipe: StylizerRecipe

    @classmethod
    def facts_of(cls, source: Source, recipe: StylizerRecipe) -> dict[str, typing.Any]:
        painting, photos = source["painting"], source["photos"]
        if painting is None or photos is None:
            raise RecipeError("a training needs PAINTING and --photos DIR, a folder of photos to learn on")
        _read_painting(painting, recipe.painting_size)
        located_photos = located(photos, "give a folder of photos")
        return {"painting": Path(painting).name, "painting_sha256": sha256_of(painting), "source": located_photos}

    def prepare(self) -> str:
        if self.source:
            with atomic_path(self.run.painting_path) as temporary:
                pixels = _read_painting(self.source["painting"], self.recipe.painting_size)
                keras.utils.save_img(temporary, pixels, file_format="png", scale=False)
        self.data = UnlabelledPhotos(self.run.facts["source"], self.recipe, self.broken)
        self._open_loss()
        return self.data.listed()

    def build(self) -> None:
        with precision_policy(self.recipe.precision):
            self.model = build_stylizer(self.recipe.width, self.recipe.blocks)

    def headline(self) -> str:
        return f"training a stylizer on {len(self.data.training)} photos"

    def phases(self) -> Sequence[Phase]:
        return [Phase(self.recipe.stages, len(self.data.training), self._start, watchers=self._watchers)]

    def judge(self) -> dict[str, typing.Any]:
        unseen = self.data.unseen_batches(_JUDGED_SIZE_PX, 1, _JUDGED_PHOTOS)
        return {"images": len(self.data.training), "network": self.network, **judge(self._in_full_precision(), self.loss, unseen, self.targets)}

    def save(self, path: Path) -> None:
        save_weights(self.model, path)

    def report(self, metrics: dict[str, typing.Any]) -> None:
        shown = self._shown_photos()
        write_report(self.run, self.recipe, metrics, shown, paint(self._in_full_precision(), shown) if len(shown) else shown)

    def _in_full_precision(self) -> keras.Model:
        """The trained network as it will be used: in float32, whatever it was trained in."""
        if self.recipe.precision == "float32":
            return self.model
        model = build_stylizer(self.recipe.width, self.recipe.blocks)
        model.set_weights(self.model.get_weights())
        return model

    def _open_loss(self) -> None:
        """The perceptual network, of which a resumed run must have the same, and what it sees in the painting."""
        taps = tuple(dict.fromkeys((self.recipe.content_layer, *self.recipe.style_layers)))
        model, self.network, sentence = load_perceptual(self.recipe.network, taps, self.recipe.pooling, edge="repeat")
        print(sentence, file=sys.stderr)
        self.loss = PaintingLoss(model, self.recipe)
        painting = StylizerRun(self.run.chief_folder or self.run.folder).painting_path
        self.targets = self.loss.targets(tf.constant(read_pixels(painting)[None], tf.float32))

    def _start(self, first_position: int) -> Task:
        loss = stylizer_loss(self.model, self.loss, self.targets)
        return Task(self.model, loss, self.recipe.stages, len(self.data.training), self.data.batches, first_position)

    def _watchers(self, log: TensorBoardLog) -> list[keras.callbacks.Callback]:
        shown = self._shown_photos()
        return [PaintedPhotos(log, shown, lambda: paint(self.model, shown))]

    def _shown_photos(self) -> np.ndarray:
        """A few unseen photos, uint8 [up to 6, 256, 256, 3]."""
        batch = next(iter(self.data.unseen_batches(_JUDGED_SIZE_PX, _SHOWN_PHOTOS, _SHOWN_PHOTOS)))
        return tf.boolean_mask(images_of(batch), batch["weight"] > 0).numpy()


def stylizer_loss(model: keras.Model, loss: PaintingLoss, targets: dict[str, tf.Tensor]) -> LossFunction:
    """The `loss` of a Task: (batch, step) -> (float32 [batch], {"content", "style"}: (sum, weight))."""

    def of_batch(batch: Batch, step: tf.Tensor) -> tuple[tf.Tensor, Measures]:
        photos, weights = images_of(batch), batch["weight"]
        losses = loss(model(photos, training=True), tf.cast(photos, tf.float32), targets)
        return losses["total"] * weights, {name: sum_and_weight(losses[name], weights) for name in ("content", "style")}

    return of_batch


def judge(model: keras.Model, loss: PaintingLoss, batches: tf.data.Dataset, targets: dict[str, tf.Tensor]) -> dict[str, dict[str, float]]:
    """Mean losses of photos as they are ("before") and as the network paints them ("after")."""
    sums, count = np.zeros((2, 2)), 0
    for batch in batches:
        photos = tf.cast(tf.boolean_mask(images_of(batch), batch["weight"] > 0), tf.float32)
        if not len(photos):
            continue
        for row, pictures in enumerate((photos, paint(model, photos))):
            losses = loss(tf.cast(pictures, tf.float32), photos, targets)
            sums[row] += [losses[name].numpy().sum() for name in ("content", "style")]
        count += len(photos)
    means = sums / max(count, 1)
    return {when: {"content_loss": float(content), "style_loss": float(style)} for when, (content, style) in zip(("before", "after"), means, strict=True)}


class PaintedPhotos(keras.callbacks.Callback):
    """Shows in TensorBoard, after each epoch, how the network paints a few unseen photos.

    Args:
      photos: uint8 [batch, size, size, 3].
      painter: what paints them as the network does now, uint8 alike.
    """

    def __init__(self, log: TensorBoardLog, photos: np.ndarray, painter: Callable[[], np.ndarray]) -> None:
        super().__init__()
        self._log, self._photos, self._painter = log, photos, painter

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        self._log.write_images({"photos": self._photos}, "unseen")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._log.write_images({"painted": self._painter()}, "unseen", epoch + 1)


def _read_painting(path: str | Path, size: int) -> np.ndarray:
    """uint8 [h, w, 3] whose longer side is `size`."""
    pixels = read_pixels(path)
    height, width = fitted_size(pixels.shape[0], pixels.shape[1], size)
    if min(height, width) < SMALLEST_SIZE:
        raise DataError(f"{path} is {pixels.shape[1]} x {pixels.shape[0]}: too narrow a painting, crop it")
    return resized(pixels, height, width)
