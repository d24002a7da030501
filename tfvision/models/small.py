"""A small residual network for training from scratch in minutes on a processor."""

import keras


def build_small(image_size: int | None, width: int = 24) -> keras.Model:
    """Three stages of one residual block each, in the manner of ResNet, narrow and shallow.

    Args:
      image_size: pixels a side.
      width: channels of the stem; each stage doubles them.

    Returns:
      keras.Model: float [batch, size, size, 3] in [-1, 1] -> [batch, size / 16, size / 16, 8 * width].
    """
    inputs = keras.Input((image_size, image_size, 3))
    # A first layer at full size: fine texture is rectified before it is pooled, else it would be aliased.
    x = _convolution(inputs, width // 2, strides=1, name="stem1")  # 80 x 80 x 12, for 80 px
    x = _convolution(x, width, strides=2, name="stem2")  # 40 x 40 x 24
    x = _block(x, 2 * width, strides=2, name="stage1")  # 20 x 20 x 48
    x = _block(x, 4 * width, strides=2, name="stage2")  # 10 x 10 x 96
    x = _block(x, 8 * width, strides=2, name="stage3")  # 5 x 5 x 192
    return keras.Model(inputs, x, name="small")


def _block(x, channels, strides, name):
    shortcut = _normalised(keras.layers.Conv2D(channels, 1, strides, use_bias=False, name=f"{name}_shortcut")(x), f"{name}_shortcut")
    x = _convolution(x, channels, strides, f"{name}_conv1")
    x = _normalised(keras.layers.Conv2D(channels, 3, padding="same", use_bias=False, name=f"{name}_conv2")(x), f"{name}_conv2")
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.Activation("relu", name=f"{name}_out")(x)


def _convolution(x, channels, strides, name):
    x = keras.layers.Conv2D(channels, 3, strides, padding="same", use_bias=False, name=name)(x)
    return keras.layers.Activation("relu", name=f"{name}_relu")(_normalised(x, name))


def _normalised(x, name):
    return keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
