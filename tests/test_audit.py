"""The audit of packages in CI: what fails, what does not."""

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("audit_packages", Path(__file__).parents[1] / ".ci" / "audit_packages.py")
audit_packages = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(audit_packages)

SOUND = {"name": "click", "version": "8.1", "vulns": []}
FAULTY = {"name": "pillow", "version": "9.0", "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["9.1"]}]}
UNKNOWN = {"name": "numpy", "skip_reason": "Dependency not found"}


def test_a_known_fault_fails_unless_it_is_ignored_by_either_name():
    code, lines = audit_packages.verdict({"dependencies": [SOUND, FAULTY, UNKNOWN]}, set())
    assert code == 1 and lines == ["pillow 9.0: PYSEC-1 = CVE-1, mended in 9.1", "pip-audit: 2 packages were audited, 1 could not be"]
    assert audit_packages.verdict({"dependencies": [FAULTY]}, {"CVE-1"})[0] == 0


@pytest.mark.parametrize("report", [None, {"dependencies": [UNKNOWN]}])
def test_advisories_that_cannot_be_reached_are_told_and_fail_nothing(report):
    assert audit_packages.verdict(report, set()) == (0, ["pip-audit: the advisories could not be reached, no package was audited"])


def test_what_is_ignored_has_a_reason():
    audit_packages.ignored_ids(audit_packages.IGNORED.read_text())
    with pytest.raises(ValueError, match="CVE-2 has no reason"):
        audit_packages.ignored_ids("# why\nCVE-1 not built in\nCVE-2\n")
