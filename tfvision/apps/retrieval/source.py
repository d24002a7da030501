"""SOURCE as retrieval reads it: what belongs together, who asks, and Oxford's ground truth."""

import dataclasses
import typing
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfvision.data.lineage_matching import deepest
from tfvision.data.manifest import ListedPhotos, Manifest, csv_of, read_photos, read_source
from tfvision.data.splits import split_validation
from tfvision.errors import DataError
from tfvision.evaluation import retrieval
from tfvision.evaluation.retrieval import Question
from tfvision.files import parse_json
from tfvision.trained.retriever_run import RetrieverRecipe

GROUND_TRUTH = "groundtruth.json"
QUERY_ROLES = ("query", "probe")
QUERY_KINDS = ("boxes", "good")
_OFFICIAL_SIZE_PX = 1024  # the longer side of the photos to which Oxford's boxes refer


@dataclasses.dataclass(frozen=True)
class Source:
    """Photos and what they have in common.

    Attributes:
      labels: the finest label of each photo; "" where it has none.
      groups: of each photo: of the column `group`, else the label.
      is_query: bool [photos], by a column `role` that names queries, or None.
    """

    manifest: Manifest
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    is_query: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Trial:
    """What a protocol asks of photos.

    Attributes:
      protocol: of evaluation.retrieval.PROTOCOLS.
      queries: the gallery itself, but for Oxford, whose queries are cropped.
      questions: rows of the two.
    """

    protocol: str
    gallery: Manifest
    queries: Manifest
    questions: list[Question]


def read_retrieval_source(source: Path | str, ranks: Sequence[str] | None = None) -> Source:
    """Reads a folder of class folders, a manifest, or a folder with Oxford's ground truth, for training.

    A CSV's columns: `image`, labels (coarsest first) or `group`, and perhaps `role` (query or gallery), `split`, `box`.

    Raises:
      DataError.
    """
    path = csv_of(source)
    if path is None:
        return _oxford_labels(source) if _has_ground_truth(source) else _labelled(read_source(source, ranks))
    listed = ListedPhotos.open(path)
    has_group = "group" in listed.columns
    try:
        manifest = listed.manifest(ranks)
    except DataError:
        if ranks or not has_group:
            raise
        manifest = listed.manifest(("group",))  # groups are labels enough
    groups = tuple(record.group for record in manifest.records) if has_group else None
    is_query = np.isin([role.lower() for role in manifest.texts("role")], QUERY_ROLES)
    return _labelled(manifest, groups, is_query if is_query.any() else None)


def read_trial(source: Path | str, protocol: str, ranks: Sequence[str] | None = None, queries: str = "boxes") -> Trial:
    """What a protocol asks of SOURCE.

    Args:
      protocol: "ukbench" and "holidays" go by groups, "labels" by labels, "oxford" by ground truth.
      queries: of Oxford: "boxes" (the official ones, cropped) or "good" (each good photo, whole, against the rest).

    Raises:
      DataError.
    """
    if protocol == "oxford":
        return _oxford_trial(source, queries)
    read = read_retrieval_source(source, ranks)
    if protocol == "ukbench":
        questions = retrieval.ukbench_questions(read.groups)
    elif protocol == "holidays":
        questions = retrieval.holidays_questions(read.groups, read.is_query)
    elif protocol == "labels":
        questions = [q for q in retrieval.labels_questions(read.labels, read.is_query) if read.labels[q.query]]
    else:
        raise DataError(f"--protocol must be one of {', '.join(retrieval.PROTOCOLS)}, got {protocol!r}")
    return Trial(protocol, read.manifest, read.manifest, questions)


def choose_training(source: Source, recipe: RetrieverRecipe) -> np.ndarray:
    """Which photos train, bool [photos].

    All do for protocol_split "paper". Else queries by role do not, nor photos whose split is another than "train"; where
    neither is named, a share of the classes, or of each class's photos, is held out.
    """
    manifest = source.manifest
    if recipe.protocol_split == "paper":
        return np.full(len(manifest), True)
    splits = np.array([record.split for record in manifest.records])
    if source.is_query is not None or (splits != "").any():
        is_training = np.isin(splits, ("train", ""))
        return is_training if source.is_query is None else is_training & ~source.is_query
    by_class = recipe.held_out == "classes"
    records = [
        dataclasses.replace(record, lineage=("",) if by_class else (label,), group=label if by_class else record.name)
        for record, label in zip(manifest.records, source.labels, strict=True)
    ]
    return split_validation(Manifest(("label",), tuple(records)), recipe.held_out_fraction, recipe.seed) == "train"


def _labelled(manifest, groups=None, is_query=None):
    # A folder's name is a label at whatever level the photos lie; an empty cell is none.
    labels = tuple(record.lineage[-1] if manifest.columns else deepest(record.lineage) for record in manifest.records)
    return Source(manifest, labels, groups or labels, is_query)


@dataclasses.dataclass(frozen=True)
class _Landmark:
    """Names of the photos, and (name, left, top, right, bottom) of the official queries, in official pixels."""

    good: list[str]
    ok: list[str]
    junk: list[str]
    boxes: list[typing.Any]


def _has_ground_truth(source):
    return (Path(source) / GROUND_TRUTH).is_file() or any(Path(source).glob("**/*_query.txt"))


def _read_landmarks(source):
    """{name: _Landmark} of groundtruth.json, or of the official text files, one a query."""
    path = Path(source) / GROUND_TRUTH
    try:
        if path.is_file():
            stored = parse_json(path.read_text(encoding="utf-8"))["groundtruth"]
            return {name: _Landmark(lists["good"], lists["ok"], lists["junk"], lists.get("official_queries_present", [])) for name, lists in stored.items()}
        return {path.name.removesuffix("_query.txt"): _official_landmark(path) for path in sorted(Path(source).glob("**/*_query.txt"))}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise DataError(
            f"the ground truth in {source} cannot be read ({error!r}): expected {GROUND_TRUTH}, or Oxford's NAME_query.txt, _good, _ok and _junk"
        ) from error


def _official_landmark(path):
    def names(kind):
        return path.with_name(path.name.replace("_query.txt", f"_{kind}.txt")).read_text().split()

    name, *box = path.read_text().split()
    return _Landmark(names("good"), names("ok"), names("junk"), [[name.removeprefix("oxc1_"), *map(float, box)]])


def _oxford_photos(source):
    """The manifest of all photos, and {stem: row}."""
    manifest = read_photos(source)
    return manifest, {Path(record.name).stem: row for row, record in enumerate(manifest.records)}


def _oxford_trial(source, queries):
    if queries not in QUERY_KINDS:
        raise DataError(f"--queries must be one of {', '.join(QUERY_KINDS)}, got {queries!r}")
    if not Path(source).is_dir() or not _has_ground_truth(source):
        raise DataError(
            f"--protocol oxford needs a folder with {GROUND_TRUTH}, or with Oxford's ground-truth files (NAME_query.txt, ...): {source} has neither"
        )
    manifest, rows = _oxford_photos(source)
    records, questions = [], []
    for landmark in _read_landmarks(source).values():
        found = {kind: np.array([rows[name] for name in getattr(landmark, kind) if name in rows], int) for kind in ("good", "ok", "junk")}
        relevant = np.concatenate([found["good"], found["ok"]])
        asked = [(row, None) for row in found["good"]] if queries == "good" else [(rows[name], box) for name, *box in landmark.boxes if name in rows]
        for row, box in asked:
            itself = [row] if box is None else []
            questions.append(Question(len(records), relevant, np.concatenate([found["junk"], itself]).astype(int)))
            records.append(manifest.records[row] if box is None else _cropped(manifest.records[row], box))
    if not records:
        raise DataError(f"{source} has none of the photos that its ground truth asks with (--queries {queries})")
    return Trial("oxford", manifest, Manifest(manifest.ranks, tuple(records)), questions)


def _cropped(record, box):
    """The record with an official box, scaled where the photo was."""
    from tfvision.data.decoding import read_photo

    photo = read_photo(record.path)
    scale = max(photo.height, photo.width) / _OFFICIAL_SIZE_PX
    left, top, right, bottom = (scale * value for value in box)
    return dataclasses.replace(record, box=(left, top, right - left, bottom - top))


def _oxford_labels(source):
    """For training: landmarks are the labels of their good and ok photos; all else is left out."""
    manifest, rows = _oxford_photos(source)
    label = {}
    for name, landmark in _read_landmarks(source).items():
        name = name.rsplit("_", 1)[0] if name.rsplit("_", 1)[-1].isdigit() else name  # five queries a landmark
        label.update({rows[photo]: name for photo in (*landmark.good, *landmark.ok) if photo in rows})
    records = tuple(dataclasses.replace(manifest.records[row], lineage=(name,)) for row, name in sorted(label.items()))
    return _labelled(Manifest(("landmark",), records))
