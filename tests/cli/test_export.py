import json

import pytest
from click.testing import CliRunner

from tfvision.cli.export import export


@pytest.mark.slow
def test_export_prints_path_and_signatures(stylizer_run, tmp_path):
    result = CliRunner().invoke(export, [str(stylizer_run), "--to", str(tmp_path), "--name", "c", "--no-verify", "--json"])
    printed = json.loads(result.stdout.splitlines()[-1])
    assert printed["path"] == str(tmp_path / "c" / "1")
    assert printed["signatures"][0] == "serving_default"
    assert (tmp_path / "c" / "1" / "saved_model.pb").is_file()


def test_help_has_an_example():
    assert "tfvision export runs/species" in CliRunner().invoke(export, ["--help"]).output
