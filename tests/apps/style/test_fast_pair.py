"""Pairs of TFLite files, as the public arbitrary-style network is had: a painting to a style, photo and style to a picture."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfvision.apps.style.fast import load_network, network_files, paint_fast
from tfvision.apps.style.fast_pair import open_pair
from tfvision.data.resizing import resized
from tfvision.errors import RunError, UserError, WeightsError
from tfvision.models.tflite import _packed, read_tables

pytestmark = pytest.mark.slow  # TensorFlow's converter takes seconds for the first file

SIDE = 16  # of the pictures that the files were made for


@pytest.fixture(autouse=True)
def no_network_is_kept():
    load_network.cache_clear()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A folder with a pair whose names say nothing: a style is a painting's mean colour, a picture its photo in squares of 2 x 2, half tinted with it."""
    folder = tmp_path_factory.mktemp("pair")
    _convert(folder / "1.tflite", lambda style, photo: tf.image.resize(_squares(photo), (SIDE, SIDE), "nearest") / 2 + style / 2, (1, 1, 1, 3), _PICTURE)
    _convert(folder / "2.tflite", lambda painting: tf.reduce_mean(painting, (1, 2), keepdims=True), _PICTURE)
    return folder


_PICTURE = (1, SIDE, SIDE, 3)


def _squares(photo):
    return tf.nn.conv2d(photo, tf.constant(np.eye(3, dtype=np.float32)[None, None] / 4 * np.ones((2, 2, 1, 1), np.float32)), 2, "VALID")


def _convert(path, function, *shapes):
    traced = tf.function(function, input_signature=[tf.TensorSpec(shape) for shape in shapes], autograph=False)
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([traced.get_concrete_function()], tf.Module()).convert())


def expected_picture(photo, colour):
    """What the pair should paint, by hand; a side that 4 does not divide is mirrored up to it first."""
    height, width = photo.shape[:2]
    grown = np.pad(photo, [(0, -height % 4), (0, -width % 4), (0, 0)], "symmetric").astype(float)
    squares = (grown[::2, ::2] + grown[1::2, ::2] + grown[::2, 1::2] + grown[1::2, 1::2]) / 4
    return squares.repeat(2, axis=0).repeat(2, axis=1)[:height, :width] / 2 + np.asarray(colour) / 2


def mean_colour(painting):
    return resized(painting, SIDE, SIDE).mean((0, 1))


def test_the_files_are_told_apart_by_what_they_take_and_paint_photos_of_any_size(pair, photo, painting):
    network = load_network(pair)
    assert network.has_painting and network.blends_styles
    for size in ((72, 96), (37, 50), (300, 21)):
        picture = network.paint(resized(photo, *size), network.style_of(painting))
        np.testing.assert_allclose(picture, expected_picture(resized(photo, *size), mean_colour(painting)), atol=0.6)


def test_two_files_may_be_named_in_any_order_and_others_of_a_folder_are_passed_over(pair, photo, painting, tmp_path):
    expected = paint_fast(load_network(pair), photo, [painting])
    for handle in (f"{pair}/1.tflite,{pair}/2.tflite", f"{pair}/2.tflite, {pair}/1.tflite"):
        np.testing.assert_array_equal(paint_fast(load_network(handle), photo, [painting]), expected)
    shutil.copytree(pair, tmp_path / "more")
    (tmp_path / "more" / "0.tflite").write_bytes(b"a text")
    np.testing.assert_array_equal(paint_fast(load_network(tmp_path / "more"), photo, [painting]), expected)
    assert [path.name for path in network_files(str(tmp_path / "more"))] == ["0.tflite", "1.tflite", "2.tflite"]


def test_paintings_mix_by_their_styles_and_the_photos_own_style_weakens_them(pair, photo, painting):
    network, other = load_network(pair), photo[::2, ::2].copy() // 2
    colours = [mean_colour(pixels) for pixels in (painting, other, photo)]
    mixed = paint_fast(network, photo, [painting, other], blend=[3, 1])
    np.testing.assert_allclose(mixed, expected_picture(photo, 0.75 * colours[0] + 0.25 * colours[1]), atol=0.6)
    weaker = paint_fast(network, photo, [painting], strength=0.5)
    np.testing.assert_allclose(weaker, expected_picture(photo, 0.5 * colours[0] + 0.5 * colours[2]), atol=0.6)
    faded = paint_fast(network, photo, [painting], strength=0.1)  # half of the way from the photo to what has a fifth of the style
    np.testing.assert_allclose(faded, photo / 2 + expected_picture(photo, 0.1 * colours[0] + 0.9 * colours[2]) / 2, atol=1.1)
    np.testing.assert_array_equal(paint_fast(network, photo, [painting], strength=0), photo)


def test_each_painting_rules_within_its_mask_and_the_photo_stays_elsewhere(pair, photo, painting):
    left, top = np.zeros((2, *photo.shape[:2]), np.uint8)
    left[:, :30], top[:20, 60:] = 255, 255
    network, other = load_network(pair), photo[::2, ::2].copy() // 2
    picture = paint_fast(network, photo, [painting, other], masks=[left, top / 255])
    np.testing.assert_allclose(picture[:, :30], expected_picture(photo, mean_colour(painting))[:, :30], atol=1)
    np.testing.assert_allclose(picture[:20, 60:], expected_picture(photo, mean_colour(other))[:20, 60:], atol=1)
    np.testing.assert_array_equal(picture[20:, 30:], photo[20:, 30:])


# Hostile files


def _changed(path, out, change):
    """Writes a file whose tables are whole and lie."""
    tables = read_tables(path, UserError)
    change(tables, tables.subgraphs[0])
    out.write_bytes(_packed(tables))


def _reversed(tables, graph):
    graph.operators = graph.operators[::-1]


def _unstepped(tables, graph):
    """The first convolution goes in steps of nothing, by which the interpreter would divide."""
    for operator in graph.operators:
        if operator.builtinOptions is not None and "strideH" in vars(operator.builtinOptions):
            operator.builtinOptions.strideH = 0


def _enlarged(tables, graph):
    for buffer in tables.buffers:
        if buffer.data is not None and bytes(buffer.data) == np.int32([SIDE, SIDE]).tobytes():
            buffer.data = np.int32([2**30, 2**30]).view(np.uint8)


def _foreign(tables, graph):
    tables.operatorCodes[0].builtinCode = tables.operatorCodes[0].deprecatedBuiltinCode = 32  # CUSTOM


def _emptied(tables, graph):
    graph.operators = []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_reversed, "its operations do not follow from each other"),
        (_unstepped, "steps of no size"),
        (_enlarged, "it enlarges to"),
        (_foreign, "its operation CUSTOM is none that such a network needs"),
        (_emptied, "nothing makes its output"),
    ],
)
def test_files_that_lie_are_refused_before_the_interpreter_sees_them(pair, tmp_path, change, message):
    _changed(pair / "1.tflite", tmp_path / "1.tflite", change)
    with pytest.raises(WeightsError, match=message) as raised:
        open_pair(f"{tmp_path / '1.tflite'},{pair / '2.tflite'}")
    assert str(raised.value).startswith(str(tmp_path / "1.tflite")) and "\n" not in str(raised.value)


def test_damaged_files_end_in_one_line(pair, tmp_path):
    whole = (pair / "1.tflite").read_bytes()
    for damaged in (b"", b"a text", b"TFL3" * 9, whole[: len(whole) // 2], whole[:4] + b"TFL2" + whole[8:]):
        (tmp_path / "1.tflite").write_bytes(damaged)
        with pytest.raises(WeightsError, match="1.tflite is a damaged TFLite file, or none"):
            load_network(f"{tmp_path / '1.tflite'},{pair / '2.tflite'}")
    with pytest.raises(WeightsError, match="gone.tflite cannot be read"):
        load_network(f"gone.tflite,{pair / '2.tflite'}")


def test_what_is_no_pair_is_told_with_the_way_out(pair, tmp_path):
    with pytest.raises(WeightsError, match="has 1 networks from a painting to a style and 0 from photo and style to a picture, expected one of each: give the"):
        load_network(f"{pair / '2.tflite'}")
    _convert(tmp_path / "1.tflite", lambda painting: tf.nn.conv2d(tf.reduce_mean(painting, (1, 2), keepdims=True), tf.ones((1, 1, 3, 2)), 1, "VALID"), _PICTURE)
    with pytest.raises(WeightsError, match=r"makes styles of the shape \(1, 1, 1, 2\), .*1.tflite takes \(1, 1, 1, 3\)"):
        load_network(f"{tmp_path / '1.tflite'},{pair / '1.tflite'}")
    with pytest.raises(RunError, match="nor a folder with a module, a TFLite pair"):
        load_network(Path(tmp_path, "nothing"))


def test_the_public_pair_paints_as_its_files_do_and_at_other_sizes_too(shared, photo, painting):
    network = load_network(shared / "weights")
    (style,) = network.style_of(painting)
    assert style.shape == (1, 1, 1, 100)
    large = resized(photo, 384, 384)
    plain = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(str(shared / "weights" / "style_transfer_f16_384.tflite"), experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    for details, values in zip(interpreter.get_input_details(), (large[None].astype(np.float32) / 255, style), strict=True):
        interpreter.set_tensor(details["index"], values)
    interpreter.invoke()
    expected = 255 * interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
    np.testing.assert_allclose(network.paint(large, (style,)), expected, atol=2)
    small = network.paint(photo, (style,))
    assert small.shape == photo.shape and small.std() > 10
