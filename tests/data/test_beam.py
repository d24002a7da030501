import sys

import pytest

from tfvision.data.beam import open_pipeline
from tfvision.errors import UserError


def test_the_local_runner_fetches_no_program():
    """Beam's DirectRunner would first look for Prism, a program, on the network."""
    pytest.importorskip("apache_beam", reason="Apache Beam, an extra, is not installed")
    assert type(open_pipeline(["--runner=DirectRunner"]).runner).__name__ == "FnApiRunner"


def test_without_beam_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(UserError, match=r"Apache Beam is not installed: pip install 'tfvision\[beam\]'"):
        open_pipeline([])
