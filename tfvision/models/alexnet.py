"""AlexNet, as it was published and as torchvision has it; fully connected layers are convolutions.

Sources: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", sections 3.3 to
3.5 (grouped convolutions, local response normalisation), with the constants of Caffe's bvlc_alexnet, whose weights there are;
Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (torchvision's: neither of them, other widths).
"""

from collections.abc import Sequence

import keras

from tfvision.models.layers import CaffePixels, GroupedConvolution, LocalResponseNormalization, TorchvisionPixels

WIDTHS = (96, 256, 384, 384, 256)  # channels of conv1 to conv5
ONE_WEIRD_TRICK_WIDTHS = (64, 192, 384, 256, 256)
_FULLY_CONNECTED = 4096
_GROUPED = ("conv2", "conv4", "conv5")


def build_alexnet(image_size: int | None, widths: Sequence[int] = WIDTHS, connected: int = _FULLY_CONNECTED) -> keras.Model:
    """Builds AlexNet without its classifier, randomly initialised.

    Args:
      image_size: pixels a side, 227 at least; None = any.
      widths: channels of conv1 to conv5, even ones.
      connected: channels of fc6 and fc7.

    Returns:
      keras.Model: float RGB 0-255 [batch, size, size, 3] -> fc7 behind its ReLU, [batch, 1, 1, 4096] for 227 px; larger
      images give more positions, each what the fully connected layers say of a window of 227 px.
    """
    return _build(image_size, widths, connected, CaffePixels, is_original=True, name="alexnet")


def build_alexnet_torchvision(image_size: int | None, widths: Sequence[int] = ONE_WEIRD_TRICK_WIDTHS, connected: int = _FULLY_CONNECTED) -> keras.Model:
    """Builds torchvision's AlexNet, as `build_alexnet`: no groups, no normalisation, and for 224 px."""
    return _build(image_size, widths, connected, TorchvisionPixels, is_original=False, name="alexnet_torchvision")


def _build(image_size, widths, connected, pixels, is_original, name):
    inputs = keras.Input((image_size, image_size, 3), name="image")
    x = pixels(name="pixels")(inputs)
    if not is_original:
        x = keras.layers.ZeroPadding2D(2, name="conv1_pad")(x)
    x = _rectified(keras.layers.Conv2D(widths[0], 11, 4, kernel_initializer="he_normal", name="conv1")(x), "conv1")  # 55 x 55 x 96
    x = _pooled(_normalised(x, "norm1", is_original), "pool1")  # 27 x 27 x 96
    x = _convolution(x, widths[1], 5, "conv2", is_original)  # 27 x 27 x 256
    x = _pooled(_normalised(x, "norm2", is_original), "pool2")  # 13 x 13 x 256
    for number in (3, 4, 5):  # 13 x 13 x 384, 13 x 13 x 384, 13 x 13 x 256
        x = _convolution(x, widths[number - 1], 3, f"conv{number}", is_original)
    x = _pooled(x, "pool5")  # 6 x 6 x 256
    x = _rectified(keras.layers.Conv2D(connected, 6, kernel_initializer="he_normal", name="fc6")(x), "fc6")  # 1 x 1 x 4096
    x = _rectified(keras.layers.Conv2D(connected, 1, kernel_initializer="he_normal", name="fc7")(x), "fc7")  # 1 x 1 x 4096
    return keras.Model(inputs, x, name=name)


def _convolution(x, channels, size, name, is_original):
    groups = 2 if is_original and name in _GROUPED else 1
    return _rectified(GroupedConvolution(channels, size, groups, name=name)(x), name)


def _normalised(x, name, is_original):
    return LocalResponseNormalization(name=name)(x) if is_original else x


def _rectified(x, name):
    return keras.layers.Activation("relu", name=f"{name}_relu")(x)


def _pooled(x, name):
    return keras.layers.MaxPooling2D(3, 2, name=name)(x)
