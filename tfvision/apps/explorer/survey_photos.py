"""A survey as a collection: the photos of its card, with its tables as columns, and what to look at first in front."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tfvision.apps.explorer.collection import Collection
from tfvision.apps.explorer.more_columns import OwnPhotos, Texts, address
from tfvision.apps.explorer.run_photos import is_run
from tfvision.data.csv_table import CsvTable, csv_text
from tfvision.errors import DataError
from tfvision.files import read_json, write_text

_MEDIA, _OBSERVATIONS, _EXPLORED = "media.csv", "observations.csv", Path("state") / "explored.json"
_OF_PHOTO = {
    **{name: name for name in ("status", "reason", "deployment", "event", "time", "camera", "animals", "people", "vehicles")},
    "taxon": "answer",
    "rank": "answer rank",
    "probability": "probability",
    "unknown_probability": "novelty",
}
_OF_EVENT = {
    "taxon": "event answer",
    "rank": "event rank",
    "probability": "event probability",
    "photos": "photos of event",
    "agreement": "agreement",
    "review": "review",
}
_FIRST, _WHY = "look at first", "why look"
_SKIPPED = "skipped"


def is_survey(path: str | Path) -> bool:
    """Whether a path is a folder that `tfvision survey` wrote."""
    return all((Path(path) / name).is_file() for name in (_MEDIA, _OBSERVATIONS, "state/survey.json"))


def open_survey(folder: Path, state: Path) -> OwnPhotos:
    """The photos of a survey's card and what its tables say of them; a manifest of them is written into the explorer's state.

    Raises:
      DataError: none of its photos is where it was, or an older version did not keep where that is.
      StorageError.
    """
    if not (folder / _EXPLORED).is_file():
        again = f"run `tfvision survey CARD --model RUN --out {folder}` once more, which looks at no photo again"
        raise DataError(f"{folder} does not say where its card is, as an older version wrote it: {again}")
    kind = {"card": str, "model": str | None, "look_first": [{"event": str, "why": str}]}
    told = read_json(folder / _EXPLORED, kind, "run the survey once more, which looks at no photo again")
    card = Path(told["card"])
    found = _columns(folder, [(one["event"], one["why"]) for one in told["look_first"]])
    there = [name for name in found if (card / name).is_file()]
    if not there:
        raise DataError(f"none of the {len(found):,} photos of {folder} is in {card}: put the card back, or survey it again from where it is")
    source = state / "photos.csv"
    write_text(source, csv_text([("image", "id"), *((str(card / name), name) for name in there)]))
    away = len(found) - len(there)
    lines = (f"{away:,} of {len(found):,} photos of the survey are not in {card} any more and are not shown",) if away else ()
    opens_at = address("browse", sort=f"c:{_FIRST}", caption=f"c:{_OF_EVENT['taxon']}") if told["look_first"] else ""
    model = told.get("model")
    return OwnPhotos(source, SurveyColumns(found), opens_at, lines, model=model if model and is_run(model) else "")


class SurveyColumns:
    """What a survey's tables say, which is all known."""

    needs_vectors = False

    def __init__(self, known: Mapping[str, Texts]) -> None:
        self._known = known

    def known(self, collection: Collection) -> Mapping[str, Texts]:
        return self._known

    def missing(self, collection: Collection) -> int:
        return 0

    def forget(self, ids: Iterable[str]) -> None:
        pass  # it is of the survey's time

    def make(self, collection: Collection, advance: Callable[[int], object]) -> None:
        pass


def _columns(folder: Path, look_first: list[tuple[str, str]]) -> dict[str, Texts]:
    """{photo: columns} of all that is a photo; of an event each photo has what is said of it."""
    media, observations = CsvTable.read(folder / _MEDIA), CsvTable.read(folder / _OBSERVATIONS)
    of_event: dict[str, dict[str, str]] = {}
    for event, *texts in zip(*(observations.texts(name) for name in ("event", *_OF_EVENT)), strict=True):
        of_event[event] = dict(zip(_OF_EVENT.values(), texts, strict=True))
    for number, (event, why) in enumerate(look_first, 1):
        of_event.setdefault(event, {}).update({_FIRST: str(number), _WHY: why})
    found: dict[str, Texts] = {}
    for name, *texts in zip(*(media.texts(name) for name in ("file", *_OF_PHOTO)), strict=True):
        own = dict(zip(_OF_PHOTO.values(), texts, strict=True))
        if own["status"] != _SKIPPED or own["deployment"]:  # a file that is no photo has none
            found[name] = {**of_event.get(own["event"], {}), **own}
    return found
