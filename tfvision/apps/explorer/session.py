"""One run of the explorer: the collection that is open, what is indexed meanwhile, and what changed on disk."""

import contextlib
import os
import threading
import time
from pathlib import Path

from tfvision.apps.explorer.collection import Collection, Layer, Pictures
from tfvision.apps.explorer.jobs import Jobs
from tfvision.apps.explorer.queries import Queries
from tfvision.apps.explorer.state import Notes
from tfvision.apps.explorer.tables import Tables
from tfvision.apps.explorer.thumbnails import Thumbnails
from tfvision.data.shards.slices import photo_file
from tfvision.errors import FileError, GalleryError, UserError
from tfvision.files import read_json, write_json
from tfvision.index.gallery import Gallery
from tfvision.index.sources import read_gallery_photos

_SECONDS_BETWEEN_LOOKS = 2.0
_BROKEN = "broken.json"
_NAMED = 20  # broken pictures that are told by name


class Session:
    """What the server answers from. `start` begins the work in the background.

    Attributes:
      collection, thumbnails, queries: replaced together when the collection is updated.
      notes, tables, jobs: kept.

    Raises:
      UserError: nothing there to show.
    """

    def __init__(self, plan, say=lambda line: None):
        self.plan, self._say = plan, say
        self.notes, self.tables, self.jobs = Notes(plan.state), Tables(plan.state / "derived"), Jobs()
        self.indexing, self.thumbnailing, self.changed, self.error = None, None, None, None
        self.broken = _known_broken(plan.state)  # path -> reason
        self._is_stopped, self._updating = threading.Event(), threading.Lock()
        self._photos = None
        self._open(1)

    def start(self):
        """Indexes, makes thumbnails and looks for changes, in threads that end with the process."""
        for work in (self.index, self._fill_thumbnails):
            threading.Thread(target=self._guarded, args=(work,), daemon=True).start()
        return self

    def index(self):
        """Indexes what is missing, and looks for changes. Raises what building a gallery raises."""
        missing = [one for one in self.plan.galleries if one[2] is not None and not _is_complete(one[1])]
        for name, folder, recipe in missing:
            self._build(name, folder, recipe)
        self._look_for_changes()

    def stop(self):
        """The background's work ends soon; what is finished is kept."""
        self._is_stopped.set()

    def status(self):
        """What the page asks for again and again."""
        collection = self.collection
        layers = [{"name": layer.name, "dimension": layer.dimension, "count": layer.count} for layer in collection.layers]
        broken = [{"name": os.path.basename(path), "reason": reason} for path, reason in list(self.broken.items())[:_NAMED]]
        return {
            "name": collection.name,
            "count": len(collection.pictures),
            "version": collection.version,
            "notes_version": self.notes.read()["version"],
            "layers": layers,
            "indexing": self.indexing,
            "thumbnails": self.thumbnailing,
            "changed": self.changed,
            "broken": {"count": len(self.broken), "named": broken},
            "error": self.error,
        }

    def update(self):
        """Takes what changed on disk into the galleries, in the background; returns False where that is under way already."""
        if not self._updating.acquire(blocking=False):
            return False
        threading.Thread(target=self._guarded, args=(self._update,), daemon=True).start()
        return True

    def _open(self, version):
        plan = self.plan
        ready = [(name, folder) for name, folder, _ in plan.galleries if _is_ready(folder)]
        first = plan.galleries[0]
        if plan.source and not (ready and ready[0][1] == first[1]):  # all photos are shown while they are indexed
            self._photos = read_gallery_photos(plan.source)
            pictures = Pictures.of_photos(self._photos)
        else:
            with Gallery.open(first[1]) as gallery:
                pictures = Pictures.of_gallery(gallery)
        if not len(pictures):
            raise GalleryError(f"{first[1]} is empty: add pictures with `tfvision index add {first[1]} IMAGES`")
        collection = Collection(plan.name, pictures, version)
        collection.layers = [Layer(name, folder, pictures) for name, folder in ready]
        self.thumbnails = Thumbnails(plan.state / "thumbnails", pictures.ids, pictures.path)
        self.queries = Queries(collection, plan.state / "queries")
        self.collection = collection

    def _build(self, name, folder, recipe):
        self.indexing = {"layer": name, "done": 0, "total": len(self.collection.pictures), "stage": "the network is being opened"}
        from tfvision.data.pipeline import BrokenPhotos  # TensorFlow: seconds
        from tfvision.index.making import Progress, build_gallery
        from tfvision.progress import progress_bar

        known, broken = self.broken, BrokenPhotos()
        self.broken = broken
        bars, looked = [], [time.monotonic()]

        def begin(total):
            known = len(self.collection.pictures) - total
            bars.append(progress_bar(f"indexing {name}", total))
            self.indexing = {"layer": name, "done": known, "total": known + total, "stage": "seeing pictures"}

        def advance(count):
            bars[-1].advance(count)
            self.indexing = {**self.indexing, "done": self.indexing["done"] + count}
            if time.monotonic() - looked[0] > _SECONDS_BETWEEN_LOOKS:
                looked[0] = time.monotonic()
                self._refresh(name, folder)
            if self._is_stopped.is_set():
                raise GalleryError("stopped: what is finished is kept, and the next call goes on")

        try:
            build_gallery(self.plan.source, str(folder), recipe, is_resumed=True, broken=broken, progress=Progress(begin, advance, self._say))
            self._refresh(name, folder)
        finally:
            for bar in bars:
                bar.close()
            self.indexing = None
        self.broken = {**known, **broken}
        write_json(self.plan.state / _BROKEN, self.broken)
        for reason in broken.values():
            self._say(f"broken    {reason}")

    def _refresh(self, name, folder):
        """Shows what a gallery has gained."""
        if not _is_ready(folder):
            return
        known = next((layer for layer in self.collection.layers if layer.name == name), None)
        if known:
            known.refresh()
        else:
            self.collection.layers = [*self.collection.layers, Layer(name, folder, self.collection.pictures)]

    def _fill_thumbnails(self):
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

    def _look_for_changes(self):
        """Compares the files with what was indexed: new, gone and changed since."""
        new, gone, changed = self._changes()
        self.changed = (
            {"new": len(new), "gone": len(gone), "changed": len(changed), "can_add": self.plan.source is not None} if new or gone or changed else None
        )

    def _changes(self):
        pictures, indexed = self.collection.pictures, _made_at(self.plan.galleries[0][1])
        gone, changed = [], []
        for place, id in enumerate(pictures.ids):
            try:
                if os.stat(photo_file(pictures.path(place))).st_mtime > indexed:
                    changed.append(id)
            except OSError:
                gone.append(id)
        new = set()
        if self.plan.source:
            broken = {os.path.realpath(path) for path in self.broken}
            photos = read_gallery_photos(self.plan.source)
            known = pictures.places
            there = {id: record.path for id, record in zip(photos.ids, photos.manifest.records, strict=True)}
            new = {id for id, path in there.items() if id not in known and os.path.realpath(path) not in broken}
        return new, gone, changed

    def _update(self):
        from tfvision.index.making import Progress, add_photos, remove_pictures

        try:
            new, gone, changed = self._changes()
            self.thumbnails.forget([*gone, *changed])
            for name, folder, _ in self.plan.galleries:
                self.indexing = {"layer": name, "done": 0, "total": 0, "stage": "updating"}
                with Gallery.open(folder) as gallery:
                    removed = [id for id in [*gone, *changed] if gallery.row_of(id) is not None]
                if removed and (self.plan.source or gone):
                    remove_pictures(str(folder), removed if self.plan.source else [id for id in gone if id in set(removed)])
                if self.plan.source:
                    add_photos(str(folder), self.plan.source, progress=Progress(self._counted(name), self._counting))
            self.changed = None
            self._open(self.collection.version + 1)
        finally:
            self.indexing = None
            self._updating.release()
        self._fill_thumbnails()

    def _counted(self, name):
        def begin(total):
            self.indexing = {"layer": name, "done": 0, "total": total, "stage": "seeing pictures"}

        return begin

    def _counting(self, count):
        self.indexing = {**self.indexing, "done": self.indexing["done"] + count}

    def _guarded(self, work):
        try:
            work()
        except UserError as error:
            self.error = str(error)
            self._say(f"error: {error}")


def _is_ready(folder):
    """Whether a gallery is there and has pictures."""
    if not Gallery.exists(folder):
        return False
    with Gallery.open(folder) as gallery:
        return len(gallery) > 0


def _is_complete(folder):
    if not Gallery.exists(folder):
        return False
    with Gallery.open(folder) as gallery:
        return gallery.facts.get("is_complete", True)


def _known_broken(folder):
    with contextlib.suppress(FileError):
        return dict(read_json(folder / _BROKEN))
    return {}


def _made_at(folder):
    path = Path(folder) / "gallery.json"
    return path.stat().st_mtime if path.exists() else time.time()
