"""Identification: the deepest taxon that may be named for a photo, like a careful naturalist's answer."""

import functools
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvision.apps.species.answer_graph import SEPARATOR
from tfvision.apps.species.unknown import open_unknown
from tfvision.data.boxes import NO_BOX, box_in_photo
from tfvision.data.decoding import servable_bytes
from tfvision.data.manifest import Manifest, Record
from tfvision.data.pipeline import BrokenPhotos
from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import DataError, RecipeError
from tfvision.evaluation import hierarchy
from tfvision.evaluation.calibration import softmax
from tfvision.evaluation.specificity import threshold_for
from tfvision.evaluation.unknown_species import UnknownAnswers
from tfvision.export.exportable import GraphFunction
from tfvision.export.rest_sample import rows_of
from tfvision.export.session import LoadedModel, is_export, newest_version
from tfvision.trained.species_network import load_species_network, make_predictor, predict_with_features
from tfvision.trained.species_run import SpeciesRun, read_calibration

ALTERNATIVES = 5


class SpeciesIdentifier:
    """A trained model that names photos.

    Three lines in a notebook:

        identifier = SpeciesIdentifier.load("runs/species")
        for answer in identifier.identify(["photo.jpg"]):
            print(answer["taxon"], answer["probability"])
    """

    def __init__(self, run: SpeciesRun, predictor: GraphFunction):
        """The predictor is one with features (`species_network.make_predictor`)."""
        self.run = run
        self.taxonomy = run.taxonomy
        self._predictor = predictor

    @classmethod
    def load(cls, run: str | Path) -> "SpeciesIdentifier":
        """Loads a finished run. Raises RunError."""
        opened = SpeciesRun.open(run)
        return cls(opened, make_predictor(load_species_network(opened), opened.recipe.is_mirrored_at_prediction, with_features=True))

    def identify(
        self,
        photos: Iterable[str | Path],
        within: Sequence[str] = (),
        box: Sequence[float] | None = None,
        threshold: float | None = None,
        target_accuracy: float | None = None,
        unknown_share: float | None = None,
        boxes: Sequence[Sequence[float] | None] | None = None,
    ) -> Iterator[dict]:
        """Names photos, in order, one at a time as they are ready.

        Args:
          photos: paths of image files.
          within: names of taxa that are known to hold the answer; probabilities are conditioned on them.
          box: left, top, width, height in pixels of the upright photo, or as fractions of its width and height: where the
            animal is; it replaces the magnified centre. A photo in which it does not lie gets an error.
          threshold: least probability of the answer; None = the one calibrated for the target accuracy.
          target_accuracy: share of answers to be right; None = the run's calibration.
          unknown_share: of the photos, those of species that the run was not trained on, with which that share is still to be right; None = the run's.
          boxes: one for each photo in place of `box`; a photo may stand there once for each of its animals.

        Yields:
          dict with "image", "taxon", "rank", "probability", "lineage" (of the answer, from the coarsest rank
          down) and "top" (the likeliest species); or "image" and "error". The taxon "life" of rank "root"
          means that nothing may be named. With an unknown share above 0 also "unknown_probability", that the photo is of no species of this
          run, and "is_unknown", where no species is named and the photo makes that likelier than the share alone.

        Raises:
          DataError: an unknown taxon in `within`.
          RecipeError: a threshold outside 0 to 1, or a target that was not calibrated.
          RunError: the run has nothing fitted for unknown species, and a share was asked for.
        """
        nodes = [node for name in within for node in self.taxonomy.find(name)]
        unknown = open_unknown(self.run, unknown_share, target_accuracy)
        if unknown is None or threshold is not None:
            threshold = chosen_threshold(self.run.calibration, threshold, target_accuracy)
        photos, broken, done = [str(photo) for photo in photos], BrokenPhotos(), 0
        boxes = [_box_in(photo, own, broken) for photo, own in zip(photos, boxes or [box] * len(photos), strict=True)]
        records = tuple(Record(photo, photo, ("",), photo, box=box or NO_BOX) for photo, box in zip(photos, boxes, strict=True))
        manifest = Manifest(("species",), records)
        for numbers, logits, features in predict_with_features(self._predictor, manifest, self.run.recipe, len(self.taxonomy), broken):
            named = answers_to(logits, self.taxonomy, self.run.calibration["temperature"], nodes, threshold, unknown, features)
            answers = dict(zip(numbers.tolist(), named, strict=True))
            answers = {number: answer for number, answer in answers.items() if boxes[number]}
            for number in range(done, numbers[-1] + 1) if len(numbers) else ():
                yield {"image": photos[number], **(answers.get(number) or {"error": broken.get(photos[number])})}
                done = number + 1
        for number in range(done, len(photos)):
            yield {"image": photos[number], "error": broken.get(photos[number])}

    def identify_groups(
        self,
        groups: Mapping[str, Sequence[str | Path]],
        within: Sequence[str] = (),
        threshold: float | None = None,
        target_accuracy: float | None = None,
        unknown_share: float | None = None,
    ) -> Iterator[dict]:
        """Names animals by several photos of each, in order, one at a time as they are ready.

        Args:
          groups: {name: paths of photos of one animal, or of one species in one place and time}.
          within, threshold, target_accuracy, unknown_share: as of `identify`.

        Yields:
          dict with "group", "photos" (that could be read), "unreadable" ({photo: why}), and what `identify` says of a photo; or "error", where none could
          be read. A group of one photo is answered as the photo.

        Raises:
          as `identify`.
        """
        return self._witness.answer_groups(groups, within, threshold, target_accuracy, unknown_share)

    @functools.cached_property
    def _witness(self):
        from tfvision.apps.species.evidence import RunWitness  # which needs this file

        return RunWitness(self.run.folder, self._predictor)


class CarefulAnswer(typing.NamedTuple):
    """What is known of one photo.

    Attributes:
      path: nodes from the root down to the deepest taxon that may be named, the root alone where none may.
      reached: their probabilities.
      likeliest: classes, the most probable first, ALTERNATIVES at most.
      chances: their probabilities.
      unknown: the chance that the species is none of the taxonomy's; None where this is not asked.
    """

    path: list[int]
    reached: list[float]
    likeliest: list[int]
    chances: list[float]
    unknown: float | None = None


def careful_answers(
    logits: np.ndarray,
    taxonomy: Taxonomy,
    temperature: float,
    within: Sequence[int] = (),
    threshold: float | None = 0.0,
    unknown: UnknownAnswers | None = None,
    features: np.ndarray | None = None,
    log_odds: np.ndarray | None = None,
) -> Iterator[CarefulAnswer]:
    """The deepest taxon that may be named, and the likeliest classes, of each row; AnswerGraph does the same in a graph.

    Args:
      logits: float32 [batch, classes].
      within: nodes that are known to hold the answer.
      threshold: least probability of the answer; None = that of `unknown`.
      unknown: how answers are found where photos may be of unknown species.
      features: float32 [batch, channels], what the last layer saw; needed with `unknown` alone.
      log_odds: in place of features, those of `UnknownAnswers.log_odds`.
    """
    logits = np.where(hierarchy.classes_within(taxonomy, within), logits, -np.inf).astype(np.float32)
    probabilities = softmax(logits, temperature)
    paths, reached = hierarchy.descend(probabilities, taxonomy)
    chance = None
    if unknown is not None:
        chance = unknown.chance(features) if log_odds is None else unknown.rule.of_log_odds.chance(log_odds[:, None], unknown.share)
    yield from cut_answers(paths, reached, logits, probabilities, taxonomy, within, threshold, unknown, chance)


def cut_answers(
    paths: np.ndarray,
    reached: np.ndarray,
    logits: np.ndarray,
    probabilities: np.ndarray,
    taxonomy: Taxonomy,
    within: Sequence[int],
    threshold: float | None,
    unknown: UnknownAnswers | None,
    chance: np.ndarray | None,
) -> Iterator[CarefulAnswer]:
    """`careful_answers` of greedy paths.

    Classes are ordered by their logits, which stand in the order of the probabilities but neither underflow to 0 nor depend on
    how an exponential is rounded; of equal ones the first in the taxonomy comes first.

    Args:
      paths, reached: of `hierarchy.descend`.
      logits, probabilities: [batch, classes].
      chance: that the species are unknown, float64 [batch]; needed with `unknown` alone.
    """
    cut = reached
    if unknown is not None:
        cut = reached = unknown.probabilities(paths, reached, chance, taxonomy, within)
        if threshold is None:
            cut, threshold = unknown.confidences(reached, paths, taxonomy), unknown.threshold
    named = hierarchy.answer(paths, cut, threshold)
    likeliest = np.argsort(-logits, axis=1, kind="stable")[:, :ALTERNATIVES]
    for row, node in enumerate(named):
        length = len(taxonomy.path_to(node))
        chances = probabilities[row, likeliest[row]]
        novelty = None if chance is None else float(chance[row])
        yield CarefulAnswer(paths[row, :length].tolist(), reached[row, :length].tolist(), likeliest[row].tolist(), chances.tolist(), novelty)


def _told_unknown(chance, share, is_species):
    """What an answer says of the chance that its photo is of an unknown species; nothing where this was not asked.

    That it is unknown is said where no species is named and the photo makes it likelier than the share alone.
    """
    if chance is None:
        return {}
    return {"unknown_probability": round(float(chance), 4), "is_unknown": bool(chance >= share and not is_species)}


def answers_to(
    logits: np.ndarray,
    taxonomy: Taxonomy,
    temperature: float,
    within: Sequence[int],
    threshold: float | None,
    unknown: UnknownAnswers | None = None,
    features: np.ndarray | None = None,
) -> Iterator[dict]:
    """`careful_answers` as people are told them: what SpeciesIdentifier.identify yields, but for "image"."""
    yield from told_answers(careful_answers(logits, taxonomy, temperature, within, threshold, unknown, features), taxonomy, within, unknown)


def told_answers(answers: Iterable[CarefulAnswer], taxonomy: Taxonomy, within: Sequence[int], unknown: UnknownAnswers | None) -> Iterator[dict]:
    """As people are told them."""
    most = int(hierarchy.classes_within(taxonomy, within).sum())
    for answer in answers:
        named = answer.path[-1]
        lineage = zip(answer.path[1:], answer.reached[1:], strict=True)
        top = list(zip(answer.likeliest, answer.chances, strict=True))[:most]
        yield {
            "taxon": taxonomy.names[named],
            "rank": taxonomy.node_ranks[named],
            "probability": round(answer.reached[-1], 4),
            "lineage": [{"rank": taxonomy.node_ranks[node], "name": taxonomy.names[node], "probability": round(chance, 4)} for node, chance in lineage],
            "top": [{"name": taxonomy.class_names[number], "probability": round(chance, 4)} for number, chance in top],
            **_told_unknown(answer.unknown, unknown and unknown.share, bool(taxonomy.is_leaf[named])),
        }


def _box_in(photo, box, broken):
    """The box in pixels of a photo; None where it does not lie in it, which `broken` then says."""
    try:
        return box_in_photo(tuple(box), photo) if box else NO_BOX
    except DataError as error:
        broken.add(photo, error)
        return None


def chosen_threshold(calibration: dict[str, typing.Any], threshold: float | None, target_accuracy: float | None) -> float:
    """The least probability of an answer: as given, else that of the target, else the calibrated one. Raises RecipeError."""
    if threshold is None:
        if target_accuracy is None:
            return calibration["threshold"]
        return threshold_for(calibration["depth_curve"], target_accuracy)
    if not 0 <= threshold <= 1:
        raise RecipeError(f"--threshold must lie between 0 and 1, got {threshold}")
    return threshold


class ExportIdentifier:
    """An exported model that names photos; `identify` is that of SpeciesIdentifier."""

    def __init__(self, folder: str | Path):
        """Loads a version's folder, or the newest version of a model's. Raises RunError."""
        self._folder = folder = newest_version(folder)
        self.taxonomy = Taxonomy.load(folder / "assets" / "taxonomy.json")
        self._calibration = read_calibration(folder / "assets" / "calibration.json")
        self._model = LoadedModel(folder)
        self._classes = {(self.taxonomy.node_ranks[node], self.taxonomy.names[node]) for node in self.taxonomy.leaf_nodes}

    def identify(
        self,
        photos: Iterable[str | Path],
        within: Sequence[str] = (),
        box: Sequence[float] | None = None,
        threshold: float | None = None,
        target_accuracy: float | None = None,
        unknown_share: float | None = None,
        boxes: Sequence[Sequence[float] | None] | None = None,
    ) -> Iterator[dict]:
        """As SpeciesIdentifier.identify; prior taxa and a box cannot be given together, and the share of unknown species is the one it was exported with."""
        nodes = [node for name in within for node in self.taxonomy.find(name)]
        if within and (box or boxes):
            raise RecipeError("an export takes --within or --box, not both: identify with the run instead")
        share = self._calibration.get("unknown_share", 0)
        if unknown_share not in (None, share):
            raise RecipeError(f"--unknown-share of this export is {share}, got {unknown_share}: export the run again with it, or identify with the run")
        calibrated = self._calibration["threshold"]
        if share:
            if target_accuracy not in (None, self._calibration["target"]):
                raise RecipeError(f"--target-accuracy of this export is {self._calibration['target']}, got {target_accuracy}: identify with the run instead")
            calibrated, target_accuracy = -1, None
        threshold = calibrated if threshold is None and target_accuracy is None else chosen_threshold(self._calibration, threshold, target_accuracy)
        if (box or boxes) and threshold != calibrated:
            raise RecipeError("an export takes --box at its calibrated threshold only: identify with the run instead")
        most = int(hierarchy.classes_within(self.taxonomy, nodes).sum())
        photos = [str(photo) for photo in photos]
        for photo, own in zip(photos, boxes or [box] * len(photos), strict=True):
            try:
                placed = box_in_photo(tuple(own), photo) if own else None
                yield {"image": photo, **self._answer(servable_bytes(photo), within, placed, threshold, most)}
            except (DataError, tf.errors.InvalidArgumentError) as error:
                yield {"image": photo, "error": str(error) if isinstance(error, DataError) else f"{photo} cannot be decoded"}

    def identify_groups(
        self,
        groups: Mapping[str, Sequence[str | Path]],
        within: Sequence[str] = (),
        threshold: float | None = None,
        target_accuracy: float | None = None,
        unknown_share: float | None = None,
    ) -> Iterator[dict]:
        """As SpeciesIdentifier.identify_groups; the share of unknown species is the one it was exported with."""
        return self._witness.answer_groups(groups, within, threshold, target_accuracy, unknown_share)

    @functools.cached_property
    def _witness(self):
        from tfvision.apps.species.evidence import ExportWitness  # which needs this file

        return ExportWitness(self._folder, self._model)

    def _answer(self, encoded, within, box, threshold, most):
        inputs = {"image_bytes": np.array([encoded], object)}
        if box:
            outputs = self._model.run("boxes", {**inputs, "box": np.float32([box])})
        else:
            prior = {"threshold": np.float32([threshold]), "within": np.array([SEPARATOR.join(within)], object)}
            outputs = self._model.run("identify", {**inputs, **prior})
        (row,) = rows_of(outputs)
        lineage = zip(row["lineage_ranks"], row["lineage_names"], row["lineage_probabilities"], strict=True)
        top = list(zip(row["top_names"], row["top_probabilities"], strict=True))[:most]
        return {
            "taxon": row["taxon"],
            "rank": row["rank"],
            "probability": round(row["probability"], 4),
            "lineage": [{"rank": rank, "name": name, "probability": round(value, 4)} for rank, name, value in lineage if name],
            "top": [{"name": name, "probability": round(value, 4)} for name, value in top],
            **_told_unknown(row.get("unknown_probability"), self._calibration.get("unknown_share"), (row["rank"], row["taxon"]) in self._classes),
        }


def load_identifier(model: str | Path) -> SpeciesIdentifier | ExportIdentifier:
    """A SpeciesIdentifier of a run, or an ExportIdentifier of an export. Raises RunError."""
    return ExportIdentifier(model) if is_export(model) else SpeciesIdentifier.load(model)
