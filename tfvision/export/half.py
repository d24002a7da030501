"""Weights in 16 bits: a function whose constants are stored as float16 and computed with as float32."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tfvision.export.exportable import GraphFunction, tf_variables

_LEAST_VALUES = 256  # smaller constants (biases, scales) stay exact


def stored_network(network: GraphFunction, model: keras.Model, half: bool) -> tuple[Callable, list[tf.Variable]]:
    """A network as it is exported, and the variables that are saved with it.

    Args:
      network: tf.function with an input signature that calls `model`: a dict of tensors -> a dict of tensors.
      half: whether weights are constants of the graph in 16 bits, so that no variable is left to save.
    """
    return (with_half_weights(network), []) if half else (network, tf_variables(model))


def with_half_weights(function: GraphFunction) -> Callable:
    """A function with the same inputs and outputs, whose weights are float16 constants cast to float32.

    Args:
      function: tf.function with an input signature: a dict of tensors -> a dict of tensors.

    Returns:
      The same as a callable without variables.
    """
    concrete = function.get_concrete_function()
    frozen = convert_variables_to_constants_v2(concrete)
    graph = frozen.graph.as_graph_def()
    rewritten = tf.compat.v1.GraphDef(versions=graph.versions, library=graph.library)
    for node in graph.node:
        rewritten.node.extend(_halved(node) if _is_weight(node) else [node])
    wrapped = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(rewritten, name=""), [])
    feeds, fetches = ([wrapped.graph.as_graph_element(t.name) for t in tensors] for tensors in (frozen.inputs, frozen.outputs))
    pruned = wrapped.prune(feeds, fetches)
    arguments = tf.nest.flatten(concrete.structured_input_signature)
    outputs = concrete.structured_outputs

    def call(inputs):
        return tf.nest.pack_sequence_as(outputs, pruned(*[inputs[spec.name] for spec in arguments]))

    return call


def _is_weight(node):
    if node.op != "Const" or node.attr["dtype"].type != tf.float32.as_datatype_enum:
        return False
    return np.prod([dimension.size for dimension in node.attr["value"].tensor.tensor_shape.dim]) >= _LEAST_VALUES


def _halved(node):
    """float32 Const -> float16 Const and a Cast that takes its name."""
    values = tf.make_ndarray(node.attr["value"].tensor)
    largest = np.finfo(np.float16).max
    stored = tf.compat.v1.NodeDef(name=f"{node.name}/half", op="Const")
    stored.attr["dtype"].type = tf.float16.as_datatype_enum
    stored.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.clip(values, -largest, largest).astype(np.float16)))
    cast = tf.compat.v1.NodeDef(name=node.name, op="Cast", input=[stored.name])
    cast.attr["SrcT"].type = tf.float16.as_datatype_enum
    cast.attr["DstT"].type = tf.float32.as_datatype_enum
    return [stored, cast]
