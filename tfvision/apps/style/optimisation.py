"""How a picture descends: L-BFGS (SciPy's) or Adam (Keras's), in legs after which all is saved.

A leg of L-BFGS begins with a fresh memory of curvature. So the picture at its end is the optimiser's whole state, and a
run that was interrupted goes on to the very picture that it would have reached.
"""

import dataclasses
import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tfvision.apps.style.memory import lbfgs_pairs
from tfvision.apps.style.objective import Evaluation
from tfvision.apps.style.presets import Preset
from tfvision.errors import RecipeError

LEG_ITERATIONS = 50
_JUDGED_ITERATIONS = 10


@dataclasses.dataclass
class Descent:
    """Where a minimisation stands.

    Attributes:
      image: float32 [height, width, 3], on 0-255 but not clipped to it.
      iteration: done at this scale.
      evaluations: of loss and gradient, at this scale.
      losses: total loss after each iteration.
      last: Evaluation of the image; None before the first.
      is_finished: whether the loss no longer falls.
    """

    image: np.ndarray
    iteration: int = 0
    evaluations: int = 0
    losses: list[float] = dataclasses.field(default_factory=list)
    last: Evaluation | None = None
    is_finished: bool = False

    def record(self, evaluation: Evaluation, image: np.ndarray, tolerance: float) -> None:
        """Counts an iteration that ended at `image`, and judges whether it is worth going on. Raises RecipeError where a loss is not finite."""
        check_losses(evaluation)
        self.image, self.last = image, evaluation
        self.iteration += 1
        self.losses.append(evaluation.total)
        if tolerance and len(self.losses) > _JUDGED_ITERATIONS:
            before = self.losses[-1 - _JUDGED_ITERATIONS]
            self.is_finished = before - evaluation.total < tolerance * abs(before)


def check_losses(evaluation: Evaluation) -> None:
    """Raises RecipeError where a loss or its gradient is not finite: what descends from there is no picture."""
    parts = {"content loss": evaluation.content, "style loss": evaluation.style, "total loss": evaluation.total, "gradient": evaluation.gradient.sum()}
    for name, value in parts.items():
        if not math.isfinite(value):
            raise RecipeError(f"the {name} became {value}, so no picture is written: take smaller weights, or another --optimizer")


class Lbfgs:
    """Legs of SciPy's L-BFGS-B, without bounds."""

    variables: tuple[tf.Variable, ...] = ()  # beside the image: each leg begins anew

    def __init__(self, preset: Preset, shape: tuple[int, ...]):
        self._tolerance = preset.tolerance
        self._pairs = lbfgs_pairs(math.prod(shape))

    def run_leg(self, evaluate: Callable[[np.ndarray], Evaluation], descent: Descent, iterations: int, on_iteration: Callable[[], None]) -> None:
        """Goes on with `descent`, which is changed, by at most `iterations`."""
        from scipy.optimize import minimize

        shape, last = descent.image.shape, None

        def function(values):
            nonlocal last
            last = evaluate(values.reshape(shape).astype(np.float32))
            descent.evaluations += 1
            return last.total, last.gradient.ravel().astype(np.float64)

        def callback(intermediate_result):
            descent.record(last, intermediate_result.x.reshape(shape).astype(np.float32), self._tolerance)
            on_iteration()
            if descent.is_finished:
                raise StopIteration

        before = descent.iteration
        options = {"maxiter": iterations, "maxfun": 20 * iterations, "maxcor": self._pairs, "ftol": 0, "gtol": 0}
        minimize(function, descent.image.ravel().astype(np.float64), jac=True, method="L-BFGS-B", callback=callback, options=options)
        descent.is_finished |= descent.iteration == before  # no step lowers the loss any further in float32


class Adam:
    """Legs of Adam; its moments are kept."""

    def __init__(self, preset: Preset, shape: tuple[int, ...]):
        self._tolerance = preset.tolerance
        self._image = tf.Variable(tf.zeros(shape))
        self._optimizer = keras.optimizers.Adam(preset.learning_rate)
        self._optimizer.build([self._image])
        self.variables = tuple(self._optimizer.variables)

    def run_leg(self, evaluate: Callable[[np.ndarray], Evaluation], descent: Descent, iterations: int, on_iteration: Callable[[], None]) -> None:
        """Goes on with `descent`, which is changed, by at most `iterations`."""
        self._image.assign(descent.image)
        for _ in range(iterations):
            evaluation = evaluate(descent.image)
            self._optimizer.apply_gradients([(tf.constant(evaluation.gradient), self._image)])
            descent.evaluations += 1
            descent.record(evaluation, self._image.numpy(), self._tolerance)
            on_iteration()
            if descent.is_finished:
                return


OPTIMIZERS = {"lbfgs": Lbfgs, "adam": Adam}
