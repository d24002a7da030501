import csv
import io
import os
import types

import numpy as np
import pytest

from tfvision.apps.explorer.collection import Pictures
from tfvision.apps.explorer.selection import as_csv, as_manifest, link_folder
from tfvision.data.decoding import read_encoded
from tfvision.data.manifest import read_source


@pytest.mark.slow
def test_photos_of_shards_are_copied_into_the_folder_and_files_are_linked(prepared_colours, colour_jpegs, tmp_path):
    paths = [read_source(prepared_colours).records[3].path, read_source(colour_jpegs).records[4].path]
    folder = link_folder(types.SimpleNamespace(path=paths.__getitem__), [0, 1], tmp_path, "reds")
    copied, linked = (os.path.join(folder, os.path.basename(path)) for path in paths)
    with open(copied, "rb") as file:
        assert not os.path.islink(copied) and file.read() == read_encoded(paths[0])
    assert os.path.islink(linked) and os.path.samefile(linked, paths[1])


def test_tables_keep_columns_that_are_called_as_ours_and_values_as_they_are():
    labels = ["+1", "-1", "+2.5e3", "=1+1", "@home", "a"]
    columns = {name: (labels, np.arange(6, dtype=np.int32)) for name in ("tags", "id", "image", "label")}
    pictures = Pictures([f"{number}.png" for number in range(6)], lambda position: f"/photos/{position}.png", columns)
    manifest, table = (list(csv.DictReader(io.StringIO(text))) for text in (as_manifest(pictures, range(6)), as_csv(pictures, range(6), {"0.png": ["x", "y"]})))
    assert [row["label"] for row in manifest] == [row["tags"] for row in manifest] == [row["image (metadata)"] for row in manifest] == labels
    assert manifest[2]["image"] == "/photos/2.png"
    assert [row["label"] for row in table] == [row["tags"] for row in table] == ["+1", "-1", "+2.5e3", "'=1+1", "'@home", "a"]
    assert (table[0]["tags (explorer)"], table[0]["id"], table[0]["id (metadata)"]) == ("x; y", "0.png", "+1")
