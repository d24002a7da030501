"""The catalogue: name -> how to build a network, its input size, scaling, and where views split and merge."""

import dataclasses
import functools
from collections.abc import Callable

import keras

from tfvision.errors import RecipeError
from tfvision.models.small import build_small
from tfvision.models.vgg19 import build_vgg19_base


@dataclasses.dataclass(frozen=True)
class Network:
    """A convolutional network without its top.

    Attributes:
      build: image size in pixels -> keras.Model on float [batch, size, size, 3], randomly initialised.
      image_size: the size that it was made for, in pixels.
      stem_end: model -> name of the layer up to which views share all weights.
      branch_end: name of the layer up to which each view has a branch of its own.
      scale, offset: a pixel value x in 0-255 enters as scale * x + offset.
      application: name in keras.applications of the function that downloads ImageNet weights, if any.
    """

    build: Callable[[int], keras.Model]
    image_size: int
    stem_end: Callable[[keras.Model], str]
    branch_end: str
    scale: float = 1 / 127.5
    offset: float = -1.0
    application: str | None = None


def _application(name):
    def build(image_size):
        return getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(image_size, image_size, 3))

    return build


def _second_max_pool(model):
    """InceptionResNetV2's stem: five convolutions, up to the second max-pool (Keras auto-names these layers)."""
    pools = [layer.name for layer in model.layers if isinstance(layer, keras.layers.MaxPooling2D)]
    return pools[1]


NETWORKS = {
    "inception_resnet_v2": Network(
        _application("InceptionResNetV2"), 299, _second_max_pool, "block17_20_ac", application="InceptionResNetV2"
    ),
    # The stem ends at 1/8 of the input, as above; branches reach to the last bottleneck, since views that meet
    # earlier lose what ImageNet taught the layers behind.
    "mobilenet_v2": Network(
        _application("MobileNetV2"), 224, lambda model: "block_5_add", "block_16_project_BN", application="MobileNetV2"
    ),
    # VGG's pixels are BGR minus a mean colour, which the network's first layer sees to.
    "vgg19": Network(build_vgg19_base, 224, lambda model: "pool3", "pool4", scale=1.0, offset=0.0, application="VGG19"),
    "vgg19_slim": Network(
        functools.partial(build_vgg19_base, width=16, last="conv5_1", name="vgg19_slim"),
        224,
        lambda model: "pool3",
        "pool4",
        scale=1.0,
        offset=0.0,
    ),
    "small": Network(build_small, 80, lambda model: "stem2_relu", "stage2_out"),
}


def get_network(name):
    """The network called `name`. Raises RecipeError that lists the known ones."""
    try:
        return NETWORKS[name]
    except KeyError:
        raise RecipeError(f"network must be one of {', '.join(NETWORKS)}, got {name!r}") from None
