import os
import types

import pytest

from tfvision.apps.explorer.selection import link_folder
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
