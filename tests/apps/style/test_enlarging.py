import numpy as np
import pytest

from tfvision.apps.style.enlarging import affine_maps, carry_up, resize
from tfvision.data.resizing import fitted_size


@pytest.fixture(scope="module")
def large_photo():
    """Odd sizes, noise of every frequency."""
    return np.random.default_rng(0).uniform(0, 255, (61, 83, 3)).astype(np.float32)


def mixed(photo):
    """An affine function of colours."""
    return photo @ np.float32([[0.2, 0.5, 0.1], [0.3, -0.4, 0.2], [0.1, 0.2, 0.6]]) + np.float32([10, 60, 20])


def test_an_affine_function_of_colours_is_recovered_to_the_borders(large_photo):
    small = resize(large_photo, (31, 42))
    np.testing.assert_allclose(carry_up(mixed(small), large_photo, noise_levels=0.01), mixed(large_photo), atol=0.05)


def test_maps_are_those_of_a_naive_regression():
    random = np.random.default_rng(1)
    photo, painted = (random.uniform(0, 255, (7, 9, 3)).astype(np.float32) for _ in range(2))
    edged = [np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="edge") for image in (photo, painted)]
    fitted = np.zeros((7, 9, 3, 3))
    for row in range(7):
        for column in range(9):
            own, other = (image[row : row + 5, column : column + 5].reshape(-1, 3).astype(float) for image in edged)
            own, other = own - own.mean(0), other - other.mean(0)
            fitted[row, column] = np.linalg.inv(own.T @ own / 25 + 20.0**2 * np.eye(3)) @ (own.T @ other / 25)
    padded = np.pad(fitted, ((2, 2), (2, 2), (0, 0), (0, 0)), mode="edge")
    expected = np.mean([padded[row : row + 7, column : column + 9] for row in range(5) for column in range(5)], axis=0)
    np.testing.assert_allclose(affine_maps(photo, painted, 2, 20.0), expected, atol=1e-4)


@pytest.mark.parametrize("size", [40, 57, 83])
def test_what_is_of_one_colour_stays_so(large_photo, size):
    plain = np.full((*fitted_size(61, 83, size // 2), 3), 77, np.float32)
    larger = carry_up(plain, resize(large_photo, fitted_size(61, 83, size)))
    np.testing.assert_allclose(larger, np.full((*fitted_size(61, 83, size), 3), 77), atol=0.01)


def test_a_plain_photo_gives_its_picture_enlarged():
    painted = np.random.default_rng(2).uniform(0, 255, (10, 12, 3)).astype(np.float32)
    np.testing.assert_allclose(carry_up(painted, np.full((20, 24, 3), 128, np.float32)), resize(painted, (20, 24)), atol=0.01)


def test_an_edge_of_the_photo_is_as_sharp_in_the_colours_of_the_paint():
    photo = np.zeros((400, 64, 3), np.float32)  # more rows than are enlarged at a time
    photo[:, 30:] = 200  # not between two of the small picture's pixels
    painted = np.where(resize(photo, (100, 16)) > 100, np.float32([220, 120, 20]), np.float32([20, 40, 160]))
    step = np.float32([200, 80, -140])
    enlarged, larger = resize(painted, (400, 64)), carry_up(painted, photo, noise_levels=1.0)
    sharpness = [float(np.abs(image[200, 30] - image[200, 29]) @ np.abs(step)) / float(step @ step) for image in (enlarged, larger)]
    assert sharpness[0] < 0.4 and sharpness[1] > 0.8
