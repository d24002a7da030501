import numpy as np
import pytest

from tfvision.models.pooling import concatenate, normalise, pool

MAPS = np.random.default_rng(0).uniform(0, 3, (2, 4, 5, 6)).astype(np.float32)


@pytest.mark.parametrize(
    ("pooling", "power", "expected"),
    [
        ("avg", 3, MAPS.mean((1, 2))),
        ("max", 3, MAPS.max((1, 2))),
        ("gem", 3, (MAPS**3).mean((1, 2)) ** (1 / 3)),
        ("gem", 1, MAPS.mean((1, 2))),
        ("gem", 1000, MAPS.max((1, 2)) * (1 / 20) ** (1 / 1000)),  # 1000 powers of 3 overflow where nobody cares
    ],
)
def test_positions_are_pooled(pooling, power, expected):
    np.testing.assert_allclose(pool(MAPS, pooling, power), expected, rtol=1e-4)


@pytest.mark.parametrize(("shape", "regions"), [((6, 6), 1 + 4 + 9), ((6, 9), 2 + 6 + 12), ((4, 12), 5 + 12 + 21), ((1, 1), 1 + 4 + 9)], ids=str)
def test_regions_are_squares_of_three_sizes_that_count_alike(shape, regions):
    maps = np.random.default_rng(1).uniform(0.1, 1, (1, *shape, 8)).astype(np.float32)
    vectors = pool(maps * [1, 0, 0, 0, 0, 0, 0, 0], "regions")
    np.testing.assert_allclose(vectors[0], [regions] + [0] * 7, rtol=1e-5)  # each region's vector has length 1
    if shape == (6, 6):
        means = [maps[0, y : y + side, x : x + side].mean((0, 1)) for side, starts in ((6, [0]), (4, [0, 2]), (3, [0, 2, 3])) for y in starts for x in starts]
        expected = sum(mean / np.linalg.norm(mean) for mean in means)
        np.testing.assert_allclose(pool(maps, "regions")[0], expected, rtol=1e-4)


def test_gem_takes_negative_and_zero_responses_for_none():
    maps = np.float32([[[[-5.0, 0.0], [2.0, 0.0]]]])
    np.testing.assert_allclose(pool(maps, "gem", 2.0), [[np.sqrt(2), 1e-6]], rtol=1e-4)


@pytest.mark.parametrize("pooling", ["avg", "max", "gem"])
def test_vectors_are_taken_as_they_are(pooling):
    np.testing.assert_array_equal(pool(MAPS[:, 0, 0], pooling), MAPS[:, 0, 0])


def test_taps_are_joined_by_addition_or_normalised_addition():
    taps = {"a": np.float32([[3, 4]]), "b": np.float32([[0, 12]])}
    np.testing.assert_allclose(concatenate(taps, False, False), [[3, 4, 0, 12]])
    np.testing.assert_allclose(concatenate(taps, False, True), np.float32([[3, 4, 0, 12]]) / 13)
    np.testing.assert_allclose(concatenate(taps, True, True), np.float32([[0.6, 0.8, 0, 1]]) / np.sqrt(2), rtol=1e-6)


def test_a_vector_of_zeros_stays_one():
    np.testing.assert_array_equal(normalise(np.zeros((1, 3), np.float32)), np.zeros((1, 3)))
