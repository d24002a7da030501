"""Identification: the deepest taxon that may be named for a photo, like a careful naturalist's answer."""

import os
from pathlib import Path

import numpy as np

from tfvision.apps.species.network import load_species_network, make_predictor, predict
from tfvision.apps.species.run import SpeciesRun
from tfvision.data.decoding import PHOTO_SUFFIXES
from tfvision.data.manifest import Manifest, Record
from tfvision.data.pipeline import BrokenPhotos
from tfvision.errors import DataError, RecipeError
from tfvision.evaluation import hierarchy
from tfvision.evaluation.calibration import softmax
from tfvision.evaluation.specificity import threshold_for

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
        threshold = self._threshold(threshold, target_accuracy)
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

    def _threshold(self, threshold, target_accuracy):
        if threshold is None:
            calibration = self.run.calibration
            if target_accuracy is None:
                return calibration["threshold"]
            return threshold_for(calibration["depth_curve"], target_accuracy)
        if not 0 <= threshold <= 1:
            raise RecipeError(f"--threshold must lie between 0 and 1, got {threshold}")
        return threshold

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
            lineage = [
                {"rank": taxonomy.node_ranks[n], "name": taxonomy.names[n], "probability": round(chances[n], 4)}
                for n in path[1:]
            ]
            best = np.argsort(-probabilities[row], kind="stable")[: min(ALTERNATIVES, int(inside.sum()))]
            yield {
                "taxon": taxonomy.names[node],
                "rank": taxonomy.node_ranks[node],
                "probability": round(chances[int(node)], 4),
                "lineage": lineage,
                "top": [
                    {"name": taxonomy.class_names[i], "probability": round(float(probabilities[row, i]), 4)} for i in best
                ],
            }


def find_photos(paths):
    """Files as they are, folders as the photos below them, sorted.

    Raises:
      DataError: a path does not exist, or a folder holds no photo.
    """
    photos = []
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(
                os.path.join(parent, name)
                for parent, _, names in os.walk(path)
                for name in names
                if Path(name).suffix.lower() in PHOTO_SUFFIXES
            )
            if not found:
                raise DataError(f"{path} holds no photos ({', '.join(sorted(PHOTO_SUFFIXES))})")
            photos.extend(found)
        elif path.exists():
            photos.append(str(path))
        else:
            raise DataError(f"{path} does not exist")
    return photos
