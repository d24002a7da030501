import csv
import dataclasses
import hashlib
import json
import shutil

import numpy as np
import pytest

from tfvision.data.decoding import read_photo
from tfvision.data.manifest import read_photos, read_source
from tfvision.data.pipeline import BrokenPhotos, ViewSettings, evaluation_batches
from tfvision.data.shards.prepared_index import PreparedIndex
from tfvision.data.shards.slices import slice_of
from tfvision.data.shards.verification import verify_prepared
from tfvision.errors import DataError

SHARD = "shard-00001-of-00004.tfrecord"


@pytest.fixture
def folder(prepared_colours, tmp_path):
    return shutil.copytree(prepared_colours, tmp_path / "prepared")


def flip(path, offset):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def records_of(folder, shard=SHARD):
    """(start, offset of the image, end, image) of each record, walked by the lengths that a TFRecord begins with."""
    content = (folder / shard).read_bytes()
    with open(folder / "manifest.csv", newline="") as file:
        rows = {int(row["offset"]): row for row in csv.DictReader(file) if row["shard"] == shard}
    start, found = 0, []
    for offset in sorted(rows):
        end = start + 16 + int.from_bytes(content[start : start + 8], "little")
        assert start < offset and offset + int(rows[offset]["bytes"]) + 4 == end
        found.append((start, offset, end, rows[offset]["image"]))
        start = end
    assert start == len(content) and len(found) == 12
    return found


def changed_index(folder, change):
    """Writes index.json with a change, and a checksum that fits: what a forger does."""
    stored = json.loads((folder / "index.json").read_text())
    change(stored)
    stored.pop("checksum")
    checksum = hashlib.sha256(json.dumps(stored, sort_keys=True).encode()).hexdigest()
    (folder / "index.json").write_text(json.dumps({**stored, "checksum": checksum}))


def changed_manifest(folder, **cells):
    """Writes manifest.csv with other cells in its third line, its checksum with it."""
    with open(folder / "manifest.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    rows[1].update(cells)
    with open(folder / "manifest.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    sha256 = hashlib.sha256((folder / "manifest.csv").read_bytes()).hexdigest()
    changed_index(folder, lambda stored: stored["sha256"].update({"manifest.csv": sha256}))


# Reading


def test_prepared_data_reads_as_its_source_does(prepared_colours, colour_jpegs):
    prepared, source = read_source(prepared_colours), read_source(colour_jpegs)
    assert prepared.ranks == source.ranks
    plain = [dataclasses.replace(record, path="", source_bytes=None) for record in prepared.records]
    assert plain == [dataclasses.replace(record, path="") for record in source.records]
    assert [record.identity for record in prepared.records] == [record.identity for record in source.records]
    assert [read_photo(record.path) for record in prepared.records] == [read_photo(record.path) for record in source.records]
    assert {record.name for record in read_photos(prepared_colours).records} == {record.name for record in source.records}


def test_a_list_of_ones_own_beside_the_manifest_names_some_of_the_photos(folder):
    lines = (folder / "manifest.csv").read_text().splitlines(keepends=True)
    (folder / "some.csv").write_text("".join(lines[:4]))
    assert read_source(folder / "some.csv").records == read_source(folder).records[:3]


def test_a_manifest_elsewhere_names_a_prepared_photo_by_its_path(folder, tmp_path):
    records = read_source(folder).records
    (tmp_path / "list.csv").write_text(f"image,species\n{records[0].path},a\n")
    (record,) = read_source(tmp_path / "list.csv").records
    assert read_photo(record.path) == read_photo(records[0].path)
    assert record.identity == records[0].identity  # kept byte for byte, so as large as its source


# Damage


def test_sound_data_has_no_losses(folder):
    seen = []
    found = verify_prepared(folder, seen.append)
    assert found.is_sound and found.photos == 48 and found.lost == {}
    assert sum(seen) == sum(path.stat().st_size for path in folder.glob("*.tfrecord"))


@pytest.mark.parametrize("part", ["length", "length's checksum", "other feature", "image", "record's checksum"])
def test_a_flipped_byte_anywhere_is_named_with_its_record(folder, part):
    start, _, end, image = records_of(folder)[7]
    flip(folder / SHARD, {"length": start, "length's checksum": start + 8, "other feature": start + 40, "image": end - 30, "record's checksum": end - 1}[part])
    found = verify_prepared(folder)
    ((name, reason, lost),) = found.damaged
    assert (name, reason, lost, found.lost) == (SHARD, "has other bytes than were written", ((7, image),), {SHARD: 1})
    unreadable = [record.name for record in read_source(folder).records if not is_readable(record)]  # its size is right
    assert unreadable == ([image] if part == "image" else [])


def is_readable(record):
    try:
        return bool(read_photo(record.path))
    except DataError:
        return False


def test_a_photo_with_a_flipped_byte_is_named_by_the_batches(folder):
    _, _, end, image = records_of(folder)[7]
    flip(folder / SHARD, end - 30)
    broken, manifest = BrokenPhotos(), read_source(folder)
    list(evaluation_batches(manifest, np.zeros(48, int), ViewSettings(("whole",), 16), 8, broken).as_numpy_iterator())
    assert [record.name for record in manifest.records if record.path in broken] == [image]


def test_several_flipped_bytes_count_each_record_once(folder):
    records = records_of(folder)
    for offset in (records[2][0], records[2][1] + 3, records[5][1], records[11][2] - 1):
        flip(folder / SHARD, offset)
    flip(folder / "shard-00003-of-00004.tfrecord", 100)
    found = verify_prepared(folder)
    assert found.lost == {SHARD: 3, "shard-00003-of-00004.tfrecord": 1}
    assert [number for number, _ in found.damaged[0].lost] == [2, 5, 11] and not found.is_sound


@pytest.mark.parametrize("kept,more,lost", [(0, 0, 12), (0, 1, 12), (5, 0, 7), (5, 1, 7), (5, -1, 8), (11, 0, 1), (12, -1, 1)])
def test_a_truncated_shard_is_refused_with_the_exact_number_of_records_lost(folder, kept, more, lost):
    """Cut at the end of a record, a byte later, or within its checksum."""
    ends = [0, *(record[2] for record in records_of(folder))]
    size = ends[kept] + more
    with open(folder / SHARD, "r+b") as file:
        file.truncate(size)
    told = rf"{SHARD} is cut short \({size} of {ends[-1]} bytes\), {lost} of its 12 records are lost \({lost} of 48 photos\): restore"
    with pytest.raises(DataError, match=told):
        read_source(folder)
    found = verify_prepared(folder)
    assert found.lost == {SHARD: lost} and [number for number, _ in found.damaged[0].lost] == list(range(12 - lost, 12))


def test_a_missing_shard_loses_all_its_records(folder):
    (folder / SHARD).unlink()
    with pytest.raises(DataError, match=f"{SHARD} is missing, 12 of its 12 records are lost"):
        read_source(folder)
    ((name, reason, lost),) = verify_prepared(folder).damaged
    assert (name, reason, len(lost)) == (SHARD, "is missing", 12)


def test_swapped_shards_are_told(folder):
    other = folder / "shard-00002-of-00004.tfrecord"
    (folder / SHARD).rename(folder / "x")
    other.rename(folder / SHARD)
    (folder / "x").rename(other)
    found = verify_prepared(folder)
    assert [(shard.name, shard.reason, len(shard.lost)) for shard in found.damaged] == [
        (SHARD, f"has the content of {other.name}", 12),
        (other.name, f"has the content of {SHARD}", 12),
    ]


def test_an_extra_shard_and_bytes_behind_the_last_record_lose_nothing_and_are_told(folder):
    shutil.copy(folder / SHARD, folder / "shard-00004-of-00005.tfrecord")
    found = verify_prepared(folder)
    assert (found.damaged, found.extra, found.is_sound) == ((), ("shard-00004-of-00005.tfrecord",), False)
    with open(folder / SHARD, "ab") as file:
        file.write(b"more")
    assert verify_prepared(folder).lost == {SHARD: 0}
    with pytest.raises(DataError, match=f"{SHARD} is too long .* 0 of its 12 records are lost"):
        read_source(folder)


@pytest.mark.parametrize("name", ["index.json", "manifest.csv", "labels.json"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_flipped_byte_in_what_describes_the_shards_is_refused_by_name(folder, name, share):
    flip(folder / name, int(share * (folder / name).stat().st_size))
    for read in [verify_prepared] + [read_source, read_photos] * (name != "labels.json"):  # readers take their labels from the manifest
        with pytest.raises(DataError, match=f"{name} is damaged"):
            read(folder)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b"{}", b"[" * 100_000, b"1", b'{"checksum": 3}'], ids=repr)
def test_an_index_of_anything_else_is_refused_by_name(folder, content):
    (folder / "index.json").write_bytes(content)
    for read in (read_source, verify_prepared):
        with pytest.raises(DataError, match="index.json is damaged"):
            read(folder)


@pytest.mark.parametrize("name", ["index.json", "manifest.csv"])
def test_a_missing_part_is_named(folder, name):
    (folder / name).unlink()
    for read in (read_source, verify_prepared):
        with pytest.raises(DataError, match=name):
            read(folder)


# A forged index or manifest, its checksums made to fit


@pytest.mark.parametrize(
    "change",
    [
        lambda stored: stored["shards"][0].update(name="../../secret"),
        lambda stored: stored["shards"][0].update(name="/etc/passwd"),
        lambda stored: stored["shards"][0].update(name="shard-00001-of-00004.tfrecord/../x"),
        lambda stored: stored["shards"][0].update(name=stored["shards"][1]["name"]),
        lambda stored: stored["shards"][0].update(name=7),
        lambda stored: stored["shards"][0].update(bytes=-1),
        lambda stored: stored["shards"][0].update(bytes=10**400),
        lambda stored: stored["shards"][0].update(bytes=1e3),
        lambda stored: stored["shards"][0].update(records=True),
        lambda stored: stored["shards"][0].update(records=13),
        lambda stored: stored["shards"][0].update(more=1),
        lambda stored: stored.update(photos="48"),
        lambda stored: stored.update(shards=None),
        lambda stored: stored.update(ranks=[]),
        lambda stored: stored.update(ranks=[1, 2]),
        lambda stored: stored.update(sha256={}),
        lambda stored: stored.update(settings=[]),
        lambda stored: stored.update(version=2),
        lambda stored: stored.pop("broken"),
    ],
)
def test_a_hostile_index_is_refused(folder, change):
    changed_index(folder, change)
    for read in (read_source, verify_prepared, PreparedIndex.open):
        with pytest.raises(DataError, match="index.json is damaged"):
            read(folder)


def test_the_forger_of_these_tests_changes_nothing_else(folder):
    changed_index(folder, lambda stored: None)
    changed_manifest(folder)
    assert verify_prepared(folder).is_sound and len(read_source(folder)) == 48


@pytest.mark.parametrize(
    "cells,told",
    [
        ({"shard": "../../../etc/passwd"}, "is none of the shards"),
        ({"shard": "/etc/passwd"}, "is none of the shards"),
        ({"shard": "shard-00009-of-00010.tfrecord"}, "is none of the shards"),
        ({"offset": "-5"}, "'-5' is no number of bytes"),
        ({"offset": "1e3"}, "is no number of bytes"),
        ({"offset": "９"}, "is no number of bytes"),
        ({"offset": "9" * 5000}, "is no number of bytes"),
        ({"offset": "999999999"}, "are not within shard-"),
        ({"offset": "3"}, "are not within shard-"),
        ({"bytes": "0"}, "are not within shard-"),
        ({"bytes": "99999999999"}, "are not within shard-"),
        ({"crc32": "xyz"}, "is no CRC-32"),
        ({"record_crc32": "123456789"}, "is no CRC-32"),
        ({"source_bytes": "-1"}, "is no number of bytes"),
    ],
)
def test_a_line_that_speaks_of_other_bytes_is_refused_with_its_number(folder, cells, told):
    changed_manifest(folder, **cells)
    for read in (read_source, read_photos, verify_prepared):
        with pytest.raises(DataError, match=f"manifest.csv, line 3: .*{told}"):
            read(folder)


def test_bytes_of_another_photo_are_no_photo_of_this_name(folder):
    other = slice_of(read_source(folder).records[0].path)
    changed_manifest(folder, shard=other.shard.rsplit("/", 1)[1], offset=str(other.offset), bytes=str(other.bytes))
    with pytest.raises(DataError, match="is damaged: its bytes in the shard"):
        read_photo(read_source(folder).records[1].path)
