import csv
import shlex

import numpy as np
import PIL.Image
import pytest

from tfvision.apps.explorer.collection import Pictures
from tfvision.apps.explorer.corrected_manifest import write_corrected_manifest
from tfvision.data.manifest import read_source
from tfvision.errors import DataError
from tfvision.index.sources import read_gallery_photos

JO = {"who": "Jo", "when": "2026-11-28T18:00:00+00:00"}


@pytest.fixture
def folder(tmp_path):
    """Two classes of two photos."""
    for number, species in enumerate(("bee", "bee", "wasp", "wasp")):
        path = tmp_path / "photos" / species / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", (8, 8), (60 * number, 0, 0)).save(path)
    return tmp_path / "photos"


def _rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _write(source, columns, out, name="photos"):
    return write_corrected_manifest(str(source), Pictures.of_photos(read_gallery_photos(source)), columns, out, name)


def _trained_on(command):
    """What `tfvision train species ...` reads: {file: lineage}."""
    words = shlex.split(command)
    assert words[:3] == ["tfvision", "train", "species"]
    manifest = read_source(words[3], words[5].split(",") if "--ranks" in words else None)
    return manifest.ranks, {record.path.rpartition("/")[2]: record.lineage for record in manifest.records}


def test_of_a_folder_all_photos_are_listed_with_the_corrected_label(folder, tmp_path):
    columns = {"species": {"bee/1.png": {"label": "wasp", **JO}}}
    written = _write(folder, columns, tmp_path / "out")
    rows = _rows(written.path)
    assert [row["species"] for row in rows] == ["bee", "wasp", "wasp", "wasp"] and written.corrected == 1
    assert rows[1] == {"image": str(folder / "bee" / "1.png"), "species": "wasp", "previous_species": "bee", "corrected_by": "Jo", "corrected_at": JO["when"]}
    assert rows[0]["previous_species"] == rows[0]["corrected_by"] == ""
    ranks, lineages = _trained_on(written.command)
    assert ranks == ("species",) and lineages == {"0.png": ("bee",), "1.png": ("wasp",), "2.png": ("wasp",), "3.png": ("wasp",)}
    again = _write(folder, columns, tmp_path / "out")
    assert again.path != written.path and _rows(again.path) == rows  # none is overwritten


def test_of_a_manifest_all_columns_and_rows_are_kept(folder, tmp_path):
    source = folder / "manifest.csv"
    header = "file,id,genus,species,box,note,source\n"
    source.write_text(header + "".join(f'{name},{name[-5]},{genus},{label},"0,0,4,4","=1+1, {label}",+1\n' for name, genus, label in _LISTED), encoding="utf-8")
    before = source.read_bytes()
    columns = {"species": {"1": {"label": "crabro", **JO}}, "genus": {"1": {"label": "Vespa", **JO}}}
    written = _write(source, columns, tmp_path / "out")
    rows = _rows(written.path)
    assert source.read_bytes() == before
    assert list(rows[0]) == ["file", "id", "genus", "species", "box", "note", "source", "previous_species", "previous_genus", "corrected_by", "corrected_at"]
    assert (
        rows[1]["file"] == str(folder / "bee" / "1.png") and rows[1]["note"] == "=1+1, mellifera" and rows[1]["source"] == "+1" and rows[1]["box"] == "0,0,4,4"
    )
    assert (rows[1]["genus"], rows[1]["species"], rows[1]["previous_genus"], rows[1]["previous_species"]) == ("Vespa", "crabro", "Apis", "mellifera")
    ranks, lineages = _trained_on(written.command)
    assert ranks == ("genus", "species") and lineages["1.png"] == ("Vespa", "crabro")
    # corrected once more: what was corrected before is kept
    once_more = _write(written.path, {"species": {"2": {"label": "vulgaris", **JO, "who": "=cmd()"}}}, tmp_path / "out", "again")
    rows = _rows(once_more.path)
    assert rows[1]["previous_species"] == "mellifera" and rows[2]["previous_species"] == "crabro" and rows[2]["corrected_by"] == "'=cmd()"
    assert _trained_on(once_more.command)[1]["2.png"] == ("Vespa", "vulgaris")


_LISTED = [("bee/0.png", "Apis", "mellifera"), ("bee/1.png", "Apis", "mellifera"), ("wasp/2.png", "Vespa", "crabro"), ("wasp/3.png", "Vespa", "crabro")]


def test_labels_that_training_would_not_find_are_named_in_the_command(folder, tmp_path):
    source = tmp_path / "photos.csv"
    lines = [f"photos/{name},{'ab'[number % 2]},{number // 2}" for number, (name, _, _) in enumerate(_LISTED)]
    source.write_text("\n".join(["image,shape,kind of thing", *lines]))
    written = _write(source, {"kind of thing": {"photos/bee/1.png": {"label": "1", **JO}}}, tmp_path / "out")
    assert "--ranks 'kind of thing'" in written.command
    assert _trained_on(written.command)[1]["1.png"] == ("1",)


def test_of_a_gallery_its_metadata_is_listed(folder, tmp_path):
    paths = [str(folder / name) for name, _, _ in _LISTED]
    pictures = Pictures(
        [name for name, _, _ in _LISTED], paths.__getitem__, {"image": (["x"], np.zeros(4, np.int32)), "label": (["a", "b"], np.int32([0, 0, 1, -1]))}
    )
    written = write_corrected_manifest(None, pictures, {"label": {"wasp/3.png": {"label": "b", **JO}}}, tmp_path / "out", "g")
    assert [(row["image"], row["image (metadata)"], row["label"], row["previous_label"]) for row in _rows(written.path)][2:] == [
        (paths[2], "x", "b", ""),
        (paths[3], "x", "b", ""),
    ]
    assert _trained_on(written.command)[0][-1] == "label"


def test_nothing_corrected_writes_nothing(folder, tmp_path):
    with pytest.raises(DataError, match="no label is corrected"):
        _write(folder, {"species": {"gone.png": {"label": "x", **JO}}}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_corrected_column_that_the_source_has_no_more_does_not_name_the_labels(folder, tmp_path):
    columns = {"kind": {"1": {"label": "x", **JO}}, "habitat": {"1": {"label": "field", **JO}}}
    rows = ["bee/0.png,0,bee,wood", "bee/1.png,1,bee,wood", "wasp/2.png,2,wasp,wood", "wasp/3.png,3,wasp,field"]  # a habitat is no rank below
    (folder / "manifest.csv").write_text("\n".join(["image,id,species,habitat", *rows, ""]), encoding="utf-8")
    written = _write(folder / "manifest.csv", columns, tmp_path / "out")
    assert _trained_on(written.command)[0] == ("habitat",) and written.corrected == 1
