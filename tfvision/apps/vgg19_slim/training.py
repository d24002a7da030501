"""Training vgg19_slim: a VGG19 with a sixteenth of the weights that answers as its teachers do.

First each convolution learns alone, from what the teacher's previous layer answers (teacher forcing): thirteen
convex problems at once. Then the network learns as a whole, from all teachers.
"""

import dataclasses
import functools
import itertools
import sys
import time
import typing
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvision import __version__
from tfvision.apps.vgg19_slim.teachers import load_teacher
from tfvision.errors import RecipeError
from tfvision.models.convolutions import save_convolutions
from tfvision.models.layers import CAFFE_MEAN, CaffePixels
from tfvision.models.normalisation import normalise, whole_photos
from tfvision.models.vgg19 import LAYERS, PERCEPTUAL_LAYERS, STYLE_LAYERS, block_of, build_vgg19, convolutions_of
from tfvision.progress import progress_bar
from tfvision.training.callbacks import ProgressBar, TensorBoardLog
from tfvision.training.checkpoints import read_facts
from tfvision.training.loop import Task, choose_strategy, train, worker_number
from tfvision.training.photos import UnlabelledPhotos, images_of
from tfvision.training.recipes import Recipe, Stages, with_settings
from tfvision.training.run import Run, settle_recipe
from tfvision.training.schedules import steps_in

WEIGHTS_NAME = "vgg19_slim.npz"
_CONTRAST = 1 / 32  # of the student's pixels while it learns
_LEAST_DEVIATION = 0.5  # of a teacher's filter that counts for correlations: 1 by its scaling, less where it hardly answers


@dataclasses.dataclass(frozen=True)
class Vgg19SlimRecipe(Recipe):
    """The training of vgg19_slim (ours).

    `tfvision train vgg19-slim PHOTOS --teacher FILE --teacher FILE`; docs/style-network.md has its time and scores.

    Attributes:
      forced_stages: (epochs, learning rate) of the layers alone; `stages` are those of the whole network.
      width: channels of the student's first block.
      image_size: pixels a side of the training crops.
      mapped: layers that are matched through a learnt 1x1 map where a teacher is wider than the student.
      validation_fraction: share of the photos held out, on which correlations are reported.
      scaling_photos: photos on which the deviations of the teachers' filters are measured.
      normalisation_size: pixels a side of the training photos on which the result is normalised.
    """

    name: str = "vgg19-slim"
    batch_size: int = 8
    forced_stages: Stages = ((10.0, 6e-3),)
    stages: Stages = ((23.0, 1e-3),)
    schedule: str = "cosine"
    warmup_steps: int = 100
    epsilon: float = 1e-7
    gradient_clip_norm: float = 5.0
    weight_decay: float = 0.0
    precision: str = "float32"
    area: tuple[float, float] = (0.1, 1.0)
    brightness: float = 0.1
    contrast: float = 0.3
    saturation: float = 0.5
    hue: float = 0.1
    width: int = 16
    image_size: int = 128
    mapped: tuple[str, ...] = STYLE_LAYERS[:3]
    validation_fraction: float = 0.1
    scaling_photos: int = 128
    normalisation_size: int = 256

    def check(self):
        """Raises RecipeError where values do not fit together."""
        super().check()
        if any(epochs < 0 or rate < 0 for epochs, rate in self.forced_stages):
            raise RecipeError(f"forced_stages must be [[epochs, learning rate], ...] with nothing negative, got {self.forced_stages}")
        unknown = [layer for layer in self.mapped if layer not in LAYERS]
        if unknown:
            raise RecipeError(f"mapped must be layers of {', '.join(LAYERS)}, got {', '.join(unknown)}")
        if self.image_size < 32:
            raise RecipeError(f"image_size must be at least 32, got {self.image_size}: conv5_1 sees a sixteenth of it")
        if not 0 < self.validation_fraction < 1:
            raise RecipeError(f"validation_fraction must lie between 0 and 1, got {self.validation_fraction}")


@dataclasses.dataclass(frozen=True)
class Vgg19SlimRun(Run):
    """The files of a training of vgg19_slim."""

    APPLICATION: typing.ClassVar[str] = "vgg19-slim"
    COMMAND: typing.ClassVar[str] = "tfvision train vgg19-slim"
    RECIPE: typing.ClassVar[type] = Vgg19SlimRecipe

    @property
    def weights_path(self):
        return self.folder / WEIGHTS_NAME


def train_vgg19_slim(photos=None, teachers=(), settings=None, run=None, resume=False, callbacks=()):
    """Trains vgg19_slim and writes a run folder with vgg19_slim.npz, normalised, in half precision.

    Args:
      photos: a folder or a manifest CSV; labels are not needed.
      teachers: files with the weights of VGG19s, see `load_teacher`.
      settings: dict of texts that change the recipe, as `--set` does.
      run: folder; None = runs/vgg19-slim, or the next free one.
      resume: go on with the run where its last checkpoint left it; all else is the run's.
      callbacks: more keras.callbacks.Callback.

    Returns:
      dict: "run", "weights" (path), "images", "seconds", "correlation" {teacher: {layer: mean over the
      teacher's filters that answer of Pearson's correlation with their responses, on held-out photos}}.

    Raises:
      UserError: photos, teachers, recipe or storage, each with the way out.
    """
    started, strategy = time.monotonic(), choose_strategy()
    worker = worker_number(strategy)
    start = functools.partial(_started_run, run, worker, photos, teachers, settings)
    given = {"PHOTOS": photos, "--teacher": teachers, "--set": settings}
    run = Vgg19SlimRun.start_or_resume(run, worker, resume, start, given)
    if metrics := run.finished_metrics():
        return metrics
    with run.first_steps(resume):
        recipe = settle_recipe(run.recipe, strategy)
        data = UnlabelledPhotos(run.facts["photos"], recipe)
        drawn = [images_of(batch) for batch in data.batches(0, recipe.scaling_photos, tf.distribute.InputContext())]
        teachers = [load_teacher(path, recipe.width, recipe.mapped, drawn) for path in run.facts["teachers"]]
    with strategy.scope():
        network, student = build_student(recipe, teachers)
    _train(run, recipe, data, network, student, teachers, strategy, callbacks)
    metrics = {
        "run": str(run.folder),
        "weights": str(run.weights_path),
        "images": len(data.training),
        "seconds": round(time.monotonic() - started, 1),
        "correlation": correlations(student, teachers, data.unseen_batches(recipe.image_size, recipe.batch_size)),
        "broken": dict(data.broken),
    }
    _save(run, recipe, data, network, metrics)
    run.finish(metrics)
    return metrics


def build_student(recipe, teachers):
    """The network that is trained, and the same with a map for each layer of a wider teacher.

    Returns:
      Two keras.Model that share weights: pixels as `student_pixels` gives them -> {layer: responses}, and
      {output: responses} with all outputs that teachers are compared with.
    """
    keras.utils.set_random_seed(recipe.seed % 2**31)
    network = build_vgg19(recipe.width, "max", PERCEPTUAL_LAYERS, name="vgg19_slim")
    outputs = dict(network.output)
    for teacher in teachers:
        for layer, output in teacher.compared.items():
            if output not in outputs:
                channels = teacher.model.output[layer].shape[-1]
                # Zeros: a random map would first pull the network about.
                outputs[output] = keras.layers.Conv2D(channels, 1, kernel_initializer="zeros", name=output)(network.output[layer])
    return network, keras.Model(network.input, outputs, name="student")


def student_pixels(images):
    """Pixels of little contrast: Adam's steps are absolute, so first-layer weights must not be tiny."""
    mean = tf.constant(CAFFE_MEAN[::-1])
    return mean + (tf.cast(images, tf.float32) - mean) * _CONTRAST


def finished_convolutions(network):
    """The network's convolutions for pixels of full contrast."""
    convolutions = convolutions_of(network)
    kernel, bias = convolutions["conv1_1"]
    return {**convolutions, "conv1_1": (kernel * _CONTRAST, bias)}


def forced_loss(network, teacher):
    """The `loss` of a Task: each convolution on its own, fed with the teacher's responses.

    The gradient with respect to a convolution's result z is max(z, 0) - t, not that of the square error, which
    is 0 where z < 0 < t: this one is convex in the weights, and no filter dies.
    Source: Auer, Herbster and Warmuth, "Exponentially many local minima for single neurons", matching loss.
    """

    def loss(batch, step):
        images, weights = images_of(batch), batch["weight"]
        wanted = _by_layer(teacher, images)
        losses, measures = [], {}
        for layer, fed in _fed(images, wanted).items():
            kernel, bias = (tf.convert_to_tensor(weight) for weight in network.get_layer(layer).trainable_weights)
            z, t = tf.nn.conv2d(fed, kernel, 1, "SAME") + bias, wanted[layer]
            answer = tf.nn.relu(z)
            losses.append(weights * tf.reduce_mean(answer * answer / 2 - t * z + t * t / 2, (1, 2, 3)))
            if layer in STYLE_LAYERS:
                measures[layer] = _measure(tf.reduce_mean(tf.square(answer - t), (1, 2, 3)), weights)
        return tf.add_n(losses), measures

    return loss


def distillation_loss(student, teachers):
    """The `loss` of a Task: the unexplained share of the teachers' variance, summed over layers.

    Returns:
      (batch, step) -> (float32 [batch], {layer: (sum, weight)} of the unexplained share, for the layers of style).
    """

    def loss(batch, step):
        images, weights = images_of(batch), batch["weight"]
        answers = student(student_pixels(images), training=True)
        losses, measures = [], {}
        for teacher in teachers:
            wanted = _by_layer(teacher, images)
            for layer, output in teacher.compared.items():
                errors = tf.reduce_mean(tf.square(answers[output] - wanted[layer]), (1, 2, 3))
                losses.append(errors * weights)
                if layer in STYLE_LAYERS:
                    measures[output] = _measure(errors, weights)
        return tf.add_n(losses), measures

    return loss


def correlations(student, teachers, batches):
    """{teacher: {layer: mean over the teacher's filters that answer of Pearson's correlation over images and positions}}."""
    sums = {}
    for batch in batches:
        images = tf.boolean_mask(images_of(batch), batch["weight"] > 0)
        answers = student(student_pixels(images))
        for teacher in teachers:
            for layer, wanted in _by_layer(teacher, images).items():
                moments = _moments(answers[teacher.compared[layer]], wanted)
                sums[teacher.name, layer] = sums.get((teacher.name, layer), 0) + moments
    return {teacher.name: {layer: round(float(_correlation(sums[teacher.name, layer]).mean()), 4) for layer in teacher.compared} for teacher in teachers}


def _train(run, recipe, data, network, student, teachers, strategy, callbacks):
    photos = len(data.training)
    alike = next((teacher for teacher in teachers if set(teacher.compared.values()) == set(PERCEPTUAL_LAYERS)), None)
    phases = [(student, distillation_loss(student, teachers), recipe.stages)]
    if alike and recipe.forced_stages:
        phases.insert(0, (network, forced_loss(network, alike), recipe.forced_stages))
    lengths = [steps_in(stages, photos, recipe.batch_size)[-1] for _, _, stages in phases]
    done = read_facts(run.checkpoint_path) or {"phase": 0, "step": 0}
    taught = ", ".join(f"{teacher.name} ({len(teacher.compared)} layers)" for teacher in teachers)
    print(f"training vgg19_slim on {photos} photos, {sum(lengths)} steps; teachers: {taught}; watch: tensorboard --logdir {run.logs_path}", file=sys.stderr)
    bar = ProgressBar(sum(lengths), sum(lengths[: done["phase"]]) + done["step"])
    try:
        for number, (model, loss, stages) in enumerate(phases):
            first_step = sum(lengths[:number])
            task = Task(model, loss, stages, photos, data.batches, first_step * recipe.batch_size)
            train(task, recipe, strategy, run.checkpoint_path, number, [bar, TensorBoardLog(run.logs_path, first_step), *callbacks])
    finally:
        bar.close()


def _save(run, recipe, data, network, metrics):
    """Normalises the network on the training photos and writes it."""
    photos = whole_photos(data.training, recipe.normalisation_size, data.broken)
    with progress_bar("normalising", len(data.training)) as bar:
        convolutions, means = normalise(finished_convolutions(network), photos, on_image=bar.advance)
    facts = {
        "network": "vgg19_slim",
        "made_by": f"tfvision {__version__}, tfvision train vgg19-slim",
        "pooling": "avg",
        "photos": metrics["images"],
        "correlation": metrics["correlation"],
    }
    save_convolutions(run.weights_path, convolutions, facts, means)


def _fed(images, wanted):
    """What each convolution takes in: {layer: the teacher's previous responses, pooled where a block begins}."""
    fed = {"conv1_1": CaffePixels()(student_pixels(images))}
    for before, layer in itertools.pairwise(PERCEPTUAL_LAYERS):
        is_pooled = block_of(layer) != block_of(before)
        fed[layer] = tf.nn.max_pool2d(wanted[before], 2, 2, "VALID") if is_pooled else wanted[before]
    return fed


def _measure(errors, weights):
    return tf.reduce_sum(errors * weights), tf.reduce_sum(weights)


def _by_layer(teacher, images):
    return teacher.model(tf.cast(images, tf.float32), training=False)


def _moments(answers, wanted):
    """float64 [6, channels]: the sums that a correlation needs."""
    x, y = (tf.reshape(values, (-1, values.shape[-1])).numpy().astype(np.float64) for values in (answers, wanted))
    return np.stack([np.full(x.shape[1], len(x)), x.sum(0), y.sum(0), (x * x).sum(0), (y * y).sum(0), (x * y).sum(0)])


def _correlation(moments):
    count, _, y, _, yy, _ = moments
    answers = count * yy - y * y >= (count * _LEAST_DEVIATION) ** 2
    count, x, y, xx, yy, xy = moments[:, answers]
    spread = np.sqrt(np.maximum(count * xx - x * x, 0) * np.maximum(count * yy - y * y, 0))
    return np.divide(count * xy - x * y, spread, out=np.zeros_like(x), where=spread > 0)


def _started_run(folder, worker, photos, teachers, settings):
    if photos is None or not teachers:
        raise RecipeError("a training needs PHOTOS and at least one --teacher FILE, the weights of a VGG19")
    facts = {"photos": str(Path(photos).resolve()), "teachers": [str(Path(teacher).resolve()) for teacher in teachers]}
    return Vgg19SlimRun.start(folder, worker, with_settings(Vgg19SlimRecipe(), settings or {}), facts)
