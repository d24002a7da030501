"""Whether probabilities mean what they say: softmax with a temperature, its fit, and reliability bins.

Source: Guo et al., On Calibration of Modern Neural Networks (ICML 2017), which divides logits by one number
fitted on held-out images and measures the expected calibration error over 15 bins.
"""

from typing import Any

import numpy as np

from tfvision.errors import DataError

TEMPERATURE_LIMITS = (0.05, 20.0)
CHUNK_VALUES = 1 << 20  # values worked on at a time: temporaries stay in the cache


def softmax(logits: np.ndarray, temperature: float = 1.0, out: np.ndarray | None = None) -> np.ndarray:
    """The softmax of logits / temperature: float32 [batch, classes], stable for any finite logits.

    Args:
      logits: float [batch, classes]; -inf gives 0, as long as one logit a row is finite.
      out: an array for the result, `logits` itself included.
    """
    out = np.empty(np.shape(logits), np.float32) if out is None else out
    np.subtract(logits, np.max(logits, axis=1, keepdims=True), out=out)
    out *= np.float32(1 / temperature)
    np.exp(out, out=out)
    out /= out.sum(axis=1, keepdims=True)
    return out


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature that minimises the negative log-likelihood of the labels, by bounded search on its log.

    Args:
      logits: float32 [images, classes], held out from training (some thousand images are plenty).
      labels: int [images].
    Returns:
      a float from 0.05 to 20; above 1 the network was too sure of itself.
    Raises:
      DataError: there is no image.
    """
    from scipy.optimize import minimize_scalar

    logits, labels = np.asarray(logits), np.asarray(labels)
    if not len(labels):
        raise DataError("there is no photo to fit the temperature on: hold some photos out of training")
    result = minimize_scalar(
        lambda log_temperature: negative_log_likelihood(logits, labels, np.exp(log_temperature)),
        bounds=np.log(TEMPERATURE_LIMITS),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(np.exp(result.x))


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> float:
    """The mean of -log softmax(logits / temperature)[label], in nats; computed in chunks of images."""
    rows = max(1, CHUNK_VALUES // logits.shape[1])
    total = 0.0
    for start in range(0, len(labels), rows):
        chunk = logits[start : start + rows]
        shifted = (chunk - chunk.max(axis=1, keepdims=True)) * np.float32(1 / temperature)
        true = shifted[np.arange(len(chunk)), labels[start : start + rows]].astype(np.float64)
        total += float((np.log(np.exp(shifted).sum(axis=1, dtype=np.float64)) - true).sum())
    return total / len(labels)


class Reliability:
    """Equal-width bins of top-1 confidence, filled batch by batch: how often is it right when it says so?"""

    def __init__(self, bins: int = 15) -> None:
        self.bins = bins
        self.count = np.zeros(bins, np.int64)
        self.confidence_sum = np.zeros(bins)
        self.right_sum = np.zeros(bins)

    def update(self, confidence: np.ndarray, is_right: np.ndarray) -> None:
        """Adds a batch: float [batch] from 0 to 1 and bool [batch]. A bin holds its upper edge, not its lower."""
        confidence = np.asarray(confidence, np.float64)
        bin_of = np.clip(np.ceil(confidence * self.bins).astype(int) - 1, 0, self.bins - 1)
        self.count += np.bincount(bin_of, minlength=self.bins)
        self.confidence_sum += np.bincount(bin_of, confidence, minlength=self.bins)
        self.right_sum += np.bincount(bin_of, np.asarray(is_right, np.float64), minlength=self.bins)

    def error(self) -> float:
        """The expected calibration error: mean of |accuracy - confidence| over bins, weighted by count; 0 to 1."""
        return float(np.abs(self.right_sum - self.confidence_sum).sum() / max(self.count.sum(), 1))

    def table(self) -> list[dict[str, Any]]:
        """A list, one dict a bin: "low", "high", "count", mean "confidence" and "accuracy" (None if empty)."""
        return [
            {
                "low": index / self.bins,
                "high": (index + 1) / self.bins,
                "count": count,
                "confidence": float(self.confidence_sum[index]) / count if count else None,
                "accuracy": float(self.right_sum[index]) / count if count else None,
            }
            for index, count in enumerate(self.count.tolist())
        ]


def fit_sigmoid(scores: np.ndarray, is_positive: np.ndarray) -> tuple[float, float]:
    """Platt's slope and offset: 1 / (1 + exp(-(slope * score + offset))) is the probability of a positive.

    Source: Platt, Probabilistic Outputs for Support Vector Machines (1999), whose targets are drawn in from 0 and 1 by the
    numbers of both kinds, so that scores that part them wholly still have finite slopes.

    Args:
      scores: float [images], of images that the scores' machine was not fitted on.
      is_positive: bool [images].
    Returns:
      (slope, offset), floats.
    Raises:
      DataError: there is no image of one kind.
    """
    from scipy.optimize import minimize

    scores, is_positive = np.asarray(scores, np.float64), np.asarray(is_positive, bool)
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    if not positives or not negatives:
        raise DataError(f"a probability needs scores of both kinds to be fitted on, got {positives} positive and {negatives} negative")
    targets = np.where(is_positive, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    unit = max(float(np.abs(scores).max()), 1e-12)  # scores of any size are as easy to fit

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        logits = parameters[0] * scores / unit + parameters[1]
        errors = 1 / (1 + np.exp(-np.clip(logits, -700, 700))) - targets
        return float((np.logaddexp(0, logits) - targets * logits).sum()), np.array([(errors * scores / unit).sum(), errors.sum()])

    start = [0.0, np.log((positives + 1) / (negatives + 1))]
    slope, offset = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None), (None, None)]).x
    return float(slope / unit), float(offset)
