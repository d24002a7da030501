"""A stylizer run as an Exportable: encoded photos in, encoded pictures out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvision.data.decoding import check_photo, decode_photo
from tfvision.data.graph_decoding import image_of_encoded, is_jpeg_encoded
from tfvision.data.views import as_pixels
from tfvision.export.exportable import Exportable, Signature
from tfvision.export.half import stored_network
from tfvision.export.model_card import source_name, training_facts
from tfvision.export.photo_signatures import PIXELS, PREPROCESSING, of_encoded, of_pixels
from tfvision.export.samples import sample_pixels
from tfvision.trained.stylizer_network import load_stylizer, paint
from tfvision.trained.stylizer_run import StylizerRun

MAX_PIXELS = 16_000_000  # of a served photo: the network holds some 500 bytes a pixel
JPEG_QUALITY = 95
# Grey levels, of pixels and of pictures: another order of summing may round a pixel differently, and where that changes
# a coefficient of a JPEG, it spreads. Half weights have 11 bits, which shows at the edges of strokes.
_TOLERANCES = {False: (1.0, 16.0), True: (24.0, 48.0)}


def make_exportable(run: str | Path, half: bool = False) -> Exportable:
    """Everything that `tfvision export` writes of a finished stylizer run.

    Args:
      run: folder.
      half: whether weights are stored in 16 bits.

    Returns:
      Exportable with the signatures "serving_default" and "tensor". Raises RunError.
    """
    trained = StylizerRun.open(run)
    model = load_stylizer(trained)

    @tf.function(autograph=False, input_signature=[{"pixels": PIXELS}])
    def network(inputs):
        return {"painted": model(inputs["pixels"], training=False)}

    @tf.function(autograph=False, input_signature=[{"pixels": PIXELS}])
    def core(inputs):
        return {"painted": model(inputs["pixels"], training=False) / 255.0}

    painter, variables = stored_network(network, model, half)
    return Exportable(
        name=trained.folder.name,
        signatures=_signatures(lambda pixels: as_pixels(painter({"pixels": pixels})["painted"]), half),
        variables=variables,
        assets={},
        reference=_Reference(model),
        preprocessing=_preprocessing(),
        facts=_facts(trained),
        core=core,
        core_samples={"pixels": sample_pixels()},
    )


def encode_like(pixels: tf.Tensor, original: tf.Tensor) -> tf.Tensor:
    """uint8 [height, width, 3] -> string: a JPEG where the original, a string, is one, else a PNG."""
    return tf.cond(
        is_jpeg_encoded(original),
        lambda: tf.io.encode_jpeg(pixels, "rgb", quality=JPEG_QUALITY, chroma_downsampling=False),
        lambda: tf.io.encode_png(pixels),
    )


def _signatures(paint_pixels: Callable[[tf.Tensor], tf.Tensor], half: bool) -> dict[str, Signature]:
    def paint_one(encoded):
        return encode_like(paint_pixels(image_of_encoded(encoded, MAX_PIXELS)[None])[0], encoded)

    def paint_each(image_bytes):
        # One at a time: photos differ in size, and each takes all cores and much memory.
        return {"image_bytes": tf.map_fn(paint_one, image_bytes, parallel_iterations=1, fn_output_signature=tf.string)}

    pixel_tolerance, picture_tolerance = _TOLERANCES[half]
    return {
        "serving_default": of_encoded(
            paint_each,
            "encoded photos of any sizes -> the painted pictures: JPEG for JPEG, else PNG",
            pictures=("image_bytes",),
            tolerance=picture_tolerance,
        ),
        "tensor": of_pixels(
            lambda pixels: {"pixels": paint_pixels(pixels)},
            "upright photos of one size, uint8 RGB -> pictures, the same",
            tolerance=pixel_tolerance,
        ),
    }


class _Reference:
    """What a signature should answer, by Keras: files are decoded and encoded outside of the graph."""

    def __init__(self, model):
        self._model = model

    def __call__(self, signature, inputs):
        if signature == "tensor":
            return {"pixels": paint(self._model, inputs["pixels"])}
        return {"image_bytes": np.array([self._painted(encoded) for encoded in inputs["image_bytes"]], object)}

    def _painted(self, encoded):
        (picture,) = paint(self._model, decode_photo(check_photo(encoded))[None])
        return encode_like(picture, encoded).numpy()


def _preprocessing():
    return {
        **PREPROCESSING,
        "size": f"any, up to {MAX_PIXELS:,} pixels; the picture has the photo's",
        "encoding": f"JPEG (quality {JPEG_QUALITY}, 4:4:4) where the photo is one, else PNG",
    }


def _facts(run):
    metrics, recipe = run.metrics, run.recipe
    return {
        "Task": f"paints photos in the manner of {run.facts['painting']}",
        "Data": {"painting": run.facts["painting"], "photos": metrics["images"], "source": source_name(run)},
        "Metrics": {f"{loss}, {when}": metrics[when][f"{loss}_loss"] for when in ("before", "after") for loss in ("content", "style")},
        "Judged by": metrics["network"],
        **training_facts(run, width=recipe.width, blocks=recipe.blocks),
    }
