"""Where in a picture a network finds what makes it similar to another: Grad-CAM, with a similarity as its score.

Source: Selvaraju et al., "Grad-CAM: Visual explanations from deep networks via gradient-based localization" (2017), Eqs. 1 and 2.
The score there is a class's; here it is the inner product of the picture's vector with a target, the vector of a query or the picture's
own. Lengths by which vectors are divided count as constants: the cosine of a picture with itself is at its highest, its gradient is zero,
and no map would come of it.
"""

import functools
import typing
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tensorflow as tf

from tfvision.errors import RecipeError
from tfvision.features.extractor import Extractor
from tfvision.features.grad_cam import enlarged, in_shares, weighted_sum
from tfvision.features.whitening import Whitening
from tfvision.models.pooling import normalise

_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")
_ATTENDING = ("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum")
_LENGTHS = ("Rsqrt", "Sqrt")
_KEPT_SHAPES = 2  # of images, whose graphs are kept

Look = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


class SimilarityMaps:
    """Makes maps of pictures as one extractor sees them: at its largest scale, not mirrored.

    Args:
      extractor: what makes the vectors.
      whitening: what is done to them before they are compared.
    """

    def __init__(self, extractor: Extractor, whitening: Whitening | None = None) -> None:
        self._extractor, self._whitening = extractor, whitening
        self._look = functools.lru_cache(_KEPT_SHAPES)(self._traced)

    def map(self, image: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Where in a picture its last maps speak for a target; of layers with positions these are the layers' own.

        Args:
          image: uint8 RGB [height, width, 3] of any size.
          target: float32 [dimension], whitened where there is a whitening.

        Returns:
          float32 [h, w] in [0, 1], over the whole picture: ReLU of the sum over channels of responses weighted by their mean gradients,
          of several layers added, in shares of its maximum; all 0 where nothing speaks for the target.

        Raises:
          RecipeError: the network has no convolution before its vectors, or none that can be had.
        """
        box = self._extractor.network.view_box
        if box is None:
            raise RecipeError(f"{self._extractor.recipe.model} is an export, which keeps its layers to itself: take the run that it was made from")
        seen = self._extractor.at_largest(image[None])
        look = self._look(seen.shape[1:3])
        return _in_photo(look(tf.constant(seen), tf.constant(target, tf.float32))[0].numpy(), box)

    def _traced(self, shape: tuple[int, int]) -> Look:
        extractor = self._extractor
        see = _view_of(extractor, shape)

        def look(images: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
            responses, maps = see(images)
            vectors = extractor.vectors_of(responses)
            if self._whitening:
                vectors = normalise((vectors - self._whitening.mean) @ self._whitening.projection)
            found = list(maps.values()) or _last_maps(responses.values(), extractor.recipe.model)
            lengths = [operation.outputs[0] for operation in vectors.graph.get_operations() if operation.type in _LENGTHS]
            gradients = tf.gradients(tf.reduce_sum(vectors * target), found, stop_gradients=lengths)
            return in_shares(_added([_speaking(*pair) for pair in zip(found, gradients, strict=True) if pair[1] is not None], extractor.recipe.model))

        width = extractor.dimension if self._whitening is None else self._whitening.projection.shape[1]
        signature = [tf.TensorSpec([1, *shape, 3], tf.uint8), tf.TensorSpec([width], tf.float32)]
        return tf.function(look, autograph=False, input_signature=signature).get_concrete_function()


def _speaking(responses: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """What the positions of a layer add to the score, a share of the area each: float32 [batch, height, width]."""
    responses, gradients = tf.cast(responses, tf.float32), tf.cast(gradients, tf.float32)
    return weighted_sum(responses, gradients) * float(responses.shape[1] * responses.shape[2])


def _added(maps: Sequence[tf.Tensor], model: str) -> tf.Tensor:
    """Maps of several layers, at the size of the largest."""
    if not maps:
        raise RecipeError(f"no layer of {model} with positions leads to its vectors: Grad-CAM has nothing to show")
    size = max((tuple(one.shape[1:3]) for one in maps), key=np.prod)
    return tf.add_n([tf.image.resize(one[..., None], size)[..., 0] for one in maps])


def _in_photo(heat: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """The map of a part of a photo as one of the whole, 0 around it."""
    top, left, height, width = box
    if (height, width) == (1, 1):
        return heat
    scale = -(-224 // max(heat.shape))  # fine enough that the part's edges lie where they are
    part = enlarged(heat, (heat.shape[0] * scale, heat.shape[1] * scale))
    whole = np.zeros((round(part.shape[0] / height), round(part.shape[1] / width)), np.float32)
    y, x = round(top * whole.shape[0]), round(left * whole.shape[1])
    whole[y : y + part.shape[0], x : x + part.shape[1]] = part[: whole.shape[0] - y, : whole.shape[1] - x]
    return whole


def _view_of(extractor: Extractor, shape: tuple[int, int]) -> Callable[[tf.Tensor], tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]]:
    """The network's view of one picture, its layers in sight."""
    network = extractor.network
    responses = _written_out(network.responses, shape) if network.is_saved else network.responses
    return network.view or (lambda images: (responses(images), {}))


def _written_out(responses: Callable[[tf.Tensor], dict[str, tf.Tensor]], shape: tuple[int, int]) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """The same, without the functions of a SavedModel, in which its layers are hidden, and with its weights as constants."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    concrete = tf.function(responses, autograph=False).get_concrete_function(tf.TensorSpec([1, *shape, 3], tf.uint8))
    frozen = convert_variables_to_constants_v2(concrete)

    def written_out(images: tf.Tensor) -> dict[str, tf.Tensor]:
        names, taken = [tensor.name for tensor in frozen.outputs], {frozen.inputs[0].name: images}
        outputs = tf.graph_util.import_graph_def(frozen.graph.as_graph_def(), taken, names, name="written_out")
        return typing.cast(dict[str, tf.Tensor], tf.nest.pack_sequence_as(concrete.structured_outputs, outputs))

    return written_out


def _last_maps(responses: Iterable[tf.Tensor], model: str) -> list[tf.Tensor]:
    """What has positions as it is; of what has none the maps behind the last convolution that it is computed from; each once."""
    found = [one if _positions(one) else _behind_last_convolution(one, model) for one in responses]
    return list({one.name: one for one in found}.values())


def _behind_last_convolution(vectors: tf.Tensor, model: str) -> tf.Tensor:
    """The last tensor with the positions of the last convolution with positions: behind what normalises and activates it."""
    depths = _depths(vectors.op)
    convolutions = [operation for operation in depths if operation.type in _CONVOLUTIONS and _positions(operation.outputs[0])]
    if not convolutions:
        raise RecipeError(f"{model} has no convolution before its vectors: Grad-CAM has nothing to show")
    last = max(convolutions, key=depths.__getitem__)
    behind, positions = {last}, _positions(last.outputs[0])
    for operation in sorted(depths, key=depths.__getitem__):
        if any(taken.op in behind for taken in operation.inputs):
            behind.add(operation)
    if any(operation.type in _ATTENDING for operation in behind):
        raise RecipeError(
            f"behind the last convolution of {model} all parts of a picture attend to each other (a transformer): Grad-CAM cannot tell them apart"
        )
    fitting = [output for operation in behind for output in operation.outputs if _positions(output) == positions]
    return max(fitting, key=lambda output: depths[output.op])


def _positions(tensor: tf.Tensor) -> tuple[int, int] | None:
    """Height and width of maps [batch, height, width, channels], channels last; None of what is none or has one position."""
    if tensor.shape.rank != 4 or not tensor.dtype.is_floating or None in tuple(tensor.shape[1:]):
        return None
    height, width = tensor.shape[1:3]
    return (height, width) if height * width > 1 else None


def _depths(end: tf.Operation) -> dict[tf.Operation, int]:
    """{operation: how many lead to it, at most, in a row} of all that lead to one, itself included."""
    depths: dict[tf.Operation, int] = {}
    waiting = [end]
    while waiting:
        operation = waiting[-1]
        missing = [taken.op for taken in operation.inputs if taken.op not in depths]
        if missing:
            waiting += missing
            continue
        waiting.pop()
        depths[operation] = 1 + max((depths[taken.op] for taken in operation.inputs), default=0)
    return depths
