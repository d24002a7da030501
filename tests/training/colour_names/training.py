from pathlib import Path

import numpy as np
import tensorflow as tf

from colour_names.run import ColourRecipe, ColourRun, build_network
from tfvision.data.manifest import read_photos, write_csv_text
from tfvision.data.pipeline import TrainingOrder, ViewSettings, evaluation_batches
from tfvision.errors import DataError
from tfvision.files import write_text
from tfvision.training.loop import Task
from tfvision.training.photos import WHOLE_VIEW, photo_batches
from tfvision.training.session import Phase, Training, run_training

COLOURS = ("blue", "red")
_SETTINGS = ViewSettings((WHOLE_VIEW,), 8, is_uncropped=True)


def train_colours(source=None, recipe=None, settings=None, run=None, resume=False, strategy=None, callbacks=()):
    return run_training(ColourTraining, {"source": source}, recipe, settings, run, resume, strategy, callbacks)


class ColourTraining(Training):
    """Two phases of one network."""

    RUN = ColourRun
    RECIPES = {"small": ColourRecipe, "longer": lambda: ColourRecipe(stages=((6.0, 0.1),))}

    @classmethod
    def facts_of(cls, source, recipe):
        if source["source"] is None or not Path(source["source"]).exists():
            raise DataError(f"{source['source']} does not exist: give a folder of photos")
        return {"source": str(Path(source["source"]).resolve())}

    def prepare(self):
        self.manifest = read_photos(self.run.facts["source"])
        self.labels = np.array([COLOURS.index(Path(record.path).name.split("_")[0]) for record in self.manifest.records], np.int32)
        return write_csv_text(self.manifest)

    def build(self):
        self.model = build_network(self.recipe.seed)

    def headline(self):
        return f"training on {len(self.manifest)} photos"

    def phases(self):
        return [Phase(self.recipe.stages, len(self.manifest), self._start, name="first"), Phase(self.recipe.stages, len(self.manifest), self._start)]

    def judge(self):
        batches = evaluation_batches(self.manifest, self.labels, _SETTINGS, 8, self.broken)
        answers = np.concatenate([self.model(tf.cast(batch["views"][WHOLE_VIEW], tf.float32)).numpy().argmax(1) for batch in batches])
        return {"images": len(self.manifest), "accuracy": float((answers == self.labels).mean())}

    def save(self, path):
        self.model.save_weights(path)

    def report(self, metrics):
        write_text(self.run.report_path, f"accuracy {metrics['accuracy']} after {metrics['seconds']} s")

    def _start(self, first_position):
        order = TrainingOrder(self.labels, self.recipe.seed)
        batches = photo_batches(self.manifest, self.labels, _SETTINGS, order, self.recipe, self.broken)
        return Task(self.model, self._loss, self.recipe.stages, len(self.manifest), batches, first_position)

    def _loss(self, batch, step):
        logits = self.model(tf.cast(batch["views"][WHOLE_VIEW], tf.float32), training=True)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(batch["label"], logits) * batch["weight"]
        return losses, {"photos": (tf.reduce_sum(batch["weight"]), tf.reduce_sum(batch["weight"]))}
