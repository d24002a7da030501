"""Training vgg19_slim: a VGG19 with a sixteenth of the weights that answers as its teachers do.

First each convolution learns alone, from what the teacher's previous layer answers (teacher forcing): thirteen
convex problems at once. Then the network learns as a whole, from all teachers.
"""

import functools
import itertools
import typing
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvision import __version__
from tfvision.apps.vgg19_slim.recipes import RECIPES
from tfvision.apps.vgg19_slim.teachers import Teacher, load_teacher
from tfvision.data.pipeline import distorted
from tfvision.errors import RecipeError
from tfvision.models.convolutions import save_convolutions
from tfvision.models.layers import CaffePixels
from tfvision.models.normalisation import normalise, whole_photos
from tfvision.models.vgg19 import PERCEPTUAL_LAYERS, STYLE_LAYERS, block_of
from tfvision.progress import progress_bar
from tfvision.trained.vgg19_slim_network import build_student, finished_convolutions, student_pixels
from tfvision.trained.vgg19_slim_run import Vgg19SlimRecipe, Vgg19SlimRun
from tfvision.training.loop import Batch, LossFunction, Measures, Task, sum_and_weight
from tfvision.training.photos import UnlabelledPhotos, images_of
from tfvision.training.recipes import Stages
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
    """A student and its teachers: forced layer by layer where a teacher has all of its layers, then as a whole."""

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
        drawn = [images_of(distorted(batch, recipe)) for batch in self.data.batches(0, recipe.scaling_photos, tf.distribute.InputContext())]
        self.teachers = [load_teacher(path, recipe.width, recipe.mapped, drawn) for path in self.run.facts["teachers"]]
        return self.data.listed()

    def build(self) -> None:
        self.network, self.student = build_student(self.recipe, self.teachers)

    def headline(self) -> str:
        taught = ", ".join(f"{teacher.name} ({len(teacher.compared)} layers)" for teacher in self.teachers)
        return f"training vgg19_slim on {len(self.data.training)} photos; teachers: {taught}"

    def phases(self) -> Sequence[Phase]:
        stages = [(self.student, distillation_loss(self.student, self.teachers), self.recipe.stages)]
        alike = next((teacher for teacher in self.teachers if set(teacher.compared.values()) == set(PERCEPTUAL_LAYERS)), None)
        if alike and self.recipe.forced_stages:
            stages.insert(0, (self.network, forced_loss(self.network, alike), self.recipe.forced_stages))
        photos = len(self.data.training)
        return [Phase(of_phase, photos, functools.partial(self._start, model, loss, of_phase)) for model, loss, of_phase in stages]

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

    def _start(self, model: keras.Model, loss: LossFunction, stages: Stages, first_position: int) -> Task:
        return Task(model, loss, stages, len(self.data.training), self.data.batches, first_position)


def forced_loss(network: keras.Model, teacher: Teacher) -> LossFunction:
    """The `loss` of a Task: each convolution on its own, fed with the teacher's responses.

    The gradient with respect to a convolution's result z is max(z, 0) - t, not that of the square error, which
    is 0 where z < 0 < t: this one is convex in the weights, and no filter dies.
    Source: Auer, Herbster and Warmuth, "Exponentially many local minima for single neurons", matching loss.
    """

    def loss(batch: Batch, step: tf.Tensor) -> tuple[tf.Tensor, Measures]:
        images, weights = images_of(batch), batch["weight"]
        wanted = _by_layer(teacher, images)
        losses, measures = [], {}
        for layer, fed in _fed(images, wanted).items():
            kernel, bias = (tf.convert_to_tensor(weight) for weight in network.get_layer(layer).trainable_weights)
            z, t = tf.nn.conv2d(fed, kernel, 1, "SAME") + bias, wanted[layer]
            answer = tf.nn.relu(z)
            losses.append(weights * tf.reduce_mean(answer * answer / 2 - t * z + t * t / 2, (1, 2, 3)))
            if layer in STYLE_LAYERS:
                measures[layer] = sum_and_weight(tf.reduce_mean(tf.square(answer - t), (1, 2, 3)), weights)
        return tf.add_n(losses), measures

    return loss


def distillation_loss(student: keras.Model, teachers: Sequence[Teacher]) -> LossFunction:
    """The `loss` of a Task: the unexplained share of the teachers' variance, summed over layers.

    Returns:
      (batch, step) -> (float32 [batch], {layer: (sum, weight)} of the unexplained share, for the layers of style).
    """

    def loss(batch: Batch, step: tf.Tensor) -> tuple[tf.Tensor, Measures]:
        images, weights = images_of(batch), batch["weight"]
        answers = student(student_pixels(images), training=True)
        losses, measures = [], {}
        for teacher in teachers:
            wanted = _by_layer(teacher, images)
            for layer, output in teacher.compared.items():
                errors = tf.reduce_mean(tf.square(answers[output] - wanted[layer]), (1, 2, 3))
                losses.append(errors * weights)
                if layer in STYLE_LAYERS:
                    measures[output] = sum_and_weight(errors, weights)
        return tf.add_n(losses), measures

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


def _fed(images: tf.Tensor, wanted: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """What each convolution takes in: {layer: the teacher's previous responses, pooled where a block begins}."""
    fed = {"conv1_1": CaffePixels()(student_pixels(images))}
    for before, layer in itertools.pairwise(PERCEPTUAL_LAYERS):
        is_pooled = block_of(layer) != block_of(before)
        fed[layer] = tf.nn.max_pool2d(wanted[before], 2, 2, "VALID") if is_pooled else wanted[before]
    return fed


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
