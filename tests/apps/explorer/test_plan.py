import os
import subprocess
import sys

import pytest

from tfvision.apps.explorer.plan import plan
from tfvision.errors import DataError


def test_a_folder_gets_a_gallery_for_each_network_and_layer_out_of_the_way(photos):
    found = plan([str(photos)], ["mobilenet_v2"], ["block_9_add", "out_relu"])
    assert (found.name, found.source, found.state) == ("my photos", str(photos), photos / ".tfvision" / "explorer")
    assert [(name, os.path.basename(location), recipe.layers) for name, location, recipe in found.galleries] == [
        ("mobilenet_v2 block_9_add", "mobilenet_v2-block_9_add", ("block_9_add",)),
        ("mobilenet_v2 out_relu", "mobilenet_v2-out_relu", ("out_relu",)),
    ]


def test_what_cannot_be_written_is_kept_in_the_cache(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert (tmp_path / "cache") in plan([str(photos)]).state.parents


def test_galleries_are_layers_of_one_page_and_keep_their_notes_beside_the_first(make_gallery):
    first, second = make_gallery("a"), make_gallery("b")
    found = plan([first, second])
    assert [name for name, _, _ in found.galleries] == ["a", "b"] and found.source is None and found.state == first.with_name("a-explorer")
    assert plan([first], state="elsewhere").state.name == "elsewhere"


@pytest.mark.parametrize("table, name", [("manifest.csv", "my photos"), ("labels.csv", "my photos"), ("birds.csv", "birds")])
def test_a_table_that_is_called_as_most_are_is_shown_by_its_folders_name(table, name, photos):
    (photos / table).write_text("image\n", "utf-8")
    assert plan([str(photos / table)]).name == name


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nowhere"], "nowhere does not exist: give a folder of photos, a manifest.csv or a gallery"),
        (["{gallery}", "{photos}"], "is no gallery: give one folder of photos, or several galleries"),
    ],
)
def test_other_locations_are_refused(arguments, message, make_gallery, photos):
    gallery = make_gallery()
    with pytest.raises(DataError, match=message):
        plan([argument.format(gallery=gallery, photos=photos) for argument in arguments])


def test_a_gallerys_network_is_fixed(make_gallery):
    with pytest.raises(DataError, match="is a gallery, whose network is fixed"):
        plan([make_gallery()], layers=["out_relu"])
    with pytest.raises(DataError, match="is a gallery, whose network is fixed: give --weights with a folder"):
        plan([make_gallery("other")], weights="none")


def test_weights_are_a_file_of_one_network_and_get_a_gallery_of_their_own(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bvlc_alexnet.caffemodel").write_bytes(b"anything")
    found = plan([str(photos)], ["alexnet"], ["fc7"], weights="bvlc_alexnet.caffemodel")
    assert found.galleries[0].recipe.weights == "bvlc_alexnet.caffemodel"
    locations = [plan([str(photos)], ["alexnet"], ["fc7"], weights=weights).galleries[0].location for weights in (None, "imagenet", "none")]
    assert locations[0] == locations[1] and len({*locations, found.galleries[0].location}) == 3
    with pytest.raises(DataError, match="nowhere.onnx does not exist: give a file of weights, imagenet or none"):
        plan([str(photos)], ["alexnet"], weights="nowhere.onnx")
    with pytest.raises(DataError, match="--weights are those of one network, got alexnet, vgg19"):
        plan([str(photos)], ["alexnet", "vgg19"], weights="bvlc_alexnet.caffemodel")


def test_the_server_of_a_gallery_needs_no_tensorflow():
    script = "import sys, tfvision.apps.explorer.server, tfvision.apps.explorer.plan; print('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "False"
