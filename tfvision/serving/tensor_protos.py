"""TensorProto to arrays and back, as TensorFlow Serving sends them: values in the field of their type."""

import math

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from tfvision.serving.errors import ServingError

MAX_TENSOR_BYTES = 1 << 30  # a shape of many sizes and one value is a few bytes of message
_FIELDS = {  # numpy's name of a type -> TensorProto's field; many clients read `float_val` themselves
    "float32": "float_val",
    "float64": "double_val",
    "int8": "int_val",
    "int16": "int_val",
    "int32": "int_val",
    "uint8": "int_val",
    "uint16": "int_val",
    "int64": "int64_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "bool": "bool_val",
    "object": "string_val",
}


def to_array(name: str, tensor: tensor_pb2.TensorProto) -> np.ndarray:
    """TensorProto -> array; strings as objects of bytes.

    Raises:
      ServingError: INVALID_ARGUMENT for a shape, a type and values that do not fit each other, or a huge tensor.
    """
    try:
        dtype = tf.as_dtype(tensor.dtype)
        sizes = [dim.size for dim in tensor.tensor_shape.dim]
        if min(sizes, default=0) < 0 or tensor.tensor_shape.unknown_rank:
            raise ValueError("its shape must be known")
        size = math.prod(sizes)
        if size * max(1, dtype.size) > MAX_TENSOR_BYTES:
            raise ValueError(f"its shape {sizes} takes more than {MAX_TENSOR_BYTES} bytes")
        field = _FIELDS.get("object" if dtype == tf.string else dtype.name)
        if field and not tensor.tensor_content:
            del getattr(tensor, field)[size:]  # TensorFlow passes over values beyond the shape; make_ndarray refuses them
        return tf.make_ndarray(tensor)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        message = f"tensor parsing error: {name}: {str(error).splitlines()[0] if str(error) else 'malformed'}"
        raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, message) from None


def to_proto(array: np.ndarray) -> tensor_pb2.TensorProto:
    """Array -> TensorProto."""
    array = np.asarray(array, object if isinstance(array, bytes) else None)
    if array.dtype.name not in _FIELDS:
        return tf.make_tensor_proto(array)
    tensor = tensor_pb2.TensorProto(dtype=tf.as_dtype(array.dtype).as_datatype_enum)
    tensor.tensor_shape.SetInParent()
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    getattr(tensor, _FIELDS[array.dtype.name]).extend(array.ravel().tolist())
    return tensor
