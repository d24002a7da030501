import numpy as np
import pytest

pytest.importorskip("cv2")

from tfvision.apps.style.flow import Motion, motion_between, moved_along, warp_error, warped
from tfvision.apps.style.scenes import colours_apart, is_cut

INSIDE = np.s_[12:-12, 12:-12]


@pytest.fixture(scope="module")
def photos(moving_texture):
    """Two photos of 72 x 96 px, of which the second shows what lies 4 px to the right and 2 px lower."""
    return moving_texture(0, 72, 96), moving_texture(2, 72, 96)


def test_the_flow_leads_back_to_where_each_pixel_was(photos):
    motion = motion_between(*photos)
    assert motion.backward.dtype == np.float32 and motion.valid.dtype == bool
    np.testing.assert_allclose(motion.backward[INSIDE].reshape(-1, 2).mean(0), (4, 2), atol=0.1)
    assert motion.valid[INSIDE].mean() > 0.95
    assert np.abs(warped(photos[0], motion.backward)[INSIDE].astype(int) - photos[1][INSIDE]).mean() < 2


def test_what_was_beyond_the_edge_or_hidden_is_not_valid(photos):
    before, now = (photo.copy() for photo in photos)
    assert not motion_between(before, now).valid[:, -4:].any()  # came in from the right
    before[20:50, 20:50], now[20:50, 32:62] = (250, 20, 20), (250, 20, 20)
    valid = motion_between(before, now).valid
    assert valid[22:48, 22:30].mean() < 0.2 and valid[INSIDE].mean() > 0.5  # the square uncovered these columns


def test_tiny_photos_have_no_flow():
    motion = motion_between(*np.zeros((2, 8, 40, 3), np.uint8))
    assert motion.backward.shape == (8, 40, 2) and not motion.valid.any()


def test_the_warp_error_is_the_mean_difference_where_the_motion_is_valid():
    before, now = np.full((2, 20, 20, 3), 100, np.uint8)
    now[:, :10] = 130  # by 30, of which columns 5 to 9 count, as do 10 to 14
    valid = np.zeros((20, 20), bool)
    valid[:, 5:15] = True
    assert warp_error(before, now, Motion(np.zeros((20, 20, 2), np.float32), valid)) == pytest.approx(15)
    assert np.isnan(warp_error(before, now, Motion(np.zeros((20, 20, 2), np.float32), ~np.ones((20, 20), bool))))


def test_a_picture_moves_along_at_its_own_size(photos):
    before, now = photos
    twice = np.repeat(np.repeat(255 - before, 2, 0), 2, 1)
    picture, photo = moved_along(twice, before, now)
    expected = np.repeat(np.repeat(255 - now, 2, 0), 2, 1)
    assert np.abs(picture[24:-24, 24:-24].astype(int) - expected[24:-24, 24:-24]).mean() < 8
    assert np.abs(photo[INSIDE].astype(int) - now[INSIDE]).mean() < 2


def test_a_cut_is_told_from_a_camera_that_moves(photos, moving_texture):
    other = moving_texture(1000, 72, 96)
    assert not is_cut(*photos, motion_between(*photos))
    assert is_cut(photos[1], other, motion_between(photos[1], other))
    assert not is_cut(photos[1], photos[1][::-1], motion_between(photos[1], photos[1][::-1]))  # the same colours: whatever it is, no other scene


def test_colours_are_apart_by_the_share_that_has_none_in_common():
    black, half = np.zeros((2, 10, 10, 3), np.uint8)
    half[:5] = 255
    assert (colours_apart(black, black), colours_apart(black, half), colours_apart(black, 255 - black)) == (0, 0.5, 1)
