"""Finding in a folder of photos the one that an address on the web stands for."""

import collections
import contextlib
import re
import unicodedata
import urllib.parse
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from tfvision.data.photo_files import walk_photos
from tfvision.errors import DataError

_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")  # as Label Studio names what is uploaded to it
_SIZES = frozenset({"original", "large", "medium", "small", "square", "thumb", "thumbnail"})  # photos/123/original.jpg


class LocalPhotos:
    """The files below a folder, by path, by name and by stem; upper and lower case are alike, composed and decomposed accents too."""

    def __init__(self, folder: Path | str, urls: Iterable[str], names: Iterable[str] | None = None) -> None:
        """Lists the folder.

        Args:
          urls: all addresses that will be asked for: a file name that several of them share tells none of them.
          names: of the files, where they lie packed in `folder`, which is a file then.

        Raises:
          DataError: it is no folder.
        """
        self._folder = Path(folder)
        if names is None and not self._folder.is_dir():
            raise DataError(f"{folder} is no folder of photos" + ("" if self._folder.exists() else ": it does not exist"))
        self._by_path, self._by_name, self._by_stem = {}, collections.defaultdict(list), collections.defaultdict(list)
        for name in walk_photos(self._folder, may_be_empty=True).names if names is None else names:
            self._by_path[_plain(name)] = name
            self._by_name[_plain(PurePosixPath(name).name)].append(name)
            self._by_stem[_plain(PurePosixPath(name).stem)].append(name)
        self._uses = collections.Counter(_address_parts(url)[-1] for url in set(urls))

    def find(self, image: str, url: str) -> Path:
        """The path of the file that `url`, or else `image`, stands for.

        Raises:
          LookupError: there is none, or several fit.
        """
        parts = _address_parts(url)
        own = image.lower()
        # The end of an address must have a folder to tell the photo; the end of a file's own path need not.
        ends = ["/".join(parts[start:]) for start in range(len(parts) - _is_address(url))]
        for path in [*ends, own, own.partition("/")[2]]:
            if path in self._by_path:
                return self._folder / self._by_path[path]
        for table, key in self._keys(parts, own, url):
            found = table.get(key, ())
            if len(found) > 1:
                raise LookupError(f"several files of {self._folder} are called {key}: {', '.join(found[:3])}")
            if found:
                return self._folder / found[0]
        raise LookupError(f"it is not in {self._folder}")

    def _keys(self, parts, own, url):
        """(table, name) pairs that tell the photo, the surest first."""
        stem = PurePosixPath(parts[-1]).stem
        if stem in _SIZES and len(parts) > 1:
            yield self._by_stem, parts[-2]
        elif self._uses[parts[-1]] == 1:
            yield self._by_name, parts[-1]
            yield self._by_stem, stem
            if uploaded := _UPLOADED.match(parts[-1]):
                yield self._by_name, uploaded[1]
        for _, value in urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query):
            yield self._by_name, value.lower()
            yield self._by_stem, value.lower()
        yield self._by_stem, PurePosixPath(own).stem


def _is_address(url):
    return url.lower().startswith(("http://", "https://"))


def _address_parts(url):
    """The parts of an address's path, or of a file's."""
    path = url
    if _is_address(url):
        with contextlib.suppress(ValueError):
            path = urllib.parse.unquote(urllib.parse.urlsplit(url).path)
    return [part for part in _plain(path).split("/") if part] or [""]


def _plain(name):
    """A name as it is compared: whatever its case, and however its accents are written."""
    return unicodedata.normalize("NFC", name).lower()
