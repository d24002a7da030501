"""Where a gallery is: a folder, or a collection in Milvus by `milvus://...`."""

from tfvision.index.gallery import Gallery


def open_gallery(place, writable=False):
    """Opens a gallery to read, or as its only writer.

    Args:
      place: a folder, or milvus://HOST:PORT/COLLECTION, or milvus://PATH.db/COLLECTION.

    Returns:
      Gallery or MilvusGallery.

    Raises:
      GalleryError: none is there, it is damaged, or it cannot be reached.
      UserError: Milvus's client is not installed.
    """
    return _kind(place).open(place, writable)


def create_gallery(place, dimension, facts=None):
    """A new, empty gallery, opened for writing; `place` and errors as of `open_gallery`, and StorageError."""
    return _kind(place).create(place, dimension, facts)


def has_gallery(place):
    """Whether there is a gallery, complete or not; errors as of `open_gallery`."""
    return _kind(place).exists(place)


def _kind(place):
    if not str(place).startswith("milvus://"):
        return Gallery
    from tfvision.index.milvus import MilvusGallery  # here: it may not be installed, and takes a second

    return MilvusGallery
