import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tfvision.data.manifest import read_photos
from tfvision.data.preparing.preparing import prepare
from tfvision.errors import RunError
from tfvision.training.trained_photos import photos_of, trained_on


def _draw(folder, seed, names=("a/0001.bmp", "a/0002.bmp", "b/0001.bmp")):
    random = np.random.default_rng(seed)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (8, 8, 3), np.uint8)).save(folder / name)
    return folder


def _run(folder, source):
    """A run that was trained on all photos of a source but b/0001.bmp."""
    folder.mkdir()
    lines = [f"{r.name},{r.identity[1]},{'validation' if r.name.startswith('b') else 'train'}\n" for r in read_photos(source).records]
    (folder / "photos.csv").write_text("image,bytes,split\n" + "".join(lines))
    (folder / "recipe.json").write_text(json.dumps({"source": str(source)}))
    return folder


def _seen(run, source, split="train"):
    records = read_photos(source).records
    return [record.name for record, was in zip(records, trained_on(run, records, split), strict=True) if was]


def test_names_and_sizes_that_collide_are_told_apart_by_their_bytes(tmp_path, capsys):
    run = _run(tmp_path / "run", _draw(tmp_path / "train", 0))
    assert _seen(run, _draw(tmp_path / "test", 1)) == []  # all BMPs are of one size
    moved = shutil.copytree(tmp_path / "train", tmp_path / "moved")
    assert _seen(run, moved) == ["a/0001.bmp", "a/0002.bmp"]
    assert _seen(run, moved, None) == ["a/0001.bmp", "a/0002.bmp", "b/0001.bmp"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("is_deleted", [True, False])
def test_where_the_photos_of_the_training_are_gone_name_and_size_decide_and_that_is_said(tmp_path, capsys, is_deleted):
    run = _run(tmp_path / "run", _draw(tmp_path / "train", 0))
    if is_deleted:
        shutil.rmtree(tmp_path / "train")
    else:  # others lie there by now
        _draw(tmp_path / "train", 2, ("a/0003.png",))
        Image.new("RGB", (9, 9)).save(tmp_path / "train" / "a" / "0001.bmp")
        (tmp_path / "train" / "a" / "0002.bmp").unlink()
        (tmp_path / "train" / "b" / "0001.bmp").unlink()
    assert _seen(run, _draw(tmp_path / "test", 1)) == ["a/0001.bmp", "a/0002.bmp", "b/0001.bmp"]  # names without their folders
    assert "3 of 3 photos have the name and size of photos that" in capsys.readouterr().err


def test_prepared_photos_are_known_by_their_source_or_as_they_were_prepared(tmp_path):
    train, test = _draw(tmp_path / "train", 0), _draw(tmp_path / "test", 1)
    for folder in (train, test):
        prepare(folder, tmp_path / f"prepared-{folder.name}", ranks=("species",))
    of_files, of_shards = _run(tmp_path / "run", train), _run(tmp_path / "other", tmp_path / "prepared-train")
    lines = (of_files / "photos.csv").read_text().splitlines()
    (of_shards / "photos.csv").write_text("\n".join(lines))  # a run knows a prepared photo by the size of its source
    assert _seen(of_shards, tmp_path / "prepared-train") == ["a/0001.bmp", "a/0002.bmp"]
    assert _seen(of_shards, tmp_path / "prepared-test") == []  # prepared alike
    assert _seen(of_files, tmp_path / "prepared-train") == ["a/0001.bmp", "a/0002.bmp", "b/0001.bmp"]  # encoded anew: name and size


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "photos.csv does not exist, so nobody knows what .*run was trained on: restore it"),
        ("image,split\na.jpg,train\n", "was changed: it has no column 'bytes'"),
        ("image,bytes,split\na.jpg,12,train\nb.jpg,1e3,train\n", "line 3, was changed: '1e3' is no number of bytes"),
    ],
)
def test_a_list_of_photos_that_is_missing_or_was_changed(tmp_path, text, told):
    if text is not None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "photos.csv").write_text(text)
    with pytest.raises(RunError, match=told):
        trained_on(tmp_path / "run", read_photos(_draw(tmp_path / "photos", 0)).records)


def test_the_photos_of_a_run_are_found_where_they_lie_with_their_boxes(tmp_path):
    source = _draw(tmp_path / "train", 0)
    (source / "manifest.csv").write_text('image,species,box\na/0001.bmp,Rosa,"1,2,4,5"\na/0001.bmp,Rosa,"0,0,3,3"\na/0002.bmp,Rosa,\nb/0001.bmp,Viola,\n')
    run, size = tmp_path / "run", (source / "a" / "0001.bmp").stat().st_size
    run.mkdir()
    (run / "recipe.json").write_text(json.dumps({"source": str(source)}))
    rows = [("a/0001.bmp", size, "train"), ("a/0001.bmp", size, "train"), ("a/0002.bmp", size + 1, "train"), ("b/0001.bmp", size, "validation")]
    (run / "photos.csv").write_text("image,bytes,split,group,species\n" + "".join(f"{name},{of},{split},{name},Rosa\n" for name, of, split in rows))
    (source / "b" / "0001.bmp").unlink()
    found = photos_of(run)
    assert [(one.name, one.box, one.split, one.lineage) for one in found.manifest.records] == [
        ("a/0001.bmp", (1, 2, 4, 5), "train", ("Rosa",)),
        ("a/0001.bmp", (0, 0, 3, 3), "train", ("Rosa",)),
        ("a/0002.bmp", (0, 0, 0, 0), "train", ("Rosa",)),
    ]
    assert (found.away, found.changed, found.roots) == (("b/0001.bmp",), ("a/0002.bmp",), (source,))


def test_a_box_is_read_as_its_own_source_has_it_and_left_out_where_its_photo_was_made_smaller(tmp_path, capsys):
    photos, others, run = _draw(tmp_path / "photos", 0), _draw(tmp_path / "others", 1, ["c/0001.bmp"]), tmp_path / "run"
    (photos / "manifest.csv").write_text('image,species,box\na/0001.bmp,Rosa,"1,2,4,5"\na/0002.bmp,Rosa,"6,0,2,8"\n')
    (others / "manifest.csv").write_text('image,species,box\nc/0001.bmp,Viola,"0,0,0.5,1"\n')
    run.mkdir()
    (run / "recipe.json").write_text(json.dumps({"source": str(photos), "others": str(others)}))
    size = (photos / "a" / "0001.bmp").stat().st_size
    names = ("a/0001.bmp", "a/0002.bmp", "c/0001.bmp")
    (run / "photos.csv").write_text("image,bytes,split,group,species\n" + "".join(f"{name},{size},train,{name},Rosa\n" for name in names))
    with Image.open(photos / "a" / "0002.bmp") as image:
        width, height = image.size
        image.resize((3, 3)).save(photos / "a" / "0002.bmp")
    found = photos_of(run)
    assert [one.box for one in found.manifest.records] == [(1, 2, 4, 5), (0, 0, 0, 0), (0, 0, width / 2, height)]
    assert found.changed == ("a/0002.bmp",) and f"{others / 'manifest.csv'}: its 1 boxes are read as fractions" in capsys.readouterr().err


def test_prepared_photos_of_a_run_with_several_boxes_have_each_its_own(tmp_path):
    source = _draw(tmp_path / "train", 0)
    (source / "manifest.csv").write_text('image,species,box\na/0001.bmp,Rosa,"1,2,4,5"\na/0001.bmp,Rosa,"0,0,3,3"\nb/0001.bmp,Viola,\n')
    prepare(source, tmp_path / "shards", ranks=("species",))
    found = photos_of(_run(tmp_path / "run", tmp_path / "shards")).manifest.records
    assert [(one.name, one.box) for one in found] == [("a/0001.bmp", (1, 2, 4, 5)), ("a/0001.bmp", (0, 0, 3, 3)), ("b/0001.bmp", (0, 0, 0, 0))]


def test_prepared_photos_of_a_run_are_found_in_their_shards(tmp_path):
    source = _draw(tmp_path / "train", 0)
    prepare(source, tmp_path / "shards", ranks=("species",))
    run = _run(tmp_path / "run", tmp_path / "shards")
    found = photos_of(run)
    assert [one.name for one in found.manifest.records] == ["a/0001.bmp", "a/0002.bmp", "b/0001.bmp"] and not found.away and not found.changed
    assert all(one.source_bytes for one in found.manifest.records)
