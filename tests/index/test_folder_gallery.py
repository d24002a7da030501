import dataclasses
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import zlib

import numpy as np
import pytest

from tfvision.errors import GalleryError, StorageError
from tfvision.features.recipe import FeatureRecipe
from tfvision.index import storage
from tfvision.index.folder_gallery import FolderGallery
from tfvision.index.making import gallery_extractor


def contents(gallery):
    """{id: (vector, image, metadata)} of the live pictures."""
    rows = zip(gallery.vectors.tolist(), gallery.images, gallery.metadata, strict=True)
    return dict(zip(gallery.ids, rows, strict=True))


def test_vectors_are_memory_mapped_and_what_is_known_of_pictures_is_read_by_their_order(insects, tmp_path):
    gallery = FolderGallery.open(insects)
    for vectors in (gallery.vectors, gallery.row_vectors):
        assert isinstance(vectors, np.memmap) and not vectors.flags.writeable
    assert contents(gallery)["b"] == ([0, 1, 0], str(tmp_path / "b.jpg"), {"species": "Vanessa cardui", "year": 2014})
    assert list(gallery.metadata[2:]) == [{"species": "Apis"}, {}]


def test_the_files_are_as_documented(insects):
    """docs/gallery.md: read without any of our code."""
    manifest = json.loads((insects / "gallery.json").read_text())
    data = insects / manifest["data"]
    assert np.fromfile(data / "vectors.f32", "<f4").reshape(-1, manifest["dimension"]).tolist()[3] == [1, 1, 1]
    assert [json.loads(line) for line in (data / "ids.jsonl").read_text().splitlines()] == ["a", "b", "c", "d"]
    assert (data / "images.jsonl").read_text().splitlines()[0] == '"../a.jpg"'
    number = manifest["columns"].index("species")
    values = [json.loads(line) for line in (data / f"column-{number}.jsonl").read_text().splitlines()]
    assert [values[code] if code >= 0 else None for code in np.fromfile(data / f"column-{number}.i32", "<i4")] == [
        "Vanessa atalanta",
        "Vanessa cardui",
        "Apis",
        None,
    ]


def test_a_gallery_and_its_images_can_be_moved_together(insects, tmp_path, monkeypatch):
    (tmp_path / "moved").mkdir()
    insects.rename(tmp_path / "moved" / "insects")
    assert FolderGallery.open(tmp_path / "moved" / "insects").images[0] == str(tmp_path / "moved" / "a.jpg")
    monkeypatch.chdir(tmp_path / "moved")
    assert FolderGallery.open("insects").images[0] == "a.jpg"


@pytest.mark.parametrize("removed", [10, 60])
def test_removed_rows_leave_the_files_when_they_are_many(tmp_path, removed):
    with FolderGallery.create(tmp_path / "g", 2) as gallery:
        gallery.add([str(i) for i in range(100)], np.arange(200).reshape(100, 2), ["x"] * 100, [{"i": i % 7} for i in range(100)])
        gallery.remove([str(i) for i in range(removed)])
        assert len(gallery.row_vectors) == (100 if removed == 10 else 40)
        assert list(gallery.ids) == [str(i) for i in range(removed, 100)]
        assert gallery.vectors.tolist() == np.arange(2 * removed, 200).reshape(-1, 2).tolist()
        assert [row["i"] for row in gallery.metadata] == [i % 7 for i in range(removed, 100)]
        gallery.add(["0"], [[5, 5]], ["x"])  # an id is free again
        assert contents(FolderGallery.open(tmp_path / "g"))["0"][0] == [5, 5]


def test_readers_keep_what_they_opened(insects):
    reader = FolderGallery.open(insects)
    before = contents(reader)
    reader = FolderGallery.open(insects)  # nothing read of it yet
    with FolderGallery.open(insects, writable=True) as gallery:
        gallery.add(["e"], [[9, 9, 9]], ["e.jpg"])
        gallery.rewrite()  # its files are gone
    assert not (insects / "data-0001").exists()
    assert contents(reader) == before
    assert len(FolderGallery.open(insects)) == 5


def test_a_second_writer_is_refused_and_a_dead_one_is_forgotten(insects):
    with FolderGallery.open(insects, writable=True):
        with pytest.raises(GalleryError, match=f"insects is being written to by process {os.getpid()}: only one may write"):
            FolderGallery.open(insects, writable=True)
        FolderGallery.open(insects).close()  # to read it is allowed
    FolderGallery.open(insects, writable=True).close()


@pytest.mark.parametrize("name", ["vectors.f32", "ids.jsonl", "images.jsonl", "column-0.jsonl", "column-0.i32"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "missing"])
def test_a_damaged_file_is_refused_by_name(insects, name, damage):
    path = insects / "data-0001" / name
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
    elif damage == "cut":
        path.write_bytes(data[:-1])
    else:
        path.unlink()
    words = {"flipped": "is damaged: its checksum", "cut": "is cut short", "missing": "is missing"}[damage]
    with pytest.raises(GalleryError, match=f"{name} {words}"):
        FolderGallery.open(insects)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "tfvision gallery 2"}'])
def test_a_manifest_that_cannot_be_read_is_refused(insects, text):
    (insects / "gallery.json").write_text(text)
    with pytest.raises(GalleryError, match="gallery.json is"):
        FolderGallery.open(insects)


def test_other_folders_are_no_galleries(tmp_path, insects):
    with pytest.raises(GalleryError, match="is no gallery: it has no gallery.json"):
        FolderGallery.open(tmp_path)
    with pytest.raises(GalleryError, match="holds other files"):
        FolderGallery.create(tmp_path, 3)
    with pytest.raises(GalleryError, match="is a gallery already"):
        FolderGallery.create(insects, 3)


def test_what_a_killed_writer_left_does_not_count(insects):
    before = contents(FolderGallery.open(insects))
    for path in (insects / "data-0001").iterdir():
        path.write_bytes(path.read_bytes() + b"torn")
    (insects / "data-0002").mkdir()  # of a rewriting
    (insects / "data-0002" / "vectors.f32").write_bytes(b"torn")
    assert contents(FolderGallery.open(insects)) == before
    with FolderGallery.open(insects, writable=True) as gallery:
        gallery.add(["e"], [[5, 6, 7]], ["e.jpg"])
        gallery.rewrite()
    after = contents(FolderGallery.open(insects))
    assert after.pop("e")[0] == [5, 6, 7]
    assert after == before


WRITER = """
import sys
import numpy as np
from tfvision.index.folder_gallery import FolderGallery

with FolderGallery.open(sys.argv[1], writable=True) as gallery:
    for number in range(len(gallery) // 50, 10_000):
        ids = [f"{number}-{own}" for own in range(50)]
        gallery.add(ids, np.full((50, 100), number), ids, [{"number": number}] * 50)
        if number % 3 == 0:
            gallery.rewrite()
        print(number, flush=True)
"""


def test_killed_at_any_moment_it_opens_as_before_or_after(tmp_path):
    FolderGallery.create(tmp_path / "g", 100).close()
    (tmp_path / "writer.py").write_text(WRITER)
    random, written = np.random.default_rng(0), 0
    for _ in range(4):
        writer = subprocess.Popen([sys.executable, tmp_path / "writer.py", tmp_path / "g"], stdout=subprocess.PIPE, text=True)
        for _ in range(random.integers(1, 5)):
            written = 1 + int(writer.stdout.readline())
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(random.uniform(0, 0.02))
        writer.send_signal(signal.SIGKILL)
        told = [int(line) for line in writer.stdout]
        writer.wait()
        written = 1 + told[-1] if told else written
        gallery = FolderGallery.open(tmp_path / "g")
        batches, rest = divmod(len(gallery), 50)
        assert rest == 0 and written <= batches <= written + 1
        assert list(gallery.ids) == [f"{number}-{own}" for number in range(batches) for own in range(50)]
        assert gallery.vectors[:, 99].tolist() == [number for number in range(batches) for _ in range(50)]
        assert [row["number"] for row in gallery.metadata] == gallery.vectors[:, 0].tolist()


def test_a_full_disk_leaves_the_old_gallery(insects):
    with FolderGallery.open(insects, writable=True) as gallery:
        before = contents(gallery)
        ids = [str(number) for number in range(2000)]
        handler, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))  # no file may grow beyond
        try:
            with pytest.raises(StorageError, match=r"vectors.f32 could not be written \(File too large\); the gallery is as it was. Free some space"):
                gallery.add(ids, np.ones((2000, 3)), ids)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert contents(gallery) == before == contents(FolderGallery.open(insects))
        assert (insects / "data-0001" / "vectors.f32").stat().st_size == 4 * 3 * 4
        gallery.add(ids, np.ones((2000, 3)), ids)
        assert len(gallery) == 2004


@pytest.mark.parametrize("is_old", [False, True], ids=["with a checksum", "of version 0.2"])
def test_any_byte_of_the_manifest_that_changed_is_noticed(insects, is_old):
    """Where it has no checksum of itself, a change of what nothing else tells of cannot be seen, but never ends in a traceback."""
    path, expected = insects / "gallery.json", FolderGallery.open(insects).info()
    state = json.loads(path.read_text())
    if is_old:
        path.write_text(json.dumps({name: value for name, value in state.items() if name != "checksum"}, indent=2))
    text, refused = path.read_bytes(), 0
    for place in range(len(text)):
        path.write_bytes(text[:place] + bytes([text[place] ^ (1, 4, 64)[place % 3]]) + text[place + 1 :])
        try:
            gallery = FolderGallery.open(insects)
            assert is_old or gallery.info() == expected
            contents(gallery)
        except GalleryError as error:
            assert "gallery.json is" in str(error) or is_old
            refused += 1
    assert refused > 0.8 * len(text)
    path.write_bytes(text)
    with FolderGallery.open(insects, writable=True) as gallery:
        gallery.set_facts(identity="y")
    assert "checksum" in json.loads(path.read_text()) and FolderGallery.open(insects).facts["identity"] == "y"


@pytest.mark.parametrize("model", ["runs/species", "species", "/nowhere/savedmodels/species"])
def test_a_model_that_was_moved_is_asked_for_by_its_former_place(tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    facts = {"recipe": dataclasses.asdict(FeatureRecipe(model=model)), "identity": "x"}
    with FolderGallery.create(tmp_path / "g", 3, facts) as gallery, pytest.raises(GalleryError) as caught:
        gallery_extractor(gallery)
    assert f"was made by the model in {(tmp_path / model)}, where nothing is now: if it was moved, go on with --model NEWPLACE" in str(caught.value)


def test_a_large_gallery_is_compared_with_its_checksums_when_a_file_has_changed(insects, monkeypatch):
    compared = []
    monkeypatch.setattr(storage, "_CHECKED_BYTES", 0)
    check = storage.Storage._check_file
    monkeypatch.setattr(storage.Storage, "_check_file", lambda self, name: (compared.append(name), check(self, name)))
    FolderGallery.open(insects).close()
    assert "vectors.f32" in compared
    compared.clear()
    FolderGallery.open(insects).close()
    assert not compared
    path = insects / "data-0001" / "vectors.f32"
    data = bytearray(path.read_bytes())
    data[5] ^= 1
    path.write_bytes(data)
    for _ in range(2):
        with pytest.raises(GalleryError, match="vectors.f32 is damaged: its checksum"):
            FolderGallery.open(insects)
    assert set(compared) == {"vectors.f32"}
    data[5] ^= 1
    path.write_bytes(data)
    compared.clear()
    with FolderGallery.open(insects, writable=True) as gallery:
        gallery.add(["e"], [[9, 9, 9]], ["e.jpg"])
    FolderGallery.open(insects).close()
    assert compared == ["vectors.f32"]  # what a writer appends to was compared, and what it appends is its own


def test_a_writer_that_is_stopped_after_its_files_count_leaves_them(insects, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(storage, "_CHECKED_BYTES", 0)
    before = contents(FolderGallery.open(insects))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt), FolderGallery.open(insects, writable=True) as gallery:
        patch.setattr(storage.Storage, "_note_compared", stop)
        gallery.rewrite()
    assert contents(FolderGallery.open(insects)) == before


def test_a_reader_of_a_large_gallery_makes_no_folder_that_a_writer_removed(insects, monkeypatch):
    monkeypatch.setattr(storage, "_CHECKED_BYTES", 0)
    check, removed = storage.Storage._check_file, insects / "data-0001"

    def check_late(self, name):
        check(self, name)
        shutil.rmtree(removed, ignore_errors=True)  # as a writer does that has replaced the files

    monkeypatch.setattr(storage.Storage, "_check_file", check_late)
    FolderGallery.open(insects).close()
    assert not removed.exists()


FORGED = {  # file -> what it holds, with the checksum that belongs to it
    "removed.i64": np.array([10**6], "<i8").tobytes(),
    "column-0.i32": np.full(4, 10**6, "<i4").tobytes(),
    "ids.jsonl": b'"a"\n"b"\n',
    "images.jsonl": b"{}\n" * 4,
    "column-0.jsonl": b"[" * 50_000 + b"\n" + b'"x"\n' * 10,
}


@pytest.mark.parametrize("name", FORGED)
def test_files_that_fit_their_checksums_and_not_each_other_are_one_line(insects, name):
    state = json.loads((insects / "gallery.json").read_text())
    del state["checksum"]
    (insects / "data-0001" / name).write_bytes(FORGED[name])
    state["files"][name] = {"bytes": len(FORGED[name]), "crc32": zlib.crc32(FORGED[name])}
    (insects / "gallery.json").write_text(json.dumps(state))
    with pytest.raises(GalleryError, match="restore it from a copy, or build the gallery again$"):
        contents(FolderGallery.open(insects))


@pytest.mark.parametrize("facts", [{"recipe": [1]}, {"recipe": {"model": 3}, "identity": "x"}, {"recipe": {"model": "small"}}, {"is_complete": "no"}])
def test_facts_of_a_gallery_that_cannot_be_are_one_line(insects, facts):
    state = json.loads((insects / "gallery.json").read_text())
    del state["checksum"]
    (insects / "gallery.json").write_text(json.dumps({**state, "facts": facts}))
    with pytest.raises(GalleryError, match=r"gallery.json is damaged \(its recipe, identity or is_complete cannot be\)"):
        FolderGallery.open(insects)
