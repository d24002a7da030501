import shutil
import threading
import time

import grpc
import numpy as np
import pytest

from tfvision.errors import UserError
from tfvision.serving.batching import BatchingSettings
from tfvision.serving.errors import ServingError
from tfvision.serving.metrics import ServingMetrics
from tfvision.serving.models import ModelSettings, ModelStore, VersionStatus

POLL_SECONDS = 0.02
LONG = 60_000_000  # microseconds


@pytest.fixture
def store():
    """A function (settings of one model or of several) -> a started ModelStore; stopped after the test."""
    started = []

    def start(*models, batching=BatchingSettings(), metrics=None):
        started.append(ModelStore(list(models), batching, metrics, POLL_SECONDS))
        started[-1].start()
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def ready(store):
    """As `store`, and ready."""

    def start(*models, **options):
        started = store(*models, **options)
        assert started.wait_until_ready(60)
        return started

    return start


def _double(base, **policy):
    return ModelSettings("double", str(base), **policy)


def _ask(store, version=None, label=None, name="double"):
    """(version that answered, what it made of one)."""
    version, future = store.submit(name, version, label, "", {"x": np.ones((1, 2), np.float32)})
    return version, future.result(60)["y"][0, 0].item()


def _states(store, name="double"):
    return [(status.version, status.state) for status in store.status(name)]


def _wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "what was waited for never came"
        time.sleep(POLL_SECONDS)


def _refusal(call, *arguments):
    with pytest.raises(ServingError) as caught:
        call(*arguments)
    return caught.value.code, caught.value.message


@pytest.mark.slow
def test_the_newest_version_serves(ready, double_base, add_version):
    add_version(double_base, 3, factor=3.0)
    add_version(double_base, 10, factor=10.0)
    models = ready(_double(double_base))
    assert _ask(models) == (10, 10)
    assert models.status("double") == [VersionStatus(10, "AVAILABLE", 0, "")]


@pytest.mark.slow
def test_policies_choose_versions(ready, double_base, add_version):
    for version in (2, 3):
        add_version(double_base, version)
    serve = lambda **policy: [version for version, _ in _states(ready(_double(double_base, **policy)))]
    assert serve(num_versions=2) == [3, 2]
    assert serve(policy="all") == [3, 2, 1]
    assert serve(policy="specific", versions=(1, 3)) == [3, 1]


@pytest.mark.slow
def test_versions_and_labels_are_found(ready, double_base, add_version):
    add_version(double_base, 2, factor=3.0)
    models = ready(_double(double_base, policy="all", labels={"stable": 1}))
    assert _ask(models, version=1) == (1, 2)
    assert _ask(models, version=2) == (2, 3)
    assert _ask(models, label="stable") == (1, 2)
    assert [status.version for status in models.status("double", 1)] == [1]
    assert models.signatures("double", label="stable")[0] == 1
    assert "serving_default" in models.signatures("double")[1]


def test_what_does_not_exist_is_refused_in_tensorflow_servings_words(ready, double_base):
    models = ready(_double(double_base))
    not_found, invalid = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT
    submit = lambda name, version, label: models.submit(name, version, label, "", {})
    assert _refusal(submit, "triple", None, None) == (not_found, "Servable not found for request: Latest(triple)")
    assert _refusal(submit, "double", 7, None) == (not_found, "Servable not found for request: Specific(double, 7)")
    assert _refusal(submit, "double", None, "beta") == (invalid, "Unrecognized servable version label: beta")
    assert _refusal(models.signatures, "double", 7) == (not_found, "Servable not found for request: Specific(double, 7)")
    assert _refusal(models.status, "triple") == (not_found, "Could not find any versions of model triple")
    assert _refusal(models.status, "double", 7) == (not_found, "Could not find version 7 of model double")


def test_a_model_without_versions_is_not_ready(store, tmp_path):
    models = store(_double(tmp_path / "nothing"))
    assert not models.wait_until_ready(60) and not models.is_ready()
    assert _refusal(models.status, "double") == (grpc.StatusCode.NOT_FOUND, "Could not find any versions of model double")


@pytest.mark.slow
def test_every_model_must_serve_for_all_to_be_ready(store, saved_models, tmp_path):
    models = store(_double(saved_models / "double"), ModelSettings("empty", str(tmp_path)))
    assert not models.wait_until_ready(60)
    assert models.is_ready("double") and not models.is_ready("empty") and not models.is_ready("unknown")
    assert models.names() == ["double", "empty"]


def test_while_the_first_version_loads_the_model_is_unavailable(saved_models):
    models = ModelStore([_double(saved_models / "double")])  # not started: nothing is loaded
    assert _refusal(models.signatures, "double")[0] == grpc.StatusCode.UNAVAILABLE


def test_names_that_are_no_versions_are_ignored(ready, double_base, add_version):
    for name in (".2.tmp", "2.tmp", "v3", "-4", "٥"):
        shutil.copytree(double_base / "1", double_base / name)
    (double_base / "6").write_text("a file")
    assert _states(ready(_double(double_base, policy="all"))) == [(1, "AVAILABLE")]


@pytest.mark.slow
def test_a_new_version_is_loaded_and_the_old_one_unloaded(ready, double_base, add_version):
    models = ready(_double(double_base))
    add_version(double_base, 2, factor=3.0)
    _wait_for(lambda: _states(models) == [(2, "AVAILABLE"), (1, "END")])
    assert _ask(models) == (2, 3)


def test_requests_in_flight_finish_on_the_old_version(ready, double_base, add_version):
    models = ready(_double(double_base), batching=BatchingSettings(max_batch_size=2, batch_timeout_micros=LONG))
    row = {"x": np.ones((1, 2), np.float32)}
    version, future = models.submit("double", 1, None, "", row)  # waits for a second row
    add_version(double_base, 2)
    _wait_for(lambda: _states(models) == [(2, "AVAILABLE"), (1, "UNLOADING")])
    assert version == 1 and not future.done()
    models.stop()  # answers what waits
    assert future.result(60)["y"].tolist() == [[2, 2]]


@pytest.mark.slow
def test_no_request_fails_while_versions_are_swapped(ready, double_base, add_version):
    models = ready(_double(double_base))
    answers, is_over = [], threading.Event()

    def ask():
        while not is_over.is_set():
            try:
                answers.append(_ask(models))
            except Exception as error:  # collected, because an error in a thread fails no test
                answers.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for version in (2, 3, 4):
        add_version(double_base, version, factor=float(version))
        _wait_for(lambda version=version: _ask(models)[0] == version)
    is_over.set()
    for thread in threads:
        thread.join()
    assert set(answers) == {(1, 2), (2, 2), (3, 3), (4, 4)}


@pytest.mark.slow
def test_a_broken_version_leaves_the_old_one_serving_and_shows_its_error(ready, double_base, caplog):
    models = ready(_double(double_base))
    (double_base / "2").mkdir()
    _wait_for(lambda: _states(models) == [(2, "END"), (1, "AVAILABLE")])
    assert _ask(models) == (1, 2)
    broken = models.status("double")[0]
    assert broken.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert broken.error_message.startswith("Could not find SavedModel .pb or .pbtxt")
    (told,) = [record.getMessage() for record in caplog.records if record.name == "tfvision.serving.versions"]
    assert told == f"double, version 2 could not be loaded: {broken.error_message}. Served: 1. It is tried again when {double_base / '2'} changes"


def test_a_broken_newest_version_at_the_start_falls_back_to_the_one_before(ready, double_base):
    (double_base / "2").mkdir()
    models = ready(_double(double_base))
    assert _states(models) == [(2, "END"), (1, "AVAILABLE")]


@pytest.mark.slow
def test_a_version_with_a_broken_warm_up_does_not_serve(ready, double_base, add_version, write_warm_up):
    models = ready(_double(double_base))
    shutil.copytree(double_base / "1", double_base / "2.tmp")
    write_warm_up(double_base / "2.tmp", [b"\xff no prediction log"])
    (double_base / "2.tmp").rename(double_base / "2")
    _wait_for(lambda: _states(models) == [(2, "END"), (1, "AVAILABLE")])
    assert "Failed to parse warmup record" in models.status("double", 2)[0].error_message


@pytest.mark.slow
def test_a_broken_version_is_tried_again_only_once_its_folder_changes(ready, double_base):
    metrics = ServingMetrics()
    models = ready(_double(double_base), metrics=metrics)
    (double_base / "2").mkdir()
    _wait_for(lambda: _states(models)[0] == (2, "END"))
    line = f'load_attempt_count{{model_path="{double_base / "2"}",status="fail"}} 1.0'
    time.sleep(10 * POLL_SECONDS)
    assert line.encode() in metrics.text()
    shutil.copytree(double_base / "1", double_base / "2", dirs_exist_ok=True)
    _wait_for(lambda: _states(models) == [(2, "AVAILABLE"), (1, "END")])


def test_the_last_version_stays_when_its_folder_goes(ready, double_base):
    models = ready(_double(double_base))
    shutil.rmtree(double_base)
    time.sleep(10 * POLL_SECONDS)
    assert _ask(models) == (1, 2)


@pytest.mark.slow
def test_a_removed_version_gives_way_to_the_one_before(ready, double_base, add_version):
    add_version(double_base, 2, factor=3.0)
    models = ready(_double(double_base))
    (double_base / "2").rename(double_base / "2.old")
    _wait_for(lambda: _states(models) == [(2, "END"), (1, "AVAILABLE")])
    assert _ask(models) == (1, 2)


@pytest.mark.slow
def test_a_version_that_comes_back_serves_again(ready, double_base, add_version):
    add_version(double_base, 2, factor=3.0)
    models = ready(_double(double_base))
    (double_base / "2").rename(double_base / "2.old")
    _wait_for(lambda: _ask(models)[0] == 1)
    (double_base / "2.old").rename(double_base / "2")
    _wait_for(lambda: _ask(models)[0] == 2)


@pytest.mark.slow
def test_the_status_keeps_the_last_versions_only(ready, double_base):
    models = ready(_double(double_base))
    for version in range(2, 15):
        (double_base / str(version - 1)).rename(double_base / str(version))
        _wait_for(lambda version=version: _states(models)[0] == (version, "AVAILABLE"))
    _wait_for(lambda: _states(models) == [(14, "AVAILABLE"), *[(version, "END") for version in range(13, 3, -1)]])


def test_warm_up_and_loading_are_measured(ready, saved_models):
    metrics = ServingMetrics()
    ready(ModelSettings("photos", str(saved_models / "photos")), metrics=metrics)
    assert b":tensorflow:serving:model_warmup_latency_count" in metrics.text()
    assert f'model_path="{saved_models / "photos" / "1"}",status="success"'.encode() in metrics.text()


@pytest.mark.slow
def test_after_stop_requests_are_refused(ready, saved_models):
    models = ready(_double(saved_models / "double"))
    models.stop()
    assert _refusal(_ask, models)[0] in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE)
    assert _states(models) == [(1, "END")]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"policy": "newest"}, "the version policy of double must be one of latest, all, specific, got 'newest'"),
        ({"num_versions": 0}, "num_versions of double must be at least 1, got 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(UserError) as caught:
        ModelSettings("double", "models/double", **settings)
    assert str(caught.value) == message


def test_two_models_of_one_name_are_refused():
    with pytest.raises(UserError, match="two models have the same name: a, a"):
        ModelStore([ModelSettings("a", "one"), ModelSettings("a", "two")])
