"""A stylizer run as an Exportable: encoded photos in, encoded pictures out."""

import re

import numpy as np
import tensorflow as tf

from tfvision.data.decoding import check_photo, decode_photo
from tfvision.data.graph_decoding import image_of_encoded, is_jpeg_encoded
from tfvision.data.views import as_pixels
from tfvision.export.exportable import Exportable, Signature, tf_variables
from tfvision.export.half import with_half_weights
from tfvision.export.samples import sample_images, sample_pixels
from tfvision.files import read_json
from tfvision.trained.stylizer_network import load_stylizer, paint
from tfvision.trained.stylizer_run import StylizerRun

MAX_PIXELS = 16_000_000  # of a served photo: the network holds some 500 bytes a pixel
JPEG_QUALITY = 95
_IMAGES = tf.TensorSpec([None], tf.string, name="image_bytes")
_PIXELS = tf.TensorSpec([None, None, None, 3], tf.uint8, name="pixels")
# Grey levels, of pixels and of pictures: another order of summing may round a pixel differently, and where that changes
# a coefficient of a JPEG, it spreads. Half weights have 11 bits, which shows at the edges of strokes.
_TOLERANCES = {False: (1.0, 16.0), True: (24.0, 48.0)}


def stylizer_exportable(run, half=False):
    """Everything that `tfvision export` writes of a finished stylizer run.

    Args:
      run: folder.
      half: whether weights are stored in 16 bits.

    Returns:
      Exportable with the signatures "serving_default" and "tensor". Raises RunError.
    """
    run = StylizerRun.open(run)
    model = load_stylizer(run)

    @tf.function(input_signature=[{"pixels": _PIXELS}])
    def network(inputs):
        return {"painted": model(inputs["pixels"], training=False)}

    @tf.function(input_signature=[{"pixels": _PIXELS}])
    def core(inputs):
        return {"painted": model(inputs["pixels"], training=False) / 255.0}

    painter = with_half_weights(network) if half else network
    return Exportable(
        name=run.folder.name,
        signatures=_signatures(lambda pixels: as_pixels(painter({"pixels": pixels})["painted"]), half),
        variables=[] if half else tf_variables(model),
        assets={},
        reference=_Reference(model),
        preprocessing=_PREPROCESSING,
        facts=_facts(run),
        core=core,
        core_samples={"pixels": sample_pixels()},
    )


def encode_like(pixels, original):
    """uint8 [height, width, 3] -> string: a JPEG where the original, a string, is one, else a PNG."""
    return tf.cond(
        is_jpeg_encoded(original),
        lambda: tf.io.encode_jpeg(pixels, "rgb", quality=JPEG_QUALITY, chroma_downsampling=False),
        lambda: tf.io.encode_png(pixels),
    )


def _signatures(paint_pixels, half):
    def paint_one(encoded):
        return encode_like(paint_pixels(image_of_encoded(encoded, MAX_PIXELS)[None])[0], encoded)

    @tf.function(input_signature=[_IMAGES])
    def serving_default(image_bytes):
        # One at a time: photos differ in size, and each takes all cores and much memory.
        return {"image_bytes": tf.map_fn(paint_one, image_bytes, parallel_iterations=1, fn_output_signature=tf.string)}

    @tf.function(input_signature=[_PIXELS])
    def tensor(pixels):
        return {"pixels": paint_pixels(pixels)}

    of_pixels, of_pictures = _TOLERANCES[half]
    return {
        "serving_default": Signature(
            serving_default,
            {"image_bytes": sample_images()},
            description="encoded photos of any sizes -> the painted pictures: JPEG for JPEG, else PNG",
            pictures=("image_bytes",),
            tolerance=of_pictures,
        ),
        "tensor": Signature(
            tensor, {"pixels": sample_pixels()}, description="upright photos of one size, uint8 RGB -> pictures, the same", tolerance=of_pixels
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


_PREPROCESSING = {
    "decoding": "JPEG, PNG, GIF and BMP in the graph (WebP from TensorFlow 2.16 on); EXIF orientation applied in the graph",
    "colour": "RGB, uint8; transparent parts of a PNG on white",
    "size": f"any, up to {MAX_PIXELS:,} pixels; the picture has the photo's",
    "scaling": "inside the network",
    "encoding": f"JPEG (quality {JPEG_QUALITY}, 4:4:4) where the photo is one, else PNG",
}


def _facts(run):
    metrics, recipe = read_json(run.metrics_path), run.recipe
    return {
        "Task": f"paints photos in the manner of {run.facts['painting']}",
        "Data": {"painting": run.facts["painting"], "photos": metrics["images"], "source": re.sub(r".*/", "", run.facts["source"])},
        "Metrics": {f"{loss}, {when}": metrics[when][f"{loss}_loss"] for when in ("before", "after") for loss in ("content", "style")},
        "Judged by": metrics["network"],
        "Recipe": {"name": recipe.name, "seed": recipe.seed, "width": recipe.width, "blocks": recipe.blocks},
        "Trained with": run.facts["versions"],
    }
