import contextlib
import csv
import json
import os
import resource
import shutil
import signal
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from tfvision.data.decoding import read_encoded, read_photo, read_pixels
from tfvision.data.manifest import read_source
from tfvision.data.preparing.preparing import prepare
from tfvision.data.shards.prepared_index import PreparedIndex
from tfvision.data.shards.verification import verify_prepared
from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import DataError, StorageError


def textured(width, height, seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), np.uint8)
    return PIL.Image.fromarray(small).resize((width, height), PIL.Image.Resampling.BICUBIC)


def write_manifest(folder, rows):
    with open(folder / "manifest.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture
def mixed(tmp_path):
    """Photos of each kind that is treated in its own way."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    textured(300, 200).save(folder / "small.jpg", quality=80)
    textured(800, 600).save(folder / "large.jpg")
    textured(200, 300).save(folder / "drawing.png")
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # to be turned right
    textured(300, 200).save(folder / "turned.jpg", exif=exif)
    textured(1600, 800).save(folder / "boxed.jpg")
    (folder / "broken.jpg").write_bytes(b"no image")
    textured(300, 200).save(folder / "cut.jpg")
    with open(folder / "cut.jpg", "r+b") as file:
        file.truncate(3000)
    names = ["small.jpg", "large.jpg", "drawing.png", "broken.jpg", "turned.jpg", "boxed.jpg", "cut.jpg"]
    box = {"boxed.jpg": "400,200,640,320"}
    splits = ["train", "test", "", "train", "", "validation", ""]
    rows = []
    for number, (name, split) in enumerate(zip(names, splits, strict=True)):
        labels = {"genus": "Rosa", "species": f"Rosa {number % 2}", "group": f"walk {number // 2}", "split": split}
        rows.append({"image": name, **labels, "box": box.get(name, ""), "license": f"CC {number}"})
    return write_manifest(folder, rows)


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def by_name(folder):
    return {record.name: record for record in read_source(folder).records}


# Photos


def test_small_upright_jpegs_are_kept_byte_for_byte_and_all_else_becomes_a_jpeg_within_the_bound(mixed, tmp_path):
    prepare(mixed, tmp_path / "out", size=400)
    photos = {name: read_photo(record.path) for name, record in by_name(tmp_path / "out").items()}
    assert photos["small.jpg"].encoded == (mixed / "small.jpg").read_bytes()
    sizes = {name: (photo.width, photo.height, photo.orientation) for name, photo in photos.items()}
    assert sizes == {
        "small.jpg": (300, 200, 1),
        "large.jpg": (400, 300, 1),
        "drawing.png": (200, 300, 1),
        "turned.jpg": (200, 300, 1),
        "boxed.jpg": (800, 400, 1),
    }
    for name in sizes:
        record = by_name(tmp_path / "out")[name]
        assert read_encoded(record.path)[:2] == b"\xff\xd8" and record.identity == (name, (mixed / name).stat().st_size)
        image = PIL.Image.fromarray(read_pixels(mixed / name)).resize(sizes[name][:2], PIL.Image.Resampling.LANCZOS)
        assert np.abs(read_pixels(record.path).astype(int) - np.asarray(image)).mean() < 4


def test_boxes_are_scaled_along_and_keep_299_pixels_up_to_twice_the_bound(mixed, tmp_path):
    prepare(mixed, tmp_path / "out", size=400)
    assert by_name(tmp_path / "out")["boxed.jpg"].box == (200.0, 100.0, 320.0, 160.0)  # 1600 -> 800; to keep 299 it would take 1495
    prepare(mixed, tmp_path / "other", size=1000)
    assert by_name(tmp_path / "other")["boxed.jpg"].box[3] == pytest.approx(299, abs=1)


def test_the_crop_view_of_a_large_photo_keeps_what_the_network_sees_by_default(tmp_path):
    for name, size in {"camera": (3000, 2000), "phone": (2000, 1500)}.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        textured(*size).save(tmp_path / "photos" / name / "1.jpg")
    prepare(tmp_path / "photos", tmp_path / "out")
    for record in read_source(tmp_path / "out").records:
        photo = read_photo(record.path)
        assert max(photo.height, photo.width) <= 1056 and 0.875 * 0.5 * min(photo.height, photo.width) >= 299


def test_broken_photos_are_named_counted_and_kept_in_the_index(mixed, tmp_path):
    result = prepare(mixed, tmp_path / "out")
    assert (result["images"], result["failed"]) == (5, 2)
    assert [one["image"] for one in result["broken"]] == ["broken.jpg", "cut.jpg"]
    assert result["broken"][0]["reason"].startswith("broken.jpg is no image") and result["broken"][1]["reason"].startswith("cut.jpg is damaged")
    assert list(PreparedIndex.open(tmp_path / "out").broken) == result["broken"]
    assert verify_prepared(tmp_path / "out").photos == 5


def test_labels_groups_splits_and_other_columns_are_kept(mixed, tmp_path):
    prepare(mixed, tmp_path / "out")
    source = by_name(mixed)
    for name, record in by_name(tmp_path / "out").items():
        assert (record.lineage, record.group, record.split) == (source[name].lineage, source[name].group, source[name].split)
    with open(tmp_path / "out" / "manifest.csv", newline="") as file:
        assert {row["image"]: row["license"] for row in csv.DictReader(file)} == {
            "small.jpg": "CC 0",
            "large.jpg": "CC 1",
            "drawing.png": "CC 2",
            "turned.jpg": "CC 4",
            "boxed.jpg": "CC 5",
        }
    assert Taxonomy.load(tmp_path / "out" / "labels.json") == read_source(mixed).taxonomy()


def test_boxes_by_corners_in_another_column_are_scaled_along(tmp_path):
    textured(800, 400).save(tmp_path / "a.jpg")
    write_manifest(tmp_path, [{"image": "a.jpg", "subject": "s", "tattoo_x1y1x2y2": "[[100, 50, 300, 250], [0, 0, 8, 8]]"}])
    prepare(tmp_path, tmp_path / "out", size=400, ranks=("subject",))
    with open(tmp_path / "out" / "manifest.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert json.loads(row["tattoo_x1y1x2y2"]) == [[50, 25, 150, 125], [0, 0, 4, 4]]


def test_a_folder_of_class_folders_keeps_its_ranks(tmp_path):
    for name in ("Reds/Rosa", "Blues/Viola"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        textured(40, 30).save(tmp_path / "photos" / name / "1.jpg")
    prepare(tmp_path / "photos", tmp_path / "out", ranks=("order", "genus"))
    manifest = read_source(tmp_path / "out")
    assert manifest.ranks == ("order", "genus") and [record.lineage for record in manifest.records] == [("Blues", "Viola"), ("Reds", "Rosa")]
    assert "group" not in (tmp_path / "out" / "manifest.csv").read_text().splitlines()[0]  # no word of the user's


def test_photos_named_at_a_coarser_rank_are_kept_without_a_class(tmp_path):
    lineages = [("Rosa", "Rosa a"), ("Rosa", ""), ("Viola", "Viola b")]
    rows = [{"image": f"{number}.jpg", "genus": genus, "species": species} for number, (genus, species) in enumerate(lineages)]
    for row in rows:
        textured(40, 30).save(tmp_path / row["image"])
    prepare(write_manifest(tmp_path, rows), tmp_path / "out")
    assert [record.lineage for record in read_source(tmp_path / "out").records] == lineages
    assert Taxonomy.load(tmp_path / "out" / "labels.json").class_names == ("Rosa a", "Viola b")
    written = tf.data.TFRecordDataset(str(tmp_path / "out" / "shard-00000-of-00001.tfrecord"))
    examples = [tf.train.Example.FromString(one.numpy()).features.feature for one in written]
    assert {one["image/name"].bytes_list.value[0]: one["label"].int64_list.value[0] for one in examples} == {b"0.jpg": 0, b"1.jpg": -1, b"2.jpg": 1}


def test_prepared_data_can_be_prepared_again(prepared_colours, tmp_path):
    prepare(prepared_colours, tmp_path / "out", size=24)
    source = {record.name: record for record in read_source(prepared_colours).records}
    for record in read_source(tmp_path / "out").records:
        assert read_photo(record.path)[1:3] == ((40, 48) if record.box[2] else (20, 24)) and record.identity == source[record.name].identity


# Shards


def test_any_reader_of_tfrecords_finds_every_photo_mixed_over_the_shards(prepared_colours, colour_jpegs):
    files = sorted(map(str, prepared_colours.glob("*.tfrecord")))
    assert [os.path.basename(file) for file in files] == [f"shard-{number:05}-of-00004.tfrecord" for number in range(4)]
    labels = {"label": tf.io.FixedLenFeature([], tf.int64)} | {name: tf.io.FixedLenFeature([], tf.string) for name in ("image/encoded", "image/name")}
    found, names = {}, Taxonomy.load(prepared_colours / "labels.json").class_names
    for file in files:
        parsed = [tf.io.parse_single_example(one, labels) for one in tf.data.TFRecordDataset(file)]  # checks the CRC-32C of each
        assert len({int(one["label"]) for one in parsed}) > 1
        found.update({one["image/name"].numpy().decode(): (one["image/encoded"].numpy(), names[int(one["label"])]) for one in parsed})
    assert found == {record.name: ((colour_jpegs / record.name).read_bytes(), record.lineage[-1]) for record in read_source(colour_jpegs).records}


def test_the_same_bytes_whatever_the_number_of_workers(mixed, tmp_path):
    for workers in (1, 3):
        prepare(mixed, tmp_path / str(workers), size=250, shards=3, workers=workers)
    one, other = (files_of(tmp_path / str(workers)) for workers in (1, 3))
    assert one == other and len(one) == 6
    prepare(mixed, tmp_path / "seed", size=250, shards=3, seed=1)
    assert files_of(tmp_path / "seed")["shard-00000-of-00003.tfrecord"] != one["shard-00000-of-00003.tfrecord"]


# Stopped and resumed

SCRIPT = """
import os, sys, time
from tfvision.data.preparing import preparing
write = preparing.write_shard
def slowly(job, encoded):
    write(job, encoded)
    print(os.path.basename(job.path), flush=True)
    time.sleep(float(sys.argv[3]))
preparing.write_shard = slowly
preparing.prepare(sys.argv[1], sys.argv[2], shards=6, is_resumed="--resume" in sys.argv)
"""


@contextlib.contextmanager
def full_disk():
    """No file may have more than 4096 bytes: preparing.json fits, no shard does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.slow
def test_one_process_works_alone_and_killed_in_the_middle_it_goes_on_and_ends_as_if_nothing_had_been(colour_jpegs, tmp_path):
    prepare(colour_jpegs, tmp_path / "whole", shards=6)
    out = tmp_path / "out"
    arguments = [sys.executable, "-c", SCRIPT, str(colour_jpegs), str(out), "300"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "shard-00000-of-00006.tfrecord\n"
    with pytest.raises(DataError, match="another process works on .*out: wait for it, or choose another folder"):
        prepare(colour_jpegs, out, shards=6, is_resumed=True)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (out / ".partial-killed-in-the-middle.tfrecord").write_bytes(b"half a shard")
    with pytest.raises(DataError, match="is unfinished: go on with `tfvision data prepare"):
        read_source(out)
    with pytest.raises(DataError, match="is unfinished: go on with --resume, or remove the folder"):
        prepare(colour_jpegs, out, shards=6)
    with pytest.raises(DataError, match="was begun with other photos or settings"):
        prepare(colour_jpegs, out, shards=5, is_resumed=True)
    shutil.copytree(out, tmp_path / "again")

    made, seen = (out / "shard-00000-of-00006.tfrecord").stat().st_mtime_ns, []
    prepare(colour_jpegs, out, shards=6, is_resumed=True, progress=lambda done, total: seen.append((done, total)))
    assert (out / "shard-00000-of-00006.tfrecord").stat().st_mtime_ns == made
    assert seen == [(done, 48) for done in range(8, 49)]
    assert files_of(out) == files_of(tmp_path / "whole")

    shard = tmp_path / "again" / "shard-00000-of-00006.tfrecord"  # damaged while it lay there: it is made anew
    shard.write_bytes(b"x" + shard.read_bytes()[1:])
    prepare(colour_jpegs, tmp_path / "again", shards=6, is_resumed=True)
    assert files_of(tmp_path / "again") == files_of(tmp_path / "whole")


def test_a_full_disk_is_told_and_what_was_finished_is_kept(colour_jpegs, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(StorageError, match="shard-00000-of-00006.tfrecord could not be written .* run the same command again"), full_disk():
        prepare(colour_jpegs, out, shards=6)
    assert [path.name for path in out.iterdir()] == ["preparing.json"]
    assert prepare(colour_jpegs, out, shards=6, is_resumed=True)["images"] == 48


def test_what_is_complete_is_not_made_again(prepared_colours, colour_jpegs, tmp_path):
    out = shutil.copytree(prepared_colours, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert prepare(colour_jpegs, out, shards=4, is_resumed=True)["images"] == 48
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before
    with pytest.raises(DataError, match="is there already: choose another folder"):
        prepare(colour_jpegs, out, shards=4)
    with pytest.raises(DataError, match="was prepared from other photos or with other settings"):
        prepare(colour_jpegs, out, shards=4, quality=50, is_resumed=True)


def test_a_folder_with_other_files_is_left_alone(colour_jpegs, tmp_path):
    (tmp_path / "thesis.tex").write_text("!")
    for is_resumed in (False, True):
        with pytest.raises(DataError, match="choose another folder"):
            prepare(colour_jpegs, tmp_path, is_resumed=is_resumed)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_no_photo_that_can_be_read_is_an_error(tmp_path):
    (tmp_path / "photos" / "a").mkdir(parents=True)
    (tmp_path / "photos" / "a" / "1.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match="none of the 1 photos can be read: a/1.jpg is no image"):
        prepare(tmp_path / "photos", tmp_path / "out")


@pytest.mark.parametrize("shards", [0, -1, 49, 100_000])
def test_a_number_of_shards_that_cannot_be_is_refused(colour_jpegs, tmp_path, shards):
    with pytest.raises(DataError, match=f"--shards must be from 1 to the number of photos, 48, and below 100,000; got {shards}"):
        prepare(colour_jpegs, tmp_path / "out", shards=shards)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("settings", [{"size": 0}, {"quality": 0}, {"quality": 96}])
def test_settings_that_cannot_be_are_refused(colour_jpegs, tmp_path, settings):
    with pytest.raises(DataError, match="--size must be above 0 and --quality from 1 to 95"):
        prepare(colour_jpegs, tmp_path / "out", **settings)
