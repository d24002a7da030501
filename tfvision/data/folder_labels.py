"""What the folders that a photo lies in say of it: its split, and the names of its lineage."""

import collections
import re
import sys
import typing
from collections.abc import Sequence
from pathlib import Path

from tfvision.data.names import tidy_name
from tfvision.errors import DataError

Levels = tuple[str, ...]  # the folders of a photo, from the source down

_SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_SPLIT_FOLDER = re.compile(rf"({'|'.join(_SPLIT_WORDS)})[ _-]?(set|data|images|photos|mini)?[ _-]?\d*")
_NO_NAME = re.compile(  # of a folder that programs and people make without meaning a class
    r"[\W\d_]+|(new|untitled) folder.*|neuer ordner.*|nouveau dossier.*|nueva carpeta.*|nuova cartella.*|nova pasta.*|nieuwe map.*"
    r"|(.*[ _-])?(copy|kopie|copia|copie|backup)([ _-]?\(?\d+\)?)?|(old|new|more|extra|misc|unsorted|temp|tmp|bad|good|raw|edited|crop|crops|cropped"
    r"|duplicate|duplicates|image|images|photo|photos|picture|pictures|img|dcim)([ _-]?\(?\d+\)?)?"
)
_NAMED = 3


class FolderLabels(typing.NamedTuple):
    """What folders say of photos.

    Attributes:
      ranks: names of the levels, coarsest first.
      lineages: of each photo, a name a rank, "" below its own folder; () where it lies in a split and no class folder.
      splits: of each photo: "train", "validation", "test" or "".
    """

    ranks: tuple[str, ...]
    lineages: list[Levels]
    splits: list[str]


def split_word(text: str) -> str:
    """A word for a split as the suite calls it: "Val" -> "validation"; other words as they are, in lower case."""
    word = text.strip().lower()
    return _SPLIT_WORDS.get(word, word)


def level_names(depth: int) -> tuple[str, ...]:
    """The ranks of levels of folders that the user has not named."""
    return ("species",) if depth == 1 else tuple(f"level {number}" for number in range(1, depth + 1))


def labels_of_folders(folder: Path, photos: Sequence[Levels], ranks: Sequence[str] | None = None) -> FolderLabels:
    """Reads the folders of photos; on stderr it tells what is read otherwise than as class folders.

    A level at which all folders are called train, val, test or the like is that of splits. A folder within a class folder that has photos
    itself is no class of its own where its name is none ("New folder"), or where it is the only one and classes lie at its parent's level.

    Args:
      folder: the source.
      photos: the folders of each photo, one at least.
      ranks: names of the levels, coarsest first; as many as there are levels with that of the splits: this then is a rank as well.

    Raises:
      DataError: other folders beside splits, or not as many ranks as levels.
    """
    lineages, splits = [tuple(map(tidy_name, levels)) for levels in photos], [""] * len(photos)
    is_as_named = ranks is not None and len(ranks) == max(map(len, lineages))  # the user knows the levels
    told: list[str] = []
    level = None if is_as_named else _split_level(folder, lineages)
    if level is not None:
        splits = [_split_of(levels[level]) for levels in lineages]
        counts = collections.Counter(f"{levels[level]} = {split}" for levels, split in zip(lineages, splits, strict=True))
        lineages = [levels[:level] + levels[level:][1:] for levels in lineages]
        told.append(f"folders are read as splits: {', '.join(f'{pair} ({count} photos)' for pair, count in sorted(counts.items()))}")
    if not is_as_named:
        lineages, strays = _without_strays(lineages)
        told += strays
    depth = max(map(len, lineages))
    ranks = tuple(ranks or level_names(depth))
    if len(ranks) != depth:
        raise DataError(f"{folder} has {depth} levels of folders, --ranks names {len(ranks)}: {', '.join(ranks)}")
    for sentence in told:
        print(f"{folder}: {sentence}", file=sys.stderr)
    return FolderLabels(ranks, [levels and (*levels, *("",) * (depth - len(levels))) for levels in lineages], splits)


def _split_of(name: str) -> str:
    match = _SPLIT_FOLDER.fullmatch(name.lower())
    return _SPLIT_WORDS[match[1]] if match else ""


def _split_level(folder: Path, photos: Sequence[Levels]) -> int | None:
    """The level of folders that are splits, counted from the source or, with -1, from the photo; None where there is none."""
    words = {_split_of(levels[0]) for levels in photos}
    if max(map(len, photos)) < 2:
        if len(words) > 1 and "" not in words:
            names = ", ".join(sorted({levels[0] for levels in photos}))
            raise DataError(f"{folder} has the splits {names} and no class folders in them: expected {folder}/SPLIT/CLASS/photo.jpg")
        return None
    for level in (*range(min(map(len, photos))), -1):
        if all(_split_of(levels[level]) for levels in photos):
            return level
    _refuse_others_beside_splits(folder, photos)
    return None


def _refuse_others_beside_splits(folder: Path, photos: Sequence[Levels]) -> None:
    """Raises DataError where train and a held-out split have the same classes, or lie in one class, and other folders lie beside."""
    classes = collections.defaultdict(set)
    for top, *rest in photos:
        classes[top].update(rest[:1])
    of_split = {top: names for top, names in classes.items() if _split_of(top)}
    trained = set().union(*(names for top, names in of_split.items() if _split_of(top) == "train"))
    held_out = set().union(*(names for top, names in of_split.items() if _split_of(top) != "train"))
    within = collections.defaultdict(set)
    for levels in photos:
        within[levels[:-1]].add(_split_of(levels[-1]))
    if parted := sorted(path for path, words in within.items() if path and len(words - {""}) > 1 and "train" in words):
        raise DataError(
            f"{folder} has splits within {'/'.join(parted[0])} and not within all classes: put the photos of each class into splits, "
            "or name all levels of folders with --ranks"
        )
    others = sorted(set(classes) - set(of_split))
    if others and trained & held_out:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        raise DataError(
            f"{folder} has the splits {', '.join(sorted(of_split))}, and beside them {', '.join(others[:_NAMED])}{more}: "
            "move these into a split or away, or name all levels of folders with --ranks"
        )


def _without_strays(photos: list[Levels]) -> tuple[list[Levels], list[str]]:
    """Photos of folders that are no classes as those of the class folder around them, and a sentence that says so, if any."""
    holding = set(filter(None, photos))
    depths = collections.Counter(map(len, holding))
    usual = min(depths, key=lambda depth: (-depths[depth], depth))  # the level of most folders with photos
    inner = collections.Counter(levels[:usual] for levels in holding if len(levels) > usual)
    class_of: dict[Levels, Levels] = {}
    for levels in holding:
        own = levels
        while len(own) > 1 and own[:-1] in holding and _NO_NAME.fullmatch(own[-1].lower()):
            own = own[:-1]
        if len(own) > usual and own[:usual] in holding and inner[own[:usual]] == 1:
            own = own[:usual]
        class_of[levels] = own
    strays = sorted(levels for levels, own in class_of.items() if own != levels)
    counts = collections.Counter(photos)
    named = [f"{'/'.join(levels)} ({counts[levels]} photos) as {'/'.join(class_of[levels])}" for levels in strays[:_NAMED]]
    more = f" and {len(strays) - _NAMED} more" if len(strays) > _NAMED else ""
    return [class_of.get(levels, levels) for levels in photos], [f"folders within a class are read as the class: {', '.join(named)}{more}"] if strays else []
