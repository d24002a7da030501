"""vgg19_slim while it learns: the network, the student that its teachers are compared with, and what it leaves."""

import typing
from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from tfvision.models.layers import CAFFE_MEAN
from tfvision.models.vgg19 import PERCEPTUAL_LAYERS, Convolutions, build_vgg19, convolutions_of
from tfvision.trained.vgg19_slim_run import Vgg19SlimRecipe

_CONTRAST = 1 / 32  # of the student's pixels while it learns


class Compared(typing.Protocol):
    """A teacher, as its student sees it: RGB 0-255 -> {layer: responses}, and {layer: output of the student}."""

    @property
    def model(self) -> keras.Model: ...
    @property
    def compared(self) -> Mapping[str, str]: ...


def build_student(recipe: Vgg19SlimRecipe, teachers: Sequence[Compared]) -> tuple[keras.Model, keras.Model]:
    """The network that is trained, and the same with a map for each layer of a wider teacher.

    Returns:
      Two models that share weights: pixels as `student_pixels` gives them -> {layer: responses}, and
      {output: responses} with all outputs that teachers are compared with.
    """
    network = build_vgg19(recipe.filters, "max", PERCEPTUAL_LAYERS, name="vgg19_slim")
    outputs = dict(network.output)
    for teacher in teachers:
        for layer, output in teacher.compared.items():
            if output not in outputs:
                channels = teacher.model.output[layer].shape[-1]
                # Zeros: a random map would first pull the network about.
                outputs[output] = keras.layers.Conv2D(channels, 1, kernel_initializer="zeros", name=output)(network.output[layer])
    return network, keras.Model(network.input, outputs, name="student")


def student_pixels(images: tf.Tensor) -> tf.Tensor:
    """Pixels of little contrast: Adam's steps are absolute, so first-layer weights must not be tiny."""
    mean = tf.constant(CAFFE_MEAN[::-1])
    return mean + (tf.cast(images, tf.float32) - mean) * _CONTRAST


def finished_convolutions(network: keras.Model) -> Convolutions:
    """The network's convolutions for pixels of full contrast."""
    convolutions = convolutions_of(network)
    first, *others = convolutions["conv1_1"]
    return {**convolutions, "conv1_1": (first * _CONTRAST, *others)}
