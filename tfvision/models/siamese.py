"""The tower of the tattoo paper's Siamese network: one small network for both pictures of a pair.

Source: tattoo-recognition, figure 4 and table 2; it is Caffe's example for handwritten digits (READINGS, section 2).
"""

from typing import Any

import keras
import tensorflow as tf

HEIGHT, WIDTH = 56, 46  # pixels that the tower sees


def build_siamese(image_size: int | None, embedding: int = 10, has_feat: bool = True, name: str = "siamese") -> keras.Model:
    """Builds the tower, randomly initialised (Xavier).

    Args:
      image_size: pixels a side of what comes in; None = any. The tower sees 56 x 46 grey pixels of it.
      embedding: width of ip2: 10, and 256 for the triplet loss.
      has_feat: whether the 2 values come last on which the contrastive loss is computed.

    Returns:
      keras.Model: float RGB 0-255 [batch, size, size, 3] -> [batch, 1, 1, 2], or [batch, 1, 1, embedding] without feat.
    """
    inputs = keras.Input((image_size, image_size, 3), name="image")
    x = GreyPixels(HEIGHT, WIDTH, name="pixels")(inputs)  # 56 x 46 x 1
    x = keras.layers.MaxPooling2D(2, name="pool1")(_convolution(x, 20, 5, "conv1"))  # 52 x 42 x 20, 26 x 21 x 20
    x = keras.layers.MaxPooling2D(2, padding="same", name="pool2")(_convolution(x, 50, 5, "conv2"))  # 22 x 17 x 50, 11 x 9 x 50
    x = keras.layers.Activation("relu", name="ip1_relu")(_convolution(x, 500, (11, 9), "ip1"))  # 1 x 1 x 500
    x = _convolution(x, embedding, 1, "ip2")  # 1 x 1 x 10
    if has_feat:
        x = _convolution(x, 2, 1, "feat")  # 1 x 1 x 2
    return keras.Model(inputs, x, name=name)


def _convolution(x, channels, size, name):
    # Caffe's Xavier goes by what comes in alone, which is Keras's "lecun_uniform".
    return keras.layers.Conv2D(channels, size, kernel_initializer="lecun_uniform", name=name)(x)


@keras.utils.register_keras_serializable("tfvision")
class GreyPixels(keras.layers.Layer):
    """RGB 0-255 [batch, any, any, 3] -> brightness in [0, 1], [batch, height, width, 1], resized without aliasing.

    Args:
      height, width: in pixels.
    """

    def __init__(self, height: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.height = height
        self.width = width

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        grey = tf.image.rgb_to_grayscale(tf.cast(inputs, tf.float32) / 255.0)
        return tf.cast(tf.image.resize(grey, (self.height, self.width), antialias=True), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...] | tf.TensorShape) -> tuple[int | None, ...]:
        return (input_shape[0], self.height, self.width, 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "height": self.height, "width": self.width}
