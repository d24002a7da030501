"""Where a gallery is: a folder, or a collection in Milvus by `milvus://...`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfvision.index.folder_gallery import FolderGallery

if TYPE_CHECKING:
    from tfvision.index.gallery import Gallery
    from tfvision.index.milvus import MilvusGallery


def open_gallery(location: str | Path, writable: bool = False) -> Gallery:
    """Opens a gallery to read, or as its only writer.

    Args:
      location: a folder, or milvus://HOST:PORT/COLLECTION, or milvus://PATH.db/COLLECTION.

    Raises:
      GalleryError: none is there, it is damaged, or it cannot be reached.
      UserError: Milvus's client is not installed.
    """
    return _kind(location).open(str(location), writable)


def create_gallery(location: str | Path, dimension: int, facts: dict[str, Any] | None = None) -> Gallery:
    """A new, empty gallery, opened for writing; `location` and errors as of `open_gallery`, and StorageError."""
    return _kind(location).create(str(location), dimension, facts)


def has_gallery(location: str | Path) -> bool:
    """Whether there is a gallery, complete or not; errors as of `open_gallery`."""
    return _kind(location).exists(str(location))


def is_in_milvus(location: str | Path) -> bool:
    """Whether a location is one of Milvus's."""
    return str(location).startswith("milvus://")


def _kind(location: str | Path) -> type[FolderGallery] | type[MilvusGallery]:
    if not is_in_milvus(location):
        return FolderGallery
    from tfvision.index.milvus import MilvusGallery  # here: it may not be installed, and takes a second

    return MilvusGallery
