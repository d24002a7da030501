"""Where a person gets pretrained weights that Keras does not download: who publishes which file, under which licence."""

import dataclasses

KEYWORDS = ("imagenet", "auto", "none")  # what `--weights` takes beside a file (weights.load_pretrained)


@dataclasses.dataclass(frozen=True)
class WeightSource:
    """A file of weights for a network of the catalogue.

    Attributes:
      url: of the publisher's file, or of the page that has it.
      megabytes: about.
      licence: as the publisher states it; ImageNet's own terms are for research.
      checksum: as the publisher gives it, by its kind; "" = the publisher gives none that we know.
      note: what is to be done before it can be imported, if anything.
    """

    url: str
    megabytes: int
    licence: str
    checksum: str = ""
    note: str = ""


_PICKLE = "a pickle: convert it to .safetensors first"

SOURCES: dict[str, tuple[WeightSource, ...]] = {  # network -> the best first
    "vgg19": (
        WeightSource("http://www.robots.ox.ac.uk/~vgg/software/very_deep/caffe/VGG_ILSVRC_19_layers.caffemodel", 575, "CC BY 4.0"),
        WeightSource("https://download.pytorch.org/models/vgg19-dcbb9e9d.pth", 575, "BSD-3-Clause", "SHA-256 begins with dcbb9e9d", _PICKLE),
    ),
    "resnet18": (
        WeightSource("https://huggingface.co/timm/resnet18.tv_in1k (model.safetensors)", 47, "BSD-3-Clause"),
        WeightSource("https://download.pytorch.org/models/resnet18-f37072fd.pth", 47, "BSD-3-Clause", "SHA-256 begins with f37072fd", _PICKLE),
    ),
    "alexnet": (
        WeightSource("http://dl.caffe.berkeleyvision.org/bvlc_alexnet.caffemodel", 244, "unrestricted use", "SHA-1 9116a64c0fbe4459d18f4bb6b56d647b63920377"),
    ),
    "alexnet_torchvision": (
        WeightSource("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", 244, "BSD-3-Clause", "SHA-256 begins with 7be5be79", _PICKLE),
    ),
    "squeezenet": (
        WeightSource("https://github.com/forresti/SqueezeNet (SqueezeNet_v1.1/squeezenet_v1.1.caffemodel)", 5, "BSD"),
        WeightSource("https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth", 5, "BSD-3-Clause", "SHA-256 begins with b8a52dc0", _PICKLE),
    ),
}
