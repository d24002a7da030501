import numpy as np
import pytest

from tfvision.apps.explorer import projection


def test_the_plane_is_that_of_the_singular_value_decomposition(monkeypatch):
    monkeypatch.setattr(projection, "_CHUNK_ROWS", 64)
    random = np.random.default_rng(0)
    vectors = (random.normal(size=(300, 20)) * np.linspace(5, 0.5, 20) + 3).astype(np.float32)
    plane, shares = projection.principal_plane(vectors)
    centred = vectors.astype(float) - vectors.mean(axis=0)
    u, strengths, _ = np.linalg.svd(centred, full_matrices=False)
    for column in range(2):
        assert abs(np.corrcoef(plane[:, column], u[:, column])[0, 1]) == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(shares, (strengths**2 / (strengths**2).sum())[:2], rtol=1e-2)
    np.testing.assert_array_equal(plane, projection.principal_plane(vectors)[0])


@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (2, 4), (5, 1), (4, 4)])
def test_few_pictures_or_values_have_a_plane_too(shape):
    vectors = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    plane, shares = projection.principal_plane(vectors)
    assert plane.shape == (shape[0], 2) and np.isfinite(plane).all() and shares.shape == (2,)


def test_equal_pictures_lie_on_one_point():
    plane, _ = projection.principal_plane(np.ones((9, 3), np.float32))
    assert np.ptp(plane, axis=0).max() < 1e-6
