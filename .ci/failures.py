"""python .ci/failures.py LOG: what failed in a log of pytest, short enough to stand at the end of all output.

Of each failing test the last 40 lines of its report and what was asserted, then the lines FAILED and ERROR; of a log without any the last 40 lines.
"""

import re
import sys
from pathlib import Path

KEPT = 40  # lines of each report
TITLE = re.compile(r"(=+) (.+) \1=?")  # ===== FAILURES =====
TEST = re.compile(r"(_+) (?!_)(.+) \1_?")  # _____ test_name _____, and not _ _ _ between the frames of one


def failures(log):
    """The lines to print."""
    reports, told, section = [], [], ""
    for line in log.splitlines():
        if title := TITLE.fullmatch(line):
            section = title[2]
        elif section in ("FAILURES", "ERRORS"):
            if TEST.fullmatch(line):
                reports.append([])
            if reports:
                reports[-1].append(line)
        elif section == "short test summary info" and line.startswith(("FAILED ", "ERROR ")):
            told.append(line)
    if not told:
        return log.splitlines()[-KEPT:]
    return [line for report in reports for line in _last(report)] + told


def _last(report):
    """The name of the test, what was asserted, and the end of its report."""
    if len(report) <= KEPT:
        return report
    errors = [line for line in report[1:-KEPT] if line.startswith("E  ")]
    return [report[0], *errors[:KEPT], "[...]", *report[-KEPT:]]


if __name__ == "__main__":
    print("\n".join(failures(Path(sys.argv[1]).read_text(errors="replace"))))
