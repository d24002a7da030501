"""Runs whose files somebody changed: one clear line, whichever part is missing or of another kind."""

import json

import pytest

from tfvision.data.manifest import Record
from tfvision.errors import UserError
from tfvision.evaluation.likelihood import load_calibration
from tfvision.trained.detector_run import DetectorRun
from tfvision.trained.matcher_run import MatcherRun
from tfvision.trained.retriever_run import RetrieverRun
from tfvision.trained.species_run import SpeciesRun
from tfvision.trained.stylizer_run import StylizerRun
from tfvision.training.trained_photos import trained_on

RECORD = Record(__file__, "x", ("x",), "x")
READ = {  # what is read of a run before its network is loaded
    "species": (SpeciesRun, lambda run: (run.taxonomy.first_leaves, run.calibration["threshold"], run.facts["ranks"])),
    "retriever": (RetrieverRun, lambda run: (run.classes, run.facts["ranks"])),
    "tattoo-detector": (DetectorRun, lambda run: run.calibration["slope"] + run.calibration["offset"]),
    "tattoo-matcher": (MatcherRun, lambda run: load_calibration(run.folder).ratio(0.5) if load_calibration(run.folder) else None),
    "stylizer": (StylizerRun, lambda run: run.facts["painting"]),
}
OTHERS = (None, -1, "x", [], {}, True, float("inf"), [1, "a"])


def _read(folder, name):
    kind, read = READ[name]
    run = kind.open(folder)
    read(run)
    assert run.recipe.network
    trained_on(folder, [RECORD])


def _variants(stored):
    """A JSON value with each part gone, and each replaced in turn."""
    if isinstance(stored, dict | list):
        keys = list(stored) if isinstance(stored, dict) else range(min(len(stored), 2))
        for key in keys:
            rest = stored.copy()
            del rest[key]
            yield rest
            for part in _variants(stored[key]):
                changed = stored.copy()
                changed[key] = part
                yield changed
    yield from OTHERS


@pytest.mark.slow
@pytest.mark.parametrize("name", READ)
def test_a_changed_file_never_ends_in_a_traceback(copy_frozen, name):
    folder = copy_frozen(name)
    _read(folder, name)
    refused = tried = 0
    for path in sorted(folder.glob("*.json")):
        text = path.read_text()
        variants = list(_variants(json.loads(text)))
        for changed in variants[:: max(1, len(variants) // 150)]:
            path.write_text(json.dumps(changed))
            tried += 1
            try:
                _read(folder, name)
            except UserError as error:
                refused += 1
                assert path.name in str(error) or "recipe" in str(error) or str(folder) in str(error) or path.name == "recipe.json"
        path.write_text(text)
    assert refused > tried / 4


def test_a_threshold_that_is_missing_is_named(copy_frozen):
    folder = copy_frozen("species")
    path = folder / "calibration.json"
    stored = json.loads(path.read_text())
    del stored["threshold"]
    path.write_text(json.dumps(stored))
    with pytest.raises(UserError, match="calibration.json was changed: its 'threshold' is missing or of another kind; train again, or restore the file"):
        _read(folder, "species")


@pytest.mark.parametrize("changed", [{"views": []}, {"frozen": ["x"]}, {"image_size": -5}])
def test_a_recipe_that_makes_no_network_is_named(copy_frozen, changed):
    from tfvision.trained.species_network import load_species_network

    folder = copy_frozen("species")
    path = folder / "recipe.json"
    stored = json.loads(path.read_text())
    stored["recipe"] |= changed
    path.write_text(json.dumps(stored))
    with pytest.raises(UserError, match="recipe.json was changed: no network can be built from it"):
        load_species_network(SpeciesRun.open(folder))
