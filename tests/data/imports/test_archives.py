import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile

import pytest

from tfvision.data.imports import zip_checks
from tfvision.data.imports.archives import open_archive
from tfvision.errors import DataError


def _zip(path, *members):
    """Writes (name or ZipInfo, bytes) pairs."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def _info(name, mode):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def _read(archive, name):
    with archive.open(name) as stream:
        return stream.read()


def test_a_zip_is_read_without_unpacking(tmp_path):
    path = _zip(tmp_path / "a.zip", ("occurrence.txt", b"one\ntwo\n"), ("dataset/", b""), ("dataset/x.xml", b"<x/>"))
    with open_archive(path) as archive:
        assert archive.names == ("dataset/x.xml", "occurrence.txt")
        assert _read(archive, "occurrence.txt") == b"one\ntwo\n" and archive.size("occurrence.txt") == 8
        assert archive.bytes_read == 8
        with pytest.raises(DataError, match="has no member 'nowhere.txt'"):
            archive.open("nowhere.txt")
    assert os.listdir(tmp_path) == ["a.zip"]


def test_a_folder_a_file_and_gz(tmp_path):
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "photos.csv.gz").write_bytes(gzip.compress(b"a,b\n" * 9))
    (folder / "inner" / "x.csv").write_bytes(b"x")
    (folder / "same.csv").symlink_to("inner/x.csv")
    with open_archive(folder) as archive:
        assert archive.names == ("inner/x.csv", "photos.csv.gz", "same.csv")
        assert _read(archive, "photos.csv.gz") == b"a,b\n" * 9 and _read(archive, "same.csv") == b"x"
    with open_archive(folder / "photos.csv.gz") as archive:
        assert archive.names == ("photos.csv.gz",) and _read(archive, "photos.csv.gz").startswith(b"a,b")
    (folder / "photos.csv.gz").write_bytes(gzip.compress(b"a,b\n" * 9999)[:-20])
    with open_archive(folder) as archive, pytest.raises(DataError, match="cannot be read"):
        _read(archive, "photos.csv.gz")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.txt", "leads outside"),
        ("a/../../evil.txt", "leads outside"),
        ("..\\evil.txt", "leads outside"),
        ("a\\..\\..\\evil.txt", "leads outside"),
        ("/etc/passwd", "absolute path"),
        ("\\\\host\\share", "absolute path"),
        ("C:\\evil.txt", "absolute path"),
        ("c:evil.txt", "absolute path"),
        ("a\nb.txt", "control characters"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path, name, reason):
    with pytest.raises(DataError, match=reason) as caught:
        open_archive(_zip(tmp_path / "a.zip", ("occurrence.txt", b"x"), (name, b"x")))
    assert "a.zip is refused" in str(caught.value) and "\n" not in str(caught.value)


def test_a_name_that_goes_on_behind_a_nul_is_refused(tmp_path):
    path = _zip(tmp_path / "a.zip", ("meta.xml@../x", b"x"))
    path.write_bytes(path.read_bytes().replace(b"@", b"\0"))
    with pytest.raises(DataError, match="control characters"):
        open_archive(path)


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (stat.S_IFLNK | 0o777, "is a link"),
        (stat.S_IFCHR, "a device"),
        (stat.S_IFBLK, "a device"),
        (stat.S_IFIFO, "a device or a pipe"),
        (stat.S_IFSOCK, "a device"),
    ],
)
def test_links_and_devices_in_a_zip_are_refused(tmp_path, mode, reason):
    with pytest.raises(DataError, match=reason):
        open_archive(_zip(tmp_path / "a.zip", (_info("occurrence.txt", mode), b"/etc/passwd")))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [("a.txt", "a.txt"), ("a.txt", "A.TXT"), ("x/a.txt", "x\\a.txt"), ("a", "a/"), ("\u00e9.txt", "e\u0301.txt")])
def test_two_members_of_one_name_are_refused(tmp_path, names):
    with pytest.raises(DataError, match="two members have one name"):
        open_archive(_zip(tmp_path / "a.zip", *((name, b"x") for name in names)))


def test_encrypted_members_are_refused(tmp_path):
    path = _zip(tmp_path / "a.zip", ("occurrence.txt", b"x"))
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="'occurrence.txt' is encrypted: unpack it with its password"):
        open_archive(path)


def test_a_bomb_is_refused_by_its_ratio_and_a_sparse_table_is_not(tmp_path):
    with pytest.raises(DataError, match="decodes to more than 200 times its size"):
        open_archive(_zip(tmp_path / "bomb.zip", ("occurrence.txt", bytes(zip_checks.RATIO_FREE_BYTES + 1))))
    row = b"".join(b"%d\t%s" % (number * 2654435761 % 2**32, b"\t" * 200) for number in range(100_000))
    path = _zip(tmp_path / "sparse.zip", ("occurrence.txt", row))
    assert len(row) > zip_checks.RATIO_FREE_BYTES and len(row) > 20 * path.stat().st_size
    with open_archive(path) as archive:
        assert archive.size("occurrence.txt") == len(row)


def test_a_gz_bomb_is_refused_while_it_is_read(tmp_path):
    (tmp_path / "photos.csv.gz").write_bytes(gzip.compress(bytes(2 * zip_checks.RATIO_FREE_BYTES)))
    with (
        open_archive(tmp_path / "photos.csv.gz") as archive,
        pytest.raises(DataError, match="decodes to more than 200 times"),
        archive.open("photos.csv.gz") as stream,
    ):
        while stream.read(2**20):
            pass
    assert archive.bytes_read < 1.1 * zip_checks.RATIO_FREE_BYTES


def test_caps_of_count_total_and_table_of_contents(tmp_path, monkeypatch):
    path = _zip(tmp_path / "a.zip", *((f"{number}.txt", b"12345") for number in range(5)))
    for name, value, reason in (
        ("MAX_MEMBERS", 4, "has 5 members"),
        ("MAX_TOTAL_BYTES", 24, "would decode to"),
        ("MAX_DIRECTORY_BYTES", 100, "table of contents"),
    ):
        with monkeypatch.context() as patch, pytest.raises(DataError, match=reason):
            patch.setattr(zip_checks, name, value)
            open_archive(path)
    open_archive(path).close()


def test_several_gigabytes_at_twenty_to_one_pass():
    members = [zipfile.ZipInfo(name) for name in ("occurrence.txt", "verbatim.txt")]
    for member in members:
        member.file_size, member.compress_size = 40 * 2**30, 2 * 2**30
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os.path, "getsize", lambda path: 5 * 2**30)
        zip_checks.check_bomb("a.zip", members)
    with pytest.raises(DataError, match="members overlap"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(os.path, "getsize", lambda path: 3 * 2**30)
        zip_checks.check_bomb("a.zip", members)


def test_a_size_that_lies_is_found_when_the_member_is_read(tmp_path):
    path = _zip(tmp_path / "a.zip", ("occurrence.txt", bytes(3_000_000)))
    data = bytearray(path.read_bytes())
    offset = data.index(b"PK\x01\x02") + 24
    assert struct.unpack_from("<L", data, offset) == (3_000_000,)
    struct.pack_into("<L", data, offset, 1000)
    path.write_bytes(data)
    with open_archive(path) as archive, pytest.raises(DataError, match="'occurrence.txt' of .* cannot be read"):
        _read(archive, "occurrence.txt")
    assert archive.bytes_read <= 1000


def test_damage_is_told(tmp_path):
    path = _zip(tmp_path / "a.zip", ("occurrence.txt", os.urandom(50_000)))
    whole = path.read_bytes()
    for length in (len(whole) - 10, len(whole) // 2, 40):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match="truncated or damaged"):
            open_archive(path)
    flipped = bytearray(whole)
    flipped[1000] ^= 0xFF
    path.write_bytes(flipped)
    with open_archive(path) as archive, pytest.raises(DataError, match="'occurrence.txt' of .* cannot be read"):
        _read(archive, "occurrence.txt")
    path.write_text("This is a text.")
    with pytest.raises(DataError, match="is not a zip archive"):
        open_archive(path)
    with pytest.raises(DataError, match="does not exist"):
        open_archive(tmp_path / "nowhere.zip")


def test_a_folder_whose_links_or_pipes_lead_outside_is_refused(tmp_path):
    outside = tmp_path / "secret.txt"
    outside.write_text("secret")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "occurrence.txt").symlink_to(outside)
    with pytest.raises(DataError, match="a link that leads outside it, 'occurrence.txt'"):
        open_archive(folder)
    (folder / "occurrence.txt").unlink()
    (folder / "dataset").symlink_to(tmp_path)
    with pytest.raises(DataError, match="a link that leads outside it, 'dataset'"):
        open_archive(folder)
    (folder / "dataset").unlink()
    os.mkfifo(folder / "occurrence.txt")
    with pytest.raises(DataError, match="a device or a pipe, 'occurrence.txt'"):
        open_archive(folder)
    (folder / "occurrence.txt").unlink()
    (folder / "broken").symlink_to("not-there")
    assert open_archive(folder).names == ()
    other = tmp_path / "other"
    other.symlink_to(folder)
    assert open_archive(other).names == ()


def test_archives_of_other_kinds_are_to_be_unpacked(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("x.csv"), io.BytesIO())
    with pytest.raises(DataError, match="unpack it first"):
        open_archive(tmp_path / "a.tar.gz")
