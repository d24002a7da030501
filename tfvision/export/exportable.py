"""What an application hands over to be exported."""

import dataclasses
import typing
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf

PREDICT = "tensorflow/serving/predict"
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"

GraphFunction: typing.TypeAlias = tf.types.experimental.PolymorphicFunction  # what tf.function makes


@dataclasses.dataclass(frozen=True)
class Signature:
    """One named way to call a model.

    Attributes:
      function: tf.function with an input signature; keyword arguments -> dict of tensors, each with a batch
        dimension. Arguments with a tensor as default may be left out by callers.
      samples: input -> array, a small batch that warms a server up, is verified and shown in the card.
      method: of TensorFlow Serving's, PREDICT, CLASSIFY or REGRESS.
      description: one sentence.
      pictures: names of outputs that hold encoded images, which are compared by their pixels.
      tolerance: largest difference of an output from the reference; None = the export's own.
    """

    function: GraphFunction
    samples: dict[str, np.ndarray]
    method: str = PREDICT
    description: str = ""
    pictures: tuple[str, ...] = ()
    tolerance: float | None = None


@dataclasses.dataclass(frozen=True)
class Exportable:
    """A trained model, ready to be written as a SavedModel.

    Attributes:
      name: of the model, unless the user gives another.
      signatures: name -> Signature; one is "serving_default".
      variables: tf.Variables that the functions read.
      assets: file name -> text, e.g. labels.
      reference: (signature name, inputs) -> outputs, as arrays, by Keras and numpy instead of the graph.
      preprocessing: how images become inputs, for the card and for other languages.
      facts: of the model card: heading -> text or table.
      core: image tensors -> float tensors, without strings and decoding, for TFLite and ONNX; a tf.function
        with an input signature.
      core_samples: name -> array.
    """

    name: str
    signatures: dict[str, Signature]
    variables: list[tf.Variable]
    assets: dict[str, str]
    reference: Callable[[str, dict[str, np.ndarray]], dict[str, np.ndarray]]
    preprocessing: Mapping[str, object]
    facts: Mapping[str, object]
    core: GraphFunction
    core_samples: dict[str, np.ndarray]


def tf_variables(model: keras.Model) -> list[tf.Variable]:
    """A Keras model's variables as TensorFlow's: Keras 3 wraps them, Keras 2 uses them."""
    return [variable if isinstance(variable, tf.Variable) else variable.value for variable in model.variables]
