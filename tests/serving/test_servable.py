import shutil

import grpc
import numpy as np
import pytest

from tfvision.serving.errors import HTTP_STATUSES, ServingError, code_of_number


@pytest.fixture(scope="module")
def load(saved_models):
    """A function name -> Servable, each loaded once."""
    from tfvision.serving.servable import Servable

    loaded = {name: Servable.load(saved_models / name / "1", name, 1) for name in ("double", "photos", "examples")}
    yield loaded.__getitem__
    for servable in loaded.values():
        servable.close()


@pytest.fixture
def copy_of(saved_models, tmp_path):
    """A function name -> a copy of its version 1, to damage."""
    return lambda name: shutil.copytree(saved_models / name / "1", tmp_path / "1")


def _rows(count):
    return {"x": np.arange(2 * count, dtype=np.float32).reshape(count, 2)}


def _images(*encoded):
    return {"image_bytes": np.array(encoded, dtype=object)}


def _refusal(servable, *arguments):
    with pytest.raises(ServingError) as caught:
        servable.run(*arguments)
    return caught.value.code, caught.value.message


def _loading_error(path):
    from tfvision.serving.servable import Servable

    with pytest.raises(ServingError) as caught:
        Servable.load(path, "broken", 1).warm_up()
    return caught.value


def test_runs_the_signature_asked_for(load):
    np.testing.assert_array_equal(load("double").run("serving_default", _rows(3))["y"], [[0, 2], [4, 6], [8, 10]])
    np.testing.assert_array_equal(load("double").run("total", _rows(3))["total"], 0 + 1 + 2 + 3 + 4 + 5)


def test_no_signature_name_means_serving_default(load):
    assert list(load("double").run("", _rows(1))) == ["y"]


def test_scalar_outputs_are_arrays(load):
    total = load("double").run("total", _rows(1))["total"]
    assert isinstance(total, np.ndarray) and total.shape == () and total.dtype == np.float32


def test_strings_go_in_and_out_as_bytes(load, png):
    answer = load("photos").run("", _images(png("blue"), png("red")))
    assert answer["name"].tolist() == [b"blue", b"red"]
    np.testing.assert_array_equal(answer["mean"], [[0, 0, 255], [255, 0, 0]])


def test_only_the_outputs_asked_for_come_back(load, png):
    assert list(load("photos").run("", _images(png("red")), ["name"])) == ["name"]


def test_an_input_with_a_default_may_be_left_out(load):
    x = np.float32([1, 2, 4])
    assert load("double").run("scale", {"x": x})["scaled"].tolist() == [3, 6, 12]
    assert load("double").run("scale", {"x": x, "factor": x})["scaled"].tolist() == [1, 4, 16]


@pytest.mark.parametrize(
    "names, message",
    [
        (
            ["factor"],
            "Signature input alias: x(feed name: scale_x:0) not found in request and no default value provided. "
            "Inputs expected to be in the request {factor}, or default input alias set: factor",
        ),
        (["x", "z"], "Inputs contains invalid name. Used request inputs: x, request input: x,z"),
        (
            ["factor", "x", "z"],
            "input size does not match signature: 3!=2 len({factor,x,z}) != len({factor,x}). Sent extra: {z}. Missing but required: {}.",
        ),
    ],
)
def test_inputs_beside_a_default_are_judged_as_in_tensorflow_serving(load, names, message):
    inputs = {name: np.zeros(1, np.float32) for name in names}
    assert _refusal(load("double"), "scale", inputs) == (grpc.StatusCode.INVALID_ARGUMENT, message)


def test_signatures_leave_out_what_only_initialises(load):
    assert sorted(load("double").signatures) == ["add", "rows", "scale", "serving_default", "total"]


def test_an_unknown_signature_is_a_failed_precondition(load):
    refusal = _refusal(load("double"), "halve", _rows(1))
    assert refusal == (grpc.StatusCode.FAILED_PRECONDITION, 'Serving signature key "halve" not found.')


@pytest.mark.parametrize(
    "inputs, outputs, message",
    [
        (
            {},
            (),
            "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
        ),
        (
            {"x": np.zeros((1, 2), np.float32), "z": np.zeros(1)},
            (),
            "input size does not match signature: 2!=1 len({x,z}) != len({x}). Sent extra: {z}. Missing but required: {}.",
        ),
        (
            {"z": np.zeros((1, 2), np.float32)},
            (),
            "Signature input alias: x(feed name: serving_default_x:0) not found in request and no default value provided. "
            "Inputs expected to be in the request {z}, or default input alias set: ",
        ),
        (
            {"x": np.zeros((1, 2), np.float64)},
            (),
            "Expects arg[0] to be float32 but float64 is provided (input 'x')",
        ),
        (
            {"x": np.array([[b"a", b"b"]], dtype=object)},
            (),
            "Expects arg[0] to be float32 but string is provided (input 'x')",
        ),
        ({"x": np.zeros((1, 3), np.float32)}, (), "input 'x' must have the shape [?,2], got [1, 3]"),
        ({"x": np.zeros(2, np.float32)}, (), "input 'x' must have the shape [?,2], got [2]"),
        (
            {"x": np.zeros((1, 2), np.float32)},
            ("z",),
            "output tensor alias not found in signature: z Outputs expected to be in the set {y}.",
        ),
        ({"x": np.zeros((1, 2), np.float32)}, ("y", "y"), "duplicate output tensor alias: y"),
    ],
)
def test_inputs_and_outputs_that_do_not_fit_are_invalid_arguments(load, inputs, outputs, message):
    assert _refusal(load("double"), "serving_default", inputs, outputs) == (grpc.StatusCode.INVALID_ARGUMENT, message)


def test_an_operation_that_fails_gives_its_code_and_one_line(load):
    code, message = _refusal(load("photos"), "", _images(b"no image"))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert message.startswith("Unknown image file format.") and "\n" not in message


def test_warm_up_replays_predict_classify_and_regress_requests(load):
    assert [load(name).warm_up() for name in ("double", "photos", "examples")] == [0, 2, 2]


def test_warm_up_with_a_broken_record_fails(copy_of, write_warm_up):
    path = copy_of("photos")
    write_warm_up(path, [b"\xff no prediction log"])
    error = _loading_error(path)
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT and "Failed to parse warmup record 1" in error.message


def test_warm_up_with_a_damaged_file_is_data_loss(copy_of):
    path = copy_of("photos")
    (path / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"not a TFRecord file at all")
    error = _loading_error(path)
    assert error.code == grpc.StatusCode.DATA_LOSS and error.message.endswith("Please verify your warmup data is in TFRecord format.")


def test_warm_up_with_a_request_that_the_model_refuses_fails(copy_of, write_warm_up, predict_log):
    path = copy_of("double")
    write_warm_up(path, [predict_log({"x": np.zeros((1, 3), np.float32)})])
    assert "must have the shape [?,2]" in _loading_error(path).message


@pytest.mark.slow
def test_warm_up_takes_a_thousand_records_and_no_more(copy_of, write_warm_up, predict_log):
    from tfvision.serving.servable import Servable

    path, log = copy_of("double"), predict_log({"x": np.zeros((1, 2), np.float32)})
    servable = Servable.load(path, "double", 1)
    write_warm_up(path, [log] * 1000)
    assert servable.warm_up() == 1000
    write_warm_up(path, [log] * 1001)
    with pytest.raises(ServingError, match=r"exceeds the maximum \(1000\)"):
        servable.warm_up()
    servable.close()


def test_a_folder_without_a_model_is_not_found(tmp_path):
    error = _loading_error(tmp_path)
    message = f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {tmp_path}"
    assert (error.code, error.message) == (grpc.StatusCode.NOT_FOUND, message)


@pytest.mark.parametrize("file", ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"])
def test_a_damaged_model_is_one_line(copy_of, file):
    path = copy_of("double")
    (path / file).write_bytes(b"\x12damaged")
    error = _loading_error(path)
    assert error.code in (grpc.StatusCode.DATA_LOSS, grpc.StatusCode.OUT_OF_RANGE) and "\n" not in error.message


def test_a_model_without_the_serve_tag_is_not_found(copy_of):
    from tensorflow.core.protobuf import saved_model_pb2

    path = copy_of("double")
    saved_model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    saved_model.meta_graphs[0].meta_info_def.tags[:] = ["train"]
    (path / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    error = _loading_error(path)
    assert error.code == grpc.StatusCode.NOT_FOUND and "supplied tags: { serve }" in error.message


def test_the_context_is_merged_into_each_example(load):
    from tensorflow_serving.apis import input_pb2

    from tfvision.serving.examples import example_rows, serialized_examples

    both = input_pb2.Input().example_list_with_context
    request_input = input_pb2.Input(example_list_with_context=both)
    request_input.example_list_with_context.context.features.feature["x"].float_list.value.append(5)
    request_input.example_list_with_context.examples.add()
    request_input.example_list_with_context.examples.add().features.feature["x"].float_list.value.append(7)
    outputs = load("examples").run("regress", {"inputs": example_rows(serialized_examples(request_input))})["outputs"]
    np.testing.assert_array_equal(outputs, [15, 21])  # three times; the example's own value wins


def test_no_examples_is_an_invalid_argument():
    from tensorflow_serving.apis import input_pb2

    from tfvision.serving.examples import example_rows, serialized_examples

    with pytest.raises(ServingError, match="^Input is empty.$"):
        example_rows(serialized_examples(input_pb2.Input()))


@pytest.mark.slow
def test_http_statuses_follow_tensorflow_servings_table():
    # The rows of ToHTTPStatusCode in TensorFlow Serving's http_server.cc, by TensorFlow's error numbers.
    table = {1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501, 13: 500}
    table.update({14: 503, 15: 500, 16: 401})
    assert {number: ServingError(code_of_number(number), "").http_status for number in table} == table
    assert HTTP_STATUSES[grpc.StatusCode.OK] == 200
    assert code_of_number(99) == grpc.StatusCode.UNKNOWN
