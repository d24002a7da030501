"""A matcher's run as an Exportable: encoded photos in, vectors out, by the one tower."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvision.export.exportable import Exportable, Signature
from tfvision.export.half import stored_network
from tfvision.export.model_card import source_name, training_facts, without_folders
from tfvision.export.photo_signatures import PREPROCESSING, PhotoViews, encoded_photos, of_encoded, of_pixels, photo_files
from tfvision.export.samples import random_views, sample_images
from tfvision.features.extraction import extract
from tfvision.features.extractor import open_extractor
from tfvision.features.recipe import FeatureRecipe
from tfvision.trained.matcher_network import EMBEDDING, embed, load_embedder
from tfvision.trained.matcher_run import MatcherRun

_VIEW = "whole"
_SIDES = ("left_bytes", "right_bytes")
# Of values of a vector, which sum some hundred products in an order that the graph is free to choose.
_TOLERANCES = {False: 1e-4, True: 0.05}


def make_exportable(run: str | Path, half: bool = False) -> Exportable:
    """Everything that `tfvision export` writes of a finished matcher's run.

    Args:
      run: folder.
      half: whether weights are stored in 16 bits.

    Returns:
      Exportable with the signatures "serving_default", "embed", "tensor" and "compare". Raises RunError.
    """
    trained = MatcherRun.open(run)
    size, model = trained.recipe.size_px, load_embedder(trained.folder, trained.recipe.size_px).model

    @tf.function(autograph=False, input_signature=[{"photo": tf.TensorSpec([None, size, size, 3], tf.uint8, name="photo")}])
    def network(inputs):
        return {EMBEDDING: embed(model, inputs["photo"], trained.recipe)}

    stored, variables = stored_network(network, model, half)
    return Exportable(
        name=trained.folder.name,
        signatures=_signatures(stored, PhotoViews([_VIEW], size, is_uncropped=True), _TOLERANCES[half]),
        variables=variables,
        assets={},
        reference=_Reference(trained),
        preprocessing=_preprocessing(trained.recipe),
        facts=_facts(trained),
        core=network,
        core_samples={"photo": random_views(size)},
    )


def _signatures(network, views, tolerance):
    def embedded(seen):
        return {EMBEDDING: network({"photo": seen[_VIEW]})[EMBEDDING]}

    def of_photos(image_bytes):
        return embedded(views.of_encoded(image_bytes))

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name=side) for side in _SIDES])
    def compare(left_bytes, right_bytes):
        vectors, count = of_photos(tf.concat([left_bytes, right_bytes], 0))[EMBEDDING], tf.size(left_bytes)
        return _compared(vectors[:count], vectors[count:])

    images = sample_images()
    return {
        "serving_default": of_encoded(of_photos, "encoded photos -> their vectors", tolerance=tolerance),
        "embed": of_encoded(of_photos, "the same, by the name that `tfvision index build --model EXPORT` asks for", tolerance=tolerance),
        "tensor": of_pixels(lambda pixels: embedded(views.of_pixels(pixels)), "the same of upright photos of one size, uint8 RGB", tolerance=tolerance),
        "compare": Signature(
            compare,
            dict(zip(_SIDES, (images[:2], images[1:3]), strict=True)),
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
            compared = _compared(*(self._vectors(inputs[side]) for side in _SIDES))
            return {name: values.numpy() for name, values in compared.items()}
        return {EMBEDDING: self._vectors(encoded_photos(inputs))}

    def _vectors(self, photos):
        with photo_files(photos) as manifest:
            return np.concatenate([vectors for _, vectors in extract(manifest, self._extractor)])


def _preprocessing(recipe):
    is_grey = recipe.network.startswith("siamese")
    return {
        **PREPROCESSING,
        "colour": PREPROCESSING["colour"] + ("; made grey inside the network" if is_grey else ""),
        "resize": f"the whole photo to {recipe.size_px} x {recipe.size_px} px, bilinear, antialiased",
        "turns": f"the mean vector of {recipe.rotations} quarter turns, inside the network" if recipe.rotations > 1 else "none",
    }


def _facts(run):
    metrics, recipe = run.metrics, run.recipe
    return {
        "Task": f"vectors of photos, {metrics['dimension']} values, near each other for photos of one tattoo",
        "Compared by": "the cosine" if recipe.is_normalised else "the Euclidean distance",
        "Data": {"source": source_name(run), **{name: metrics[name] for name in ("images", "subjects", "held_out", "crosses_media")}},
        "Limits": "a candidate is a lead that people have to check, never an identification; see docs/tattoo.md",
        "Began with": without_folders(metrics["weights"]),
        **training_facts(run, network=recipe.network, loss=recipe.loss, margin=recipe.margin),
    }
