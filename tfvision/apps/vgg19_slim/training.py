"""Training vgg19_slim: a VGG19 with a fraction of the weights that answers as its teachers do.

First its layers are fitted, one after the other (fitting.py). Then the network learns as a whole, from all teachers, and beside
their responses what an optimiser asks of them: Gram matrices, and the gradient by which they pull at pixels.
"""

import functools
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvision import __version__
from tfvision.apps.vgg19_slim.fitting import fit_layers
from tfvision.apps.vgg19_slim.recipes import RECIPES
from tfvision.apps.vgg19_slim.teachers import Teacher, load_teacher
from tfvision.data.pipeline import distorted
from tfvision.errors import RecipeError
from tfvision.losses.style import gram_matrix
from tfvision.models.convolutions import save_convolutions
from tfvision.models.layers import CaffePixels
from tfvision.models.normalisation import normalise, whole_photos
from tfvision.models.vgg19 import PERCEPTUAL_LAYERS, STYLE_LAYERS, convolutions_of, set_convolutions
from tfvision.progress import progress_bar
from tfvision.trained.vgg19_slim_network import build_student, finished_convolutions, student_pixels
from tfvision.trained.vgg19_slim_run import Vgg19SlimRecipe, Vgg19SlimRun
from tfvision.training.loop import Batch, LossFunction, Measures, Task, sum_and_weight
from tfvision.training.photos import UnlabelledPhotos, images_of
from tfvision.training.session import Phase, Source, Training, run_training

_LEAST_DEVIATION = 0.5  # of a teacher's filter that counts for correlations: 1 by its scaling, less where it hardly answers


def train_vgg19_slim(
    photos: str | Path | None = None,
    teachers: Sequence[str | Path] = (),
    settings: dict[str, typing.Any] | None = None,
    run: str | Path | None = None,
    resume: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, typing.Any]:
    """Trains vgg19_slim and writes a run folder with vgg19_slim.npz, normalised, in half precision.

    Args:
      photos: a folder or a manifest CSV; labels are not needed.
      teachers: files with the weights of VGG19s, see `load_teacher`.
      settings, run, resume, callbacks: as `run_training`.

    Returns:
      dict: "run", "weights" (path), "images", "seconds", "broken", "correlation" {teacher: {layer: mean over the
      teacher's filters that answer of Pearson's correlation with their responses, on held-out photos}}.

    Raises:
      UserError: photos, teachers, recipe or storage, each with the way out.
    """
    return run_training(Vgg19SlimTraining, {"photos": photos, "teachers": teachers}, None, settings, run, resume, None, callbacks)


class Vgg19SlimTraining(Training):
    """A student and its teachers: fitted layer by layer where a teacher answers filter by filter, then trained as a whole."""

    RUN = Vgg19SlimRun
    RECIPES = RECIPES
    ASKED = {"photos": "PHOTOS", "teachers": "--teacher"}
    run: Vgg19SlimRun
    recipe: Vgg19SlimRecipe

    @classmethod
    def facts_of(cls, source: Source, recipe: Vgg19SlimRecipe) -> dict[str, typing.Any]:
        photos, teachers = source["photos"], source["teachers"]
        if photos is None or not teachers:
            raise RecipeError("a training needs PHOTOS and at least one --teacher FILE, the weights of a VGG19")
        return {"photos": str(Path(photos).resolve()), "teachers": [str(Path(teacher).resolve()) for teacher in teachers]}

    def prepare(self) -> str:
        recipe = self.recipe
        self.data = UnlabelledPhotos(self.run.facts["photos"], recipe, self.broken)
        self.teachers = [load_teacher(path, recipe.filters, recipe.mapped, self._drawn(recipe.scaling_photos)) for path in self.run.facts["teachers"]]
        return self.data.listed()

    def build(self) -> None:
        self.network, self.student = build_student(self.recipe, self.teachers)
        if not self.run.checkpoint_path.exists():
            self._fit()

    def headline(self) -> str:
        taught = ", ".join(f"{teacher.name} ({len(teacher.compared)} layers)" for teacher in self.teachers)
        return f"training vgg19_slim on {len(self.data.training)} photos; teachers: {taught}"

    def phases(self) -> Sequence[Phase]:
        loss = distillation_loss(self.student, self.teachers, self.recipe)
        return [Phase(self.recipe.stages, len(self.data.training), functools.partial(self._start, loss))]

    def judge(self) -> dict[str, typing.Any]:
        unseen = self.data.unseen_batches(self.recipe.image_size, self.recipe.batch_size)
        self.correlation = correlations(self.student, self.teachers, unseen)
        return {"weights": str(self.run.weights_path), "images": len(self.data.training), "correlation": self.correlation}

    def save(self, path: Path) -> None:
        """Normalises the network on the training photos and writes it."""
        photos = whole_photos(self.data.training, self.recipe.normalisation_size, self.broken)
        with progress_bar("normalising", len(self.data.training)) as bar:
            convolutions, means = normalise(finished_convolutions(self.network), photos, on_image=bar.advance)
        facts = {
            "network": "vgg19_slim",
            "made_by": f"tfvision {__version__}, tfvision train vgg19-slim",
            "pooling": "avg",
            "photos": len(self.data.training),
            "correlation": self.correlation,
        }
        save_convolutions(path, convolutions, facts, means)

    def _fit(self) -> None:
        """Gives the network what least squares find."""
        photos = np.concatenate([images.numpy() for images in self._drawn(self.recipe.fitted_photos)])
        with progress_bar("fitting layers", len(PERCEPTUAL_LAYERS)) as bar:
            pixels = CaffePixels()(student_pixels(photos))
            fitted = fit_layers(photos, pixels, self.recipe.filters, self.teachers, self.recipe.fitting_rounds, self.recipe.seed, bar.advance)
        set_convolutions(self.network, {**convolutions_of(self.network), **fitted})

    def _drawn(self, count: int) -> list[tf.Tensor]:
        """Batches of training photos as they are trained on, `count` photos in all or some more."""
        return [images_of(distorted(batch, self.recipe)) for batch in self.data.batches(0, count, tf.distribute.InputContext())]

    def _start(self, loss: LossFunction, first_position: int) -> Task:
        return Task(self.student, loss, self.recipe.stages, len(self.data.training), self.data.batches, first_position)


def distillation_loss(student: keras.Model, teachers: Sequence[Teacher], recipe: Vgg19SlimRecipe) -> LossFunction:
    """The `loss` of a Task: what the student does not explain, as shares of what the teachers answer.

    Of responses the share of their variance, summed over layers; of the Gram matrices of style layers that are matched filter by filter, and of
    the gradient of their style loss (eq. 5, against the next photo of the batch) by pixels, the share of their squares.

    Returns:
      (batch, step) -> (float32 [batch], {layer: (sum, weight)} of the unexplained share, for the layers of style, "gram" and "gradient").
    """

    def loss(batch: Batch, step: tf.Tensor) -> tuple[tf.Tensor, Measures]:
        weights = batch["weight"]
        images = disturbed(tf.cast(images_of(batch), tf.float32), recipe.noise, tf.cast(step, tf.int32))
        losses, measures = [], {}
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(images)
            answers = student(student_pixels(images), training=True)
            pulls = {id(teacher): _pull(answers, _style_layers(teacher)) for teacher in teachers}
        for teacher in teachers:
            with tf.GradientTape() as of_teacher:
                of_teacher.watch(images)
                wanted = teacher.model(images, training=False)
                pull = _pull(wanted, _style_layers(teacher))
            for layer, output in teacher.compared.items():
                errors = tf.reduce_mean(tf.square(answers[output] - wanted[layer]), (1, 2, 3))
                losses.append(errors)
                if layer in STYLE_LAYERS:
                    measures[output] = sum_and_weight(errors, weights)
            if _style_layers(teacher):
                grams = tf.add_n([_unexplained(gram_matrix(answers[layer]), gram_matrix(wanted[layer])) for layer in _style_layers(teacher)])
                gradients = _unexplained(tape.gradient(pulls[id(teacher)], images), of_teacher.gradient(pull, images))
                losses += [recipe.gram_weight * grams, recipe.gradient_weight * gradients]
                measures |= {"gram": sum_and_weight(grams, weights), "gradient": sum_and_weight(gradients, weights)}
        return weights * tf.add_n(losses), measures

    return loss


def correlations(student: keras.Model, teachers: Sequence[Teacher], batches: tf.data.Dataset) -> dict[str, dict[str, float]]:
    """{teacher: {layer: mean over the teacher's filters that answer of Pearson's correlation over images and positions}}."""
    sums: dict[tuple[str, str], np.ndarray] = {}
    for batch in batches:
        images = tf.boolean_mask(images_of(batch), batch["weight"] > 0)
        answers = student(student_pixels(images))
        for teacher in teachers:
            for layer, wanted in _by_layer(teacher, images).items():
                moments = _moments(answers[teacher.compared[layer]], wanted)
                sums[teacher.name, layer] = sums.get((teacher.name, layer), 0) + moments
    return {teacher.name: {layer: round(float(_correlation(sums[teacher.name, layer]).mean()), 4) for layer in teacher.compared} for teacher in teachers}


def disturbed(images: tf.Tensor, noise: float, step: tf.Tensor) -> tf.Tensor:
    """Every second photo with white noise of a deviation of up to `noise` grey levels, float32 [batch, height, width, 3], not clipped."""
    count = tf.shape(images)[0]
    levels = tf.random.stateless_uniform([count, 1, 1, 1], [step, 0], 0.0, noise) * tf.cast(tf.range(count) % 2, tf.float32)[:, None, None, None]
    return images + levels * tf.random.stateless_normal(tf.shape(images), [step, 1])


def _style_layers(teacher: Teacher) -> list[str]:
    """Those of which Gram matrices and gradients are learnt: of a teacher that is like the student from the first layer on.

    Through narrower layers than the student's no gradient reaches pixels that would be worth learning.
    """
    return [layer for layer in STYLE_LAYERS if layer in teacher.direct] if "conv1_1" in teacher.direct else []


def _pull(responses: Mapping[str, tf.Tensor], layers: Sequence[str]) -> tf.Tensor:
    """Eq. 5 of all photos, each against the next one, each layer as a share of the other's Gram matrix: float32 scalar."""
    grams = [gram_matrix(responses[layer]) for layer in layers]
    return tf.add_n([tf.reduce_sum(_unexplained(gram, tf.stop_gradient(tf.roll(gram, 1, axis=0)))) for gram in grams] or [tf.constant(0.0)])


def _unexplained(values: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """The square of a difference as a share of what is wanted, on average over the photos (some show next to nothing): float32 [batch]."""
    axes = list(range(1, len(wanted.shape)))
    return tf.reduce_sum(tf.square(values - wanted), axes) / (tf.reduce_mean(tf.reduce_sum(tf.square(wanted), axes)) + 1e-12)


def _by_layer(teacher: Teacher, images: tf.Tensor) -> dict[str, tf.Tensor]:
    return teacher.model(tf.cast(images, tf.float32), training=False)


def _moments(answers: tf.Tensor, wanted: tf.Tensor) -> np.ndarray:
    """float64 [6, channels]: the sums that a correlation needs."""
    x, y = (tf.reshape(values, (-1, values.shape[-1])).numpy().astype(np.float64) for values in (answers, wanted))
    return np.stack([np.full(x.shape[1], len(x)), x.sum(0), y.sum(0), (x * x).sum(0), (y * y).sum(0), (x * y).sum(0)])


def _correlation(moments: np.ndarray) -> np.ndarray:
    count, _, y, _, yy, _ = moments
    answers = count * yy - y * y >= (count * _LEAST_DEVIATION) ** 2
    count, x, y, xx, yy, xy = moments[:, answers]
    spread = np.sqrt(np.maximum(count * xx - x * x, 0) * np.maximum(count * yy - y * y, 0))
    return np.divide(count * xy - x * y, spread, out=np.zeros_like(x), where=spread > 0)
