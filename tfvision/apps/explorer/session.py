"""One run of the explorer: the collection that is open, what is indexed meanwhile, and what changed on disk."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, Self

from tfvision.apps.explorer.attention import AttentionMaps
from tfvision.apps.explorer.collection import Collection, Layer, Pictures
from tfvision.apps.explorer.corrections import Corrections
from tfvision.apps.explorer.jobs import Jobs
from tfvision.apps.explorer.more_columns import MoreColumns
from tfvision.apps.explorer.plan import Plan, PlannedLayer
from tfvision.apps.explorer.queries import Queries
from tfvision.apps.explorer.state import Notes
from tfvision.apps.explorer.tables import Tables
from tfvision.apps.explorer.text_queries import TextQueries
from tfvision.apps.explorer.thumbnails import Thumbnails
from tfvision.data.photo_files import account, noted_left_out
from tfvision.data.shards.slices import photo_file
from tfvision.errors import DataError, FileError, GalleryError, UserError
from tfvision.files import read_json, write_json
from tfvision.index.locations import has_gallery, open_gallery
from tfvision.index.sources import GalleryPhotos, read_gallery_photos
from tfvision.index.storage import MANIFEST

_SECONDS_BETWEEN_LOOKS = 2.0
_SECONDS_BETWEEN_WALKS = 5.0  # over the pictures' files, while the page is open
_REST_AFTER_WALK = 20  # times as long as it took, without rests on the way
_WALKED_AT_ONCE, _WALKED_BETWEEN = 20_000, 100  # pictures; beyond the first, so many, then a rest for those who ask
_REST_BETWEEN = 9  # times as long as these took
_BROKEN = "broken.json"
_NAMED = 200  # pictures that cannot be read and are told by name
_FEW_GONE = 3  # pictures that an update removes without being asked twice
_SECONDS_TO_STOP = 30.0  # a network that is being opened cannot be interrupted


class Changes(NamedTuple):
    """What is on disk beside what was indexed.

    Attributes:
      new, gone, changed: ids.
      why: where the gone ones should be, or why the folder cannot be read; "" where nothing is amiss.
      is_readable: whether the folder or manifest can be read.
    """

    new: set[str]
    gone: list[str]
    changed: list[str]
    why: str
    is_readable: bool


@dataclasses.dataclass(frozen=True)
class Shown:
    """What the page shows now and what belongs to it; when the collection changes, another takes its place."""

    collection: Collection
    thumbnails: Thumbnails
    queries: Queries


class Session:
    """What the server answers from. `start` begins the work in the background.

    Attributes:
      shown: replaced whole; who asks for two things that must fit takes it once.
      notes, corrections, tables, jobs, texts, attention: kept.

    Raises:
      UserError: nothing there to show.
    """

    def __init__(self, plan: Plan, say: Callable[[str], object] = lambda line: None) -> None:
        self.plan, self._say = plan, say
        self.notes, self.tables, self.jobs, self.texts = Notes(plan.state), Tables(plan.state / "derived"), Jobs(), TextQueries(plan.text_model)
        self.corrections = Corrections(plan.state)
        self.attention = AttentionMaps()
        self.indexing: dict[str, Any] | None = None
        self.thumbnailing: dict[str, int] | None = None
        self.asking: dict[str, int] | None = None  # of the columns that are computed
        self.changed: dict[str, Any] | None = None
        self.error: str | None = None
        self.broken = _known_broken(plan.state)  # path -> reason
        self.left_out: dict[str, str] = {}  # what has a photo's name and is not shown: path -> reason
        self._rested = 0.0  # seconds, during walks over the files
        self._is_stopped, self._updating, self._filling = threading.Event(), threading.Lock(), threading.Lock()
        self._computing, self._replacing = threading.Lock(), threading.Lock()  # columns; `shown`, from when it is read until it is replaced
        self._threads: list[threading.Thread] = []
        self.notes.read()  # what people marked must be readable before anybody marks more
        self.shown = self._opened(1)
        for line in plan.told:
            say(f"note      {line}")

    @property
    def collection(self) -> Collection:
        return self.shown.collection

    @property
    def thumbnails(self) -> Thumbnails:
        return self.shown.thumbnails

    @property
    def queries(self) -> Queries:
        return self.shown.queries

    def start(self) -> Self:
        """Indexes, makes thumbnails and looks for changes, in threads that `stop` ends."""
        for work in (self.index, self._fill_thumbnails, self._watch):
            self._begin(work)
        return self

    def index(self) -> None:
        """Indexes what is missing, and looks for changes. Raises what building a gallery raises."""
        self._ask(has_vectors=False)
        for planned in [one for one in self.plan.galleries if one.recipe is not None and not _is_complete(one.location)]:
            self._build(planned)
        self._ask(has_vectors=True)
        self._look_for_changes()

    def show_corrections(self) -> int:
        """Shows labels as they are corrected now, by whatever process; returns the version of the corrections."""
        pictures, kept = self.collection.pictures, self.corrections.read()
        if pictures.corrections != kept["version"]:
            pictures.correct(kept)
        return pictures.corrections

    def stop(self) -> None:
        """Ends the background's work and waits for it; what is finished is kept."""
        self._is_stopped.set()
        until = time.monotonic() + _SECONDS_TO_STOP
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def status(self) -> dict[str, Any]:
        """What the page asks for again and again."""
        collection = self.collection
        layers = [{"name": layer.name, "dimension": layer.dimension, "count": layer.count} for layer in collection.layers]
        unread = {**self.left_out, **self.broken}
        broken = [{"name": os.path.basename(path), "reason": reason} for path, reason in list(unread.items())[:_NAMED]]
        return {
            "name": collection.name,
            "count": len(collection.pictures),
            "version": collection.version,
            "pictures": collection.pictures.fingerprint,
            "key": hashlib.sha256(str(self.plan.state.resolve()).encode()).hexdigest()[:16],  # of this collection, for what a browser keeps
            "notes_version": self.notes.read()["version"],
            "corrections": self.show_corrections(),
            "layers": layers,
            "text_layers": [number for number, layer in enumerate(collection.layers) if self.texts.fits(layer)],
            "indexing": self.indexing,
            "thumbnails": self.thumbnailing,
            "asking": self.asking,
            "told": list(self.plan.told),
            "changed": self.changed,
            "broken": {"count": len(unread), "named": broken},
            "error": self.error,
        }

    def update(self, confirmed: int | None = None) -> bool:
        """Takes what changed on disk into the galleries, in the background; returns False where that is under way already.

        Args:
          confirmed: how many pictures are gone, as a person typed it: more than a few are not removed without.

        Raises:
          DataError: more than a few are gone, or the folder cannot be read, and it was not confirmed.
        """
        if not self._updating.acquire(blocking=False):
            return False
        try:
            changes = self._changes()
            self._tell_changes(changes)
            if self._is_alarming(changes) and confirmed != len(changes.gone):
                way = f"To remove {len(changes.gone)} pictures, type their number." if changes.gone else "Put it back, then update."
                raise DataError(f"nothing was changed: {changes.why} {way}")
        except BaseException:
            self._updating.release()
            raise
        self._begin(functools.partial(self._update, changes))
        return True

    def _opened(self, version: int) -> Shown:
        plan = self.plan
        ready = [one for one in plan.galleries if _is_ready(one.location)]
        first = plan.galleries[0]
        if plan.source and first not in ready:  # all photos are shown while they are indexed
            with noted_left_out() as noted:
                photos = read_gallery_photos(plan.source)
            pictures, self.left_out = Pictures.of_photos(photos), _left_out(photos)
            for line in account(noted.values()):  # now, for the command may run for days
                self._say(f"left out  {line}")
        else:
            with open_gallery(first.location) as gallery:
                pictures = Pictures.of_gallery(gallery)
        if not len(pictures):
            raise GalleryError(f"{first.location} is empty: add pictures with `tfvision index add {first.location} IMAGES`")
        collection = Collection(plan.name, pictures, version, tuple(Layer(one.name, one.location, pictures) for one in ready))
        if plan.columns is not None:
            pictures.say_more(plan.columns.known(collection))
        pictures.correct(self.corrections.read())
        thumbnails = Thumbnails(
            plan.state / "thumbnails", pictures.ids, pictures.path, lambda position: any(layer.row_of[position] >= 0 for layer in collection.layers)
        )
        return Shown(collection, thumbnails, Queries(pictures, plan.state / "queries", plan.trusted, self.texts))

    def _build(self, planned: PlannedLayer) -> None:
        name, location, recipe = planned
        self.indexing = {"layer": name, "done": 0, "total": len(self.collection.pictures), "stage": "the network is being opened"}
        from tfvision.data.pipeline import BrokenPhotos  # TensorFlow: seconds
        from tfvision.index.making import Progress, build_gallery
        from tfvision.progress import progress_bar

        known, broken = self.broken, BrokenPhotos()
        self.broken = broken
        bars, looked = [], [time.monotonic()]

        def go_on():
            if self._is_stopped.is_set():
                raise GalleryError("stopped: what is finished is kept, and the next call goes on")

        def begin(total):
            go_on()
            known = len(self.collection.pictures) - total
            bars.append(progress_bar(f"indexing {name}", total))
            self.indexing = {"layer": name, "done": known, "total": known + total, "stage": "seeing pictures"}

        def advance(count):
            bars[-1].advance(count)
            self.indexing = {**self.indexing, "done": self.indexing["done"] + count}
            if time.monotonic() - looked[0] > _SECONDS_BETWEEN_LOOKS:
                looked[0] = time.monotonic()
                self._refresh(planned)
            go_on()

        try:
            go_on()
            build_gallery(self.plan.source, location, recipe, is_resumed=True, broken=broken, progress=Progress(begin, advance, self._say))
            self._refresh(planned)
            self.broken = known
            self._note_broken(broken)  # before it is told that the work is done
        finally:
            for bar in bars:
                bar.close()
            self.indexing = None

    def _ask(self, has_vectors: bool) -> None:
        """Computes what is missing of the columns, those from vectors or the others, and shows it."""
        if self.plan.columns is not None and self.plan.columns.needs_vectors == has_vectors:
            with self._computing:  # two at once would ask the same, and each end what the other tells
                self._compute(self.plan.columns)

    def _compute(self, columns: MoreColumns) -> None:
        collection = self.collection
        if not (total := columns.missing(collection)):
            return
        from tfvision.progress import progress_bar

        def advance(count):
            bar.advance(count)
            self.asking = {"done": self.asking["done"] + count, "total": total}
            if self._is_stopped.is_set():
                raise GalleryError("stopped: what is finished is kept, and the next call goes on")

        self.asking = {"done": 0, "total": total}
        try:
            with progress_bar("asking of each photo", total) as bar:
                columns.make(collection, advance)
        finally:
            self.asking = None
        with self._replacing:
            collection = self.collection
            collection.pictures.say_more(columns.known(collection))
            self.shown = dataclasses.replace(self.shown, collection=dataclasses.replace(collection, version=collection.version + 1))

    def _note_broken(self, broken: dict[str, str]) -> None:
        for reason in broken.values():
            self._say(f"broken    {reason}")
        self.broken = {**self.broken, **broken}
        write_json(self.plan.state / _BROKEN, self.broken)

    def _refresh(self, planned: PlannedLayer) -> None:
        """Shows what a gallery has gained."""
        if not _is_ready(planned.location):
            return
        with self._replacing:
            shown, collection = self.shown, self.shown.collection
            layers = {layer.location: layer for layer in collection.layers}
            layers[planned.location] = Layer(planned.name, planned.location, collection.pictures)
            self.shown = dataclasses.replace(shown, collection=dataclasses.replace(collection, layers=tuple(layers.values())))

    def _fill_thumbnails(self):
        with self._filling:  # two at once would make and pack the same ones
            thumbnails, total = self.thumbnails, len(self.collection.pictures)
            done = [len(thumbnails)]
            if done[0] == total:
                return

            def advance(count):
                done[0] += count
                self.thumbnailing = {"done": done[0], "total": total}

            self.thumbnailing = {"done": done[0], "total": total}
            try:
                thumbnails.fill(advance, lambda: self._is_stopped.is_set() or thumbnails is not self.thumbnails)
            finally:
                self.thumbnailing = None

    def _watch(self):
        """Looks for changes now and then; thumbnails of what is back are made."""
        rest = _SECONDS_BETWEEN_WALKS
        while not self._is_stopped.wait(rest):
            if self.indexing or self._updating.locked():
                continue
            started, before = time.monotonic() - self._rested, (self.changed or {}).get("gone", 0)
            with contextlib.suppress(UserError):
                self._look_for_changes()
                if (self.changed or {}).get("gone", 0) < before:
                    self._fill_thumbnails()
            rest = max(_SECONDS_BETWEEN_WALKS, _REST_AFTER_WALK * (time.monotonic() - self._rested - started))

    def _look_for_changes(self):
        """Compares the files with what was indexed: new, gone and changed since; what an update saw to meanwhile is not told."""
        pictures, changes = self.collection.pictures, self._changes(self._giving_way)
        if pictures is self.collection.pictures and not self._updating.locked():
            self._tell_changes(changes)

    def _tell_changes(self, changes: Changes) -> None:
        counts = {"new": len(changes.new), "gone": len(changes.gone), "changed": len(changes.changed)}
        alarm = {"why": changes.why} if self._is_alarming(changes) else {}
        self.changed = {**counts, "can_add": self.plan.source is not None, **alarm} if any(counts.values()) or alarm else None

    def _is_alarming(self, changes: Changes) -> bool:
        """Whether so much is gone that a disk may be unplugged."""
        return not changes.is_readable or len(changes.gone) > _FEW_GONE or len(changes.gone) == len(self.collection.pictures)

    def _giving_way(self, ids: Iterable[str]) -> Iterable[str]:
        """The same ids, with rests: a walk over a million files must not slow down every answer of half a minute."""
        began = time.monotonic()
        for number, id in enumerate(ids):
            if number >= _WALKED_AT_ONCE and number % _WALKED_BETWEEN == 0:
                rest = _REST_BETWEEN * (time.monotonic() - began)
                self._is_stopped.wait(rest)
                self._rested, began = self._rested + rest, time.monotonic()
            yield id

    def _changes(self, pace: Callable[[Iterable[str]], Iterable[str]] = iter) -> Changes:
        pictures, indexed = self.collection.pictures, _written_at(self.plan.galleries[0].location)
        gone, changed = {}, []
        for position, id in enumerate(pace(pictures.ids)):
            path = os.fspath(photo_file(pictures.path(position)))
            try:
                if os.stat(path).st_mtime > indexed:
                    changed.append(id)
            except (FileNotFoundError, NotADirectoryError):
                gone[id] = path
            except OSError:  # a disk that does not answer, a folder that may not be read: the picture may be there
                continue
        why = f"{len(gone):,} of {len(pictures):,} pictures are gone: {_why_gone(gone.values())}" if gone else ""
        if not self.plan.source:
            return Changes(set(), list(gone), changed, why, True)
        try:
            photos = read_gallery_photos(self.plan.source)
        except DataError as error:
            return Changes(set(), list(gone), changed, why or f"{error}.", False)
        self.left_out = _left_out(photos)
        broken = {os.path.realpath(path) for path in self.broken}
        there = {id: record.path for id, record in zip(photos.ids, photos.manifest.records, strict=True)}
        new = {id for id, path in there.items() if id not in pictures.positions and os.path.realpath(path) not in broken}
        return Changes(new, list(gone), changed, why, True)

    def _update(self, changes: Changes) -> None:
        from tfvision.data.pipeline import BrokenPhotos
        from tfvision.index.making import Progress, add_photos, remove_pictures

        try:
            gone, changed, broken = changes.gone, changes.changed, BrokenPhotos()
            self.thumbnails.forget([*gone, *changed])
            if self.plan.columns is not None:
                self.plan.columns.forget(changed)
            for name, location, recipe in self.plan.galleries:
                self.indexing = {"layer": name, "done": 0, "total": 0, "stage": "updating"}
                with open_gallery(location) as gallery:
                    removed = [id for id in ([*gone, *changed] if self.plan.source else gone) if gallery.row_of(id) is not None]
                if removed:
                    remove_pictures(location, removed)
                if self.plan.source and changes.is_readable:
                    progress = Progress(self._counted(name), self._counting)
                    add_photos(location, self.plan.source, model=recipe and recipe.model, broken=broken, progress=progress)
            self._note_broken(broken)
            self.changed = None
            with self._replacing:
                self.shown = self._opened(self.collection.version + 1)
        finally:
            self.indexing = None
            self._updating.release()
        self._ask(has_vectors=False)
        self._ask(has_vectors=True)
        self._fill_thumbnails()

    def _counted(self, name):
        def begin(total):
            self.indexing = {"layer": name, "done": 0, "total": total, "stage": "seeing pictures"}

        return begin

    def _counting(self, count):
        self.indexing = {**self.indexing, "done": self.indexing["done"] + count}

    def _begin(self, work):
        """Does it in a thread of the background."""
        thread = threading.Thread(target=self._guarded, args=(work,), daemon=True)
        thread.start()
        self._threads = [*(one for one in self._threads if one.is_alive()), thread]

    def _guarded(self, work):
        try:
            work()
        except UserError as error:
            if not self._is_stopped.is_set():
                self.error = str(error)
                self._say(f"error: {error}")


def _why_gone(paths: Iterable[str]) -> str:
    """Where most of the files that are gone should be."""
    folders = collections.Counter(os.path.dirname(os.path.abspath(path)) for path in paths)
    places = collections.Counter[str]()
    for folder, count in folders.items():
        missing = [str(place) for place in [Path(folder), *Path(folder).parents] if not place.exists()]
        places[missing[-1] if missing else folder] += count
    place = places.most_common(1)[0][0]
    return f"{place} is there, but they are not in it." if os.path.exists(place) else f"{place} is not there. Was a disk unplugged, or a folder moved?"


def _left_out(photos: GalleryPhotos) -> dict[str, str]:
    """Path -> reason of what has a photo's name and is not read."""
    return {one.path: f"{one.path}: {one.reason}" for one in photos.manifest.left_out if one.is_photo}


def _is_ready(location: str) -> bool:
    """Whether a gallery is there and has pictures."""
    if not has_gallery(location):
        return False
    with open_gallery(location) as gallery:
        return len(gallery) > 0


def _is_complete(location: str) -> bool:
    if not has_gallery(location):
        return False
    with open_gallery(location) as gallery:
        return gallery.facts.get("is_complete", True)


def _known_broken(folder: Path) -> dict[str, str]:
    if not os.path.lexists(folder / _BROKEN):
        return {}
    try:
        return read_json(folder / _BROKEN, dict[str, str], "what it says of broken pictures is forgotten")
    except FileError as error:
        print(error, file=sys.stderr)
        return {}


def _written_at(location: str) -> float:
    """When a folder's gallery was written last, in seconds; now where that is not known, as in Milvus: no photo is newer."""
    path = Path(location) / MANIFEST
    return path.stat().st_mtime if path.exists() else time.time()
