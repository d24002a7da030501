import numpy as np
import pytest
from scipy.special import logsumexp, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors

from tfvision.evaluation import novelty
from tfvision.evaluation.novelty import NoveltyModel


def clusters(classes=4, photos=12, channels=10, seed=0):
    """Features around one direction a class, and a class of none of these directions."""
    random = np.random.default_rng(seed)
    centres = 4 * np.eye(classes + 1, channels)
    labels = np.repeat(np.arange(classes), photos)
    return (centres[labels] + random.normal(0, 0.5, (len(labels), channels))).astype(np.float32), labels, centres[-1]


def test_the_head_is_scikit_learns_of_the_same_penalty():
    features, labels, _ = clusters()
    head = novelty.fit_head(features, labels, 4)
    trusted = LogisticRegression(C=1 / (novelty.HEAD_PENALTY * len(labels)), max_iter=2000, tol=1e-8).fit(features, labels)
    expected = trusted.predict_proba(features)
    np.testing.assert_allclose(softmax(features @ head[:-1] + head[-1], axis=1), expected, atol=0.01)


def test_log_odds_and_energy_are_those_of_the_probabilities():
    logits = np.random.default_rng(0).normal(0, 2, (50, 5))
    largest = softmax(logits, axis=1).max(axis=1)
    np.testing.assert_allclose(novelty.log_odds(logits), np.log(largest / (1 - largest)))
    np.testing.assert_allclose(novelty.energy(logits), -logsumexp(logits, axis=1))


def test_log_odds_never_saturate():
    assert novelty.log_odds(np.float32([[400, 0, -5], [500, 0, -5]])).tolist() == pytest.approx([400, 500], abs=0.1)


def test_neighbours_are_those_of_scikit_learn():
    features, _, _ = clusters()
    trusted = NearestNeighbors(n_neighbors=3, metric="cosine").fit(features)
    distances, _ = trusted.kneighbors(features[:7] + 1)
    np.testing.assert_allclose(novelty.neighbour_distance(features[:7] + 1, features, 3), distances.mean(axis=1), atol=1e-5)


def test_mahalanobis_is_that_of_the_covariance_it_stands_for():
    features, labels, strange = clusters()
    model = NoveltyModel.fit(features, labels, 4)
    asked = np.concatenate([features[:5], strange[None]]).astype(np.float32)
    unit = asked / np.linalg.norm(asked, axis=1, keepdims=True)

    def naive(row, mean, directions, precision):
        inverse = precision * np.eye(len(mean)) - directions.astype(float) @ directions.T.astype(float)  # of the covariance
        assert np.linalg.eigvalsh(inverse).min() > 0
        return (row - mean) @ inverse @ (row - mean)

    inner = [min(naive(row, mean, model.within, float(model.precisions[0])) for mean in model.prototypes.T) for row in unit]
    outer = [naive(row, model.centre, model.overall, float(model.precisions[1])) for row in unit]
    plain, relative = model.mahalanobis(asked)
    np.testing.assert_allclose(plain, inner, rtol=1e-3)
    np.testing.assert_allclose(relative, np.subtract(inner, outer), rtol=1e-3, atol=0.05)


def test_every_score_is_higher_for_what_is_unlike_anything_trained():
    features, labels, strange = clusters()
    model = NoveltyModel.fit(features, labels, 4)
    random = np.random.default_rng(1)
    unknown = model.scores((strange + random.normal(0, 0.5, (20, 10))).astype(np.float32))
    known = model.scores((features[::3] + random.normal(0, 0.1, features[::3].shape)).astype(np.float32))
    assert unknown.shape == (20, len(novelty.SCORES))
    assert (unknown.mean(axis=0) > known.mean(axis=0)).all()


def test_features_of_one_photo_a_class_or_that_never_vary_give_finite_scores():
    same = np.ones((3, 6), np.float32)
    for features in (np.eye(3, 6, dtype=np.float32), same):
        model = NoveltyModel.fit(features, np.arange(3), 3)
        assert np.isfinite(model.scores(features)).all()
    assert np.isfinite(model.scores(np.zeros((1, 6), np.float32))).all()
