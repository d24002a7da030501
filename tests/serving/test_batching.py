import threading
import time

import grpc
import numpy as np
import pytest

from tfvision.errors import UserError
from tfvision.serving.batching import Batcher, BatchingSettings
from tfvision.serving.errors import ServingError

LONG = 600_000_000  # microseconds: a batch that is not full does not start during a test


@pytest.fixture(scope="module")
def load(saved_models):
    from tfvision.serving.servable import Servable

    loaded = {name: Servable.load(saved_models / name / "1", name, 1) for name in ("double", "photos")}
    yield loaded.__getitem__
    for servable in loaded.values():
        servable.close()


@pytest.fixture
def batcher():
    """A function (settings) -> Batcher, closed after the test."""
    made = []

    def make(**settings):
        made.append(Batcher(BatchingSettings(**settings)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def _x(*rows):
    return {"x": np.array(rows, dtype=np.float32)}


def _images(*encoded):
    return {"image_bytes": np.array(encoded, dtype=object)}


def _refusal(call, *arguments, **options):
    with pytest.raises(ServingError) as caught:
        call(*arguments, **options)
    return caught.value


@pytest.mark.slow
def test_requests_that_wait_together_run_as_one_batch(batcher, load):
    batch = batcher(max_batch_size=4, batch_timeout_micros=LONG)
    futures = [batch.submit(load("double"), "rows", _x(*rows)) for rows in ([[1]], [[2], [3]], [[4]])]
    assert [future.result()["rows"].tolist() for future in futures] == [[4], [4, 4], [4]]


def test_each_request_gets_its_own_rows(batcher, load):
    batch = batcher(max_batch_size=4, batch_timeout_micros=LONG)
    futures = [batch.submit(load("double"), "serving_default", _x(*rows)) for rows in ([[1, 2]], [[3, 4], [5, 6]], [[7, 8]])]
    assert [future.result()["y"].tolist() for future in futures] == [[[2, 4]], [[6, 8], [10, 12]], [[14, 16]]]


def test_strings_join(batcher, load, png):
    batch = batcher(max_batch_size=2, batch_timeout_micros=LONG)
    futures = [batch.submit(load("photos"), "serving_default", _images(png(colour)), ["name"]) for colour in ("blue", "red")]
    assert [future.result() for future in futures] == [{"name": [b"blue"]}, {"name": [b"red"]}]


def test_a_batch_that_is_not_full_starts_after_the_timeout(batcher, load):
    batch = batcher(max_batch_size=4, batch_timeout_micros=1)
    assert batch.submit(load("double"), "rows", _x([1], [2])).result()["rows"].tolist() == [2, 2]


def test_a_broken_image_fails_its_own_request_only(batcher, load, png):
    batch = batcher(max_batch_size=3, batch_timeout_micros=LONG)
    encoded = [png("red"), b"no image", png("blue")]
    first, broken, last = [batch.submit(load("photos"), "serving_default", _images(each)) for each in encoded]
    assert first.result()["name"] == [b"red"] and last.result()["name"] == [b"blue"]
    assert broken.exception().code == grpc.StatusCode.INVALID_ARGUMENT
    assert broken.exception().message.startswith("Unknown image file format.")


def test_requests_of_different_shapes_do_not_join(batcher, load):
    batch = batcher(max_batch_size=3, batch_timeout_micros=LONG)
    first, wide, last = [batch.submit(load("double"), "rows", _x(row)) for row in ([1], [1, 2], [3])]
    assert first.result()["rows"] == last.result()["rows"] == [2]
    batch.close()
    assert wide.result()["rows"] == [1]


def test_a_default_joins_no_values_that_another_request_gives(batcher, load):
    batch = batcher(max_batch_size=4, batch_timeout_micros=LONG)
    ones = np.ones(1, np.float32)
    requests = [{"x": ones}, {"x": ones, "factor": 5 * ones}, {"x": 2 * ones.repeat(2)}, {"x": ones}]
    first, given, longer, last = [batch.submit(load("double"), "scale", inputs) for inputs in requests]
    assert [future.result()["scaled"].tolist() for future in (first, longer, last)] == [[3], [6, 6], [3]]
    assert not given.done()  # the others were four rows, and ran as one batch
    batch.close()
    assert given.result()["scaled"].tolist() == [5]


def test_a_request_whose_default_fits_its_own_rows_alone_does_not_join():
    from tensorflow.core.protobuf import meta_graph_pb2

    from tfvision.serving.batching import _make_request

    def shapes(rows_of_default):
        signature = meta_graph_pb2.SignatureDef()
        for tensor in (signature.inputs["x"], signature.inputs["factor"], signature.outputs["y"]):
            tensor.tensor_shape.dim.add(size=-1)
        signature.defaults["factor"].tensor_shape.dim.add(size=rows_of_default)
        return _make_request(signature, {"x": np.zeros(2)}, (), None).shapes

    assert shapes(1) == (("x", ()),)
    assert shapes(2) is None


def test_inputs_may_all_be_left_out():
    from tensorflow.core.protobuf import meta_graph_pb2

    from tfvision.serving.batching import _make_request

    assert _make_request(meta_graph_pb2.SignatureDef(), {}, (), None).rows == 1


def test_a_batch_that_cannot_take_the_next_request_starts(batcher, load):
    batch = batcher(max_batch_size=4, batch_timeout_micros=LONG, max_enqueued_batches=2)
    first = batch.submit(load("double"), "rows", _x([1], [2], [3]))
    second = batch.submit(load("double"), "rows", _x([4], [5]))
    assert first.result()["rows"].tolist() == [3, 3, 3]
    batch.close()
    assert second.result()["rows"].tolist() == [2, 2]


def test_a_batch_that_waits_does_not_hold_up_another(batcher, load):
    batch = batcher(max_batch_size=2, batch_timeout_micros=LONG)
    waiting = batch.submit(load("double"), "rows", _x([1]))
    assert batch.submit(load("double"), "serving_default", _x([1, 2], [3, 4])).result()["y"].tolist() == [[2, 4], [6, 8]]
    assert not waiting.done()


def test_signatures_do_not_join(batcher, load):
    batch = batcher(max_batch_size=2, batch_timeout_micros=LONG)
    futures = [batch.submit(load("double"), name, _x([1, 2])) for name in ("rows", "serving_default")]
    batch.close()
    assert futures[0].result()["rows"] == [1] and futures[1].result()["y"].tolist() == [[2, 4]]


def test_a_signature_without_a_batch_runs_request_by_request(batcher, load):
    batch = batcher(max_batch_size=4, batch_timeout_micros=LONG)
    futures = [batch.submit(load("double"), "total", _x([1, number])) for number in range(3)]
    assert [future.result()["total"].tolist() for future in futures] == [1, 2, 3]


def test_a_request_larger_than_a_batch_runs_in_parts(batcher, load):
    batch = batcher(max_batch_size=2)
    x = np.arange(10, dtype=np.float32).reshape(5, 2)
    np.testing.assert_array_equal(batch.submit(load("double"), "serving_default", {"x": x}).result()["y"], 2 * x)
    assert batch.submit(load("double"), "rows", {"x": x}).result()["rows"].tolist() == [2, 2, 2, 2, 1]


def test_batches_are_padded_to_the_sizes_allowed(batcher, load):
    batch = batcher(max_batch_size=4, batch_timeout_micros=0, allowed_batch_sizes=(2, 4))
    answers = [batch.submit(load("double"), "rows", _x(*[[1]] * rows)).result()["rows"].tolist() for rows in (1, 2, 3, 5)]
    assert answers == [[2], [2, 2], [4, 4, 4], [4, 4, 4, 4, 2]]


def test_no_rows_give_no_rows(batcher, load):
    batch = batcher(allowed_batch_sizes=(4, 8), batch_timeout_micros=0)
    assert batch.submit(load("double"), "serving_default", {"x": np.zeros((0, 2), np.float32)}).result()["y"].shape == (0, 2)


@pytest.fixture
def gated(saved_models):
    """A Servable whose `gate`, a threading.Event, lets runs through; open at first."""
    from tfvision.serving.servable import Servable

    class Gated(Servable):
        gate = threading.Event()

        def run_checked(self, signature_name, inputs):
            self.gate.wait()
            return super().run_checked(signature_name, inputs)

    servable = Gated.load(saved_models / "double" / "1", "double", 1)
    servable.gate.set()
    yield servable
    servable.gate.set()


def _fill(batch, servable, rows):
    return [batch.submit(servable, "rows", _x([1])) for _ in range(rows)]


def _close_gate_after_fast_runs(batch, servable):
    for _ in range(8):
        batch.submit(servable, "rows", _x([1])).result()
    servable.gate.clear()


def test_two_batches_are_let_in_and_what_is_beyond_is_refused_at_once(batcher, gated):
    batch = batcher(max_batch_size=2, max_wait_micros=0)
    _close_gate_after_fast_runs(batch, gated)
    waiting = _fill(batch, gated, rows=4)
    error = _refusal(batch.submit, gated, "rows", _x([1]))
    assert (error.code, error.http_status) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 429)
    assert error.message == "The batch scheduling queue to which this task was submitted is full; 4 rows are before it"
    gated.gate.set()
    assert all(future.result()["rows"] >= [1] for future in waiting)


def test_room_is_made_as_requests_are_answered(batcher, gated):
    batch = batcher(max_batch_size=2, max_enqueued_batches=2)
    for _ in range(5):
        for future in _fill(batch, gated, rows=4):
            future.result()


def test_a_fast_model_lets_more_wait_up_to_the_bound(batcher, gated):
    batch = batcher(max_batch_size=2, max_enqueued_batches=5, max_wait_micros=LONG)
    _close_gate_after_fast_runs(batch, gated)
    _fill(batch, gated, rows=5 * 2)
    assert _refusal(batch.submit, gated, "rows", _x([1])).code == grpc.StatusCode.RESOURCE_EXHAUSTED
    gated.gate.set()


def test_a_model_that_was_never_timed_lets_two_batches_wait(batcher, gated):
    batch = batcher(max_batch_size=2, max_wait_micros=LONG)
    gated.gate.clear()
    _fill(batch, gated, rows=4)
    assert _refusal(batch.submit, gated, "rows", _x([1])).code == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_queue_that_is_full_refuses_its_own_signature_only(batcher, gated):
    batch = batcher(max_batch_size=2)
    gated.gate.clear()
    _fill(batch, gated, rows=4)
    _refusal(batch.submit, gated, "rows", _x([1]))
    future = batch.submit(gated, "serving_default", _x([1, 2]))
    gated.gate.set()
    assert future.result()["y"].tolist() == [[2, 4]]


def test_room_is_told_before_a_request_is_parsed(batcher, gated):
    batch = batcher(max_batch_size=2)
    batch.check_room(gated)
    gated.gate.clear()
    _fill(batch, gated, rows=4)
    assert _refusal(batch.check_room, gated).code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert _refusal(batch.check_room, gated, "rows").code == grpc.StatusCode.RESOURCE_EXHAUSTED
    batch.check_room(gated, "serving_default")
    gated.gate.set()


def test_what_nobody_waits_for_does_not_run(batcher, load):
    batch = batcher(max_batch_size=4, batch_timeout_micros=LONG)
    cancelled = batch.submit(load("double"), "rows", _x([1]))
    late = batch.submit(load("double"), "rows", _x([2]), deadline=time.monotonic() - 1)
    assert cancelled.cancel()
    answered = batch.submit(load("double"), "rows", _x([3], [4], [5]), deadline=time.monotonic() + 600)  # with the late one the batch is full
    assert answered.result(timeout=60)["rows"].tolist() == [3, 3, 3]
    assert late.exception().code == grpc.StatusCode.DEADLINE_EXCEEDED


def test_inputs_with_unequal_batches_are_refused(batcher, load):
    inputs = {"a": np.zeros(2, np.float32), "b": np.zeros(3, np.float32)}
    error = _refusal(batcher().submit, load("double"), "add", inputs)
    assert (error.code, error.message) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "Batching session Run() input tensors must have equal 0th-dimension size",
    )


def test_inputs_that_do_not_fit_are_refused_before_they_wait(batcher, load):
    assert _refusal(batcher().submit, load("double"), "halve", _x([1])).code == grpc.StatusCode.FAILED_PRECONDITION


def test_a_closed_batcher_is_unavailable(batcher, load):
    batch = batcher()
    batch.close()
    assert _refusal(batch.submit, load("double"), "rows", _x([1])).code == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"max_batch_size": 0}, "max_batch_size must be at least 1, got 0"),
        ({"num_batch_threads": 0}, "num_batch_threads must be at least 1, got 0"),
        ({"max_enqueued_batches": 0}, "max_enqueued_batches must be at least 1, got 0"),
        ({"max_wait_micros": -1}, "max_wait_micros must be at least 0, got -1"),
        ({"batch_timeout_micros": -1}, "batch_timeout_micros must be at least 0, got -1"),
        ({"allowed_batch_sizes": (4, 2, 8)}, "allowed_batch_sizes must rise and end with max_batch_size 8, got (4, 2, 8)"),
        ({"allowed_batch_sizes": (2, 4)}, "allowed_batch_sizes must rise and end with max_batch_size 8, got (2, 4)"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(UserError) as caught:
        BatchingSettings(**{"max_batch_size": 8, **settings})
    assert str(caught.value) == message


def test_a_slow_image_holds_up_no_other_request_of_its_model(batcher, gated, monkeypatch):
    monkeypatch.setattr("tfvision.serving.batching.has_slow_image", lambda inputs: inputs["x"][0, 0] == 9)
    run = gated.run_checked
    gated.run_checked = lambda name, inputs: run(name, inputs) if inputs["x"][0, 0] == 9 else type(gated).__base__.run_checked(gated, name, inputs)
    batch = batcher(max_batch_size=2, num_batch_threads=1)
    gated.gate.clear()
    slow = [batch.submit(gated, "rows", _x([9])) for _ in range(4)]
    assert batch.submit(gated, "rows", _x([1])).result(60)["rows"].tolist() == [1]
    assert _refusal(batch.submit, gated, "rows", _x([9])).code == grpc.StatusCode.RESOURCE_EXHAUSTED
    batch.check_room(gated)  # for requests of which nobody knows yet
    assert slow[-1].cancel()
    slow[-1] = batch.submit(gated, "rows", _x([9]))  # in the place that was given up
    gated.gate.set()
    assert [future.result(60)["rows"].tolist() for future in slow] == [[1]] * 4  # one by one


@pytest.mark.slow
def test_a_request_that_is_given_up_frees_its_place(batcher, load):
    batch = batcher(max_batch_size=2, max_enqueued_batches=1, batch_timeout_micros=LONG)
    for _ in range(5):
        assert batch.submit(load("double"), "rows", _x([1])).cancel()
    assert [future.result()["rows"].tolist() for future in [batch.submit(load("double"), "rows", _x([1])) for _ in range(2)]] == [[2], [2]]
