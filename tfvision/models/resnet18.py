"""ResNet18, with the taps of Feature Tuning.

Sources: He, Zhang, Ren and Sun, "Deep residual learning", table 1; READINGS, section 5. Paddings are torchvision's, so
that its weights fit.
"""

import keras

from tfvision.models.layers import TorchvisionPixels

STAGES = {"conv2": 1, "conv3": 2, "conv4": 2, "conv5": 2}  # stride; each has two blocks and twice the channels of the last


def build_resnet18(image_size: int | None, width: int = 64) -> keras.Model:
    """Builds ResNet18 without its top, randomly initialised.

    Args:
      image_size: pixels a side; None = any.
      width: channels of conv1 and conv2.

    Returns:
      keras.Model: float RGB 0-255 [batch, size, size, 3] -> [batch, size / 32, size / 32, 8 * width]. A block's sum is
      "conv5_2_sum", and "conv5_2_out" behind the ReLU.
    """
    inputs = keras.Input((image_size, image_size, 3), name="image")
    x = TorchvisionPixels(name="pixels")(inputs)
    x = _convolution(x, width, 7, 2, "conv1")  # 112 x 112 x 64, for 224 px
    x = keras.layers.Activation("relu", name="conv1_relu")(x)
    x = keras.layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = keras.layers.MaxPooling2D(3, 2, name="pool1")(x)  # 56 x 56 x 64
    for stage, (name, strides) in enumerate(STAGES.items()):  # 56 x 56 x 64, 28 x 28 x 128, 14 x 14 x 256, 7 x 7 x 512
        x = _block(x, width << stage, strides, f"{name}_1")
        x = _block(x, width << stage, 1, f"{name}_2")
    return keras.Model(inputs, x, name="resnet18")


def _block(x, channels, strides, name):
    shortcut = x if strides == 1 else _convolution(x, channels, 1, strides, f"{name}_shortcut")
    y = _convolution(x, channels, 3, strides, f"{name}_a")
    y = keras.layers.Activation("relu", name=f"{name}_a_relu")(y)
    y = _convolution(y, channels, 3, 1, f"{name}_b")
    y = keras.layers.Add(name=f"{name}_sum")([y, shortcut])
    return keras.layers.Activation("relu", name=f"{name}_out")(y)


def _convolution(x, channels, size, strides, name):
    if size > 1:
        x = keras.layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
    x = keras.layers.Conv2D(channels, size, strides, use_bias=False, kernel_initializer="he_normal", name=name)(x)
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
