import csv
import dataclasses
import io
import os
from pathlib import Path

import numpy as np
import pytest

from tfvision.data.boxes import parse_box
from tfvision.data.manifest import Manifest, Record, csv_of, drop_small_classes, find_photos, read_photos, read_source, write_csv_text
from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import DataError

NO_BOX = (0.0, 0.0, 0.0, 0.0)


def touch(*paths):
    """Empty files: a manifest names photos and does not open them."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def write_manifest(folder, text, photos=("1.jpg", "2.jpg"), name="manifest.csv"):
    touch(*(folder / photo for photo in photos))
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def manifest_of(ranks, lineages):
    return Manifest(ranks, tuple(Record(f"{i}.jpg", f"{i}.jpg", lineage, f"{i}.jpg") for i, lineage in enumerate(lineages)))


# Folders


def test_a_folder_of_class_folders_is_read_with_species_as_its_rank(tmp_path):
    touch(tmp_path / "lion/b.jpg", tmp_path / "lion/a.PNG", tmp_path / "fox/c.jpeg")
    manifest = read_source(tmp_path)
    assert manifest.ranks == ("species",)
    assert [(record.name, record.lineage) for record in manifest.records] == [
        (os.path.join("fox", "c.jpeg"), ("fox",)),
        (os.path.join("lion", "a.PNG"), ("lion",)),
        (os.path.join("lion", "b.jpg"), ("lion",)),
    ]
    record = manifest.records[0]
    assert Path(record.path) == tmp_path / "fox/c.jpeg"
    assert (record.group, record.split, record.box) == (record.name, "", NO_BOX)


def test_nested_class_folders_are_a_taxonomy(tmp_path):
    touch(tmp_path / "cats/lion/1.jpg", tmp_path / "cats/lynx/2.jpg", tmp_path / "dogs/fox/3.jpg")
    manifest = read_source(tmp_path)
    assert manifest.ranks == ("level 1", "level 2")
    assert manifest.taxonomy().class_names == ("lion", "lynx", "fox")
    assert read_source(tmp_path, ranks=("family", "species")).ranks == ("family", "species")


def test_nested_class_folders_may_be_unbalanced(tmp_path):
    touch(tmp_path / "animals/cats/lion/1.jpg", tmp_path / "fungi/2.jpg")
    manifest = read_source(tmp_path)
    assert [record.lineage for record in manifest.records] == [("animals", "cats", "lion"), ("fungi", "", "")]
    assert manifest.taxonomy().depths[manifest.taxonomy().leaf_nodes].tolist() == [3, 1]


def test_levels_that_hold_no_class_any_more_leave_the_ranks(tmp_path):
    touch(*(tmp_path / f"{name}/{number}.jpg" for name in ("lion", "fox") for number in range(5)), tmp_path / "odds/ends/1.jpg")
    manifest = read_source(tmp_path)
    assert manifest.ranks == ("level 1", "level 2")
    kept, dropped = drop_small_classes(manifest, 5)
    assert (kept.ranks, kept.taxonomy().class_names, dropped) == (("species",), ("fox", "lion"), {"odds / ends": 1})


def test_ranks_must_be_as_many_as_the_levels_of_folders(tmp_path):
    touch(tmp_path / "cats/lion/1.jpg")
    with pytest.raises(DataError, match="has 2 levels of folders, --ranks names 1: species"):
        read_source(tmp_path, ranks=("species",))


def test_other_files_and_hidden_ones_are_no_photos(tmp_path):
    touch(tmp_path / "lion/1.jpg", tmp_path / "lion/notes.txt", tmp_path / "lion/.hidden.jpg", tmp_path / ".git/x.jpg")
    assert len(read_source(tmp_path)) == 1


def test_a_class_folder_may_be_a_link(tmp_path):
    touch(tmp_path / "elsewhere/1.jpg", tmp_path / "source/fox/2.jpg")
    (tmp_path / "source/lion").symlink_to(tmp_path / "elsewhere")
    assert [record.lineage for record in read_source(tmp_path / "source").records] == [("fox",), ("lion",)]


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    touch(tmp_path / "lion/1.jpg", tmp_path / "fox/1.jpg")
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "lion":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    manifest = read_source(tmp_path)
    assert [record.name for record in manifest.records] == ["fox/1.jpg"]
    assert manifest.left_out == (("lion", "cannot be read (Permission denied)", False),)
    with pytest.raises(DataError, match="lion cannot be read .Permission denied."):
        read_source(tmp_path / "lion")


def test_a_file_name_that_is_not_utf_8_is_named(tmp_path):
    touch(tmp_path / "lion/1.jpg")
    with open(os.fsencode(tmp_path / "lion") + b"/\xff.jpg", "wb"):
        pass
    manifest = read_source(tmp_path)
    assert [record.name for record in manifest.records] == ["lion/1.jpg"]
    assert manifest.left_out == ((r"lion/\xff.jpg", "the name is not UTF-8: rename it", True),)


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="holds no photos: expected .*/CLASS/photo.jpg"):
        read_source(tmp_path)


def test_photos_without_class_folders_are_an_error(tmp_path):
    touch(tmp_path / "1.jpg", tmp_path / "2.jpg")
    with pytest.raises(DataError, match="holds no photos in class folders .but 2 other files."):
        read_source(tmp_path)


def test_a_source_that_is_not_there_or_neither_folder_nor_csv_is_an_error(tmp_path):
    with pytest.raises(DataError, match="it does not exist"):
        read_source(tmp_path / "nowhere")
    touch(tmp_path / "photos.zip")
    with pytest.raises(DataError, match="neither a folder of class folders nor a manifest CSV$"):
        read_source(tmp_path / "photos.zip")


# Manifests


@pytest.mark.parametrize("name", ["manifest.csv", "labels.csv"])
def test_a_folder_that_holds_a_manifest_is_read_by_it(tmp_path, name):
    write_manifest(tmp_path, "image,species\n1.jpg,lion\nsub/2.jpg,fox\n", ["1.jpg", "sub/2.jpg"], name)
    manifest = read_source(tmp_path)
    assert [(record.name, record.lineage) for record in manifest.records] == [("1.jpg", ("lion",)), ("sub/2.jpg", ("fox",))]
    assert Path(manifest.records[1].path) == tmp_path / "sub/2.jpg"


def test_manifest_csv_comes_before_labels_csv(tmp_path):
    write_manifest(tmp_path, "image,species\n1.jpg,lion\n", name="manifest.csv")
    write_manifest(tmp_path, "image,species\n1.jpg,fox\n", name="labels.csv")
    assert read_source(tmp_path).records[0].lineage == ("lion",)


def test_the_file_column_may_be_called_file_and_image_comes_first(tmp_path):
    path = write_manifest(tmp_path, "file,species\n1.jpg,lion\n")
    assert read_source(path).records[0].name == "1.jpg"
    path = write_manifest(tmp_path, "file,image,species\n2.jpg,1.jpg,lion\n")
    assert read_source(path).records[0].name == "1.jpg"


def test_the_seven_ranks_are_taken_where_present_coarsest_first(tmp_path):
    path = write_manifest(tmp_path, "species,image,breed,genus,kingdom\nlion,1.jpg,x,Panthera,Animalia\n")
    manifest = read_source(path)
    assert manifest.ranks == ("kingdom", "genus", "species")
    assert manifest.records[0].lineage == ("Animalia", "Panthera", "lion")


def test_ranks_given_are_taken_in_their_order(tmp_path):
    path = write_manifest(tmp_path, "image,species,fine,coarse\n1.jpg,x,milk,dairy\n")
    manifest = read_source(path, ranks=("coarse", "fine"))
    assert (manifest.ranks, manifest.records[0].lineage) == (("coarse", "fine"), ("dairy", "milk"))
    with pytest.raises(DataError, match="has no column 'middle'; its columns are image, species, fine, coarse"):
        read_source(path, ranks=("coarse", "middle"))


def test_without_known_ranks_every_column_without_a_reserved_name_is_one(tmp_path):
    header = "photographer_id,coarse,image,group,split,box,licence,fine"
    path = write_manifest(tmp_path, f"{header}\n7,dairy,1.jpg,g,train,,CC0,milk\n")
    assert read_source(path).ranks == ("coarse", "fine")


def test_a_lone_column_called_class_is_a_label(tmp_path):
    path = write_manifest(tmp_path, "image,class\n1.jpg,milk\n")
    assert read_source(path).ranks == ("class",)


def test_a_byte_order_mark_and_spaces_do_no_harm(tmp_path):
    path = write_manifest(tmp_path, "\ufeffimage , species\n 1.jpg , lion \n")
    record = read_source(path).records[0]
    assert (record.name, record.lineage) == ("1.jpg", ("lion",))


def test_a_group_defaults_to_the_photo_itself(tmp_path):
    path = write_manifest(tmp_path, "image,species,group\n1.jpg,lion,walk 3\n2.jpg,lion,\n")
    assert [record.group for record in read_source(path).records] == ["walk 3", "2.jpg"]


def test_split_words_are_read_in_any_case_and_val_is_validation(tmp_path):
    photos = [f"{i}.jpg" for i in range(5)]
    rows = "".join(f"{photo},lion,{split}\n" for photo, split in zip(photos, ["Train", "val", "valid", "iconic", ""], strict=True))
    path = write_manifest(tmp_path, f"image,species,split\n{rows}", photos)
    assert [record.split for record in read_source(path).records] == ["train", "validation", "validation", "iconic", ""]


def test_boxes_are_left_top_width_height(tmp_path):
    path = write_manifest(tmp_path, 'image,species,box\n1.jpg,lion,"1,2.5,30,40"\n2.jpg,lion,\n')
    assert [record.box for record in read_source(path).records] == [(1.0, 2.5, 30.0, 40.0), NO_BOX]


@pytest.mark.parametrize("text", ["-3,-4,10,20", "[-3, -4, 10, 20]", " -3.0 , -4 , 1e1 , 20 "])
def test_a_box_may_have_brackets_and_begin_outside(text):
    assert parse_box(text) == (-3.0, -4.0, 10.0, 20.0)


@pytest.mark.parametrize("text", [None, "", "  "])
def test_no_box_is_zeros(text):
    assert parse_box(text) == NO_BOX


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,4,5", "a,b,c,d", "1;2;3;4", "[1,[2],3,4]", "{}", '"1,2,3,4'])
def test_a_box_of_another_shape_is_an_error(text):
    with pytest.raises(DataError, match="--box: a box is left,top,width,height in pixels, got"):
        parse_box(text)


@pytest.mark.parametrize("text", ["1,2,0,4", "1,2,3,-4", "nan,2,3,4", "1,2,inf,4", "1,2,nan,4", f"1,2,3,{'9' * 400}"])
def test_a_box_without_a_positive_finite_size_is_an_error(text):
    with pytest.raises(DataError, match="a box has a positive width and height, got"):
        parse_box(text)


def test_a_bad_box_names_file_and_line(tmp_path):
    path = write_manifest(tmp_path, 'image,species,box\n1.jpg,lion,\n2.jpg,lion,"1,2"\n')
    with pytest.raises(DataError, match=r"manifest.csv, line 3: a box is"):
        read_source(path)


def test_a_row_without_a_label_names_its_line_though_lines_are_blank_before(tmp_path):
    path = write_manifest(tmp_path, "image,species\n\n1.jpg,lion\n\n2.jpg, \n")
    with pytest.raises(DataError, match="manifest.csv, line 5: 2.jpg has no label in species"):
        read_source(path)


def test_a_row_without_a_file_or_cut_short_names_its_line(tmp_path):
    path = write_manifest(tmp_path, "image,species\n1.jpg,lion\n,fox\n")
    with pytest.raises(DataError, match="line 3: no file is named"):
        read_source(path)
    path = write_manifest(tmp_path, "image,species\n1.jpg\n")
    with pytest.raises(DataError, match="line 2: 1.jpg has no label"):
        read_source(path)


def test_a_row_may_lack_some_ranks(tmp_path):
    path = write_manifest(tmp_path, "image,genus,species\n1.jpg,Panthera,lion\n2.jpg,Lynx,\n")
    assert [record.lineage for record in read_source(path).records] == [("Panthera", "lion"), ("Lynx", "")]


def test_missing_files_are_named_and_counted(tmp_path):
    path = write_manifest(tmp_path, "image,species\n1.jpg,lion\ngone.jpg,lion\nlost.jpg,lion\n")
    with pytest.raises(DataError, match="manifest.csv names gone.jpg and 1 more, which does not exist"):
        read_source(path)


def test_a_file_of_any_suffix_may_be_named(tmp_path):
    path = write_manifest(tmp_path, "image,species\nface.pgm,ann\n", ["face.pgm"])
    assert read_source(path).records[0].name == "face.pgm"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("photo,species\n1.jpg,lion\n", "has no column `image` or `file`; its columns are photo, species"),
        ("", "has no column `image` or `file`; its columns are none"),
        ("image,url,id\n1.jpg,u,7\n", "has no label column; its columns are image, url, id: name them with --ranks"),
        ("image,species\n", "lists no photos"),
    ],
)
def test_a_csv_without_what_it_needs_is_an_error(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_source(write_manifest(tmp_path, text))


def test_all_columns_of_a_csv_are_kept_as_they_stand(tmp_path):
    path = write_manifest(tmp_path, "image,species,role,group\n1.jpg, lion ,Probe ,\n2.jpg,fox\n")
    manifest = read_source(path)
    assert manifest.columns == {"image": ("1.jpg", "2.jpg"), "species": (" lion ", "fox"), "role": ("Probe ", ""), "group": ("", "")}
    assert manifest.texts("role") == ("Probe", "")
    assert manifest.texts("medium") == ("", "")


def test_columns_stay_in_step_with_the_photos_that_are_chosen(tmp_path):
    photos = ["1.jpg", "2.jpg", "3.jpg"]
    manifest = read_source(write_manifest(tmp_path, "image,species,role\n1.jpg,lion,a\n2.jpg,fox,b\n3.jpg,lion,c\n", photos))
    chosen = manifest.select(np.array([True, False, True]))
    assert ([record.name for record in chosen.records], chosen.texts("role")) == (["1.jpg", "3.jpg"], ("a", "c"))
    taken = manifest.take([2, 0, 0])
    assert ([record.name for record in taken.records], taken.texts("role")) == (["3.jpg", "1.jpg", "1.jpg"], ("c", "a", "a"))
    assert drop_small_classes(manifest, 2)[0].texts("role") == ("a", "c")
    assert read_photos(tmp_path / "manifest.csv").texts("role") == ("a", "b", "c")


def test_columns_out_of_step_are_refused(tmp_path):
    manifest = read_source(write_manifest(tmp_path, "image,species\n1.jpg,lion\n2.jpg,fox\n"))
    with pytest.raises(ValueError, match="1 records cannot have columns of 2 texts"):
        dataclasses.replace(manifest, records=manifest.records[:1])
    with pytest.raises(ValueError, match="zip"):
        manifest.select([True])


def test_a_folder_whose_name_ends_in_csv_is_read_as_a_folder(tmp_path):
    (tmp_path / "set.csv").mkdir()
    path = write_manifest(tmp_path / "set.csv", "image,species\n1.jpg,lion\n")
    assert csv_of(tmp_path / "set.csv") == csv_of(path) == path
    assert read_source(tmp_path / "set.csv").texts("species") == ("lion",)
    assert csv_of(tmp_path) is None


def test_a_csv_that_is_not_text_is_an_error(tmp_path):
    (tmp_path / "manifest.csv").write_bytes(bytes(range(256)))
    with pytest.raises(DataError, match="manifest.csv is no table of text"):
        read_source(tmp_path)


def test_a_manifest_of_windows_is_read(tmp_path):
    text = "Image;Species;Split;Breed\nsub\\1.jpg;Löwe;Val;x\n2.jpg;Fuchs;;y\n;;;\n"
    touch(tmp_path / "sub/1.jpg", tmp_path / "2.jpg")
    (tmp_path / "list.txt").write_bytes(text.encode("utf-16"))
    manifest = read_source(tmp_path / "list.txt")
    assert [(record.name, record.lineage, record.split) for record in manifest.records] == [("sub/1.jpg", ("Löwe",), "validation"), ("2.jpg", ("Fuchs",), "")]
    assert Path(manifest.records[0].path) == tmp_path / "sub/1.jpg" and manifest.texts("Breed") == ("x", "y")
    assert read_source(tmp_path / "list.txt", ["breed"]).ranks == ("Breed",)


def test_a_file_whose_name_has_a_backslash_is_itself(tmp_path):
    touch(tmp_path / "a\\1.jpg", tmp_path / "a/1.jpg")
    assert Path(read_source(write_manifest(tmp_path, "image,species\na\\1.jpg,lion\n")).records[0].path) == tmp_path / "a\\1.jpg"


def test_the_written_list_reads_back_with_sizes(tmp_path):
    path = write_manifest(tmp_path, 'image,genus,species,group,split\n1.jpg,P,"lion, big",walk,train\n2.jpg,V,fox,,test\n')
    (tmp_path / "1.jpg").write_bytes(b"12345")
    rows = list(csv.DictReader(io.StringIO(write_csv_text(read_source(path)))))
    assert rows == [
        {"image": "1.jpg", "bytes": "5", "split": "train", "group": "walk", "genus": "P", "species": "lion, big"},
        {"image": "2.jpg", "bytes": "0", "split": "test", "group": "2.jpg", "genus": "V", "species": "fox"},
    ]


# Manifests in memory


def test_small_classes_are_dropped_and_listed():
    manifest = manifest_of(("genus", "species"), 5 * [("P", "lion")] + 4 * [("V", "fox")] + [("V", "corsac")])
    kept, dropped = drop_small_classes(manifest, 5)
    assert {record.lineage for record in kept.records} == {("P", "lion")}
    assert dropped == {"V / corsac": 1, "V / fox": 4}


def test_photos_that_name_only_a_parent_are_dropped_and_listed():
    manifest = manifest_of(("genus", "species"), 5 * [("P", "lion")] + 9 * [("P", "")] + 6 * [("fungi", "")])
    kept, dropped = drop_small_classes(manifest, 5)
    assert dropped == {"P": 9}
    assert kept.taxonomy().class_names == ("lion", "fungi")
    assert kept.ranks == manifest.ranks


def test_nothing_is_dropped_where_all_classes_are_large():
    manifest = manifest_of(("species",), 2 * [("lion",)] + 2 * [("fox",)])
    assert drop_small_classes(manifest, 2) == (manifest, {})


def test_labels_are_the_classes_of_the_taxonomy_and_minus_one_for_unknown():
    taxonomy = Taxonomy.from_lineages(("species",), [("lynx",), ("fox",)])  # sorted: fox 0, lynx 1
    labels = manifest_of(("species",), [("lynx",), ("wolf",), ("fox",)]).labels(taxonomy)
    assert labels.tolist() == [1, -1, 0]
    assert labels.dtype == np.int32


def test_labels_are_matched_by_the_ranks_that_both_know():
    taxonomy = Taxonomy.from_lineages(("family", "species"), [("cats", "lynx"), ("dogs", "fox")])
    assert manifest_of(("kingdom", "species"), [("animals", "fox"), ("", "lynx")]).labels(taxonomy).tolist() == [1, 0]
    more = manifest_of(("kingdom", "family", "species", "breed"), [("animals", "dogs", "fox", "red"), ("", "cats", "fox", "")])
    assert more.labels(taxonomy).tolist() == [1, -1]


def test_a_name_that_two_classes_share_is_not_guessed():
    taxonomy = Taxonomy.from_lineages(("genus", "species"), [("Dendrocopos", "major"), ("Parus", "ater"), ("Parus", "major")])
    assert manifest_of(("species",), [("major",), ("ater",)]).labels(taxonomy).tolist() == [-1, 1]
    assert manifest_of(("genus", "species"), [("Parus", "major")]).labels(taxonomy).tolist() == [2]


def test_labels_without_the_models_finest_rank_are_an_error():
    taxonomy = Taxonomy.from_lineages(("genus", "species"), [("P", "lion"), ("V", "fox")])
    with pytest.raises(DataError, match="labelled by genus, the model by genus, species: .* --ranks species"):
        manifest_of(("genus",), [("P",)]).labels(taxonomy)


def test_a_photos_identity_is_its_file_name_and_size(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.jpg").write_bytes(b"123")
    assert Record(str(tmp_path / "a/1.jpg"), "a/1.jpg", ("lion",), "g").identity == ("1.jpg", 3)


def test_select_keeps_the_records_asked_for():
    manifest = manifest_of(("species",), [("a",), ("b",), ("c",)])
    assert [record.lineage for record in manifest.select([True, False, True]).records] == [("a",), ("c",)]


def test_files_that_are_no_photos_of_a_class_are_listed(tmp_path):
    (tmp_path / "robin").mkdir()
    for name in ("robin/1.jpg", "robin/notes.txt", "robin/2.mp4", "loose.jpg"):
        (tmp_path / name).write_bytes(b"x")
    manifest = read_source(tmp_path)
    assert [record.name for record in manifest.records] == ["robin/1.jpg"]
    assert sorted(manifest.ignored) == ["loose.jpg", "robin/2.mp4", "robin/notes.txt"]


def test_the_identity_of_a_file_that_is_gone_has_no_size(tmp_path):
    (tmp_path / "robin").mkdir()
    (tmp_path / "robin/1.jpg").symlink_to("/nowhere/1.jpg")
    (record,) = read_source(tmp_path).records
    assert record.identity == ("1.jpg", 0)


def test_photos_that_are_asked_about_are_files_folders_and_lists(tmp_path):
    touch(tmp_path / "top.png", tmp_path / "reds/rose.jfif", tmp_path / "reds/notes.txt")
    (tmp_path / "list.csv").write_text("file\ntop.png\n")
    found = find_photos([tmp_path / "top.png", tmp_path / "reds", tmp_path / "list.csv", os.fsdecode(b"top-\xff.png")], is_missing_told=True)
    assert found.paths == [str(tmp_path / name) for name in ("top.png", "reds/rose.jfif", "top.png")]
    assert found.left_out == ((str(tmp_path / "reds/notes.txt"), "no photo", False), (r"top-\xff.png", "the name is not UTF-8: rename it", True))
    with pytest.raises(DataError, match="nowhere.jpg does not exist"):
        find_photos(["nowhere.jpg"])


def test_prepared_photos_are_told_by_their_names(prepared_colours):
    found = find_photos([prepared_colours])
    assert len(found) > 4 and all(record.name in record.path or record.path.endswith(os.path.basename(record.name)) for record in found.records)
    assert not any("shard" in record.name for record in found.records)
