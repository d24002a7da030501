import collections
import csv

import numpy as np
import pytest
from PIL import Image

from tfvision.apps.tattoo_matching.source import read_matching_source
from tfvision.data.tattc import is_tattc, read_tattc_detection
from tfvision.errors import DataError


def _photo(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)).save(path)


def _manifest(folder, header, *rows):
    for number, row in enumerate(rows):
        _photo(folder / row[0], number)
    with open(folder / "manifest.csv", "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return folder


def _tattc(folder, truth, lists, names):
    """A use case in the layout that tattc.py assumes."""
    for number, name in enumerate(names):
        _photo(folder / "images" / name, number)
    (folder / "ground_truth.txt").write_text(truth)
    for name, text in lists.items():
        (folder / name).write_text(text)
    return folder


def test_roles_and_subjects_of_a_manifest(tmp_path):
    photos = read_matching_source(_manifest(tmp_path, ["image", "subject", "role"], ["a.png", "7", "gallery"], ["b.png", "7", "probe"], ["c.png", "8", ""]))
    assert photos.subjects == ("7", "7", "8")
    assert photos.roles == ("gallery", "probe", "gallery")
    assert photos.is_role("probe").tolist() == [False, True, False]


def test_a_transform_makes_a_probe(tmp_path):
    photos = read_matching_source(_manifest(tmp_path, ["file", "subject", "transform"], ["a.png", "7", ""], ["b.png", "7", "blur"]))
    assert photos.roles == ("gallery", "probe") and photos.transforms == ("", "blur")


def test_a_role_counts_before_a_transform(tmp_path):
    photos = read_matching_source(_manifest(tmp_path, ["file", "subject", "transform", "role"], ["a.png", "7", "", "probe"], ["b.png", "7", "blur", "gallery"]))
    assert photos.roles == ("probe", "gallery")


def test_folders_are_subjects_with_the_folders_that_they_lie_in(tmp_path):
    for name in ("Greek/character01/a.png", "Latin/character01/b.png", "Latin/character02/c.png"):
        _photo(tmp_path / name)
    photos = read_matching_source(tmp_path)
    assert photos.subjects == ("Greek/character01", "Latin/character01", "Latin/character02")
    assert not photos.has_roles and photos.is_role("probe").all() and photos.is_role("gallery").all()


def test_medium_group_box_and_fold(tmp_path):
    header = ["image", "subject", "medium", "group", "fold", "box"]
    photos = read_matching_source(_manifest(tmp_path, header, ["a.png", "7", "Photo", "eagle", "0", "1,2,3,4"], ["b.png", "8", "drawing", "", "1", ""]))
    assert (photos.media, photos.groups, photos.given_folds) == (("photo", "drawing"), ("eagle", ""), (0, 1))
    assert photos.manifest.records[0].box == (1, 2, 3, 4)
    assert photos.folds(2).tolist() == [0, 1]


def test_a_column_of_corners_gives_regions_and_leaves_photos_whole(tmp_path):
    rows = ["a.png", "7", "[[1, 2, 4, 5], [0, 3, 3, 7]]"], ["b.png", "8", ""], ["c.png", "8", "[[-1, -2, 3, 4]]"]
    photos = read_matching_source(_manifest(tmp_path, ["image", "subject", "boxes_x1y1x2y2"], *rows))
    assert photos.regions == ((0, 2, 4, 5), (0, 0, 0, 0), (0, 0, 3, 4))  # what surrounds all boxes, within the photo
    assert photos.manifest.records[0].box == (0, 0, 0, 0)


def test_selected_photos_keep_all_that_is_known_of_them(tmp_path):
    header = ["image", "subject", "role", "medium"]
    photos = read_matching_source(
        _manifest(tmp_path, header, *([f"{name}.png", name, role, "photo"] for name, role in zip("abc", ("gallery", "probe", "gallery"), strict=True)))
    )
    kept = photos.select([False, True, True])
    assert (kept.subjects, kept.roles, kept.media, len(kept)) == (("b", "c"), ("probe", "gallery"), ("photo", "photo"), 2)


def test_folds_hold_whole_subjects_and_are_even(tmp_path):
    photos = read_matching_source(_manifest(tmp_path, ["image", "subject"], *([f"{number}.png", f"s{number % 13}"] for number in range(60))))
    folds = photos.folds(5, seed=1)
    assert len({(subject, fold) for subject, fold in zip(photos.subjects, folds.tolist(), strict=True)}) == 13
    assert np.bincount(folds).max() - np.bincount(folds).min() <= 5  # a subject has five photos at most
    assert (photos.folds(5, seed=1) == folds).all() and (photos.folds(5, seed=2) != folds).any()


def test_more_folds_than_subjects_would_be_empty(tmp_path):
    photos = read_matching_source(_manifest(tmp_path, ["image", "subject"], ["a.png", "7"], ["b.png", "8"]))
    with pytest.raises(DataError, match="3 folds by subject need 3 subjects at least, got 2"):
        photos.folds(3)


def test_a_subject_in_two_folds_is_refused(tmp_path):
    photos = read_matching_source(_manifest(tmp_path, ["image", "subject", "fold"], ["a.png", "7", "0"], ["b.png", "7", "1"]))
    with pytest.raises(DataError, match="subject '7' is in the folds 0 and 1"):
        photos.folds(2)


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        (["image", "subject", "role"], ["a.png", "7", "suspect"], "a role is gallery or probe, got 'suspect'"),
        (["image", "subject", "fold"], ["a.png", "7", "first"], "a fold is a number, got 'first'"),
        (["image", "subject", "bx_x1y1x2y2"], ["a.png", "7", "1,2"], "line 2: boxes by corners"),
        (["image", "subject"], ["a.png", ""], "has no label in subject"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_told(tmp_path, header, row, message):
    with pytest.raises(DataError, match=message):
        read_matching_source(_manifest(tmp_path, header, row))


def test_a_named_file_that_is_not_there(tmp_path):
    (tmp_path / "manifest.csv").write_text("image,subject\nlost.jpg,7\n")
    with pytest.raises(DataError, match="names lost.jpg, which does not exist"):
        read_matching_source(tmp_path)


TRUTH = "# probe, gallery\np1.png g1.png\np1.png g2.png\np2.png, g3.png\np3.png g2.png|g4.png\n"
LISTS = {
    "probe_list_1.txt": "p1.png\nimages/p3.png\n",
    "probe_list_2.txt": "p2.png\n",
    "gallery_list.txt": "".join(f"g{number}.png\n" for number in range(1, 6)),
}
NAMES = ["p1.png", "p2.png", "p3.png", *(f"g{number}.png" for number in range(1, 6))]


def test_tattc_probes_galleries_and_mates(tmp_path):
    photos = read_matching_source(_tattc(tmp_path / "tattoo_similarity", TRUTH, LISTS, NAMES))
    names = [record.name for record in photos.manifest.records]
    assert names == ["images/p1.png", "images/p3.png", "images/p2.png", *(f"images/g{number}.png" for number in range(1, 6))]
    assert photos.roles == ("probe",) * 3 + ("gallery",) * 5
    mates = {name: [names[row] for row in rows] for name, rows in zip(names, photos.mates, strict=True) if rows}
    assert mates == {
        "images/p1.png": ["images/g1.png", "images/g2.png"],
        "images/p3.png": ["images/g2.png", "images/g4.png"],
        "images/p2.png": ["images/g3.png"],
    }


def test_tattc_images_that_share_a_probe_or_mate_are_one_subject(tmp_path):
    photos = read_matching_source(_tattc(tmp_path, TRUTH, LISTS, NAMES))
    sizes = collections.Counter(photos.subjects)
    assert sorted(sizes.values()) == [1, 2, 5]  # g5 alone; p2 and g3; p1, p3, g1, g2, g4
    assert photos.given_folds == (1, 1, 2, 1, 1, 2, 1, -1)  # gallery photos are of their probes' fold; g5 is of none


def test_tattc_use_cases_are_chosen_by_the_protocol(tmp_path):
    _tattc(tmp_path / "mixed_media", TRUTH, LISTS, NAMES)
    _tattc(tmp_path / "Tattoo-Similarity", "p2.png g3.png\n", {}, NAMES)
    assert is_tattc(tmp_path)
    assert len(read_matching_source(tmp_path, "mixed-media")) == 8
    assert len(read_matching_source(tmp_path, "similarity")) == 2  # without lists: what the ground truth names
    with pytest.raises(DataError, match="holds 0 use cases of Tatt-C for --protocol roi"):
        read_matching_source(tmp_path, "roi")
    with pytest.raises(DataError, match="holds 2 use cases of Tatt-C"):
        read_matching_source(tmp_path)


def test_tattc_image_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="has no images called p9.png"):
        read_matching_source(_tattc(tmp_path, "p9.png g1.png\n", {}, NAMES))


def test_tattc_ground_truth_without_pairs(tmp_path):
    with pytest.raises(DataError, match="names no probe with a gallery image"):
        read_matching_source(_tattc(tmp_path, "# nothing\n", {}, NAMES))


def test_tattc_detection(tmp_path):
    folder = _tattc(tmp_path, "p1.png tattoo\ng1.png non-tattoo\n", {"probes-1.txt": "p1.png\n", "probes-2.txt": "g1.png\n"}, NAMES)
    manifest, folds = read_tattc_detection(folder)
    assert [record.lineage for record in manifest.records] == [("tattoo",), ("non-tattoo",)] and folds == (1, 2)
    with pytest.raises(DataError, match="is Tatt-C's detection"):
        read_matching_source(folder)


def test_selecting_keeps_mates_pointing_at_their_photos(tmp_path):
    photos = read_matching_source(_tattc(tmp_path, TRUTH, LISTS, NAMES))
    kept = photos.select(["g1" not in record.name and "p1" not in record.name for record in photos.manifest.records])
    names = [record.name for record in kept.manifest.records]
    assert {names[row]: [names[mate] for mate in mates] for row, mates in enumerate(kept.mates) if mates} == {
        "images/p3.png": ["images/g2.png", "images/g4.png"],
        "images/p2.png": ["images/g3.png"],
    }


def test_boxes_that_are_none_are_told_by_their_line_though_lines_are_blank_before(tmp_path):
    for name in ("a.png", "b.png"):
        _photo(tmp_path / name)
    (tmp_path / "manifest.csv").write_text('image,subject,b_x1y1x2y2\n\na.png,7,"[[1, 2, 3, 4]]"\n\nb.png,7,"1,2"\n')
    with pytest.raises(DataError, match="manifest.csv, line 5: boxes by corners are"):
        read_matching_source(tmp_path)


def test_tables_and_lists_of_windows_are_read(tmp_path):
    for name in ("a/1.png", "a/2.png"):
        _photo(tmp_path / name)
    (tmp_path / "manifest.csv").write_bytes("Image;Subject;Role\r\na\\1.png;Jörg;Probe\r\na\\2.png;Jörg;Gallery\r\n;;\r\n".encode("utf-16"))
    photos = read_matching_source(tmp_path)
    assert (photos.subjects, photos.roles) == (("Jörg", "Jörg"), ("probe", "gallery"))
    folder = tmp_path / "tattoo_similarity"
    _tattc(folder, "", {}, ["ä.png", "b.png"])
    (folder / "ground_truth.txt").write_bytes("ä.png b.png\r\n".encode("utf-16"))
    assert read_matching_source(folder).roles == ("probe", "gallery")


def test_columns_that_are_known_to_be_no_labels_part_no_subject(tmp_path):
    rows = [("a.png", "7", "arm", "me", "0"), ("b.png", "7", "arm", "you", "1")]
    assert read_matching_source(_manifest(tmp_path, ("image", "person", "where", "observer", "is_val"), *rows)).subjects == ("7/arm", "7/arm")


def test_folders_of_splits_part_no_subject(tmp_path):
    for name in ("train/7/a.png", "train/8/b.png", "val/7/c.png"):
        _photo(tmp_path / name)
    photos = read_matching_source(tmp_path)
    assert photos.subjects == ("7", "8", "7") and [record.split for record in photos.manifest.records] == ["train", "train", "validation"]


def test_corners_outside_the_photo_are_refused_and_fractions_understood(tmp_path):
    header = ("image", "subject", "b_x1y1x2y2")
    fractions = _manifest(tmp_path / "fractions", header, ("a.png", "7", "[[0.25, 0.5, 0.75, 1]]"), ("b.png", "7", ""))
    assert read_matching_source(fractions).regions == ((2.0, 4.0, 4.0, 4.0), (0.0, 0.0, 0.0, 0.0))
    with pytest.raises(DataError, match="manifest.csv: 1 of 1 boxes cannot be used; line 3: the box 50,50,10,10 lies outside its photo of 8 x 8 pixels"):
        read_matching_source(_manifest(tmp_path / "outside", header, ("a.png", "7", ""), ("b.png", "7", "[[50, 50, 60, 60]]")))
