"""SOURCE as retrieval reads it: what belongs together, who asks, and the benchmarks with their ground truth."""

import dataclasses
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from tfvision.data.boxes import scaled_box
from tfvision.data.decoding import photo_size
from tfvision.data.landmarks import GROUND_TRUTH, OFFICIAL_SIZE_PX, GroundTruth, has_ground_truth, read_ground_truth, tag
from tfvision.data.layouts import LAYOUTS, check_layout, recognise
from tfvision.data.lineage_matching import deepest
from tfvision.data.manifest import ListedPhotos, Manifest, Record, csv_of, read_photos, read_source
from tfvision.data.photo_files import walk_photos
from tfvision.data.splits import split_validation
from tfvision.errors import DataError
from tfvision.evaluation import retrieval
from tfvision.evaluation.retrieval import LANDMARK_LISTS, Question
from tfvision.trained.retriever_run import ALL_PHOTOS, LABELLED_PHOTOS, RetrieverRecipe

QUERY_ROLES = ("query", "probe")
QUERY_KINDS = ("boxes", "good")


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

    @property
    def asking(self) -> list[Record]:
        """The photo of each question."""
        return [self.queries.records[question.query] for question in self.questions]


def read_retrieval_source(source: Path | str, ranks: Sequence[str] | None = None, layout: str | None = None, train_on: str = LABELLED_PHOTOS) -> Source:
    """Reads a folder of class folders, a manifest, or a benchmark as it is distributed, for training.

    A CSV's columns: `image`, labels (coarsest first) or `group`, and perhaps `role` (query or gallery), `split`, `box`.

    Args:
      source: a path.
      ranks: label columns or levels of folders, coarsest first.
      layout: of data.layouts; None = as the folder's files tell.
      train_on: of landmarks: the photos that show one, or all, as RetrieverRecipe says.

    Raises:
      DataError.
    """
    if truth := _ground_truth(source, layout):
        return _landmark_labels(source, truth, train_on == ALL_PHOTOS)
    try:
        manifest = read_source(source, ranks, layout)
    except DataError:
        path = csv_of(source)
        if ranks or layout or path is None or "group" not in (listed := ListedPhotos.open(path)).columns:
            raise
        manifest = listed.manifest(("group",))  # groups are labels enough
    groups = tuple(record.group for record in manifest.records) if "group" in manifest.columns else None
    is_query = np.isin([role.lower() for role in manifest.texts("role")], QUERY_ROLES)
    return _labelled(manifest, groups, is_query if is_query.any() else None)


def read_trial(
    source: Path | str, protocol: str | None = None, ranks: Sequence[str] | None = None, queries: str = "boxes", layout: str | None = None, share: float = 1.0
) -> Trial:
    """What a protocol asks of SOURCE.

    Args:
      protocol: "ukbench" and "holidays" go by groups, "labels" by labels, "oxford" and the revisited ones by ground truth; None = that of
        the benchmark that SOURCE is, else "labels".
      ranks, layout: as `read_retrieval_source`.
      queries: of Oxford: "boxes" (the official ones, cropped) or "good" (each good photo, whole, against the rest).
      share: of the groups that are searched and ask, as `share_of`; not of landmarks.

    Raises:
      DataError.
    """
    if protocol not in (None, *retrieval.PROTOCOLS):
        raise DataError(f"--protocol must be one of {', '.join(retrieval.PROTOCOLS)}, got {protocol!r}")
    if protocol is None and (truth := _ground_truth(source, layout)):
        protocol = LAYOUTS[truth.layout].protocol if truth.layout else "oxford"
    if protocol in LANDMARK_LISTS:
        if share != 1:
            raise DataError(f"--share is of groups or labels, which --protocol {protocol} does not go by")
        return _landmark_trial(source, protocol, queries, layout)
    read = share_of(read_retrieval_source(source, ranks, layout), share)
    known = LAYOUTS.get(read.manifest.layout)
    protocol = protocol or (known.protocol if known else "labels")
    if protocol == "ukbench":
        questions = retrieval.ukbench_questions(read.groups, may_lack=bool(known))
    elif protocol == "holidays":
        questions = retrieval.holidays_questions(read.groups, read.is_query)
    else:
        read = _searched(read, known.searches if known else "")
        questions = [q for q in retrieval.labels_questions(read.labels, read.is_query) if read.labels[q.query]]
    return Trial(protocol, read.manifest, read.manifest, questions)


def share_of(source: Source, share: float) -> Source:
    """The photos of a share of the groups, at least two, always the same ones. Raises DataError."""
    if not 0 < share <= 1:
        raise DataError(f"--share must be above 0 and at most 1, got {share}")
    if share == 1:
        return source
    groups = np.unique(np.array(source.groups))
    kept = np.random.default_rng(0).permutation(groups)[: max(2, round(share * len(groups)))]
    return _rows(source, np.isin(source.groups, kept))


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


def _labelled(manifest: Manifest, groups: tuple[str, ...] | None = None, is_query: np.ndarray | None = None) -> Source:
    # A folder's name is a label at whatever level the photos lie; an empty cell is none.
    labels = tuple(record.lineage[-1] if manifest.columns else deepest(record.lineage) for record in manifest.records)
    return Source(manifest, labels, groups or labels, is_query)


def _searched(source: Source, split: str) -> Source:
    """The photos of a split alone, where a benchmark's queries are searched for among these and there are any."""
    is_kept = np.array([record.split == split for record in source.manifest.records])
    return _rows(source, is_kept) if split and is_kept.any() else source


def _rows(source: Source, is_kept: np.ndarray) -> Source:
    labels, groups = (tuple(np.array(texts)[is_kept].tolist()) for texts in (source.labels, source.groups))
    return Source(source.manifest.select(is_kept), labels, groups, None if source.is_query is None else source.is_query[is_kept])


def _ground_truth(source: Path | str, layout: str | None) -> GroundTruth | None:
    """That of a folder of landmarks; None where SOURCE is something else."""
    check_layout(layout)
    is_named = layout in LAYOUTS and LAYOUTS[layout].read is None
    if not Path(source).is_dir() or (layout and not is_named) or (not layout and csv_of(source)):
        return None
    if not layout and (not has_ground_truth(source) or recognise(source, walk_photos(source).names)):
        return None  # none, or what others have written beside the photos of another benchmark
    truth = read_ground_truth(source, layout)
    if truth is None and is_named:
        raise DataError(f"--layout {layout} needs Oxford's ground-truth files (NAME_query.txt, ...) or gnd_{layout}*.pkl: {source} has neither")
    return truth


def _landmark_photos(source: Path | str) -> tuple[Manifest, dict[str, int]]:
    """The manifest of all photos, and {stem: row}."""
    manifest = read_photos(source)
    return manifest, {Path(record.name).stem: row for row, record in enumerate(manifest.records)}


def _landmark_trial(source: Path | str, protocol: str, queries: str, layout: str | None) -> Trial:
    if queries not in QUERY_KINDS:
        raise DataError(f"--queries must be one of {', '.join(QUERY_KINDS)}, got {queries!r}")
    truth = read_ground_truth(source, layout) if Path(source).is_dir() else None
    if truth is None:
        raise DataError(
            f"--protocol {protocol} needs a folder with {GROUND_TRUTH}, with Oxford's ground-truth files (NAME_query.txt, ...), or with "
            f"gnd_roxford5k.pkl: {source} has none of them"
        )
    wanted, junk = LANDMARK_LISTS[protocol]
    if not any(kind in landmark.lists for landmark in truth.landmarks for kind in wanted):
        kinds = sorted({kind for landmark in truth.landmarks for kind in landmark.lists})
        fitting = " or ".join(name for name, (lists, _) in LANDMARK_LISTS.items() if set(lists) & set(kinds))
        raise DataError(f"--protocol {protocol} goes by {', '.join(wanted)}, but the ground truth of {source} has {', '.join(kinds)}: --protocol {fitting}")
    photos, row_of = _landmark_photos(source)
    gallery, found = photos, row_of
    if truth.gallery is not None:
        kept = [row_of[name] for name in truth.gallery if name in row_of]
        gallery, found = photos.take(kept), {Path(photos.records[row].name).stem: number for number, row in enumerate(kept)}
    rows = lambda lists, kinds: np.array([found[name] for kind in kinds for name in lists.get(kind, ()) if name in found], int)
    records, questions = [], []
    for landmark in truth.landmarks:
        relevant, ignored = rows(landmark.lists, wanted), rows(landmark.lists, junk)
        if queries == "good":
            itself = [name for name in landmark.lists.get("good", ()) if name in found]
            asked = [(photos.records[row_of[name]], [found[name]]) for name in itself]
        else:
            asked = [(_with_corners(photos.records[row_of[name]], corners), []) for name, *corners in landmark.queries if name in row_of]
        for record, own in asked:
            questions.append(Question(len(records), relevant, np.concatenate([ignored, own]).astype(int)))
            records.append(record)
    if not records:
        raise DataError(f"{source} has none of the photos that its ground truth asks with (--queries {queries})")
    _check_counts(source, truth, row_of)
    return Trial(protocol, gallery, Manifest(photos.ranks, tuple(_in_pixels(records))), questions)


def _check_counts(source: Path | str, truth: GroundTruth, rows: Collection[str]) -> None:
    if truth.layout:
        searched = rows if truth.gallery is None else set(truth.gallery) & set(rows)
        asked = [photo for landmark in truth.landmarks for photo, *_ in landmark.queries if photo in rows]
        LAYOUTS[truth.layout].check(source, len(searched), len(asked))


def _with_corners(record: Record, corners: Sequence[float]) -> Record:
    left, top, right, bottom = corners
    return dataclasses.replace(record, box=(left, top, right - left, bottom - top))


def _in_pixels(records: Sequence[Record]) -> list[Record]:
    """The queries with official boxes as pixels of their photos, which may have been shrunk: then none has the official size."""
    sides = [_longer_side(record.path) for record in records]
    is_shrunk = max(sides) < OFFICIAL_SIZE_PX
    scales = [side / OFFICIAL_SIZE_PX if is_shrunk and side else 1.0 for side in sides]
    return [dataclasses.replace(record, box=scaled_box(record.box, (scale, scale))) for record, scale in zip(records, scales, strict=True)]


def _longer_side(path: str) -> int:
    """0 where the photo cannot be read, which its reading will tell."""
    try:
        return max(photo_size(path))
    except DataError:
        return 0


def _landmark_labels(source: Path | str, truth: GroundTruth, is_all: bool) -> Source:
    """For training: landmarks are the labels of the photos that show them; all others are left out, or have the word that their names tell."""
    manifest, rows = _landmark_photos(source)
    _check_counts(source, truth, rows)
    shown = truth.labels()
    labels = {row: shown.get(name) or (tag(name) if is_all else "") for name, row in rows.items()}
    records = tuple(dataclasses.replace(manifest.records[row], lineage=(name,)) for row, name in sorted(labels.items()) if name)
    if not is_all:
        print(f"{source}: {len(records)} of {len(manifest)} photos show a landmark and are used; --train-on all takes them all, as the paper", file=sys.stderr)
    return _labelled(Manifest(("landmark",), records))
