import numpy as np

from tfvision.data.resizing import fitted_size, resized


def test_the_longer_side_has_the_size_asked_for():
    assert fitted_size(768, 1024, 512) == (384, 512)
    assert fitted_size(1024, 768, 512) == (512, 384)
    assert fitted_size(1, 5000, 512) == (1, 512)


def test_resampling_keeps_a_plain_colour_and_averages_fine_detail():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert resized(stripes, 64, 64) is stripes
    assert (resized(np.full((9, 7, 3), 77, np.uint8), 30, 20) == 77).all()
    assert np.abs(resized(stripes, 8, 8)[:, 1:-1].astype(int) - 100).max() <= 3
