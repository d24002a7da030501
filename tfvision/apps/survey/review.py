"""A person's answers to the events of a survey: kept for good, and what they say of the machine's.

They stand in the column `review` of observations.csv, beside whatever columns a person adds, in the file of the survey itself or in a copy
that came back from someone. They belong to the photo that their event is named by, so that they stay with it where a gap or a clock is changed.
"""

import collections
import typing
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from tfvision.apps.survey.observations import ANIMAL, Answer, Observation, kind_of
from tfvision.apps.survey.tables import EVENT, MEDIA, OBSERVATION_COLUMNS, OBSERVATIONS, REVIEW
from tfvision.data.csv_table import CsvTable, csv_text
from tfvision.data.names import plain_taxon, tidy_name
from tfvision.data.no_taxa import BLANK, HUMAN, VEHICLE
from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import DataError, DataWarning
from tfvision.evaluation.specificity import clopper_pearson
from tfvision.files import write_text

REVIEWS = "reviews.csv"
NOTHING_NAMED = "nothing named"
RIGHT, WRONG, TOO_DEEP, OPEN = "right", "wrong", "too deep", "open"
_BETWEEN = " | "  # of the texts of events that became one

Written = dict[str, dict[str, str]]  # event -> a person's column -> what stands there


class Judged(typing.NamedTuple):
    """How often the machine was right where it answered at one rank.

    Attributes:
      rank: of its answers; "nothing named" where it abstained, "blank" where it said that nothing is there.
      depth: of these in the taxonomy.
      reviewed: events that a person answered.
      right: of these, how often the person's taxon is the machine's, or below it.
      too_deep: where the person named a taxon above the machine's, and no more can be said.
      open: where the model does not know the person's taxon, nor its genus.
      interval: 95 % of right among right and wrong; None where there is none.
    """

    rank: str
    depth: int
    reviewed: int
    right: int
    too_deep: int
    open: int
    interval: tuple[float, float] | None


def read_written(path: Path | str) -> tuple[Written, CsvTable]:
    """What a person wrote into a table of observations, by whatever program, and the table. Raises DataError."""
    table = CsvTable.read(path, OBSERVATION_COLUMNS)
    lacking = [name for name in (EVENT, REVIEW) if name not in table.columns]
    if lacking:
        raise DataError(f"{path} has no column `{lacking[0]}`; its columns are {', '.join(table.header) or 'none'}: move it away, or give it its columns back")
    own = [name for name in table.header if name and (name == REVIEW or name not in OBSERVATION_COLUMNS)]
    written: Written = {}
    for row, event in enumerate(table.texts(EVENT)):
        if texts := {name: tidy_name(table.texts(name)[row]) for name in own if table.texts(name)[row].strip()}:
            written[event.strip()] = texts
    return written, table


def keep_written(out: Path, *sources: Path) -> Written:
    """All that persons wrote: OUT/reviews.csv and tables. A later table changes a text, none takes one away.

    Raises:
      DataError: a table that is none of observations.
      StorageError: it cannot be kept.
    """
    kept = read_written(out / REVIEWS)[0] if (out / REVIEWS).is_file() else {}
    written = {event: dict(texts) for event, texts in kept.items()}
    for source in sources:
        for event, texts in (read_written(source)[0] if source.is_file() else {}).items():
            written.setdefault(event, {}).update(texts)
    if written != kept:
        columns = [REVIEW, *sorted({name for texts in written.values() for name in texts} - {REVIEW})]
        rows = ([event, *(written[event].get(name, "") for name in columns)] for event in sorted(written))
        write_text(out / REVIEWS, csv_text([[EVENT, *columns], *rows]))
    return written


def written_of(observations: Iterable[Observation], written: Written) -> Written:
    """What was written of the events as they are now: it goes with the photo that its event was named by."""
    found: Written = {}
    for one in observations:
        for texts in (written[row.photo.name] for row in one.media if row.photo.name in written):
            of_event = found.setdefault(one.event, {})
            for name, text in texts.items():
                of_event[name] = text if of_event.get(name, text) == text else f"{of_event[name]}{_BETWEEN}{text}"
    return found


def judge(path: Path | str, out: Path, taxonomy: Taxonomy | None) -> list[Judged]:
    """Keeps a person's answers in OUT, where that is a survey, and says how often the machine was right, the shallowest rank first.

    Args:
      path: a table of observations.
      out: the folder of the survey.
      taxonomy: of the model; None = of the answers in the table alone.

    Raises:
      DataError: the table is none of observations, is of another survey, or no row of it has an answer of a person.
      StorageError: they cannot be kept.
    """
    written, table = read_written(path)
    reviews = {event: texts[REVIEW] for event, texts in written.items() if REVIEW in texts}
    if not reviews:
        raise DataError(f"{path} has no answer of a person: write taxa, or blank, into its column `{REVIEW}`")
    if (out / OBSERVATIONS).is_file():
        _check_events(path, out, reviews)
        keep_written(out, out / OBSERVATIONS, Path(path))
    lineages = _lineages(taxonomy, table)
    verdicts: dict[tuple[int, str], collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for event, kind, rank, lineage in zip(*(table.texts(name) for name in (EVENT, "kind", "rank", "lineage")), strict=True):
        if review := reviews.get(event.strip()):
            machine = [plain_taxon(name) for name in lineage.split(" > ") if name.strip()]
            key = (0, BLANK) if kind == BLANK else (len(machine), rank) if machine else (0, NOTHING_NAMED)
            verdicts[key][_verdict(kind, machine, review, lineages)] += 1
    return [_judged(rank, depth, verdicts[depth, rank]) for depth, rank in sorted(verdicts)]


def _check_events(path: Path | str, out: Path, reviews: Collection[str]) -> None:
    """Tells of answers to photos that a survey does not have. Raises DataError where it has none of them."""
    photos = set(CsvTable.read(out / MEDIA).texts("file")) if (out / MEDIA).is_file() else set(reviews)
    unknown = sorted(event for event in reviews if event not in photos)
    if len(unknown) == len(reviews):
        raise DataError(f"{path} is of another survey: {out} has no event such as {unknown[0]}; name its own folder with --out")
    if unknown:
        told = f"{len(unknown):,} of its answers are to no event of {out}, such as {unknown[0]}"
        warnings.warn(f"{path}: {told}: they are kept, and count for nothing", DataWarning, stacklevel=2)


def _lineages(taxonomy: Taxonomy | None, table: CsvTable) -> dict[str, list[str]]:
    """{plain name of a taxon: plain names of its lineage, itself the last}."""
    paths = [lineage.split(" > ") for lineage in table.texts("lineage") if lineage.strip()]
    if taxonomy is not None:
        paths = [[taxonomy.names[node] for node in taxonomy.path_to(number)[1:]] for number in range(1, taxonomy.node_count)]
    plain = [[plain_taxon(name) for name in path] for path in paths]
    return {path[end - 1]: path[:end] for path in plain for end in range(1, len(path) + 1)}


def _verdict(kind: str, machine: Sequence[str], review: str, lineages: Mapping[str, Sequence[str]]) -> str:
    theirs_is = kind_of(Answer.named(review))
    if kind != BLANK and not machine:
        return RIGHT  # to name nothing is never wrong
    if theirs_is != ANIMAL or kind in (BLANK, HUMAN, VEHICLE):
        return RIGHT if kind == theirs_is else WRONG
    name = plain_taxon(review)
    theirs = lineages.get(name)
    if theirs is None:  # a species of a genus that is known, perhaps
        theirs = lineages.get(name.partition(" ")[0]) if " " in name else None
        if theirs is None:
            return OPEN
        theirs = [*theirs, name]
    if list(theirs[: len(machine)]) == list(machine):
        return RIGHT
    return TOO_DEEP if list(machine[: len(theirs)]) == list(theirs) else WRONG


def _judged(rank: str, depth: int, verdicts: Mapping[str, int]) -> Judged:
    right, wrong = verdicts.get(RIGHT, 0), verdicts.get(WRONG, 0)
    interval = clopper_pearson(right, right + wrong) if right + wrong else None
    return Judged(rank, depth, sum(verdicts.values()), right, verdicts.get(TOO_DEEP, 0), verdicts.get(OPEN, 0), interval)
