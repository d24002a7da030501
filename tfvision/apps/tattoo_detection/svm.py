"""The linear SVM on a detector's features.

Source: tattoo-recognition, section 2.1, whose VLFeat minimises lambda / 2 * ||w||^2 + the mean hinge loss; scikit-learn's
C times the sum of the losses is the same for C = 1 / (lambda n). Both count the bias as one weight more.
"""

import warnings

import numpy as np


def fit_svm(features: np.ndarray, is_tattoo: np.ndarray, svm_lambda: float, iterations: int, seed: int = 0) -> tuple[np.ndarray, float]:
    """Fits a linear SVM.

    Args:
      features: float32 [photos, dimension].
      is_tattoo: bool [photos], of both kinds.
      svm_lambda, iterations: DetectorRecipe's.

    Returns:
      (weights float32 [dimension], bias float): features @ weights + bias is above 0 for a tattoo.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    machine = LinearSVC(C=1 / (svm_lambda * len(features)), loss="hinge", dual=True, max_iter=iterations, random_state=seed % 2**31)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the paper's stops at its 10^4 passes too
        machine.fit(np.asarray(features, np.float64), np.asarray(is_tattoo))
    return machine.coef_[0].astype(np.float32), float(machine.intercept_[0])


def svm_scores(features: np.ndarray, weights: np.ndarray, bias: float) -> np.ndarray:
    """Float32 [photos]: the signed margins, above 0 for a tattoo."""
    return (np.asarray(features, np.float32) @ weights + np.float32(bias)).astype(np.float32)
