"""The rows of a gallery's folder as they are at one moment; when the files change, others take their place."""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from tfvision.features.whitening import Whitening
from tfvision.index.columns import Column, TextLines, codes_file, values_file

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
        is_live = np.ones(len(self.vectors), bool)
        is_live[self._bytes_of(REMOVED).view("<i8")] = False
        return is_live

    @functools.cached_property
    def columns(self) -> dict[str, Column]:
        """The metadata by name, over all rows."""
        read = self._bytes_of
        return {name: Column(read(values_file(number)), read(codes_file(number)).view("<i4")) for number, name in enumerate(self.column_names)}

    @functools.cached_property
    def whitening(self) -> Whitening | None:
        """What whitened the vectors."""
        mean, projection = (self._bytes_of(name).view("<f4") for name in WHITENING_FILES)
        return Whitening(mean, projection.reshape(len(mean), -1)) if len(mean) else None

    @functools.cached_property
    def ids(self) -> TextLines:
        """The id of each row."""
        return TextLines(self._bytes_of(IDS))

    @functools.cached_property
    def images(self) -> TextLines:
        """The path of each row's picture, relative to the gallery's folder."""
        return TextLines(self._bytes_of(IMAGES))

    def _bytes_of(self, name: str) -> np.ndarray:
        return self.maps.get(name, np.zeros(0, np.uint8))
