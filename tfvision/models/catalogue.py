"""The catalogue: name -> how to build a network, its input size, preprocessing, taps, weights, and where views meet."""

import dataclasses
import functools
from collections.abc import Callable

import keras

from tfvision.errors import RecipeError
from tfvision.models.alexnet import build_alexnet, build_alexnet_torchvision
from tfvision.models.layers import ApplicationPixels
from tfvision.models.resnet18 import build_resnet18
from tfvision.models.siamese import HEIGHT, build_siamese
from tfvision.models.small import build_small
from tfvision.models.squeezenet import build_squeezenet
from tfvision.models.vgg19 import build_vgg19_base, slim_filters


@dataclasses.dataclass(frozen=True)
class Network:
    """A convolutional network without its top.

    Attributes:
      build: image size in pixels (None = any) -> keras.Model on float [batch, size, size, 3], randomly initialised.
      image_size, least_image_size: what it was made for, and what keeps every stage, in pixels.
      taps: name -> layer, shallow to deep; the last one is what is used where none is named.
      stem_end: model -> name of the layer up to which views share all weights.
      branch_end: name of the layer up to which each view has a branch of its own.
      pixels: what it was trained on: "tf" (RGB in [-1, 1], by scale and offset below), or what its first layer makes
        of 0-255: "caffe" (BGR minus a mean colour), "torchvision" (RGB, standardised), "grey" (brightness in [0, 1]),
        "own" (see keras.applications).
      application: name in keras.applications of the function that downloads ImageNet weights, if any. All weights
        are also found as NAME.weights.h5, which `tfvision weights import` writes.
    """

    build: Callable[[int | None], keras.Model]
    image_size: int
    least_image_size: int
    taps: dict[str, str]
    stem_end: Callable[[keras.Model], str]
    branch_end: str
    pixels: str = "tf"
    application: str | None = None

    @property
    def scale(self) -> float:
        """Factor of a pixel value of 0-255 as it enters."""
        return 1 / 127.5 if self.pixels == "tf" else 1.0

    @property
    def offset(self) -> float:
        """What is added to the scaled value."""
        return -1.0 if self.pixels == "tf" else 0.0


def _application(name: str) -> Callable[[int | None], keras.Model]:
    def build(image_size: int | None) -> keras.Model:
        return getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(image_size, image_size, 3))

    return build


def _layers(*names: str) -> dict[str, str]:
    """Taps that are called like their layers."""
    return {name: name for name in names}


def _second_max_pool(model: keras.Model) -> str:
    """InceptionResNetV2's stem: five convolutions, up to the second max-pool (Keras auto-names these layers)."""
    pools = [layer.name for layer in model.layers if isinstance(layer, keras.layers.MaxPooling2D)]
    return pools[1]


NETWORKS = {
    "inception_resnet_v2": Network(
        _application("InceptionResNetV2"),
        image_size=299,
        least_image_size=139,
        taps=_layers("mixed_5b", "block35_10_ac", "mixed_6a", "block17_20_ac", "mixed_7a", "conv_7b_ac"),
        stem_end=_second_max_pool,
        branch_end="block17_20_ac",
        application="InceptionResNetV2",
    ),
    # The stem ends at 1/8 of the input, as above; branches reach to the last bottleneck, since views that meet
    # earlier lose what ImageNet taught the layers behind.
    "mobilenet_v2": Network(
        _application("MobileNetV2"),
        image_size=224,
        least_image_size=96,
        taps=_layers("block_2_add", "block_5_add", "block_9_add", "block_12_add", "block_15_add", "out_relu"),
        stem_end=lambda model: "block_5_add",
        branch_end="block_16_project_BN",
        application="MobileNetV2",
    ),
    "vgg19": Network(
        build_vgg19_base,
        image_size=224,
        least_image_size=32,
        taps=_layers("conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_1", "conv5_4", "pool5"),
        stem_end=lambda model: "pool3",
        branch_end="pool4",
        pixels="caffe",
        application="VGG19",
    ),
    "vgg19_slim": Network(
        functools.partial(build_vgg19_base, filters=slim_filters(), last="conv5_1", name="vgg19_slim"),
        image_size=224,
        least_image_size=32,
        taps=_layers("conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_1", "pool5"),
        stem_end=lambda model: "pool3",
        branch_end="pool4",
        pixels="caffe",
    ),
    "resnet18": Network(
        build_resnet18,
        image_size=224,
        least_image_size=32,
        # conv5 before its last ReLU, gap behind it (READINGS, section 5): their means would coincide.
        taps={"conv2": "conv2_2_out", "conv3": "conv3_2_out", "conv4": "conv4_2_out", "conv5": "conv5_2_sum", "gap": "conv5_2_out"},
        stem_end=lambda model: "conv3_2_out",
        branch_end="conv5_1_out",
        pixels="torchvision",
    ),
    "alexnet": Network(
        build_alexnet,
        image_size=227,
        least_image_size=227,
        taps={"conv5": "conv5_relu", "fc6": "fc6_relu", "fc7": "fc7_relu"},
        stem_end=lambda model: "pool1",
        branch_end="pool5",
        pixels="caffe",
    ),
    "alexnet_torchvision": Network(
        build_alexnet_torchvision,
        image_size=224,
        least_image_size=223,
        taps={"conv5": "conv5_relu", "fc6": "fc6_relu", "fc7": "fc7_relu"},
        stem_end=lambda model: "pool1",
        branch_end="pool5",
        pixels="torchvision",
    ),
    "squeezenet": Network(
        build_squeezenet,
        image_size=227,
        least_image_size=32,
        taps=_layers("fire3", "fire5", "fire6", "fire7", "fire8", "fire9"),
        stem_end=lambda model: "pool3",
        branch_end="pool5",
        pixels="caffe",
    ),
    "siamese": Network(  # the tattoo paper's, for the contrastive loss
        build_siamese,
        image_size=HEIGHT,
        least_image_size=HEIGHT,
        taps={"ip1": "ip1_relu", "ip2": "ip2", "feat": "feat"},
        stem_end=lambda model: "pool1",
        branch_end="pool2",
        pixels="grey",
    ),
    "siamese_triplet": Network(
        functools.partial(build_siamese, embedding=256, has_feat=False, name="siamese_triplet"),
        image_size=HEIGHT,
        least_image_size=HEIGHT,
        taps={"ip1": "ip1_relu", "ip2": "ip2"},
        stem_end=lambda model: "pool1",
        branch_end="pool2",
        pixels="grey",
    ),
    "small": Network(
        build_small,
        image_size=80,
        least_image_size=32,
        taps={"stage1": "stage1_out", "stage2": "stage2_out", "stage3": "stage3_out"},
        stem_end=lambda model: "stem2_relu",
        branch_end="stage2_out",
    ),
}


def get_network(name: str) -> Network:
    """The network called `name`: an entry of NETWORKS, or one of keras.applications, as "resnet50v2".

    Raises:
      RecipeError: there is none; the known ones are listed.
    """
    if name in NETWORKS:
        return NETWORKS[name]
    function = _applications().get(name.lower().replace("_", ""))
    if function is None:
        raise RecipeError(f"network must be one of {', '.join(NETWORKS)}, or one of keras.applications (resnet50v2, say), got {name!r}")
    return _foreign(function)


_PIXELS, _FEATURES = "pixels", "features"
_LEAST_SIZE_PX = {"Xception": 71, "InceptionV3": 75}
_SIZE_PX = {  # that ImageNet's weights were trained at, where it is not 224
    **dict.fromkeys(("Xception", "InceptionV3"), 299),
    "NASNetLarge": 331,
    **{f"EfficientNetB{number}": size for number, size in enumerate((224, 240, 260, 300, 380, 456, 528, 600))},
    **{f"EfficientNetV2{kind}": size for kind, size in {"B1": 240, "B2": 260, "B3": 300, "S": 384, "M": 480, "L": 480}.items()},
}


def _applications() -> dict[str, str]:
    """Names as users may write them -> those of the functions of keras.applications."""
    return {name.lower(): name for name in dir(keras.applications) if name[0].isupper()}


def _foreign(function: str) -> Network:
    """A network of keras.applications, whose own preprocessing is its first layer; views share nothing but that."""
    return Network(
        functools.partial(_build_foreign, function),
        image_size=_SIZE_PX.get(function, 224),
        least_image_size=_LEAST_SIZE_PX.get(function, 32),
        taps={_FEATURES: _FEATURES},
        stem_end=lambda model: _PIXELS,
        branch_end="mapped",
        pixels="own",
        application=function,
    )


def _build_foreign(function: str, image_size: int | None) -> keras.Model:
    inputs = keras.Input((image_size, image_size, 3), name="image")
    pixels = ApplicationPixels(function, name=_PIXELS)(inputs)
    base = getattr(keras.applications, function)(weights=None, include_top=False, input_tensor=pixels)
    # Views are merged between these two, which change nothing.
    x = keras.layers.Activation("linear", name="mapped")(base.output)
    return keras.Model(inputs, keras.layers.Activation("linear", name=_FEATURES)(x), name=function.lower())
