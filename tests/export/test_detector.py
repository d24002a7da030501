"""Detectors of others: tiny ones that find what is red, as a SavedModel, TFLite and ONNX."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfvision.data.detections import Detections, DetectorLog, find_animals
from tfvision.errors import DataError
from tfvision.export.detector import Description, Detector, _without_overlaps

SIZE = 16
TOLD = {
    "input": {"size": [SIZE, SIZE], "type": "float32", "scale": [0, 1]},
    "outputs": {"boxes": "boxes", "scores": "scores", "classes": "classes"},
    "boxes": {"order": "yxyx", "unit": "fraction"},
    "classes": {"1": "animal", "2": "person"},
}


class _RedThings(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([1, SIZE, SIZE, 3], tf.float32, "photo")], autograph=False)
    def __call__(self, photo):
        """The box around all that is red, class 1, its share as score; and one of class 2 that nobody is sure of."""
        is_red = tf.cast((photo[0, ..., 0] > 0.6) & (photo[0, ..., 1] < 0.4), tf.float32)
        edges = []
        for axis in (1, 0):
            line = tf.reduce_max(is_red, axis)
            edges += [tf.argmax(line), SIZE - tf.argmax(tf.reverse(line, [0]))]
        top, bottom, left, right = (tf.cast(edge, tf.float32) / SIZE for edge in edges)
        boxes = tf.stack([tf.stack([top, left, bottom, right]), tf.constant([0.0, 0.0, 1.0, 1.0])])[None]
        return {"boxes": boxes, "scores": tf.stack([tf.reduce_max(is_red) * 0.9, 0.1])[None], "classes": tf.constant([[1.0, 2.0]])}


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """{kind: path} of the tiny detector."""
    folder, module = tmp_path_factory.mktemp("detectors"), _RedThings()
    tf.saved_model.save(module, str(folder / "saved"), signatures=module.__call__.get_concrete_function())
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.__call__.get_concrete_function()], module)
    (folder / "tiny.tflite").write_bytes(converter.convert())
    for name in ("tiny", "saved"):
        (folder / f"{name}.json").write_text(json.dumps(TOLD))
    return folder


@pytest.fixture
def photo(tmp_path):
    """A photo of 160 x 80 pixels with a red thing at 40,20, 60 x 30 pixels."""
    pixels = np.full((80, 160, 3), 90, np.uint8)
    pixels[20:50, 40:100] = (255, 0, 0)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def _described(folder, **changes):
    told = {**TOLD, **changes}
    (folder / "x.json").write_text(json.dumps(told))
    return Description(folder / "x.json")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["saved", "tiny.tflite"])
def test_a_detector_looks_at_photos(programs, photo, name, tmp_path):
    detector = Detector(programs / name)
    found = find_animals(photo, detector)
    (animal,) = found.animals
    assert animal.category == "animal" and animal.confidence == pytest.approx(0.9) and found.counts == {"animal": 1}
    np.testing.assert_allclose(animal.box, (40 / 160, 20 / 80, 60 / 160, 30 / 80), atol=1 / SIZE)
    assert [one.category for one in detector.of(photo)[0]] == ["animal", "person"] and detector.name == name
    assert detector.categories == {"1": "animal", "2": "person"}
    log = DetectorLog(detector)
    log.of(photo)
    log.write(tmp_path / "md.json")
    again = find_animals(photo, Detections.read(tmp_path / "md.json")).animals
    assert [one.box for one in again] == [pytest.approx(animal.box, abs=1e-4)] and again[0].confidence == pytest.approx(0.9)
    assert detector.of("gone.jpg") == ([], "gone.jpg cannot be read (No such file or directory)")


def test_an_onnx_detector(tmp_path, photo):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper

    boxes = np.float32([[[8, 5, 4, 2], [8, 8, 16, 16]]])  # centres and sizes in pixels of the input
    nodes = [helper.make_node("ReduceMax", ["images"], ["most"], keepdims=0), helper.make_node("Mul", ["most", "weights"], ["scores"])]
    nodes.append(helper.make_node("Concat", ["places", "scores"], ["output0"], axis=2))
    constants = {"places": boxes, "weights": np.float32([[[0.5, 0.1], [0.0, 0.3]]])}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 2, 6])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(tmp_path / "tiny.onnx"))
    told = {**TOLD, "outputs": {"predictions": "output0"}, "boxes": {"order": "cxcywh", "unit": "pixel"}, "classes": ["animal", "person"]}
    told["input"] = {**TOLD["input"], "layout": "NCHW", "fit": "letterbox"}
    (tmp_path / "tiny.json").write_text(json.dumps(told))
    first, second = Detector(tmp_path / "tiny.onnx").of(photo)[0]
    # A photo of 160 x 80 lies as 16 x 8 in the middle of 16 x 16: rows 4 to 12 are its own.
    assert (first.category, first.confidence) == ("animal", pytest.approx(0.5)) and first.box == pytest.approx((6 / 16, 0, 4 / 16, 2 / 8))
    assert (second.category, second.confidence) == ("person", pytest.approx(0.3)) and second.box == pytest.approx((0, 0, 1, 1))
    (tmp_path / "tiny.onnx").write_bytes(b"text")
    with pytest.raises(DataError, match="tiny.json: the detector does not take what is described here"):
        Detector(tmp_path / "tiny.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["saved", "tiny.tflite"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"input": {"size": [SIZE, 8], "type": "float32"}},
            "takes a photo of 1 x 16 x 16 x 3, float32; by input.size, layout and type it would get 1 x 8 x 16 x 3, float32",
        ),
        ({"input": {"size": [SIZE, SIZE]}}, "takes a photo of 1 x 16 x 16 x 3, float32; .* it would get 1 x 16 x 16 x 3, uint8"),
        ({"outputs": {"boxes": "scores", "scores": "scores"}}, "output 'scores' has the shape 1 x 2; as boxes it must be rows of 4 numbers"),
        ({"outputs": {"boxes": "boxes", "scores": "found"}}, "the detector has no output 'found'; its outputs are boxes, classes, scores"),
        ({"outputs": {"predictions": "boxes"}}, "output 'boxes' has the shape 1 x 2 x 4; as predictions it must be rows of 7 numbers: a box, and 3 classes"),
    ],
)
def test_a_detector_of_the_wrong_shape_is_told_before_any_photo(programs, tmp_path, name, changes, message):
    source = programs / name
    target = tmp_path / source.name
    shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    description = tmp_path / f"{source.stem}.json"
    description.write_text(json.dumps({**TOLD, **changes}))
    with pytest.raises(DataError, match=message) as caught:
        Detector(target)
    assert str(caught.value).startswith(f"{description}: ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input": {"size": [0, 8]}}, r"input.size must be \[width, height\] in pixels, 4096 at most, got \[0, 8\]"),
        ({"input": {"size": [8, 8], "fit": "crop"}}, "input.fit must be one of stretch, letterbox, got 'crop'"),
        ({"input": {"size": [8, 8], "layout": ["x"]}}, r"input.layout must be one of NHWC, NCHW, got \['x'\]"),
        ({"input": {"size": [8, 8], "scale": [1]}}, r"input.scale must be 2 numbers, got \[1\]"),
        ({"outputs": {}}, r"outputs must name boxes and scores \(and classes\), or predictions, got nothing"),
        ({"boxes": {"order": "xy", "unit": "pixel"}}, "boxes.order must be one of xywh, xyxy, yxyx, cxcywh, got 'xy'"),
        ({"boxes": {"order": "xyxy"}}, "boxes.unit must be one of fraction, pixel, got None"),
        ({"classes": {"a": "b"}}, "classes must be a list of different names, or names by number, got {'a': 'b'}"),
        ({"classes": None}, "classes must be a list of different names"),
        ({"animals": ["cat"]}, r"animals must be a list of some of the classes, got \['cat'\]"),
        ({"overlap": 3}, "overlap is a share from 0 to 1"),
        ({"boxes": 3}, "its 'boxes' is missing or of another kind; docs/species.md shows one to copy"),
    ],
)
def test_a_description_that_is_none_is_told(tmp_path, changes, message):
    with pytest.raises(Exception, match=message) as caught:
        _described(tmp_path, **changes)
    assert "x.json" in str(caught.value) and caught.type.__module__ == "tfvision.errors"


def test_what_is_no_detector_is_told(tmp_path):
    (tmp_path / "a.pt").write_text("x")
    (tmp_path / "a.onnx").write_text("x")
    with pytest.raises(DataError, match=r"a.json does not exist: it says what goes into the detector and comes out"):
        Detector(tmp_path / "a.onnx")
    with pytest.raises(DataError, match=r"a.pt is no detector that can be run: --detector takes a SavedModel's folder, a .tflite or an .onnx file"):
        Detector(tmp_path / "a.pt")
    with pytest.raises(DataError, match="gone does not exist: --detector takes"):
        Detector(tmp_path / "gone")
    (tmp_path / "b").mkdir()
    (tmp_path / "b.json").write_text(json.dumps(TOLD))
    with pytest.raises(DataError, match="b cannot be loaded as a SavedModel"):
        Detector(tmp_path / "b")
    (tmp_path / "c.tflite").write_bytes(b"TFL3" * 9)
    (tmp_path / "c.json").write_text(json.dumps(TOLD))
    with pytest.raises(DataError, match="c.tflite is a damaged TFLite file, or none"):  # with which the interpreter would end the process
        Detector(tmp_path / "c.tflite")


@pytest.mark.parametrize(("order", "box"), [("xywh", (2, 4, 6, 8)), ("xyxy", (2, 4, 8, 12)), ("yxyx", (4, 2, 12, 8)), ("cxcywh", (5, 8, 6, 8))])
@pytest.mark.parametrize("unit", ["pixel", "fraction"])
def test_boxes_in_each_order_and_unit(tmp_path, order, box, unit):
    description = _described(tmp_path, boxes={"order": order, "unit": unit}, outputs={"boxes": "boxes", "scores": "scores"}, classes=["animal"])
    outputs = {"boxes": np.float32([[box]]) / (1 if unit == "pixel" else SIZE), "scores": np.float32([[0.7]])}
    (found,) = description.detections(outputs, (0, 0, SIZE, SIZE))
    assert found.category == "animal" and found.box == pytest.approx((2 / SIZE, 4 / SIZE, 6 / SIZE, 8 / SIZE))


def test_predictions_with_objectness_in_columns_and_overlaps(tmp_path):
    rows = np.float32(
        [[4, 4, 4, 4, 0.9, 0.8, 0.1], [4.2, 4, 4, 4, 0.8, 0.9, 0.1], [4, 4, 4, 4, 0.9, 0.1, 0.7], [np.nan, 4, 4, 4, 1, 1, 1], [9, 9, 1, 1, 0, 1, 1]]
    )
    description = _described(
        tmp_path, outputs={"predictions": "o"}, boxes={"order": "cxcywh", "unit": "pixel"}, classes=["animal", "person"], objectness=True, overlap=0.5
    )
    for output in (rows, rows[None], rows.T[None]):
        found = description.detections({"o": output}, (0, 0, SIZE, SIZE))
        assert [(one.category, one.confidence) for one in found] == [("animal", pytest.approx(0.72)), ("person", pytest.approx(0.63))]


def test_overlaps_are_of_one_class_and_measured_by_their_union():
    corners = np.float64([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 10], [0, 0, 3, 3], [20, 20, 20, 20]])
    assert _without_overlaps(corners, np.array([0, 0, 1, 0, 0]), 0.5) == [0, 2, 3, 4]
    assert _without_overlaps(corners, np.zeros(5), 0.05) == [0, 4]
    assert _without_overlaps(np.empty((0, 4)), np.empty(0), 0.5) == []


def test_the_input_is_scaled_as_described(tmp_path):
    photo = np.zeros((2, 4, 3), np.uint8)
    photo[..., 0] = 255
    description = _described(tmp_path, input={"size": [4, 4], "type": "float32", "scale": [-1, 1], "channels": "BGR", "layout": "NCHW", "fit": "letterbox"})
    prepared, place = description.prepared(photo)
    assert prepared.shape == (1, 3, 4, 4) and prepared.dtype == np.float32 and place == (0, 1, 4, 2)
    assert prepared[0, :, 1, 0].tolist() == [-1, -1, 1] and prepared[0, 0, 0, 0] == pytest.approx(2 * 114 / 255 - 1)
    description = _described(tmp_path, input={"size": [4, 2], "type": "float32", "mean": [255, 0, 0], "std": [2, 1, 1]})
    assert description.prepared(photo)[0][0, 0, 0].tolist() == [0, 0, 0]
    assert _described(tmp_path, input={"size": [2, 2]}).prepared(photo)[0].dtype == np.uint8
