"""Evaluates a species classifier over a stream of batches: accuracy, specificity, calibration, confusions.

Memory grows with images x depth + classes, never with images x classes: each image leaves its predicted
class, the rank of its true class, and its greedy path; everything in the result follows from these.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import DataError, RecipeError, RunError
from tfvision.evaluation import hierarchy, specificity
from tfvision.evaluation.calibration import Reliability, softmax
from tfvision.evaluation.unknown_species import Paths, UnknownAnswers

CHUNK_VALUES = 1 << 19  # logits worked on at a time: 2 MB, and 4 MB of running sums
_MEASURED = ("accuracy", "depth", "interval", "depth_interval", "lower_bound", "abstained")
METHODS: dict[str, Callable[..., specificity.Specificity]] = {"exact": specificity.fit_threshold, "climb": specificity.climb_threshold}


class Evaluation:
    """Collects what batches of logits say; `result` may be called at any time.

    Args:
      taxonomy: a Taxonomy; its classes are the columns of the logits.
      class_sizes: training images of each class, int [classes].
      temperature: logits are divided by it before the softmax (`calibration.fit_temperature`).
      within: prior nodes, as in `hierarchy.descend`; all figures are then conditioned on them.
      unknown: how careful answers are found where photos may be of unknown species; None = by the probabilities alone.
    """

    def __init__(
        self,
        taxonomy: Taxonomy,
        class_sizes: Sequence[int] | np.ndarray,
        temperature: float = 1.0,
        within: Sequence[int] = (),
        unknown: UnknownAnswers | None = None,
    ) -> None:
        self.taxonomy = taxonomy
        self.class_sizes = np.asarray(class_sizes)
        if self.class_sizes.shape != (len(taxonomy),):
            raise DataError(f"class_sizes must have {len(taxonomy)} entries, got {self.class_sizes.shape}")
        self.temperature = float(temperature)
        self._within, self._unknown = within, unknown
        self._is_outside = ~hierarchy.classes_within(taxonomy, within)
        self._descent = hierarchy.Descent(taxonomy)
        self._groups = {rank: _Groups(taxonomy.ancestors_at_rank(rank)) for rank in taxonomy.ranks}
        self._columns: dict[str, list[np.ndarray]] = {}
        self._images: list[str] = []

    def update(self, logits: np.ndarray, labels: np.ndarray, images: Sequence[str], is_fitting: np.ndarray, features: np.ndarray | None = None) -> None:
        """Adds a batch.

        Args:
          logits: float32 [batch, classes], left as they are.
          labels: int [batch], the true classes.
          images: the names of the photos, list of str.
          is_fitting: bool [batch], whether an image belongs to the half that the threshold is fitted on.
          features: float32 [batch, channels], what the last layer saw; needed with `unknown` alone.
        Raises:
          DataError: shapes or labels do not fit the taxonomy.
          RunError: the logits are not finite.
        """
        logits, labels = np.asarray(logits), np.asarray(labels, np.int64)
        is_fitting = np.asarray(is_fitting, bool)
        self._check(logits, labels, images, is_fitting)
        rows = max(1, CHUNK_VALUES // max(1, logits.shape[1]))
        for start in range(0, len(labels), rows):
            end = start + rows
            self._update_chunk(logits[start:end], labels[start:end], images[start:end])
        if self._unknown is not None:
            self._keep(scores=self._unknown.model.scores(np.asarray(features)))
        self._keep(label=labels, is_fitting=is_fitting)
        self._images.extend(images)

    def result(
        self, target_accuracy: float = 0.9, confidence: float | None = None, method: str = "exact", standing: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """All figures over the images so far, as plain JSON types.

        "accuracy", "top5", "macro_accuracy" (mean over the classes that have images) and everything else but
        the specificity use all images. "accuracy_by_rank" judges the one species named for each photo by its
        ancestor at each rank: one answer, judged seven times, so it can only rise towards the kingdom. This is
        the headline, since it is what other systems print. "accuracy_by_rank_summed" asks each rank anew and
        takes its most probable node, whose classes' probabilities are summed: usually better, but the seven
        answers need not agree with each other.

        "specificity" is fitted on one half and reported on the other. If one of the halves is empty (very few
        photos) both are all the images and "is_held_out" is false. "as_it_stands" is what the standing threshold gives on all
        images, which it was not fitted on; "is_apart" tells whether its accuracy or its depth and those of the refitted one lie
        beyond each other's intervals. "by_species" is at the standing threshold, or where there is none, at the fitted one.

        Args:
          standing: {"threshold", "target", "confidence"} that a model has already.
          target_accuracy, confidence: see `specificity.fit_threshold`.
          method: "exact" or "climb", the paper's hill climbing (which knows no confidence).
        Raises:
          DataError: no image was added, or too few for the confidence.
          RecipeError: a setting is out of range.
        """
        if method not in METHODS:
            raise RecipeError(f"--method must be 'exact' or 'climb', got {method!r}")
        if method == "climb" and confidence is not None:
            raise RecipeError("--confidence needs --method exact: hill climbing has no bound")
        if not self._images:
            raise DataError("no photo could be evaluated: check that the source holds photos of the model's classes")
        table = self._table()
        label, predicted = table["label"], table["predicted"]
        is_right = label == predicted
        reliability = Reliability()
        reliability.update(table["confidence"], is_right)
        careful = self._specificity(table, target_accuracy, confidence, method)
        if standing is not None:
            careful = {"as_it_stands": self._as_it_stands(table, standing, careful["specificity"]), **careful}
        return {
            "images": len(label),
            "classes": len(self.taxonomy),
            "accuracy": float(is_right.mean()),
            "accuracy_interval": _interval(is_right),
            "top5": float((table["rank"] < 5).mean()),
            "macro_accuracy": _macro_accuracy(label, is_right),
            "accuracy_by_rank": {rank: float((groups.of_class[label] == groups.of_class[predicted]).mean()) for rank, groups in self._groups.items()},
            "accuracy_by_rank_summed": {rank: float((groups.of_class[label] == table[f"group at {rank}"]).mean()) for rank, groups in self._groups.items()},
            **careful,
            "by_class_size": _accuracy_by_class_size(self.class_sizes, label, is_right),
            "calibration_error": reliability.error(),
            "reliability": reliability.table(),
            "temperature": self.temperature,
            "by_species": self._by_species(table, careful.get("as_it_stands", careful["specificity"])["threshold"]),
            "confusions": _confusions(self.taxonomy.class_names, self._images, label, predicted),
        }

    def answers(self, threshold: float) -> Iterator[tuple[object, ...]]:
        """A header, then what is answered to each image: rows of a CSV. With `unknown` its own threshold counts, and the chance comes last."""
        table = self._table()
        chances = [] if self._unknown is None else [f"{chance:.4f}" for chance in self._chance(table)]
        header = ("image", "species", "likeliest", "likeliest_probability", "taxon", "rank", "probability", "depth", "is_right")
        yield *header, *(["unknown"] if chances else [])
        names, ranks = self.taxonomy.names, self.taxonomy.node_ranks
        depths, is_right = self._careful(table, threshold)
        reached_by, _ = self._cut(table)
        for row, (image, depth) in enumerate(zip(self._images, depths, strict=True)):
            node, reached = table["nodes"][row, depth], reached_by[row, depth]
            likeliest = self.taxonomy.class_names[table["predicted"][row]], f"{table['confidence'][row]:.4f}"
            yield (
                image,
                self.taxonomy.class_names[table["label"][row]],
                *likeliest,
                names[node],
                ranks[node],
                f"{reached:.4f}",
                depth,
                int(is_right[row]),
                *chances[row : row + 1],
            )

    def _table(self) -> dict[str, np.ndarray]:
        return {name: np.concatenate(parts) for name, parts in self._columns.items()}

    def _check(self, logits: np.ndarray, labels: np.ndarray, images: Sequence[str], is_fitting: np.ndarray) -> None:
        shape = (len(labels), len(self.taxonomy))
        if logits.shape != shape or is_fitting.shape != labels.shape or len(images) != len(labels):
            raise DataError(f"logits must be {shape} and images and is_fitting as long as labels, got {logits.shape}, {len(images)} and {is_fitting.shape}")
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(self.taxonomy):
            raise DataError(f"labels must lie from 0 to {len(self.taxonomy) - 1}, got {labels.min()} to {labels.max()}")

    def _keep(self, **columns: np.ndarray) -> None:
        for name, values in columns.items():
            self._columns.setdefault(name, []).append(values)

    def _update_chunk(self, logits: np.ndarray, labels: np.ndarray, images: Sequence[str]) -> None:
        logits = np.array(logits, np.float32)
        if self._is_outside.any():
            logits[:, self._is_outside] = -np.inf  # before the softmax, where nothing has underflowed yet
        predicted = logits.argmax(axis=1)
        rows = np.arange(len(labels))
        self._check_finite(logits[rows, predicted], images)
        rank = _rank_of_true(logits, labels)  # from logits: probabilities of 0 would tie
        rank[self._is_outside[labels]] = len(self.taxonomy)
        probabilities = softmax(logits, self.temperature, out=logits)
        sums = hierarchy.running_sums(probabilities)
        nodes, reached = self._descent.paths(probabilities, sums)
        self._keep(predicted=predicted, rank=rank, confidence=probabilities[rows, predicted])
        self._keep(nodes=nodes, reached=reached)
        for name, groups in self._groups.items():
            # At the finest rank each group is one class, and the running sums' rounding must not matter.
            best = groups.of_class[predicted] if groups.are_classes else groups.most_probable(sums)
            self._keep(**{f"group at {name}": best})

    def _check_finite(self, largest: np.ndarray, images: Sequence[str]) -> None:
        if not np.isfinite(largest).all():
            image = images[int(np.flatnonzero(~np.isfinite(largest))[0])]
            raise RunError(
                f"the network's output for {image} is not a number: its training diverged or its weights are "
                "damaged; train again with a lower learning rate or restore an earlier checkpoint"
            )

    def _specificity(self, table: dict[str, np.ndarray], target_accuracy: float, confidence: float | None, method: str) -> dict[str, Any]:
        nodes, reached, is_fitting = table["nodes"], table["reached"], table["is_fitting"]
        is_correct = hierarchy.judge(nodes, table["label"], self.taxonomy)
        is_held_out = 0 < is_fitting.sum() < len(is_fitting)
        fitting, reporting = (is_fitting, ~is_fitting) if is_held_out else (np.full(len(nodes), True),) * 2
        options = {} if confidence is None else {"confidence": confidence}
        fitted = METHODS[method](reached[fitting], is_correct[fitting], target_accuracy, **options)
        measured = specificity.measure(reached[reporting], is_correct[reporting], fitted.threshold)
        fitted_half, reported_half = ((reached[half], is_correct[half]) for half in (fitting, reporting))
        return {
            "specificity": {
                "target": fitted.target,
                "confidence": confidence,
                "method": method,
                "threshold": fitted.threshold,
                **{key: measured[key] for key in _MEASURED},
                "deepest": int(self.taxonomy.depths.max()),
                "answers_by_rank": self._answers_by_rank(hierarchy.answer(nodes[reporting], reached[reporting], fitted.threshold), table["label"][reporting]),
                "fitted_accuracy": fitted.accuracy,
                "fitted_on": fitted.images,
                "reported_on": int(reporting.sum()),
                "is_held_out": bool(is_held_out),
            },
            "depth_curve": specificity.depth_curve(fitted_half, reported_half, confidence=confidence),
        }

    def _as_it_stands(self, table: dict[str, np.ndarray], standing: Mapping[str, Any], refitted: Mapping[str, Any]) -> dict[str, Any]:
        nodes, threshold = table["nodes"], self._threshold(standing["threshold"])
        _, reached = self._cut(table)
        measured = specificity.measure(reached, hierarchy.judge(nodes, table["label"], self.taxonomy), threshold)
        return {
            **standing,
            "threshold": threshold,
            **({} if self._unknown is None else {"unknown_share": self._unknown.share, "species_threshold": self._unknown.species_threshold}),
            "temperature": self.temperature,
            **{key: measured[key] for key in _MEASURED},
            "deepest": int(self.taxonomy.depths.max()),
            "answers_by_rank": self._answers_by_rank(hierarchy.answer(nodes, reached, threshold), table["label"]),
            "is_apart": self._unknown is None and any(specificity.are_apart(measured[key], refitted[key]) for key in ("interval", "depth_interval")),
        }

    def _careful(self, table: dict[str, np.ndarray], threshold: float) -> tuple[np.ndarray, np.ndarray]:
        """How deep the answer to each image is, int, and whether it is right, bool."""
        depths = specificity.answer_depths(self._cut(table)[1], self._threshold(threshold))
        is_correct = hierarchy.judge(table["nodes"], table["label"], self.taxonomy)
        return depths, is_correct[np.arange(len(depths)), depths]

    def _threshold(self, threshold: float) -> float:
        return threshold if self._unknown is None else self._unknown.threshold

    def _cut(self, table: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The probabilities of each path's taxa, and what is cut at the threshold: the same without `unknown`."""
        nodes, reached = table["nodes"], table["reached"]
        if self._unknown is None:
            return reached, reached
        reached = self._unknown.probabilities(nodes, reached, self._chance(table), self.taxonomy, self._within)
        return reached, self._unknown.confidences(reached, nodes, self.taxonomy)

    def _chance(self, table: dict[str, np.ndarray]) -> np.ndarray:
        """That each image is of an unknown species."""
        if self._unknown is None:
            raise DataError("chances of unknown species need an evaluation with `unknown`")
        return self._unknown.rule.chance(table["scores"], self._unknown.share)

    def paths(self) -> Paths:
        """Of the images so far, where there is `unknown`."""
        table = self._table()
        return Paths(table["nodes"], table["reached"], hierarchy.judge(table["nodes"], table["label"], self.taxonomy), table["scores"], table["label"])

    def strangest(self, count: int) -> list[dict[str, Any]]:
        """Of the images most unlike anything trained, the strangest first: "image", "chance" that its species is unknown, "species" and "likeliest"."""
        table = self._table()
        chance = self._chance(table)
        order = np.argsort(-chance, kind="stable")[:count]
        names = self.taxonomy.class_names
        return [
            {
                "image": self._images[row],
                "chance": float(chance[row]),
                "species": names[table["label"][row]],
                "likeliest": names[table["predicted"][row]],
            }
            for row in order
        ]

    def _by_species(self, table: dict[str, np.ndarray], threshold: float) -> list[dict[str, Any]]:
        """Of each species that was there or was named: {"species", "lineage", "images", "recall", "precision", "depth"}."""
        label, predicted, classes = table["label"], table["predicted"], len(self.taxonomy)
        depths, _ = self._careful(table, threshold)
        images, named = (np.bincount(numbers, minlength=classes) for numbers in (label, predicted))
        right, depth_sums = np.bincount(label[label == predicted], minlength=classes), np.bincount(label, depths, minlength=classes)
        return [
            {
                "species": self.taxonomy.class_names[number],
                "lineage": list(self.taxonomy.lineages[number]),
                "images": int(images[number]),
                "recall": float(right[number] / images[number]) if images[number] else None,
                "precision": float(right[number] / named[number]) if named[number] else None,
                "depth": float(depth_sums[number] / images[number]) if images[number] else None,
            }
            for number in np.flatnonzero(images + named)
        ]

    def _answers_by_rank(self, answers: np.ndarray, labels: np.ndarray) -> dict[str, dict[str, Any]]:
        ranks = ("root", *self.taxonomy.ranks)
        rank_of_answer = np.array([ranks.index(rank) for rank in self.taxonomy.node_ranks])[answers]
        is_right = hierarchy.judge(answers[:, None], labels, self.taxonomy)[:, 0]
        return {rank: specificity.share_of(rank_of_answer == index, is_right) for index, rank in enumerate(ranks)}


class _Groups:
    """The classes grouped by their ancestor at one rank; a group is a run of neighbouring classes."""

    def __init__(self, nodes: np.ndarray) -> None:
        starts = np.flatnonzero(np.diff(nodes, prepend=-1))
        self.edges = np.append(starts, len(nodes))
        self.of_class = np.repeat(np.arange(len(starts)), np.diff(self.edges))
        self.are_classes = len(starts) == len(nodes)

    def most_probable(self, sums: np.ndarray) -> np.ndarray:
        """The group with the largest sum, int [batch], from running sums."""
        return np.diff(sums[:, self.edges], axis=1).argmax(axis=1)


def _rank_of_true(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes come before the true one, int [batch]; of equals the first comes first, as in argmax."""
    true = logits[np.arange(len(labels)), labels][:, None]
    ahead = np.count_nonzero(logits > true, axis=1)
    for row in np.flatnonzero(np.count_nonzero(logits == true, axis=1) > 1):
        ahead[row] += np.count_nonzero(logits[row, : labels[row]] == true[row])
    return ahead


def _interval(is_right: np.ndarray) -> list[float]:
    return list(specificity.clopper_pearson(int(is_right.sum()), len(is_right)))


def _macro_accuracy(label: np.ndarray, is_right: np.ndarray) -> float:
    images = np.bincount(label)
    present = images > 0
    return float((np.bincount(label, is_right)[present] / images[present]).mean())


def _accuracy_by_class_size(class_sizes: np.ndarray, label: np.ndarray, is_right: np.ndarray) -> list[dict[str, Any]]:
    """Accuracy by training images a class, in powers of two (figure 4); bins without images are left out."""
    bins = np.frexp(class_sizes)[1]  # 0 for no image, 1 for 1, 2 for 2-3, 3 for 4-7, ...
    rows = []
    for index in np.unique(bins):
        chosen = is_right[bins[label] == index]
        if len(chosen):
            rows.append(
                {
                    "smallest": 2 ** (int(index) - 1) if index else 0,
                    "largest": 2 ** int(index) - 1,
                    "classes": int((bins == index).sum()),
                    "images": len(chosen),
                    "accuracy": float(chosen.mean()),
                    "interval": _interval(chosen),
                }
            )
    return rows


def _confusions(
    class_names: Sequence[str], images: Sequence[str], label: np.ndarray, predicted: np.ndarray, top: int = 12, pictures: int = 3
) -> list[dict[str, Any]]:
    """The most frequent wrong pairs: count, share of the true class's images, up to 3 photos, one for comparison."""
    wrong = np.flatnonzero(label != predicted)
    pairs, counts = np.unique(np.stack([label[wrong], predicted[wrong]]), axis=1, return_counts=True)
    rows = []
    for pair in np.argsort(-counts, kind="stable")[:top]:
        true, taken_for = pairs[:, pair]
        chosen = wrong[(label[wrong] == true) & (predicted[wrong] == taken_for)][:pictures]
        # Best a photo that was itself recognised: it shows what the network takes the class to be.
        candidates = np.flatnonzero(label == taken_for)
        candidates = candidates[np.argsort(predicted[candidates] != taken_for, kind="stable")][:1]
        rows.append(
            {
                "true": class_names[true],
                "predicted": class_names[taken_for],
                "count": int(counts[pair]),
                "share": float(counts[pair] / (label == true).sum()),
                "images": [images[index] for index in chosen],
                "reference": images[candidates[0]] if len(candidates) else None,
            }
        )
    return rows
