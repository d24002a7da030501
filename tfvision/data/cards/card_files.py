"""The files of a card, each of them once: photos, and what is skipped with its reason."""

import os
import typing
from pathlib import Path

from tfvision.data.photo_files import WITHOUT_PHOTOS, printable, walk_photos
from tfvision.errors import DataError

_WITHIN = "in a folder that is left out: {}"


class CardFile(typing.NamedTuple):
    """A file of a card.

    Attributes:
      name: its path relative to the card, as it can be printed.
      skipped: why it is no photo that is looked at; "" where it is one.
    """

    name: str
    skipped: str = ""


def files_of_card(card: Path | str, without: Path | str | None = None) -> list[CardFile]:
    """Every file below a folder, in the order of the photos' walk, skipped ones behind.

    Args:
      card: a folder.
      without: a folder of which nothing counts, such as that of the results, where it lies in the card.

    Raises:
      DataError: it is no folder, cannot be read, or holds no file at all.
    """
    if not os.path.isdir(card):
        told = "is a file: give the folder that it lies in" if os.path.lexists(card) else "does not exist: check the path of the card"
        raise DataError(f"{printable(os.fspath(card))} {told}")
    found = walk_photos(card, may_be_empty=True)
    files = [CardFile(name) for name in found.names]
    for one in found.left_out:
        path = os.path.join(card, one.path)
        if not os.path.isdir(path) or os.path.islink(path):
            files.append(CardFile(one.path, one.reason))
        elif one.reason != WITHOUT_PHOTOS:  # whose files are told one by one
            files += _files_within(card, path, one.reason)
    if without is not None:
        inside = os.path.relpath(os.path.realpath(without), os.path.realpath(card))
        files = [file for file in files if inside.startswith("..") or (file.name != inside and not file.name.startswith(os.path.join(inside, "")))]
    if not files:
        raise DataError(f"{card} is empty: it holds no file at all")
    return files


def _files_within(card, folder, reason):
    """All files below a folder that is left out; the folder itself where it cannot be listed."""
    found = [os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names]
    if not found and not os.access(folder, os.R_OK | os.X_OK):
        return [CardFile(os.path.relpath(folder, card), reason)]
    return [CardFile(printable(os.path.relpath(path, card)), _WITHIN.format(reason)) for path in sorted(found)]
