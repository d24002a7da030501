"""Detection: does a photo show a tattoo, and where?"""

import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfvision.data.decoding import read_pixels, servable_bytes
from tfvision.data.manifest import Manifest, Record
from tfvision.data.pipeline import BrokenPhotos, ViewSettings, evaluation_batches
from tfvision.errors import DataError, RunError
from tfvision.export.session import LoadedModel, is_export, newest_version
from tfvision.features.grad_cam import grad_cam_tensor, overlay
from tfvision.files import atomic_path
from tfvision.trained.detector_network import MAPS, SCORE, Detector, load_detector_network
from tfvision.trained.detector_run import DetectorRecipe, DetectorRun

_VIEW = "whole"
_BATCH = 32
WHERE = "where"  # signature of an export


class TattooDetector:
    """A trained model that tells photos of tattoos from others.

    Three lines in a notebook:

        detector = TattooDetector.load("runs/tattoo-detector")
        for answer in detector.detect(["photo.jpg"]):
            print(answer["is_tattoo"], answer["probability"])
    """

    def __init__(self, run: DetectorRun, network: Detector) -> None:
        self.run = run
        self.network, self.whole, self.finer = network, network.whole, network.finer
        self._scores = tf.function(lambda images: self.whole(tf.cast(images, tf.float32), training=False)[SCORE][:, 0], autograph=False)
        # A graph: executed eagerly, the tape would hold every layer's responses to photos of this size.
        self._heat = tf.function(lambda images: heat_of(self.finer, run.recipe, tf.cast(images, tf.float32)), autograph=False)

    @classmethod
    def load(cls, run: Path | str) -> "TattooDetector":
        """Loads a finished run. Raises RunError."""
        run = DetectorRun.open(run)
        return cls(run, load_detector_network(run))

    def detect(self, photos: Iterable[Path | str], where: Path | str | None = None) -> Iterator[dict[str, Any]]:
        """Judges photos, in order, one at a time as they are ready.

        Args:
          photos: paths of image files.
          where: folder for pictures of the tattoos: each photo that is one, with the Grad-CAM of its score laid over it.

        Yields:
          dict with "image", "is_tattoo", "score" (the SVM's margin, above 0 for a tattoo), "probability" and, where asked for
          and it is a tattoo, "where" (path of the picture); or "image" and "error".
        """
        paths = [str(photo) for photo in photos]
        names, broken, done = _Names(where), BrokenPhotos(), 0
        for rows, scores in self.score(_manifest(paths), broken):
            answers = dict(zip(rows.tolist(), scores, strict=True))
            for row in range(done, rows[-1] + 1) if len(rows) else ():
                yield self._answer(paths[row], answers[row], names) if row in answers else _error(paths[row], broken)
                done = row + 1
        for row in range(done, len(paths)):
            yield _error(paths[row], broken)

    def score(self, manifest: Manifest, broken: BrokenPhotos) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Streams scores of photos, or of their boxes; broken ones are left out and recorded.

        Yields:
          (photo numbers int [n], scores float32 [n]), photos in order.
        """
        for batch in _batches(manifest, self.whole.input_shape[1], _BATCH, broken):
            is_good = batch["weight"].numpy() > 0
            yield batch["index"].numpy()[is_good], self._scores(batch["views"][_VIEW]).numpy()[is_good]

    def heat(self, manifest: Manifest) -> np.ndarray:
        """Where in photos the score rests: float32 [photos, side, side] in [0, 1], the side being that of the finer network."""
        side, times = self.finer.input_shape[1], self.finer.input_shape[1] // self.whole.input_shape[1]
        batches = _batches(manifest, side, max(1, _BATCH // times**2), BrokenPhotos())
        return np.concatenate([self._heat(batch["views"][_VIEW]) for batch in batches])

    def _answer(self, photo, score, names):
        answer = judgement(score, self.run.calibration)
        if names and answer["is_tattoo"]:
            answer["where"] = names.write(photo, self.heat(_manifest([photo]))[0])
        return {"image": photo, **answer}


class ExportDetector:
    """An exported model that tells photos of tattoos from others; `detect` is that of TattooDetector."""

    def __init__(self, folder: Path | str) -> None:
        """Loads a version's folder, or the newest version of a model's. Raises RunError."""
        folder = newest_version(folder)
        self._model = LoadedModel(folder)
        if not {"score", "is_tattoo"} <= set(self._model.signatures["serving_default"].outputs):
            raise RunError(f"{folder} is no tattoo detector: its signature gives {', '.join(sorted(self._model.signatures['serving_default'].outputs))}")
        self._folder = folder

    def detect(self, photos: Iterable[Path | str], where: Path | str | None = None) -> Iterator[dict[str, Any]]:
        """As TattooDetector.detect."""
        if where and WHERE not in self._model.signatures:
            raise RunError(f"{self._folder} was exported with --half, which leaves `{WHERE}` out: detect with the run instead")
        names = _Names(where)
        for photo in map(str, photos):
            try:
                yield {"image": photo, **self._answer(photo, names)}
            except DataError as error:
                yield {"image": photo, "error": str(error)}
            except tf.errors.InvalidArgumentError:
                yield {"image": photo, "error": f"{photo} cannot be decoded"}

    def _answer(self, photo, names):
        inputs = {"image_bytes": np.array([servable_bytes(photo)], object)}
        outputs = self._model.run("serving_default", inputs)
        answer = {
            "is_tattoo": bool(outputs["is_tattoo"][0]),
            "score": round(float(outputs["score"][0]), 4),
            "probability": round(float(outputs["probability"][0]), 4),
        }
        if names and answer["is_tattoo"]:
            answer["where"] = names.write(photo, self._model.run(WHERE, inputs)["heat"][0])
        return answer


def load_detector(model: Path | str) -> TattooDetector | ExportDetector:
    """A TattooDetector of a run, or an ExportDetector of an export. Raises RunError."""
    return ExportDetector(model) if is_export(model) else TattooDetector.load(model)


def judgement(score: float, calibration: dict[str, float]) -> dict[str, Any]:
    """{"is_tattoo", "score", "probability"} of a score."""
    probability = 1 / (1 + np.exp(-(calibration["slope"] * float(score) + calibration["offset"])))
    return {"is_tattoo": bool(score > 0), "score": round(float(score), 4), "probability": round(float(probability), 4)}


def heat_of(network: keras.Model, recipe: DetectorRecipe, images: tf.Tensor) -> tf.Tensor:
    """Grad-CAM of the score at the deepest tap with positions, 0 beyond what the network sees: float32 [batch, side, side].

    Args:
      network: `whole` or `finer` of a Detector.
      images: float32 [batch, side, side, 3], as the network takes them.
    """
    size = network.input_shape[1]
    crop = size * recipe.crop_px // recipe.size_px
    answers = functools.partial(network, training=False)
    heat = grad_cam_tensor(lambda images: ((outputs := answers(images))[MAPS], outputs[SCORE]), lambda score: score[:, 0], images)
    heat = tf.clip_by_value(tf.image.resize(heat[..., None], [crop, crop], "bicubic"), 0.0, 1.0)
    margin = (size - crop) // 2
    return tf.image.pad_to_bounding_box(heat, margin, margin, size, size)[..., 0]


def _manifest(photos: Sequence[str]) -> Manifest:
    return Manifest(("photo",), tuple(Record(photo, photo, ("",), photo) for photo in photos))


def _batches(manifest: Manifest, size_px: int, batch: int, broken: BrokenPhotos) -> tf.data.Dataset:
    settings = ViewSettings((_VIEW,), size_px, is_uncropped=True)
    return evaluation_batches(manifest, np.zeros(len(manifest), np.int32), settings, batch, broken)


class _Names:
    """Writes pictures into a folder; photos of the same name in different folders get numbers."""

    def __init__(self, folder):
        self._folder = folder
        self._taken = set()

    def __bool__(self):
        return self._folder is not None

    def write(self, photo, heat):
        """The photo with the heat over it; returns its path."""
        stem, number = Path(photo).stem, 1
        while (name := f"{stem}-where.png" if number == 1 else f"{stem}-where-{number}.png") in self._taken:
            number += 1
        self._taken.add(name)
        path = Path(self._folder) / name
        with atomic_path(path) as temporary:
            keras.utils.save_img(temporary, overlay(read_pixels(photo), heat), file_format="png", scale=False)
        return str(path)


def _error(photo: str, broken: BrokenPhotos) -> dict[str, Any]:
    return {"image": photo, "error": broken.get(photo, f"{photo} cannot be read")}
