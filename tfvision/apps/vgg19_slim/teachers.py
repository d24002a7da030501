"""Teachers of vgg19_slim, and what the student is told of their responses.

A layer of a teacher that has as many filters as the student's is matched filter by filter; where it has more, a few layers are
matched through a learnt 1x1 map. Each filter of a teacher is first divided by the deviation of its responses, so that
every filter counts alike and a mean square error is the unexplained share of the variance.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvision.errors import WeightsError, in_one_line
from tfvision.models.convolutions import Convolutions, read_convolutions
from tfvision.models.layers import CAFFE_MEAN
from tfvision.models.normalisation import guarded, scale
from tfvision.models.vgg19 import PERCEPTUAL_LAYERS, Filters, build_vgg19, filters_of, set_convolutions


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A frozen network and the student's outputs that are compared with it.

    Attributes:
      name: of its file, for people.
      model: keras.Model: RGB 0-255 -> {layer: responses of deviation 1}.
      compared: {layer of the teacher: output of the student}.
    """

    name: str
    model: keras.Model
    compared: dict[str, str]

    @property
    def direct(self) -> list[str]:
        """The layers that are matched filter by filter."""
        return [layer for layer, output in self.compared.items() if layer == output]


def load_teacher(path: str | Path, student: Mapping[str, Filters], mapped: Sequence[str], photos: Iterable[np.ndarray]) -> Teacher:
    """Reads a teacher and scales it.

    Args:
      path: what `read_convolutions` reads, or an npz of the small VGG19 (`read_small`).
      student: its filters.
      mapped: layers to match through maps where the teacher has more filters.
      photos: iterable of uint8 [batch, size, size, 3], on which deviations are measured.

    Raises:
      WeightsError: it cannot be read, or has none of the layers.
    """
    path = Path(path)
    convolutions = read_small(path) if _is_small(path) else read_convolutions(path)[0]
    name = path.name.split(".")[0]
    compared = _compared(name, filters_of(convolutions), student, mapped)
    if not compared:
        raise WeightsError(f"{path} has no layer with as many filters as the student, nor more in one of the layers {', '.join(mapped)}")
    convolutions = {layer: convolutions[layer] for layer in PERCEPTUAL_LAYERS[: PERCEPTUAL_LAYERS.index([*compared][-1]) + 1]}
    model = _frozen(scale(convolutions, _deviations(convolutions, photos)), [*compared])
    return Teacher(name, model, compared)


def _compared(name, teacher, student, mapped):
    compared = {}
    for layer in (layer for layer in PERCEPTUAL_LAYERS if layer in teacher):
        if teacher[layer].count == student[layer].count:
            compared[layer] = layer
        elif teacher[layer].count > student[layer].count and layer in mapped:
            compared[layer] = map_name(name, layer)
    return compared


def map_name(teacher: str, layer: str) -> str:
    """The student's output that is compared with a layer of a wider teacher."""
    return f"{layer}_as_{teacher}"


def read_small(path: str | Path) -> Convolutions:
    """Reads a small VGG19 in PyTorch's layout: conv0 (1x1, from RGB in [0, 1]), conv11 to conv51.

    Its first two convolutions become one on BGR minus ImageNet's mean.

    Raises:
      WeightsError: it is damaged, or holds other layers.
    """
    try:
        return _read_small(path)
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds
        raise WeightsError(f"{path} is damaged or no small VGG19 ({in_one_line(error)}): get the file again") from error


def _read_small(path):
    with np.load(path, allow_pickle=False) as stored:
        convolutions = {}
        for layer in PERCEPTUAL_LAYERS:
            name = layer.replace("_", "")
            convolutions[layer] = (stored[f"{name}.weight"].transpose(2, 3, 1, 0), stored[f"{name}.bias"])
        colour, shift = stored["conv0.weight"][:, :, 0, 0].T, stored["conv0.bias"]  # [rgb, out], [out]
    kernel, bias = convolutions["conv1_1"]
    colour, mean = colour[::-1] / 255, np.array(CAFFE_MEAN)
    folded = np.einsum("pc,hwco->hwpo", colour, kernel)
    bias = bias + np.einsum("c,hwco->o", mean @ colour + shift, kernel)
    return {**convolutions, "conv1_1": (folded.astype(np.float32), bias.astype(np.float32))}


def _is_small(path):
    if path.suffix != ".npz" or not path.is_file():
        return False
    try:
        with np.load(path, allow_pickle=False) as stored:
            return "conv0.weight" in stored.files
    except Exception:  # as above; who reads it next tells
        return False


def _deviations(convolutions, photos):
    """{layer: float32 [channels]}: standard deviations of the responses, none near zero."""
    layers = list(convolutions)
    model = _frozen(convolutions, layers)
    moments = tf.function(
        lambda images: {layer: (tf.reduce_mean(x, (0, 1, 2)), tf.reduce_mean(x * x, (0, 1, 2))) for layer, x in model(tf.cast(images, tf.float32)).items()},
        autograph=False,
    )
    batches = [moments(images) for images in photos]
    deviations = {}
    for layer in layers:
        mean, square = np.mean([[part.numpy() for part in batch[layer]] for batch in batches], axis=0, dtype=np.float64)
        deviations[layer] = guarded(np.sqrt(np.maximum(square - mean**2, 0)))
    return deviations


def _frozen(convolutions, layers):
    model = build_vgg19(filters_of(convolutions), "max", tuple(layers))
    set_convolutions(model, convolutions)
    model.trainable = False
    return model
