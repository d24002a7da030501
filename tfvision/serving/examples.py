"""The Examples of a request as classify and regress signatures take them."""

from collections.abc import Sequence

import grpc
import numpy as np
from tensorflow_serving.apis.input_pb2 import Input

from tfvision.serving.errors import ServingError

EXAMPLES_NAME = "inputs"  # the one input of a classify or regress signature


def serialized_examples(request_input: Input) -> list[bytes]:
    """The rows of a tensorflow.serving.Input.

    The context, where there is one, is put before each example: protobuf merges what is parsed one after the other.
    """
    kind = request_input.WhichOneof("kind")
    context = request_input.example_list_with_context.context.SerializeToString() if kind == "example_list_with_context" else b""
    return [context + example.SerializeToString() for example in getattr(request_input, kind).examples] if kind else []


def example_rows(serialized: Sequence[bytes]) -> np.ndarray:
    """Object array [batch] of bytes. Raises ServingError, INVALID_ARGUMENT, where there are none."""
    if not serialized:
        raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, "Input is empty.")
    return string_array(serialized)


def string_array(values: Sequence[bytes]) -> np.ndarray:
    """An object array of bytes: numpy's own `S` dtype would drop zeros at the end of a string."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
