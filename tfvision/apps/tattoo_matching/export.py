"""A matcher's run as an Exportable: encoded photos in, vectors out, by the one tower."""

import re
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvision.data.graph_decoding import views_of_encoded, views_of_pixels
from tfvision.data.manifest import Manifest, Record
from tfvision.export.exportable import Exportable, Signature, tf_variables
from tfvision.export.half import with_half_weights
from tfvision.export.samples import sample_images, sample_pixels
from tfvision.features.extraction import extract
from tfvision.features.extractor import open_extractor
from tfvision.features.recipe import FeatureRecipe
from tfvision.files import read_json
from tfvision.trained.matcher_network import EMBEDDING, embed, load_embedder
from tfvision.trained.matcher_run import MatcherRun

_VIEWS = ("whole",)
_IMAGES = tf.TensorSpec([None], tf.string, name="image_bytes")
_PIXELS = tf.TensorSpec([None, None, None, 3], tf.uint8, name="pixels")
# Of values of a vector, which sum some hundred products in an order that the graph is free to choose.
_TOLERANCES = {False: 1e-4, True: 0.05}


def matcher_exportable(run, half=False):
    """Everything that `tfvision export` writes of a finished matcher's run.

    Args:
      run: folder.
      half: whether weights are stored in 16 bits.

    Returns:
      Exportable with the signatures "serving_default", "embed", "tensor" and "compare". Raises RunError.
    """
    run = MatcherRun.open(run)
    size, model = run.recipe.size_px, load_embedder(run.folder, run.recipe.size_px).model
    seen = {"photo": tf.TensorSpec([None, size, size, 3], tf.uint8, name="photo")}

    @tf.function(input_signature=[seen])
    def network(inputs):
        return {EMBEDDING: embed(model, inputs["photo"], run.recipe)}

    return Exportable(
        name=run.folder.name,
        signatures=_signatures(run, with_half_weights(network) if half else network, half),
        variables=[] if half else tf_variables(model),
        assets={},
        reference=_Reference(run),
        preprocessing=_preprocessing(run.recipe),
        facts=_facts(run),
        core=network,
        core_samples={"photo": np.random.default_rng(1).integers(0, 256, (2, size, size, 3)).astype(np.uint8)},
    )


def _signatures(run, network, half):
    size = run.recipe.size_px
    spec = tf.TensorSpec([size, size, 3], tf.uint8)

    def vectors(image_bytes):
        cut = lambda encoded: views_of_encoded(encoded, tf.zeros([4]), _VIEWS, size, is_uncropped=True)[0]
        return network({"photo": tf.map_fn(cut, image_bytes, fn_output_signature=spec)})[EMBEDDING]

    @tf.function(input_signature=[_IMAGES])
    def serving_default(image_bytes):
        return {EMBEDDING: vectors(image_bytes)}

    @tf.function(input_signature=[_IMAGES])
    def embed_photos(image_bytes):
        return {EMBEDDING: vectors(image_bytes)}

    @tf.function(input_signature=[_PIXELS])
    def tensor(pixels):
        cut = lambda image: views_of_pixels(image, _VIEWS, size, is_uncropped=True)[0]
        return {EMBEDDING: network({"photo": tf.map_fn(cut, pixels, fn_output_signature=spec)})[EMBEDDING]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="left_bytes"), tf.TensorSpec([None], tf.string, name="right_bytes")])
    def compare(left_bytes, right_bytes):
        return _compared(vectors(left_bytes), vectors(right_bytes))

    images, tolerance = sample_images(), _TOLERANCES[half]
    photos = {"image_bytes": images}
    return {
        "serving_default": Signature(serving_default, photos, description="encoded photos -> their vectors", tolerance=tolerance),
        "embed": Signature(embed_photos, photos, description="the same, by the name that `tfvision index build --model EXPORT` asks for", tolerance=tolerance),
        "tensor": Signature(tensor, {"pixels": sample_pixels()}, description="the same of upright photos of one size, uint8 RGB", tolerance=tolerance),
        "compare": Signature(
            compare,
            {"left_bytes": images[:2], "right_bytes": images[1:3]},
            description="two encoded photos -> the distance of their vectors, and the cosine between them",
            tolerance=10 * tolerance,
        ),
    }


def _compared(left, right):
    cosine = tf.reduce_sum(tf.math.l2_normalize(left, axis=1) * tf.math.l2_normalize(right, axis=1), axis=1)
    return {"distance": tf.norm(left - right, axis=1), "similarity": cosine}


class _Reference:
    """What a signature should answer, by the way that `tfvision index build` goes: files, the pipeline, the extractor."""

    def __init__(self, run):
        self._extractor = open_extractor(FeatureRecipe(model=str(run.folder), is_normalised=False))

    def __call__(self, signature, inputs):
        if signature == "compare":
            compared = _compared(*(self._vectors(inputs[side]) for side in ("left_bytes", "right_bytes")))
            return {name: values.numpy() for name, values in compared.items()}
        photos = inputs["image_bytes"] if "image_bytes" in inputs else [tf.io.encode_png(pixels).numpy() for pixels in inputs["pixels"]]
        return {EMBEDDING: self._vectors(photos)}

    def _vectors(self, photos):
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder, str(number)) for number in range(len(photos))]
            for path, encoded in zip(paths, photos, strict=True):
                path.write_bytes(encoded)
            manifest = Manifest(("photo",), tuple(Record(str(path), path.name, ("",), path.name) for path in paths))
            return np.concatenate([vectors for _, vectors in extract(manifest, self._extractor)])


def _preprocessing(recipe):
    return {
        "decoding": "JPEG, PNG, GIF and BMP in the graph (WebP from TensorFlow 2.16 on); EXIF orientation applied in the graph",
        "colour": "RGB, uint8; transparent parts of a PNG on white" + ("; made grey inside the network" if recipe.network.startswith("siamese") else ""),
        "resize": f"the whole photo to {recipe.size_px} x {recipe.size_px} px, bilinear, antialiased",
        "turns": f"the mean vector of {recipe.rotations} quarter turns, inside the network" if recipe.rotations > 1 else "none",
        "scaling": "inside the network",
    }


def _facts(run):
    metrics, recipe = read_json(run.metrics_path), run.recipe
    return {
        "Task": f"vectors of photos, {metrics['dimension']} values, near each other for photos of one tattoo",
        "Compared by": "the cosine" if recipe.is_normalised else "the Euclidean distance",
        "Data": {
            "source": re.sub(r".*/", "", run.facts["source"]),
            **{name: metrics[name] for name in ("images", "subjects", "held_out", "crosses_media")},
        },
        "Limits": "a candidate is a lead that people have to check, never an identification; see docs/tattoo.md",
        "Began with": re.sub(r"/\S*/", "", metrics["weights"]),
        "Recipe": {"name": recipe.name, "seed": recipe.seed, "network": recipe.network, "loss": recipe.loss, "margin": recipe.margin},
        "Trained with": run.facts["versions"],
    }
