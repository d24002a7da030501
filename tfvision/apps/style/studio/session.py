"""What one studio holds, in memory alone: a photo, paintings with their masks, a picture in the making, and finished versions.

The optimiser goes on where the page is closed: whoever opens it again sees the picture grow, and all versions.
"""

import dataclasses
import threading

import numpy as np

from tfvision.apps.style.growth import Growth
from tfvision.apps.style.pictures import shown_jpeg
from tfvision.apps.style.presets import Preset
from tfvision.apps.style.studio import versions
from tfvision.apps.style.studio.inputs import SEEN_PX, Picture, mask_png, read_mask_png, read_picture, rules_of
from tfvision.apps.style.studio.look import Look
from tfvision.apps.style.studio.order import Order
from tfvision.apps.style.studio.painting import PaintingJob
from tfvision.apps.style.studio.quick import Quick
from tfvision.apps.style.studio.samples import sample_png
from tfvision.apps.style.studio.versions import Version, make_version
from tfvision.errors import DataError, RunError

MOST_PAINTINGS = 6
MOST_VERSIONS = 60
MOST_BYTES = 2_000_000_000
_STOP_SECONDS = 10


@dataclasses.dataclass(eq=False)
class _Painting:
    picture: Picture
    mask: np.ndarray | None = None
    mask_number: int = 0  # another one with each change


class Session:
    """A studio. Its functions may be called by several threads.

    Args:
      preset: of the optimiser; a look changes size, style weight and stroke.
      module: the fast network's handle or folder; "" = the one that ships.
    """

    def __init__(self, preset: Preset | None = None, module: str = ""):
        self.growth, self.look = Growth(), Look()
        self.preset, self.quick = preset or Preset(), Quick(module)
        self._photo: Picture | None = None
        self._paintings: dict[str, _Painting] = {}
        self._versions: dict[str, Version] = {}
        self._dropped: dict[str, Version] = {}  # the last one, which can be had back
        self._job: PaintingJob | None = None
        self._numbers = {"photo": 0, "painting": 0, "version": 0, "mask": 0}
        self._lock = threading.RLock()

    def start(self) -> None:
        """Loads the fast network, in a thread."""
        threading.Thread(target=self.quick.load, daemon=True).start()

    def stop(self) -> None:
        """Ends what is at work."""
        if self._job:
            self._job.stop()
            self._job.wait(_STOP_SECONDS)

    def wait(self) -> None:
        """Waits until no picture is being painted."""
        if self._job:
            self._job.wait()

    def status(self) -> dict:
        """All that the page shows, as a dict for JSON."""
        with self._lock:
            photo = self._photo
            return {
                "is_watching": False,
                "photo": photo and {"key": str(self._numbers["photo"]), "name": photo.name, "width": photo.width, "height": photo.height},
                "paintings": [_told(key, painting) for key, painting in self._paintings.items()],
                "look": dataclasses.asdict(self.look),
                "quick": self.quick.facts(),
                "is_painting": self._is_painting(),
                "is_stopping": self._job is not None and self._job.is_stopping,
                "growth": self.growth.state(),
                "versions": [version.told() for version in self._versions.values()],
            }

    def set_photo(self, encoded: bytes, name: str) -> None:
        """Takes a photo in the place of the one before, whose masks go. Raises DataError."""
        photo = read_picture(encoded, name, "photo")
        with self._lock:
            self._photo = photo
            self._count("photo")
            for painting in self._paintings.values():
                painting.mask = None

    def add_painting(self, encoded: bytes, name: str) -> str:
        """Takes one more painting; returns its key. Raises DataError."""
        picture = read_picture(encoded, name, "painting")
        with self._lock:
            if len(self._paintings) >= MOST_PAINTINGS:
                raise DataError(f"the studio takes {MOST_PAINTINGS} paintings at once: remove one first")
            key = self._count("painting")
            self._paintings[key] = _Painting(picture)
            return key

    def take_sample(self, kind: str, name: str) -> None:
        """Takes a built-in photo or painting. Raises DataError."""
        (self.set_photo if kind == "photo" else self.add_painting)(sample_png(kind, name), f"{name.lower()}.png")

    def remove_painting(self, key: str) -> None:
        """Lets a painting go. Raises DataError."""
        with self._lock:
            self._painting(key)
            del self._paintings[key]

    def set_mask(self, key: str, encoded: bytes) -> None:
        """Takes where a painting rules: a picture of the photo's shape, white where it does; b"" or all black = no mask. Raises DataError."""
        with self._lock:
            painting = self._painting(key)
            painting.mask = read_mask_png(encoded, self._the_photo()) if encoded else None
            painting.mask_number = int(self._count("mask"))

    def picture(self, kind: str, key: str) -> bytes | None:
        """What the page shows of the photo, a painting or a mask; a JPEG or PNG, or None."""
        with self._lock:
            if kind == "photo":
                return self._photo and self._photo.shown
            painting = self._paintings.get(key)
            if painting is None:
                return None
            return painting.picture.shown if kind == "painting" else None if painting.mask is None else mask_png(painting.mask)

    def version(self, key: str) -> Version | None:
        """A finished picture, or None."""
        with self._lock:
            return self._versions.get(key)

    def glance(self, look: Look) -> bytes:
        """The quick result as a JPEG. Raises quick.Outdated where a newer look was asked for meanwhile, DataError, and as `stylize`."""
        return shown_jpeg(self.quick.glance(self.order(look)), SEEN_PX)

    def keep(self, look: Look) -> Version:
        """Keeps the fast network's picture at the look's size. Raises DataError, and as `stylize`."""
        order = self.order(look)
        self._check_room()
        picture, facts = self.quick.whole(order)
        return self._add(versions.QUICK, order, picture, facts)

    def paint(self, look: Look) -> None:
        """Begins a picture by the optimiser. Raises RunError where one is being painted, DataError."""
        with self._lock:
            if self._is_painting():
                raise RunError("a picture is being painted: stop it, or wait for its end")
            order = self.order(look)
            self._check_room()
            self._job = PaintingJob(order, self.growth, lambda *made: self._add(*made).file_name)

    def stop_painting(self) -> None:
        """Stops the optimiser at its next iteration."""
        if self._job:
            self._job.stop()

    def drop(self, key: str) -> None:
        """Lets a version go; the last one can be had back. Raises DataError."""
        with self._lock:
            if key not in self._versions:
                raise DataError("this version is not here (any more)")
            self._dropped = {key: self._versions.pop(key)}

    def restore(self) -> None:
        """Brings the version back that was let go last."""
        with self._lock:
            both = {**self._versions, **self._dropped}
            self._versions, self._dropped = {key: both[key] for key in sorted(both, key=int)}, {}

    def order(self, look: Look) -> Order:
        """What a picture in this look is made of, which is the studio's look from now on. Raises DataError."""
        with self._lock:
            self.look = look
            photo, paintings = self._the_photo(), self._paintings
            if not paintings:
                raise DataError("there is no painting yet: choose one")
            rules = rules_of([painting.mask for painting in paintings.values()])
            blend = () if rules else look.shares(tuple(paintings))
            return Order(photo, tuple(painting.picture for painting in paintings.values()), rules, blend, look, self.preset, self.quick.module)

    def _add(self, kind, order, picture, facts):
        with self._lock:
            key = self._count("version")
        version = make_version(key, kind, order, picture, facts)  # which takes a while
        with self._lock:
            self._versions[key] = version
        return version

    def _is_painting(self):
        return self._job is not None and self._job.is_running

    def _check_room(self):
        with self._lock:
            is_full = len(self._versions) >= MOST_VERSIONS or sum(version.size_bytes for version in self._versions.values()) >= MOST_BYTES
        if is_full:
            raise DataError(f"the studio keeps {MOST_VERSIONS} versions, of {MOST_BYTES // 10**9} GB in all: remove one first")

    def _the_photo(self):
        if self._photo is None:
            raise DataError("there is no photo yet: choose one")
        return self._photo

    def _painting(self, key):
        if key not in self._paintings:
            raise DataError("this painting is not here (any more)")
        return self._paintings[key]

    def _count(self, what):
        self._numbers[what] += 1
        return str(self._numbers[what])


def _told(key, painting):
    picture = painting.picture
    told = {"key": key, "name": picture.name, "width": picture.width, "height": picture.height, "is_plain": picture.is_plain}
    return {**told, "mask": painting.mask_number if painting.mask is not None else 0}
