"""What a notebook may use: every name is there, documented, and costs nothing before it is used."""

import inspect
import pkgutil
import subprocess
import sys

import pytest

import tfvision

PUBLIC = {
    "species": {"train", "evaluate", "load", "RECIPES"},
    "tattoo_detection": {"train", "evaluate", "load", "RECIPES"},
    "tattoo_matching": {"train", "evaluate", "RECIPES"},
    "style": {"stylize", "stylize_fast", "preset"},
    "stylizer": {"train", "RECIPES"},
    "vgg19_slim": {"train", "RECIPES"},
    "retrieval": {"train", "evaluate", "RECIPES"},
    "explorer": {"show"},
    "gallery": {"build", "add", "remove", "open", "search", "FeatureRecipe"},
    "data": {"read_pixels", "draw_specimen", "write_specimens"},
}


def test_the_systems_are_those_that_are_listed():
    assert set(tfvision.__all__) == set(PUBLIC) and set(dir(tfvision)) == set(PUBLIC)


@pytest.mark.parametrize("system", PUBLIC)
def test_every_public_name_is_there_with_a_docstring_and_annotated_arguments(system):
    package = getattr(tfvision, system)
    assert set(package.__all__) == PUBLIC[system] and f"tfvision.{system}." in package.__doc__
    for name in PUBLIC[system] - {"RECIPES"}:
        function = getattr(package, name)
        assert inspect.getdoc(function), f"{system}.{name}"
        bare = [parameter.name for parameter in inspect.signature(function).parameters.values() if parameter.annotation is inspect.Parameter.empty]
        assert not bare, f"{system}.{name}: {bare}"


@pytest.mark.parametrize("system", PUBLIC)
def test_no_module_hides_a_public_name_once_it_is_imported(system):
    modules = {module.name for module in pkgutil.iter_modules(getattr(tfvision, system).__path__)}
    assert not modules & PUBLIC[system]


def test_a_name_that_is_not_public_is_answered_with_those_that_are():
    with pytest.raises(AttributeError, match="no attribute 'trian'; public are train, evaluate"):
        tfvision.species.trian  # noqa: B018
    with pytest.raises(AttributeError, match="public are species, tattoo_detection"):
        tfvision.fungi  # noqa: B018


def test_importing_tfvision_and_looking_round_imports_nothing_heavy():
    script = "import sys, tfvision; dir(tfvision.species); heavy = {'tensorflow', 'keras', 'numpy', 'click'} & set(sys.modules); assert not heavy, heavy"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0
