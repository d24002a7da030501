import re

import pytest

from tfvision.errors import UserError
from tfvision.serving.configuration import (
    BATCHING,
    BATCHING_FIELDS,
    ConfigurationError,
    check_configuration,
    find_exports,
    read_batching_config,
    read_models_config,
    read_monitoring_config,
    write_configuration,
)


@pytest.fixture
def exports(tmp_path):
    """Two models, three versions, and what must not be served."""
    folder = tmp_path / "savedmodels"
    for version in ("species/1", "species/2", "species/10", "tattoos/3"):
        (folder / version).mkdir(parents=True)
        (folder / version / "saved_model.pb").touch()
    (folder / "species" / ".partial-11").mkdir()
    (folder / "species" / "11").mkdir()
    (folder / "species" / "draft").mkdir()
    (folder / "empty").mkdir()
    (folder / "README.md").touch()
    return folder


def _models(folder):
    return {model.name: model for model in read_models_config(folder / "models.config").model_config_list.config}


def test_every_export_is_listed_and_what_cannot_be_served_is_named(exports, tmp_path):
    report = write_configuration(exports, tmp_path / "config")
    assert report["models"] == {"species": [1, 2, 10], "tattoos": [3]}
    assert report["left_out"] == [
        "empty: no version that can be served",
        "species/11: no saved_model.pb",
        "species/draft: a version is a whole number",
    ]
    species = _models(tmp_path / "config")["species"]
    assert (species.base_path, species.model_platform) == ("/models/species", "tensorflow")
    assert species.model_version_policy.latest.num_versions == 1
    assert check_configuration(tmp_path / "config") == {
        "models": ["species", "tattoos"],
        "batching": BATCHING,
        "monitoring": "/monitoring/prometheus/metrics",
    }
    assert sorted(path.name for path in (tmp_path / "config").iterdir()) == [
        "batching.config",
        "models.config",
        "monitoring.config",
    ]


def test_the_text_is_what_the_documentation_of_tensorflow_serving_shows(exports, tmp_path):
    write_configuration(exports, tmp_path, labels={"species": {"stable": 2, "canary": 10}})
    text = re.sub(r"#.*|\s+", " ", (tmp_path / "models.config").read_text())
    assert re.sub(" +", " ", text).strip() == (
        'model_config_list { config { name: "species" base_path: "/models/species" model_platform: "tensorflow" '
        "model_version_policy { specific { versions: 2 versions: 10 } } "
        'version_labels { key: "canary" value: 10 } version_labels { key: "stable" value: 2 } } '
        'config { name: "tattoos" base_path: "/models/tattoos" model_platform: "tensorflow" '
        "model_version_policy { latest { num_versions: 1 } } } }"
    )
    assert "max_batch_size { value: 32 }\n" in (tmp_path / "batching.config").read_text()


@pytest.mark.parametrize("newest, expected", [(2, "latest"), ("all", "all")])
def test_several_versions_stay_loaded(exports, tmp_path, newest, expected):
    write_configuration(exports, tmp_path, newest=newest)
    policy = _models(tmp_path)["tattoos"].model_version_policy
    assert policy.WhichOneof("policy_choice") == expected
    assert policy.latest.num_versions == (newest if expected == "latest" else 0)


def test_a_bucket_may_hold_the_exports(exports, tmp_path):
    write_configuration(exports, tmp_path, base_path="gs://bucket/models/")
    assert _models(tmp_path)["tattoos"].base_path == "gs://bucket/models/tattoos"


def test_your_own_batching_is_kept_and_the_models_are_written_anew(exports, tmp_path):
    (tmp_path / "batching.config").write_text("max_batch_size { value: 7 }")
    (tmp_path / "models.config").write_text("broken {")
    assert write_configuration(exports, tmp_path)["kept"] == ["batching.config"]
    assert check_configuration(tmp_path)["batching"] == {"max_batch_size": 7}
    write_configuration(exports, tmp_path, batching={"max_batch_size": 8, "allowed_batch_sizes": [1, 8]})
    assert check_configuration(tmp_path)["batching"] == {"max_batch_size": 8, "allowed_batch_sizes": [1, 8]}


def test_every_batching_field_is_written_and_read_back(exports, tmp_path):
    values = {
        "max_batch_size": 4,
        "batch_timeout_micros": 0,
        "max_enqueued_batches": 1,
        "num_batch_threads": 2,
        "thread_pool_name": "batches",
        "allowed_batch_sizes": [1, 2, 4],
        "pad_variable_length_inputs": True,
        "enable_large_batch_splitting": False,
        "max_execution_batch_size": 4,
    }
    assert values.keys() == BATCHING_FIELDS.keys()
    write_configuration(exports, tmp_path, batching=values)
    assert read_batching_config(tmp_path / "batching.config") == values


@pytest.mark.parametrize(
    "options, message",
    [
        ({"base_path": "models"}, "base_path must be absolute or a URI, got 'models/species'"),
        ({"newest": 0}, "newest must be a whole number from 1 or 'all', got 0"),
        ({"labels": {"birds": {"stable": 1}}}, "labels name the model 'birds'; there are species, tattoos"),
        ({"labels": {"species": {"stable": 4}}}, "label 'stable' of species needs an exported version (1, 2, 10), got 4"),
        ({"labels": {"species": {"a/b": 1}}}, "a label must not be empty nor hold '/' or ':', got 'a/b'"),
        ({"batching": {"batch_size": 4}}, "batching has no field 'batch_size'; known are max_batch_size, "),
        ({"batching": {"max_batch_size": 0}}, "max_batch_size must be at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(exports, tmp_path, options, message):
    out = tmp_path / "config"
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        write_configuration(exports, out, **options)
    assert not out.exists()


def test_a_folder_without_exports_says_how_to_make_one(tmp_path):
    (tmp_path / "species").mkdir()
    with pytest.raises(UserError, match="holds no export NAME/VERSION/saved_model.pb; make one with `tfvision export"):
        find_exports(tmp_path)
    with pytest.raises(UserError, match="cannot be read .No such file or directory.; it must be a folder of exports"):
        find_exports(tmp_path / "missing")


MODEL = "name: 'a' base_path: '/a' model_platform: 'tensorflow'"


@pytest.mark.parametrize(
    "text, message",
    [
        ("model_config_list {\n  config {\n    nmae: 'a'\n  }\n}", 'line 3: .*no field named "nmae"'),
        ("model_config_list {\n  config {\n", "line 2: "),
        ('model_config_list { config {\n name: "a }\n}', "line 2: "),
        ("", "lists no model"),
        ("custom_model_config { }", "lists no model"),
        (f"model_config_list {{ config {{ {MODEL} }} config {{ {MODEL} }} }}", "model 'a': it is listed twice"),
        ("model_config_list { config { base_path: '/a' } }", "model '': a name must not be empty"),
        (
            "model_config_list { config { name: 'a' base_path: '/a' } }",
            "model_platform must be 'tensorflow', got ''",
        ),
        (
            "model_config_list { config { name: 'a' base_path: 'a' model_platform: 'tensorflow' } }",
            "base_path must be absolute or a URI, got 'a'",
        ),
        (
            f"model_config_list {{ config {{ {MODEL} model_version_policy {{ specific {{ versions: 1 }} }} version_labels {{ key: 'new' value: 2 }} }} }}",
            "label 'new' names version 2, which its policy does not load",
        ),
        (
            f"model_config_list {{ config {{ {MODEL} model_version_policy {{ specific {{ }} }} }} }}",
            "the policy `specific` names no version",
        ),
    ],
)
def test_a_models_config_that_the_server_would_refuse_is_refused(tmp_path, text, message):
    path = tmp_path / "models.config"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=f"{re.escape(str(path))}.*{message}"):
        read_models_config(path)


@pytest.mark.parametrize(
    "text, message",
    [
        ("max_batch_size { value: 4 }\nmax_batchsize { value: 4 }", 'line 2: .*no field named "max_batchsize"'),
        ("max_batch_size: 4", "line 1: "),
        ("max_batch_size { value: many }", "line 1: "),
        ("num_batch_threads { value: 0 }", "num_batch_threads must be at least 1, got 0"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must not be negative, got -1"),
        ("allowed_batch_sizes: 4 allowed_batch_sizes: 2", r"allowed_batch_sizes must increase, got \[4, 2\]"),
        (
            "max_batch_size { value: 8 } allowed_batch_sizes: 4",
            r"the last of allowed_batch_sizes must be max_batch_size \(8\), got 4",
        ),
    ],
)
def test_a_batching_config_that_the_server_would_refuse_is_refused(tmp_path, text, message):
    path = tmp_path / "batching.config"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=f"{re.escape(str(path))}.*{message}"):
        read_batching_config(path)


def test_monitoring_is_a_path_or_off(tmp_path):
    path = tmp_path / "monitoring.config"
    for text, expected in [
        ('prometheus_config { enable: true path: "/metrics" }', "/metrics"),
        ("prometheus_config { enable: true }", "/monitoring/prometheus/metrics"),
        ("", None),
    ]:
        path.write_text(text)
        assert read_monitoring_config(path) == expected
    path.write_text('prometheus_config { enable: true path: "metrics" }')
    with pytest.raises(ConfigurationError, match="the metrics' path must begin with '/', got 'metrics'"):
        read_monitoring_config(path)


def test_a_missing_file_is_named(exports, tmp_path):
    write_configuration(exports, tmp_path)
    (tmp_path / "monitoring.config").unlink()
    with pytest.raises(ConfigurationError, match="monitoring.config cannot be read .No such file or directory"):
        check_configuration(tmp_path)


def test_configuration_does_not_import_tensorflow(run_python, exports, tmp_path):
    script = (
        "import sys\nfrom tfvision.serving.configuration import check_configuration, write_configuration\n"
        "write_configuration(sys.argv[1], sys.argv[2])\ncheck_configuration(sys.argv[2])\nprint('tensorflow' in sys.modules)"
    )
    assert run_python(script, exports, tmp_path / "out") == "False\n"
