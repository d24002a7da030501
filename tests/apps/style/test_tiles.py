import numpy as np
import pytest

from tfvision.apps.style.tiles import CONTEXT_PX, cut_picture, cut_windows, layer_stride


@pytest.mark.parametrize("length", [16, 100, 255, 256, 257, 270, 500, 1003])
def test_cores_cover_a_side_once_and_begin_where_poolings_align(length):
    rows = [tile[0] for tile in cut_picture(length, 16, 128)]
    covered = np.zeros(length, int)
    for tile in rows:
        covered[tile.core_start : tile.core_stop] += 1
        assert tile.core_start % 16 == tile.start % 16 == 0
        assert tile.core_stop - tile.core_start <= 128 + 15 + 16
        assert tile.start == 0 or tile.core_start - tile.start == CONTEXT_PX
        assert tile.stop == length or tile.stop - tile.core_stop == CONTEXT_PX
    assert (covered == 1).all()
    assert [tile.core_stop == tile.stop for tile in rows] == [False] * (len(rows) - 1) + [True]


def test_without_a_limit_there_is_one_tile():
    assert len(cut_picture(4000, 3000, 0)) == 1


def test_strides_follow_the_poolings():
    assert [layer_stride(layer) for layer in ("conv1_2", "conv2_1", "conv3_4", "conv4_2", "conv5_1")] == [1, 2, 4, 8, 16]


@pytest.mark.parametrize(("height", "width"), [(16, 700), (513, 1025), (1536, 2048), (3000, 4000)])
def test_every_pixel_is_ruled_once_by_all_windows_together(height, width):
    total = np.zeros((height, width), np.float32)
    for rows, columns in cut_windows(height, width, 640):
        assert rows.stop - rows.start <= 512 + 15 + 32
        total[rows.start : rows.stop, columns.start : columns.stop] += rows.rule()[:, None] * columns.rule()[None]
    np.testing.assert_allclose(total, 1, atol=1e-5)


def test_a_windows_rule_ends_where_the_picture_goes_on():
    rows = [window[0] for window in cut_windows(1024, 512, 0)]
    assert [(window.start, window.stop) for window in rows] == [(0, 528), (496, 1024)]
    assert rows[0].rule()[0] == 1 and rows[0].rule()[-1] < 0.01 and rows[1].rule()[0] < 0.01 and rows[1].rule()[-1] == 1
