"""The network that a FeatureRecipe names: of the catalogue, of TensorFlow Hub, of a run, or of an export."""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfvision.applications import APPLICATIONS
from tfvision.errors import RecipeError, RunError, WeightsError, in_one_line
from tfvision.features.recipe import FeatureRecipe
from tfvision.features.text_encoder import ImageTower, TowerFiles, find_towers
from tfvision.models.catalogue import get_network
from tfvision.models.programs import open_module
from tfvision.models.taps import build_taps
from tfvision.models.weight_sources import KEYWORDS
from tfvision.training.run import application_of

HUB_PREFIX = "hub:"
WHOLE_PHOTO = (0.0, 0.0, 1.0, 1.0)
EMBEDDING = "embedding"  # the one tap of what is not of the catalogue
_EMBED = "embed"
_EXPORT_SIZE_PX = 512  # exports cut their own views from an image of any size
_HUB_SIZE_PX = 224
_HUB_SIGNATURES = ("image_feature_vector", "serving_default", "default")


@dataclasses.dataclass(frozen=True)
class FeatureNetwork:
    """A network that answers with features.

    Attributes:
      responses: uint8 [batch, height, width, 3] -> {tap: float [batch, h, w, channels] or [batch, channels]}.
      image_size: pixels, without the factors of scales.
      input_shape: [None, height or None, width or None, 3].
      identity: what tells it from other networks and other weights.
      least_image_size: pixels that both sides have at least.
      loaded: one sentence on the weights.
      view: the same of one upright view alone, whose positions are those of the photo's `view_box`, with its last maps {name: [batch, h, w,
        channels]} where these are not the last in the graph (features.attention); None = `responses` is of such a view.
      view_box: top, left, height and width of that view in shares of the photo's sides; None where they are not known.
      is_saved: whether it is a program, whose layers lie within functions.
    """

    responses: Callable[[tf.Tensor], dict[str, tf.Tensor]]
    image_size: int
    input_shape: tuple[int | None, ...]
    identity: str
    least_image_size: int = 1
    loaded: str = ""
    view: Callable[[tf.Tensor], tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]] | None = None
    view_box: tuple[float, float, float, float] | None = WHOLE_PHOTO
    is_saved: bool = False


def open_network(recipe: FeatureRecipe) -> FeatureNetwork:
    """Opens what `recipe.model` names. Raises RecipeError, WeightsError, RunError."""
    if recipe.weights not in KEYWORDS and (recipe.model.startswith(HUB_PREFIX) or Path(recipe.model).exists()):
        raise RecipeError(f"{recipe.model} has weights of its own: give --weights with a network, as alexnet, got {recipe.weights}")
    if recipe.model.startswith(HUB_PREFIX):
        network = _open_hub(recipe)
    elif (Path(recipe.model) / "recipe.json").is_file():
        network = _open_run(recipe)
    elif towers := find_towers(recipe.model):
        network = _open_tower(recipe, towers)
    elif folder := _export_folder(recipe.model):
        network = _open_export(recipe, folder)
    elif any(mark in recipe.model for mark in "/\\"):
        raise RunError(f"{recipe.model} is neither a run (recipe.json) nor an export (saved_model.pb, or folders of versions)")
    else:
        network = _open_catalogued(recipe)
    least = min(round(scale * network.image_size) for scale in recipe.scales)
    if least < network.least_image_size:
        raise RecipeError(f"{recipe.model} needs images of {network.least_image_size} px at least, the smallest scale has {least}")
    fixed = [side for side in network.input_shape[1:3] if side]
    if fixed and (recipe.resize != "squash" or {round(scale * network.image_size) for scale in recipe.scales} != set(fixed)):
        told = f"image_size={network.image_size}, resize={recipe.resize}, scales={list(recipe.scales)}"
        raise RecipeError(f"{recipe.model} sees images of {' x '.join(map(str, fixed))} px alone: leave image_size, resize and scales as they are, got {told}")
    return network


def _open_catalogued(recipe: FeatureRecipe) -> FeatureNetwork:
    catalogued = get_network(recipe.model)
    size = recipe.image_size or catalogued.image_size
    fixed = size if recipe.resize == "squash" and recipe.scales == (1.0,) else None
    model, loaded = build_taps(recipe.model, recipe.layers, fixed, recipe.weights)
    return FeatureNetwork(
        lambda images: model(tf.cast(images, tf.float32), training=False),
        size,
        (None, fixed, fixed, 3),
        f"{recipe.model} {hash_arrays(model.get_weights())}",
        catalogued.least_image_size,
        loaded,
    )


def _open_hub(recipe: FeatureRecipe) -> FeatureNetwork:
    """A module of TensorFlow Hub, which by convention takes RGB in [0, 1]."""
    refuse_layers(recipe)
    handle = recipe.model[len(HUB_PREFIX) :]
    module, folder = open_module(handle, "Offline, download the module elsewhere, unpack it and give hub:FOLDER")
    signature = next((module.signatures[name] for name in _HUB_SIGNATURES if name in getattr(module, "signatures", ())), None)
    if signature is None and not callable(module):
        raise WeightsError(f"{handle} is no module for images: it has none of the signatures {', '.join(_HUB_SIGNATURES)}")
    sides = _input_sides(signature)
    size = recipe.image_size or sides[0] or _HUB_SIZE_PX

    def responses(images):
        pixels = tf.image.convert_image_dtype(images, tf.float32)
        return {EMBEDDING: _only_output(signature(**{_input_name(signature): pixels}) if signature else module(pixels), handle)}

    return FeatureNetwork(responses, size, (None, *sides, 3), f"hub {_hash_folder(folder)}", loaded=f"module {handle}", is_saved=True)


def _open_tower(recipe: FeatureRecipe, towers: TowerFiles) -> FeatureNetwork:
    """The image tower of a pair that sees texts as well (text_encoder.py)."""
    refuse_layers(recipe)
    tower = ImageTower(towers)
    size, dimension = tower.image_size, tower.dimension
    if recipe.image_size not in (0, size):
        raise RecipeError(f"{recipe.model} sees images of {size} px alone, got an image_size of {recipe.image_size}")

    def responses(images):
        vectors = tf.numpy_function(tower.vectors, [images], tf.float32)
        return {EMBEDDING: tf.ensure_shape(vectors, [None, dimension])}

    return FeatureNetwork(responses, size, (None, size, size, 3), f"tower {tower.identity}", size, loaded=f"image tower {towers.image}")


def _open_export(recipe: FeatureRecipe, folder: Path) -> FeatureNetwork:
    """An export's own signature: it decodes and cuts its views itself."""
    refuse_layers(recipe)
    try:
        module = tf.saved_model.load(str(folder))
    except Exception as error:  # TensorFlow raises many kinds
        raise RunError(f"{folder} cannot be loaded ({in_one_line(error)}): export again") from error
    if _EMBED not in module.signatures:
        raise RunError(f"{folder} has no signature `{_EMBED}` (but {', '.join(module.signatures)}): its model makes no features")

    def responses(images):
        encoded = tf.map_fn(tf.io.encode_png, images, fn_output_signature=tf.string)
        # By way of the module, whose variables a signature holds by weak references alone.
        return {EMBEDDING: module.signatures[_EMBED](image_bytes=encoded)["embedding"]}

    size = recipe.image_size or _EXPORT_SIZE_PX
    identity = f"export {_hash_folder(folder)}"
    return FeatureNetwork(responses, size, (None, None, None, 3), identity, loaded=f"export {folder}", view_box=None, is_saved=True)


def _open_run(recipe: FeatureRecipe) -> FeatureNetwork:
    folder = Path(recipe.model)
    return APPLICATIONS[application_of(folder, "features")].part("features").open_features(recipe, folder)


def _export_folder(path: Path | str) -> Path | None:
    """The folder of a SavedModel: `path` itself, or its highest version; None where it is neither."""
    path = Path(path)
    if (path / "saved_model.pb").is_file():
        return path
    versions = [child for child in path.iterdir() if child.name.isdecimal() and (child / "saved_model.pb").is_file()] if path.is_dir() else []
    return max(versions, key=lambda child: int(child.name), default=None)


def refuse_layers(recipe: FeatureRecipe) -> None:
    if recipe.layers not in ((), (EMBEDDING,)):
        raise RecipeError(f"{recipe.model} has one layer to choose, {EMBEDDING}, got {', '.join(recipe.layers)}")


def _input_name(signature: Any) -> str:
    return next(iter(signature.structured_input_signature[1]))


def _input_sides(signature: Any) -> tuple[int | None, int | None]:
    """Height and width that a signature insists on, None where it takes any."""
    if signature is None:
        return None, None
    shape = signature.structured_input_signature[1][_input_name(signature)].shape
    return tuple(shape[1:3]) if shape.rank == 4 else (None, None)


def _only_output(outputs: Any, handle: str) -> tf.Tensor:
    if not isinstance(outputs, dict):
        return outputs
    if len(outputs) == 1 or "default" in outputs:
        return outputs.get("default", next(iter(outputs.values())))
    raise WeightsError(f"{handle} answers with {', '.join(outputs)}: expected one tensor, or one called `default`")


def hash_arrays(arrays: Sequence[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for values in arrays:
        digest.update(str(values.shape).encode() + np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _hash_folder(folder: Path | str) -> str:
    """Of the graph and its variables."""
    digest = hashlib.sha256()
    for path in sorted([Path(folder, "saved_model.pb"), *Path(folder).glob("variables/*")]):
        with open(path, "rb") as file:
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
