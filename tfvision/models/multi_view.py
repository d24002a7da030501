"""A network that sees one photo in several views: shared stem, a branch a view, one tail (figure 2).

Source: Mo, Frank and Vetrova, "Large-scale automatic species identification", section 3.1;
READINGS, section 1. With one view it is the unmodified network.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfvision.models.catalogue import Network, get_network
from tfvision.models.layers import CountedDropout


def build_trunk(
    network: str,
    views: Sequence[str] = ("whole", "crop"),
    image_size: int | None = None,
    has_auxiliary_head: bool = True,
    dropout: float = 0.2,
    seed: int = 0,
    base: keras.Model | None = None,
) -> keras.Model:
    """Builds everything but the classifying layers.

    Args:
      network: a name of the catalogue.
      views: names of the inputs; the first is the whole view, whose branch feeds the auxiliary head.
      image_size: pixels a side; None = the network's own.
      has_auxiliary_head: whether to grow the Inception family's auxiliary classifier.
      dropout: probability of dropping a value before the final layer.
      base: the network without top, perhaps with loaded weights; None = built anew.

    Returns:
      keras.Model: {view: uint8 [batch, size, size, 3]} -> {"features": [batch, channels]} and, with an
      auxiliary head, "auxiliary": [batch, 768]. Sub-models are named "stem", "VIEW_branch", "tail".
    """
    catalogued = get_network(network)
    image_size = image_size or catalogued.image_size
    base = base or catalogued.build(image_size)
    stem, branch, tail = split_network(base, catalogued)
    inputs = {view: keras.Input((image_size, image_size, 3), dtype="uint8", name=view) for view in views}
    branches = {views[0]: branch}
    branches.update({view: _random_copy(branch, f"{view}_branch") for view in views[1:]})

    maps = []
    for view in views:
        pixels = keras.layers.Rescaling(catalogued.scale, catalogued.offset, name=f"{view}_scaled")(inputs[view])
        maps.append(branches[view](stem(pixels)))  # InceptionResNetV2: 17 x 17 x 1088
    merged = _merge(maps) if len(views) > 1 else maps[0]  # 17 x 17 x 1088
    x = tail(merged)  # 8 x 8 x 1536
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = {"features": CountedDropout(dropout, seed, name="dropout")(x)}
    if has_auxiliary_head:
        outputs["auxiliary"] = _auxiliary_features(maps[0])
    return keras.Model(inputs, outputs, name=f"{network}_trunk")


def start_from_equal_views(trunk: keras.Model, views: Sequence[str]) -> None:
    """Gives every branch the first one's weights and lets the merge begin as the mean of the branches.

    Ours, for small data sets: the paper's random crop branch and random merge need many photos to learn.
    """
    weights = trunk.get_layer("whole_branch").get_weights()
    for view in views[1:]:
        trunk.get_layer(f"{view}_branch").set_weights(weights)
    kernel, bias = trunk.get_layer("merge").get_weights()
    mean = np.tile(np.eye(kernel.shape[-1], dtype=np.float32), (len(views), 1)) / len(views)
    trunk.get_layer("merge").set_weights([mean[None, None], np.zeros_like(bias)])


def add_heads(trunk: keras.Model, classes: int, kernel_seed: int = 0) -> keras.Model:
    """Puts classifying layers on a trunk; the trunk's layers are shared, not copied.

    Args:
      classes: number of classes.
      kernel_seed: of the fresh, Xavier-initialised kernels.

    Returns:
      keras.Model with the trunk's inputs -> {"species": float32 logits [batch, classes]} and, where the
      trunk has auxiliary features, "auxiliary": the same shape. "species" stands for the finest rank
      that is being trained.
    """
    heads = {"species": "features", "auxiliary": "auxiliary"}
    outputs = {
        head: keras.layers.Dense(
            classes,
            dtype="float32",
            kernel_initializer=keras.initializers.GlorotUniform(seed=kernel_seed + number),
            name=f"{head}_logits",
        )(trunk.output[feature])
        for number, (head, feature) in enumerate(heads.items())
        if feature in trunk.output
    }
    return keras.Model(trunk.input, outputs, name=trunk.name.replace("trunk", "classifier"))


def split_network(base: keras.Model, catalogued: Network) -> tuple[keras.Model, keras.Model, keras.Model]:
    """Splits a network into stem, branch and tail, three models that share its layers and weights."""
    stem_end = base.get_layer(catalogued.stem_end(base)).output
    branch_end = base.get_layer(catalogued.branch_end).output
    return (
        keras.Model(base.input, stem_end, name="stem"),
        keras.Model(stem_end, branch_end, name="whole_branch"),
        keras.Model(branch_end, base.output, name="tail"),
    )


def _random_copy(branch: keras.Model, name: str) -> keras.Model:
    copy = keras.models.clone_model(branch)
    return keras.Model(copy.input, copy.output, name=name)


def _merge(maps: Sequence[Any]) -> Any:
    """Concatenation and a 1x1 convolution back to one branch's depth (section 3.1)."""
    x = keras.layers.Concatenate(name="views")(maps)  # 17 x 17 x 2176
    return keras.layers.Conv2D(maps[0].shape[-1], 1, name="merge")(x)


def _auxiliary_features(x: Any) -> Any:
    """Average pool 5x5 / 3, 1x1 convolution to 128, a valid convolution over all that is left to 768."""
    pool = min(5, x.shape[1])
    x = keras.layers.AveragePooling2D(pool, strides=3, padding="valid", name="auxiliary_pool")(x)  # 5 x 5 x 1088
    x = _auxiliary_convolution(x, 128, 1, "auxiliary_conv1")  # 5 x 5 x 128
    x = _auxiliary_convolution(x, 768, x.shape[1], "auxiliary_conv2")  # 1 x 1 x 768
    return keras.layers.Flatten(name="auxiliary_features")(x)


def _auxiliary_convolution(x: Any, channels: int, size: int, name: str) -> Any:
    x = keras.layers.Conv2D(channels, size, padding="valid", use_bias=False, name=name)(x)
    x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
    return keras.layers.Activation("relu", name=f"{name}_ac")(x)
