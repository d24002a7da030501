"""Evidence: what a species model sees in a photo, a vector that can be kept, and the answer to one photo or to several of one animal.

Who asks of thousands of photos, in events that change as photos are added (apps/survey), keeps the evidence and asks for answers anew.
"""

import abc
import functools
import itertools
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvision.apps.species.group_answers import Answering, Evidence, answering_of
from tfvision.apps.species.unknown import open_unknown
from tfvision.data.boxes import NO_BOX, Box
from tfvision.data.decoding import servable_bytes
from tfvision.data.manifest import Manifest, Record
from tfvision.data.pipeline import BrokenPhotos, ViewSettings, evaluation_batches
from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import DataError, RecipeError, RunError
from tfvision.evaluation.unknown_species import UnknownAnswers, UnknownRule
from tfvision.export.rest_sample import rows_of
from tfvision.export.session import LoadedModel, is_export, newest_version
from tfvision.files import checksum_of, sha256_of
from tfvision.trained.species_network import PREDICTION_BATCH, Predictor, image_size_of, load_species_network, make_predictor, prediction_batches
from tfvision.trained.species_run import SpeciesRun, read_calibration

PHOTOS_AT_ONCE = PREDICTION_BATCH
_ANSWERS_AT_ONCE = 256
_GLANCE_PX = 160  # of the view by which photos are judged where the model cuts its own
_LEAST_PROBABILITY = 1e-9


class Seen(typing.NamedTuple):
    """What was seen in a few photos.

    Attributes:
      numbers: of the photos that could be read, in order.
      evidence: float32 [photos read, width].
      views: uint8 [photos read, size, size, 3], nearly the whole of each.
      broken: {number: why it could not be read}.
    """

    numbers: list[int]
    evidence: np.ndarray
    views: np.ndarray
    broken: dict[int, str]


class Witness(abc.ABC):
    """A model that is asked for evidence, and for answers to it.

    Attributes:
      name: of the model, for people.
      identity: changes with whatever the evidence depends on.
      taxonomy: its leaves are the classes.
      view_size: pixels a side of `Seen.views`.
      sees_boxes: whether a box changes what it sees; a run of one view sees the whole photo. Of an export it is not known, and taken for granted.
    """

    name: str
    identity: str
    taxonomy: Taxonomy
    view_size: int
    sees_boxes: bool
    _temperature: float
    _calibration: dict[str, typing.Any]

    @property
    @abc.abstractmethod
    def width(self) -> int:
        """Numbers of the evidence of a photo: its logits, and what else the model answers by."""

    @abc.abstractmethod
    def see(self, paths: Sequence[str], boxes: Sequence[Box] = ()) -> Iterator[Seen]:
        """Looks at photos, in order, PHOTOS_AT_ONCE at a time; what is seen does not depend on which stand together.

        Args:
          boxes: of each photo, where the animal is, in pixels; a photo may stand there once for each of its animals.
        """

    def check(self, within: Sequence[str], target_accuracy: float | None, unknown_share: float | None = None) -> None:
        """Raises DataError where a taxon is not known, RecipeError or RunError where target or share cannot be had: before any photo is looked at."""
        self.answering(within, target_accuracy, unknown_share)

    def answers(
        self, evidence: Iterable[np.ndarray], within: Sequence[str] = (), target_accuracy: float | None = None, unknown_share: float | None = None
    ) -> Iterator[dict]:
        """Answers, in order, each to one or more photos of one animal, as SpeciesIdentifier.identify gives them to one photo.

        Args:
          evidence: of each, float32 [its photos, width].
        """
        answering, evidence = self.answering(within, target_accuracy, unknown_share), iter(evidence)
        while groups := list(itertools.islice(evidence, _ANSWERS_AT_ONCE)):
            yield from self._answers(groups, answering)

    def answer_groups(
        self,
        groups: Mapping[str, Sequence[str | Path]],
        within: Sequence[str] = (),
        threshold: float | None = None,
        target_accuracy: float | None = None,
        unknown_share: float | None = None,
    ) -> Iterator[dict]:
        """As SpeciesIdentifier.identify_groups."""
        answering, paths = self.answering(within, target_accuracy, unknown_share, threshold), [str(path) for own in groups.values() for path in own]
        looks, evidence, why, looked, done = self.see(paths) if paths else iter(()), {}, {}, 0, 0
        for name, photos in groups.items():
            numbers = range(done, done + len(photos))
            done = numbers.stop
            while looked < done:
                seen = next(looks)
                evidence |= zip(seen.numbers, seen.evidence, strict=True)
                why |= seen.broken
                looked += len(seen.numbers) + len(seen.broken)
            read = [number for number in numbers if number in evidence]
            unread = {paths[number]: why[number] for number in numbers if number in why}
            told = {"group": name, "photos": [paths[number] for number in read], "unreadable": unread}
            if read:
                (answer,) = self._answers([np.stack([evidence.pop(number) for number in read])], answering)
                yield {**told, **answer}
            else:
                yield {**told, "error": next(iter(unread.values()), "the group has no photo")}

    def answering(
        self, within: Sequence[str] = (), target_accuracy: float | None = None, unknown_share: float | None = None, threshold: float | None = None
    ) -> Answering:
        """By what photos and groups are answered. Raises as `check`."""
        nodes = [node for name in within for node in self.taxonomy.find(name)]
        unknown = self._unknown(unknown_share, target_accuracy)
        return answering_of(self._calibration, self._stored_unknown, self.taxonomy, self._temperature, nodes, unknown, threshold, target_accuracy)

    def _answers(self, groups: Sequence[np.ndarray], answering: Answering) -> Iterator[dict]:
        ends = np.cumsum([len(one) for one in groups])
        rows = [np.arange(end - len(one), end) for one, end in zip(groups, ends, strict=True)]
        return answering.answers(rows, self._told_by(np.concatenate(groups), answering))

    def _told_by(self, evidence: np.ndarray, answering: Answering) -> Evidence:
        """What evidence says."""
        logits, features = np.split(evidence, [len(self.taxonomy)], axis=1)
        return Evidence.of(logits, features, answering.unknown)

    def _unknown(self, share: float | None, target_accuracy: float | None) -> UnknownAnswers | None:
        """What is answered by for a share of unknown species; None for none."""
        return None

    @property
    def _stored_unknown(self) -> Mapping[str, typing.Any] | None:
        """What unknown.json holds, if there is one."""
        return None


class RunWitness(Witness):
    """A finished run; its evidence are logits and the features that its last layer saw."""

    def __init__(self, folder: str | Path, predictor: Predictor | None = None) -> None:
        """Opens it; the network is loaded when it is asked, where there is no predictor with features yet. Raises RunError."""
        self._run = SpeciesRun.open(folder)
        if predictor is not None:
            self._predictor = predictor
        self.name, self.taxonomy, self._calibration = self._run.folder.name, self._run.taxonomy, self._run.calibration
        self._temperature, self.sees_boxes = self._calibration["temperature"], len(self._run.recipe.views) > 1

    @functools.cached_property
    def identity(self) -> str:
        return checksum_of([sha256_of(path) for path in (self._run.weights_path, self._run.taxonomy_path, self._run.folder / "recipe.json")])

    @functools.cached_property
    def width(self) -> int:
        return len(self.taxonomy) + self._network.get_layer("species_logits").input.shape[-1]

    @property
    def view_size(self) -> int:
        return image_size_of(self._run.recipe)

    @functools.cached_property
    def _network(self):
        return load_species_network(self._run)

    @functools.cached_property
    def _predictor(self):
        return make_predictor(self._network, self._run.recipe.is_mirrored_at_prediction, with_features=True)

    def _unknown(self, share: float | None, target_accuracy: float | None) -> UnknownAnswers | None:
        return open_unknown(self._run, share, target_accuracy)

    @property
    def _stored_unknown(self) -> Mapping[str, typing.Any] | None:
        return self._run.unknown

    def see(self, paths: Sequence[str], boxes: Sequence[Box] = ()) -> Iterator[Seen]:
        broken = BrokenPhotos()
        for batch in prediction_batches(_manifest(paths, boxes), self._run.recipe, broken):
            lacking = PREDICTION_BATCH - len(batch["index"])  # always as many, so that sums are rounded alike
            views = {name: tf.pad(images, [[0, lacking], [0, 0], [0, 0], [0, 0]]) for name, images in batch["views"].items()}
            rows = self._predictor(views).numpy()[: len(batch["index"])]
            yield _seen(batch, rows, batch["views"][self._run.recipe.views[0]].numpy(), broken, paths)


class ExportWitness(Witness):
    """An export; its evidence is that of its run, or of an export of 0.2 the log-probabilities of all classes, as far as its answer tells them."""

    view_size, sees_boxes = _GLANCE_PX, True

    def __init__(self, folder: str | Path, model: LoadedModel | None = None) -> None:
        """Opens a version's folder, or the newest version of a model's; it is loaded when it is asked, where it is not yet. Raises RunError."""
        self._folder = newest_version(folder)
        self.name = Path(folder).resolve().name
        self.taxonomy = Taxonomy.load(self._folder / "assets" / "taxonomy.json")
        self._calibration = read_calibration(self._folder / "assets" / "calibration.json")
        self._tells_evidence = "groups" in self._calibration
        self._temperature = float(self._calibration["temperature"]) if self._tells_evidence else 1.0
        if model is not None:
            self._model = model
        if (share := self._calibration.get("unknown_share", 0)) and not self._tells_evidence:
            told = "what it tells of a photo does not suffice to join photos"
            raise RunError(f"{folder} was exported by an older tfvision for a share of {share} unknown species, and {told}: export the run again")

    @functools.cached_property
    def identity(self) -> str:
        parts = [self._folder / "saved_model.pb", *sorted((self._folder / "variables").iterdir()), *sorted((self._folder / "assets").iterdir())]
        return checksum_of([sha256_of(path) for path in parts])

    @property
    def width(self) -> int:
        told = self._model.signatures["evidence"].outputs.values() if self._tells_evidence else ()
        return sum(info.tensor_shape.dim[1].size if len(info.tensor_shape.dim) > 1 else 1 for info in told) or len(self.taxonomy)

    def _unknown(self, share: float | None, target_accuracy: float | None) -> UnknownAnswers | None:
        own = self._calibration.get("unknown_share", 0)
        if share not in (None, own):
            raise RecipeError(f"--unknown-share of this export is {own}, got {share}: export the run again with it, or ask the run")
        if not own:
            return None
        if target_accuracy not in (None, self._calibration["target"]):
            raise RecipeError(f"--target-accuracy of this export is {self._calibration['target']}, got {target_accuracy}: ask the run instead")
        stored = self._calibration["unknown"]
        return UnknownAnswers(None, UnknownRule.for_log_odds(stored["rates"]), own, stored["species_threshold"], stored["threshold"])

    @property
    def _stored_unknown(self) -> Mapping[str, typing.Any] | None:
        return self._calibration.get("unknown")

    def _told_by(self, evidence: np.ndarray, answering: Answering) -> Evidence:
        logits, features = np.split(evidence, [len(self.taxonomy)], axis=1)
        if answering.unknown is None:
            return Evidence(logits, features)
        return Evidence(logits, features[:, :-1], features[:, -1].astype(np.float64))

    @functools.cached_property
    def _model(self):
        return LoadedModel(self._folder)

    def see(self, paths: Sequence[str], boxes: Sequence[Box] = ()) -> Iterator[Seen]:
        broken, manifest = BrokenPhotos(), _manifest(paths, boxes)
        for batch in evaluation_batches(manifest, np.zeros(len(paths), np.int32), ViewSettings(("whole",), _GLANCE_PX), PREDICTION_BATCH, broken):
            evidence = np.zeros((len(batch["index"]), self.width), np.float32)
            for row, number in enumerate(batch["index"].numpy()):
                if paths[number] not in broken:
                    try:
                        evidence[row] = self._evidence(servable_bytes(paths[number]), manifest.records[number].box)
                    except (DataError, tf.errors.InvalidArgumentError) as error:
                        broken.add(paths[number], error if isinstance(error, DataError) else DataError(f"{paths[number]} cannot be decoded"))
            yield _seen(batch, evidence, batch["views"]["whole"].numpy(), broken, paths)

    def _evidence(self, encoded, box):
        inputs = {"image_bytes": np.array([encoded], object)}
        if self._tells_evidence:
            outputs = self._model.run("evidence", {**inputs, "box": np.float32([box])})
            parts = (outputs[name] for name in ("logits", "embedding", "unknown_log_odds") if name in outputs)
            return np.concatenate([part[0].reshape(-1) for part in parts])
        if box[2]:
            outputs = self._model.run("boxes", {**inputs, "box": np.float32([box])})
        else:
            outputs = self._model.run("identify", {**inputs, "threshold": np.float32([0]), "within": np.array([""], object)})
        return np.log(np.maximum(told_probabilities(rows_of(outputs)[0], self.taxonomy), _LEAST_PROBABILITY))


def told_probabilities(answer: dict, taxonomy: Taxonomy) -> np.ndarray:
    """The probabilities of all classes, float32 [classes], of an answer that tells those of its lineage and of the likeliest classes.

    What a taxon of the lineage has beyond the next one and the classes that are told is spread evenly over its other classes.
    """
    probabilities, node = np.full(len(taxonomy), np.nan, np.float32), 0
    told = dict(zip(answer["top_names"], answer["top_probabilities"], strict=True))
    path, reached = [0], [1.0]
    for name, probability in zip(answer["lineage_names"], answer["lineage_probabilities"], strict=True):
        if name:
            node = next(int(child) for child in taxonomy.children[node] if taxonomy.names[child] == name)
            path.append(node)
            reached.append(probability)
    for number, (node, mass) in enumerate(zip(path, reached, strict=True)):
        inner = path[number + 1] if number + 1 < len(path) else None
        ring = [leaf for leaf in range(taxonomy.first_leaves[node], taxonomy.end_leaves[node]) if inner is None or not _holds(taxonomy, inner, leaf)]
        mass -= 0 if inner is None else reached[number + 1]
        known = {leaf: told[taxonomy.class_names[leaf]] for leaf in ring if taxonomy.class_names[leaf] in told}
        others = [leaf for leaf in ring if leaf not in known]
        probabilities[others] = max(0.0, mass - sum(known.values())) / max(1, len(others))
        probabilities[list(known)] = list(known.values())
    return probabilities


def open_witness(model: str | Path) -> Witness:
    """Of a run or an export. Raises RunError."""
    return ExportWitness(model) if is_export(model) else RunWitness(model)


def _holds(taxonomy, node, leaf):
    return taxonomy.first_leaves[node] <= leaf < taxonomy.end_leaves[node]


def _manifest(paths, boxes):
    boxes = boxes or [NO_BOX] * len(paths)
    return Manifest(("species",), tuple(Record(path, path, ("",), path, box=box) for path, box in zip(paths, boxes, strict=True)))


def _seen(batch, evidence, views, broken, paths):
    numbers, is_good = batch["index"].numpy().tolist(), batch["weight"].numpy() > 0
    unread = {number: broken[paths[number]] for number in numbers if paths[number] in broken}
    is_good &= np.array([number not in unread for number in numbers], bool)
    return Seen([number for number, good in zip(numbers, is_good, strict=True) if good], evidence[is_good], views[is_good], unread)
