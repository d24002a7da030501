import numpy as np
import pytest

from tfvision.evaluation.feature_maps import feature_map_sheet
from tfvision.evaluation.picture_sheet import Cell, picture_sheet, with_boxes, write_layer_pictures


def _colours(sheet):
    return {tuple(colour) for colour in sheet.reshape(-1, 3)}


def test_pictures_keep_their_aspect_and_lie_in_rows():
    red, blue = np.full((10, 20, 3), (250, 0, 0), np.uint8), np.full((20, 10, 3), (0, 0, 250), np.uint8)
    sheet = picture_sheet("title", [("first row", [Cell((red, blue), "a and b")]), ("second", [Cell((red,), ""), Cell((None,), "lost")])], 40, is_smooth=False)
    is_red, is_blue = (sheet == (250, 0, 0)).all(-1), (sheet == (0, 0, 250)).all(-1)
    assert is_red.sum() == 2 * 40 * 20 and is_blue.sum() == 40 * 20  # magnified to 40 px at the longer side
    assert np.flatnonzero(is_blue.any(0)).min() > np.flatnonzero(is_red[: sheet.shape[0] // 2].any(0)).max()


def test_long_captions_are_shortened_and_wide_titles_fit():
    red = np.full((8, 8, 3), (250, 0, 0), np.uint8)
    narrow = picture_sheet("t", [("", [Cell((red,), "x" * 500)])], 40)
    assert narrow.shape[1] < 120
    assert picture_sheet("a title that is wider than the picture " * 3, [("", [Cell((red,), "")])], 40).shape[1] > 600


def test_the_strongest_channels_come_first():
    maps = np.zeros((4, 4, 3), np.float32)
    maps[..., 1], maps[0, 0, 2] = np.arange(16).reshape(4, 4), 1  # channel 0 answers nothing
    pixels = np.full((6, 6, 3), (9, 99, 199), np.uint8)
    sheet = feature_map_sheet(pixels, maps, "layer of net", 2)
    assert (9, 99, 199) in _colours(sheet) and feature_map_sheet(pixels, maps, "layer of net", 1).shape[1] < sheet.shape[1]
    assert len(_colours(feature_map_sheet(pixels, maps, "", 1)) & {(grey,) * 3 for grey in range(0, 256, 17)}) == 16  # sixteen steps from black to white


def test_a_layer_within_a_part_gets_a_plain_file_name(tmp_path):
    written = write_layer_pictures("photos/dog.jpg", {"crop_branch/conv": np.zeros((4, 4, 3), np.uint8)}, tmp_path)
    assert written == {"crop_branch/conv": str(tmp_path / "dog-crop_branch-conv.png")} and (tmp_path / "dog-crop_branch-conv.png").is_file()


def test_boxes_are_framed_where_they_are():
    grey = np.full((100, 200, 3), 128, np.uint8)
    framed = with_boxes(grey, [(0.25, 0.5, 0.5, 0.25), (0, 0, 1, 1)])
    is_changed = (framed != 128).any(-1)
    assert is_changed[50, 50] and is_changed[74, 149] and not is_changed[51:74, 51:149].any() and not is_changed[49, 50]
    assert is_changed[0].all() and is_changed[:, -1].all() and (grey == 128).all() and framed.shape == grey.shape
    assert len({tuple(framed[50, 50]), tuple(framed[0, 0])}) == 2


@pytest.mark.slow
def test_captions_of_boxes_stay_in_the_picture():
    grey = np.full((100, 200, 3), 128, np.uint8)
    for box in ((0.9, 0.9, 0.1, 0.1), (0, 0, 0.1, 0.1), (1, 1, 0.001, 0.001)):
        with_caption, without = (with_boxes(grey, [box], captions) for captions in (["x" * 500], [""]))
        assert (with_caption != without).any(-1).sum() > 500
    assert (with_boxes(grey, [(0.5, 0.5, 0.2, 0.2)], ["fox"])[36:49, 100:110] != 128).any()  # above the frame
