"""A few of the damaged artefacts of benchmarks/hostile_inputs.py --artefacts, which tries hundreds of each."""

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("artefact_kinds", Path(__file__).with_name("artefact_kinds.py"))
artefact_kinds = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(artefact_kinds)

FIRST = 20  # of each artefact
COSTLY = {"export": 2, "checkpoints": 10, "stopped preparing": 10}  # artefact -> how many
NETWORKS = ("weights of retriever", "weights of tattoo-detector", "weights of tattoo-matcher")  # that the benchmark alone builds


@pytest.mark.slow
@pytest.mark.parametrize("artefact", [name for name in artefact_kinds.ARTEFACTS if name not in NETWORKS])
def test_no_damaged_artefact_ends_in_a_traceback_or_in_silence(artefact):
    numbers = range(COSTLY.get(artefact, FIRST))
    outcomes = {number: artefact_kinds.hostile.outcome_of(artefact, number, artefact_kinds.ARTEFACTS) for number in numbers}
    assert {number: outcome for number, outcome in outcomes.items() if outcome[0] in artefact_kinds.hostile.FAULTS} == {}
    assert {"refused", "remade"} & {outcome for outcome, _ in outcomes.values()}
