"""python .ci/audit_packages.py PIP_AUDIT CONSTRAINTS OUT.json: asks PyPI's advisories about the locked versions by pip-audit.

Exit code 1 where one has a known fault that ignored-advisories.txt beside this file does not name. Where the advisories cannot be
reached, one line says so and the exit code is 0.
"""

import json
import subprocess
import sys
from pathlib import Path

IGNORED = Path(__file__).with_name("ignored-advisories.txt")  # lines: ID reason


def ignored_ids(text):
    """The advisories of ignored-advisories.txt. Raises ValueError for one without a reason."""
    lines = [line.split(None, 1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if bare := [line[0] for line in lines if len(line) < 2]:
        raise ValueError(f"{IGNORED.name}: {', '.join(bare)} has no reason")
    return {identifier for identifier, _ in lines}


def verdict(report, ignored):
    """(exit code, lines) for what pip-audit reports as JSON; None = it gave none."""
    packages = (report or {}).get("dependencies", [])
    asked = [package for package in packages if "skip_reason" not in package]
    if not asked:
        return 0, ["pip-audit: the advisories could not be reached, no package was audited"]
    found = [
        f"{package['name']} {package['version']}: {' = '.join([fault['id'], *fault['aliases']])}, mended in {', '.join(fault['fix_versions']) or 'no'}"
        for package in asked
        for fault in package["vulns"]
        if not ignored & {fault["id"], *fault["aliases"]}
    ]
    unasked = f", {len(packages) - len(asked)} could not be" if len(asked) < len(packages) else ""
    return int(bool(found)), [*found, f"pip-audit: {len(asked)} packages were audited{unasked}"]


def main(pip_audit, constraints, out):
    command = [pip_audit, "-r", constraints, "--no-deps", "--disable-pip", "--progress-spinner=off", "--timeout=5", "-f", "json", "-o", out]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        report = json.loads(Path(out).read_text()) if done.returncode in (0, 1) else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        report = None
    code, lines = verdict(report, ignored_ids(IGNORED.read_text()))
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
