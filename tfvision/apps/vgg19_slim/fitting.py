"""Fitting vgg19_slim to its teachers layer by layer, by least squares: what the training starts from.

Each layer sees what the student's own layers before it answer, so that it makes good what they miss, and is asked for the
teacher's responses. Where a teacher answers 0 its ReLU hid a value that may have been anything below: there the fit asks for no
more than that, in rounds (a censored regression). A factored layer is the best of its rank.
Sources: Zhang, Zou, He and Sun, "Accelerating very deep convolutional networks for classification and detection", sections
2.2 and 2.3; Izenman, "Reduced-rank regression for the multivariate linear model".
"""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tfvision.apps.vgg19_slim.teachers import Teacher
from tfvision.models.vgg19 import PERCEPTUAL_LAYERS, Convolutions, Filters, block_of

_POSITIONS = 96  # of each photo, drawn anew for each layer
_RIDGE, _RIDGE_OF_FEW = 1e-5, 1e-2  # of the mean variance of the inputs; the latter times the square of inputs per position
_BATCH = 16  # photos


def fit_layers(
    photos: np.ndarray, pixels: tf.Tensor, filters: Mapping[str, Filters], teachers: list[Teacher], rounds: int, seed: int, on_layer: Callable[[], object]
) -> Convolutions:
    """Fits the first layers, up to one that no teacher answers filter by filter.

    Args:
      photos: uint8 [count, size, size, 3].
      pixels: float32 of the same shape: what the first layer sees of them.
      filters: of the student.
      teachers: the first that answers a layer filter by filter teaches it.
      rounds: of the censored regression.
      seed: of the positions.
      on_layer: called without arguments after each layer.

    Returns:
      Convolutions.
    """
    taught = _taught(teachers)
    places = _places(taught, photos.shape, seed)
    wanted = {layer: answers for teacher in teachers for layer, answers in _wanted(teacher, photos, places).items() if taught.get(layer) is teacher}
    x, fitted, block = np.asarray(pixels, np.float32), {}, 1
    for layer in taught:
        if block_of(layer) != block:
            x, block = tf.nn.max_pool2d(x, 2, 2, "VALID").numpy(), block_of(layer)
        fitted[layer] = fit_layer(_patches(x, *places[layer]), wanted[layer], filters[layer].rank, rounds)
        x = np.concatenate([_answer(x[start : start + _BATCH], fitted[layer]) for start in range(0, len(x), _BATCH)])
        on_layer()
    return fitted


def fit_layer(patches: np.ndarray, wanted: np.ndarray, rank: int, rounds: int) -> tuple[np.ndarray, ...]:
    """The layer that answers `wanted` where it sees `patches`, as of models.vgg19.Convolutions.

    Args:
      patches: float32 [positions, 9, in], rows of a 3 x 3 neighbourhood.
      wanted: float32 [positions, filters], behind a ReLU.
      rank: of the filters; 0 = as many as there are.
      rounds: of the censored regression.
    """
    channels = patches.shape[2]
    x = patches.reshape(len(patches), -1)
    mean = x.mean(axis=0)
    x = x - mean
    covariance = x.T @ x / len(x)
    ridge = _RIDGE + _RIDGE_OF_FEW * (x.shape[1] / len(x)) ** 2
    covariance[np.diag_indices_from(covariance)] += ridge * covariance.trace() / len(covariance)
    inverse = np.linalg.inv(covariance.astype(np.float64)).astype(np.float32)
    z, answers = wanted, np.zeros_like(wanted)  # z: what lies behind the ReLU, as far as is known
    for number in range(rounds):
        middle = z.mean(axis=0)
        basis, mixing = _factors(inverse @ (x.T @ (z - middle) / len(x)), covariance, rank)
        before, answers = answers, x @ basis @ mixing + middle
        ahead = answers + number / (number + 3) * (answers - before) if number else answers  # Nesterov's momentum
        z = np.where(wanted > 0, wanted, np.minimum(ahead, 0))
    bias = middle - mean @ basis @ mixing
    kernels = [basis @ mixing] if not rank else [basis, mixing]
    return (kernels[0].reshape(3, 3, channels, -1), *(kernel[None, None] for kernel in kernels[1:]), bias)


def _factors(weights, covariance, rank):
    """Weights [in, filters] as [in, rank] and [rank, filters], whose answers to inputs of that covariance differ least."""
    if not rank:
        return weights, np.eye(weights.shape[1], dtype=weights.dtype)
    _, directions = np.linalg.eigh(weights.T @ covariance @ weights)
    main = directions[:, -rank:]
    return weights @ main, main.T


def _taught(teachers):
    """{layer: the first teacher that answers it filter by filter}, as far as there is one."""
    taught = {}
    for layer in PERCEPTUAL_LAYERS:
        teacher = next((teacher for teacher in teachers if layer in teacher.direct), None)
        if teacher is None:
            break
        taught[layer] = teacher
    return taught


def _places(layers, shape, seed):
    """{layer: rows and columns, int [photos, positions] each}, of its responses."""
    random, places = np.random.default_rng(seed), {}
    for layer in layers:
        height, width = (side >> (block_of(layer) - 1) for side in shape[1:3])
        drawn = np.stack([random.permutation(height * width)[:_POSITIONS] for _ in range(shape[0])])
        places[layer] = np.divmod(drawn, width)
    return places


def _wanted(teacher, photos, places):
    """{layer: float32 [photos * positions, filters]}: a teacher's responses at the places."""
    found = {layer: [] for layer in teacher.direct if layer in places}
    for start in range(0, len(photos), _BATCH):
        part = slice(start, start + _BATCH)
        responses = teacher.model(tf.cast(photos[part], tf.float32), training=False)
        for layer, answers in found.items():
            rows, columns = (side[part] for side in places[layer])
            answers.append(responses[layer].numpy()[np.arange(len(rows))[:, None], rows, columns])
    return {layer: np.concatenate(answers).reshape(-1, answers[0].shape[-1]) for layer, answers in found.items()}


def _patches(x, rows, columns):
    """float32 [photos * positions, 9, channels]: the neighbourhoods, zero beyond the edge."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    photo = np.arange(len(x))[:, None]
    found = np.stack([padded[photo, rows + row, columns + column] for row in range(3) for column in range(3)], axis=2)
    return found.reshape(-1, 9, x.shape[-1])


def _answer(x, arrays):
    *kernels, bias = arrays
    for kernel in kernels:
        x = tf.nn.conv2d(x, kernel, 1, "SAME")
    return tf.nn.relu(x + bias).numpy()
