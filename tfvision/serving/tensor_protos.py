"""TensorProto to arrays and back, as TensorFlow Serving sends them: values in the field of their type."""

import itertools
import math

import grpc
import ml_dtypes
import numpy as np
from tensorflow.core.framework import tensor_pb2, types_pb2

from tfvision.serving.errors import ServingError

MAX_TENSOR_BYTES = 1 << 30  # a shape of many sizes and one value is a few bytes of message
_MOST_AT_ONCE = 50_000  # values that are written in one step, between which other threads have their turn
_FIELDS = {  # DataType -> TensorProto's field, numpy's type; many clients read `float_val` themselves
    types_pb2.DT_FLOAT: ("float_val", np.dtype(np.float32)),
    types_pb2.DT_DOUBLE: ("double_val", np.dtype(np.float64)),
    types_pb2.DT_INT8: ("int_val", np.dtype(np.int8)),
    types_pb2.DT_INT16: ("int_val", np.dtype(np.int16)),
    types_pb2.DT_INT32: ("int_val", np.dtype(np.int32)),
    types_pb2.DT_UINT8: ("int_val", np.dtype(np.uint8)),
    types_pb2.DT_UINT16: ("int_val", np.dtype(np.uint16)),
    types_pb2.DT_INT64: ("int64_val", np.dtype(np.int64)),
    types_pb2.DT_UINT32: ("uint32_val", np.dtype(np.uint32)),
    types_pb2.DT_UINT64: ("uint64_val", np.dtype(np.uint64)),
    types_pb2.DT_BOOL: ("bool_val", np.dtype(np.bool_)),
    types_pb2.DT_STRING: ("string_val", np.dtype(object)),
    types_pb2.DT_HALF: ("half_val", np.dtype(np.float16)),
    types_pb2.DT_BFLOAT16: ("half_val", np.dtype(ml_dtypes.bfloat16)),
    types_pb2.DT_COMPLEX64: ("scomplex_val", np.dtype(np.complex64)),
    types_pb2.DT_COMPLEX128: ("dcomplex_val", np.dtype(np.complex128)),
}
_STORED = {  # what the field holds, where that is another type
    np.dtype(np.float16): np.dtype(np.uint16),
    np.dtype(ml_dtypes.bfloat16): np.dtype(np.uint16),
    np.dtype(np.complex64): np.dtype(np.float32),
    np.dtype(np.complex128): np.dtype(np.float64),
}
_PLAIN = {dtype: number for number, (_, dtype) in _FIELDS.items() if dtype not in _STORED}


def to_array(name: str, tensor: tensor_pb2.TensorProto) -> np.ndarray:
    """TensorProto -> array; strings as objects of bytes.

    Raises:
      ServingError: INVALID_ARGUMENT for a shape, a type and values that do not fit each other, or a huge tensor.
    """
    try:
        sizes = [dim.size for dim in tensor.tensor_shape.dim]
        if min(sizes, default=0) < 0 or tensor.tensor_shape.unknown_rank:
            raise ValueError("its shape must be known")
        size, (field, dtype) = math.prod(sizes), _FIELDS.get(tensor.dtype) or (None, np.dtype(np.uint8))
        if size * dtype.itemsize > MAX_TENSOR_BYTES:
            raise ValueError(f"its shape {sizes} takes more than {MAX_TENSOR_BYTES} bytes")
        if field is None:
            return _rare_array(tensor)
        if tensor.tensor_content:
            return np.frombuffer(tensor.tensor_content, dtype).copy().reshape(sizes)
        return _padded(_values(getattr(tensor, field), size, dtype), size, dtype).reshape(sizes)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        message = f"tensor parsing error: {name}: {str(error).splitlines()[0] if str(error) else 'malformed'}"
        raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, message) from None


def to_proto(array: np.ndarray) -> tensor_pb2.TensorProto:
    """Array -> TensorProto."""
    array = np.asarray(array, object if isinstance(array, bytes) else None)
    dtype = _PLAIN.get(array.dtype)
    if dtype is None:
        import tensorflow as tf

        return tf.make_tensor_proto(array)
    tensor = tensor_pb2.TensorProto(dtype=dtype)
    tensor.tensor_shape.SetInParent()
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    values, field = array.ravel(), getattr(tensor, _FIELDS[dtype][0])
    for start in range(0, values.size, _MOST_AT_ONCE):
        field.extend(values[start : start + _MOST_AT_ONCE].tolist())
    return tensor


def _values(field, size, dtype):
    """The first values of a field; TensorFlow passes over those beyond the shape."""
    if dtype.hasobject:
        array = np.empty(min(size, len(field)), object)
        array[:] = field[:size]
        return array
    stored = _STORED.get(dtype, dtype)
    parts = dtype.itemsize // stored.itemsize  # two for a complex number
    count = min(size, len(field) // parts) * parts
    return np.fromiter(itertools.islice(field, count), stored, count).view(dtype)


def _padded(values, size, dtype):
    if values.size == size:
        return values
    if not values.size:
        return np.full(size, b"", object) if dtype.hasobject else np.zeros(size, dtype)
    return np.concatenate([values, np.repeat(values[-1:], size - values.size)])


def _rare_array(tensor):
    """Of a type that few models have, by TensorFlow."""
    import tensorflow as tf

    if not hasattr(tf, "make_ndarray"):  # where requests are read without TensorFlow
        raise TypeError("so many values may not be of this type")
    tf.as_dtype(tensor.dtype)
    return tf.make_ndarray(tensor)
