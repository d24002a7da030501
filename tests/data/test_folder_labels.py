from pathlib import Path

import pytest

from tfvision.data.folder_labels import labels_of_folders, split_word
from tfvision.data.manifest import read_source
from tfvision.errors import DataError


def labels(*folders, ranks=None):
    return labels_of_folders(Path("photos"), [tuple(folder.split("/")) for folder in folders], ranks)


@pytest.mark.parametrize(
    ("train", "held_out", "split"),
    [
        ("train", "val", "validation"),
        ("Train", "Valid", "validation"),
        ("TRAINING", "Validation", "validation"),
        ("train2021", "val2021", "validation"),
        ("train_mini", "test", "test"),
        ("train_set", "Test set", "test"),
    ],
)
def test_folders_named_for_splits_are_splits(train, held_out, split, capsys):
    found = labels(f"{train}/lion", f"{train}/fox", f"{held_out}/lion")
    assert found == (("species",), [("lion",), ("fox",), ("lion",)], ["train", "train", split])
    assert f"photos: folders are read as splits: {held_out} = {split} (1 photos), {train} = train (2 photos)" in capsys.readouterr().err or held_out > train


def test_splits_may_lie_within_the_classes_or_below_another_folder_and_hold_a_taxonomy():
    assert labels("lion/train", "lion/test", "fox/train")[1:] == ([("lion",), ("lion",), ("fox",)], ["train", "test", "train"])
    assert labels("images/train/lion", "images/val/lion")[1:] == ([("images", "lion")] * 2, ["train", "validation"])
    found = labels("train/cats/lion", "val/cats/lion")
    assert found.ranks == ("level 1", "level 2") and found.lineages == [("cats", "lion")] * 2


def test_a_photo_in_a_split_and_no_class_folder_has_no_label(tmp_path):
    for name in ("train/lion/1.jpg", "train/fox/2.jpg", "test/3.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    manifest = read_source(tmp_path)
    assert [(record.lineage, record.split) for record in manifest.records] == [(("fox",), "train"), (("lion",), "train")]
    assert manifest.ignored == ("test/3.jpg",)


def test_classes_that_are_called_like_splits_stay_classes():
    assert labels("train", "car", "bus").lineages == [("train",), ("car",), ("bus",)]
    assert labels("train/steam", "car/van").ranks == ("level 1", "level 2")


def test_names_for_all_levels_take_the_splits_as_a_rank():
    assert labels("train/lion", "val/lion", ranks=("part", "species"))[1:] == ([("train", "lion"), ("val", "lion")], ["", ""])
    assert labels("train/lion", "val/lion", ranks=("kind",)).ranks == ("kind",)


def test_splits_without_classes_and_folders_beside_splits_are_refused():
    with pytest.raises(DataError, match="photos has the splits train, val and no class folders in them: expected photos/SPLIT/CLASS/photo.jpg"):
        labels("train", "val")
    with pytest.raises(DataError, match="photos has the splits train, val, and beside them more: move these into a split or away"):
        labels("train/lion", "val/lion", "more/lion")
    with pytest.raises(DataError, match="photos has splits within lion and not within all classes"):
        labels("lion/train", "lion/val", "fox")


@pytest.mark.parametrize("stray", ["New folder", "new folder (2)", "Neuer Ordner", "2021", "Kopie", "lion - copy", "cropped", "_", "holiday in Kenya", "a/b"])
def test_a_folder_within_a_class_that_is_none_leaves_class_and_ranks_as_they_are(stray, capsys):
    found = labels("lion", "lion", f"lion/{stray}", "fox", "lynx")
    assert (found.ranks, found.lineages) == (("species",), [("lion",)] * 3 + [("fox",), ("lynx",)])
    assert f"photos: folders within a class are read as the class: lion/{stray} (1 photos) as lion" in capsys.readouterr().err


def test_photos_of_a_genus_beside_its_species_are_a_taxonomy_as_ever(capsys):
    folders = ["Vanessa", "Vanessa/atalanta", "Vanessa/cardui", "Aglais/io", "Pieris/rapae"]
    assert labels(*folders).lineages[:2] == [("Vanessa", ""), ("Vanessa", "atalanta")]
    assert labels("birds", "fish", "mammals", "mammals/cat", "mammals/dog").lineages[3] == ("mammals", "cat")
    assert labels("lion", "lion/New folder", ranks=("genus", "species")).lineages[1] == ("lion", "New folder")
    assert labels("animals/cats/lion", "fungi").lineages == [("animals", "cats", "lion"), ("fungi", "", "")]
    assert capsys.readouterr().err == ""


def test_words_for_splits():
    words = ["Train", "training", "val", "VALID", "validation", "testing", "iconic", ""]
    assert list(map(split_word, words)) == ["train", "train", "validation", "validation", "validation", "test", "iconic", ""]
