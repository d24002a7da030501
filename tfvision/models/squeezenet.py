"""SqueezeNet 1.1.

Sources: Iandola and others, "SqueezeNet", figure 2; the authors' release 1.1 (forresti/SqueezeNet), which pools earlier.
"""

import keras

from tfvision.models.layers import CaffePixels

SQUEEZED = {2: 16, 3: 16, 4: 32, 5: 32, 6: 48, 7: 48, 8: 64, 9: 64}  # channels of each fire module's narrow layer
_POOLED_BEHIND = (3, 5)


def build_squeezenet(image_size: int | None) -> keras.Model:
    """Builds SqueezeNet 1.1 without conv10, its classifier, randomly initialised.

    Args:
      image_size: pixels a side; None = any.

    Returns:
      keras.Model: float RGB 0-255 [batch, size, size, 3] -> [batch, size // 16, size // 16, 512], about. Fire modules are
      "fire2" to "fire9".
    """
    inputs = keras.Input((image_size, image_size, 3), name="image")
    x = CaffePixels(name="pixels")(inputs)
    x = _convolution(x, 64, 3, "conv1", strides=2, padding="valid")  # 113 x 113 x 64, for 227 px
    x = keras.layers.MaxPooling2D(3, 2, name="pool1")(x)  # 56 x 56 x 64
    for number, squeezed in SQUEEZED.items():
        x = _fire(x, squeezed, f"fire{number}")  # 56 x 56 x 128, 27 x 27 x 256, 13 x 13 x 512
        if number in _POOLED_BEHIND:
            x = keras.layers.MaxPooling2D(3, 2, name=f"pool{number}")(x)
    return keras.Model(inputs, x, name="squeezenet")


def _fire(x, squeezed, name):
    x = _convolution(x, squeezed, 1, f"{name}_squeeze")
    wide = [_convolution(x, 4 * squeezed, size, f"{name}_expand{size}") for size in (1, 3)]
    return keras.layers.Concatenate(name=name)(wide)


def _convolution(x, channels, size, name, strides=1, padding="same"):
    return keras.layers.Conv2D(channels, size, strides, padding, activation="relu", kernel_initializer="he_normal", name=name)(x)
