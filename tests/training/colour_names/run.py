import dataclasses
import typing

import keras
import tensorflow as tf

from tfvision.training.recipes import Recipe
from tfvision.training.run import Run, load_run_weights


@dataclasses.dataclass(frozen=True)
class ColourRecipe(Recipe):
    batch_size: int = 4
    stages: tuple = ((3.0, 0.1),)
    optimizer: str = "sgd"
    weight_decay: float = 0.0
    precision: str = "float32"
    image_size: int = 8
    validation_fraction: float = 0.25


@dataclasses.dataclass(frozen=True)
class ColourRun(Run):
    APPLICATION: typing.ClassVar[str] = "colour-names"
    COMMAND: typing.ClassVar[str] = "tfvision train colour-names"
    RECIPE: typing.ClassVar[type] = ColourRecipe


def build_network(seed=0):
    """uint8 [batch, 8, 8, 3] -> float32 logits [batch, 2]."""
    image = keras.Input((8, 8, 3))
    mean = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(image))
    return keras.Model(image, keras.layers.Dense(2, kernel_initializer=keras.initializers.RandomNormal(seed=seed), name="logits")(mean))


def load_network(folder):
    run, model = ColourRun.open(folder), build_network()
    load_run_weights(model, run.weights_path)
    signature = [tf.TensorSpec([None, 8, 8, 3], tf.uint8, "pixels")]
    return tf.function(lambda pixels: model(tf.cast(pixels, tf.float32)), signature, autograph=False), model
