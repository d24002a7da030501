"""How unlike anything trained a photo is: scores of its features beside a network's last layer.

A linear head is refitted on the features of training photos, so that it can be refitted without a species as well, whose photos then
stand for the unknown. Four scores go into the chance that a photo is of no trained species (unknown_species.py), all higher for
the less like; none needs a training photo once it is fitted. Nearest neighbours, which do, are here for comparison.

Sources: Hendrycks and Gimpel (2017), the largest probability; Liu et al. (2020), energy; Sun et al. (2022), neighbours; Lee et al. (2018) and
Ren et al. (2021), Mahalanobis distances, plain and relative to that of all classes together.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

HEAD_PENALTY = 1e-3  # of half the squared weights, beside the mean loss
HEAD_ITERATIONS = 60
SCORES = ("log_odds", "energy", "prototype", "relative_mahalanobis")  # those of `NoveltyModel.scores`, in order
DIRECTIONS = 128  # of features whose variance is told apart; in all others it is one number

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class NoveltyModel:
    """What the scores are computed from; all arrays are float32 and small: nothing of single photos.

    Attributes:
      head: [channels + 1, classes], the refitted linear layer, its bias last.
      prototypes: [channels, classes], the means of the classes' normalised features.
      centre: [channels], the mean of all normalised features.
      within, overall: [channels, directions], directions scaled by what the distance gains where features vary along them: within classes, and overall.
      precisions: [2], of the features along no direction, within and overall.
    """

    head: np.ndarray
    prototypes: np.ndarray
    centre: np.ndarray
    within: np.ndarray
    overall: np.ndarray
    precisions: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, labels: np.ndarray, classes: int) -> "NoveltyModel":
        """Of the features of training photos.

        Args:
          features: float [photos, channels].
          labels: int [photos], each of the classes at least once.
        """
        unit = normalised(features)
        prototypes = np.stack([unit[labels == number].mean(axis=0) for number in range(classes)])
        centre = unit.mean(axis=0)
        within, inner = _directions(unit - prototypes[labels], max(1, len(unit) - classes))
        overall, outer = _directions(unit - centre, len(unit))
        parts = (fit_head(features, labels, classes), prototypes.T, centre, within, overall, np.array([inner, outer]))
        return cls(*(np.asarray(part, np.float32) for part in parts))

    def arrays(self) -> Arrays:
        """As `write_arrays` takes them."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def scores(self, features: np.ndarray) -> np.ndarray:
        """float64 [photos, len(SCORES)]: in float64, so that a graph has the same. NoveltyGraph does this in TensorFlow's operations."""
        logits = self.logits(features)
        unit = normalised(np.asarray(features, np.float64))
        similarity = unit @ (self.prototypes / np.linalg.norm(self.prototypes.astype(np.float64), axis=0))
        _, relative = self.mahalanobis(features)
        return np.stack([-log_odds(logits), energy(logits), 1 - similarity.max(axis=1), relative], axis=1)

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Of the refitted head: float64 [photos, classes]."""
        head = self.head.astype(np.float64)
        return np.asarray(features, np.float64) @ head[:-1] + head[-1]

    def mahalanobis(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances to the nearest class, plain and relative: float64 [photos] each."""
        unit = normalised(np.asarray(features, np.float64))
        inner = _squared_distances(unit, self.prototypes.T, self.within, self.precisions[0]).min(axis=1)
        outer = _squared_distances(unit, self.centre[None], self.overall, self.precisions[1])[:, 0]
        return inner, inner - outer


def fit_head(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """A linear layer by penalised maximum likelihood: float32 [channels + 1, classes], the bias last."""
    from scipy.optimize import minimize

    ones = np.ones((len(features), 1), np.float32)
    inputs = np.concatenate([np.asarray(features, np.float32), ones], axis=1)
    rows, shape = np.arange(len(inputs)), (inputs.shape[1], classes)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        weights = weights.reshape(shape).astype(np.float32)
        logits = inputs @ weights
        logits -= logits.max(axis=1, keepdims=True)
        probabilities = np.exp(logits)
        sums = probabilities.sum(axis=1, keepdims=True)
        mean = float((np.log(sums[:, 0]) - logits[rows, labels]).mean())
        probabilities /= sums
        probabilities[rows, labels] -= 1
        gradient = inputs.T @ probabilities / np.float32(len(inputs))
        gradient[:-1] += np.float32(HEAD_PENALTY) * weights[:-1]
        return mean + HEAD_PENALTY / 2 * float((weights[:-1] ** 2).sum()), gradient.astype(np.float64).ravel()

    fitted = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": HEAD_ITERATIONS})
    return fitted.x.reshape(shape).astype(np.float32)


def log_odds(logits: np.ndarray) -> np.ndarray:
    """log p / (1 - p) of the likeliest class's probability: float64 [photos]. It orders photos as the probability does, and never saturates."""
    from scipy.special import logsumexp

    logits = np.asarray(logits, np.float64)
    rest = logits.copy()
    rest[np.arange(len(rest)), rest.argmax(axis=1)] = -np.inf
    return logits.max(axis=1) - logsumexp(rest, axis=1)


def energy(logits: np.ndarray) -> np.ndarray:
    """-log of the sum of the exponentials: float64 [photos]."""
    from scipy.special import logsumexp

    return -logsumexp(np.asarray(logits, np.float64), axis=1)


def neighbour_distance(features: np.ndarray, trained: np.ndarray, neighbours: int = 5) -> np.ndarray:
    """The mean cosine distance to so many nearest training photos: float [photos]."""
    similarity = normalised(features) @ normalised(trained).T
    neighbours = min(neighbours, len(trained))
    return 1 - np.partition(similarity, -neighbours, axis=1)[:, -neighbours:].mean(axis=1)


def normalised(features: np.ndarray) -> np.ndarray:
    """Each row divided by its length."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def _directions(residuals: np.ndarray, freedom: int) -> tuple[np.ndarray, float]:
    """The main directions of some residuals and the precision across them: probabilistic PCA, which a few photos suffice for.

    |x|^2 * precision - |x @ directions|^2 is the squared Mahalanobis distance.
    """
    from sklearn.utils.extmath import randomized_svd

    residuals = np.asarray(residuals, np.float32)
    kept = max(1, min(DIRECTIONS, len(residuals) // 2, residuals.shape[1] - 1))
    _, singular, directions = randomized_svd(residuals, kept, n_iter=2, random_state=0)
    variances = np.maximum(singular.astype(np.float64) ** 2 / freedom, 1e-12)
    left = max(0.0, float((residuals.astype(np.float64) ** 2).sum()) / freedom - float(variances.sum()))
    rest = max(left / max(1, residuals.shape[1] - kept), 1e-3 * float(variances.mean()))
    gains = np.maximum(0, 1 / rest - 1 / variances)
    return directions.T * np.sqrt(gains), 1 / rest


def _squared_distances(unit: np.ndarray, means: np.ndarray, directions: np.ndarray, precision: float) -> np.ndarray:
    """float64 [photos, means]."""
    means, directions = means.astype(np.float64), directions.astype(np.float64)
    along, of_means = unit @ directions, means @ directions
    straight = (unit**2).sum(axis=1)[:, None] + (means**2).sum(axis=1) - 2 * unit @ means.T
    return float(precision) * straight - ((along**2).sum(axis=1)[:, None] + (of_means**2).sum(axis=1) - 2 * along @ of_means.T)
