"""Layers that Keras lacks or has differently on the two stacks."""

import sys
from typing import Any, TypeAlias

import keras
import tensorflow as tf

CAFFE_MEAN = (103.939, 116.779, 123.68)  # blue, green, red
TORCHVISION_MEAN = (0.485, 0.456, 0.406)  # red, green, blue, of a range of 1
TORCHVISION_DEVIATION = (0.229, 0.224, 0.225)

Shape: TypeAlias = tuple[Any, ...] | tf.TensorShape  # of int, and None where a size varies; Keras 2 gives the second


@keras.utils.register_keras_serializable("tfvision")
class CountedDropout(keras.layers.Layer):
    """Dropout whose masks are decided by a seed and a counter that is saved with the weights.

    Keras's own layer hides its random state on Keras 2, so that a resumed run would draw other masks.

    Args:
      rate: share of values set to zero in training; the others are divided by 1 - rate.
      seed: int.
    """

    def __init__(self, rate: float, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed

    def build(self, input_shape: Shape) -> None:
        self.calls = self.add_weight(name="calls", shape=(), dtype="int32", initializer="zeros", trainable=False, aggregation=_first_replica())
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training or not self.rate:
            return inputs
        calls = tf.convert_to_tensor(self.calls)
        self.calls.assign(calls + 1)
        # Replicas share the counter, so each adds its own number to the seed.
        replica = tf.distribute.get_replica_context()
        number = replica.replica_id_in_sync_group if replica else 0
        draws = tf.random.stateless_uniform(tf.shape(inputs), [self.seed + 7919 * number, calls])
        kept = tf.cast(draws >= self.rate, inputs.dtype)
        return inputs * kept / (1 - self.rate)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@keras.utils.register_keras_serializable("tfvision")
class CaffePixels(keras.layers.Layer):
    """RGB in 0-255 -> BGR minus ImageNet's mean colour, as the VGG networks were trained."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs[..., ::-1] - tf.constant(CAFFE_MEAN, inputs.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


@keras.utils.register_keras_serializable("tfvision")
class TorchvisionPixels(keras.layers.Layer):
    """RGB in 0-255 -> each colour with ImageNet's mean 0 and deviation 1, as torchvision's networks were trained."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        deviation = tf.constant(TORCHVISION_DEVIATION, inputs.dtype)
        return inputs / (255 * deviation) - tf.constant(TORCHVISION_MEAN, inputs.dtype) / deviation

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


@keras.utils.register_keras_serializable("tfvision")
class ApplicationPixels(keras.layers.Layer):
    """RGB in 0-255 -> what a network of keras.applications was trained on, by the preprocess_input beside it.

    Args:
      application: the network's function in keras.applications, e.g. "ResNet50V2".
    """

    def __init__(self, application: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.application = application

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return sys.modules[getattr(keras.applications, self.application).__module__].preprocess_input(inputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "application": self.application}


@keras.utils.register_keras_serializable("tfvision")
class GroupedConvolution(keras.layers.Layer):
    """A convolution whose channels are parted into groups that do not see each other, stride 1, padded to the same size.

    Keras's own cannot be trained on a processor. Source: Krizhevsky and others, section 3.5.

    Args:
      filters: channels out, of all groups together.
      kernel_size: pixels a side.
      groups: 1 = an ordinary convolution.
    """

    def __init__(self, filters: int, kernel_size: int, groups: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.groups = groups

    def build(self, input_shape: Shape) -> None:
        shape = (self.kernel_size, self.kernel_size, input_shape[-1] // self.groups, self.filters)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer="he_normal")
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        kernels = tf.split(tf.cast(self.kernel, inputs.dtype), self.groups, axis=-1)
        parts = tf.split(inputs, self.groups, axis=-1)
        seen = [tf.nn.conv2d(part, kernel, 1, "SAME") for part, kernel in zip(parts, kernels, strict=True)]
        return tf.concat(seen, axis=-1) + tf.cast(self.bias, inputs.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:3], self.filters)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "kernel_size": self.kernel_size, "groups": self.groups}


@keras.utils.register_keras_serializable("tfvision")
class LocalResponseNormalization(keras.layers.Layer):
    """Each response divided by (1 + 1e-4 / 5 * the squares of five neighbouring channels) ** 0.75, as Caffe's AlexNet does."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        # TensorFlow's own knows no bfloat16 on a processor.
        normalised = tf.nn.local_response_normalization(tf.cast(inputs, tf.float32), depth_radius=2, bias=1.0, alpha=1e-4 / 5, beta=0.75)
        return tf.cast(normalised, inputs.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


@keras.utils.register_keras_serializable("tfvision")
class InstanceNormalization(keras.layers.Layer):
    """Each channel of each image: mean 0 and variance 1 over its positions, then a learnt scale and offset.

    Keras has none of its own on either stack. Source: Ulyanov, Vedaldi and Lempitsky, "Instance normalization".

    Args:
      epsilon: added to the variance.
    """

    def __init__(self, epsilon: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape: Shape) -> None:
        self.gamma = self.add_weight(name="gamma", shape=(input_shape[-1],), initializer="ones")
        self.beta = self.add_weight(name="beta", shape=(input_shape[-1],), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        # The sums over a large image leave the range of 16 bits.
        mean, variance = tf.nn.moments(tf.cast(inputs, tf.float32), axes=[1, 2], keepdims=True)
        scale = tf.math.rsqrt(variance + self.epsilon) * tf.cast(self.gamma, tf.float32)
        offset = tf.cast(self.beta, tf.float32) - mean * scale
        return inputs * tf.cast(scale, inputs.dtype) + tf.cast(offset, inputs.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon}


@keras.utils.register_keras_serializable("tfvision")
class ReflectionPadding(keras.layers.Layer):
    """Mirrors `size` pixels over each edge, without the edge itself; images must be larger than that."""

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.pad(inputs, [[0, 0], [self.size, self.size], [self.size, self.size], [0, 0]], "REFLECT")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        height, width = (side and side + 2 * self.size for side in input_shape[1:3])
        return (input_shape[0], height, width, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}


@keras.utils.register_keras_serializable("tfvision")
class EdgePadding(keras.layers.Layer):
    """Repeats the outermost pixels, one more on each side."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.pad(inputs, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], *(side and side + 2 for side in input_shape[1:3]), input_shape[3])


@keras.utils.register_keras_serializable("tfvision")
class Doubled(keras.layers.Layer):
    """Images at twice the size, each pixel as a square of four: Keras 3's own layer cannot become TFLite at any size."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        size = tf.shape(inputs)
        larger = tf.image.resize(inputs, 2 * size[1:3], "nearest")
        return tf.ensure_shape(larger, [None, None, None, inputs.shape[-1]])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        height, width = (side and 2 * side for side in input_shape[1:3])
        return (input_shape[0], height, width, input_shape[3])


@keras.utils.register_keras_serializable("tfvision")
class GrowToMultiple(keras.layers.Layer):
    """Mirrors images [batch, height, width, channels] to the right and below, as often as it takes.

    Args:
      multiple: of which both sides become the next one.
      least: pixels that both sides have at least.
    """

    def __init__(self, multiple: int, least: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.multiple = multiple
        self.least = least

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        for axis in (1, 2):
            inputs = tf.gather(inputs, self._sources(tf.shape(inputs)[axis]), axis=axis)
        return inputs

    def _sources(self, size: tf.Tensor) -> tf.Tensor:
        """0, 1, ..., size - 1, size - 2, ...: where each pixel of the grown side comes from."""
        grown = -(-tf.maximum(size, self.least) // self.multiple) * self.multiple
        period = tf.maximum(2 * (size - 1), 1)
        position = tf.range(grown) % period
        return tf.where(position < size, position, period - position)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], None, None, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "multiple": self.multiple, "least": self.least}


@keras.utils.register_keras_serializable("tfvision")
class CropLike(keras.layers.Layer):
    """[images, other images of no larger size] -> the first, cut at the right and below to the size of the second."""

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        images, other = inputs
        size = tf.shape(other)
        return images[:, : size[1], : size[2]]

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        images, other = input_shape
        return (*other[:3], images[3])


def _first_replica() -> str | tf.VariableAggregation:
    """The name of "only the first replica's value counts", which the two Keras versions spell differently."""
    if keras.__version__.startswith("2."):
        return tf.VariableAggregation.ONLY_FIRST_REPLICA
    return "only_first_replica"
