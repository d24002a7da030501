"""TFLite files of others: read within their bounds, held to plain operations of a network, and run at any size of the picture."""

import functools
import math
import os
import threading
import typing
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfvision.errors import UserError, WeightsError, in_one_line

_MAGIC = b"TFL3"
_LARGEST_BYTES = 200_000_000
_LARGEST_FACTOR = 8  # by which a picture is enlarged or padded within
_STEPS = ("strideH", "strideW", "dilationHFactor", "dilationWFactor", "filterHeight", "filterWidth", "depthMultiplier")
_LARGEST_STEP = 4096
_SIZED = ("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR")  # to a size that is a constant of the file
_OPERATIONS = (  # of plain networks; none of them reaches out
    "ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEQUANTIZE DIV FULLY_CONNECTED HARD_SWISH LEAKY_RELU LOGISTIC MAX_POOL_2D MAXIMUM "
    "MEAN MINIMUM MIRROR_PAD MUL PAD PRELU QUANTIZE RELU RELU6 RESHAPE RSQRT SQRT SQUARE SQUARED_DIFFERENCE SUB SUM TANH"
)


class Tensor(typing.NamedTuple):
    """An input or an output: its number in the file, its shape there, and whether it is float32."""

    number: int
    shape: tuple[int, ...]
    is_float: bool


class TFLiteNetwork:
    """A network of one graph without state, of plain operations, that runs at any size of its picture.

    Attributes:
      path: of the file.
      inputs, outputs: Tensors in the file's order.
    """

    def __init__(self, path: Path) -> None:
        """Reads it; nothing runs yet. Raises WeightsError where it is damaged or does other things than plain networks."""
        self.path = path
        self._tables = read_tables(path, WeightsError)
        with self._told():
            _check_plain(self._tables)
            graph = self._tables.subgraphs[0]
            self.inputs, self.outputs = ([_tensor(graph, number) for number in numbers] for numbers in (graph.inputs, graph.outputs))
            self._sizes = {number: _numbers_of(self._tables, number) for number in _size_constants(self._tables)}
        self._lock = threading.Lock()  # an interpreter serves one call at a time
        self._interpreter_of = functools.lru_cache(maxsize=2)(self._interpreter)  # a photo painted twice as large is painted at two sizes

    def run(self, feeds: Sequence[np.ndarray]) -> np.ndarray:
        """The first output of float32 inputs in the file's order.

        The largest, [1, height, width, channels], may have any height and width that the network's strides divide: the sizes to which the
        network enlarges within, which a file has as numbers for its own size, are changed alike.

        Raises:
          WeightsError: the network cannot be run.
        """
        with self._lock, self._told():
            interpreter = self._interpreter_of(tuple(feed.shape for feed in feeds))
            for details, feed in zip(interpreter.get_input_details(), feeds, strict=True):
                interpreter.set_tensor(details["index"], feed)
            interpreter.invoke()
            return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    def _interpreter(self, shapes):
        import tensorflow as tf

        drawn, given = max(((tensor.shape, shape) for tensor, shape in zip(self.inputs, shapes, strict=True)), key=lambda pair: math.prod(pair[0]))
        for number, size in self._sizes.items():
            scaled = [round(side * given[axis] / drawn[axis]) for axis, side in enumerate(size, 1)]
            _buffer_of(self._tables, number).data = np.array(scaled, "<i4").view(np.uint8)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it advises another package, which TensorFlow 2.15 does not know
            # XNNPACK, the default, is no faster here, keeps ten times the memory and announces itself.
            resolver = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            interpreter = tf.lite.Interpreter(
                model_content=_packed(self._tables), num_threads=len(os.sched_getaffinity(0)), experimental_op_resolver_type=resolver
            )
        for details, shape in zip(interpreter.get_input_details(), shapes, strict=True):
            interpreter.resize_tensor_input(details["index"], shape)
        interpreter.allocate_tensors()
        return interpreter

    def _told(self):
        return _Told(self.path)


def read_tables(path: Path, error: type[UserError]) -> typing.Any:
    """Reads a TFLite file's tables within their bounds, for the interpreter follows damaged ones out of memory.

    Returns:
      ModelT of TensorFlow Lite's schema. Raises `error` where the file is none, is damaged or too large.
    """
    from tensorflow.lite.python.schema_py_generated import ModelT

    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise ValueError(f"it has more than {_LARGEST_BYTES:,} bytes")
        content = path.read_bytes()
        if content[4:8] != _MAGIC:
            raise ValueError("it does not begin as one")
        return ModelT.InitFromPackedBuf(content, 0)
    except OSError as fault:
        raise error(f"{path} cannot be read ({fault.strerror})") from fault
    except Exception as fault:  # whatever an offset that leads nowhere makes of a table
        raise error(f"{path} is a damaged TFLite file, or none ({in_one_line(fault)}): download it again") from fault


class _Told:
    """Turns what tables and interpreter raise into one line that names the file."""

    def __init__(self, path):
        self._path = path

    def __enter__(self):
        pass

    def __exit__(self, kind, error, trace):
        if isinstance(error, Exception) and not isinstance(error, UserError):
            raise WeightsError(f"{self._path} is no network that can be run ({in_one_line(error)}): download it again") from error


def _check_plain(tables):
    """Raises ValueError where a file asks for more than one graph of plain operations."""
    from tensorflow.lite.python.schema_py_generated import BuiltinOperator

    names = {number: name for name, number in vars(BuiltinOperator).items() if isinstance(number, int)}
    if len(tables.subgraphs) != 1:
        raise ValueError(f"it has {len(tables.subgraphs)} graphs, expected one")
    for code in tables.operatorCodes:
        name = names.get(max(code.builtinCode, code.deprecatedBuiltinCode), "unknown")
        if name not in (*_OPERATIONS.split(), *_SIZED):
            raise ValueError(f"its operation {name} is none that such a network needs")
    _check_order(tables)
    # What is not needed to run it is not handed on.
    tables.signatureDefs = tables.metadata = tables.metadataBuffer = None


def _check_order(tables):
    """Raises ValueError where an operation reads what none before it has made, or overwrites something: the interpreter trusts the file in this."""
    graph = tables.subgraphs[0]
    is_constant = [tables.buffers[tensor.buffer].data is not None and len(tables.buffers[tensor.buffer].data) > 0 for tensor in graph.tensors]
    known = {number for number, constant in enumerate(is_constant) if constant}
    if known & {int(number) for number in graph.inputs}:
        raise ValueError("an input of it has values")
    known |= {int(number) for number in graph.inputs}
    for operator in graph.operators:
        read, made = {int(number) for number in operator.inputs}, [int(number) for number in operator.outputs]
        if not read <= known or len(made) != 1 or made[0] in known or not 0 <= made[0] < len(graph.tensors):
            raise ValueError("its operations do not follow from each other")
        known.add(made[0])
        if not all(0 < getattr(operator.builtinOptions, step, 1) <= _LARGEST_STEP for step in _STEPS):
            raise ValueError("one of its operations goes in steps of no size")
    if not {int(number) for number in graph.outputs} <= known:
        raise ValueError("nothing makes its output")


def _tensor(graph, number):
    from tensorflow.lite.python.schema_py_generated import TensorType

    tensor = graph.tensors[number]
    return Tensor(int(number), tuple(int(side) for side in tensor.shape), tensor.type == TensorType.FLOAT32)


def _size_constants(tables):
    """The numbers of the tensors to whose values the graph enlarges."""
    from tensorflow.lite.python.schema_py_generated import BuiltinOperator

    graph, sized = tables.subgraphs[0], [getattr(BuiltinOperator, name) for name in _SIZED]
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in tables.operatorCodes]
    return {int(operator.inputs[1]) for operator in graph.operators if codes[operator.opcodeIndex] in sized}


def _buffer_of(tables, number):
    return tables.buffers[tables.subgraphs[0].tensors[number].buffer]


def _numbers_of(tables, number):
    """Two int32 of a constant. Raises ValueError where they cannot be sizes."""
    data = _buffer_of(tables, number).data
    numbers = np.asarray(data, np.uint8).view("<i4").tolist() if data is not None else []
    largest = _LARGEST_FACTOR * max(max(_tensor(tables.subgraphs[0], one).shape, default=1) for one in tables.subgraphs[0].inputs)
    if len(numbers) != 2 or not all(0 < side <= largest for side in numbers):
        raise ValueError(f"it enlarges to {numbers}")
    return numbers


def _packed(tables):
    """The tables as a file: whole, whatever the one that was read looked like."""
    import flatbuffers

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(tables.Pack(builder), _MAGIC)
    return bytes(builder.Output())
