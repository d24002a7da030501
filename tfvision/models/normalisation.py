"""The normalised network: every filter answers with 1 on average, over images and positions.

Source: READINGS, section 3. Scaling a filter by a positive factor commutes with ReLU and with pooling, so the
next layer's kernel undoes it, and all that lies downstream keeps its meaning.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfvision.data.manifest import Manifest
from tfvision.data.pipeline import BrokenPhotos, ViewSettings, evaluation_batches
from tfvision.errors import DataError
from tfvision.models.vgg19 import Convolutions, block_of, build_vgg19, filters_of, set_convolutions

# Of its layer's mean response: a filter that answers less is scaled as if it answered so much. Brought to 1, a filter
# that fires at one position in a thousand would rule eq. 4, which grows with the fourth power.
LEAST_SHARE = 0.1


def normalise(
    convolutions: Convolutions, images: Iterable[np.ndarray], pooling: str = "avg", on_image: Callable[[], object] | None = None
) -> tuple[Convolutions, dict[str, np.ndarray]]:
    """Scales each filter so that its mean post-ReLU response over images and positions is 1; less for one that hardly answers.

    Args:
      convolutions: Convolutions.
      images: iterable of uint8 or float RGB 0-255 [height, width, 3], of any sizes.
      pooling: of the network that is measured, "avg" or "max".
      on_image: called without arguments after each image.

    Returns:
      The scaled convolutions, and {layer: float32 [out]}, the means by which filters were divided: the
      original's responses are the scaled network's times these.
    """
    means = mean_responses(convolutions, images, pooling, on_image)
    return scale(convolutions, means), means


def scale(convolutions: Convolutions, means: Mapping[str, np.ndarray]) -> Convolutions:
    """Divides each filter by its mean, and multiplies what the next layer takes from it."""
    scaled, previous = {}, np.ones(3, np.float32)
    for layer, (first, *others) in convolutions.items():
        *kernels, bias = first * previous[:, None], *others
        scaled[layer] = (*kernels[:-1], kernels[-1] / means[layer], bias / means[layer])
        previous = means[layer]
    return scaled


def unscale(convolutions: Convolutions, means: Mapping[str, np.ndarray]) -> Convolutions:
    """The convolutions before `scale`."""
    return scale(convolutions, {layer: 1 / mean for layer, mean in means.items()})


def mean_responses(
    convolutions: Convolutions, images: Iterable[np.ndarray], pooling: str = "avg", on_image: Callable[[], object] | None = None
) -> dict[str, np.ndarray]:
    """{layer: float32 [channels]}, means of the responses over images and positions, none near zero.

    Raises DataError where there is no image.
    """
    model = build_vgg19(filters_of(convolutions), pooling, tuple(convolutions))
    set_convolutions(model, convolutions)
    run = tf.function(
        lambda image: {layer: tf.reduce_sum(response, (0, 1, 2)) for layer, response in model(image).items()},
        autograph=False,
        input_signature=[tf.TensorSpec([1, None, None, 3], tf.float32)],
    )
    sums: dict[str, Any] = dict.fromkeys(convolutions, 0.0)
    positions = dict.fromkeys(convolutions, 0)
    for image in images:
        for layer, total in run(np.asarray(image, np.float32)[None]).items():
            sums[layer] = sums[layer] + total.numpy().astype(np.float64)
            positions[layer] += _positions(image.shape, layer)
        if on_image:
            on_image()
    if not all(positions.values()):
        raise DataError("no photo could be read, so no mean response is known: give photos that `tfvision stylize` reads")
    return {layer: guarded(sums[layer] / positions[layer]) for layer in convolutions}


def whole_photos(manifest: Manifest, size_px: int, broken: BrokenPhotos) -> Iterator[np.ndarray]:
    """The centres of photos, for `normalise`: uint8 [size, size, 3] each; broken ones are left out and recorded."""
    settings = ViewSettings(("whole",), size_px)
    for batch in evaluation_batches(manifest, np.zeros(len(manifest), np.int32), settings, 1, broken):
        if batch["weight"][0] > 0:
            yield batch["views"]["whole"][0].numpy()


def _positions(shape: tuple[int, ...], layer: str) -> int:
    halvings = block_of(layer) - 1
    return (shape[0] >> halvings) * (shape[1] >> halvings)


def guarded(size: np.ndarray) -> np.ndarray:
    """Sizes of a layer's responses, float [channels], none below the least share of their mean -> float32."""
    least = LEAST_SHARE * size.mean() if size.any() else 1.0
    return np.maximum(size, least).astype(np.float32)
