"""A detector that others made: a SavedModel, a TFLite or an ONNX file, and the JSON beside it that says what goes in and comes out.

Nothing is guessed: what the JSON says is tried on a grey picture when the detector is opened, so that a wrong shape is told before any photo is read.
"""

import abc
import typing
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from tfvision.data.boxes import FRACTION, cut_box
from tfvision.data.decoding import decode_photo, decoded_size, read_photo
from tfvision.data.detections import Detection, animals_of
from tfvision.data.resizing import resized
from tfvision.errors import DataError, RunError, in_one_line
from tfvision.export.session import LoadedModel
from tfvision.files import checksum_of, read_json, sha256_of
from tfvision.models.tflite import read_tables

LEAST_CONFIDENCE = 0.005  # of what is kept at all, as MegaDetector has it
MOST_BOXES = 300  # of a photo
_BOX_ORDERS = {  # left, top, right, bottom of four numbers in this order
    "xywh": lambda box: (box[:, 0], box[:, 1], box[:, 0] + box[:, 2], box[:, 1] + box[:, 3]),
    "xyxy": lambda box: (box[:, 0], box[:, 1], box[:, 2], box[:, 3]),
    "yxyx": lambda box: (box[:, 1], box[:, 0], box[:, 3], box[:, 2]),
    "cxcywh": lambda box: (box[:, 0] - box[:, 2] / 2, box[:, 1] - box[:, 3] / 2, box[:, 0] + box[:, 2] / 2, box[:, 1] + box[:, 3] / 2),
}
_CHOICES = {"fit": ("stretch", "letterbox"), "layout": ("NHWC", "NCHW"), "type": ("uint8", "float32"), "channels": ("RGB", "BGR")}
_GREY = 114  # of the edges of a letterbox, as YOLO has it
_LARGEST_SIDE = 4096


class Description:
    """What the JSON beside a detector says; docs/species.md has all of it.

    Attributes:
      path: of the JSON.
      size: width and height of the input.
      classes: names by number.
      animals: those that are animals.
    """

    def __init__(self, path: Path) -> None:
        """Reads it. Raises DataError."""
        self.path = path
        if not path.is_file():
            raise DataError(f"{path} does not exist: it says what goes into the detector and comes out; docs/species.md shows one to copy")
        told = read_json(path, {"input": dict, "outputs": dict, "boxes": dict}, "docs/species.md shows one to copy")
        self._input = told["input"]
        for key, choices in _CHOICES.items():
            self._choice(f"input.{key}", self._input.setdefault(key, choices[0]), choices)
        self.size = self._size(self._input.get("size"))
        self._low, self._high = self._numbers("input.scale", self._input.get("scale", [0, 255]), 2)
        self._mean, self._std = (self._numbers(f"input.{key}", self._input.get(key, [of] * 3), 3) for key, of in (("mean", 0), ("std", 1)))
        self.outputs = {str(key): str(name) for key, name in told["outputs"].items()}
        if not ({"predictions"} == set(self.outputs) or {"boxes", "scores"} <= set(self.outputs) <= {"boxes", "scores", "classes"}):
            raise self.fault(f"outputs must name boxes and scores (and classes), or predictions, got {', '.join(self.outputs) or 'nothing'}")
        self._order = self._choice("boxes.order", told["boxes"].get("order"), tuple(_BOX_ORDERS))
        self._is_in_pixels = self._choice("boxes.unit", told["boxes"].get("unit"), ("fraction", "pixel")) == "pixel"
        self.has_objectness = bool(told.get("objectness", False))
        self.classes = self._classes(told.get("classes"))
        self.animals = self._animals(told.get("animals"))
        overlap = told.get("overlap", 0.45 if "predictions" in self.outputs else None)
        if overlap is not None and not (isinstance(overlap, (int, float)) and 0 < overlap <= 1):
            raise self.fault(f"overlap is a share from 0 to 1 above which of two boxes the surer one is kept, got {overlap!r}")
        self.overlap = overlap

    @property
    def signature(self) -> str:
        """Of a SavedModel."""
        return str(self._input.get("signature", "serving_default"))

    def fault(self, text: str) -> DataError:
        """The error for a wrong description."""
        return DataError(f"{self.path}: {text}")

    def prepared(self, pixels: np.ndarray) -> tuple[np.ndarray, tuple[float, float, float, float]]:
        """The input of a photo, [1, ...], and where the photo lies in it: left, top, width, height in pixels of the input."""
        width, height = self.size
        place = (0, 0, width, height)
        if self._input["fit"] == "letterbox":
            share = min(width / pixels.shape[1], height / pixels.shape[0])
            inner = max(1, round(pixels.shape[1] * share)), max(1, round(pixels.shape[0] * share))
            place = ((width - inner[0]) // 2, (height - inner[1]) // 2, *inner)
        canvas = np.full((height, width, 3), _GREY, np.uint8)
        canvas[place[1] : place[1] + place[3], place[0] : place[0] + place[2]] = resized(pixels, place[3], place[2])
        if self._input["channels"] == "BGR":
            canvas = canvas[..., ::-1]
        if self._input["type"] == "float32":
            canvas = self._low + canvas.astype(np.float32) * np.float32((self._high - self._low) / 255)
            canvas = ((canvas - np.float32(self._mean)) / np.float32(self._std)).astype(np.float32)
        if self._input["layout"] == "NCHW":
            canvas = canvas.transpose(2, 0, 1)
        return np.ascontiguousarray(canvas[None]), place

    def detections(self, outputs: Mapping[str, np.ndarray], place: tuple[float, float, float, float]) -> list[Detection]:
        """What the outputs say of a photo that lies at `place` in the input. Raises DataError where they are not as described."""
        boxes, scores, classes = self._of_predictions(outputs) if "predictions" in self.outputs else self._of_arrays(outputs)
        rows = np.flatnonzero(np.isfinite(boxes).all(axis=1) & (scores >= LEAST_CONFIDENCE))
        rows = rows[np.argsort(-scores[rows], kind="stable")][: 10 * MOST_BOXES]
        corners = np.stack(_BOX_ORDERS[self._order](boxes[rows]), axis=1)
        if not self._is_in_pixels:
            corners = corners * np.float64([*self.size, *self.size])
        kept = _without_overlaps(corners, classes[rows], self.overlap) if self.overlap else range(len(rows))
        left, top, width, height = place
        fractions = (corners - np.float64([left, top, left, top])) / np.float64([width, height, width, height])
        found = []
        for row in list(kept)[:MOST_BOXES]:
            x, y, right, bottom = fractions[row].tolist()
            box, problem = cut_box((x, y, right - x, bottom - y), FRACTION)
            name = self.classes.get(int(classes[rows[row]]))
            if name is not None:  # of many detectors 0 is the background
                found.append(Detection(name, float(min(scores[rows[row]], 1.0)), box, "", problem))
        return found

    def _of_arrays(self, outputs):
        boxes, scores = self._array(outputs, "boxes", 2), self._array(outputs, "scores", 2)
        if scores.ndim == 2 and scores.shape == (1, len(boxes)):
            scores = scores[0]
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise self._wrong_shape(outputs, "boxes", "rows of 4 numbers")
        if scores.ndim == 2 and "classes" not in self.outputs:
            classes, scores = scores.argmax(axis=1), scores.max(axis=1, initial=0)
        else:
            classes = self._array(outputs, "classes", 1) if "classes" in self.outputs else np.full(len(scores), min(self.classes))
        if scores.shape != (len(boxes),):
            raise self._wrong_shape(outputs, "scores", f"{len(boxes)} numbers, one a box")
        if classes.shape != (len(boxes),):
            raise self._wrong_shape(outputs, "classes", f"{len(boxes)} numbers, one a box")
        return boxes, scores, np.nan_to_num(classes).astype(np.int64)

    def _of_predictions(self, outputs):
        rows, columns = self._array(outputs, "predictions", 2), 4 + self.has_objectness + 1 + max(self.classes)
        if rows.ndim == 2 and rows.shape[1] != columns and rows.shape[0] == columns:
            rows = rows.T
        if rows.ndim != 2 or rows.shape[1] != columns:
            with_objectness = "an objectness, " if self.has_objectness else ""
            raise self._wrong_shape(outputs, "predictions", f"rows of {columns} numbers: a box, {with_objectness}and {1 + max(self.classes)} classes")
        scores = rows[:, 4 + self.has_objectness :] * (rows[:, 4:5] if self.has_objectness else 1)
        return rows[:, :4], scores.max(axis=1), scores.argmax(axis=1)

    def _array(self, outputs, key, dimensions):
        """An output without the batch of one photo that may stand before its dimensions."""
        name = self.outputs[key]
        if name not in outputs:
            raise self.fault(f"the detector has no output {name!r}; its outputs are {', '.join(sorted(outputs))}")
        array = np.asarray(outputs[name])
        return (array[0] if array.ndim == dimensions + 1 and len(array) == 1 else array).astype(np.float64)

    def _wrong_shape(self, outputs, key, expected):
        shape = " x ".join(map(str, np.shape(outputs[self.outputs[key]])))
        return self.fault(f"the detector's output {self.outputs[key]!r} has the shape {shape or 'of one number'}; as {key} it must be {expected}")

    def _choice(self, name, given, choices):
        if given not in choices:
            raise self.fault(f"{name} must be one of {', '.join(choices)}, got {given!r}")
        return given

    def _size(self, given):
        if not (isinstance(given, list) and len(given) == 2 and all(type(side) is int and 1 <= side <= _LARGEST_SIDE for side in given)):
            raise self.fault(f"input.size must be [width, height] in pixels, {_LARGEST_SIDE} at most, got {given!r}")
        return given[0], given[1]

    def _numbers(self, name, given, count):
        if not (isinstance(given, list) and len(given) == count and all(isinstance(value, (int, float)) for value in given)):
            raise self.fault(f"{name} must be {count} numbers, got {given!r}")
        return given

    def _classes(self, given):
        names = dict(enumerate(given)) if isinstance(given, list) else given
        try:
            classes = {int(number): str(name) for number, name in names.items()}
        except (AttributeError, TypeError, ValueError):
            classes = {}
        if not classes or min(classes) < 0 or len(set(classes.values())) < len(classes):
            raise self.fault(f"classes must be a list of different names, or names by number, got {given!r}")
        return classes

    def _animals(self, given):
        if given is None:
            return animals_of(self.classes.values())
        if not isinstance(given, list) or not set(given) <= set(self.classes.values()):
            raise self.fault(f"animals must be a list of some of the classes, got {given!r}")
        return frozenset(given)


class Detector:
    """A detector that looks at photos; a data.detections.Finder.

    Attributes:
      name: of its file.
      identity: changes with whatever it finds depends on.
      animals: the names of its classes that are animals.
      categories: names by id, for MegaDetector's JSON.
    """

    def __init__(self, path: str | Path) -> None:
        """Opens a SavedModel's folder, a .tflite or an .onnx, and the JSON of the same name beside it.

        Raises:
          DataError: it is none of these, or is not as the JSON says.
        """
        path = Path(path)
        if not path.exists():
            raise DataError(f"{path} does not exist: --detector takes a SavedModel's folder, a .tflite or an .onnx file")
        kind = _kind_of(path)
        self.name = path.name
        self._description = Description(path.parent / f"{path.name if path.is_dir() else path.stem}.json")
        parts = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
        self.identity = checksum_of([sha256_of(one) for one in (*parts, self._description.path)])
        self.animals = self._description.animals
        self.categories = {str(number): name for number, name in self._description.classes.items()}
        self._program = kind(path, self._description)
        self._check_input()
        self._detections(np.full((*self._description.size[::-1], 3), _GREY, np.uint8))

    def of(self, photo: str) -> tuple[list[Detection], str]:
        """Looks at a photo: its detections, the surest first, and "" or why it cannot be read."""
        try:
            return self._detections(self._pixels(photo)), ""
        except DataError as error:
            if str(error).startswith(str(self._description.path)):
                raise
            return [], str(error)

    def _pixels(self, photo):
        """Of a JPEG at the smallest scale that still has the pixels of the input."""
        encoded = read_photo(photo)
        wide, high = self._description.size
        for ratio in (8, 4, 2, 1):
            height, width = decoded_size(encoded, ratio)
            if ratio == 1 or (height >= high and width >= wide):
                return decode_photo(encoded, ratio, photo)

    def _check_input(self):
        """For what runs programs, casts numbers and resizes inputs in silence."""
        grey, _ = self._description.prepared(np.full((1, 1, 3), _GREY, np.uint8))
        shape, kind = self._program.takes
        is_of = len(shape) == grey.ndim and all(side in (None, given) for side, given in zip(shape, grey.shape, strict=True)) if shape else True
        if not is_of or kind != grey.dtype.name:
            told = " x ".join("any" if side is None else str(side) for side in shape) if shape else "any shape"
            given = f"{' x '.join(map(str, grey.shape))}, {grey.dtype.name}"
            raise self._description.fault(f"the detector takes a photo of {told}, {kind}; by input.size, layout and type it would get {given}")

    def _detections(self, pixels):
        prepared, place = self._description.prepared(pixels)
        return self._description.detections(self._program.run(prepared), place)


class _Program(abc.ABC):
    """What runs a detector: one input, outputs by name.

    Attributes:
      takes: shape of the input, None for any side, () for any shape; and NumPy's name of its numbers.
    """

    takes: tuple[tuple[int | None, ...], str]

    @abc.abstractmethod
    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Raises DataError where the input has another shape or type."""


class _SavedModel(_Program):
    def __init__(self, path, description):
        import tensorflow as tf

        try:
            self._model = LoadedModel(path)
        except RunError as error:
            raise DataError(str(error).removesuffix(": export it again")) from error
        self._description, signature = description, description.signature
        if signature not in self._model.signatures:
            raise description.fault(f"the detector has no signature {signature!r} (input.signature); it has {', '.join(sorted(self._model.signatures))}")
        inputs = self._model.signatures[signature].inputs
        self._input = _only(list(inputs), description)
        tensor = inputs[self._input]
        shape = tuple(dim.size if dim.size >= 0 else None for dim in tensor.tensor_shape.dim)
        self.takes = shape, tf.dtypes.as_dtype(tensor.dtype).name

    def run(self, image):
        import tensorflow as tf

        with _told(self._description, ValueError, tf.errors.OpError):
            return self._model.run(self._description.signature, {self._input: image})


class _TFLite(_Program):
    def __init__(self, path, description):
        import tensorflow as tf

        read_tables(path, DataError)
        self._description = description
        with _told(description, ValueError, RuntimeError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it advises another package, which TensorFlow 2.15 does not know
            self._interpreter = tf.lite.Interpreter(model_path=str(path))
            self._runner = self._interpreter.get_signature_runner() if self._interpreter.get_signature_list() else None
        details = self._interpreter.get_input_details()
        _only([one["name"] for one in details], description)
        self.takes = tuple(None if side < 0 else int(side) for side in details[0]["shape_signature"]), np.dtype(details[0]["dtype"]).name

    def run(self, image):
        with _told(self._description, ValueError, RuntimeError):
            if self._runner:
                return self._runner(**{_only(list(self._runner.get_input_details()), self._description): image})
            details = self._interpreter.get_input_details()[0]
            if tuple(details["shape"]) != image.shape:
                self._interpreter.resize_tensor_input(details["index"], image.shape)
            self._interpreter.allocate_tensors()
            self._interpreter.set_tensor(details["index"], image)
            self._interpreter.invoke()
            return {one["name"]: self._interpreter.get_tensor(one["index"]) for one in self._interpreter.get_output_details()}


class _ONNX(_Program):
    def __init__(self, path, description):
        try:
            import onnxruntime
        except ImportError:
            raise DataError(f"{path} needs onnxruntime: pip install 'tfvision[onnx]'") from None
        self._description = description
        with _told(description, Exception):  # onnxruntime's errors are of many kinds, and derive from nothing else
            self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        inputs = self._session.get_inputs()
        self._input = _only([one.name for one in inputs], description)
        shape = tuple(side if isinstance(side, int) else None for side in inputs[0].shape)
        self.takes = shape, {"tensor(float)": "float32"}.get(inputs[0].type, inputs[0].type.removeprefix("tensor(").removesuffix(")"))
        self._outputs = [one.name for one in self._session.get_outputs()]

    def run(self, image):
        with _told(self._description, Exception):
            return dict(zip(self._outputs, self._session.run(self._outputs, {self._input: image}), strict=True))


def _kind_of(path: Path) -> Callable[[Path, Description], _Program]:
    kinds = {".tflite": _TFLite, ".onnx": _ONNX}
    if not path.is_dir() and path.suffix.lower() not in kinds:
        raise DataError(f"{path} is no detector that can be run: --detector takes a SavedModel's folder, a .tflite or an .onnx file")
    return _SavedModel if path.is_dir() else kinds[path.suffix.lower()]


class _told:
    """Turns what a program raises into one line that names the description."""

    def __init__(self, description: Description, *kinds: type[Exception]) -> None:
        self._description, self._kinds = description, kinds

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: typing.Any) -> None:
        if isinstance(error, self._kinds) and not isinstance(error, DataError):
            raise self._description.fault(f"the detector does not take what is described here ({in_one_line(error)})") from error


def _only(names: list[str], description: Description) -> str:
    if len(names) != 1:
        raise description.fault(f"a detector takes one input, a photo; this one takes {len(names)}: {', '.join(sorted(names))}")
    return names[0]


def _without_overlaps(corners: np.ndarray, classes: np.ndarray, most: float) -> list[int]:
    """Of boxes of one class that overlap by more than `most` (of their union) the first: rows, in order.

    Args:
      corners: float [boxes, 4], left, top, right, bottom, the surest first.
    """
    areas = np.maximum(corners[:, 2] - corners[:, 0], 0) * np.maximum(corners[:, 3] - corners[:, 1], 0)
    kept: list[int] = []
    left = np.arange(len(corners))
    while len(left) and len(kept) < MOST_BOXES:
        first, left = left[0], left[1:]
        kept.append(int(first))
        low, high = np.maximum(corners[left, :2], corners[first, :2]), np.minimum(corners[left, 2:], corners[first, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        is_other = classes[left] != classes[first]
        left = left[is_other | (shared <= most * (areas[left] + areas[first] - shared))]
    return kept
