import zlib

import pytest

from tfvision.data.shards.slices import Slice, photo_bytes, photo_file, read_slice, shard_name, slice_of
from tfvision.errors import DataError


@pytest.fixture
def location(tmp_path):
    (tmp_path / shard_name(3, 8)).write_bytes(b"before" + b"the photo" + b"behind")
    return Slice(str(tmp_path / "shard-00003-of-00008.tfrecord"), 6, 9, zlib.crc32(b"the photo"))


def test_a_slice_of_a_shard_has_a_path_that_ends_in_the_photos_name(location):
    path = location.path("walk one/../photo 7#.jpg")
    assert path == f"{location.shard}/6-9-{zlib.crc32(b'the photo'):08x}/photo 7#.jpg"
    assert slice_of(path) == location
    assert (photo_file(path), photo_bytes(path)) == (location.shard, 9)
    assert read_slice(path, location) == b"the photo"


def test_other_paths_are_those_of_files(tmp_path):
    for path in ("a.jpg", "shard-00003-of-00008.tfrecord", "shard-00003-of-00008.tfrecord/1-2/a.jpg", "shard-3-of-8.tfrecord/1-2-00000000/a.jpg"):
        assert slice_of(path) is None and photo_file(path) == path
    assert slice_of("shard-00003-of-00008.tfrecord/1-2-000000ff/a.jpg") == ("shard-00003-of-00008.tfrecord", 1, 2, 255)
    (tmp_path / "a.jpg").write_bytes(b"123")
    assert photo_bytes(tmp_path / "a.jpg") == 3


@pytest.mark.parametrize("content", [b"beforethe phoTobehind", b"beforethe ph"], ids=["flipped", "cut"])
def test_other_bytes_than_were_written_are_refused_by_name(location, content):
    with open(location.shard, "wb") as file:
        file.write(content)
    with pytest.raises(DataError, match="/a.jpg is damaged: its bytes in the shard are not those that were written"):
        read_slice(location.path("a.jpg"), location)
