"""Training a feed-forward network for one painting: from photos to a run folder with a report."""

import functools
import hashlib
import io
import sys
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvision.data.decoding import read_pixels
from tfvision.data.manifest import write_csv_text
from tfvision.data.resizing import fitted_size, resized
from tfvision.errors import DataError, RecipeError, RunError
from tfvision.evaluation.page import compose, inline, paragraph, section, table
from tfvision.files import atomic_path, write_text
from tfvision.losses.painting import PaintingLoss
from tfvision.models.perceptual import load_perceptual
from tfvision.models.stylizer import build_stylizer
from tfvision.models.vgg19 import SMALLEST_SIZE
from tfvision.trained.stylizer_network import paint
from tfvision.trained.stylizer_run import StylizerRecipe, StylizerRun
from tfvision.training.callbacks import ProgressBar, TensorBoardLog
from tfvision.training.checkpoints import read_facts
from tfvision.training.loop import Task, TrainingDiverged, choose_strategy, precision_policy, train, worker_number
from tfvision.training.photos import UnlabelledPhotos, images_of
from tfvision.training.recipes import with_settings
from tfvision.training.run import settle_recipe
from tfvision.training.schedules import steps_in

_JUDGED_PHOTOS = 32
_JUDGED_SIZE_PX = 256
_SHOWN_PHOTOS = 6


def train_stylizer(painting=None, photos=None, recipe=None, settings=None, run=None, resume=False, strategy=None, callbacks=()):
    """Trains a network that paints photos in the manner of a painting, and writes a run folder.

    Args:
      painting: file.
      photos: a folder or a manifest CSV; labels are not needed.
      recipe: StylizerRecipe; None = its defaults.
      settings: dict of texts that change the recipe, as `--set` does.
      run: folder; None = runs/stylizer, or the next free one.
      resume: go on with the run where its last checkpoint left it; all else is the run's.
      strategy: tf.distribute.Strategy; None = workers of TF_CONFIG, all GPUs, or the one device.
      callbacks: more keras.callbacks.Callback.

    Returns:
      dict: "run", "images", "seconds", "network" (the perceptual one), "before" and "after": {"content_loss",
      "style_loss"} of unseen photos and of what the network makes of them, "broken".

    Raises:
      UserError: painting, photos, recipe, weights or storage, each with the way out.
    """
    started = time.monotonic()
    strategy = strategy or choose_strategy()
    start = functools.partial(_started_run, run, worker_number(strategy), painting, photos, recipe, settings)
    given = {"PAINTING": painting, "--photos": photos, "--set": recipe or settings}
    run = StylizerRun.start_or_resume(run, worker_number(strategy), resume, start, given)
    if metrics := run.finished_metrics():
        return metrics
    with run.first_steps(resume):
        recipe = settle_recipe(run.recipe, strategy)
        data = _prepare_photos(run, recipe, resume)
        loss, network = _open_loss(run, recipe)
    model = _train(run, recipe, data, loss, network, strategy, callbacks)
    with atomic_path(run.weights_path) as temporary:
        model.save_weights(temporary)
    metrics = {
        "run": str(run.folder),
        "images": len(data.training),
        "seconds": round(time.monotonic() - started, 1),
        "network": network,
        **judge(model, loss, data.unseen_batches(_JUDGED_SIZE_PX, 1, _JUDGED_PHOTOS), loss.targets(_painting_of(run))),
        "broken": dict(data.broken),
    }
    _write_report(run, recipe, model, data, metrics)
    run.finish(metrics)
    return metrics


def stylizer_loss(model, loss, targets):
    """The `loss` of a Task: (batch, step) -> (float32 [batch], {"content", "style"}: (sum, weight))."""

    def of_batch(batch, step):
        photos, weights = images_of(batch), batch["weight"]
        losses = loss(model(photos, training=True), tf.cast(photos, tf.float32), targets)
        measures = {name: (tf.reduce_sum(losses[name] * weights), tf.reduce_sum(weights)) for name in ("content", "style")}
        return losses["total"] * weights, measures

    return of_batch


def judge(model, loss, batches, targets):
    """Mean losses of photos as they are ("before") and as the network paints them ("after")."""
    sums, count = np.zeros((2, 2)), 0
    for batch in batches:
        photos = tf.cast(tf.boolean_mask(images_of(batch), batch["weight"] > 0), tf.float32)
        if not len(photos):
            continue
        for place, pictures in enumerate((photos, paint(model, photos))):
            losses = loss(tf.cast(pictures, tf.float32), photos, targets)
            sums[place] += [losses[name].numpy().sum() for name in ("content", "style")]
        count += len(photos)
    means = sums / max(count, 1)
    return {when: {"content_loss": float(row[0]), "style_loss": float(row[1])} for when, row in zip(("before", "after"), means, strict=True)}


class PaintedPhotos(keras.callbacks.Callback):
    """Shows in TensorBoard, after each epoch, how the network paints a few unseen photos.

    Args:
      log: TensorBoardLog.
      photos: uint8 [batch, size, size, 3].
      painter: function of no arguments -> uint8, the photos painted now.
    """

    def __init__(self, log, photos, painter):
        super().__init__()
        self._log, self._photos, self._painter = log, photos, painter

    def on_train_begin(self, logs=None):
        self._log.write_images({"photos": self._photos}, "unseen")

    def on_epoch_end(self, epoch, logs=None):
        self._log.write_images({"painted": self._painter()}, "unseen", epoch + 1)


def _started_run(folder, worker, painting, photos, recipe, settings):
    if painting is None or photos is None:
        raise RecipeError("a training needs PAINTING and --photos DIR, a folder of photos to learn on")
    recipe = with_settings(recipe or StylizerRecipe(), settings or {})
    pixels = _read_painting(painting, recipe.painting_size)
    if not Path(photos).exists():
        raise DataError(f"{photos} does not exist: give a folder of photos")
    facts = {
        "painting": Path(painting).name,
        "painting_sha256": hashlib.sha256(Path(painting).read_bytes()).hexdigest(),
        "source": str(Path(photos).resolve()),
    }
    run = StylizerRun.start(folder, worker, recipe, facts)
    with atomic_path(run.painting_path) as temporary:
        keras.utils.save_img(temporary, pixels, file_format="png", scale=False)
    return run


def _read_painting(path, size):
    """uint8 [h, w, 3] whose longer side is `size`."""
    pixels = read_pixels(path)
    height, width = fitted_size(*pixels.shape[:2], size)
    if min(height, width) < SMALLEST_SIZE:
        raise DataError(f"{path} is {pixels.shape[1]} x {pixels.shape[0]}: too narrow a painting, crop it")
    return resized(pixels, height, width)


def _painting_of(run):
    folder = run.chief_folder or run.folder
    return tf.constant(read_pixels(StylizerRun(folder).painting_path)[None], tf.float32)


def _prepare_photos(run, recipe, resume):
    data = UnlabelledPhotos(run.facts["source"], recipe)
    listed = "".join(write_csv_text(part) for part in (data.training, data.validation))
    if resume and run.photos_path.exists() and run.photos_path.read_text(encoding="utf-8") != listed:
        raise RunError(f"the photos in {run.facts['source']} are not those that {run.folder} started with: train anew with another --run")
    write_text(run.photos_path, listed)
    return data


def _open_loss(run, recipe):
    """PaintingLoss and the name of its network, which must not change when a run is resumed."""
    taps = tuple(dict.fromkeys((recipe.content_layer, *recipe.style_layers)))
    model, network, sentence = load_perceptual(recipe.network, taps, recipe.pooling, edge="repeat")
    print(sentence, file=sys.stderr)
    return PaintingLoss(model, recipe), network


def _train(run, recipe, data, loss, network, strategy, callbacks):
    keras.utils.set_random_seed(recipe.seed % 2**31)
    with strategy.scope(), precision_policy(recipe.precision):
        model = build_stylizer(recipe.width, recipe.blocks)
    task = Task(model, stylizer_loss(model, loss, loss.targets(_painting_of(run))), recipe.stages, len(data.training), data.batches)
    steps = steps_in(recipe.stages, task.photos, recipe.batch_size)[-1]
    done = (read_facts(run.checkpoint_path) or {"step": 0})["step"]
    print(f"training a stylizer on {task.photos} photos, {steps} steps; watch: tensorboard --logdir {run.logs_path}", file=sys.stderr)
    log, bar = TensorBoardLog(run.logs_path), ProgressBar(steps, done)
    shown = _shown_photos(data)
    try:
        train(task, recipe, strategy, run.checkpoint_path, callbacks=[log, PaintedPhotos(log, shown, lambda: paint(model, shown)), bar, *callbacks])
    except TrainingDiverged:
        with atomic_path(run.last_good_path) as temporary:
            model.save_weights(temporary)
        raise
    finally:
        bar.close()
    return model


def _shown_photos(data):
    """A few unseen photos, uint8 [up to 6, 256, 256, 3]."""
    batch = next(iter(data.unseen_batches(_JUDGED_SIZE_PX, _SHOWN_PHOTOS, _SHOWN_PHOTOS)))
    return tf.boolean_mask(images_of(batch), batch["weight"] > 0).numpy()


def _write_report(run, recipe, model, data, metrics):
    shown = _shown_photos(data)
    painted = paint(model, shown) if len(shown) else shown
    rows = [[_image(photo, "photo"), _image(picture, "painted")] for photo, picture in zip(shown, painted, strict=True)]
    losses = [[when, f"{metrics[when]['content_loss']:.4f}", f"{metrics[when]['style_loss']:.4f}"] for when in ("before", "after")]
    facts = f"{metrics['images']} photos, {metrics['seconds']:.0f} s, network {metrics['network']}, seed {recipe.seed}"
    sections = [
        section("Painting", _image(read_pixels(run.painting_path), run.facts["painting"])),
        section("Unseen photos, before and after", table(["photo", "painted"], rows)),
        section("Losses on unseen photos", table(["", "content", "style"], losses, numbers=(1, 2)) + paragraph(facts, "note")),
    ]
    if metrics["broken"]:
        sections.append(section("Photos that could not be read", "".join(paragraph(reason) for reason in metrics["broken"].values())))
    write_text(run.report_path, compose(f"Stylizer: {run.facts['painting']}", sections))


def _image(pixels, description):
    """An <img> that holds its pixels."""
    from html import escape

    import PIL.Image

    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "JPEG", quality=88)
    return f'<img src="{inline(buffer.getvalue(), "image/jpeg")}" alt="{escape(description)}" width="{min(pixels.shape[1], 320)}">'
