"""A feed-forward network that paints any photo in one style.

Sources: Johnson, Alahi and Fei-Fei, "Perceptual losses for real-time style transfer and super-resolution" (the shape);
Ulyanov, Vedaldi and Lempitsky, "Instance normalization"; Odena et al., "Deconvolution and checkerboard artifacts"
(resize, then convolve). Narrower than Johnson's 32 channels, so that two cores paint 512 px in well under a second.
"""

import keras

from tfvision.models.layers import CropLike, Doubled, GrowToMultiple, InstanceNormalization, ReflectionPadding

_SMALLEST_PX = 16  # the photo is mirrored up to it: every padding below needs more pixels than it adds


def build_stylizer(width: int = 16, blocks: int = 5) -> keras.Model:
    """Builds the network, randomly initialised.

    Args:
      width: channels at full resolution; twice and four times as many below.
      blocks: residual blocks at a quarter of the resolution.

    Returns:
      keras.Model: uint8 RGB [batch, height, width, 3] of any size -> float32 in 0-255, the same shape.
    """
    photo = keras.Input((None, None, 3), dtype="uint8", name="photo")
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name="pixels")(photo)
    x = GrowToMultiple(4, _SMALLEST_PX, name="grown")(x)
    x = _convolution(x, width, 9, 1, "down1")  # h x w x 16
    x = _convolution(x, 2 * width, 3, 2, "down2")  # h/2 x w/2 x 32
    x = _convolution(x, 4 * width, 3, 2, "down3")  # h/4 x w/4 x 64
    for number in range(1, blocks + 1):
        x = _residual_block(x, f"block{number}")
    x = _upwards(x, 2 * width, "up1")  # h/2 x w/2 x 32
    x = _upwards(x, width, "up2")  # h x w x 16
    x = ReflectionPadding(1, name="colours_pad")(x)
    # Small, and learnt in small steps (Adam's are absolute): a wider kernel saturates before the network has learnt a stroke.
    x = keras.layers.Conv2D(3, 3, kernel_initializer=keras.initializers.RandomNormal(stddev=3e-2), name="colours")(x)  # h x w x 3
    x = CropLike(name="cropped")([x, photo])
    x = keras.layers.Activation("tanh", dtype="float32", name="bounded")(x)
    x = keras.layers.Rescaling(127.5, 127.5, dtype="float32", name="painted")(x)
    return keras.Model(photo, x, name="stylizer")


def _residual_block(x, name):
    channels = x.shape[-1]
    y = _convolution(x, channels, 3, 1, f"{name}_a")
    y = _convolution(y, channels, 3, 1, f"{name}_b", activation=None)
    return keras.layers.Add(name=f"{name}_sum")([x, y])


def _upwards(x, channels, name):
    x = Doubled(name=f"{name}_larger")(x)
    return _convolution(x, channels, 3, 1, name)


def _convolution(x, channels, size, strides, name, activation="relu"):
    x = ReflectionPadding(size // 2, name=f"{name}_pad")(x)
    x = keras.layers.Conv2D(channels, size, strides, use_bias=False, name=name)(x)
    x = InstanceNormalization(name=f"{name}_norm")(x)
    return keras.layers.Activation(activation, name=f"{name}_relu")(x) if activation else x
