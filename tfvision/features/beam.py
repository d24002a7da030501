"""Extraction as an Apache Beam pipeline, for more photos than one machine sees in good time.

Each worker opens the extractor once and writes the vectors of a part of the photos into one file; parts that are there
already are left as they are, so that a stopped job goes on. Photos, weights and the folder must lie where every worker
finds them under the same name; the folder may be of any file system that Beam knows (gs://, s3://, hdfs://).
"""

import functools
import hashlib
import io
import json

import numpy as np

from tfvision.data.manifest import Manifest
from tfvision.data.pipeline import BrokenPhotos
from tfvision.errors import DataError, UserError
from tfvision.features.extraction import extract
from tfvision.features.extractor import open_extractor

PART = 1024  # photos


def extract_with_beam(manifest, recipe, folder, options=(), part=PART, broken=None):
    """Extracts vectors on a Beam runner, then streams them.

    Args:
      manifest: Manifest.
      recipe: FeatureRecipe.
      folder: where parts are kept.
      options: of Beam, as on a command line: ["--runner=FlinkRunner", ...]; () = on this machine.
      part: photos a file.
      broken: BrokenPhotos that collects what could not be read.

    Yields:
      (indices int64 [n], vectors float32 [n, dimension]), as `extraction.extract`.

    Raises:
      UserError: Beam is not installed.
      DataError: a part cannot be read.
      RecipeError, WeightsError, RunError: as `open_extractor`.
    """
    beam = _import_beam()
    broken = BrokenPhotos() if broken is None else broken
    identity = open_extractor(recipe).identity
    parts = []
    for start in range(0, len(manifest), part):
        records = manifest.records[start : start + part]
        parts.append((start, records, _path(folder, identity, start, records)))
    missing = [one for one in parts if not _exists(one[2])]
    if missing:
        with beam.Pipeline(options=beam.options.pipeline_options.PipelineOptions(list(options))) as pipeline:
            spread = pipeline | "parts" >> beam.Create(missing) | "spread" >> beam.Reshuffle()
            spread | "extract" >> beam.Map(_extract_part, recipe)
    for start, _, path in parts:
        stored = _read(path)
        broken.update(json.loads(str(stored["broken"])))
        yield stored["indices"] + start, stored["vectors"]


@functools.lru_cache(maxsize=1)
def _opened(recipe):
    """The extractor of a worker's process."""
    return open_extractor(recipe)


def _extract_part(one, recipe):
    _, records, path = one
    extractor, broken = _opened(recipe), BrokenPhotos()
    found = list(extract(Manifest(("photo",), records), extractor, broken=broken))
    buffer = io.BytesIO()
    indices, vectors = (np.concatenate(column) for column in zip(*found, strict=True))
    np.savez(buffer, indices=indices, vectors=vectors, broken=np.array(json.dumps(broken)))
    _write(path, buffer.getvalue())


def _write(path, content):
    """Under another name first: a part that is there is whole."""
    from apache_beam.io.filesystems import FileSystems

    folder = FileSystems.split(path)[0]
    if not FileSystems.exists(folder):
        FileSystems.mkdirs(folder)
    temporary = f"{path}.partial"
    with FileSystems.create(temporary) as file:
        file.write(content)
    FileSystems.rename([temporary], [path])


def _read(path):
    from apache_beam.io.filesystems import FileSystems

    try:
        with FileSystems.open(path) as file, np.load(io.BytesIO(file.read()), allow_pickle=False) as stored:
            return dict(stored)
    except Exception as error:  # zipfile, zlib, NumPy and Beam's file systems raise many kinds
        raise DataError(f"{path} cannot be read ({error}): remove it and run the same command again") from error


def _exists(path):
    from apache_beam.io.filesystems import FileSystems

    return FileSystems.exists(path)


def _path(folder, identity, start, records):
    """Of a part: another extractor or other photos make another name."""
    from apache_beam.io.filesystems import FileSystems

    photos = [(record.path, record.box) for record in records]
    key = hashlib.sha256(json.dumps([identity, photos]).encode()).hexdigest()[:16]
    return FileSystems.join(str(folder), f"features-{start:010}-{key}.npz")


def _import_beam():
    try:
        import apache_beam
        import apache_beam.options.pipeline_options  # noqa: F401
    except ImportError:
        raise UserError("Apache Beam is not installed: pip install 'tfvision[beam]'") from None
    return apache_beam
