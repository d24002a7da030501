import numpy as np
import pytest
from PIL import Image

from tfvision.apps.tattoo_detection.source import read_detection_source
from tfvision.errors import DataError, DataWarning


def _photos(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(folder / name)
    return folder


def _manifest(folder, header, *rows):
    _photos(folder, [row.split(",")[0] for row in rows])
    (folder / "manifest.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


def _labels(photos):
    return [record.lineage[0] for record in photos.manifest.records]


def test_the_class_called_tattoo_is_told_from_all_others(tmp_path):
    photos = read_detection_source(_photos(tmp_path, ["faces/1.png", "tattoo/2.png", "walls/deep/3.png"]))
    assert _labels(photos) == ["other", "tattoo", "other"]
    assert photos.is_tattoo.tolist() == [False, True, False] and not photos.folds


def test_a_manifest_has_a_label_subjects_folds_and_boxes(tmp_path):
    rows = ("a.png,Tattoo,7,1,", 'b.png,non-tattoo,7,1,"1,1,4,4"', "c.png,tattoo,8,2,", "d.png,face,9,2,")
    photos = read_detection_source(_manifest(tmp_path, "image,label,subject,fold,box", *rows))
    assert _labels(photos) == ["tattoo", "other", "tattoo", "other"]
    assert [record.group for record in photos.manifest.records] == ["subject 7", "subject 7", "subject 8", "subject 9"]
    assert photos.manifest.records[1].box == (1.0, 1.0, 4.0, 4.0)
    names, places = photos.dealt(5, 0)
    assert names == ("1", "2") and places.tolist() == [0, 0, 1, 1]


def test_two_folders_are_tattoos_and_others(tmp_path):
    tattoos = _manifest(tmp_path / "tattoos", "file,subject,transform", "a.png,1,", "b.png,1,blur")
    photos = read_detection_source(tattoos, _photos(tmp_path / "others", ["x.png", "more/y.png"]))
    assert _labels(photos) == ["tattoo", "tattoo", "other", "other"]
    assert len({record.group for record in photos.manifest.records}) == 3


def test_tattc_detection_files_have_their_lists(tmp_path):
    folder = _photos(tmp_path / "tattoo_detection", [f"images/{number}.png" for number in range(4)])
    (folder / "ground_truth.txt").write_text("0.png tattoo\n1.png non-tattoo\n2.png tattoo\n3.png non-tattoo\n")
    for number, names in ((1, "0.png\n1.png\n"), (2, "2.png\n3.png\n")):
        (folder / f"probe_list_{number}.txt").write_text(names)
    photos = read_detection_source(folder)
    assert photos.is_tattoo.tolist() == [True, False, True, False]
    assert photos.dealt(5, 0)[1].tolist() == [0, 0, 1, 1]


def test_probe_lists_may_be_given_as_files(tmp_path):
    folder = _photos(tmp_path / "photos", ["tattoo/a.png", "tattoo/b.png", "other/c.png", "other/d.png"])
    lists = [tmp_path / "one.txt", tmp_path / "two.txt"]
    lists[0].write_text("tattoo/a.png\nc.png\n")
    lists[1].write_text("b.png|tattoo\nother/d.png\n")
    photos = read_detection_source(folder, probe_lists=lists)
    by_name = dict(zip([record.name for record in photos.manifest.records], photos.dealt(5, 0)[1].tolist(), strict=True))
    assert by_name == {"tattoo/a.png": 0, "other/c.png": 0, "tattoo/b.png": 1, "other/d.png": 1}
    lists[1].write_text("b.png\n")
    with pytest.raises(DataError, match="other/d.png is in no probe list, as are 0 other photos"):
        read_detection_source(folder, probe_lists=lists)
    lists[1].write_text("b.png\nd.png\nc.png\n")
    with pytest.raises(DataError, match="two.txt: c.png is in list 1 too"):
        read_detection_source(folder, probe_lists=lists)


def test_lists_made_by_subject_part_no_subject_and_are_even(tmp_path):
    # Subjects have 1 to 5 tattoos and as many cut-outs of bare skin; two have tattoos only.
    rows = [f"s{subject}-{number}-{kind}.png,{kind},{subject}" for subject in range(15) for number in range(1 + subject % 5) for kind in ("tattoo", "skin")]
    photos = read_detection_source(_manifest(tmp_path, "image,label,subject", *rows, "only1.png,tattoo,x", "only2.png,tattoo,y"))
    names, places = photos.dealt(5, 3)
    groups = np.array([record.group for record in photos.manifest.records])
    assert len(names) == 5
    assert all(len(set(places[groups == group])) == 1 for group in set(groups))
    tattoos = np.bincount(places[photos.is_tattoo])
    assert tattoos.max() - tattoos.min() <= 1
    assert np.array_equal(places, photos.dealt(5, 3)[1]) and not np.array_equal(places, photos.dealt(5, 4)[1])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["faces/1.png", "walls/2.png"], "has photos of other only: label some `tattoo`"),
        (["tattoo/1.png"], "has photos of tattoo only: .*--non-tattoos DIR"),
    ],
)
def test_one_kind_alone_is_refused(tmp_path, names, message):
    with pytest.raises(DataError, match=message):
        read_detection_source(_photos(tmp_path, names))


def test_an_empty_list_or_too_few_subjects_are_refused(tmp_path):
    rows = ("a.png,tattoo,1,1", "b.png,wall,2,1", "c.png,tattoo,3,2", "d.png,tattoo,4,2")
    folder = _manifest(tmp_path / "one", "image,label,subject,fold", *rows)
    with pytest.raises(DataError, match="without probe list 1 there are no photos of other to train on"):
        read_detection_source(folder).dealt(5, 0)
    folder = _manifest(tmp_path / "two", "image,label,subject", *(row.rsplit(",", 1)[0] for row in rows))
    with pytest.raises(DataError, match="5 probe lists need 5 subjects with photos of tattoo, got 3"):
        read_detection_source(folder).dealt(5, 0)
    folder = _manifest(tmp_path / "three", "image,label,subject,fold", *rows[:3], "d.png,wall,4,")
    with pytest.raises(DataError, match="d.png is in no fold, others are"):
        read_detection_source(folder)


def test_labelled_photos_are_not_all_taken_for_tattoos(tmp_path):
    folder = _manifest(tmp_path / "labelled", "image,label", "a.png,tattoo", "b.png,wall")
    with pytest.raises(DataError, match="labels its photos itself: leave --non-tattoos out"):
        read_detection_source(folder, _photos(tmp_path / "others", ["x.png"]))
    with pytest.raises(DataError, match="nowhere is neither a folder nor a manifest CSV: it does not exist"):
        read_detection_source(tmp_path / "nowhere")


def test_tables_and_lists_of_windows_are_read(tmp_path):
    _photos(tmp_path, ["a/1.png", "a/ö.png"])
    (tmp_path / "manifest.csv").write_bytes("Image;Label\r\na\\1.png;Tattoo\r\na\\ö.png;none\r\n;\r\n".encode("utf-16"))
    lists = [tmp_path / "one.txt", tmp_path / "two.txt"]
    lists[0].write_bytes("1.png\r\n".encode("utf-16"))
    lists[1].write_bytes("ö.png\r\n".encode("cp1252"))
    with pytest.warns(DataWarning, match="two.txt, line 1 is not in UTF-8"):
        photos = read_detection_source(tmp_path, probe_lists=lists)
    assert _labels(photos) == ["tattoo", "other"] and photos.folds == ("1", "2")


def test_without_a_column_label_that_which_speaks_of_tattoos_is_the_label(tmp_path):
    photos = read_detection_source(_manifest(tmp_path, "image,kind,weather,observer", "a.png,Tattoo,sun,me", "b.png,face,rain,you", "c.png,wall,sun,me"))
    assert _labels(photos) == ["tattoo", "other", "other"]


def test_folders_of_splits_are_no_kinds(tmp_path):
    photos = read_detection_source(_photos(tmp_path, ["train/tattoo/1.png", "train/face/2.png", "val/tattoo/3.png"]))
    assert _labels(photos) == ["other", "tattoo", "tattoo"]
