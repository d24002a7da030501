"""Identification: the deepest taxon that may be named for a photo, like a careful naturalist's answer."""

import numpy as np
import tensorflow as tf

from tfvision.apps.species.answer_graph import SEPARATOR
from tfvision.data.decoding import servable_bytes
from tfvision.data.manifest import Manifest, Record
from tfvision.data.pipeline import BrokenPhotos
from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import DataError, RecipeError
from tfvision.evaluation import hierarchy
from tfvision.evaluation.calibration import softmax
from tfvision.evaluation.specificity import threshold_for
from tfvision.export.rest_sample import rows_of
from tfvision.export.session import LoadedModel, is_export, newest_version
from tfvision.files import read_json
from tfvision.trained.species_network import load_species_network, make_predictor, predict
from tfvision.trained.species_run import SpeciesRun

ALTERNATIVES = 5


class SpeciesIdentifier:
    """A trained model that names photos.

    Three lines in a notebook:

        identifier = SpeciesIdentifier.load("runs/species")
        for answer in identifier.identify(["photo.jpg"]):
            print(answer["taxon"], answer["probability"])
    """

    def __init__(self, run, predictor):
        self.run = run
        self.taxonomy = run.taxonomy
        self._predictor = predictor

    @classmethod
    def load(cls, run):
        """Loads a finished run. Raises RunError."""
        run = SpeciesRun.open(run)
        return cls(run, make_predictor(load_species_network(run), run.recipe.is_mirrored_at_prediction))

    def identify(self, photos, within=(), box=None, threshold=None, target_accuracy=None):
        """Names photos, in order, one at a time as they are ready.

        Args:
          photos: paths of image files.
          within: names of taxa that are known to hold the answer; probabilities are conditioned on them.
          box: left, top, width, height in pixels of the upright photo: where the animal is; it replaces
            the magnified centre.
          threshold: least probability of the answer; None = the one calibrated for the target accuracy.
          target_accuracy: share of answers to be right; None = the run's calibration.

        Yields:
          dict with "image", "taxon", "rank", "probability", "lineage" (of the answer, from the coarsest rank
          down) and "top" (the likeliest species); or "image" and "error". The taxon "life" of rank "root"
          means that nothing may be named.

        Raises:
          DataError: an unknown taxon in `within`.
          RecipeError: a threshold outside 0 to 1, or a target that was not calibrated.
        """
        nodes = [node for name in within for node in self.taxonomy.find(name)]
        threshold = _threshold(self.run.calibration, threshold, target_accuracy)
        photos = [str(photo) for photo in photos]
        records = tuple(Record(photo, photo, ("",), photo, box=tuple(box or (0, 0, 0, 0))) for photo in photos)
        broken, done = BrokenPhotos(), 0
        for numbers, logits in predict(self._predictor, Manifest(("species",), records), self.run.recipe, broken):
            answers = dict(zip(numbers.tolist(), self._answers(logits, nodes, threshold), strict=True))
            for number in range(done, numbers[-1] + 1) if len(numbers) else ():
                yield {"image": photos[number], **(answers.get(number) or {"error": broken.get(photos[number])})}
                done = number + 1
        for number in range(done, len(photos)):
            yield {"image": photos[number], "error": broken.get(photos[number])}

    def _answers(self, logits, within, threshold):
        taxonomy = self.taxonomy
        inside = hierarchy.classes_within(taxonomy, within)
        logits = np.where(inside, logits, -np.inf).astype(np.float32)
        probabilities = softmax(logits, self.run.calibration["temperature"])
        paths, reached = hierarchy.descend(probabilities, taxonomy)
        named = hierarchy.answer(paths, reached, threshold)
        for row, node in enumerate(named):
            path = taxonomy.path_to(node)
            chances = dict(zip(paths[row].tolist(), reached[row].tolist(), strict=True))
            lineage = [{"rank": taxonomy.node_ranks[n], "name": taxonomy.names[n], "probability": round(chances[n], 4)} for n in path[1:]]
            best = np.argsort(-probabilities[row], kind="stable")[: min(ALTERNATIVES, int(inside.sum()))]
            yield {
                "taxon": taxonomy.names[node],
                "rank": taxonomy.node_ranks[node],
                "probability": round(chances[int(node)], 4),
                "lineage": lineage,
                "top": [{"name": taxonomy.class_names[i], "probability": round(float(probabilities[row, i]), 4)} for i in best],
            }


def _threshold(calibration, threshold, target_accuracy):
    if threshold is None:
        if target_accuracy is None:
            return calibration["threshold"]
        return threshold_for(calibration["depth_curve"], target_accuracy)
    if not 0 <= threshold <= 1:
        raise RecipeError(f"--threshold must lie between 0 and 1, got {threshold}")
    return threshold


class ExportIdentifier:
    """An exported model that names photos; `identify` is that of SpeciesIdentifier."""

    def __init__(self, folder):
        """Loads a version's folder, or the newest version of a model's. Raises RunError."""
        folder = newest_version(folder)
        self.taxonomy = Taxonomy.load(folder / "assets" / "taxonomy.json")
        self._calibration = read_json(folder / "assets" / "calibration.json")
        self._model = LoadedModel(folder)

    def identify(self, photos, within=(), box=None, threshold=None, target_accuracy=None):
        """As SpeciesIdentifier.identify; prior taxa and a box cannot be given together."""
        for name in within:
            self.taxonomy.find(name)
        if within and box:
            raise RecipeError("an export takes --within or --box, not both: identify with the run instead")
        threshold = _threshold(self._calibration, threshold, target_accuracy)
        if box and threshold != self._calibration["threshold"]:
            raise RecipeError("an export takes --box at its calibrated threshold only: identify with the run instead")
        for photo in map(str, photos):
            try:
                yield {"image": photo, **self._answer(servable_bytes(photo), within, box, threshold)}
            except (DataError, tf.errors.InvalidArgumentError) as error:
                yield {"image": photo, "error": str(error) if isinstance(error, DataError) else f"{photo} cannot be decoded"}

    def _answer(self, encoded, within, box, threshold):
        inputs = {"image_bytes": np.array([encoded], object)}
        if box:
            outputs = self._model.run("boxes", {**inputs, "box": np.float32([box])})
        else:
            prior = {"threshold": np.float32([threshold]), "within": np.array([SEPARATOR.join(within)], object)}
            outputs = self._model.run("identify", {**inputs, **prior})
        (row,) = rows_of(outputs)
        lineage = zip(row["lineage_ranks"], row["lineage_names"], row["lineage_probabilities"], strict=True)
        return {
            "taxon": row["taxon"],
            "rank": row["rank"],
            "probability": round(row["probability"], 4),
            "lineage": [{"rank": rank, "name": name, "probability": round(value, 4)} for rank, name, value in lineage if name],
            "top": [{"name": name, "probability": round(value, 4)} for name, value in zip(row["top_names"], row["top_probabilities"], strict=True)],
        }


def load_identifier(model):
    """A SpeciesIdentifier of a run, or an ExportIdentifier of an export. Raises RunError."""
    return ExportIdentifier(model) if is_export(model) else SpeciesIdentifier.load(model)
