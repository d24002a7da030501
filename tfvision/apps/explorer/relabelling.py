"""What the page asks of corrected labels; it knows pictures by their position, the file by their id."""

import getpass
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfvision.apps.explorer.collection import Pictures
from tfvision.apps.explorer.corrected_manifest import write_corrected_manifest
from tfvision.apps.explorer.corrections import Entry, first_with, label_of, ranks_above
from tfvision.apps.explorer.queries import is_whole
from tfvision.apps.explorer.session import Session
from tfvision.errors import DataError

Answer = dict[str, Any]  # as the page reads it


def told(session: Session, pictures: Pictures) -> Answer:
    """{"version", "who": a name to begin with, "columns": {column: {position: {"label", "given", "who", "when"}}}} of pictures that are there."""
    kept = session.corrections.read()
    columns = {}
    for name in kept["columns"].keys() & pictures.given.keys():
        there = {pictures.positions[id]: entry for id, entry in kept["columns"][name].items() if id in pictures.positions}
        columns[name] = {position: {**entry, "given": label_of(pictures.given, name, position)} for position, entry in there.items()}
    return {"version": kept["version"], "who": _user(), "columns": columns}


def relabel(session: Session, pictures: Pictures, column: str, positions: Sequence[int], label: str | None, who: str) -> Answer:
    """Gives pictures a label, or their source's again (None), and with it the ranks above it; returns `told` and "before", for `restore`.

    Raises DataError, RunError, StorageError.
    """
    if not positions:
        raise DataError("no picture is chosen: choose one first")
    if label is not None and not label.strip():
        raise DataError("a label is a text, got nothing: type one, or take the source's again")
    above = [name for name in ranks_above(pictures.given, column) if name not in pictures.answers]
    wanted: dict[str, dict[int, str | None]]
    if label is None:
        wanted = {name: dict.fromkeys(positions) for name in [column, *above]}
    else:
        first = first_with(pictures.given, column, label.strip())
        labels = {column: label.strip()} | ({name: label_of(pictures.given, name, first) for name in above} if first is not None else {})
        wanted = {name: {one: None if label_of(pictures.given, name, one) == text else text for one in positions} for name, text in labels.items()}
    kept = session.corrections.read()["columns"]
    changed = {
        name: {id: text for id, text in texts.items() if text is not None or id in kept.get(name, ())}
        for name, texts in _renamed(wanted, pictures.ids.__getitem__).items()
    }
    before = session.corrections.correct({name: texts for name, texts in changed.items() if texts}, who)
    session.show_corrections()
    return {**told(session, pictures), "before": _renamed(before, pictures.positions.__getitem__)}


def restore(session: Session, pictures: Pictures, before: Mapping[str, Mapping[str, Entry | None]]) -> Answer:
    """Takes a change back, whose "before" this is; returns `told`. Raises DataError, RunError, StorageError."""
    ids = pictures.ids
    if not all(is_whole(position) and int(position) < len(ids) for entries in before.values() for position in entries):
        raise DataError("places must be numbers of pictures")
    session.corrections.restore(_renamed(before, lambda position: ids[int(position)]))
    session.show_corrections()
    return told(session, pictures)


def write_manifest(session: Session, pictures: Pictures) -> Answer:
    """Writes the manifest with corrected labels: {"path", "corrected", "command"}. Raises DataError, StorageError."""
    plan = session.plan
    written = write_corrected_manifest(plan.source, pictures, session.corrections.read()["columns"], plan.state / "corrected", plan.name.replace("/", "-"))
    return written._asdict()


def _renamed(by_name: Mapping[str, Mapping[Any, Any]], rename: Callable[[Any], Any]) -> dict[str, dict[Any, Any]]:
    return {name: {rename(key): value for key, value in entries.items()} for name, entries in by_name.items()}


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without one
        return ""
