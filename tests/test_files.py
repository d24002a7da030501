import dataclasses
import errno
import os
import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest

from tfvision.errors import DataError, FileError, StorageError
from tfvision.files import (
    TEMPORARY_PREFIX,
    atomic_folder,
    atomic_path,
    check_checksum,
    read_arrays,
    read_json,
    remove_partial_files,
    write_arrays,
    write_checksums,
    write_json,
    write_text,
)


def files_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_block_that_ends_well_replaces_the_file(tmp_path):
    path = tmp_path / "new/folder/model.weights.h5"
    for text in ("old", "new"):
        with atomic_path(path) as temporary:
            assert temporary.name == path.name  # Keras and Pillow choose their format by it
            temporary.write_text(text)
        assert path.read_text() == text
    assert files_below(tmp_path) == ["new/folder/model.weights.h5"]


def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path):
    write_text(tmp_path / "1.txt", "text")
    (tmp_path / "2.txt").write_text("text")
    assert (tmp_path / "1.txt").stat().st_mode == (tmp_path / "2.txt").stat().st_mode


@pytest.mark.parametrize("exception", [ValueError, KeyboardInterrupt])
def test_an_exception_in_the_block_leaves_the_old_file(tmp_path, exception):
    write_text(tmp_path / "1.txt", "old")
    with pytest.raises(exception), atomic_path(tmp_path / "1.txt") as temporary:
        temporary.write_text("half of the new")
        raise exception
    assert (tmp_path / "1.txt").read_text() == "old"
    assert files_below(tmp_path) == ["1.txt"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_names_path_and_remedy(tmp_path, monkeypatch, step):
    write_text(tmp_path / "1.txt", "old")

    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(StorageError, match=r"1.txt could not be written \(No space left on device\).*Free some space"):
        write_text(tmp_path / "1.txt", "new")
    assert (tmp_path / "1.txt").read_text() == "old"
    assert files_below(tmp_path) == ["1.txt"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENAMETOOLONG])
def test_only_a_full_disk_asks_for_space(tmp_path, monkeypatch, number):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(StorageError, match="could not be written") as caught:
        write_text(tmp_path / "1.txt", "new")
    assert os.strerror(number) in str(caught.value) and "space" not in str(caught.value) and "hoose a" in str(caught.value)


def test_arrays_are_written_as_numpy_reads_them_and_a_full_disk_leaves_no_traceback(tmp_path):
    write_arrays(tmp_path / "1.npz", {"a/b": np.arange(3), "facts": np.array("x")})
    with np.load(tmp_path / "1.npz", allow_pickle=False) as stored:
        assert stored["a/b"].tolist() == [0, 1, 2] and str(stored["facts"]) == "x"
    script = (
        "import resource, sys, numpy as np\nfrom tfvision.errors import StorageError\nfrom tfvision.files import write_arrays\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (9999, 9999))\n"
        "try: write_arrays(sys.argv[1], {'a': np.zeros(99999)})\nexcept StorageError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "2.npz"], capture_output=True, text=True)
    assert done.stderr == "" and "2.npz could not be written (File too large)" in done.stdout and files_below(tmp_path) == ["1.npz"]


def test_a_file_too_large_for_the_disk_leaves_the_old_file(tmp_path):
    write_text(tmp_path / "1.txt", "old")
    script = (
        "import resource, sys\n"
        "from tfvision.errors import StorageError\n"
        "from tfvision.files import write_text\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    write_text(sys.argv[1], 5000 * 'x')\n"
        "except StorageError as error:\n"
        "    print(error)\n"
    )
    finished = subprocess.run([sys.executable, "-c", script, tmp_path / "1.txt"], capture_output=True, text=True, check=True)
    assert f"{tmp_path / '1.txt'} could not be written (File too large)" in finished.stdout
    assert (tmp_path / "1.txt").read_text() == "old"
    assert files_below(tmp_path) == ["1.txt"]


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="1.txt could not be written"):
        write_text(tmp_path / "file/1.txt", "text")


def test_a_killed_process_leaves_the_old_file_and_its_remains_can_be_removed(tmp_path):
    write_text(tmp_path / "logs/1.txt", "old")
    script = (
        "import os, sys\n"
        "from tfvision.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half of the new')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, tmp_path / "logs/1.txt"]).returncode == -9
    assert (tmp_path / "logs/1.txt").read_text() == "old"
    assert any(TEMPORARY_PREFIX in name for name in files_below(tmp_path))
    remove_partial_files(tmp_path)
    assert files_below(tmp_path) == ["logs/1.txt"]


def test_removing_remains_leaves_all_else(tmp_path):
    for name in (f"{TEMPORARY_PREFIX}ab1.txt", f"sub/{TEMPORARY_PREFIX}x", "partial-1.txt", "sub/.hidden"):
        write_text(tmp_path / name, "")
    remove_partial_files(tmp_path)
    assert files_below(tmp_path) == ["partial-1.txt", "sub/.hidden"]
    remove_partial_files(tmp_path / "nowhere")


@dataclasses.dataclass(frozen=True)
class Stage:
    epochs: float
    views: tuple[str, ...]


def test_dataclasses_and_numpy_values_are_written_as_plain_json(tmp_path):
    value = {
        "stages": [Stage(1.5, ("whole", "crop"))],
        "count": np.int64(3),
        "share": np.float32(0.5),
        "is_kept": np.bool_(True),
        "labels": np.int32([[1, 2], [3, 4]]),
        "path": tmp_path,
        "name": "Löwe",
    }
    write_json(tmp_path / "1.json", value)
    assert read_json(tmp_path / "1.json") == {
        "stages": [{"epochs": 1.5, "views": ["whole", "crop"]}],
        "count": 3,
        "share": 0.5,
        "is_kept": True,
        "labels": [[1, 2], [3, 4]],
        "path": str(tmp_path),
        "name": "Löwe",
    }
    assert "Löwe" in (tmp_path / "1.json").read_text(encoding="utf-8")


def test_a_missing_file_is_named_whatever_it_is_of(tmp_path):
    with pytest.raises(FileError, match="notes.json does not exist: check the path, or make the file by the command that writes it$"):
        read_json(tmp_path / "notes.json")


@pytest.mark.parametrize("content", [b"", b'{"epochs": ', b"\xff\xfe"])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "recipe.json").write_bytes(content)
    with pytest.raises(FileError, match="recipe.json cannot be read as JSON"):
        read_json(tmp_path / "recipe.json")


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    with pytest.raises(FileError, match="cannot be read as JSON"):
        read_json(tmp_path)


FULL_DISK = (  # of a process that may write no file of more than 9,999 bytes, which every library meets as it meets a full disk
    "import signal, resource, sys\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (9999, 9999))\n"
)


def _doomed(folder):
    """A process in the middle of writing FOLDER/x, a folder, and FOLDER/y.txt."""
    script = (
        "import sys\nfrom tfvision.files import atomic_folder, atomic_path\n"
        "with atomic_folder(sys.argv[1] + '/x') as x, atomic_path(sys.argv[1] + '/y.txt') as y:\n"
        "    (x / 'part').write_text('half'); y.write_text('half'); print('writing', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", script, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    return process


def test_what_a_killed_process_left_goes_with_the_next_write_and_what_a_living_one_writes_stays(tmp_path):
    living, killed = _doomed(tmp_path), _doomed(tmp_path)
    for name in (f"{TEMPORARY_PREFIX}download", "x.partial"):  # another program's
        (tmp_path / name).mkdir()
    killed.kill()
    killed.communicate()
    assert len([*tmp_path.iterdir()]) == 6
    write_text(tmp_path / "1.txt", "new")
    assert len([path for path in tmp_path.iterdir() if path.name.startswith(f"{TEMPORARY_PREFIX}tfvision-")]) == 2
    living.communicate("")
    assert living.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{TEMPORARY_PREFIX}download", "1.txt", "x", "x.partial", "y.txt"]


def test_remains_that_a_living_process_holds_are_not_removed(tmp_path):
    living = _doomed(tmp_path)
    remove_partial_files(tmp_path)
    living.communicate("")
    assert living.returncode == 0 and files_below(tmp_path) == ["x/part", "y.txt"]


def test_a_folder_that_cannot_be_filled_leaves_nothing_of_itself_or_of_its_parents(tmp_path):
    with (
        pytest.raises(StorageError, match=r"models/a/1 could not be written \(No space left on device\): free some space"),
        atomic_folder(tmp_path / "models/a/1"),
    ):
        raise RuntimeError("; write /x/y: No space left on device")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Can't decrement id ref count (file write failed: time = now, errno = 28, error message = 'No space left on device')"),
        OSError(28, "Can't synchronously write data (errno = 28, error message = 'No space left on device')"),
        OSError("2048 requested and 1008 written"),
    ],
)
def test_a_full_disk_is_told_whatever_a_library_makes_of_it(tmp_path, error):
    with pytest.raises(StorageError, match=r"1.txt could not be written \(No space left on device\); .* Free some space"), atomic_path(tmp_path / "1.txt"):
        raise error
    assert [*tmp_path.iterdir()] == []


def test_a_file_that_was_not_written_within_a_folder_is_told_by_the_folders_name(tmp_path):
    with pytest.raises(StorageError) as caught, atomic_folder(tmp_path / "f") as folder, atomic_path(folder / "1.txt"):
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    assert f"{tmp_path / 'f'} could not be written (File too large): free some space" in str(caught.value)
    assert TEMPORARY_PREFIX not in str(caught.value)


def test_an_error_of_what_is_read_stays_what_it_is(tmp_path):
    with pytest.raises(DataError, match="photo.jpg cannot be read"), atomic_path(tmp_path / "1.txt"):
        raise DataError("photo.jpg cannot be read (Permission denied)")


def test_pictures_that_a_full_disk_cuts_short_are_not_taken_for_written(tmp_path):
    script = (
        f"{FULL_DISK}import numpy as np\nfrom tfvision.apps.style.pictures import write_animation, write_picture\nfrom tfvision.errors import StorageError\n"
        "noise = np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8)\n"
        "for name in ('p.jpg', 'p.tif', 'p.png', 'p.gif'):\n"
        "    try: write_picture(f'{sys.argv[1]}/{name}', noise) if name != 'p.gif' else write_animation(f'{sys.argv[1]}/{name}', [noise], [1])\n"
        "    except StorageError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True)
    assert done.stderr == "" and done.stdout.count("could not be written (File too large)") == 4 and [*tmp_path.iterdir()] == []


def test_a_part_of_another_kind_is_named_with_the_remedy(tmp_path):
    write_json(tmp_path / "notes.json", {"tags": {"a": [1]}})
    with pytest.raises(FileError, match="notes.json was changed: its 'tags' is missing or of another kind; restore it$"):
        read_json(tmp_path / "notes.json", {"tags": dict[str, tuple[str, ...]]}, "restore it")
    with pytest.raises(DataError, match="notes.json was changed: it holds something else; restore it$"):
        read_json(tmp_path / "notes.json", tuple[str, ...], "restore it", DataError)


@pytest.mark.parametrize("name", ["gone", "folder", "circle", "cut", "flipped", "shape", "dtype", "other", "empty"])
def test_arrays_that_do_not_fit_are_named(tmp_path, name):
    path = tmp_path / "map.npz"
    plane = np.arange(12, dtype=np.float32).reshape(6, 2)
    write_arrays(path, {"plane": {"shape": plane.ravel(), "dtype": plane.astype(int)}.get(name, plane)} if name != "other" else {"x": plane})
    content = bytearray(path.read_bytes())
    content[content.index(plane.tobytes()[4:12]) if name not in ("dtype",) else 0] ^= name == "flipped"
    path.write_bytes({"cut": content[:-30], "empty": b""}.get(name, content))
    if name in ("gone", "folder", "circle"):
        path.unlink()
        {"gone": lambda: None, "folder": path.mkdir, "circle": lambda: path.symlink_to(path.name)}[name]()
    with pytest.raises(FileError, match=r"map.npz cannot be read \(.+\); it is made again$"):
        read_arrays(path, {"plane": ("f", (None, 2))}, "it is made again")


def test_arrays_are_read_as_they_were_written(tmp_path):
    write_arrays(tmp_path / "a.npz", {"plane": np.float32([[1, 2]])})
    assert read_arrays(tmp_path / "a.npz", {"plane": ("f", (None, 2))}, "")["plane"].tolist() == [[1, 2]]


def test_a_changed_file_is_found_by_its_checksum_and_an_unlisted_one_is_not_asked_for(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode() * 100)
    write_checksums([tmp_path / "a"])
    assert (tmp_path / "SHA256SUMS").read_text() == f"{sha256(b'a' * 100).hexdigest()}  a\n"  # as sha256sum writes and checks it
    check_checksum(tmp_path / "a", "restore it")
    (tmp_path / "b").write_bytes(b"x")
    check_checksum(tmp_path / "b", "restore it")
    (tmp_path / "a").write_bytes(b"a" * 99 + b"c")
    with pytest.raises(FileError, match="a is damaged or was changed since it was written: its SHA-256 is not that in SHA256SUMS beside it; restore it$"):
        check_checksum(tmp_path / "a", "restore it")
    (tmp_path / "SHA256SUMS").write_bytes(b"\xff\xfe")
    with pytest.raises(FileError, match="SHA256SUMS cannot be read .*: restore it, or remove it if a is to be read unchecked$"):
        check_checksum(tmp_path / "a", "restore it")
