import numpy as np
import pytest
from sklearn.decomposition import PCA

from tfvision.errors import DataError
from tfvision.features.whitening import fit_whitening


def _vectors(count, width, seed=0):
    random = np.random.default_rng(seed)
    return (random.normal(size=(count, width)) * np.linspace(3, 0.3, width) + 5).astype(np.float32)


def _unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize(("count", "width", "dimension"), [(200, 12, 12), (200, 12, 5), (20, 50, 10)])
def test_without_shrinkage_it_is_scikit_learns(count, width, dimension):
    vectors = _vectors(count, width)
    got = fit_whitening(vectors, dimension, shrinkage=0).apply(vectors)
    expected = _unit(PCA(dimension, whiten=True, svd_solver="full").fit_transform(vectors.astype(np.float64)))
    np.testing.assert_allclose(got @ got.T, expected @ expected.T, atol=2e-3)  # directions may point the other way


def test_with_full_shrinkage_proportions_are_kept():
    vectors = _vectors(100, 8)
    got = fit_whitening(vectors, shrinkage=1).apply(vectors)
    expected = _unit(vectors - vectors.mean(axis=0))  # all directions: PCA is a rotation
    np.testing.assert_allclose(got @ got.T, expected @ expected.T, atol=1e-4)


def test_shrinkage_lies_between():
    vectors = _vectors(100, 8)
    spreads = [np.ptp(((vectors - w.mean) @ w.projection).var(axis=0)) for w in (fit_whitening(vectors, shrinkage=s) for s in (0, 0.5, 1))]
    assert spreads[0] < 1e-3 < spreads[1] < spreads[2]


def test_the_default_dimension_is_what_can_be_told_apart():
    assert fit_whitening(_vectors(7, 20)).apply(_vectors(3, 20)).shape == (3, 6)
    assert fit_whitening(_vectors(50, 20)).projection.shape == (20, 20)


def test_repeated_vectors_blow_nothing_up():
    vectors = np.repeat(_vectors(4, 20), 5, axis=0)
    whitened = fit_whitening(vectors).apply(vectors)
    assert np.isfinite(whitened).all()
    np.testing.assert_allclose(np.linalg.norm(whitened, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("vectors", "settings", "message"),
    [
        (_vectors(1, 4), {}, "on two vectors at least, got 1"),
        (np.ones((5, 4), np.float32), {}, "these are all alike"),
        (np.float32([[1, 2], [np.nan, 3]]), {}, "some hold values that are not numbers"),
        (_vectors(5, 8), {"dimension": 5}, "5 vectors of 8 values can be whitened to 1 to 4 dimensions, got 5"),
        (_vectors(5, 8), {"shrinkage": 2}, "shrinkage must lie between 0 and 1, got 2"),
    ],
)
def test_mistakes_are_named(vectors, settings, message):
    with pytest.raises(DataError, match=message):
        fit_whitening(vectors, **settings)


def test_vectors_of_another_width_are_refused():
    with pytest.raises(DataError, match="is of vectors of 8 values, got 3"):
        fit_whitening(_vectors(5, 8)).apply(np.zeros((2, 3), np.float32))
