"""Extraction as an Apache Beam pipeline, for more photos than one machine sees in good time.

Each worker opens the extractor once and writes the vectors of a part of the photos into one file; parts that are there
already are left as they are, so that a stopped job goes on. Photos, weights and the folder must lie where every worker
finds them under the same name; the folder may be of any file system that Beam knows (gs://, s3://, hdfs://).
"""

import contextlib
import functools
import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfvision.data.beam import open_pipeline, run_on_each
from tfvision.data.manifest import Manifest, Record
from tfvision.data.pipeline import BrokenPhotos
from tfvision.errors import DataError
from tfvision.features.extraction import extract
from tfvision.features.extractor import Extractor, open_extractor
from tfvision.features.recipe import FeatureRecipe
from tfvision.files import parse_json
from tfvision.kinds import is_of

PART = 1024  # photos

Part = tuple[int, tuple[Record, ...], str]  # the first photo's index, photos, path of the file


def extract_with_beam(
    manifest: Manifest,
    extractor: Extractor,
    folder: Path | str,
    options: Sequence[str] = ("--runner=DirectRunner",),
    part: int = PART,
    broken: BrokenPhotos | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Extracts vectors on a Beam runner, then streams them.

    Args:
      extractor: Extractor; workers open its recipe again.
      folder: where parts are kept.
      options: of Beam, as on a command line: ["--runner=FlinkRunner", ...].
      part: photos a file.
      broken: BrokenPhotos that collects what could not be read.

    Yields:
      (indices int64 [n], vectors float32 [n, dimension]), as `extraction.extract`.

    Raises:
      UserError, RecipeError: as `open_pipeline`.
      DataError: the job failed, or a part cannot be read; finished parts stay.
    """
    pipeline = open_pipeline(options)
    broken = BrokenPhotos() if broken is None else broken
    parts: list[Part] = []
    for start in range(0, len(manifest), part):
        records = manifest.records[start : start + part]
        parts.append((start, records, _path(folder, extractor.identity, start, records)))
    missing = [one for one in parts if not _exists(one[2])]
    if missing:
        run_on_each(pipeline, missing, _extract_part, extractor.recipe)
    for start, _, path in parts:
        stored = _read(path)
        broken.update(stored["reasons"])
        yield stored["indices"] + start, stored["vectors"]


def remove_parts(folder: Path | str) -> None:
    """Removes the parts that `extract_with_beam` left, and their folder where nothing else is in it."""
    from apache_beam.io.filesystems import FileSystems

    (found,) = FileSystems.match([FileSystems.join(str(folder), "features-*")])
    if found.metadata_list:
        FileSystems.delete([one.path for one in found.metadata_list])
    with contextlib.suppress(OSError):  # other files; in a bucket there are no folders
        os.rmdir(folder)


@functools.lru_cache(maxsize=1)
def _opened(recipe: FeatureRecipe) -> Extractor:
    """The extractor of a worker's process."""
    return open_extractor(recipe)


def _extract_part(one: Part, recipe: FeatureRecipe) -> None:
    _, records, path = one
    extractor, broken = _opened(recipe), BrokenPhotos()
    found = list(extract(Manifest(("photo",), records), extractor, broken=broken))
    buffer = io.BytesIO()
    indices, vectors = (np.concatenate(column) for column in zip(*found, strict=True))
    np.savez(buffer, indices=indices, vectors=vectors, broken=np.array(json.dumps(broken)))
    _write(path, buffer.getvalue())


def _write(path: str, content: bytes) -> None:
    """Under another name first: a part that is there is whole."""
    from apache_beam.io.filesystems import FileSystems

    folder = FileSystems.split(path)[0]
    if not FileSystems.exists(folder):
        FileSystems.mkdirs(folder)
    temporary = f"{path}.partial"
    with FileSystems.create(temporary) as file:
        file.write(content)
    FileSystems.rename([temporary], [path])


def _read(path: str) -> dict[str, Any]:
    from apache_beam.io.filesystems import FileSystems

    try:
        with FileSystems.open(path) as file, np.load(io.BytesIO(file.read()), allow_pickle=False) as stored:
            indices, vectors, reasons = stored["indices"], stored["vectors"], parse_json(str(stored["broken"]))
        if indices.shape != vectors.shape[:1] or indices.dtype.kind != "i" or vectors.dtype.kind != "f" or not is_of(reasons, dict[str, str]):
            raise ValueError("its arrays do not fit each other")
        return {"indices": indices, "vectors": vectors, "reasons": reasons}
    except Exception as error:  # zipfile, zlib, NumPy and Beam's file systems raise many kinds
        raise DataError(f"{path} cannot be read ({error}): remove it and run the same command again") from error


def _exists(path: str) -> bool:
    from apache_beam.io.filesystems import FileSystems

    return FileSystems.exists(path)


def _path(folder: Path | str, identity: str, start: int, records: Sequence[Record]) -> str:
    """Of a part: another extractor or other photos make another name."""
    from apache_beam.io.filesystems import FileSystems

    photos = [(record.path, record.box) for record in records]
    key = hashlib.sha256(json.dumps([identity, photos]).encode()).hexdigest()[:16]
    return FileSystems.join(str(folder), f"features-{start:010}-{key}.npz")
