"""Ground truth of landmarks: which photos show what a query shows, as Oxford and Paris are distributed.

    *_query.txt, _good.txt, _ok.txt, _junk.txt    Philbin et al. 2007 and 2008, a query a file: PHOTO LEFT TOP RIGHT BOTTOM
    gnd_roxford5k.pkl, gnd_rparis6k.pkl           Radenovic et al. 2018, revisited: easy, hard and junk; queries are no part of the gallery.
                                                  Also as .json with the same content. Pickles are read by plain_pickle, never unpickled
    gnd_oxford5k.pkl, gnd_paris6k.pkl             the same form of the first two: ok (good and ok) and junk
    groundtruth.json                              ours, for other sets: {"groundtruth": {LANDMARK: {"good": [...], "ok": [...], "junk": [...],
                                                  "official_queries_present": [[PHOTO, left, top, right, bottom], ...]}}}

Photos are told by their names without folder and suffix.
"""

import collections
import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tfvision.data.csv_table import read_text
from tfvision.data.plain_pickle import read_plain_pickle
from tfvision.errors import DataError
from tfvision.files import parse_json

GROUND_TRUTH = "groundtruth.json"
SHOWN = ("good", "ok", "easy", "hard")  # the lists of photos that show the landmark
OFFICIAL_SIZE_PX = 1024  # the longer side of the photos to which official boxes refer
_QUERY = "_query.txt"
_REVISED = {"gnd_roxford5k": "roxford", "gnd_rparis6k": "rparis", "gnd_oxford5k": "oxford", "gnd_paris6k": "paris"}
_PARIS = ("defense", "eiffel", "invalides", "louvre", "moulinrouge", "museedorsay", "notredame", "pantheon", "pompidou", "sacrecoeur", "triomphe")
_NO_LANDMARKS = ("oxford", "paris", "general")  # words by which photos were collected


@dataclasses.dataclass(frozen=True)
class Landmark:
    """What belongs together.

    Attributes:
      name: of the landmark, for labels.
      lists: {"good", "ok", "junk" or "easy", "hard", "junk": names of photos}.
      queries: (photo, left, top, right, bottom) in pixels of the official photo.
    """

    name: str
    lists: dict[str, list[str]]
    queries: list[tuple[str, float, float, float, float]]

    @property
    def shown(self) -> list[str]:
        """The photos that show it."""
        return [photo for kind in SHOWN for photo in self.lists.get(kind, ())]


@dataclasses.dataclass(frozen=True)
class GroundTruth:
    """All landmarks of a folder.

    Attributes:
      layout: of data.layouts.LAYOUTS; "" = a set of the user's own.
      gallery: names of the photos that are searched; None = all.
    """

    layout: str
    landmarks: tuple[Landmark, ...]
    gallery: tuple[str, ...] | None = None

    def labels(self) -> dict[str, str]:
        """{photo: its landmark} of those that show one."""
        return {photo: landmark.name for landmark in self.landmarks for photo in landmark.shown}


def read_ground_truth(folder: Path | str, layout: str | None = None) -> GroundTruth | None:
    """The ground truth in a folder or below it, of a layout where one is named; None where there is none. Raises DataError where it is damaged."""
    folder = Path(folder)
    wanted = layout if layout in _REVISED.values() else None
    for path, kind in _files(folder):
        if wanted not in (None, kind):
            continue
        try:
            if path.name == GROUND_TRUTH:
                return _own(path)
            return _official(sorted(path.parent.glob(f"*{_QUERY}")), kind) if path.name.endswith(_QUERY) else _revised(path, kind)
        except (OSError, ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
            raise DataError(
                f"the ground truth in {path} cannot be read ({error!r}): expected {GROUND_TRUTH}, Oxford's NAME_query.txt, _good, _ok and _junk, "
                "or gnd_roxford5k.pkl"
            ) from error
    return None


def has_ground_truth(folder: Path | str) -> bool:
    """Whether there is a ground truth in a folder or below it."""
    return next(iter(_files(Path(folder))), None) is not None


def tag(photo: str) -> str:
    """The word by which a photo of Oxford or Paris was collected, which its name tells: all_souls_000013 -> all_souls."""
    return re.sub(r"_\d+$", "", photo).removeprefix("paris_") or photo


def _files(folder: Path) -> Iterable[tuple[Path, str]]:
    """(file, layout) of each ground truth; of those in texts the first of its files."""
    texts = sorted(folder.glob(f"**/*{_QUERY}"))
    if texts:
        yield texts[0], "paris" if {tag(path.name.removesuffix(_QUERY)) for path in texts} <= set(_PARIS) else "oxford"
    for name, layout in _REVISED.items():
        for path in (*folder.glob(f"{name}.*"), *folder.glob(f"*/{name}.*")):
            if path.suffix in (".pkl", ".json"):
                yield path, layout
    if (folder / GROUND_TRUTH).is_file():
        yield folder / GROUND_TRUTH, "oxford"


def _own(path: Path) -> GroundTruth:
    stored = parse_json(path.read_text(encoding="utf-8"))["groundtruth"]
    landmarks = [
        Landmark(tag(name), {kind: list(lists[kind]) for kind in ("good", "ok", "junk")}, [tuple(query) for query in lists.get("official_queries_present", [])])
        for name, lists in stored.items()
    ]
    return GroundTruth("", tuple(landmarks))


def _official(paths: list[Path], layout: str) -> GroundTruth:
    landmarks = []
    for path in paths:
        photo, *box = read_text(path).split()
        lists = {kind: read_text(path.with_name(path.name.replace(_QUERY, f"_{kind}.txt"))).split() for kind in ("good", "ok", "junk")}
        left, top, right, bottom = map(float, box)
        landmarks.append(Landmark(tag(path.name.removesuffix(_QUERY)), lists, [(photo.removeprefix("oxc1_"), left, top, right, bottom)]))
    return GroundTruth(layout, tuple(landmarks))


def _revised(path: Path, layout: str) -> GroundTruth:
    stored = read_plain_pickle(path) if path.suffix == ".pkl" else parse_json(path.read_text(encoding="utf-8"))
    gallery = [_stem(name) for name in stored["imlist"]]
    landmarks, known = [], dict[str, str]()
    for query, entry in zip(map(_stem, stored["qimlist"]), stored["gnd"], strict=True):
        lists = {kind: [gallery[row] for row in entry[kind]] for kind in (*SHOWN, "junk") if kind in entry}
        left, top, right, bottom = map(float, entry["bbx"])
        landmark = Landmark(_name(query, lists, known), lists, [(query, left, top, right, bottom)])
        known.update(dict.fromkeys([query, *landmark.shown], landmark.name))
        landmarks.append(landmark)
    return GroundTruth(layout, tuple(landmarks), tuple(gallery))


def _name(query: str, lists: dict[str, list[str]], known: dict[str, str]) -> str:
    """That of a landmark which shares photos, else the word by which most of its photos were collected."""
    photos = [query, *(photo for kind in SHOWN for photo in lists.get(kind, ()))]
    names = collections.Counter(known[photo] for photo in photos if photo in known)
    names = names or collections.Counter(word for photo in photos if (word := tag(photo)) not in _NO_LANDMARKS)
    return names.most_common(1)[0][0] if names else query


def _stem(name: Any) -> str:
    return Path(str(name)).stem if str(name).lower().endswith((".jpg", ".jpeg", ".png")) else str(name)
