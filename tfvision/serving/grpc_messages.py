"""The messages of gRPC requests: read, and judged before by what reading them costs."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from tensorflow_serving.apis import predict_pb2

from tfvision.serving.errors import ServingError
from tfvision.serving.examples import serialized_examples
from tfvision.serving.tensor_protos import to_array

_SURELY_SMALL_BYTES = 8 * 1024
_OF_LITTLE_MEMORY_BYTES = 2**20
_MOST_VALUES = 5_000
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_FIXED_BYTES = {
    FieldDescriptor.TYPE_FLOAT: 4,
    FieldDescriptor.TYPE_FIXED32: 4,
    FieldDescriptor.TYPE_SFIXED32: 4,
    FieldDescriptor.TYPE_DOUBLE: 8,
    FieldDescriptor.TYPE_FIXED64: 8,
    FieldDescriptor.TYPE_SFIXED64: 8,
}
_NOT_PACKED = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)


def read_message(data: bytes | bytearray, request_class: Any) -> Any:
    """Bytes -> a message. Raises ServingError, INTERNAL as gRPC's C++ has it, where they are none."""
    try:
        return request_class.FromString(bytes(data))
    except Exception:  # protobuf's DecodeError has a different home in each of its major versions, and does not tell too little memory apart
        or_large = ", or takes too much memory to be read: send fewer values" if len(data) > _OF_LITTLE_MEMORY_BYTES else ""
        raise ServingError(grpc.StatusCode.INTERNAL, f"The message is no {request_class.__name__}{or_large}") from None


def read_predict(data: bytes | bytearray) -> tuple[predict_pb2.PredictRequest, dict[str, np.ndarray]]:
    """Bytes -> (the PredictRequest without its inputs, {input: array}). Raises ServingError."""
    request = read_message(data, predict_pb2.PredictRequest)
    inputs = input_arrays(request)
    request.ClearField("inputs")
    return request, inputs


def input_arrays(request: predict_pb2.PredictRequest) -> dict[str, np.ndarray]:
    """{input: array}. Raises ServingError."""
    return {name: to_array(name, tensor) for name, tensor in request.inputs.items()}


def read_examples(data: bytes | bytearray, request_class: Any) -> tuple[Any, list[bytes]]:
    """Bytes -> (the request without its Examples, serialized Examples). Raises ServingError."""
    request = read_message(data, request_class)
    examples = serialized_examples(request.input)
    request.ClearField("input")
    return request, examples


def is_intricate(data: bytes, descriptor: Descriptor) -> bool:
    """Whether a message has so many values that reading it would hold up other requests noticeably, or is broken: a photo of ten megabytes
    is one value."""
    if len(data) <= _SURELY_SMALL_BYTES:
        return False
    try:
        return _values(memoryview(data), descriptor, _MOST_VALUES) > _MOST_VALUES
    except (IndexError, ValueError):
        return True


def _values(data, descriptor, most):
    """How many values a serialized message has, or more than `most`."""
    fields, count, position = descriptor.fields_by_number, 0, 0
    while position < len(data) and count <= most:
        key, position = _varint(data, position)
        kind, count = key & 7, count + 1
        if kind == _VARINT:
            _, position = _varint(data, position)
        elif kind == _BYTES:
            size, position = _varint(data, position)
            if position + size > len(data):
                raise ValueError("cut short")
            field = fields.get(key >> 3)
            if field is not None and field.message_type is not None:
                count += _values(data[position : position + size], field.message_type, most - count)
            elif field is not None and field.type not in _NOT_PACKED:
                count += size // _FIXED_BYTES.get(field.type, 1)
            position += size
        elif kind in (_FIXED64, _FIXED32):
            position += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("groups are not used")
    return count


def _varint(data, position):
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
        if shift > 63:
            raise ValueError("no varint")
