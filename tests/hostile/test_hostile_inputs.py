"""A few of the mutated inputs of benchmarks/hostile_inputs.py, which tries thousands; among them those that once did wrong."""

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("hostile_kinds", Path(__file__).with_name("hostile_kinds.py"))
hostile_kinds = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hostile_kinds)

FIRST = 20  # of each kind
ONCE_WRONG = {"manifest": (255,), "gallery": (43, 264, 1748), "run": (131, 364, 1145, 1822), "request": (953,)}  # kind -> numbers


@pytest.mark.parametrize("kind", hostile_kinds.KINDS)
def test_no_mutated_input_ends_in_a_traceback_or_in_silence(kind):
    outcomes = {number: hostile_kinds.outcome_of(kind, number) for number in (*range(FIRST), *ONCE_WRONG.get(kind, ()))}
    assert {number: outcome for number, outcome in outcomes.items() if outcome[0] in hostile_kinds.FAULTS} == {}
    assert "refused" in {outcome for outcome, _ in outcomes.values()}
