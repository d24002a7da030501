"""Feature Tuning: a network fine-tuned on labels, its taps computed once, small networks trained on them.

Source: Tani and Wada, feature-tuning, section 3.2.
"""

import functools
import hashlib
import sys
import typing
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvision.apps.retrieval.evaluation import judge_indices, score_of
from tfvision.apps.retrieval.indices import Taps, read_taps, tap_extractor
from tfvision.apps.retrieval.recipes import RECIPES
from tfvision.apps.retrieval.report import write_report
from tfvision.apps.retrieval.source import Trial, choose_training, read_retrieval_source, share_of
from tfvision.data.manifest import write_csv_text
from tfvision.data.pipeline import TrainingOrder, ViewSettings
from tfvision.data.shards.blocks import blocks_of
from tfvision.errors import DataError, RecipeError
from tfvision.evaluation.retrieval import labels_questions, without
from tfvision.features.whitening import fit_symmetric_whitening
from tfvision.files import write_json
from tfvision.losses.classification import smoothed_cross_entropy
from tfvision.losses.cosface import cosface_loss
from tfvision.models.weights import save_weights
from tfvision.trained.retriever_network import LOGITS, Retriever, build_retriever
from tfvision.trained.retriever_run import WHITENED, RetrieverRecipe, RetrieverRun
from tfvision.training.classification import accuracy
from tfvision.training.loop import Batch, LossFunction, Measures, Task
from tfvision.training.photos import WHOLE_VIEW, labels_line, photo_batches, unreadable_classes
from tfvision.training.recipes import Stages
from tfvision.training.session import Phase, Source, Training, located, run_training

_WHITENING_PHOTOS = 20_000


def train_retriever(
    source: str | Path | None = None,
    recipe: str | RetrieverRecipe | None = None,
    settings: dict[str, typing.Any] | None = None,
    run: str | Path | None = None,
    resume: bool = False,
    ranks: Sequence[str] | None = None,
    strategy: tf.distribute.Strategy | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    layout: str | None = None,
) -> dict[str, typing.Any]:
    """Trains a retriever and writes a run folder.

    Args:
      source, layout: as `read_retrieval_source`.
      ranks: label columns or folder levels, coarsest first; the finest is learnt.
      recipe, settings, run, resume, strategy, callbacks: as `run_training`.

    Returns:
      dict: "run", "images" (trained on), "held_out", "classes", "seconds", "protocol_split", "weights", "tap_norms",
      "broken" and, where photos are held out and belong together, "map" (MAP@R of the recipe's index, each held-out photo
      against all photos), "by_layer" and "intervals" {index: ...}.

    Raises:
      UserError: photos, recipe, weights or storage, each with the way out.
    """
    return run_training(RetrieverTraining, {"source": source, "ranks": ranks, "layout": layout}, recipe, settings, run, resume, strategy, callbacks)


class RetrieverTraining(Training):
    """Stage 1 fine-tunes a classifier; stage 2 trains small networks on all its taps, which are computed once between the two."""

    RUN = RetrieverRun
    ASKED = {"source": "SOURCE", "layout": "--layout"}
    RECIPES = RECIPES
    run: RetrieverRun
    recipe: RetrieverRecipe

    @classmethod
    def facts_of(cls, source: Source, recipe: RetrieverRecipe) -> dict[str, typing.Any]:
        path = source["source"]
        if path is None:
            raise RecipeError("a training needs SOURCE: a folder of class folders, a manifest CSV, or a benchmark as it is distributed")
        return {"source": located(path, "give a folder of class folders or a manifest CSV"), "ranks": source["ranks"], "layout": source["layout"]}

    def prepare(self) -> str:
        source = self.run.facts["source"]
        read = share_of(read_retrieval_source(source, self.run.facts["ranks"], self.run.facts["layout"], self.recipe.train_on), self.recipe.share)
        print(labels_line(read.manifest), file=sys.stderr)
        is_training = choose_training(read, self.recipe)
        self.manifest = read.manifest.with_splits(np.where(is_training, "train", "held-out"))
        self.names = read.labels
        self.is_training = is_training & np.array([bool(name) for name in self.names])
        trained = [name for name, trains in zip(self.names, self.is_training, strict=True) if trains]
        if lost := unreadable_classes(self.manifest.select(self.is_training), trained, self.broken):
            print(f"left out, none of the photos to train on can be read: {', '.join(sorted(map(str, lost)))}", file=sys.stderr)
            self.is_training &= np.array([name not in lost for name in self.names])
            trained = [name for name in trained if name not in lost]
        self.classes, labels = np.unique(np.array(trained, str), return_inverse=True)
        if len(self.classes) < 2:
            raise DataError(
                f"{source} leaves {len(self.classes)} class{'' if len(self.classes) == 1 else 'es'} to train on: at least two are needed"
                + ("; --set held_out=photos holds out photos instead of whole classes" if self.recipe.held_out == "classes" else "")
            )
        self.labels = np.asarray(labels, np.int32)
        return write_csv_text(self.manifest)

    def build(self) -> None:
        write_json(self.run.labels_path, list(self.classes))
        recipe = self.recipe
        self.retriever = build_retriever(recipe, len(self.classes), recipe.size_px, recipe.weights, recipe.precision)

    def headline(self) -> str:
        return (
            f"training {self.recipe.network} ({self.retriever.loaded}) on {len(self.labels)} photos of {len(self.classes)} classes "
            f"with {self.recipe.loss}, {(~self.is_training).sum()} photos held out"
        )

    def phases(self) -> Sequence[Phase]:
        recipe, photos = self.recipe, len(self.labels)
        stages = recipe.tuning_stages or recipe.stages
        self._order = TrainingOrder(self.labels, recipe.seed, blocks=blocks_of(self.manifest.select(self.is_training).paths))
        return [
            Phase(recipe.stages, photos, self._start_classifier, name="classifier", finish=self._read_taps),
            *(Phase(stages, photos, functools.partial(self._start_tuning, stages, name), name) for name in recipe.tuned_names),
        ]

    def judge(self) -> dict[str, typing.Any]:
        return {
            "images": len(self.labels),
            "held_out": int((~self.is_training).sum()),
            "classes": len(self.classes),
            **self._judge_held_out(),
            "protocol_split": self.recipe.protocol_split,
            "weights": self.retriever.loaded,
            "tap_norms": self._taps.norms(),
        }

    def save(self, path: Path) -> None:
        save_weights(self.retriever.whole, path)

    def report(self, metrics: dict[str, typing.Any]) -> None:
        write_report(self.run.report_path, self.run, metrics)

    def _start_classifier(self, first_position: int) -> Task:
        recipe, model = self.recipe, self.retriever.classifier
        settings = ViewSettings((WHOLE_VIEW,), recipe.size_px, recipe if recipe.is_augmented else None, is_uncropped=True)
        return Task(
            model=model,
            loss=stage_loss(model, recipe, lambda batch: tf.cast(batch["views"][WHOLE_VIEW], tf.float32)),
            stages=recipe.stages,
            photos=len(self.labels),
            batches=photo_batches(self.manifest.select(self.is_training), self.labels, settings, self._order, recipe, self.broken),
            first_position=first_position,
            new_layers=(model.get_layer(LOGITS),),
        )

    def _start_tuning(self, stages: Stages, name: str, first_position: int) -> Task:
        model = self.retriever.tuned[name]
        return Task(
            model=model,
            loss=stage_loss(model, self.recipe, lambda batch: batch["taps"]),
            stages=stages,
            photos=len(self.labels),
            batches=self._tap_batches,
            first_position=first_position,
            new_layers=tuple(model.layers),
        )

    def _tap_batches(self, begin: int, end: int, context: tf.distribute.InputContext) -> tf.data.Dataset:
        table, weights = self._taps.table[self.is_training], self._taps.is_read[self.is_training].astype(np.float32)
        return row_batches(table, self.labels, weights, self._order, begin, end, self.recipe.batch_size, context)

    def _read_taps(self, classifier: keras.Model) -> None:
        """Of all photos, by the network as stage 1 left it."""
        digest = hashlib.sha256()
        for values in self.retriever.maps.get_weights():
            digest.update(np.ascontiguousarray(values).tobytes())
        extractor = tap_extractor(self._in_full_precision(), self.recipe, digest.hexdigest())
        self._taps: Taps = read_taps(self.manifest, extractor, self.run.features_path, self.broken)
        whiten(self.retriever, self._taps, self.is_training, self.recipe)

    def _in_full_precision(self) -> Retriever:
        """The networks as they will be used: in float32, whatever they were trained in."""
        if self.recipe.precision == "float32":
            return self.retriever
        retriever = build_retriever(self.recipe, len(self.classes), self.recipe.size_px)
        retriever.whole.set_weights(self.retriever.whole.get_weights())
        return retriever

    def _judge_held_out(self) -> dict[str, typing.Any]:
        """MAP@R of every held-out photo against all photos; nothing where none has a companion."""
        questions = [q for q in labels_questions(self.names) if not self.is_training[q.query] and self.names[q.query] and len(q.relevant) > 1]
        questions = without(questions, ~self._taps.is_read)
        if not questions:
            return {}
        trial = Trial("labels", self.manifest, self.manifest, questions)
        return score_of(judge_indices(trial, self._taps, self._taps, self._in_full_precision().tuned, self.run.recipe), self.run.recipe)


def whiten(retriever: Retriever, taps: Taps, is_training: np.ndarray, recipe: RetrieverRecipe) -> None:
    """Fits the index WHITENED, where the recipe has it, on the addition of the photos that train: of a sample of them where they are many."""
    if not recipe.whitening:
        return
    rows = np.random.default_rng(recipe.seed).permutation(np.flatnonzero(is_training & taps.is_read))[:_WHITENING_PHOTOS]
    whitening = fit_symmetric_whitening(taps.index("addition", {}, np.sort(rows)), recipe.whitening)
    retriever.tuned[WHITENED].get_layer(WHITENED).set_weights([whitening.projection, -whitening.mean @ whitening.projection])


def retrieval_loss(recipe: RetrieverRecipe) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """(labels, logits) -> float32 [batch], of both stages."""
    if recipe.loss == "cosface":
        return functools.partial(cosface_loss, margin=recipe.margin, scale=recipe.scale)
    return smoothed_cross_entropy


def stage_loss(model: keras.Model, recipe: RetrieverRecipe, input_of: Callable[[Batch], tf.Tensor]) -> LossFunction:
    """The `loss` of a Task.

    Args:
      model: with an output of logits, alone or as "logits".
      input_of: batch -> the model's input.

    Returns:
      (batch, step) -> (float32 [batch], {"accuracy": (right, photos)}).
    """
    per_photo = retrieval_loss(recipe)

    def loss(batch: Batch, step: tf.Tensor) -> tuple[tf.Tensor, Measures]:
        labels, weights = batch["label"], batch["weight"]
        logits = model(input_of(batch), training=True)
        logits = logits[LOGITS] if isinstance(logits, dict) else logits
        return per_photo(labels, logits) * weights, accuracy(labels, logits, weights)

    return loss


def row_batches(
    table: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    order: TrainingOrder,
    begin: int,
    end: int,
    batch_size: int,
    context: tf.distribute.InputContext,
) -> tf.data.Dataset:
    """This worker's batches of rows that are held in memory.

    Args:
      table: float32 [photos, dimension].
      labels, weights: int32 and float32 [photos].
      order: of the photos.
      begin, end: positions in the order.
      batch_size: over all replicas.
      context: which worker this is.

    Returns:
      {"taps": float32 [batch, dimension], "label", "weight"}, for one replica at a time.
    """
    indices = np.concatenate([chunk["index"] for chunk in order.positions(begin, end)] or [np.zeros(0, np.int64)])
    per_replica = batch_size // context.num_replicas_in_sync
    of_workers = indices.reshape(-1, context.num_input_pipelines, batch_size // context.num_input_pipelines)
    mine = of_workers[:, context.input_pipeline_id].reshape(-1, per_replica)

    def rows(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.asarray(table[chosen], np.float32), labels[chosen], weights[chosen]

    def read(chosen: tf.Tensor) -> dict[str, tf.Tensor]:
        taps, label, weight = tf.numpy_function(rows, [chosen], (tf.float32, tf.int32, tf.float32))
        taps.set_shape([per_replica, table.shape[1]])
        label.set_shape([per_replica])
        weight.set_shape([per_replica])
        return {"taps": taps, "label": label, "weight": weight}

    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return tf.data.Dataset.from_tensor_slices(mine).map(read).prefetch(2).with_options(options)
