"""Photos for a gallery: their ids and metadata, from a folder, a manifest CSV or a single photo."""

import contextlib
import dataclasses
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path

from tfvision.data.landmarks import read_ground_truth
from tfvision.data.manifest import IMAGE_COLUMNS, ListedPhotos, Manifest, Record, csv_of, read_layout, read_photos
from tfvision.data.photo_files import PhotoFiles
from tfvision.data.shards.prepared_index import PREPARED_COLUMNS
from tfvision.errors import DataError

_NO_METADATA = {*IMAGE_COLUMNS, "id", "box", "", *PREPARED_COLUMNS}


class GalleryPhotos(typing.NamedTuple):
    """What is to be indexed.

    Attributes:
      manifest: its lineages mean nothing.
      ids: a text for each, all different: the column `id`, else the name relative to the source.
      metadata: a dict for each: the other columns of a CSV, what a benchmark's files say, or the names of the folders that a photo lies in.
    """

    manifest: Manifest
    ids: list[str]
    metadata: list[dict[str, str]]

    def select(self, is_kept: Sequence[bool]) -> "GalleryPhotos":
        """Those where `is_kept` is true."""
        rows = [row for row, keep in enumerate(is_kept) if keep]
        return GalleryPhotos(self.manifest.select(is_kept), [self.ids[row] for row in rows], [self.metadata[row] for row in rows])


def read_gallery_photos(source: Path | str, ranks: Sequence[str] | None = None) -> GalleryPhotos:
    """Reads a folder (of any depth, or with a manifest, or a benchmark's), a manifest CSV or one photo.

    Args:
      ranks: names for the levels of folders, coarsest first; None = "species" for one level, else "level 1", ..., but for benchmarks.

    Raises:
      DataError: nothing there, no photos, an id twice, or ranks that do not fit.
    """
    source = Path(source)
    path = csv_of(source)
    if path is None and source.is_file():
        return GalleryPhotos(photo_manifest([str(source)]), [source.name], [{}])
    return _from_csv(path) if path else _from_folder(source, ranks)


def photo_manifest(paths: Iterable[str]) -> Manifest:
    """A Manifest of photos given by path, without labels."""
    return Manifest(("photo",), tuple(Record(path, path, ("photo",), path) for path in paths))


def _from_csv(path: Path) -> GalleryPhotos:
    listed = ListedPhotos.open(path)
    manifest = dataclasses.replace(listed.unlabelled(), ranks=("photo",))  # its own labels are metadata
    ids = [id or record.name for id, record in zip(manifest.texts("id"), manifest.records, strict=True)]
    return GalleryPhotos(manifest, _all_different(ids, path), _metadata(manifest))


def _from_folder(folder: Path, ranks: Sequence[str] | None) -> GalleryPhotos:
    manifest = read_photos(folder)
    names = [record.name for record in manifest.records]
    if not ranks and (listed := read_layout(folder, found=PhotoFiles(names, manifest.left_out))):
        return GalleryPhotos(listed, [record.name for record in listed.records], _metadata(listed))
    if not ranks and (shown := _landmarks(folder)):
        return GalleryPhotos(manifest, names, [{"landmark": shown[name]} if (name := Path(path).stem) in shown else {} for path in names])
    levels = [Path(name).parent.parts for name in names]
    depth = max(map(len, levels))
    ranks = tuple(ranks or (("species",) if depth == 1 else (f"level {level}" for level in range(1, depth + 1))))
    if len(ranks) != depth:
        raise DataError(f"{folder} has {depth} levels of folders, --ranks names {len(ranks)}: {', '.join(ranks)}")
    return GalleryPhotos(manifest, names, [dict(zip(ranks, parts, strict=False)) for parts in levels])


def _landmarks(folder: Path) -> dict[str, str]:
    """{photo: what it shows} by a benchmark's ground truth; {} where there is none that can be read."""
    with contextlib.suppress(DataError):
        truth = read_ground_truth(folder)
        return truth.labels() if truth else {}
    return {}


def _metadata(manifest: Manifest) -> list[dict[str, str]]:
    """Of each photo what its columns say, where they do."""
    metadata: list[dict[str, str]] = [{} for _ in manifest.records]
    for name in (name for name in manifest.columns if name not in _NO_METADATA):
        for facts, text in zip(metadata, manifest.texts(name), strict=True):
            if text:
                facts[name] = text
    return metadata


def _all_different(ids: list[str], path: Path) -> list[str]:
    seen: set[str] = set()
    for id in ids:
        if id in seen:
            raise DataError(f"{path} has the id {id!r} twice: give each row its own in a column `id`")
        seen.add(id)
    return ids
