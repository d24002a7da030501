"""A run as a collection: the photos that it was made of, with its answers as columns.

Answers are read where the run keeps them; the others are asked once and kept beside the explorer's state. What an application answers to a
photo is said by its `photo_answers.py`; of one that has none, as a retriever, the nearest pictures by the run's own features tell.
"""

import collections
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tfvision.applications import APPLICATIONS, names_with
from tfvision.apps.explorer.collection import Collection
from tfvision.apps.explorer.more_columns import OwnPhotos, Texts, address
from tfvision.apps.explorer.nearest_labels import nearest_labels
from tfvision.data.csv_table import CsvTable, csv_text
from tfvision.data.manifest import ListedPhotos
from tfvision.errors import DataError, RunError
from tfvision.evaluation.photo_answers import SURE_AND_WRONG
from tfvision.files import sha256_of, write_text

if TYPE_CHECKING:  # it takes TensorFlow, of which a gallery needs none
    from tfvision.training.trained_photos import RunPhotos

_DECIDING = ("model.weights.h5", "calibration.json", "unknown.json", "novelty.npz")  # files of a run that its answers depend on
_AT_ONCE = 512  # answers between two writings
_NAMED = 3


def is_run(path: str | Path) -> bool:
    """Whether a path is a run's folder."""
    return (Path(path) / "recipe.json").is_file()


def open_run(folder: Path, state: Path) -> OwnPhotos:
    """The photos of a run and what it says of them; a manifest of them is written into the explorer's state.

    Raises:
      RunError: no finished run, or one whose network makes no features.
      DataError: none of its photos is where it was.
      StorageError.
    """
    from tfvision.training.run import Run, read_run_file
    from tfvision.training.trained_photos import photos_of

    application = read_run_file(folder / "recipe.json", {"application": str})["application"]
    if application not in names_with("features"):
        raise RunError(f"{folder} is a run of {application!r}, whose network makes no features: explore the folder of its photos instead")
    if not Run(folder).weights_path.is_file():
        raise RunError(f"{folder} is not finished: go on with `tfvision train {application} --run {folder} --resume`")
    photos = photos_of(folder)
    if not len(photos.manifest):
        raise DataError(
            f"none of the {len(photos.away):,} photos of {folder} is in {_places(photos.roots)}: put them back, or explore another folder of photos"
        )
    source = state / "photos.csv"
    names = _all_different(record.name for record in photos.manifest.records)
    ranks = photos.manifest.ranks
    rows = (
        (os.path.abspath(record.path), name, ",".join(map(repr, record.box)) if record.box[2] else "", record.split, *record.lineage)
        for record, name in zip(photos.manifest.records, names, strict=True)
    )
    write_text(source, csv_text([("image", "id", "box", "split", *ranks), *rows]))
    mark = hashlib.sha256("".join(sha256_of(folder / name) for name in _DECIDING if (folder / name).is_file()).encode()).hexdigest()[:8]
    kept_in = state / "derived"
    columns: AskedAnswers | NearestAnswers
    if APPLICATIONS[application].has("photo_answers"):
        told_first, columns = "answer", AskedAnswers(folder, application, source, kept_in / f"answers-{mark}.csv", frozenset(photos.changed))
    else:
        told_first, columns = "nearest is", NearestAnswers(ranks[-1], kept_in)
    opens_at = address("browse", sort=f"c:{SURE_AND_WRONG}", order="down", caption=f"c:{told_first}")
    return OwnPhotos(source, columns, opens_at, tuple(_told(photos)), mark, str(folder))


class AskedAnswers:
    """Answers of a run's network.

    Args:
      folder, application: of the run.
      source: the manifest of its photos.
      path: where answers are kept.
      changed: names of photos that are not what the run saw.
    """

    needs_vectors = False

    def __init__(self, folder: Path, application: str, source: Path, path: Path, changed: frozenset[str]) -> None:
        self._folder, self._application, self._source, self._path = folder, application, source, path
        part = APPLICATIONS[application].part("photo_answers")
        self._answers = part.answers
        self._known: dict[str, Texts] = {name: answer for name, answer in part.kept_answers(folder).items() if name not in changed}
        self._known |= _read(path)

    def known(self, collection: Collection) -> Mapping[str, Texts]:
        return dict(self._known)  # others read it while it grows

    def missing(self, collection: Collection) -> int:
        return sum(id not in self._known for id in collection.pictures.ids)

    def forget(self, ids: Iterable[str]) -> None:
        if [id for id in ids if self._known.pop(id, None) is not None]:
            _write(self._path, dict(self._known))

    def make(self, collection: Collection, advance: Callable[[int], object]) -> None:
        from tfvision.data.pipeline import BrokenPhotos  # TensorFlow: seconds

        listed = ListedPhotos.open(self._source)
        manifest = listed.manifest(listed.columns[4:])
        asked = manifest.select([name not in self._known for name in manifest.texts("id")])
        names, waiting = list(asked.texts("id")), 0
        try:
            for name, answer in self._answers(self._folder, asked, names, BrokenPhotos()):
                self._known[name] = answer
                waiting += 1
                if waiting % _AT_ONCE == 0:
                    _write(self._path, dict(self._known))
                advance(1)
            self._known |= {name: {} for name in names if name not in self._known}  # which cannot be read: not asked again
        finally:
            _write(self._path, dict(self._known))


class NearestAnswers:
    """What the nearest pictures by the first layer say: whether the nearest has the same label, and how near the nearest of its own and of others is.

    Args:
      column: of labels.
      folder: where this is kept.
    """

    needs_vectors = True

    def __init__(self, column: str, folder: Path) -> None:
        self._column, self._folder = column, folder

    def known(self, collection: Collection) -> Mapping[str, Texts]:
        return _read(self._path(collection)) if collection.layers else {}

    def missing(self, collection: Collection) -> int:
        has_answers = not collection.layers or self._column not in collection.pictures.columns or self.known(collection)
        return 0 if has_answers else len(collection.pictures)

    def forget(self, ids: Iterable[str]) -> None:
        pass  # it is kept with the vectors, which are others then

    def make(self, collection: Collection, advance: Callable[[int], object]) -> None:
        pictures, layer = collection.pictures, collection.layers[0]
        values, codes = pictures.given[self._column]  # as the run knows them: what is kept must not depend on what is corrected by now
        found = nearest_labels(layer, codes, advance)
        label_of = lambda position: str(values[codes[position]]) if position >= 0 else ""
        _write(self._path(collection), {id: found.answer(position, label_of(found.nearest(position))) for position, id in enumerate(pictures.ids)})

    def _path(self, collection: Collection) -> Path:
        return self._folder / f"answers-{collection.layers[0].fingerprint}.csv"


def _told(photos: "RunPhotos") -> Iterable[str]:
    whole = len(photos.manifest) + len(photos.away)
    if photos.away:
        yield f"{len(photos.away):,} of {whole:,} photos of the run are not in {_places(photos.roots)} any more and are not shown: {_listed(photos.away)}"
    if photos.changed:
        yield f"{len(photos.changed):,} of {whole:,} photos of the run have another size than when it was trained: {_listed(photos.changed)}"


def _places(roots: Iterable[Path]) -> str:
    return " or ".join(map(os.path.abspath, roots))


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")


def _all_different(names: Iterable[str]) -> list[str]:
    """Texts as they are; a photo that stands there again, for another of its boxes, gets a number."""
    seen: collections.Counter[str] = collections.Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(f"{name} ({seen[name]})" if seen[name] > 1 else name)
    return found


def _read(path: Path) -> dict[str, Texts]:
    """{id: columns} of a table of ours; {} where it is not there, or is none."""
    if not path.is_file():
        return {}
    try:
        table = CsvTable.read(path)
    except DataError:  # damaged: made again
        return {}
    columns = [name for name in table.header if name != "id"]
    rows = zip(*(table.texts(name) for name in columns), strict=True) if columns else ((),) * len(table)
    return {id: dict(zip(columns, row, strict=True)) for id, row in zip(table.texts("id"), rows, strict=True)}


def _write(path: Path, known: Mapping[str, Texts]) -> None:
    columns = list(dict.fromkeys(name for answer in known.values() for name in answer))
    write_text(path, csv_text([("id", *columns), *((id, *(answer.get(name, "") for name in columns)) for id, answer in known.items())]))
