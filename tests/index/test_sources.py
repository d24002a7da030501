import shutil

import PIL.Image
import pytest

from tfvision.data.manifest import find_photos
from tfvision.errors import DataError
from tfvision.index.sources import read_gallery_photos


@pytest.fixture
def folder(tmp_path):
    """photos/top.png, photos/Reds/rose.png, photos/Blues/Caerula/sky.png."""
    for name in ("top.png", "Reds/rose.png", "Blues/Caerula/sky.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", (8, 8)).save(path)
    return tmp_path / "photos"


def test_folders_of_any_depth_become_metadata(folder):
    photos = read_gallery_photos(folder)
    found = dict(zip(photos.ids, photos.metadata, strict=True))
    assert found == {
        "top.png": {},
        "Reds/rose.png": {"level 1": "Reds"},
        "Blues/Caerula/sky.png": {"level 1": "Blues", "level 2": "Caerula"},
    }
    named = read_gallery_photos(folder, ("order", "genus"))
    assert named.metadata[named.ids.index("Blues/Caerula/sky.png")] == {"order": "Blues", "genus": "Caerula"}
    assert read_gallery_photos(folder / "Blues").metadata == [{"species": "Caerula"}]
    with pytest.raises(DataError, match="has 2 levels of folders, --ranks names 1: order"):
        read_gallery_photos(folder, ("order",))


def test_columns_of_a_manifest_become_metadata_and_boxes_are_kept(folder):
    (folder / "manifest.csv").write_text('image,id,colour,year,box\nReds/rose.png,1,red,2015,"1,2,3,4"\ntop.png,,,2016,\n')
    photos = read_gallery_photos(folder)
    assert photos.ids == ["1", "top.png"]
    assert photos.metadata == [{"colour": "red", "year": "2015"}, {"year": "2016"}]
    assert photos.manifest.records[0].box == (1, 2, 3, 4)
    assert photos.manifest.records[1].path == str(folder / "top.png")


def test_a_manifest_needs_no_labels(folder):
    (folder / "list.csv").write_text("file\ntop.png\n")
    assert read_gallery_photos(folder / "list.csv").ids == ["top.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image\ntop.png\ntop.png\n", "has the id 'top.png' twice: give each row its own in a column `id`"),
        ("image\nnone.png\n", "names none.png, which does not exist"),
        ("name\ntop.png\n", "has no column `image` or `file`"),
        ("image\n", "lists no photos"),
        ("", "has no column `image` or `file`"),
    ],
)
def test_a_manifest_with_mistakes_is_refused(folder, text, message):
    (folder / "list.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_gallery_photos(folder / "list.csv")


def test_one_photo_is_a_source(folder):
    photos = read_gallery_photos(folder / "top.png")
    assert (photos.ids, photos.metadata) == (["top.png"], [{}])
    with pytest.raises(DataError, match="it does not exist"):
        read_gallery_photos(folder / "none.png")


def test_a_table_of_windows_is_read(folder):
    (folder / "list.txt").write_bytes("Image;ID;Ort\nReds\\rose.png;1;Köln\ntop.png;2;\n;;\n".encode("utf-16"))
    photos = read_gallery_photos(folder / "list.txt")
    assert (photos.ids, photos.metadata) == (["1", "2"], [{"Ort": "Köln"}, {}])
    assert find_photos([str(folder / "list.txt")]).paths == [str(folder / "Reds/rose.png"), str(folder / "top.png")]


@pytest.mark.filterwarnings("ignore::tfvision.errors.DataWarning")
def test_what_a_benchmarks_files_say_becomes_metadata(folder, tmp_path):
    holidays = tmp_path / "holidays"
    holidays.mkdir()
    for name in ("100000.jpg", "100001.jpg", "149901.jpg"):
        shutil.copy(folder / "top.png", holidays / name)
    photos = read_gallery_photos(holidays)
    assert photos.ids == ["100000.jpg", "100001.jpg", "149901.jpg"]
    assert photos.metadata[0] == {"scene": "1000", "group": "1000", "role": "query"} and photos.metadata[2]["group"] == "1499"


def test_landmarks_become_metadata_and_somebody_elses_json_does_not(folder, tmp_path):
    oxford = tmp_path / "oxford"
    oxford.mkdir()
    for name in ("all_souls_000001.jpg", "oxford_000001.jpg"):
        shutil.copy(folder / "top.png", oxford / name)
    (oxford / "groundtruth.json").write_text('{"other": 1}')
    assert read_gallery_photos(oxford).metadata == [{}, {}]
    for kind, text in {"query": "oxc1_all_souls_000001 0 0 5 5", "good": "all_souls_000001", "ok": "", "junk": ""}.items():
        (oxford / f"all_souls_1_{kind}.txt").write_text(text)
    assert read_gallery_photos(oxford).metadata == [{"landmark": "all_souls"}, {}]
