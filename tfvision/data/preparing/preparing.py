"""Preparing: the photos of a source, upright and of bounded size, in shards that are read fast and checked byte by byte.

Which shard a photo goes into, and where in it, depends on the source's order and a seed alone; shards are written one by one,
so that a stopped command goes on with the first that is missing.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import sys
import time
import typing
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

import tfvision
from tfvision.data.boxes import scaled_box
from tfvision.data.csv_table import csv_text
from tfvision.data.manifest import IMAGE_COLUMNS, Manifest, Record, drop_small_classes, read_source
from tfvision.data.preparing.encoded_photos import DEFAULT_QUALITY, DEFAULT_SIZE_PX, EncodedPhoto, PreparedSettings, encode_photo
from tfvision.data.shards.prepared_index import INDEX, LABELS, MANIFEST, PREPARED_COLUMNS, UNFINISHED, PreparedIndex, Shard
from tfvision.data.shards.slices import FOOTER_BYTES, HEADER_BYTES, shard_name
from tfvision.errors import DataError
from tfvision.files import atomic_path, checksum_of, parse_json, read_json, remove_partial_files, sha256_of, sole_process, write_json, write_text

_PHOTOS_A_SHARD = 512
_CORNERS_SUFFIX = "x1y1x2y2"  # of a column
_REMEDY = "remove it and run the same command again with --resume"
_SHARD = {  # what is noted of a shard until all are written
    "bytes": int,
    "sha256": str,
    "photos": [
        {
            **dict.fromkeys(("place", "offset", "bytes", "crc32", "record_crc32", "source_bytes"), int),
            "box": tuple[float, float, float, float],
            "scale": tuple[float, float],
        }
    ],
    "broken": [tuple[int, str]],
}
_AHEAD = 16  # photos a worker, so that there is work while a shard is synced


class ShardJob(typing.NamedTuple):
    """What it takes to write one shard.

    Attributes:
      path: of the shard.
      rows: of its photos in the source, in the order of its records.
      records: a manifest.Record for each.
      labels: the class of each.
      ranks: of the labels.
      settings: PreparedSettings.
    """

    path: str
    rows: tuple[int, ...]
    records: tuple[Record, ...]
    labels: tuple[int, ...]
    ranks: tuple[str, ...]
    settings: PreparedSettings


def prepare(
    source: Path | str,
    out: Path | str,
    size: int = DEFAULT_SIZE_PX,
    quality: int = DEFAULT_QUALITY,
    shards: int | None = None,
    workers: int | None = None,
    ranks: Sequence[str] | None = None,
    seed: int = 0,
    is_resumed: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    runner_options: Sequence[str] | None = None,
) -> dict[str, typing.Any]:
    """Writes the photos of `source` as prepared data (tfvision.data.shards.prepared_index).

    Photos within the bound that are upright JPEGs already are kept byte for byte. All columns of a manifest go along.

    Args:
      source, ranks: as manifest.read_source.
      out: a new folder, or with `is_resumed` the same command's unfinished one.
      size, quality, seed: of PreparedSettings.
      shards: how many; None = one for each 512 photos.
      workers: threads that decode and encode; None = one a core.
      progress: called with (photos done, photos) at the start and now and then.
      runner_options: of Apache Beam, as on a command line: ("--runner=FlinkRunner", ...); None = the shards are written here.

    Returns:
      {"out", "images", "failed", "broken": [{"image", "reason"}], "classes", "shards", "bytes", "seconds"}.

    Raises:
      DataError: the source cannot be read, none of its photos can, or `out` is taken.
      StorageError: a full disk; finished shards are kept.
      UserError, RecipeError: as data.beam.open_pipeline.
    """
    started = time.monotonic()
    manifest, settings = read_source(source, ranks), PreparedSettings(size, quality, seed)
    taxonomy = drop_small_classes(manifest, 1)[0].taxonomy()
    jobs = _shard_jobs(Path(out), manifest, manifest.labels(taxonomy), settings, shards)
    others = _other_columns(manifest)
    plan = _identity(jobs, len(manifest), others)
    write_shards = _spread(runner_options) if runner_options else _write_here
    _refuse_taken(Path(out), is_resumed)
    with sole_process(out):
        if not _is_complete(Path(out), plan, is_resumed):
            missing = [job for job in jobs if not _has_shard(job)]
            found = len(manifest) - sum(len(job.rows) for job in missing)
            progress(found, len(manifest))
            write_shards(missing, workers or os.cpu_count(), lambda done: progress(found + done, len(manifest)))
            _finish(Path(out), jobs, manifest, taxonomy, others, plan)
    index = PreparedIndex.open(out)
    return {
        "out": str(out),
        "images": index.photos,
        "failed": len(index.broken),
        "broken": list(index.broken),
        "classes": len(taxonomy),
        "shards": len(index.shards),
        "bytes": sum(shard.bytes for shard in index.shards.values()),
        "seconds": round(time.monotonic() - started, 1),
    }


def write_shard(job: ShardJob, encoded: Iterable[EncodedPhoto | DataError]) -> None:
    """Writes one shard, then what is known of it beside it; a shard whose facts are there is whole.

    Args:
      job: ShardJob.
      encoded: for each of its records an EncodedPhoto, or the DataError that says why there is none.

    Raises:
      StorageError: a full disk; nothing is left of the shard.
    """
    import tensorflow as tf

    from tfvision.data.shards.examples import serialize

    photos, broken, end = [], [], 0
    with atomic_path(job.path) as temporary:
        try:
            with tf.io.TFRecordWriter(os.fspath(temporary)) as writer:
                for row, record, label, photo in zip(job.rows, job.records, job.labels, encoded, strict=True):
                    if isinstance(photo, DataError):
                        broken.append((row, str(photo).replace(record.path, record.name)))
                        continue
                    box, source_bytes = scaled_box(record.box, photo.scale), record.identity[1]
                    record = dataclasses.replace(record, box=box)
                    example = serialize(photo.encoded, photo.height, photo.width, record, job.ranks, label)
                    writer.write(example)
                    end += HEADER_BYTES + len(example) + FOOTER_BYTES
                    facts = {"offset": end - FOOTER_BYTES - len(photo.encoded), "bytes": len(photo.encoded), "crc32": zlib.crc32(photo.encoded)}
                    photos.append({"place": row, **facts, "source_bytes": source_bytes, "box": box, "scale": photo.scale})
        except tf.errors.OpError as error:
            raise OSError(0, str(error.message)) from None
        sha256 = _add_checksums(temporary, photos)
    shard = {"bytes": end, "sha256": sha256, "photos": photos, "broken": broken}
    write_json(_facts_path(job), {**shard, "checksum": checksum_of(shard)})


def _shard_jobs(out, manifest, labels, settings, count):
    if not (settings.size_px > 0 and 1 <= settings.quality <= 95):
        raise DataError(f"--size must be above 0 and --quality from 1 to 95, got {settings.size_px} and {settings.quality}")
    count = -(-len(manifest) // _PHOTOS_A_SHARD) if count is None else count
    if not 0 < count <= min(len(manifest), 99_999):
        raise DataError(f"--shards must be from 1 to the number of photos, {len(manifest)}, and below 100,000; got {count}")
    order = np.random.default_rng(settings.seed).permutation(len(manifest))
    jobs = []
    for number, rows in enumerate(np.array_split(order, count)):
        records = tuple(manifest.records[row] for row in rows)
        path = os.path.join(out, shard_name(number, count))
        jobs.append(ShardJob(path, tuple(rows.tolist()), records, tuple(labels[rows].tolist()), manifest.ranks, settings))
    return jobs


def _other_columns(manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """{column: texts} of the columns that no record holds: licences, authors, roles, ..."""
    known = {*IMAGE_COLUMNS, "group", "split", "box", "", *PREPARED_COLUMNS, *manifest.ranks}
    return {name: texts for name, texts in manifest.columns.items() if name not in known}


def _identity(jobs, count, others):
    """What tells this job from others: its photos and settings."""
    digest = hashlib.sha256(json.dumps([count, list(others), dataclasses.asdict(jobs[0].settings), jobs[0].ranks]).encode())
    for job in jobs:
        photos = [(*record.identity, record.name, record.lineage, record.group, record.split, record.box) for record in job.records]
        digest.update(json.dumps([os.path.basename(job.path), photos]).encode())
    return digest.hexdigest()


def _refuse_taken(out, is_resumed):
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file: choose a folder")
    if not is_resumed and out.is_dir() and any(out.iterdir()):
        if (out / UNFINISHED).is_file() and not (out / INDEX).exists():
            raise DataError(f"{out} is unfinished: go on with --resume, or remove the folder")
        raise DataError(f"{out} is there already: choose another folder, or remove it")


def _is_complete(out, plan, is_resumed):
    """Whether all is done already; else the folder is ready for shards. Raises DataError where it was begun for something else."""
    if is_resumed and (out / INDEX).exists():
        if PreparedIndex.open(out).settings.get("plan") != plan:
            raise DataError(f"{out} was prepared from other photos or with other settings: choose another folder")
        _remove_traces(out)
        return True
    begun = out / UNFINISHED
    if begun.exists():
        if _read(begun, {"plan": str})["plan"] != plan:
            raise DataError(f"{out} was begun with other photos or settings: give the same ones, or choose another folder")
        remove_partial_files(out)
    elif any(out.iterdir()):
        raise DataError(f"{out} holds other files and nothing to go on with: choose another folder")
    else:
        write_json(begun, {"plan": plan})
    return False


def _has_shard(job):
    """Whether a shard was finished and is as it was written."""
    if not os.path.lexists(job.path) and not os.path.lexists(_facts_path(job)):
        return False
    with contextlib.suppress(OSError, DataError):
        if sha256_of(job.path) == _shard_facts(job)["sha256"]:
            return True
    print(f"{job.path} is damaged, or was not finished: it is written again", file=sys.stderr)
    return False


def _spread(runner_options):
    from tfvision.data.preparing.preparing_beam import shard_writer

    return shard_writer(runner_options)


def _write_here(jobs, workers, on_photos):
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        photos = ((record, job.settings) for job in jobs for record in job.records)
        encoded = _watched(_encoded(photos, pool, _AHEAD * workers), on_photos)
        for job in jobs:
            write_shard(job, itertools.islice(encoded, len(job.records)))


def _encoded(photos, pool, ahead):
    """Yields encoded photos in order; so many are ahead of the one that is asked for."""
    waiting = collections.deque()
    try:
        for photo in photos:
            waiting.append(pool.submit(encode_photo, *photo))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _watched(encoded, on_photos):
    for done, photo in enumerate(encoded, 1):
        on_photos(done)
        yield photo


def _shard_facts(job):
    path = _facts_path(job)
    shard = _read(path, _SHARD)
    if shard.pop("checksum", None) not in (None, checksum_of(shard)):  # tfvision 0.2 wrote none
        raise DataError(f"{path} is not as it was written: {_REMEDY}")
    return shard


def _facts_path(job):
    return Path(job.path).with_suffix(".json")


def _add_checksums(path, photos):
    """Reads a shard back: adds the CRC-32 of each record; returns the file's SHA-256."""
    digest, start = hashlib.sha256(), 0
    with open(path, "rb") as file:
        for photo in photos:
            end = photo["offset"] + photo["bytes"] + FOOTER_BYTES
            content = file.read(end - start)
            digest.update(content)
            photo["record_crc32"], start = zlib.crc32(content), end
    return digest.hexdigest()


def _finish(out, jobs, manifest, taxonomy, others, plan):
    """Writes manifest.csv and labels.json, the index last, and removes what only a resumption needed."""
    facts = {os.path.basename(job.path): _shard_facts(job) for job in jobs}
    broken = sorted((row, reason) for shard in facts.values() for row, reason in shard["broken"])
    if len(broken) == len(manifest):
        raise DataError(f"none of the {len(manifest)} photos can be read: {broken[0][1]}")
    write_text(out / MANIFEST, _manifest_text(manifest, facts, others))
    taxonomy.save(out / LABELS)
    shards = {name: Shard(name, len(shard["photos"]), shard["bytes"], shard["sha256"]) for name, shard in facts.items()}
    PreparedIndex(
        settings={**dataclasses.asdict(jobs[0].settings), "tfvision": tfvision.__version__, "plan": plan},
        ranks=manifest.ranks,
        photos=len(manifest) - len(broken),
        shards=shards,
        broken=tuple({"image": manifest.records[row].name, "reason": reason} for row, reason in broken),
        sha256={name: sha256_of(out / name) for name in (MANIFEST, LABELS)},
    ).save(out)
    _remove_traces(out)


def _manifest_text(manifest: Manifest, facts: dict[str, dict], others: dict[str, tuple[str, ...]]) -> str:
    """The text of manifest.csv, in the order of the source."""
    # A group that is the photo alone is none; readers take a column of groups as the user's word.
    groups = ["group"] * any(record.group != record.name for record in manifest.records)
    lines = [["image", *PREPARED_COLUMNS, *groups, "split", "box", *manifest.ranks, *others]]
    photos = ((photo["place"], name, photo) for name, shard in facts.items() for photo in shard["photos"])
    for row, shard, photo in sorted(photos, key=lambda one: one[0]):
        record = manifest.records[row]
        where = [shard, photo["offset"], photo["bytes"], f"{photo['crc32']:08x}", f"{photo['record_crc32']:08x}", photo["source_bytes"]]
        box = ",".join(map(repr, photo["box"])) if photo["box"][2] else ""
        own = [record.name, *where, *([record.group] if groups else []), record.split, box, *record.lineage]
        lines.append([*own, *(_other_cell(name, texts[row], photo["scale"]) for name, texts in others.items())])
    return csv_text(lines)


def _other_cell(name, text, scale):
    """What stands in another column of the source; boxes by corners, [[left, top, right, bottom], ...], are scaled along."""
    if not name.endswith(_CORNERS_SUFFIX) or tuple(scale) == (1, 1) or not text.strip():
        return text
    try:
        return json.dumps((np.array(parse_json(text), float).reshape(-1, 4) * (*scale, *scale)).tolist())
    except ValueError as error:
        raise DataError(f"column {name}: boxes by corners are [[left, top, right, bottom], ...], got {text!r:.80}") from error


def _read(path, kind):
    return read_json(path, kind, _REMEDY, DataError)


def _remove_traces(out):
    for path in [*out.glob("shard-*.json"), out / UNFINISHED]:
        path.unlink(missing_ok=True)
