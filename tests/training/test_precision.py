"""What was trained in half precision is judged, calibrated and used in float32; the papers' recipes train in float32 as well."""

import functools
import types

import numpy as np
import pytest

from tfvision.applications import APPLICATIONS, names_with
from tfvision.apps.retrieval import training as retrieval
from tfvision.apps.species import training as species
from tfvision.apps.stylizer import training as stylizer
from tfvision.models.multi_view import add_heads
from tfvision.models.stylizer import build_stylizer
from tfvision.trained.retriever_network import build_retriever
from tfvision.trained.retriever_run import RetrieverRecipe
from tfvision.trained.species_network import build_species_trunk
from tfvision.trained.species_run import SpeciesRecipe, SpeciesRun
from tfvision.trained.stylizer_run import StylizerRecipe
from tfvision.training.loop import precision_policy

PAPERS = {("species", "paper-baseline"), ("species", "paper-multiview"), ("species", "paper-hierarchical"), ("tattoo-detector", "paper")}
PAPERS |= {("tattoo-matcher", "contrastive"), ("tattoo-matcher", "triplet"), ("retriever", "paper")}


def test_the_papers_recipes_are_in_float32_and_no_other_is_missed():
    found = set()
    for name in names_with("recipes"):
        for recipe, make in APPLICATIONS[name].part("recipes").RECIPES.items():
            if "paper" in recipe or (name, recipe) in PAPERS:
                assert make().precision == "float32", (name, recipe)
                found.add((name, recipe))
    assert found == PAPERS


class _Photos(list):
    left_out = ()


def _computed_in(model):
    return {layer.compute_dtype for layer in model._flatten_layers() if layer.weights}


@functools.cache
def _species():
    training = species.SpeciesTraining.__new__(species.SpeciesTraining)
    training.recipe = SpeciesRecipe(network="small", weights="none", image_size=32, precision="float16", frozen=("stem",))
    training.taxonomy = ("a", "b", "c")
    trunk, _ = build_species_trunk(training.recipe, "float16")
    training.model = add_heads(trunk, 3)
    return training, training.model


@functools.cache
def _retriever():
    training = retrieval.RetrieverTraining.__new__(retrieval.RetrieverTraining)
    training.recipe = RetrieverRecipe(network="small", weights="none", image_size=32, precision="bfloat16", tuning=(3,))
    training.classes = ("a", "b")
    training.retriever = build_retriever(training.recipe, 2, 32, precision="bfloat16")
    return training, training.retriever.whole


def _stylizer():
    training = stylizer.StylizerTraining.__new__(stylizer.StylizerTraining)
    training.recipe = StylizerRecipe(precision="float16", width=4, blocks=1)
    with precision_policy("float16"):
        training.model = build_stylizer(4, 1)
    return training, training.model


@pytest.mark.slow
@pytest.mark.parametrize("make", [_species, _retriever, _stylizer])
def test_what_was_trained_in_half_is_judged_in_float32(make):
    training, trained = make()
    full = training._in_full_precision()
    full = getattr(full, "whole", full)
    assert _computed_in(trained) != {"float32"} == _computed_in(full)
    for values, expected in zip(full.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(values, expected)


def test_species_are_calibrated_by_it(monkeypatch, tmp_path):
    training, trained = _species()
    seen = []
    monkeypatch.setattr(species, "calibrate_and_report", lambda run, model, *rest: seen.append(model) or {"accuracy": 1.0})
    training.run, training.manifest, training.dropped = SpeciesRun(tmp_path), _Photos(), {}
    training.labels = training.splits = training.broken = training.loaded = None
    training.judge()
    assert seen[0] is not trained and _computed_in(seen[0]) == {"float32"}


def test_taps_are_read_by_it(monkeypatch):
    training, trained = _retriever()
    seen = []
    monkeypatch.setattr(retrieval, "tap_extractor", lambda retriever, *rest: seen.append(retriever))
    monkeypatch.setattr(retrieval, "read_taps", lambda *arguments: None)
    monkeypatch.setattr(retrieval, "whiten", lambda *arguments: None)
    training.manifest, training.broken, training.run, training.is_training = None, {}, types.SimpleNamespace(features_path=None), None
    training._read_taps(training.retriever.classifier)
    assert seen[0].whole is not trained and _computed_in(seen[0].whole) == {"float32"}
