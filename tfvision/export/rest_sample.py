"""The sample request and response beside an export, in TensorFlow Serving's REST format."""

import base64
from collections.abc import Mapping

import numpy as np


def rest_request(inputs: Mapping[str, np.ndarray]) -> dict:
    """Arrays by input -> the body of a :predict request, one object a row."""
    return {"instances": [{name: _encoded(values[row]) for name, values in inputs.items()} for row in _rows(inputs)]}


def rest_response(outputs: Mapping[str, np.ndarray]) -> dict:
    """Arrays by output -> the body of its response."""
    return {"predictions": rows_of(outputs)}


def rows_of(outputs: Mapping[str, np.ndarray]) -> list[dict]:
    """Arrays by output -> a dict a row, of str, float and lists of them."""
    return [{name: _decoded(values[row], name) for name, values in outputs.items()} for row in _rows(outputs)]


def _rows(arrays):
    return range(len(next(iter(arrays.values()))))


def _encoded(value):
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else np.asarray(value).tolist()


def _decoded(value, name=""):
    if isinstance(value, bytes):  # as TensorFlow Serving does, which looks at the output's name
        return _encoded(value) if name.endswith("_bytes") else value.decode()
    return [_decoded(part, name) for part in value] if np.asarray(value).dtype == object else np.asarray(value).tolist()
