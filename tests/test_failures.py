"""What CI prints of a failing stack at the end of its output."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location("failures", Path(__file__).parents[1] / ".ci" / "failures.py")
failures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(failures)

TESTS = """
import pytest

@pytest.fixture
def broken():
    raise OSError("no disk")

def test_of_a_fixture(broken):
    pass

def add():
    print("\\n".join(f"line {number}" for number in range(99)))
    assert 2 + 2 == 5

def test_long():
    add()

class TestOfAClass:
    def test_sound(self):
        pass

    @pytest.mark.parametrize("value", [1, 2])
    def test_value(self, value):
        assert value == 1
"""


def test_each_failing_test_is_told_with_the_end_of_its_report(tmp_path):
    (tmp_path / "test_stub.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-ra", "--rootdir", tmp_path, tmp_path]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "", "PY_COLORS": "0", "COLUMNS": "81"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    lines = failures.failures(done.stdout)
    assert [line.strip("_ ") for line in lines if line.startswith("___")] == [
        "ERROR at setup of test_of_a_fixture",
        "test_long",
        "TestOfAClass.test_value[2]",
    ]
    told = [line.split(" - ")[0].split("::", 1)[1] for line in lines[-3:]]
    assert sorted(told) == ["TestOfAClass::test_value[2]", "test_long", "test_of_a_fixture"]
    assert "line 98" in lines and "line 9" not in lines and ">       add()" not in lines
    assert any("assert (2 + 2) == 5" in line for line in lines[:-3])


def test_of_a_stack_that_ran_no_test_the_end_of_its_log_is_told():
    log = "\n".join(f"Collecting package {number}" for number in range(99))
    assert failures.failures(log) == [f"Collecting package {number}" for number in range(59, 99)]
    assert failures.failures(log + "\nERROR: no wheel")[-1] == "ERROR: no wheel"
