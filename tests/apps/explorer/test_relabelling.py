import types

import numpy as np
import pytest

from tfvision.apps.explorer import relabelling
from tfvision.apps.explorer.collection import Pictures
from tfvision.apps.explorer.corrections import Corrections
from tfvision.errors import DataError


@pytest.fixture
def session(tmp_path):
    """What relabelling asks of a Session, and its pictures: four pictures with a kind, and a family above it."""
    columns = {"family": (["plants", "animals"], np.int32([0, 0, 1, 0])), "kind": (["oak", "beech", "fox"], np.int32([0, 1, 2, 0]))}
    pictures, corrections = Pictures(list("abcd"), str, columns), Corrections(tmp_path)
    show = lambda: pictures.correct(corrections.read())
    return types.SimpleNamespace(pictures=pictures, corrections=corrections, show_corrections=show)


def _shown(session, name):
    values, codes = session.pictures.columns[name]
    return [values[code] for code in codes]


def test_ranks_above_follow_where_they_change_and_go_back_with_the_label(session):
    told = relabelling.relabel(session, session.pictures, "kind", [0], "beech", "Jo")
    assert set(told["before"]) == {"kind"} and _shown(session, "kind") == ["beech", "beech", "fox", "oak"]  # the family is the same
    told = relabelling.relabel(session, session.pictures, "kind", [0, 3], "fox", "Jo")
    assert _shown(session, "family") == ["animals", "plants", "animals", "animals"] and set(told["before"]) == {"kind", "family"}
    assert told["columns"]["family"][3]["given"] == "plants"
    before = {name: {str(position): entry for position, entry in entries.items()} for name, entries in told["before"].items()}  # as JSON has it
    relabelling.restore(session, session.pictures, before)
    assert _shown(session, "kind") == ["beech", "beech", "fox", "oak"] and _shown(session, "family") == ["plants", "plants", "animals", "plants"]
    relabelling.relabel(session, session.pictures, "kind", [0, 3], None, "Jo")
    assert session.corrections.read()["columns"] == {}


def test_the_label_of_the_source_is_no_correction(session):
    relabelling.relabel(session, session.pictures, "kind", [0], "fox", "Jo")
    relabelling.relabel(session, session.pictures, "kind", [0], "oak", "Jo")
    assert session.corrections.read()["columns"] == {}


def test_a_correction_of_nothing_is_refused(session):
    with pytest.raises(DataError, match="no picture is chosen"):
        relabelling.relabel(session, session.pictures, "kind", [], "fox", "Jo")
