"""The rows of a gallery's folder as they are at one moment; when the files change, others take their place."""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from tfvision.errors import GalleryError
from tfvision.features.whitening import Whitening
from tfvision.index.columns import NO_VALUE, REMEDY, Column, TextLines, codes_file, values_file

VECTORS, IDS, IMAGES, REMOVED = "vectors.f32", "ids.jsonl", "images.jsonl", "removed.i64"
WHITENING_FILES = ("whitening-mean.f32", "whitening-projection.f32")


@dataclasses.dataclass(frozen=True)
class StoredRows:
    """What the files hold; each is read when it is asked for, and what was read is kept.

    Attributes:
      maps: {file name: what counts of it, uint8 [bytes], memory-mapped}; files without bytes are left out.
      dimension: values a vector.
      column_names: of the metadata, in the order of their files.
    """

    maps: Mapping[str, np.ndarray]
    dimension: int
    column_names: tuple[str, ...]

    @functools.cached_property
    def vectors(self) -> np.ndarray:
        """float32 [rows, dimension], rows that are not live included."""
        return self._bytes_of(VECTORS).view("<f4").reshape(-1, self.dimension)

    @functools.cached_property
    def live(self) -> np.ndarray:
        """The numbers of live rows, int64 [images], ascending."""
        return np.flatnonzero(self.is_live)

    @functools.cached_property
    def is_live(self) -> np.ndarray:
        """bool [rows]."""
        is_live, removed = np.ones(len(self.vectors), bool), self._numbers(REMOVED, "<i8")
        _check(REMOVED, _lie_within(removed, 0, len(is_live)))
        is_live[removed] = False
        return is_live

    @functools.cached_property
    def columns(self) -> dict[str, Column]:
        """The metadata by name, over all rows."""
        columns = {}
        for number, name in enumerate(self.column_names):
            codes = self._numbers(codes_file(number), "<i4")
            columns[name] = column = Column(self._bytes_of(values_file(number)), codes)
            _check(codes_file(number), len(codes) == len(self.vectors) and _lie_within(codes, NO_VALUE, column.distinct))
        return columns

    @functools.cached_property
    def whitening(self) -> Whitening | None:
        """What whitened the vectors."""
        mean, projection = (self._numbers(name, "<f4") for name in WHITENING_FILES)
        _check(WHITENING_FILES[1], len(projection) == len(mean) * self.dimension)
        return Whitening(mean, projection.reshape(len(mean), -1)) if len(mean) else None

    @functools.cached_property
    def ids(self) -> TextLines:
        """The id of each row."""
        return self._lines(IDS)

    @functools.cached_property
    def images(self) -> TextLines:
        """The path of each row's picture, relative to the gallery's folder."""
        return self._lines(IMAGES)

    def _lines(self, name: str) -> TextLines:
        lines = TextLines(self._bytes_of(name), (str,))
        _check(name, len(lines) == len(self.vectors))
        return lines

    def _numbers(self, name: str, dtype: str) -> np.ndarray:
        content = self._bytes_of(name)
        _check(name, len(content) % np.dtype(dtype).itemsize == 0)
        return content.view(dtype)

    def _bytes_of(self, name: str) -> np.ndarray:
        return self.maps.get(name, np.zeros(0, np.uint8))


def _lie_within(numbers: np.ndarray, low: int, high: int) -> bool:
    """Whether all lie in low, ..., high - 1."""
    return not len(numbers) or bool(numbers.min() >= low and numbers.max() < high)


def _check(name: str, is_sound: bool) -> None:
    """Raises GalleryError: what a gallery's file holds does not fit the others, though its checksum does."""
    if not is_sound:
        raise GalleryError(f"{name} of the gallery does not fit its other files: {REMEDY}")
