"""TensorFlow Serving's REST documents: JSON requests to arrays and Examples, results to JSON.

The rules and the words of its errors are those of its util/json_tensor.cc. It leaves that source in this: an input with a default
may be left out, of all rows alike, as in gRPC.
"""

import math
import typing
from collections.abc import Callable, Mapping

import numpy as np
from tensorflow.core.example import example_pb2, feature_pb2
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

from tfvision.serving.errors import ServingError
from tfvision.serving.examples import serialized_examples
from tfvision.serving.json_document import DocumentError, read_document
from tfvision.serving.json_tensors import Unfit, decode_string, explain, invalid, is_base64, to_array
from tfvision.serving.json_text import decimal_text, dump, json_type, quote, tensor_texts
from tfvision.serving.versions import DEFAULT_SIGNATURE


class PredictJson(typing.NamedTuple):
    """A parsed predict request."""

    signature_name: str  # "" where the request names none
    inputs: dict[str, np.ndarray]  # strings as objects of bytes
    is_row: bool  # asked with `instances`, answered with `predictions`


def parse_predict_request(body: bytes | bytearray, find_signature: Callable[[str], SignatureDef]) -> PredictJson:
    """JSON bytes -> PredictJson.

    Args:
      body: `{"signature_name": ..., "instances": [...]}` or `{..., "inputs": ...}`.
      find_signature: signature name ("" is the default one) -> SignatureDef.

    Raises:
      ServingError: INVALID_ARGUMENT; UNIMPLEMENTED for inputs of a type that JSON does not carry.
    """
    document, signature_name = _parse(body)
    signature = find_signature(signature_name)
    types, defaults = {name: info.dtype for name, info in signature.inputs.items()}, set(signature.defaults)
    if not types:
        raise invalid(f"Failed to get input map for signature: {signature_name or 'DEFAULT'}")
    if "instances" not in document and "inputs" not in document:
        raise invalid("Missing 'inputs' or 'instances' key")
    if "instances" in document and "inputs" in document:
        raise _malformed(document, "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ")
    if "inputs" in document:
        return PredictJson(signature_name, _column_inputs(document["inputs"], types, defaults), is_row=False)
    return PredictJson(signature_name, _row_inputs(document, types, defaults), is_row=True)


def named_signature(signatures: Mapping[str, SignatureDef] | ServingError, name: str) -> SignatureDef:
    """One of a model's SignatureDefs ("" is the default one); raises ServingError where there is none by this name, or the one given."""
    if isinstance(signatures, ServingError):
        raise signatures
    name = name or DEFAULT_SIGNATURE
    if name not in signatures:
        raise invalid(f'Serving signature name: "{name}" not found in signature def')
    return signatures[name]


def parse_examples_request(body: bytes | bytearray) -> tuple[str, input_pb2.Input]:
    """JSON bytes of a classify or regress request -> (signature name, Input of Examples). Raises ServingError."""
    document, signature_name = _parse(body)
    request = input_pb2.Input()
    examples = request.example_list.examples
    if "context" in document:
        request.example_list_with_context.context.CopyFrom(_example(document["context"]))
        examples = request.example_list_with_context.examples
    if "examples" not in document:
        raise _malformed(document, "When method is classify, key 'examples' is expected and was not found")
    if not isinstance(document["examples"], list):
        raise _malformed(document, "Expecting 'examples' value to be an list/array")
    if not document["examples"]:
        raise _malformed(document, "'examples' value is an empty array")
    examples.extend(_example(value) for value in document["examples"])
    return signature_name, request


def parse_serialized_examples(body: bytes | bytearray) -> tuple[str, list[bytes]]:
    """As `parse_examples_request`: (signature name, serialized Examples)."""
    signature_name, request = parse_examples_request(body)
    return signature_name, serialized_examples(request)


def format_predictions(outputs: dict[str, np.ndarray], is_row: bool) -> bytes:
    """Arrays by name -> JSON bytes of the answer: `predictions`, one a row, or `outputs`, one a tensor.

    Raises:
      ServingError: rows were asked for, and the outputs share no first dimension; a type JSON cannot carry.
    """
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    if is_row:
        _check_batch(outputs)
    by_row = is_row and len(outputs) > 1
    texts = {name: tensor_texts(name, array, by_row) for name, array in outputs.items()}
    if by_row:
        answer = _list(_object(dict(zip(texts, row, strict=True))) for row in zip(*texts.values(), strict=True))
    else:
        columns = {name: text for name, (text,) in texts.items()}
        answer = _object(columns) if len(columns) > 1 else next(iter(columns.values()))
    return _object({"predictions" if is_row else "outputs": answer}).encode()


def format_classifications(result: classification_pb2.ClassificationResult) -> bytes:
    """ClassificationResult -> JSON bytes: a list of [label, score] an Example."""
    if not result.classifications:
        raise invalid("Cannot convert empty ClassificationResults to JSON")
    rows = (_list(f"[{dump(item.label)},{decimal_text(item.score)}]" for item in row.classes) for row in result.classifications)
    return _object({"results": _list(rows)}).encode()


def format_regressions(result: regression_pb2.RegressionResult) -> bytes:
    """RegressionResult -> JSON bytes: a number an Example."""
    if not result.regressions:
        raise invalid("Cannot convert empty RegressionResults to JSON")
    return _object({"results": _list(decimal_text(item.value) for item in result.regressions)}).encode()


def format_error(message: str) -> bytes:
    """The body of every error."""
    return dump({"error": message}).encode("utf-8", "replace")


def _parse(body):
    """JSON bytes -> (dict, signature name)."""
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document = read_document(body)
    except DocumentError as error:
        raise invalid(f"JSON Parse error: {error}") from None
    if not isinstance(document, dict):
        raise _malformed(document, "Is not object")
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise _malformed(document, "not formatted correctly. 'signature_name' key must be a string value.")
    return document, name


def _row_inputs(document, types, defaults):
    instances = document["instances"]
    if not isinstance(instances, list):
        raise _malformed(document, "Expecting 'instances' to be an list/array")
    if not instances:
        raise _malformed(document, "No values in 'instances' array")
    if not isinstance(instances[0], dict) and len(types) > 1:
        raise invalid("instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map")
    left_out = defaults - instances[0].keys() if _is_named(instances[0]) else ()  # the first row decides for all
    names = [name for name in types if name not in left_out]
    try:
        return {name: to_array(values, types[name]) for name, values in _columns(instances, names).items()}
    except Unfit:
        _explain_rows(instances, types, names)
        raise _too_deep(names[0]) from None


def _columns(instances, names):
    """Instances -> {input name: its value in each of them}."""
    if not _is_named(instances[0]):
        return {names[0]: instances}
    for instance in instances:
        if not isinstance(instance, dict) or instance.keys() != set(names):
            raise Unfit
    return {name: [instance[name] for instance in instances] for name in names}


def _is_named(value):
    return isinstance(value, dict) and not is_base64(value)


def _explain_rows(instances, types, names):
    """Walks the instances as TensorFlow Serving does and raises its error for the first that does not fit."""
    shapes: dict[str, list[int]] = {}
    are_named = _is_named(instances[0])
    for number, instance in enumerate(instances):
        if are_named != _is_named(instance):
            got = "Expecting object but got list" if are_named else "Expecting value/list but got object"
            raise invalid(f"{got} at item {number} of input list")
        for name, value in instance.items() if are_named else [(names[0], instance)]:
            try:
                _walk_instance(name, value, types, shapes)
            except ServingError as error:
                where = f"{number} key: {name}" if are_named else number
                reason = f"{error.code.name}: {error.message}"
                raise invalid(f"Failed to process element: {where} of 'instances' list. Error: {reason}") from None
        if are_named and instance.keys() != set(names):
            rule = f"keys must be equal to: {','.join(sorted(names))}"
            raise invalid(f"Failed to process element: {number} of 'instances' list. JSON object: {quote(instance)} {rule}")


def _walk_instance(name, value, types, shapes):
    if name not in types:
        raise invalid(f"JSON object: does not have named input: {name}")
    shape = explain(name, value, types[name])
    expected = shapes.setdefault(name, shape)
    if math.prod(shape) != math.prod(expected):
        raise invalid(f"Expecting tensor size: {math.prod(expected)} but got: {math.prod(shape)}")
    if shape != expected:
        shapes_text = [f"[{','.join(map(str, sizes))}]" for sizes in (expected, shape)]
        raise invalid(f"Expecting shape {shapes_text[0]} but got: {shapes_text[1]}")


def _column_inputs(value, types, defaults):
    if not _is_named(value):
        if len(types) > 1:
            raise invalid("inputs is a plain value/list, but expecting an object as multiple input tensors required as per tensorinfo_map")
        value = {next(iter(types)): value}
    inputs = {}
    for name, dtype in types.items():
        if name not in value and name in defaults:
            continue
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        try:
            inputs[name] = to_array(value[name], dtype)
        except Unfit:
            explain(name, value[name], dtype)
            raise _too_deep(name) from None
    return inputs


def _example(value):
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {json_type(value)}")
    for name in value:
        if any("\ud800" <= character <= "\udfff" for character in name):
            raise invalid(f"Feature: {name!a} is not UTF-8")
    features = {name: _feature(name, items if isinstance(items, list) else [items]) for name, items in value.items()}
    return example_pb2.Example(features=feature_pb2.Features(feature=features))


def _feature(name, items):
    """Values of one kind -> Feature: strings, integers and booleans, or decimals."""
    kinds = list(dict.fromkeys(_kind(name, items[index]) for index in _first_of_each_type(items)))
    if len(kinds) > 1:
        raise invalid(f"Unexpected element type in feature: {name} expecting type: {kinds[0]}")
    if kinds == ["bytes"]:
        return feature_pb2.Feature(bytes_list=feature_pb2.BytesList(value=map(decode_string, items)))
    if kinds == ["int64"]:
        if max(items) >= 2**63:
            raise invalid(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
        return feature_pb2.Feature(int64_list=feature_pb2.Int64List(value=map(int, items)))
    if kinds == ["float"]:
        return feature_pb2.Feature(float_list=feature_pb2.FloatList(value=to_array(items, types_pb2.DT_FLOAT).tolist()))
    return feature_pb2.Feature()


def _first_of_each_type(items):
    """Positions, so that a long list of numbers is not walked one by one."""
    types = list(map(type, items))
    return sorted(types.index(found) for found in set(types))


def _kind(name, item):
    if isinstance(item, str) or is_base64(item):
        return "bytes"
    if isinstance(item, (int, float)):
        return "float" if isinstance(item, float) else "int64"
    raise invalid(f"Feature: {name} has element with unexpected JSON type: {json_type(item)}")


def _check_batch(outputs):
    size = None
    for name, array in outputs.items():
        if not np.ndim(array):
            raise invalid(f"Tensor name: {name} has no shape information ")
        if size is not None and len(array) != size:
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {size}")
        size = len(array)


def _object(members):
    """{name: JSON text} -> JSON text."""
    return f"{{{','.join(f'{dump(name)}:{text}' for name, text in members.items())}}}"


def _list(texts):
    return f"[{','.join(texts)}]"


def _malformed(document, reason):
    return invalid(f"JSON Value: {quote(document)} {reason}")


def _too_deep(name):
    return invalid(f"tensor parsing error: {name}: more dimensions than this server's numpy has")
