import numpy as np
import pytest
from sklearn.decomposition import PCA

from tfvision.errors import DataError
from tfvision.features.whitening import fit_symmetric_whitening, fit_whitening


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


@pytest.mark.parametrize("count", [40, 6])
def test_symmetric_whitening_is_the_inverse_root_of_the_shrunk_covariance(count):
    vectors, shrinkage = _vectors(count, 8), 0.5
    covariance = np.cov(vectors.astype(np.float64), rowvar=False)
    values, directions = np.linalg.eigh(0.5 * covariance + 0.5 * np.trace(covariance) / 8 * np.eye(8))
    got = fit_symmetric_whitening(vectors, shrinkage)
    np.testing.assert_allclose(got.projection, directions / np.sqrt(values) @ directions.T, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(got.mean, vectors.mean(axis=0), rtol=1e-5)


def test_symmetric_whitening_keeps_what_the_fitted_vectors_do_not_show():
    fitted = np.eye(3, dtype=np.float32)[:2]  # the third value is 0 in all of them
    whitened = fit_symmetric_whitening(fitted).apply(np.float32([[0.5, 0.5, 0.4]]))
    np.testing.assert_allclose(whitened, [[0, 0, 1]], atol=1e-6)


@pytest.mark.parametrize(("vectors", "told"), [(np.ones((5, 4), np.float32), "these are all alike"), (_vectors(1, 4), "there is but one")])
def test_symmetric_whitening_needs_vectors_that_differ(vectors, told):
    with pytest.raises(DataError, match=told):
        fit_symmetric_whitening(vectors)
